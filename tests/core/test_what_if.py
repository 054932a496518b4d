"""Other prices and other limits over recorded calls."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from appliance.core.rate_policy import parse_policy
from appliance.core.what_if import LIMIT_COLUMNS, PRICE_COLUMNS, Asked, Limits, Prices, Swap
from tests.core.test_derive import REPLY, rows
from tests.core.test_repriced import CHEAP, DEAR, book, recorded

T0_US = 1_767_225_600_000_000
ORG = "a"


def call(at_s: float, user: str = "ada", **changes: Any) -> Asked:
    at_us = T0_US + round(at_s * 1_000_000)
    return Asked(ORG, at_us, at_us + 500_000, "complete", user, {}, Decimal("0.01"))._replace(
        **changes
    )


def told(limits: Limits) -> dict[str, dict[str, Any]]:
    names = [name for name, _ in LIMIT_COLUMNS]
    found = [dict(zip(names, row, strict=True)) for row in limits.rows()]
    return {row["name"]: row for row in found}


def test_who_is_refused_and_when() -> None:
    limits = Limits([parse_policy("2;w=60;s=user")])
    for second in range(5):  # two are there, the third is due after 30 s
        limits.look(call(second))
    limits.look(call(5, "eve"))
    limits.look(call(34))
    limits.look(call(3600 + 34, ""))
    found = told(limits)
    ada = found["ada"]
    assert (ada["calls"], ada["refused"], ada["policy"]) == (6, 3, "2;w=60;s=user")
    assert (ada["first_refused"], ada["last_refused"]) == (
        "2026-01-01T00:00:02Z", "2026-01-01T00:00:04Z",
    )  # fmt: skip
    assert (ada["worst_hour"], ada["worst_hour_refused"]) == ("2026-01-01T00:00:00Z", 3)
    assert Decimal(ada["refused_usd"]) == Decimal("0.03")
    assert (found["eve"]["refused"], found["eve"]["first_refused"]) == (0, None)
    assert list(found) == ["ada", "eve", "(total)"]
    assert (found["(total)"]["calls"], found["(total)"]["refused"]) == (7, 3)
    assert limits.unlimited == 1


def test_cents_are_charged_when_the_reply_is_complete() -> None:
    """1 cent in 100 s: a call of 1 cent empties it once it has ended, not before."""
    limits = Limits([parse_policy("1;w=100;u=cents")])
    limits.look(call(0))
    limits.look(call(0.4))  # the first has not ended: both are let through
    limits.look(call(1))  # both have: one cent in debt
    limits.look(call(2, outcome="cut"))
    limits.look(call(99))  # a cent short of nothing still
    limits.look(call(130))
    whole = told(limits)["(total)"]
    assert (whole["calls"], whole["refused"]) == (6, 3)
    assert whole["last_refused"] == "2026-01-01T00:01:39Z"


def test_one_policy_counts_for_each_call_as_with_stored_ones() -> None:
    limits = Limits([parse_policy("1;w=60"), parse_policy("3;w=60;s=team")])
    for second in range(4):
        limits.look(call(second, properties={"team": "mail"}))
    limits.look(call(5))
    limits.look(call(6))
    found = told(limits)
    assert (found["mail"]["refused"], found["(all)"]["refused"]) == (1, 1)
    assert limits.unlimited == 0


def test_organisations_have_buckets_of_their_own() -> None:
    limits = Limits([parse_policy("1;w=60")])
    limits.look(call(0))
    limits.look(call(1, organization_id="b"))
    assert [row[3] for row in limits.rows()] == [0, 0, 0]
    assert [row[1] for row in limits.rows()] == ["a (all)", "b (all)", "(total)"]


def test_no_calls_at_all() -> None:
    (whole,) = Limits([parse_policy("1;w=60")]).rows()
    assert whole == ["", "(total)", 0, 0, None, None, None, 0, "0"]
    (sums,) = Prices(book(CHEAP), []).rows()
    assert sums == ["(total)", 0, 0, 0, "0", "0", "0"]


def by_name(prices: Prices) -> dict[str, dict[str, Any]]:
    names = [name for name, _ in PRICE_COLUMNS]
    return {row[0]: dict(zip(names, row, strict=True)) for row in prices.rows()}


def test_another_list_gives_what_calls_had_cost_by_it() -> None:
    row, _ = rows(priced=book(CHEAP))
    want, _ = rows(priced=book(DEAR))
    prices = Prices(book(DEAR), [])
    prices.look(recorded(row))
    prices.look(recorded(row, price_source="provider"))  # told by the provider: it stays
    found = by_name(prices)["gpt-4o-2024-08-06"]
    assert (found["calls"], found["changed"]) == (2, 1)
    old = Decimal(row["cost_pico"]).scaleb(-12)
    new = Decimal(want["cost_pico"]).scaleb(-12)
    assert (Decimal(found["old_usd"]), Decimal(found["new_usd"])) == (2 * old, old + new)
    assert Decimal(found["difference_usd"]) == new - old
    assert by_name(prices)["(total)"]["difference_usd"] == found["difference_usd"]


def test_another_model_for_the_same_tokens() -> None:
    row, _ = rows(priced=book(CHEAP))
    as_if, _ = rows({"model": "claude-x"}, {**REPLY, "model": "claude-x"}, priced=book(CHEAP))
    prices = Prices(book(CHEAP), [Swap("GPT-4o*", "claude-x", "anthropic")], by_user=True)
    prices.look(recorded(row))
    prices.look(recorded(row, price_source="provider"))
    prices.look(recorded(row, model="other", request_model="other", user_id=None))
    found = by_name(prices)
    one = Decimal(as_if["cost_pico"]).scaleb(-12)
    assert Decimal(found["ada"]["new_usd"]) == 2 * one
    assert (found["(none)"]["changed"], found["(none)"]["unknown_price"]) == (0, 1)
    lost = Prices(book(CHEAP), [Swap("gpt-4o*", "no such model")])
    lost.look(recorded(row))
    assert by_name(lost)["(total)"]["unknown_price"] == 1
    assert by_name(lost)["(total)"]["difference_usd"] == "0"
