"""Budgets: periods in UTC, whose calls count, and the last call before the limit."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from appliance.core import budgets as module
from appliance.core.budgets import (
    Budget,
    Budgets,
    BudgetsFull,
    Period,
    Scope,
    Spender,
    checked_budget,
    period_of,
)
from appliance.core.ledger import Account, Ledger
from appliance.core.worst_case import HoldSize
from appliance.errors import Refusal

ORG, OTHER = b"\x01" * 16, b"\x02" * 16
USD = 10**12
NOW = "2026-03-18T10:00:00"  # a Wednesday


def us(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1_000_000)


PERIODS = [
    ("day", "1970-01-01T00:00:00", "1970-01-01", "1970-01-02"),
    ("day", "2026-03-18T23:59:59.999999", "2026-03-18", "2026-03-19"),
    ("day", "2026-03-19T00:00:00", "2026-03-19", "2026-03-20"),
    ("week", "1970-01-01T00:00:00", "1969-12-29", "1970-01-05"),
    ("week", "2026-03-15T23:59:59", "2026-03-09", "2026-03-16"),
    ("week", "2026-03-16T00:00:00", "2026-03-16", "2026-03-23"),
    ("week", NOW, "2026-03-16", "2026-03-23"),
    ("month", NOW, "2026-03-01", "2026-04-01"),
    ("month", "2026-12-31T23:59:59", "2026-12-01", "2027-01-01"),
    ("month", "2028-02-29T12:00:00", "2028-02-01", "2028-03-01"),
]


@pytest.mark.parametrize(("period", "at", "begin", "end"), PERIODS)
def test_periods_begin_and_end_in_utc(period: Period, at: str, begin: str, end: str) -> None:
    assert period_of(period, us(at)) == (us(begin), us(end))


def budget(
    number: int = 1,
    scope: Scope = "key",
    value: str = "k1",
    *,
    name: str = "",
    period: Period = "day",
    usd: int = 10,
    org: bytes = ORG,
) -> Budget:
    return Budget(f"b{number}", org, scope, name, value, period, usd * USD)


def size(expected: int, worst: int) -> HoldSize:
    return HoldSize(worst * USD, expected * USD, 0)


class Desk:
    """Budgets with a clock and numbered holds."""

    def __init__(self, *limits: Budget, strict: bool = False) -> None:
        self.ledger = Ledger()
        self.budgets = Budgets(self.ledger, strict=strict)
        for limit in limits:
            self.budgets.put(limit)
        self.now_us = us(NOW)
        self.count = 0

    def call(self, expected: int, worst: int, spender: Spender = Spender("k1")) -> bytes | str:  # noqa: B008
        """A hold's id, "busy", or the code of the refusal."""
        try:
            legs = self.budgets.legs(ORG, spender, size(expected, worst), self.now_us)
            if self.budgets.admit(legs, self.now_us) is not None:
                return "busy"
        except Refusal as refusal:
            return refusal.code
        self.count += 1
        hold_id = self.count.to_bytes(16, "big")
        self.ledger.hold(hold_id, ORG, legs, 0, self.now_us)
        return hold_id

    def settle(self, hold_id: bytes | str, cost: int) -> tuple[Account, ...]:
        assert isinstance(hold_id, bytes)
        return self.ledger.settle(hold_id, cost * USD, self.now_us).passed

    def spent(self) -> list[tuple[str, int, int]]:
        return [
            (value, posted // USD, held // USD)
            for _, rows in self.budgets.spent(ORG, self.now_us)
            for value, posted, held in rows
        ]


MATCHES = [
    (budget(1, "key", "k1"), Spender("k1"), ["k1"]),
    (budget(1, "key", "k1"), Spender("k2"), []),
    (budget(1, "key", "*"), Spender("k2"), ["k2"]),
    (budget(1, "key", "*"), Spender(""), []),
    (budget(1, "user", "*"), Spender("k1", "ann"), ["ann"]),
    (budget(1, "user", "ann"), Spender("k1", "bob"), []),
    (budget(1, "user", "a/b"), Spender("k1", "a/b"), ["a/b"]),
    (budget(1, "property", "x", name="team"), Spender("k1", "", {"team": "x"}), ["x"]),
    (budget(1, "property", "*", name="team"), Spender("k1", "", {"team": "y"}), ["y"]),
    (budget(1, "property", "*", name="team"), Spender("k1", "", {"tier": "y"}), []),
    (budget(1, "property", "*", name="team"), Spender("k1"), []),
    (budget(1, "key", "k1", org=OTHER), Spender("k1"), []),
    (budget(1, "user", "*"), Spender("", "u" * 500), ["u" * 256]),
    (budget(1, "user", "*"), Spender("", "a\ud800\u00e9"), ["a?\u00e9"]),
]


@pytest.mark.parametrize(("limit", "spender", "values"), MATCHES)
def test_calls_count_where_they_match(limit: Budget, spender: Spender, values: list[str]) -> None:
    desk = Desk(limit)
    desk.call(1, 1, spender)
    assert [value for value, _, held in desk.spent() if held] == values
    assert desk.budgets.concern(ORG) == (limit.org == ORG)


def test_each_value_has_the_limit_for_itself() -> None:
    desk = Desk(budget(1, "user", "*", usd=3), budget(2, "user", "ann", usd=1))
    for user in ("ann", "bob", "bob", "bob"):
        desk.settle(desk.call(1, 1, Spender("", user)), 1)
    # Those of `*` in the order of values, then that of ann alone.
    assert desk.spent() == [("ann", 1, 0), ("bob", 3, 0), ("ann", 1, 0)]
    assert desk.call(1, 1, Spender("", "ann")) == "budget_exceeded"
    assert desk.call(1, 1, Spender("", "bob")) == "budget_exceeded"
    assert isinstance(desk.call(1, 1, Spender("", "cyd")), bytes)


@pytest.mark.parametrize(
    ("name", "way"), [("team", "`budgets set`"), ("helicone-run", "`run --budget`")]
)
def test_a_refusal_names_the_budget_and_when_it_begins_anew(name: str, way: str) -> None:
    desk = Desk(budget(1, "property", "*", name=name, usd=2))
    whose = Spender("", "", {name: "red"})
    desk.settle(desk.call(2, 2, whose), 2)
    legs = desk.budgets.legs(ORG, whose, size(1, 1), desk.now_us)
    with pytest.raises(Refusal) as caught:
        desk.budgets.admit(legs, desk.now_us)
    assert (caught.value.status, caught.value.code) == (429, "budget_exceeded")
    named = f"property {name} *, per day (red)"
    for words in (named, "$2 spent", "2026-03-19 00:00 UTC", f"raise it with {way}."):
        assert words in caught.value.message
    assert caught.value.headers == {"Retry-After": str(14 * 3600)}


def test_a_new_period_begins_at_nothing_and_late_ends_count_where_they_began() -> None:
    desk = Desk(budget(usd=2))
    late = desk.call(1, 1)
    desk.settle(desk.call(1, 1), 1)
    desk.now_us = us("2026-03-19T00:00:00")
    assert desk.spent() == []
    new = desk.call(1, 1)
    desk.settle(late, 1)
    assert desk.spent() == [("k1", 0, 1)]
    desk.settle(new, 2)
    assert desk.call(1, 1) == "budget_exceeded"
    # Time that went backwards brings no old period back.
    desk.now_us = us(NOW)
    assert desk.call(1, 1) == "budget_exceeded"


# expected and worst of each call in turn → what becomes of it, at a limit of 10
ADMISSIONS = [
    ([(1, 2), (1, 2), (1, 2), (1, 2), (1, 2), (1, 2)], "ok ok ok ok ok busy"),
    ([(1, 12), (1, 1)], "ok busy"),  # alone, a call may pass the limit: but then only that one
    ([(1, 9), (1, 12), (1, 1)], "ok ok busy"),
    ([(20, 20)], "ok"),
    ([(6, 6), (5, 5)], "ok busy"),  # expected to pass it: only alone
    ([(0, 0)] * 3, "ok ok ok"),
    ([(1, 12), (0, 0)], "ok ok"),  # what costs nothing needs no turn
]


@pytest.mark.parametrize(("calls", "told"), ADMISSIONS)
def test_near_the_limit_calls_go_one_at_a_time(calls: list[tuple[int, int]], told: str) -> None:
    desk = Desk(budget())
    answers = [desk.call(*call) for call in calls]
    assert " ".join("ok" if isinstance(a, bytes) else a for a in answers) == told


def test_the_last_call_passes_the_limit_and_that_is_told() -> None:
    desk = Desk(budget())
    for _ in range(9):
        assert desk.settle(desk.call(1, 8), 1) == ()
    last = desk.call(1, 8)
    assert desk.call(1, 8) == "busy"
    assert [account.label for account in desk.settle(last, 8)] == ["key k1, per day"]
    assert desk.call(0, 1) == "budget_exceeded"
    assert isinstance(desk.call(0, 0), bytes)
    assert desk.spent() == [("k1", 17, 0)]


STRICT = [
    ([(1, 4), (1, 4), (1, 4)], "ok ok budget_exceeded"),
    ([(1, 11)], "budget_exceeded"),
    ([(1, 10), (0, 0), (0, 1)], "ok ok budget_exceeded"),
]


@pytest.mark.parametrize(("calls", "told"), STRICT)
def test_strict_budgets_hold_the_worst_case(calls: list[tuple[int, int]], told: str) -> None:
    desk = Desk(budget(), strict=True)
    answers = [desk.call(*call) for call in calls]
    assert " ".join("ok" if isinstance(a, bytes) else a for a in answers) == told


def test_a_changed_limit_keeps_what_was_spent_and_a_dropped_one_is_gone() -> None:
    desk = Desk(budget(usd=1))
    desk.settle(desk.call(1, 1), 1)
    assert desk.call(1, 1) == "budget_exceeded"
    desk.budgets.put(budget(usd=5))
    held = desk.call(1, 1)
    assert desk.spent() == [("k1", 1, 1)]
    assert desk.budgets.drop("b1")
    assert not desk.budgets.drop("b1")
    assert not desk.budgets.concern(ORG)
    assert desk.settle(held, 9) == ()  # nobody's limit was passed


def test_restored_accounts_know_their_limits() -> None:
    desk = Desk(budget(1, "user", "*", usd=1))
    desk.call(1, 9, Spender("", "ann"))
    again = Desk(budget(1, "user", "*", usd=1))
    again.ledger.accounts.update(desk.ledger.accounts)
    for account in again.ledger.accounts.values():
        account.limit_pico, account.label = None, ""
    again.budgets.bind()
    limits = {account.label: account.limit_pico for account in again.ledger.accounts.values()}
    assert limits == {"user *, per day (ann)": USD, "": None}


def test_values_are_bounded_and_old_ones_make_room() -> None:
    """What there is no room for is not counted, but its other budgets are; strict ones refuse."""
    desk = Desk(budget(1, "user", "*"))
    desk.budgets.accounts_max = 3
    for user in ("ann", "bob"):
        desk.settle(desk.call(1, 1, Spender("", user)), 1)
    assert isinstance(desk.call(1, 1, Spender("", "cyd")), bytes)
    assert (desk.budgets.uncounted, desk.spent()) == (1, [("ann", 1, 0), ("bob", 1, 0)])
    assert isinstance(desk.call(1, 1, Spender("", "ann")), bytes)
    strict = Desk(budget(1, "user", "*"), strict=True)
    strict.budgets.accounts_max = 3
    strict.ledger.accounts.update(desk.ledger.accounts)
    with pytest.raises(BudgetsFull):
        strict.call(1, 1, Spender("", "cyd"))
    desk.now_us += module.DAY_US
    assert isinstance(desk.call(1, 1, Spender("", "cyd")), bytes)


CHECKED = [
    ({"scope": "org"}, "scope"),
    ({"period": "year"}, "period"),
    ({"scope": "property"}, "name"),
    ({"name": "team"}, "name"),
    ({"value": ""}, "value"),
    ({"value": "v" * 257}, "value"),
    ({"scope": "property", "name": "n" * 257}, "name"),
    ({"limit_pico": -1}, "limit"),
    ({"limit_pico": 10**19}, "limit"),
    ({"value": "\ud800"}, "value"),
]


@pytest.mark.parametrize(("changed", "field"), CHECKED)
def test_a_wrong_budget_names_its_field(changed: dict[str, object], field: str) -> None:
    right: dict[str, object] = {"scope": "key", "period": "day", "limit_pico": 1}
    checked_budget("b", ORG, **right)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=f"^{field}:"):
        checked_budget("b", ORG, **{**right, **changed})  # type: ignore[arg-type]


def test_property_names_are_compared_in_lower_case() -> None:
    made = checked_budget("b", ORG, scope="property", name="Team", period="day", limit_pico=1)
    assert (made.name, made.value) == ("team", "*")
