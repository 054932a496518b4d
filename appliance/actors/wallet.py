"""The wallet: holds that are on the disk before a call goes out, settled when it has ended.

The book decides in memory; one task stores what it decided, many holds in one transaction. SQLite
is the only truth of money: while it cannot be written the wallet is down (WalletDown), and callers
decide: credits and strict budgets fail closed, other budgets open.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple, TypeVar

import trio

from appliance.actors.wallet_batch import Batch, WalletDown, rows_of, stored_of
from appliance.actors.wallet_reads import Reads
from appliance.actors.wallet_turns import Turns
from appliance.core.budgets import BudgetsFull
from appliance.core.expected_output import ExpectedOutput
from appliance.core.ids import ExchangeIds
from appliance.core.ledger import Account, Changes, Hold, Note, Resolution, Settled
from appliance.core.ledger_book import FLAG_NO_FRAME, Book, Wanted
from appliance.exchange import Watch
from storage.ledger import LedgerBatch, LedgerStore
from storage.state import StateBroken

T = TypeVar("T")

# Nobody waits for what was settled: it shares the transaction of the holds that come next.
LINGER_S: Final = 0.05
# For those who wait, a commit that takes longer has failed.
COMMIT_WAIT_S: Final = 5.0
RETRY_FIRST_S: Final = 0.05
RETRY_MAX_S: Final = 30.0
CLOSE_WAIT_S: Final = 10.0
FOLD_FIRST_S: Final = 60.0
FOLD_EVERY_S: Final = 3600.0
FOLD_AGAIN_S: Final = 1.0
TRANSFERS_KEPT_DAYS: Final = 7
DAY_US: Final = 86_400_000_000
RECOVER_SLICE: Final = 1_000

__all__ = ["Recovered", "Wallet", "WalletDown"]


class Recovered(NamedTuple):
    """What became of the holds that a crash left."""

    settled: int
    charged_input: int


class Wallet:
    """One per region. `open_store` blocks and may raise StateBroken; `journal_at` tells where the
    next frame will lie, so that after a crash only what lies behind it is searched."""

    def __init__(
        self,
        open_store: Callable[[], LedgerStore],
        *,
        strict: bool = False,
        journal_at: Callable[[], tuple[int, int]] = lambda: (0, 0),
        now_us: Callable[[], int] = lambda: time.time_ns() // 1000,
        commit_wait_s: float = COMMIT_WAIT_S,
    ) -> None:
        self._open_store = open_store
        self._journal_at = journal_at
        self._commit_wait_s = commit_wait_s
        self._store: LedgerStore | None = None
        self._limiter = trio.CapacityLimiter(1)
        self._reads = Reads()
        self._batch = Batch()
        self._wake = trio.Event()
        self._urgent = trio.Event()
        self._closing = trio.Event()
        self._fold_at_s = 0.0
        self.loaded = trio.Event()  # for the first time
        # Holds of a process that is gone, until `recover`.
        self._left: set[bytes] = set()
        # What could not be stored: to be said again, and holds that their callers never got.
        self._owed: list[Resolution] = []
        self._owed_notes: list[Note] = []
        self._lost: set[bytes] = set()
        self.now_us = now_us
        self.new_id = ExchangeIds().new
        self.strict = strict
        self.book = Book(strict=strict)
        self.outputs = ExpectedOutput()
        self.turns = Turns()
        self.broken = "not loaded yet"
        self.commits = 0
        self.failures = 0
        self.passed = 0
        self.flagged = 0

    # -- calls

    def concerns(self, org: bytes, *, pass_through: bool = False) -> bool:
        """Whether a call needs a hold; also true while that cannot be known. Asked first, before
        anything is read for its size."""
        return pass_through or self.book.budgets.concern(org) or not self.loaded.is_set()

    async def hold(self, wanted: Wanted, watch: Watch | None = None) -> Hold | None:
        """Set money aside; it is on the disk when this returns. None: nothing counts this call (no
        budget is concerned, or it has no price and is not paid from credits).

        Raises Refusal when it does not fit, WalletDown, and Woken when the client has left while
        the call waited for its turn near the limit of a budget.
        """
        made = self._reserve(wanted)
        while isinstance(made, Account):
            busy = made
            await self.turns.wait(busy, watch)
            again: Account | Hold | None = None
            try:
                made = again = self._reserve(wanted)
            finally:
                if not isinstance(again, Account) or again.id != busy.id:
                    self.turns.give(busy.id)  # there may be room for more, or a refusal for all
        if made is None:
            return None
        batch = self._asked_to_store()
        try:
            await batch.wait()
        except WalletDown:
            raise  # it was never made, and is given back should the disk have it after all
        except BaseException:
            self.release(made)
            raise
        return made

    def settle(self, hold: Hold, cost_pico: int | None) -> Settled:
        """Post what the call cost, once; later calls change nothing. None: it could not be told, so
        the input part is charged and flagged. Raises ValueError for what is no cost."""
        done = self.book.settle(hold.id, cost_pico, self.now_us())
        self._resolved(hold, done)
        if cost_pico is None and done.is_new:
            self.flagged += 1
        return done

    def release(self, hold: Hold) -> Settled:
        """Give the hold back: the call cost nothing."""
        done = self.book.release(hold.id, self.now_us())
        self._resolved(hold, done)
        return done

    def disallow(self, org: bytes, provider: str, model: str, request_id: str = "") -> bool:
        """The cost of a call could not be told: no more of this model from credits. Holds at once
        and is stored soon; nobody waits. False: it is on the list already."""
        added = self.book.disallow(org, provider, model, self.now_us(), request_id)
        self.soon()
        return added

    # -- what a crash left

    @property
    def recover_from(self) -> tuple[int, int] | None:
        """From where on the journal's frames are to be handed to `recover`; None: no need."""
        holds = self.book.ledger.holds
        return min((holds[left].position for left in self._left if left in holds), default=None)

    async def recover(self, frames: Iterable[tuple[bytes, int | None]]) -> Recovered:
        """Resolve the holds of a process that is gone by the cost that their frames tell, the last
        one if several do. Without a frame the input part is charged, and that is flagged. Holds of
        this process are not touched. Raises WalletDown; may be repeated."""
        self.check_up()
        costs: dict[bytes, int | None] = {}
        for number, (hold_id, cost_pico) in enumerate(frames, 1):
            if hold_id in self._left:
                costs[hold_id] = cost_pico
            if number % RECOVER_SLICE == 0:
                await trio.lowlevel.checkpoint()
        settled = charged = 0
        for hold_id in sorted(self._left):
            if hold_id in costs:
                cost_pico = costs[hold_id]
                known = cost_pico if cost_pico is not None and cost_pico >= 0 else None
                settled += self.book.settle(hold_id, known, self.now_us()).is_new
            else:
                done = self.book.charge_input(hold_id, self.now_us(), FLAG_NO_FRAME)
                charged += done.is_new
        self.flagged += charged
        await self.stored()
        self._left.clear()
        return Recovered(settled, charged)

    # -- for the desk

    async def stored(self) -> None:
        """Wait until everything decided so far is on the disk. Raises WalletDown."""
        self.check_up()
        await self._asked_to_store().wait()

    async def read(self, work: Callable[[LedgerStore], T]) -> T:
        """Ask what is on the disk, beside whatever is being stored. Raises WalletDown."""
        self.check_up()
        assert self._store is not None, "up, so it is open"
        return await self._reads.ask(self._store.path, work)

    def soon(self) -> None:
        """Something was decided that nobody waits for."""
        self._wake.set()

    # -- the task

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Load, then store what is decided until closed; a broken store is tried again with growing
        pauses. Cancelled, it leaves the rest to `recover`."""
        pause_s = RETRY_FIRST_S
        try:
            await self._load()
            task_status.started()
            while not self._closing.is_set() or self._has_work:
                if not self.broken:
                    pause_s = RETRY_FIRST_S
                    await self._next_batch()
                    continue
                with trio.move_on_after(pause_s):
                    await self._closing.wait()
                if self._closing.is_set():
                    break
                pause_s = min(pause_s * 2, RETRY_MAX_S)
                await self._close_store()  # a connection that failed is not asked again
                await self._load()
        finally:
            self._go_down("stopped")
            with trio.move_on_after(CLOSE_WAIT_S, shield=True):
                await self._close_store()

    def close(self) -> None:
        """Let `run` store what was decided, and return."""
        self._closing.set()
        self._wake.set()
        self._urgent.set()

    @property
    def inbox(self) -> int:
        """How much is decided and not yet stored."""
        changes = self.book.ledger.changes
        return len(changes.holds) + len(changes.resolved) + len(changes.notes)

    @property
    def trouble(self) -> str:
        """Why nothing can be held, or ""."""
        return self.broken

    @property
    def _has_work(self) -> bool:
        return bool(self.book.ledger.changes) and not self.broken

    def check_up(self) -> None:
        """Raises WalletDown."""
        if self.broken:
            raise WalletDown(self.broken)

    def _reserve(self, wanted: Wanted) -> Hold | Account | None:
        self.check_up()
        try:
            return self.book.reserve(self.new_id(), wanted, self.now_us(), self._journal_at())
        except BudgetsFull as error:
            raise WalletDown(str(error)) from None

    def _resolved(self, hold: Hold, done: Settled) -> None:
        if not done.is_new:
            return
        self._wake.set()
        if self.turns:
            for leg in hold.legs:
                self.turns.give(leg.debit.id)
        if done.passed:
            self.passed += len(done.passed)

    def _asked_to_store(self) -> Batch:
        self._urgent.set()
        self._wake.set()
        return self._batch

    async def _next_batch(self) -> None:
        with trio.move_on_at(self._fold_at_s):
            await self._wake.wait()
        if trio.current_time() >= self._fold_at_s:
            await self._fold()
        if not self._urgent.is_set() and self._wake.is_set():
            with trio.move_on_after(LINGER_S):
                await self._urgent.wait()
        if self.broken:
            return
        changes, accounts = self.book.ledger.take_changes()
        batch, self._batch = self._batch, Batch()
        self._wake, self._urgent = trio.Event(), trio.Event()
        if self._closing.is_set():
            self._wake.set()
            self._urgent.set()
        if not changes:
            batch.done.set()
            return
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._commit, batch, changes, rows_of(changes, accounts))
            with trio.move_on_after(self._commit_wait_s):
                await batch.done.wait()
            if not batch.done.is_set():
                self._give_up(batch, changes, "the ledger's disk is too slow")

    async def _commit(self, batch: Batch, changes: Changes, rows: LedgerBatch) -> None:
        store = self._store
        assert store is not None, "up, so it is open"
        reason = "stopped"
        try:
            await trio.to_thread.run_sync(store.commit, rows, limiter=self._limiter)
            reason = ""
        except StateBroken as error:
            reason = str(error)
        finally:
            if batch.error:
                pass  # given up before; what the disk has now is found when loading
            elif reason:
                self._give_up(batch, changes, reason)
            else:
                self.commits += 1
                batch.done.set()

    def _give_up(self, batch: Batch, changes: Changes, reason: str) -> None:
        """Whether the disk has these changes is not known until it is read again."""
        self.failures += 1
        self._owe(changes)
        batch.fail(reason)
        self._go_down(reason)

    def _go_down(self, reason: str) -> None:
        self.broken = reason
        self._batch.fail(reason)
        self._batch = Batch()
        self.turns.give_all()
        self._wake.set()

    def _owe(self, changes: Changes) -> None:
        self._owed += changes.resolved
        self._owed_notes += [note for note in changes.notes if note[0] == "disallow"]
        self._lost.update(row[0] for row in changes.holds)

    async def _load(self) -> None:
        """Read the ledger, and bring what this process knows better into it."""
        try:
            book = await trio.to_thread.run_sync(self._read_all, limiter=self._limiter)
        except (StateBroken, ValueError) as error:
            self.broken = str(error)
            self.failures += 1
            await self._close_store()
            return
        old = self.book.ledger
        self._owe(old.take_changes()[0])
        found = book.ledger.holds
        if not self.loaded.is_set():
            self.loaded.set()
            self._left = set(found)
        for resolution in self._owed:
            book.resolve(resolution)
        for hold_id in list(found):
            if hold_id not in self._left and (hold_id in self._lost or hold_id not in old.holds):
                book.release(hold_id, self.now_us())
        for _, (org, provider, model, why, at_us) in self._owed_notes:
            book.disallow(org, provider, model, at_us, why)  # type: ignore[arg-type]
        self._left.intersection_update(found)
        self._owed, self._owed_notes, self._lost = [], [], set()
        self.book = book
        self.broken = ""
        self._fold_at_s = trio.current_time() + FOLD_FIRST_S
        self._wake.set()

    def _read_all(self) -> Book:
        """In the thread: budgets may have hundreds of thousands of accounts."""
        if self._store is None:
            self._store = self._open_store()
        return Book(stored_of(self._store.load(self.now_us())), strict=self.strict)

    async def _close_store(self) -> None:
        store, self._store = self._store, None
        if store is not None:
            await trio.to_thread.run_sync(store.close, limiter=self._limiter)

    async def _fold(self) -> None:
        """Let transfers go whose time is over; what they came to stays in their accounts."""
        now_us = self.now_us()
        self.book.ledger.sweep(now_us)
        store = self._store
        assert store is not None, "up, so it is open"
        before_us = now_us - TRANSFERS_KEPT_DAYS * DAY_US
        try:
            more = await trio.to_thread.run_sync(
                store.fold, before_us, now_us, limiter=self._limiter
            )
        except StateBroken as error:
            self._go_down(str(error))
            return
        self._fold_at_s = trio.current_time() + (FOLD_AGAIN_S if more else FOLD_EVERY_S)
