"""What a row tells is enough to price its call again: the same book gives the same cost."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from appliance.core.price_rows import parse_rows
from appliance.core.prices import compile_book
from appliance.core.repriced import MODELS_MAX, OTHERS, Recorded, Repricing, pico, priced_again
from appliance.core.usage_types import Priced, Usage
from tests.core.test_derive import META, REPLY, rows

NOW_US = 1_800_000_000_000_000
CHEAP = [{"model": "gpt-4o*", "input": "2.5", "output": "10", "cached_input": "1.25",
          "thinking": "10", "audio_input": "40", "write_5m": "3", "write_1h": "5",
          "web_search_each": "0.01"},
         {"model": "claude-x", "input": 3, "output": 15, "write_5m": 4, "write_1h": 6}]  # fmt: skip
DEAR = [{**row, "input": "5", "output": "20"} for row in CHEAP]
EARLIER = {**META["attempts"][0], "status": 500, "why_next": "status", "cost_pico": 777}
USAGE = REPLY["usage"]


def book(tables: list[dict[str, Any]]) -> Any:
    return compile_book(parse_rows(tables, where="prices"), (), None).price


def usd(value: int | None) -> Decimal | None:
    return None if value is None else Decimal(value).scaleb(-12)


def recorded(row: dict[str, Any], **changes: Any) -> Recorded:
    """As `SELECTED` gives it."""
    call = Recorded(
        UUID(bytes=row["exchange_id"]), UUID(bytes=row["request_id"]),
        UUID(bytes=row["organization_id"]), row["request_created_at"],
        row["gateway_provider"] or row["provider"].lower(), row["target_url"] or "", row["model"],
        row["request_model"], row["model_override"], row["prompt_tokens"],
        row["completion_tokens"], row["prompt_cache_read_tokens"],
        row["prompt_cache_write_tokens"], row["prompt_cache_write_1h_tokens"],
        row["reasoning_tokens"], row["usage_detail"], row["price_source"], row["price_version"],
        usd(row["cost_pico"]), usd(row["cost_pico"]),
        [usd(attempt["cost_pico"]) for attempt in row["attempts"]], None, row["user_id"],
    )  # fmt: skip
    return call._replace(**changes)


CASES: dict[str, dict[str, Any]] = {
    "plain": {},
    "no attempts": {"attempts": []},
    "after an attempt that cost something": {"attempts": [EARLIER, META["attempts"][0]]},
    "whose last attempt names its cost": {"attempts": [META["attempts"][0], EARLIER]},
    "audio and searches": {"reply": {**REPLY, "usage": {
        **USAGE, "prompt_tokens_details": {"audio_tokens": 9, "cached_tokens": 3}}}},
    "a snapshot that no list knows": {"reply": {**REPLY, "model": "snapshot-7"}},
    "written to the cache": {
        "request": {"model": "claude-x"}, "gateway_provider": "anthropic", "dialect": "anthropic",
        "provider": "ANTHROPIC",
        "reply": {"model": "claude-x", "type": "message", "usage": {
            "input_tokens": 7, "output_tokens": 9, "cache_read_input_tokens": 4,
            "cache_creation": {"ephemeral_5m_input_tokens": 5, "ephemeral_1h_input_tokens": 6}}},
    },
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_the_same_book_gives_the_same_cost_and_another_its_own(case: str) -> None:
    cheap, dear = book(CHEAP), book(DEAR)
    row, _ = rows(priced=cheap, **CASES[case])
    again, _ = rows(priced=dear, **CASES[case])
    assert row["cost_pico"] is not None
    assert row["cost_pico"] != again["cost_pico"]
    same = priced_again(recorded(row), cheap)
    assert same == Priced(row["cost_pico"], row["price_source"], row["price_version"])
    other = priced_again(recorded(row), dear)
    assert other == Priced(again["cost_pico"], again["price_source"], again["price_version"])
    back = priced_again(recorded(again), cheap)
    assert back is not None
    assert back.cost_pico == row["cost_pico"]


def test_a_price_that_was_unknown_is_found() -> None:
    row, _ = rows(priced=book([]))
    assert row["cost_pico"] is None
    run = Repricing(book(CHEAP), NOW_US)
    correction = run.look(recorded(row))
    want, _ = rows(priced=book(CHEAP))
    assert correction is not None
    assert correction["value"] == f"{want['cost_pico']} user:1 {want['price_version']}"
    assert correction["exchange_id"] == META["exchange_id"]
    assert run.told()["old_usd"] == "0"


def never(provider: str, model: str, usage: Usage, at_us: int) -> Priced:
    raise AssertionError(f"{model} is not to be priced")


@pytest.mark.parametrize(
    "meta",
    [
        {"declared_cost_pico": 5},
        {"reply": b"", "http_status": 500},
        {"reply": b"nonsense", "outcome": "refused", "http_status": None},
    ],
    ids=["told by who logged it", "an error", "refused"],
)
def test_what_no_list_has_priced_stays(meta: dict[str, Any]) -> None:
    row, _ = rows(priced=book(CHEAP), **meta)
    run = Repricing(never, NOW_US)
    assert run.look(recorded(row)) is None
    told = run.told()
    assert (told["changed"], told["old_usd"]) == (0, told["new_usd"])


def test_a_cost_that_the_provider_declared_stays() -> None:
    row, _ = rows(priced=book(CHEAP))
    call = recorded(row, price_source="provider")
    assert Repricing(never, NOW_US).look(call) is None


def test_a_price_that_is_gone_is_counted_and_changes_nothing() -> None:
    row, _ = rows(priced=book(CHEAP))
    run = Repricing(book([]), NOW_US)
    assert run.look(recorded(row)) is None
    told = run.told()
    assert (told["unknown_price"], told["changed"]) == (1, 0)
    assert told["old_usd"] == told["new_usd"] != "0"


def test_a_corrected_call_is_corrected_no_more_and_can_go_back() -> None:
    row, _ = rows(priced=book(CHEAP))
    want, _ = rows(priced=book(DEAR))
    later = recorded(row, cost=usd(want["cost_pico"]), repriced_at_us=NOW_US + 5)
    assert Repricing(book(DEAR), NOW_US).look(later) is None
    back = Repricing(book(CHEAP), NOW_US).look(later)
    assert back is not None
    assert back["value"].startswith(f"{row['cost_pico']} ")
    # The clock has stepped back, and the newest is to count.
    assert back["edited_at_us"] == NOW_US + 6


def test_names_without_end_are_told_together() -> None:
    row, _ = rows(priced=book(CHEAP))
    run = Repricing(book(DEAR), NOW_US)
    for number in range(MODELS_MAX + 3):
        run.look(recorded(row, model=f"gpt-4o-{number}"))
    assert len(run.lines) == MODELS_MAX + 1
    assert run.lines[OTHERS, OTHERS].calls == 3
    assert run.told()["calls"] == MODELS_MAX + 3


def test_sums_are_exact() -> None:
    assert pico(Decimal("9223372.036854775807")) == 2**63 - 1
    row, _ = rows(priced=book(CHEAP))
    run = Repricing(book(DEAR), NOW_US)
    for _ in range(3):
        run.look(recorded(row))
    (line,) = run.told()["models"]
    assert (line["provider"], line["calls"], line["changed"]) == ("openai", 3, 3)
    assert Decimal(line["difference_usd"]) == Decimal(line["new_usd"]) - Decimal(line["old_usd"])
    assert Decimal(line["old_usd"]) == 3 * usd(row["cost_pico"])  # type: ignore[operator]
