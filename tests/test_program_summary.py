"""What is said of a program's calls, whatever others have named things."""

from __future__ import annotations

from appliance.program_summary import Summary, lines_of


def test_long_names_of_others_are_cut() -> None:
    long = "x" * 5000
    summary = Summary(
        calls=2, prompt_tokens=1, completion_tokens=1, total_tokens=2, cost_usd="0.00",
        calls_without_price=0, budget_usd=None, duration_s=1.0,
        slowest={"model": long, "latency_ms": 5, "method": "POST", "request_path": f"/{long}"},
        errors=[{"status": 400, "code": long, "calls": 1}],
        session_id="s", session_name="trip", exit_code=0, mode="live",
    )  # fmt: skip
    lines = lines_of(summary)
    assert len(lines) == 3
    assert all(len(line) < 300 for line in lines)
    assert lines[2].startswith("errors: 1 × 400 xxx")
    assert summary.as_map()["errors"][0]["code"] == long
