"""Months, the columns of providers' files, and two books side by side."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from appliance.core import usage_report
from appliance.errors import Refusal

NOW = datetime(2026, 12, 31, 23, 59, tzinfo=UTC)
OCTOBER = usage_report.month_of("2026-10", NOW)


def row(name: str, cost: str, requests: int = 1) -> list[Any]:
    return [name, requests, 0, 10, 5, 0, 0, 0, 0, Decimal(cost)]


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("2026-10", "2026-10-01", "2026-11-01"),
        ("2026-12", "2026-12-01", "2027-01-01"),
        ("", "2026-12-01", "2027-01-01"),
    ],
)
def test_months(text: str, start: str, end: str) -> None:
    month = usage_report.month_of(text, NOW)
    assert (f"{month.start:%Y-%m-%d}", f"{month.end:%Y-%m-%d}") == (start, end)


@pytest.mark.parametrize("text", ["2026-13", "October", "2026-10-01", "9999-12", "26-10"])
def test_no_months(text: str) -> None:
    with pytest.raises(Refusal, match="--month"):
        usage_report.month_of(text, NOW)


@pytest.mark.parametrize("by", ["", "models", "property", "property:", "property:a\nb", "user:x"])
def test_no_groups(by: str) -> None:
    with pytest.raises(Refusal, match="property:NAME"):
        usage_report.statement(OCTOBER, by)


def test_a_name_stays_within_its_quotes() -> None:
    sql = usage_report.statement(OCTOBER, "property:it's", "x' OR '1'='1")
    assert "'it''s'" in sql
    assert "'x'' OR ''1''=''1'" in sql


def openai(at: str, amount: str, line: str) -> dict[str, str | None]:
    return {"start_time_iso": at, "amount_value": amount, "line_item": line}


def anthropic(day: str, cost: str) -> dict[str, str | None]:
    return {"Usage Date UTC": day, "Model": "gpt-4o", "Cost USD": cost}


@pytest.mark.parametrize(
    "lines",
    [
        [{"model": "gpt-4o", "cost_usd": "1.50"}, {"model": "gpt-4o", "cost_usd": "0.25"}],
        [  # OpenAI: a line for each kind of token
            openai("2026-10-02T00:00:00+00:00", "1.5", "gpt-4o, input"),
            openai("2026-10-02T00:00:00+00:00", "0.25", "gpt-4o, output"),
            openai("2026-11-01T00:00:00+00:00", "9", "gpt-4o, output"),
        ],
        [
            anthropic("2026-10-31", "$1,000.75"),
            anthropic("2026-09-30", "7"),
            anthropic("2026-10-01", "-999"),
        ],
    ],
    ids=["plain", "openai", "anthropic"],
)
def test_what_a_provider_says(lines: list[dict[str, str | None]]) -> None:
    found = usage_report.billed(lines, "model", OCTOBER, "", "")
    assert (found.usd, found.undated) == ({"gpt-4o": Decimal("1.75")}, 0)


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("1,234,567.5", "1234567.5"), ("-$5", "-5"), ("$-5", "-5"), ("+.5", "0.5"), (" 7. ", "7"),
        ("6.112345678901234e-05", "0.00006112345678901234"), ("", "0"), ("$", "0"), (None, "0"),
    ],
)  # fmt: skip
def test_amounts_are_exact(text: str | None, amount: str) -> None:
    line = {"model": "x", "cost": text}
    assert usage_report.billed([line], "model", OCTOBER, "", "").usd == {"x": Decimal(amount)}


@pytest.mark.parametrize(
    "text",
    ["1,50", "1.234,50", "12,34,567", "1_000", "much", "nan", "inf", "e5", "1e999999", "--5"],
)
def test_what_is_no_amount_is_not_guessed(text: str) -> None:
    """A comma before two digits is a decimal one in half of the world: 1,50 is not 150."""
    with pytest.raises(Refusal, match=f'line 2: cost "{re.escape(text)}" is no amount such as'):
        usage_report.billed([{"model": "x", "cost": text}], "model", OCTOBER, "", "")


@pytest.mark.parametrize(
    ("time", "counts", "undated"),
    [
        ("2026-10", True, 0), ("2026-09", False, 0), ("1792800000", True, 0),
        ("1792800000000", True, 0), ("1761955200", False, 0), ("20261031", True, 0),
        ("2026-10-31T20:00:00-08:00", False, 0), ("10/31/2025", True, 1), ("", True, 1),
    ],
)  # fmt: skip
def test_of_which_month_a_line_is(time: str, counts: bool, undated: int) -> None:
    line = {"date": time, "model": "x", "cost": "1"}
    found = usage_report.billed([line], "model", OCTOBER, "", "")
    assert (found.usd, found.undated) == ({"x": Decimal(1)} if counts else {}, undated)


def test_names_are_one_whatever_their_case_and_whole_but_for_models() -> None:
    lines = [{"name": "Doe, Jane", "cost": "1"}, {"name": "doe, jane", "cost": "2"}]
    found = usage_report.billed(lines, "user", OCTOBER, "", "").usd
    assert found == {"Doe, Jane": Decimal(3)}
    assert usage_report.beside([row("DOE, Jane", "3")], found)[0][-1] == 0


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ({"modell": "x", "cost": "1"}, "--name-column which column it is; there are: modell, cost"),
        ({"model": "x", "price": "1"}, "--cost-column"),
        ({"model": "x", "cost": "much"}, 'line 2: cost "much" is no amount'),
        ({"model": "x", "cost": "nan"}, "is no amount"),
    ],
)
def test_a_file_that_cannot_be_read_says_where(line: dict[str, str | None], said: str) -> None:
    with pytest.raises(Refusal, match=said):
        usage_report.billed([line], "model", OCTOBER, "", "")


def test_a_file_without_a_line_is_not_taken_for_a_bill_of_nothing() -> None:
    with pytest.raises(Refusal, match="no line behind the heading"):
        usage_report.billed([], "model", OCTOBER, "", "")


def test_columns_that_are_named_win() -> None:
    lines = [{"model": "x", "deployment": "mine", "cost": "1", "Net Cost": "2"}]
    found = usage_report.billed(lines, "model", OCTOBER, "deployment", "net cost").usd
    assert found == {"mine": Decimal(2)}


def test_side_by_side() -> None:
    rows = [row("GPT-4o", "2"), row("o3", "1")]
    found = usage_report.beside(rows, {"gpt-4o": Decimal("2.5"), "gone": Decimal(3)})
    assert [(one[0], one[-2], one[-1]) for one in found] == [
        ("GPT-4o", Decimal("2.5"), Decimal("-0.5")),
        ("o3", Decimal(0), Decimal(1)),
        ("gone", Decimal(3), Decimal(-3)),
    ]
    assert usage_report.total(found)[-1] == Decimal(3)
