"""The wallet's book: one decision per call, and what no order of calls can bring about."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.core.budgets import Budget, Spender
from appliance.core.ledger import AMOUNT_PICO_MAX, Account, Hold, Note, Resolution
from appliance.core.ledger_book import Book, Stored, Wanted
from appliance.core.ledger_credits import RESERVE_PICO, Dispute
from appliance.core.worst_case import HoldSize
from appliance.errors import Refusal

ORG = b"\x01" * 16
USD = 10**12
NOW_US = 1_773_828_000_000_000
KEY = Budget("b1", ORG, "key", "", "k1", "day", 10 * USD)
USER = Budget("b2", ORG, "user", "", "*", "month", 5 * USD)
WHOSE = Spender("k1", "ann")


def book_of(usd: int = 0, *budgets: Budget, strict: bool = False) -> Book:
    book = Book(Stored(budgets=budgets), strict=strict)
    if usd:
        book.credits.top_up(b"t" * 16, ORG, usd * USD, NOW_US)
    return book


def wanted(
    worst: int = 2 * USD, expected: int | None = None, *, pass_through: bool = False
) -> Wanted:
    size = HoldSize(worst, worst if expected is None else expected, worst // 4)
    return Wanted(ORG, size, pass_through, WHOSE, "openai", "gpt-x")


def held(book: Book, ask: Wanted, number: int = 1) -> Hold:
    made = book.reserve(number.to_bytes(16, "big"), ask, NOW_US, (3, 4))
    assert isinstance(made, Hold)
    return made


def flags(book: Book) -> list[tuple[object, ...]]:
    notes: list[Note] = book.ledger.changes.notes
    return [(values[2], values[4], values[5]) for what, values in notes if what == "flag"]


def test_own_keys_without_budgets_hold_nothing() -> None:
    book = book_of(5)
    assert book.reserve(b"1" * 16, wanted(), NOW_US) is None
    assert not book.ledger.changes.holds


def test_credits_hold_the_worst_case_and_budgets_what_is_expected() -> None:
    book = book_of(5, KEY, USER)
    hold = held(book, wanted(2 * USD, USD, pass_through=True))
    by_id = {leg.debit.id.partition("/")[0]: leg.amount for leg in hold.legs}
    assert by_id == {"budget": USD, "credits": 2 * USD}
    assert (hold.input_pico, hold.position, len(hold.legs)) == (USD // 2, (3, 4), 3)


def test_what_one_refuses_is_held_nowhere() -> None:
    book = book_of(1, KEY, USER)
    with pytest.raises(Refusal, match="Insufficient"):
        held(book, wanted(2 * USD, pass_through=True))
    assert not book.ledger.holds
    assert all(account.is_idle for account in book.ledger.accounts.values())


@pytest.mark.parametrize("strict", [False, True])
def test_without_a_price_credits_refuse_and_budgets_pass(strict: bool) -> None:
    book = book_of(5, KEY, strict=strict)
    own = Wanted(ORG, None, False, WHOSE, "acme", "big-1")
    assert book.reserve(b"1" * 16, own, NOW_US) is None
    with pytest.raises(Refusal) as caught:
        book.reserve(b"1" * 16, Wanted(ORG, None, True, WHOSE, "acme", "big-1"), NOW_US)
    assert caught.value.code == "model_without_price"
    assert 'model = "big-1"' in caught.value.message


def test_what_may_cost_more_than_can_be_held_is_counted_all_the_same() -> None:
    """Thousands of tools that run at the provider, or of answers: no way around a budget."""
    size = HoldSize(10 * AMOUNT_PICO_MAX, USD, 0)
    own, paid = (Wanted(ORG, size, way, WHOSE, "acme", "big-1") for way in (False, True))
    hold = held(book_of(5, KEY), own)
    assert [(leg.amount, leg.worst) for leg in hold.legs] == [(USD, AMOUNT_PICO_MAX)]
    with pytest.raises(Refusal) as caught:
        held(book_of(5, KEY, strict=True), own)
    assert caught.value.code == "budget_exceeded"
    with pytest.raises(Refusal) as caught:
        held(book_of(5), paid)
    assert caught.value.code == "insufficient_credit_limit"


def test_a_disallowed_model_is_not_paid_from_credits() -> None:
    book = book_of(5)
    assert book.disallow(ORG, "openai", "gpt-x", NOW_US, "req")
    assert not book.disallow(ORG, "openai", "gpt-x", NOW_US)
    assert book.ledger.changes.notes == [
        ("disallow", (ORG, "openai", "gpt-x", "req", NOW_US)),
    ]
    with pytest.raises(Refusal) as caught:
        held(book, wanted(pass_through=True))
    assert (caught.value.status, caught.value.code) == (400, "disallowed")


def test_an_unknown_cost_is_the_input_part_and_flagged() -> None:
    book = book_of(5)
    hold = held(book, wanted(pass_through=True))
    done = book.settle(hold.id, None, NOW_US)
    assert (done.is_new, done.cost_pico) == (True, USD // 2)
    assert flags(book) == [("no_cost", USD // 2, "")]
    assert not book.settle(hold.id, None, NOW_US).is_new
    assert len(flags(book)) == 1


@pytest.mark.parametrize("cost", [AMOUNT_PICO_MAX + 1, 10**40])
def test_a_nonsensical_cost_is_an_unknown_one(cost: int) -> None:
    book = book_of(5)
    hold = held(book, wanted(pass_through=True))
    assert book.settle(hold.id, cost, NOW_US).cost_pico == USD // 2
    assert not book.ledger.holds


def test_a_negative_cost_is_an_error_of_the_caller() -> None:
    book = book_of(5)
    hold = held(book, wanted(pass_through=True))
    with pytest.raises(ValueError, match="no cost"):
        book.settle(hold.id, -1, NOW_US)


def test_what_costs_more_than_its_worst_case_is_flagged() -> None:
    book = book_of(5)
    hold = held(book, wanted(2 * USD, pass_through=True))
    assert book.settle(hold.id, 3 * USD, NOW_US).overage_pico == USD
    assert flags(book) == [("beyond_worst", USD, "")]


def test_a_budget_that_was_passed_is_reported() -> None:
    book = book_of(0, KEY)
    hold = held(book, wanted(20 * USD, USD))
    assert [account.id.split("/")[1] for account in book.settle(hold.id, 12 * USD, NOW_US).passed]
    assert flags(book) == [("budget_passed", 2 * USD, "key k1, per day")]


def test_a_resolution_is_said_again_after_a_reload() -> None:
    """As when a commit has failed: the same flags, the same sums, and once only."""
    book = book_of(0, KEY)
    hold = held(book, wanted(20 * USD, USD))
    changes, accounts = book.ledger.take_changes()
    again = Book(Stored(accounts, changes.holds, 9, budgets=[KEY]))
    resolution = Resolution(hold.id, 12 * USD, 1, NOW_US, "odd")
    assert again.resolve(resolution).cost_pico == 12 * USD
    assert [flag[0] for flag in flags(again)] == ["odd", "budget_passed"]
    assert not again.resolve(resolution).is_new


def test_a_stored_book_has_its_terms() -> None:
    dispute = Dispute("d", ORG, "c", 1, "usd", "r", "needs_response", "e", 1)
    book = Book(
        Stored(lines=[(ORG, USD)], disputes=[dispute], disallowed=[(ORG, "p", "m")], budgets=[KEY])
    )
    state = book.credits.state(ORG)
    assert (state.credit_line, state.disallowed, state.open_disputes) == (
        USD, (("p", "m"),), (dispute,),
    )  # fmt: skip
    assert book.budgets.all() == [KEY]


# Worst case, expected and true cost as parts of it, and how many calls end before this one.
# Extremes are drawn often: a limit is met by calls that are expected to be cheap and are not.
PART = st.sampled_from([0.0, 0.1, 1.0]) | st.floats(0, 1)
CALLS = st.lists(
    st.tuples(
        st.integers(1, 4).map(lambda usd: usd * USD),
        PART,
        PART,
        st.sampled_from([0, 0, 0, 1, 2, 9]),
    ),
    min_size=10,
    max_size=60,
)


def run(book: Book, calls: Sequence[tuple[int, float, float, int]], *, credits: bool) -> list[int]:
    """Calls that come and end in any order: the last number of each says how many of those in
    flight end before it comes. Costs reach up to the worst case. Gives what each has cost."""
    flying: list[tuple[bytes, int]] = []
    costs: list[int] = []

    def end_one() -> None:
        hold_id, cost = flying.pop(0)
        assert book.settle(hold_id, cost, NOW_US).is_new
        costs.append(cost)

    for number, (worst, expected, cost, ends) in enumerate(calls, 1):
        for _ in range(min(ends, len(flying))):
            end_one()
        ask = wanted(worst, int(worst * expected), pass_through=credits)
        try:
            made = book.reserve(number.to_bytes(16, "big"), ask, NOW_US)
        except Refusal:
            continue
        if not isinstance(made, Account):
            assert made is not None
            flying.append((made.id, int(worst * cost)))
    while flying:
        end_one()
    return costs


@given(CALLS)
def test_credits_are_never_overspent(calls: list[tuple[int, float, float, int]]) -> None:
    book = book_of(5)
    costs = run(book, calls, credits=True)
    assert sum(costs) <= 5 * USD - RESERVE_PICO
    assert book.credits.state(ORG).effective_balance == 5 * USD - sum(costs)
    assert not flags(book)


@given(CALLS)
def test_a_budget_is_passed_by_one_call_at_most(calls: list[tuple[int, float, float, int]]) -> None:
    book = book_of(0, KEY)
    costs = run(book, calls, credits=False)
    # Without the dearest of the calls, all the others are within the limit.
    assert sum(costs) - max(costs, default=0) <= KEY.limit_pico
    assert len(flags(book)) == (sum(costs) > KEY.limit_pico)


@given(CALLS)
def test_a_strict_budget_is_never_passed(calls: list[tuple[int, float, float, int]]) -> None:
    book = book_of(0, KEY, strict=True)
    assert sum(run(book, calls, credits=False)) <= KEY.limit_pico
