"""Payments, refunds and disputes at the desk: once each, in any order, in one transaction."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import trio

from appliance.actors.wallet import WalletDown
from appliance.actors.wallet_payments import TOLD_BEFORE
from appliance.core.stripe_events import Disputed, Paid, Refunded
from appliance.errors import Refusal
from tests.actors.wallet_kit import CENT, ORG, USD, Rig, audit, credits_call, held, rows, running

OTHER = b"\x02" * 16
# 10.60 paid, of which 10.00 are credits.
PAID = Paid("pi_1", "ch_1", "cus_1", "", 1000, 1060)
REFUND = Refunded("re_1", "pi_1", "", 530)
DISPUTE = Disputed("dp_1", "", "ch_1", 1060, "usd", "fraudulent", "needs_response")


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "state.sqlite"
    assert audit(tmp_path / "state.sqlite") == ([], 0)


def balance(rig: Rig) -> int:
    return rig.desk.state(ORG).balance


async def test_a_payment_counts_once_by_its_event_and_by_itself(path: Path) -> None:
    async with running(path) as rig:
        told: list[str] = []

        async def tell(event_id: str) -> None:
            told.append(await rig.desk.payments.pay_in(PAID, ORG, event_id))

        async with trio.open_nursery() as nursery:
            for event_id in ("evt_1", "evt_1", "evt_2", "evt_3"):
                nursery.start_soon(tell, event_id)
        assert sorted(told) == ["", TOLD_BEFORE, TOLD_BEFORE, TOLD_BEFORE]
        assert balance(rig) == 10 * USD
        assert await rig.desk.payments.payers("cus_1") == [ORG]
        assert await rig.desk.payments.payers("") == []
    async with running(path) as rig:
        assert await rig.desk.payments.pay_in(PAID, ORG, "evt_4") == TOLD_BEFORE
        with pytest.raises(ValueError, match=r"^event_id:"):
            await rig.desk.payments.pay_in(replace(PAID, intent="pi_2"), ORG, "")


@pytest.mark.parametrize("trouble", ["before", "after"])
async def test_a_payment_that_failed_is_told_again_without_harm(path: Path, trouble: str) -> None:
    async with running(path) as rig:
        rig.trouble.append(trouble)
        with pytest.raises(WalletDown):
            await rig.desk.payments.pay_in(PAID, ORG, "evt_1")
        await rig.up()
        again = await rig.desk.payments.pay_in(PAID, ORG, "evt_1")
        assert again == ("" if trouble == "before" else TOLD_BEFORE)
        assert balance(rig) == 10 * USD


async def test_a_refund_takes_its_share_back(path: Path) -> None:
    async with running(path) as rig:
        with pytest.raises(LookupError, match="no payment"):
            await rig.desk.payments.refund(REFUND, "evt_r")
        await rig.desk.payments.pay_in(PAID, ORG, "evt_1")
        assert await rig.desk.payments.refund(REFUND, "evt_r") == ""
        assert balance(rig) == 5 * USD
        for again in ("evt_r", "evt_r2"):
            assert await rig.desk.payments.refund(REFUND, again) == TOLD_BEFORE
        # The rest comes in odd parts, which add up to the whole.
        for number, cents in enumerate((1, 1, 7, 521)):
            rest = Refunded(f"re_rest_{number}", "", "ch_1", cents)
            assert await rig.desk.payments.refund(rest, f"evt_rest_{number}") == ""
        assert balance(rig) == 0
        purchases = await rig.desk.page(ORG, "credit_purchases")
        assert sum(row["credits_pico"] for row in purchases) == 0


async def test_a_refund_of_what_was_spent_is_refused_until_it_fits(path: Path) -> None:
    async with running(path) as rig:
        await rig.desk.payments.pay_in(PAID, ORG, "evt_1")
        hold = await held(rig, credits_call(6 * USD))
        with pytest.raises(Refusal, match="neither spent nor held") as refusal:
            await rig.desk.payments.refund(REFUND, "evt_r")
        assert refusal.value.status == 400
        assert balance(rig) == 10 * USD
        rig.wallet.release(hold)
        assert await rig.desk.payments.refund(REFUND, "evt_r") == ""
        assert balance(rig) == 5 * USD


async def test_a_dispute_suspends_until_it_is_won(path: Path) -> None:
    async with running(path) as rig:
        await rig.desk.payments.pay_in(PAID, ORG, "evt_1")
        assert await rig.desk.payments.dispute(DISPUTE, "evt_d1") == ""
        assert await rig.desk.payments.dispute(DISPUTE, "evt_d1") == TOLD_BEFORE
        assert await rig.desk.payments.dispute(replace(DISPUTE, status="under_review"), "d2") == ""
    async with running(path) as rig:
        with pytest.raises(Refusal, match="suspended") as refusal:
            await rig.wallet.hold(credits_call())
        assert refusal.value.status == 403
        (shown,) = rig.desk.state(ORG).open_disputes
        assert (shown.status, shown.charge_id, shown.amount_pico) == (
            "under_review", "ch_1", 1060 * CENT,
        )  # fmt: skip
        assert await rig.desk.payments.dispute(replace(DISPUTE, status="won"), "evt_d3") == ""
        rig.wallet.release(await held(rig, credits_call()))
        # Told once more, late: nothing is suspended by what is over.
        late = await rig.desk.payments.dispute(DISPUTE, "evt_d4")
        assert late == "the dispute is closed: won"
        rig.wallet.release(await held(rig, credits_call()))
        assert balance(rig) == 10 * USD
        assert [row["status"] for row in await rig.desk.page(ORG, "disputes")] == ["won"]


async def test_a_dispute_that_is_lost_takes_the_credits_back_spent_or_not(path: Path) -> None:
    async with running(path) as rig:
        await rig.desk.payments.pay_in(PAID, ORG, "evt_1")
        rig.wallet.settle(await held(rig, credits_call(6 * USD)), 6 * USD)
        lost = replace(DISPUTE, status="lost")
        # Its end may be told before its beginning.
        assert await rig.desk.payments.dispute(lost, "evt_d9") == ""
        assert balance(rig) == -6 * USD
        assert await rig.desk.payments.dispute(lost, "evt_d9") == TOLD_BEFORE
        assert await rig.desk.payments.dispute(lost, "evt_d10") == "the dispute is closed: lost"
        assert await rig.desk.payments.dispute(DISPUTE, "evt_d1") == "the dispute is closed: lost"
        assert balance(rig) == -6 * USD
        with pytest.raises(Refusal, match="Insufficient"):
            await rig.wallet.hold(credits_call(CENT))
        # Nothing is left to be refunded.
        assert await rig.desk.payments.refund(REFUND, "evt_r") == ""
        assert balance(rig) == -6 * USD
    assert rows(path, "SELECT returned_cents FROM ledger_payments") == [(1060 + 530,)]


async def test_a_dispute_of_another_wallet_suspends_nobody_else(path: Path) -> None:
    async with running(path, usd=5) as rig:
        await rig.desk.payments.pay_in(PAID, OTHER, "evt_1")
        await rig.desk.payments.dispute(DISPUTE, "evt_d1")
        rig.wallet.release(await held(rig, credits_call()))
        assert await rig.desk.payments.known("", "") is None
        with pytest.raises(LookupError, match="no payment"):
            await rig.desk.payments.dispute(replace(DISPUTE, charge="ch_9"), "evt_d2")


async def test_an_event_id_that_stands_for_something_else_does_no_harm(path: Path) -> None:
    """Ids are one space for all: a second row under one would stop the ledger."""
    async with running(path) as rig:
        await rig.desk.payments.pay_in(PAID, ORG, "evt_1")
        assert await rig.desk.payments.dispute(replace(DISPUTE, status="lost"), "evt_1") == (
            TOLD_BEFORE
        )
        assert await rig.desk.payments.refund(REFUND, "evt_1") == TOLD_BEFORE
        assert not await rig.desk.top_up(ORG, USD, "evt_1")
        assert (balance(rig), rig.wallet.failures) == (10 * USD, 0)
