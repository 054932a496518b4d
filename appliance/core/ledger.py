"""Accounts and transfers: four counters per account, holds that resolve once (STYLE 4).

Pure arithmetic in pico-USD. Knows nothing of credits, budgets or files: who may hold how much is
decided above, and what happened is gathered in `changes` for whoever makes it last.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

# One transfer: nine million USD. It fits SQLite's integers; counters are free to grow beyond.
AMOUNT_PICO_MAX: Final = 9 * 10**18
NAME_CHARACTERS_MAX: Final = 256

SETTLE: Final = 1
RELEASE: Final = 2
OVERAGE: Final = 3
TOP_UP: Final = 4
DEBIT: Final = 5
CHARGE: Final = 6
# The id of a transfer is that of its hold (or its own), the step, and the leg.
STEP_FIRST: Final = 1
STEP_OVERAGE: Final = 2

# number, id, until_us, debits pending and posted, credits pending and posted
AccountRow = tuple[int, str, int | None, str, str, str, str]
# hold id, leg, organisation, debit, credit, amount, worst, input, made_at_us, segment, offset
HoldRow = tuple[bytes, int, bytes, int, int, int, int, int, int, int, int]
# id, step, leg, kind, debit, credit, held, posted, at_us
TransferRow = tuple[bytes, int, int, int, int, int, int, int, int]
Note = tuple[str, tuple[object, ...]]


class Account:
    """Counters only ever grow, but for pending ones, which return to nothing.

    `limit_pico`, `worst_pending` and `label` serve budgets: what the account may reach, what it
    would reach if everything in flight cost its worst, and what people call it.
    """

    __slots__ = (
        "credits_pending", "credits_posted", "debits_pending", "debits_posted", "id", "label",
        "limit_pico", "number", "until_us", "worst_pending",
    )  # fmt: skip

    def __init__(self, number: int, account_id: str, until_us: int | None = None) -> None:
        self.number = number
        self.id = account_id
        self.until_us = until_us
        self.debits_pending = 0
        self.debits_posted = 0
        self.credits_pending = 0
        self.credits_posted = 0
        self.worst_pending = 0
        self.limit_pico: int | None = None
        self.label = ""

    @property
    def free_pico(self) -> int:
        """Credits that are neither spent nor held. Negative after an overage."""
        return self.credits_posted - self.debits_posted - self.debits_pending

    @property
    def is_idle(self) -> bool:
        """Whether nothing is pending."""
        return not (self.debits_pending or self.credits_pending or self.worst_pending)

    def row(self) -> AccountRow:
        """As it is stored. Text, because a counter may outgrow 64 bits."""
        return (
            self.number, self.id, self.until_us, str(self.debits_pending),
            str(self.debits_posted), str(self.credits_pending), str(self.credits_posted),
        )  # fmt: skip


class Leg(NamedTuple):
    """One transfer of a hold in waiting: from `debit` to `credit`. `worst` is what it may cost."""

    debit: Account
    credit: Account
    amount: int
    worst: int


class Hold:
    """Money set aside for one call, over one account or several. Resolves once, all legs at once.

    `position` is where the journal stood: the frame that tells its cost lies behind it.
    """

    __slots__ = ("id", "input_pico", "legs", "made_at_us", "org", "position")

    def __init__(
        self,
        hold_id: bytes,
        org: bytes,
        legs: list[Leg],
        input_pico: int,
        made_at_us: int,
        position: tuple[int, int],
    ) -> None:
        self.id = hold_id
        self.org = org
        self.legs = legs
        self.input_pico = input_pico
        self.made_at_us = made_at_us
        self.position = position


class Settled(NamedTuple):
    """What became of a hold. `is_new` False: it was resolved before, and nothing happened now.

    `beyond_pico`: by how much it cost more than its worst case; `passed`: budgets whose limit it
    took its account over.
    """

    is_new: bool
    cost_pico: int = 0
    overage_pico: int = 0
    beyond_pico: int = 0
    passed: tuple[Account, ...] = ()


ALREADY: Final = Settled(False)


class Resolution(NamedTuple):
    """How a hold was resolved, to be said again if it could not be stored."""

    hold_id: bytes
    cost_pico: int
    kind: int
    at_us: int
    flag: str


class Changes:
    """What happened since the last time it was taken, in the order of happening."""

    __slots__ = ("holds", "notes", "resolved", "touched", "transfers")

    def __init__(self) -> None:
        self.holds: list[HoldRow] = []
        self.resolved: list[Resolution] = []
        self.transfers: list[TransferRow] = []
        self.touched: set[Account] = set()
        self.notes: list[Note] = []

    def __bool__(self) -> bool:
        return bool(self.touched or self.notes)


class Ledger:
    """All accounts in use and all open holds. Every method is atomic: nothing here waits."""

    __slots__ = ("_next_number", "accounts", "changes", "holds")

    def __init__(self, next_number: int = 1) -> None:
        self.accounts: dict[str, Account] = {}
        self.holds: dict[bytes, Hold] = {}
        self.changes = Changes()
        self._next_number = next_number

    def account(self, account_id: str, until_us: int | None = None) -> Account:
        """The account of this id, opened when there is none."""
        account = self.accounts.get(account_id)
        if account is None:
            account = Account(self._next_number, account_id, until_us)
            self._next_number += 1
            self.accounts[account_id] = account
            self.changes.touched.add(account)
        return account

    def hold(
        self,
        hold_id: bytes,
        org: bytes,
        legs: list[Leg],
        input_pico: int,
        now_us: int,
        position: tuple[int, int] = (0, 0),
    ) -> Hold:
        """Set the amounts of all legs aside. Whether they fit was asked before."""
        assert hold_id not in self.holds, "a hold is made once"
        changes = self.changes
        segment, offset = position
        for number, (debit, credit, amount, worst) in enumerate(legs):
            assert 0 <= amount <= worst <= AMOUNT_PICO_MAX, "an amount is none"
            debit.debits_pending += amount
            debit.worst_pending += worst
            credit.credits_pending += amount
            changes.touched.add(debit)
            changes.touched.add(credit)
            changes.holds.append(
                (hold_id, number, org, debit.number, credit.number, amount, worst, input_pico,
                 now_us, segment, offset)
            )  # fmt: skip
        hold = Hold(hold_id, org, legs, input_pico, now_us, position)
        self.holds[hold_id] = hold
        return hold

    def settle(self, hold_id: bytes, cost_pico: int, now_us: int, flag: str = "") -> Settled:
        """Post what the call cost; the rest of the hold returns. What exceeds the hold becomes a
        transfer of its own, which may take an account below nothing (STYLE 4)."""
        if not 0 <= cost_pico <= AMOUNT_PICO_MAX:
            raise ValueError(f"{cost_pico} pico-USD is no cost")
        return self.resolve(Resolution(hold_id, cost_pico, SETTLE, now_us, flag))

    def release(self, hold_id: bytes, now_us: int) -> Settled:
        """Give everything back: the call cost nothing."""
        return self.resolve(Resolution(hold_id, 0, RELEASE, now_us, ""))

    def resolve(self, resolution: Resolution) -> Settled:
        """Settle or release, once: later calls change nothing."""
        hold_id, cost, kind, now_us, flag = resolution
        hold = self.holds.pop(hold_id, None)
        if hold is None:
            return ALREADY
        changes = self.changes
        overage = beyond = 0
        passed: tuple[Account, ...] = ()
        for number, (debit, credit, amount, worst) in enumerate(hold.legs):
            before = debit.debits_posted
            self._return(debit, credit, amount, worst)
            posted = cost if cost < amount else amount
            debit.debits_posted += posted
            credit.credits_posted += posted
            debit_number, credit_number = debit.number, credit.number
            changes.transfers.append(
                (hold_id, STEP_FIRST, number, kind, debit_number, credit_number, amount, posted,
                 now_us)
            )  # fmt: skip
            if cost > amount:
                over = cost - amount
                overage = over if over > overage else overage
                beyond = cost - worst if cost - worst > beyond else beyond
                debit.debits_posted += over
                credit.credits_posted += over
                changes.transfers.append(
                    (hold_id, STEP_OVERAGE, number, OVERAGE, debit_number, credit_number, 0, over,
                     now_us)
                )  # fmt: skip
            limit = debit.limit_pico
            if limit is not None and before <= limit < debit.debits_posted:
                passed = (*passed, debit)
        changes.resolved.append(resolution)
        if flag:
            self.note("flag", now_us, hold.org, flag, hold_id, cost, "")
        return Settled(True, cost, overage, beyond, passed)

    def transfer(
        self,
        transfer_id: bytes,
        kind: int,
        debit: Account,
        credit: Account,
        amount: int,
        now_us: int,
    ) -> None:
        """Post an amount that was not held."""
        assert 0 < amount <= AMOUNT_PICO_MAX, "an amount is none"
        debit.debits_posted += amount
        credit.credits_posted += amount
        self.changes.touched.update((debit, credit))
        self.changes.transfers.append(
            (transfer_id, STEP_FIRST, 0, kind, debit.number, credit.number, 0, amount, now_us)
        )

    def note(self, what: str, *values: object) -> None:
        """Something beside accounts that is to be stored with the other changes."""
        self.changes.notes.append((what, values))

    def take_changes(self) -> tuple[Changes, list[AccountRow]]:
        """What happened since the last time, and how the accounts concerned stand now."""
        changes, self.changes = self.changes, Changes()
        return changes, [account.row() for account in changes.touched]

    def sweep(self, now_us: int) -> int:
        """Let go of accounts whose time is over and that nothing is pending on."""
        over = [
            account
            for account in self.accounts.values()
            if account.until_us is not None and account.until_us <= now_us and account.is_idle
        ]
        for account in over:
            del self.accounts[account.id]
        return len(over)

    def _return(self, debit: Account, credit: Account, amount: int, worst: int) -> None:
        debit.debits_pending -= amount
        debit.worst_pending -= worst
        credit.credits_pending -= amount
        assert debit.debits_pending >= 0 <= credit.credits_pending, "more returned than was held"
        assert debit.worst_pending >= 0, "more returned than was held"
        self.changes.touched.add(debit)
        self.changes.touched.add(credit)


def storable(text: str) -> str:
    """A name that comes from a client, as it can be stored: bounded, and whole as UTF-8."""
    text = text[:NAME_CHARACTERS_MAX]
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def restore(accounts: Iterable[AccountRow], holds: Iterable[HoldRow], next_number: int) -> Ledger:
    """The ledger as it was stored. Raises ValueError when it does not add up."""
    ledger = Ledger(next_number)
    by_number: dict[int, Account] = {}
    pending: dict[int, list[int]] = {}
    for number, account_id, until_us, *counters in accounts:
        account = Account(number, account_id, until_us)
        (account.debits_pending, account.debits_posted, account.credits_pending,
         account.credits_posted) = map(int, counters)  # fmt: skip
        by_number[number] = ledger.accounts[account_id] = account
        pending[number] = [0, 0]
    for row in sorted(holds):
        hold_id, _, org, debit_number, credit_number, amount, worst, input_pico, at_us = row[:9]
        if debit_number not in by_number or credit_number not in by_number:
            raise ValueError(f"hold {hold_id.hex()} names an account that is not there")
        debit, credit = by_number[debit_number], by_number[credit_number]
        hold = ledger.holds.get(hold_id)
        if hold is None:
            hold = Hold(hold_id, org, [], input_pico, at_us, (row[9], row[10]))
            ledger.holds[hold_id] = hold
        hold.legs.append(Leg(debit, credit, amount, worst))
        debit.worst_pending += worst
        pending[debit_number][0] += amount
        pending[credit_number][1] += amount
    for number, (debits, credits) in pending.items():
        account = by_number[number]
        if (account.debits_pending, account.credits_pending) != (debits, credits):
            raise ValueError(f"the holds on account {account.id} are not what is pending on it")
    _check_sums(by_number.values())
    return ledger


def _check_sums(accounts: Iterable[Account]) -> None:
    """Every debit is somebody's credit. Accounts of a time that is over are seldom all loaded, so
    only lasting ones are added up."""
    lasting = [account for account in accounts if account.until_us is None]
    debits = sum(account.debits_posted for account in lasting)
    credits = sum(account.credits_posted for account in lasting)
    if debits != credits:
        raise ValueError(f"debits of {debits} pico-USD are not credits of {credits}")
