"""The ledger: four counters, holds that resolve once, and sums that always agree."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    rule,
)

from appliance.core.ledger import (
    ALREADY,
    AMOUNT_PICO_MAX,
    OVERAGE,
    RELEASE,
    SETTLE,
    TOP_UP,
    Account,
    Ledger,
    Leg,
    restore,
)

ORG = b"\x01" * 16
H = [bytes([number]) * 16 for number in range(40)]


def ledger_of(*names: str) -> tuple[Ledger, list[Account]]:
    ledger = Ledger()
    return ledger, [ledger.account(name) for name in names]


def counters(account: Account) -> tuple[int, int, int, int]:
    return (
        account.debits_pending, account.debits_posted,
        account.credits_pending, account.credits_posted,
    )  # fmt: skip


# amount held, worst, what is done → counters of the debit side, overage, beyond the worst
RESOLUTIONS = [
    (100, 100, ("settle", 100), (0, 100), 0, 0),
    (100, 100, ("settle", 40), (0, 40), 0, 0),
    (100, 100, ("settle", 0), (0, 0), 0, 0),
    (100, 300, ("settle", 250), (0, 250), 150, 0),
    (100, 300, ("settle", 301), (0, 301), 201, 1),
    (100, 100, ("release", 0), (0, 0), 0, 0),
    (0, 0, ("settle", 7), (0, 7), 7, 7),
]


@pytest.mark.parametrize(("amount", "worst", "done", "debits", "overage", "beyond"), RESOLUTIONS)
def test_a_hold_returns_what_was_not_spent(
    amount: int, worst: int, done: tuple[str, int], debits: Any, overage: int, beyond: int
) -> None:
    ledger, (wallet, spent) = ledger_of("wallet", "spent")
    ledger.hold(H[1], ORG, [Leg(wallet, spent, amount, worst)], 5, 1)
    assert counters(wallet) == (amount, 0, 0, 0)
    assert counters(spent) == (0, 0, amount, 0)
    assert wallet.worst_pending == worst
    how, cost = done
    told = ledger.settle(H[1], cost, 2) if how == "settle" else ledger.release(H[1], 2)
    assert told == (True, cost, overage, beyond, ())
    assert counters(wallet) == (*debits, 0, 0)
    assert counters(spent) == (0, 0, *debits)
    assert (wallet.worst_pending, wallet.is_idle) == (0, True)


def test_a_second_resolution_is_an_answer_and_no_second_debit() -> None:
    ledger, (wallet, spent) = ledger_of("wallet", "spent")
    ledger.hold(H[1], ORG, [Leg(wallet, spent, 100, 100)], 5, 1)
    ledger.settle(H[1], 60, 2)
    before = counters(wallet)
    again = [ledger.settle(H[1], 60, 3), ledger.release(H[1], 3), ledger.settle(H[9], 60, 3)]
    assert again == [ALREADY] * 3
    assert counters(wallet) == before
    assert len(ledger.changes.transfers) == 1


def test_what_exceeds_the_hold_is_a_transfer_of_its_own() -> None:
    ledger, (wallet, spent) = ledger_of("wallet", "spent")
    ledger.hold(H[1], ORG, [Leg(wallet, spent, 100, 300)], 5, 1)
    ledger.settle(H[1], 130, 7)
    assert ledger.changes.transfers == [
        (H[1], 1, 0, SETTLE, wallet.number, spent.number, 100, 100, 7),
        (H[1], 2, 0, OVERAGE, wallet.number, spent.number, 0, 30, 7),
    ]
    assert wallet.free_pico == -130


def test_all_legs_resolve_together() -> None:
    ledger, (wallet, spent, day, counted) = ledger_of("wallet", "spent", "day", "counted")
    day.limit_pico = 120
    legs = [Leg(wallet, spent, 200, 200), Leg(day, counted, 50, 200)]
    ledger.hold(H[1], ORG, legs, 5, 1)
    told = ledger.settle(H[1], 130, 2)
    assert (told.overage_pico, told.beyond_pico, told.passed) == (80, 0, (day,))
    assert (counters(wallet), counters(day)) == ((0, 130, 0, 0), (0, 130, 0, 0))


def test_a_limit_is_passed_once() -> None:
    ledger, (day, counted) = ledger_of("day", "counted")
    day.limit_pico = 100
    passed = []
    for number, cost in enumerate((100, 1, 1)):
        ledger.hold(H[number], ORG, [Leg(day, counted, cost, cost)], 0, 1)
        passed.append(ledger.settle(H[number], cost, 2).passed)
    assert passed == [(), (day,), ()]


@pytest.mark.parametrize("cost", [-1, AMOUNT_PICO_MAX + 1])
def test_what_is_no_cost_is_refused_and_the_hold_stays(cost: int) -> None:
    ledger, (wallet, spent) = ledger_of("wallet", "spent")
    ledger.hold(H[1], ORG, [Leg(wallet, spent, 100, 100)], 5, 1)
    with pytest.raises(ValueError, match="no cost"):
        ledger.settle(H[1], cost, 2)
    assert H[1] in ledger.holds


def test_a_hold_is_made_once() -> None:
    ledger, (wallet, spent) = ledger_of("wallet", "spent")
    ledger.hold(H[1], ORG, [Leg(wallet, spent, 1, 1)], 0, 1)
    with pytest.raises(AssertionError, match="once"):
        ledger.hold(H[1], ORG, [Leg(wallet, spent, 1, 1)], 0, 1)


def test_changes_are_taken_once_with_the_accounts_they_touched() -> None:
    ledger, (wallet, spent) = ledger_of("wallet", "spent")
    ledger.account("untouched")
    ledger.take_changes()
    assert not ledger.changes
    ledger.hold(H[1], ORG, [Leg(wallet, spent, 9, 9)], 2, 1, (3, 4))
    ledger.settle(H[1], 4, 2, "odd")
    changes, accounts = ledger.take_changes()
    assert changes.holds == [(H[1], 0, ORG, wallet.number, spent.number, 9, 9, 2, 1, 3, 4)]
    assert [row.hold_id for row in changes.resolved] == [H[1]]
    assert changes.notes == [("flag", (2, ORG, "odd", H[1], 4, ""))]
    assert sorted(row[1] for row in accounts) == ["spent", "wallet"]
    assert not ledger.changes


def test_accounts_whose_time_is_over_go_when_nothing_is_pending() -> None:
    ledger = Ledger()
    day, other = ledger.account("day", 100), ledger.account("other", 100)
    ledger.account("lasting")
    ledger.account("later", 101)
    ledger.hold(H[1], ORG, [Leg(day, other, 1, 1)], 0, 1)
    assert ledger.sweep(100) == 0
    ledger.settle(H[1], 1, 2)
    assert ledger.sweep(99) == 0
    assert ledger.sweep(100) == 2
    assert sorted(ledger.accounts) == ["lasting", "later"]


ACCOUNTS: list[Any] = [
    (1, "wallet", None, "30", "5", "0", "100"),
    (2, "spent", None, "0", "0", "30", "5"),
    (3, "bank", None, "0", "100", "0", "0"),
]
HOLDS: list[Any] = [
    (H[1], 0, ORG, 1, 2, 10, 10, 3, 7, 8, 9),
    (H[2], 0, ORG, 1, 2, 20, 25, 3, 7, 8, 10),
]


def test_a_stored_ledger_goes_on() -> None:
    ledger = restore(ACCOUNTS, HOLDS, 4)
    wallet = ledger.accounts["wallet"]
    assert (wallet.free_pico, wallet.worst_pending) == (65, 35)
    assert ledger.holds[H[2]].position == (8, 10)
    assert ledger.account("new").number == 4
    ledger.settle(H[1], 10, 1)
    ledger.release(H[2], 1)
    assert counters(wallet) == (0, 15, 0, 100)


@pytest.mark.parametrize(
    ("accounts", "holds", "message"),
    [
        ([*ACCOUNTS[:2], (3, "bank", None, "0", "101", "0", "0")], HOLDS, "debits of 106"),
        (ACCOUNTS, HOLDS[:1], "account wallet are not"),
        (ACCOUNTS, [*HOLDS, (H[3], 0, ORG, 1, 9, 0, 0, 0, 0, 0, 0)], "not there"),
    ],
)
def test_a_stored_ledger_that_does_not_add_up_is_refused(
    accounts: Any, holds: Any, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        restore(accounts, holds, 4)


AMOUNTS = st.integers(0, 1000)


class Books(RuleBasedStateMachine):
    """Any order of holds, settles, releases and transfers, with everything taken and restored in
    between; what was taken is replayed into counters of its own."""

    open_holds = Bundle("open_holds")

    def __init__(self) -> None:
        super().__init__()
        self.ledger = Ledger()
        for name in ("a", "b", "c", "d"):
            self.ledger.account(name)
        self.count = 0
        self.rows: dict[int, tuple[Any, ...]] = {}
        self.held: dict[tuple[bytes, int], tuple[Any, ...]] = {}
        self.log: list[tuple[Any, ...]] = []
        self.resolved: set[bytes] = set()

    @rule(
        target=open_holds,
        legs=st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("cd"), AMOUNTS, AMOUNTS),
                      min_size=1, max_size=3),
    )  # fmt: skip
    def hold(self, legs: list[tuple[str, str, int, int]]) -> bytes:
        self.count += 1
        hold_id = self.count.to_bytes(16, "big")
        account = self.ledger.account
        made = [Leg(account(d), account(c), amount, amount + more) for d, c, amount, more in legs]
        self.ledger.hold(hold_id, ORG, made, 0, self.count)
        return hold_id

    @rule(hold_id=consumes(open_holds), cost=AMOUNTS)
    def settle(self, hold_id: bytes, cost: int) -> None:
        assert self.ledger.settle(hold_id, cost, 1).is_new
        self.resolved.add(hold_id)

    @rule(hold_id=consumes(open_holds))
    def release(self, hold_id: bytes) -> None:
        assert self.ledger.release(hold_id, 1).is_new
        self.resolved.add(hold_id)

    @rule(pick=st.randoms(use_true_random=False), cost=AMOUNTS)
    def resolve_again(self, pick: Any, cost: int) -> None:
        if self.resolved:
            hold_id = pick.choice(sorted(self.resolved))
            assert not self.ledger.settle(hold_id, cost, 1).is_new
            assert not self.ledger.release(hold_id, 1).is_new

    @rule(amount=st.integers(1, 1000))
    def transfer(self, amount: int) -> None:
        self.count += 1
        account = self.ledger.account
        self.ledger.transfer(
            self.count.to_bytes(16, "big"), TOP_UP, account("c"), account("a"), amount, 1
        )

    @rule()
    def store(self) -> None:
        changes, accounts = self.ledger.take_changes()
        self.rows |= {row[0]: row for row in accounts}
        self.held |= {row[:2]: row for row in changes.holds}
        gone = {resolution.hold_id for resolution in changes.resolved}
        self.held = {key: row for key, row in self.held.items() if key[0] not in gone}
        self.log += changes.transfers
        assert len({row[:3] for row in self.log}) == len(self.log)
        self._replay()

    @rule()
    def store_and_restore(self) -> None:
        self.store()
        before = {name: counters(account) for name, account in self.ledger.accounts.items()}
        holds = set(self.ledger.holds)
        self.ledger = restore(self.rows.values(), self.held.values(), len(self.rows) + 1)
        assert {name: counters(a) for name, a in self.ledger.accounts.items()} == before
        assert set(self.ledger.holds) == holds

    @invariant()
    def debits_are_credits_and_nothing_is_negative(self) -> None:
        accounts = self.ledger.accounts.values()
        for side in ("pending", "posted"):
            debits = sum(getattr(account, f"debits_{side}") for account in accounts)
            credits = sum(getattr(account, f"credits_{side}") for account in accounts)
            assert debits == credits
        assert all(min(counters(account)) >= 0 for account in accounts)
        assert all(a.worst_pending >= a.debits_pending for a in accounts)

    def _replay(self) -> None:
        sums = {number: [0, 0, 0, 0] for number in self.rows}
        for _, _, _, _, debit, credit, _, posted, _ in self.log:
            sums[debit][1] += posted
            sums[credit][3] += posted
        for row in self.held.values():
            sums[row[3]][0] += row[5]
            sums[row[4]][2] += row[5]
        assert sums == {number: [int(c) for c in row[3:]] for number, row in self.rows.items()}


TestBooks = Books.TestCase
TestBooks.settings = settings(max_examples=40, stateful_step_count=40)


@given(st.lists(st.tuples(AMOUNTS, AMOUNTS), max_size=30))
def test_only_costs_are_left_in_the_end(calls: list[tuple[int, int]]) -> None:
    """Whatever was held, what is posted at the end is what the calls cost."""
    ledger, (wallet, spent) = ledger_of("wallet", "spent")
    for number, (amount, _) in enumerate(calls):
        ledger.hold(H[number], ORG, [Leg(wallet, spent, amount, amount)], 0, 1)
    for number, (_, cost) in enumerate(calls):
        ledger.settle(H[number], cost, 2)
    assert counters(wallet) == (0, sum(cost for _, cost in calls), 0, 0)
    assert RELEASE not in [row[3] for row in ledger.changes.transfers]
