"""The wallet's book: one ledger, with credits and budgets on it, as one decision per call.

Pure. Whoever keeps it hands in the time, fresh ids and where the journal stands, stores `changes`,
and answers a client only when they are stored.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from appliance.core.budgets import NOBODY, Budget, Budgets, Spender
from appliance.core.ledger import (
    AMOUNT_PICO_MAX,
    SETTLE,
    Account,
    AccountRow,
    Hold,
    HoldRow,
    Ledger,
    Leg,
    Resolution,
    Settled,
    restore,
    storable,
)
from appliance.core.ledger_credits import Credits, Dispute, disallowed, no_price
from appliance.core.worst_case import HoldSize

FLAG_NO_FRAME: Final = "no_frame"  # the call's record was lost in a crash: input part charged
FLAG_NO_COST: Final = "no_cost"  # its cost could not be told: input part charged
FLAG_PASSED: Final = "budget_passed"
FLAG_BEYOND: Final = "beyond_worst"  # it cost more than its worst case


@dataclass(frozen=True, slots=True)
class Wanted:
    """A call that wants to be paid for. `size` None: its model has no price."""

    org: bytes
    size: HoldSize | None
    pass_through: bool = False
    spender: Spender = NOBODY
    provider: str = ""
    model: str = ""


@dataclass
class Stored:
    """A book as it lies in the store."""

    accounts: Iterable[AccountRow] = ()
    holds: Iterable[HoldRow] = ()
    next_number: int = 1
    lines: Iterable[tuple[bytes, int]] = ()
    disputes: Iterable[Dispute] = ()
    disallowed: Iterable[tuple[bytes, str, str]] = ()
    budgets: Iterable[Budget] = field(default_factory=tuple)


class Book:
    """What the wallet knows. Not one of its methods waits."""

    def __init__(self, stored: Stored | None = None, *, strict: bool = False) -> None:
        """Raises ValueError when what was stored does not add up."""
        stored = stored or Stored()
        self.ledger: Ledger = restore(stored.accounts, stored.holds, stored.next_number)
        self.credits = Credits(self.ledger)
        self.budgets = Budgets(self.ledger, strict=strict)
        for org, limit_pico in stored.lines:
            self.credits.put_line(org, limit_pico)
        for dispute in stored.disputes:
            self.credits.put_dispute(dispute)
        for org, provider, model in stored.disallowed:
            self.credits.disallow(org, provider, model)
        for budget in stored.budgets:
            self.budgets.put(budget)
        self.budgets.bind()

    def reserve(
        self, hold_id: bytes, wanted: Wanted, now_us: int, position: tuple[int, int] = (0, 0)
    ) -> Hold | Account | None:
        """A hold; None when the call counts on nothing; or the account of a budget that is near its
        limit and has a call under way, for whose end this one has to wait. Raises Refusal when it
        does not fit, BudgetsFull."""
        size = wanted.size
        if size is None:
            if wanted.pass_through:
                raise no_price(wanted.provider, wanted.model)
            return None  # open: nobody can count it; the caller marks the record
        size = size.at_most(AMOUNT_PICO_MAX)  # more fits nowhere, and counts all the same
        legs: list[Leg] = []
        if self.budgets.concern(wanted.org):
            legs = self.budgets.legs(wanted.org, wanted.spender, size, now_us)
            busy = self.budgets.admit(legs, now_us)
            if busy is not None:
                return busy
        if wanted.pass_through:
            provider, model = storable(wanted.provider), storable(wanted.model)
            if self.credits.is_disallowed(wanted.org, provider, model):
                raise disallowed(wanted.provider, wanted.model)
            legs.append(self.credits.leg(wanted.org, size.worst_pico))
        if not legs:
            return None
        return self.ledger.hold(hold_id, wanted.org, legs, size.input_pico, now_us, position)

    def settle(self, hold_id: bytes, cost_pico: int | None, now_us: int) -> Settled:
        """Post the cost. None: it could not be told, so the input part is charged and flagged."""
        if cost_pico is None:
            return self.charge_input(hold_id, now_us, FLAG_NO_COST)
        if cost_pico < 0:
            raise ValueError(f"{cost_pico} pico-USD is no cost")
        if cost_pico > AMOUNT_PICO_MAX:  # a provider that declares nonsense
            return self.charge_input(hold_id, now_us, FLAG_NO_COST)
        return self.resolve(Resolution(hold_id, cost_pico, SETTLE, now_us, ""))

    def release(self, hold_id: bytes, now_us: int) -> Settled:
        """The call cost nothing."""
        return self.ledger.release(hold_id, now_us)

    def charge_input(self, hold_id: bytes, now_us: int, flag: str) -> Settled:
        """Nobody knows what the call cost: it is charged what its input costs, and flagged."""
        hold = self.ledger.holds.get(hold_id)
        cost_pico = hold.input_pico if hold is not None else 0
        return self.resolve(Resolution(hold_id, cost_pico, SETTLE, now_us, flag))

    def resolve(self, resolution: Resolution) -> Settled:
        """Any resolution; also one that was made before and could not be stored."""
        hold = self.ledger.holds.get(resolution.hold_id)
        done = self.ledger.resolve(resolution)
        if hold is not None and (done.passed or done.beyond_pico):
            self._report(hold, done, resolution.at_us)
        return done

    def disallow(self, org: bytes, provider: str, model: str, now_us: int, why: str = "") -> bool:
        """No more pass-through calls of this model: the cost of one could not be told."""
        provider, model, why = storable(provider), storable(model), storable(why)
        if not self.credits.disallow(org, provider, model):
            return False
        self.ledger.note("disallow", org, provider, model, why, now_us)
        return True

    def _report(self, hold: Hold, done: Settled, now_us: int) -> None:
        note = self.ledger.note
        if done.beyond_pico:
            note("flag", now_us, hold.org, FLAG_BEYOND, hold.id, done.beyond_pico, "")
        for account in done.passed:
            over = account.debits_posted - (account.limit_pico or 0)
            note("flag", now_us, hold.org, FLAG_PASSED, hold.id, over, account.label)
