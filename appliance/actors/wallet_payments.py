"""What a payment service tells the wallet: payments, refunds, disputes (`internals.md 2.6`).

Each is told perhaps more than once and in any order; what it changes is one transaction, and
happens once. Every method returns when it is on the disk, and may raise WalletDown.
"""

from __future__ import annotations

from dataclasses import replace

import trio

from appliance.actors.wallet import Wallet
from appliance.core.ledger import AMOUNT_PICO_MAX, NAME_CHARACTERS_MAX, storable
from appliance.core.ledger_credits import Dispute
from appliance.core.stripe_events import (
    PICO_PER_CENT,
    Disputed,
    Paid,
    Refunded,
    credits_due,
)
from storage.ledger import PaymentRow

LOST = "lost"
REFUND = "refund"
LOST_DISPUTE = "lost_dispute"
TOLD_BEFORE = "told before"


class PaymentDesk:
    """Beside the desk of one wallet, whose lock it shares. What it gives is "", or why nothing was
    changed."""

    def __init__(self, wallet: Wallet, lock: trio.Lock) -> None:
        self._wallet = wallet
        self._lock = lock

    async def known(self, intent: str, charge: str) -> PaymentRow | None:
        """The payment that a refund or a dispute is about."""
        return await self._wallet.read(lambda store: store.payment(intent, charge))

    async def payers(self, customer: str) -> list[bytes]:
        """For which organisations this customer has paid before, two at most."""
        return await self._wallet.read(lambda store: store.payers(customer))

    async def pay_in(self, paid: Paid, org: bytes, event_id: str) -> str:
        """Credits for a payment. One that comes under a second event id counts once all the same:
        the service says that this happens. Raises ValueError."""
        check_texts(event_id=event_id, intent=paid.intent)
        wallet = self._wallet
        async with self._lock:
            if await wallet.read(
                lambda store: store.event(event_id) or store.payment(paid.intent, "")
            ):
                return TOLD_BEFORE
            credits_pico = paid.credits_cents * PICO_PER_CENT
            transfer_id, now_us = wallet.new_id(), wallet.now_us()
            wallet.book.credits.top_up(transfer_id, org, credits_pico, now_us)
            note = wallet.book.ledger.note
            note("event", event_id, org, "top_up", credits_pico, paid.intent, transfer_id, now_us)
            note("payment", paid.intent, paid.charge, paid.customer, org, credits_pico,
                 paid.total_cents, now_us)  # fmt: skip
            await wallet.stored()
        return ""

    async def refund(self, refunded: Refunded, event_id: str) -> str:
        """Take the share of a refund back. Raises Refusal 400 when it was spent or is held, and
        LookupError when the payment is not known."""
        check_texts(event_id=event_id, id=refunded.id)
        wallet = self._wallet
        async with self._lock:
            payment = await self._payment(refunded.intent, refunded.charge)
            org = payment[3]
            if await wallet.read(
                lambda store: (
                    store.event(event_id) is not None
                    or store.knows_object(org, REFUND, refunded.id)
                )
            ):
                return TOLD_BEFORE
            amount_pico = _share(payment, refunded.cents)
            transfer_id, now_us = wallet.new_id(), wallet.now_us()
            if amount_pico:
                wallet.book.credits.debit(transfer_id, org, amount_pico, now_us)
            note = wallet.book.ledger.note
            note("event", event_id, org, REFUND, amount_pico, refunded.id, transfer_id, now_us)
            note("returned", payment[6] + refunded.cents, payment[0])
            await wallet.stored()
        return ""

    async def dispute(self, told: Disputed, event_id: str) -> str:
        """A payment is disputed, or that dispute has moved on: the wallet is suspended while it is
        open. What is closed stays so, whatever comes late. Lost, its credits are taken back, below
        nothing where they were spent. Raises LookupError when the payment is not known."""
        check_texts(event_id=event_id, id=told.id, charge=told.charge, status=told.status)
        wallet = self._wallet
        async with self._lock:
            payment = await self._payment(told.intent, told.charge)
            found = await wallet.read(lambda store: store.dispute(told.id))
            known = Dispute(*found) if found is not None else None
            told_before = await wallet.read(lambda store: store.event(event_id) is not None)
            if told_before or (known is not None and known.event_id == event_id):
                return TOLD_BEFORE
            if known is not None and not known.is_open:
                return f"the dispute is closed: {known.status}"
            self._put(told, known, payment, event_id)
            if told.status == LOST:
                self._take_back(told, payment, event_id)
            await wallet.stored()
        return ""

    def _put(
        self, told: Disputed, known: Dispute | None, payment: PaymentRow, event_id: str
    ) -> None:
        wallet = self._wallet
        amount_pico = min(told.cents * PICO_PER_CENT, AMOUNT_PICO_MAX)
        dispute = known or Dispute(
            told.id, payment[3], told.charge or payment[1], amount_pico, told.currency, told.reason,
            told.status, event_id, wallet.now_us(),
        )  # fmt: skip
        dispute = replace(dispute, status=told.status, event_id=event_id)
        wallet.book.credits.put_dispute(dispute)
        wallet.book.ledger.note(
            "dispute", dispute.id, dispute.org, dispute.charge_id, dispute.amount_pico,
            dispute.currency, dispute.reason, dispute.status, dispute.event_id,
            dispute.created_at_us,
        )  # fmt: skip

    def _take_back(self, told: Disputed, payment: PaymentRow, event_id: str) -> None:
        wallet, org = self._wallet, payment[3]
        amount_pico = _share(payment, told.cents)
        transfer_id, now_us = wallet.new_id(), wallet.now_us()
        note = wallet.book.ledger.note
        if amount_pico:
            wallet.book.credits.take_back(transfer_id, org, amount_pico, now_us)
            note("event", event_id, org, LOST_DISPUTE, amount_pico, told.id, transfer_id, now_us)
        note("returned", payment[6] + told.cents, payment[0])

    async def _payment(self, intent: str, charge: str) -> PaymentRow:
        found = await self.known(intent, charge)
        if found is None:
            raise LookupError("no payment of this intent or charge was told here")
        return found


def _share(payment: PaymentRow, cents: int) -> int:
    """What of a payment's credits goes back when so much more of its money does, in pico-USD: by
    the sum of all that went back, so that parts add up to the whole."""
    _, _, _, _, credits_pico, total_cents, before_cents, _ = payment
    due = credits_due(before_cents + cents, credits_pico, total_cents)
    return due - credits_due(before_cents, credits_pico, total_cents)


def check_texts(**texts: str) -> None:
    """Raises ValueError that names what cannot be stored."""
    for field, text in texts.items():
        if storable(text) != text or (not text and field in ("id", "event_id", "intent")):
            raise ValueError(f"{field}: 1 to {NAME_CHARACTERS_MAX} characters")
