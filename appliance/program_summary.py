"""What a program's calls came to: counted by the server, said in a few calm lines, or as JSON."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any

from appliance.program_server import Reached

ERRORS_SHOWN = 8
SHOWN_CHARACTERS_MAX = 80  # of what others name: a code or a model may be of any length
# Steps of traces call no model. A call that was refused has no provider's status, and its body says
# why; so does a provider's.
TOTALS = """
SELECT count(*) AS calls, coalesce(sum(prompt_tokens), 0) AS prompt_tokens,
  coalesce(sum(completion_tokens), 0) AS completion_tokens,
  coalesce(sum(total_tokens), 0) AS total_tokens, coalesce(sum(cost_usd), 0) AS cost_usd,
  count(*) FILTER (cost_usd IS NULL AND http_status BETWEEN 200 AND 299) AS without_price
FROM requests WHERE {which} AND step IS NULL
"""
SLOWEST = """
SELECT model, method, request_path, latency_ms FROM requests
WHERE {which} AND step IS NULL ORDER BY latency_ms DESC NULLS LAST LIMIT 1
"""
ERRORS = """
SELECT http_status AS status, coalesce(
    try_cast(response AS JSON) ->> '$.error.code', try_cast(response AS JSON) ->> '$.error.type',
    outcome) AS code, count(*) AS calls
FROM requests JOIN bodies USING (exchange_id)
WHERE {which} AND step IS NULL
  AND (http_status IS NULL OR http_status NOT BETWEEN 200 AND 399 OR outcome <> 'complete')
GROUP BY ALL ORDER BY calls DESC, code LIMIT 100
"""


@dataclass(frozen=True, slots=True)
class Summary:
    """Of one run. Money in USD as text, exact; times in seconds and milliseconds. `errors` are
    calls that did not end well: replies by status and code."""

    calls: int
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    cost_usd: str
    calls_without_price: int
    budget_usd: str | None
    duration_s: float
    slowest: dict[str, Any] | None
    errors: list[dict[str, Any]]
    session_id: str
    session_name: str
    exit_code: int
    mode: str

    def as_map(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def summed_up(server: Reached, which: str, **known: Any) -> Summary:  # noqa: ANN401
    """Ask the server for the calls of this condition, in SQL. `known`: the fields that it does not
    know. Raises ControlError."""
    totals = server.rows(TOTALS.format(which=which))[0]
    slowest = server.rows(SLOWEST.format(which=which))
    errors = server.rows(ERRORS.format(which=which))
    return Summary(
        calls=int(totals["calls"]),
        prompt_tokens=int(totals["prompt_tokens"]),
        completion_tokens=int(totals["completion_tokens"]),
        total_tokens=int(totals["total_tokens"]),
        cost_usd=plain_usd(totals["cost_usd"]),
        calls_without_price=int(totals["without_price"]),
        slowest=slowest[0] if slowest else None,
        errors=errors,
        **known,
    )


def plain_usd(value: object) -> str:
    """Every digit that is not a nought at the end; at least cents."""
    whole, _, part = f"{Decimal(str(value)):f}".partition(".")
    return f"{whole}.{part.rstrip('0'):0<2}"


def lines_of(summary: Summary) -> list[str]:
    """For a person."""
    calls = "1 call" if summary.calls == 1 else f"{summary.calls:,} calls"
    cost = f"${summary.cost_usd}"
    if summary.budget_usd is not None:
        cost += f" of ${summary.budget_usd}"
    if summary.calls_without_price:
        cost += f" and {summary.calls_without_price} without a price"
    parts = [
        f"{calls} in {summary.duration_s:.1f} s",
        f"{summary.prompt_tokens:,} tokens in, {summary.completion_tokens:,} out",
        cost + (" as recorded, nothing paid" if summary.mode == "replay" else ""),
    ]
    found = [f"{summary.session_name}: {' · '.join(parts)}"]
    if summary.slowest is not None and summary.calls > 1:
        found.append(f"slowest: {_call(summary.slowest)}")
    if summary.errors:
        shown = [
            f"{row['calls']} × {row['status'] or '-'} {_short(row['code'])}"
            for row in summary.errors[:ERRORS_SHOWN]
        ]
        rest = len(summary.errors) - len(shown)
        found.append(f"errors: {', '.join(shown)}" + (f" and {rest} more kinds" if rest else ""))
    return found


def _call(row: Mapping[str, Any]) -> str:
    seconds = float(row["latency_ms"] or 0) / 1000
    model, path = _short(row["model"] or "unknown model"), _short(row["request_path"])
    return f"{model}, {seconds:.2f} s, {row['method']} {path}"


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= SHOWN_CHARACTERS_MAX else f"{text[:SHOWN_CHARACTERS_MAX]}…"
