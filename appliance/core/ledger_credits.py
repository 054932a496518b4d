"""Credits: what an organisation has paid in and may spend with the platform's own keys.

Rules over a ledger: who may hold how much, disputes, the credit line, the list of models that are
not served (`internals.md 2.3`, `proxy.md 6.8`). Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

from appliance.core.ledger import (
    AMOUNT_PICO_MAX,
    CHARGE,
    DEBIT,
    TOP_UP,
    Account,
    Ledger,
    Leg,
)
from appliance.core.money import usd_text
from appliance.errors import Refusal

RESERVE_PICO: Final = 10**10  # one cent stays in the wallet (`internals.md 2.1`)
DISPUTES_OPEN: Final = frozenset(
    {"needs_response", "under_review", "warning_needs_response", "warning_under_review"}
)
ANY_MODEL: Final = "*"
DISALLOWED_MAX: Final = 1_000  # pairs of one organisation


@dataclass(frozen=True, slots=True)
class Dispute:
    """A payment that its payer disputes. While one is open the wallet is suspended."""

    id: str
    org: bytes
    charge_id: str
    amount_pico: int
    currency: str
    reason: str
    status: str
    event_id: str
    created_at_us: int

    @property
    def is_open(self) -> bool:
        return self.status in DISPUTES_OPEN


class CreditState(NamedTuple):
    """A wallet at a moment, in pico-USD (`internals.md 2.3`)."""

    balance: int
    effective_balance: int
    held: int
    debits: int
    credits: int
    credit_line: int
    disallowed: tuple[tuple[str, str], ...]
    open_disputes: tuple[Dispute, ...]


class _Purse(NamedTuple):
    """The accounts of an organisation: what it has, where it spends, where its money comes from."""

    credits: Account
    spent: Account
    bank: Account


class Credits:
    """The wallets of all organisations, on one ledger."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._purses: dict[bytes, _Purse] = {}
        self._lines: dict[bytes, int] = {}
        self._disputes: dict[str, Dispute] = {}
        self._suspended: set[bytes] = set()
        self._disallowed: dict[bytes, set[tuple[str, str]]] = {}

    def leg(self, org: bytes, amount_pico: int) -> Leg:
        """The leg of a hold. Raises Refusal when the amount does not fit: what others hold counts
        as spent, so calls beside each other cannot spend more than there is."""
        if org in self._suspended:
            raise Refusal(
                403,
                "wallet_suspended",
                "The wallet is suspended while a payment is disputed. Settle the dispute, or use a "
                "provider key of your own.",
            )
        purse = self._purse(org)
        available = purse.credits.free_pico + self._lines.get(org, 0)
        if available - amount_pico < RESERVE_PICO:
            raise Refusal(
                429,
                "insufficient_credit_limit",
                f"Insufficient credits: ${usd_text(available)} available, "
                f"${usd_text(amount_pico + RESERVE_PICO)} needed for this call at its worst. "
                "Top up with `wallet top-up`, or lower max_tokens.",
            )
        return Leg(purse.credits, purse.spent, amount_pico, amount_pico)

    def available(self, org: bytes) -> int:
        """What may still be held, the credit line included."""
        return self._purse(org).credits.free_pico + self._lines.get(org, 0)

    def state(self, org: bytes) -> CreditState:
        """Everything about a wallet."""
        credits, spent, bank = self._purse(org)
        bought = bank.debits_posted - bank.credits_posted
        disputes = tuple(d for d in self._disputes.values() if d.org == org and d.is_open)
        return CreditState(
            balance=bought - spent.credits_posted,
            effective_balance=credits.free_pico,
            held=credits.debits_pending,
            debits=spent.credits_posted,
            credits=bought,
            credit_line=self._lines.get(org, 0),
            disallowed=tuple(sorted(self._disallowed.get(org, ()))),
            open_disputes=disputes,
        )

    # -- money that comes and goes without a hold

    def top_up(self, transfer_id: bytes, org: bytes, amount_pico: int, now_us: int) -> None:
        """Money was paid in."""
        _check_amount(amount_pico)
        credits, _, bank = self._purse(org)
        self._ledger.transfer(transfer_id, TOP_UP, bank, credits, amount_pico, now_us)

    def debit(self, transfer_id: bytes, org: bytes, amount_pico: int, now_us: int) -> None:
        """Money goes back. Raises Refusal 400 when more is asked for than is free."""
        _check_amount(amount_pico)
        credits, _, bank = self._purse(org)
        if amount_pico > credits.free_pico:
            raise Refusal(
                400,
                "insufficient_credits",
                f"amount: ${usd_text(amount_pico)} is more than the ${usd_text(credits.free_pico)} "
                "that are neither spent nor held.",
            )
        self._ledger.transfer(transfer_id, DEBIT, credits, bank, amount_pico, now_us)

    def take_back(self, transfer_id: bytes, org: bytes, amount_pico: int, now_us: int) -> None:
        """Money that was paid in is gone again, spent or not: a dispute was lost."""
        _check_amount(amount_pico)
        credits, _, bank = self._purse(org)
        self._ledger.transfer(transfer_id, DEBIT, credits, bank, amount_pico, now_us)

    def charge(self, transfer_id: bytes, org: bytes, amount_pico: int, now_us: int) -> None:
        """Money was spent without a hold; it may take the wallet below nothing."""
        _check_amount(amount_pico)
        credits, spent, _ = self._purse(org)
        self._ledger.transfer(transfer_id, CHARGE, credits, spent, amount_pico, now_us)

    # -- terms

    def put_line(self, org: bytes, limit_pico: int) -> None:
        """How far a wallet may go below nothing; 0 ends it."""
        if limit_pico:
            self._lines[org] = limit_pico
        else:
            self._lines.pop(org, None)

    def put_dispute(self, dispute: Dispute) -> None:
        """A dispute was opened, or its status changed. Closed ones are forgotten here."""
        self._disputes.pop(dispute.id, None)
        if dispute.is_open:
            self._disputes[dispute.id] = dispute
        self._suspended = {d.org for d in self._disputes.values()}

    def is_disallowed(self, org: bytes, provider: str, model: str) -> bool:
        """Whether calls of this model's pass-through are refused: its cost could not be told."""
        pairs = self._disallowed.get(org)
        return pairs is not None and ((provider, model) in pairs or (provider, ANY_MODEL) in pairs)

    def disallow(self, org: bytes, provider: str, model: str) -> bool:
        """Put on the list. False when it is there; so it stays when the list is full of others."""
        pairs = self._disallowed.setdefault(org, set())
        if (provider, model) in pairs or len(pairs) >= DISALLOWED_MAX:
            return False
        pairs.add((provider, model))
        return True

    def allow(self, org: bytes, provider: str, model: str) -> bool:
        """Take off the list. False when it was not there."""
        pairs = self._disallowed.get(org, set())
        if (provider, model) not in pairs:
            return False
        pairs.remove((provider, model))
        if not pairs:
            del self._disallowed[org]
        return True

    def _purse(self, org: bytes) -> _Purse:
        purse = self._purses.get(org)
        if purse is None:
            name, account = org.hex(), self._ledger.account
            purse = _Purse(
                account(f"credits/{name}"), account(f"spent/{name}"), account(f"bank/{name}")
            )
            self._purses[org] = purse
        return purse


def no_price(provider: str, model: str) -> Refusal:
    """Credits are not spent on what nobody can count."""
    return Refusal(
        400,
        "model_without_price",
        f"There is no price for {model} at {provider}, so it cannot be paid from credits. Add one "
        f'to the configuration: [[prices]] with provider = "{provider}", model = "{model}", input '
        "and output in USD per million tokens; or use a provider key of your own.",
    )


def disallowed(provider: str, model: str) -> Refusal:
    """The cost of an earlier call could not be told (`internals.md 2.4`)."""
    return Refusal(
        400,
        "disallowed",
        f"{model} at {provider} cannot be paid from credits: the cost of an earlier call could not "
        "be told. Use a provider key of your own, or take it off the wallet's disallow list.",
    )


def _check_amount(amount_pico: int) -> None:
    if not 0 < amount_pico <= AMOUNT_PICO_MAX:
        raise ValueError(f"amount: more than 0 and at most {usd_text(AMOUNT_PICO_MAX)} USD")
