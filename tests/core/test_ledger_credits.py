"""Credits: what fits, disputes, the credit line, models that are not served, money in and out."""

from __future__ import annotations

import pytest

from appliance.core.ledger import AMOUNT_PICO_MAX, Ledger
from appliance.core.ledger_credits import (
    DISALLOWED_MAX,
    RESERVE_PICO,
    Credits,
    Dispute,
    disallowed,
    no_price,
)
from appliance.errors import Refusal

ORG, OTHER = b"\x01" * 16, b"\x02" * 16
CENT = 10**10
T = [bytes([number]) * 16 for number in range(9)]


def credits_of(cents: int) -> tuple[Ledger, Credits]:
    ledger = Ledger()
    credits = Credits(ledger)
    if cents:
        credits.top_up(T[0], ORG, cents * CENT, 1)
    return ledger, credits


def dispute(status: str, number: int = 1) -> Dispute:
    return Dispute(
        f"dp_{number}", ORG, "ch_1", 500 * CENT, "usd", "fraud", status, f"evt_{number}", 1
    )


# paid in, credit line, held before, wanted (cents) → fits? One cent always stays.
FITS = [
    (100, 0, 0, 99, True),
    (100, 0, 0, 100, False),
    (100, 0, 50, 49, True),
    (100, 0, 50, 50, False),
    (0, 0, 0, 0, False),
    (1, 0, 0, 0, True),
    (0, 100, 0, 99, True),
    (0, 100, 0, 100, False),
    (100, 100, 99, 100, True),
]


@pytest.mark.parametrize(("paid", "line", "held", "wanted", "fits"), FITS)
def test_what_is_held_counts_as_spent(
    paid: int, line: int, held: int, wanted: int, fits: bool
) -> None:
    ledger, credits = credits_of(paid)
    credits.put_line(ORG, line * CENT)
    if held:
        ledger.hold(T[1], ORG, [credits.leg(ORG, held * CENT)], 0, 1)
    if fits:
        ledger.hold(T[2], ORG, [credits.leg(ORG, wanted * CENT)], 0, 1)
        assert credits.available(ORG) >= RESERVE_PICO
    else:
        with pytest.raises(Refusal) as caught:
            credits.leg(ORG, wanted * CENT)
        assert (caught.value.status, caught.value.code) == (429, "insufficient_credit_limit")
        assert "Insufficient credits" in caught.value.message


def test_a_refusal_names_what_there_is_and_what_is_needed() -> None:
    _, credits = credits_of(123)
    with pytest.raises(Refusal, match=r"\$1\.23 available, \$2\.01 needed.*wallet top-up"):
        credits.leg(ORG, 200 * CENT)
    with pytest.raises(Refusal, match=r"\$0 available"):
        credits.leg(OTHER, 1)


DISPUTES = [
    ("needs_response", True),
    ("under_review", True),
    ("warning_needs_response", True),
    ("warning_under_review", True),
    ("won", False),
    ("lost", False),
    ("warning_closed", False),
]


@pytest.mark.parametrize(("status", "suspends"), DISPUTES)
def test_an_open_dispute_suspends_the_wallet(status: str, suspends: bool) -> None:
    _, credits = credits_of(500)
    credits.put_dispute(dispute(status))
    if suspends:
        with pytest.raises(Refusal) as caught:
            credits.leg(ORG, CENT)
        assert (caught.value.status, caught.value.code) == (403, "wallet_suspended")
    else:
        credits.leg(ORG, CENT)
    assert len(credits.state(ORG).open_disputes) == suspends


def test_a_wallet_is_free_again_when_its_last_dispute_is_closed() -> None:
    _, credits = credits_of(500)
    credits.put_dispute(dispute("needs_response"))
    credits.put_dispute(dispute("under_review", 2))
    credits.put_dispute(dispute("won"))
    with pytest.raises(Refusal, match="suspended"):
        credits.leg(ORG, CENT)
    credits.put_dispute(dispute("lost", 2))
    credits.leg(ORG, CENT)


def test_the_state_says_where_the_money_is() -> None:
    ledger, credits = credits_of(500)
    ledger.hold(T[1], ORG, [credits.leg(ORG, 100 * CENT)], 0, 1)
    ledger.hold(T[2], ORG, [credits.leg(ORG, 50 * CENT)], 0, 1)
    ledger.settle(T[1], 30 * CENT, 2)
    credits.debit(T[3], ORG, 20 * CENT, 3)
    credits.charge(T[4], ORG, 5 * CENT, 4)
    credits.put_line(ORG, 7 * CENT)
    credits.disallow(ORG, "openai", "gpt-x")
    state = credits.state(ORG)
    cents = [amount // CENT for amount in state[:6]]
    assert cents == [445, 395, 50, 35, 480, 7]
    assert state.disallowed == (("openai", "gpt-x"),)
    assert credits.state(OTHER)[:6] == (0, 0, 0, 0, 0, 0)


def test_no_more_goes_back_than_is_free() -> None:
    ledger, credits = credits_of(100)
    ledger.hold(T[1], ORG, [credits.leg(ORG, 60 * CENT)], 0, 1)
    with pytest.raises(Refusal) as caught:
        credits.debit(T[2], ORG, 41 * CENT, 1)
    assert (caught.value.status, caught.value.code) == (400, "insufficient_credits")
    credits.debit(T[2], ORG, 40 * CENT, 1)
    assert credits.state(ORG).effective_balance == 0
    credits.charge(T[3], ORG, 5 * CENT, 1)
    assert credits.state(ORG).effective_balance == -5 * CENT


@pytest.mark.parametrize("amount", [0, -1, AMOUNT_PICO_MAX + 1])
@pytest.mark.parametrize("how", ["top_up", "debit", "charge"])
def test_what_is_no_amount_is_refused(how: str, amount: int) -> None:
    _, credits = credits_of(100)
    with pytest.raises(ValueError, match=r"^amount:"):
        getattr(credits, how)(T[1], ORG, amount, 1)


def test_the_disallow_list() -> None:
    _, credits = credits_of(0)
    assert credits.disallow(ORG, "openai", "a")
    assert not credits.disallow(ORG, "openai", "a")
    assert credits.disallow(ORG, "groq", "*")
    wanted = [("openai", "a"), ("openai", "b"), ("groq", "any"), ("azure", "a")]
    assert [credits.is_disallowed(ORG, *pair) for pair in wanted] == [True, False, True, False]
    assert not credits.is_disallowed(OTHER, "openai", "a")
    assert credits.allow(ORG, "openai", "a")
    assert not credits.allow(ORG, "openai", "a")
    assert not credits.is_disallowed(ORG, "openai", "a")
    assert credits.allow(ORG, "groq", "*")
    assert credits.state(ORG).disallowed == ()


def test_the_disallow_list_is_bounded() -> None:
    _, credits = credits_of(0)
    for number in range(DISALLOWED_MAX):
        assert credits.disallow(ORG, "p", str(number))
    assert not credits.disallow(ORG, "p", "one more")


def test_refusals_name_the_model_and_the_way_out() -> None:
    refusal = no_price("acme", "big-1")
    assert (refusal.status, refusal.code) == (400, "model_without_price")
    for words in ("[[prices]]", 'provider = "acme"', 'model = "big-1"'):
        assert words in refusal.message
    assert (disallowed("acme", "big-1").status, disallowed("acme", "big-1").code) == (
        400, "disallowed",
    )  # fmt: skip
