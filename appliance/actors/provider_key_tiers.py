"""Where provider keys are kept: this memory, a sealed snapshot file, SQLite; and which one counts.

All keys of a region are one book with a version. SQLite is the truth; the snapshot answers while
SQLite is locked, slow, corrupt or missing, and mends it when it has become older than it was. It
knows nothing of secrets, providers or requests.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final, Generic, Literal, TypeVar

import trio

from appliance.errors import Refusal
from storage.provider_key_snapshot import Snapshot, SnapshotUnreadable
from storage.provider_keys import KeyBook, ProviderKeyStore, Stamp
from storage.state import StateBroken

log = logging.getLogger(__name__)
T = TypeVar("T")

# How long what was read counts without being asked for again.
PROVIDER_KEY_TTL_S: Final = 12 * 3600.0
SQLITE_S: Final = 0.25
SNAPSHOT_S: Final = 0.25
# Changes may wait longer: somebody asked for them and waits for the answer.
WRITE_S: Final = 5.0
# Between two tries of those who find no tier that answers.
RETRY_S: Final = 1.0

UNAVAILABLE: Final = (
    "The stored provider keys cannot be read or changed now. Requests that carry their own "
    "provider credential go on; /healthcheck says what is broken."
)

State = Literal["starting", "sqlite", "snapshot", "broken"]


@dataclass(slots=True)
class TierStats:
    """Counts since the start."""

    sqlite_reads: int = 0
    snapshot_reads: int = 0
    snapshot_writes: int = 0
    restored: int = 0
    failures: int = 0


@dataclass(frozen=True, slots=True)
class Change(Generic[T]):
    """What is to be written, and what whoever asked for it gets. `takes_away`: something that
    works now must not work afterwards, whatever happens in between."""

    result: T
    write: Callable[[ProviderKeyStore], KeyBook]
    takes_away: bool = False


def is_older(found: Stamp, known: Stamp) -> bool:
    """Whether a file has lost what is known already: an older copy of it was put back, or it was
    made anew. Another file with keys of its own is not older."""
    if found.lineage == known.lineage:
        return found.version < known.version
    return found.version == 0 < known.version


class Tiers:
    """One region's. `installed` is called with every new book, before anybody else sees it."""

    def __init__(
        self,
        store: ProviderKeyStore,
        snapshot: Snapshot,
        installed: Callable[[KeyBook], None],
        *,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.stats = TierStats()
        self.book: KeyBook | None = None
        self.sqlite_trouble = ""
        self.snapshot_trouble = ""
        self._store = store
        self._snapshot = snapshot
        self._installed = installed
        self._clock_s = clock_s
        self._turn = trio.Lock()
        # One thread each: a call that hangs and was given up keeps the next one waiting, so that
        # nothing is written out of turn, and the other tier is free.
        self._sqlite_thread = trio.CapacityLimiter(1)
        self._file_thread = trio.CapacityLimiter(1)
        self._flight: trio.Event | None = None
        self._tried_s = float("-inf")
        self._confirmed = False
        self._snapshot_stamp: Stamp | None = None
        # A change may or may not have been made: nothing is written until SQLite was asked.
        self._unsure = False
        self._wake = trio.Event()

    @property
    def state(self) -> State:
        """Which tier answers."""
        if self.book is not None:
            return "sqlite" if self._confirmed and not self.sqlite_trouble else "snapshot"
        return "broken" if self.sqlite_trouble else "starting"

    # -- reading

    async def ready(self) -> KeyBook:
        """The book, from the first tier that has it. However many ask, one load is made; after one
        that failed the next is made a second later.

        Closed: raises Refusal 503 when no tier answers, since nobody knows whose keys there are.
        """
        while self._is_due():
            flight = self._flight
            if flight is not None:
                await flight.wait()
            else:
                await self._fly()
        if self.book is None:
            raise unavailable()
        return self.book

    def _is_due(self) -> bool:
        pause_s = RETRY_S if self.book is None else PROVIDER_KEY_TTL_S
        return self._clock_s() - self._tried_s >= pause_s

    async def _fly(self) -> None:
        """Whoever is cancelled here leaves the load to the next one that waits."""
        self._flight = flight = trio.Event()
        try:
            await self.check()
        finally:
            self._flight = None
            flight.set()

    async def check(self) -> None:
        """Ask SQLite whether the book is still the newest, and put right what is not: book, SQLite
        or snapshot. What is broken is told in the troubles; nothing is raised."""
        async with self._turn:
            await self._compare()
        self._tried_s = self._clock_s()

    async def pause(self, limit_s: float) -> None:
        """Until the next check is due."""
        with trio.move_on_after(limit_s):
            await self._wake.wait()
        self._wake = trio.Event()

    def wake(self) -> None:
        """End a pause."""
        self._wake.set()

    async def _compare(self) -> None:
        if self.book is None:
            await self._from_snapshot()
        try:
            await self._from_sqlite()
        except StateBroken as error:
            self._fail_sqlite(error)
        else:
            if self.sqlite_trouble:
                log.warning("provider keys: the state store answers again")
            self.sqlite_trouble = ""
            self._confirmed = True
            self._unsure = False
        await self._keep_snapshot()

    async def _from_snapshot(self) -> None:
        self.stats.snapshot_reads += 1
        try:
            found = await self._in_file(self._snapshot.read, SNAPSHOT_S)
        except (SnapshotUnreadable, OSError) as error:
            self._fail_snapshot(error)
            return
        if found is not None:
            self._snapshot_stamp = found.stamp
            self._install(found)

    async def _from_sqlite(self) -> None:
        known = self.book
        self.stats.sqlite_reads += 1
        if known is not None:
            stamp = await self._in_sqlite(self._store.stamp, SQLITE_S)
            if stamp == known.stamp:
                return
            if is_older(stamp, known.stamp):
                await self._restore(known)
                return
        self._install(await self._in_sqlite(self._store.read, SQLITE_S))

    async def _restore(self, known: KeyBook) -> None:
        try:
            await self._in_sqlite(partial(self._store.restore, known), WRITE_S)
        except ValueError as error:
            raise StateBroken(f"{self._store.path}: {error}") from None
        self.stats.restored += 1
        log.warning("provider keys: an older state was found, and what it lacks was put back")

    def _install(self, book: KeyBook) -> None:
        """Replace everything. A book that is older than the one at hand never comes back."""
        if self.book is not None and is_older(book.stamp, self.book.stamp):
            return
        self._installed(book)
        self.book = book

    async def _keep_snapshot(self) -> None:
        book = self.book
        if book is None or self._unsure:
            return
        try:
            known = self._snapshot_stamp == book.stamp
            if known and await self._in_file(self._snapshot.is_as_left, SNAPSHOT_S):
                self.snapshot_trouble = ""  # it was slow once, and is what it should be
                return
            self._snapshot_stamp = None
            await self._in_file(partial(self._snapshot.write, book), WRITE_S)
        except OSError as error:
            self._fail_snapshot(error)
            return
        self._snapshot_stamp = book.stamp
        self.snapshot_trouble = ""
        self.stats.snapshot_writes += 1

    # -- changing

    async def apply(self, plan: Callable[[KeyBook], Change[T]]) -> T:
        """Decide on a change, with the newest book, and make it: it is in SQLite, in this memory
        and in the snapshot when this returns.

        Raises what `plan` raises, and Refusal: 409 for a change that the store does not take, 503
        when it cannot be made or nobody knows whether it was made.
        """
        async with self._turn:
            await self._compare()
            if self.book is None or self.sqlite_trouble:
                raise unavailable()
            change = plan(self.book)
            refusal = await self._make(change)
            await self._keep_snapshot()
            if refusal is not None:
                raise refusal
            return change.result

    async def _make(self, change: Change[T]) -> Refusal | None:
        """The refusal, where it is certain that nothing was changed."""
        self._unsure = True
        try:
            if change.takes_away:
                await self._drop_snapshot()
            self._install(await self._in_sqlite(partial(change.write, self._store), WRITE_S))
            self._unsure = False
        except ValueError as error:
            self._unsure = False
            return Refusal(409, "provider_key_conflict", f"Not stored: {error}.")
        except StateBroken as error:
            self._fail_sqlite(error)
            raise unavailable() from None
        finally:
            if self._unsure:
                self.wake()
        return None

    async def _drop_snapshot(self) -> None:
        self._snapshot_stamp = None
        try:
            await self._in_file(self._snapshot.remove, WRITE_S)
        except OSError as error:
            self._fail_snapshot(error)
            raise unavailable() from None

    # -- threads and troubles

    async def _in_sqlite(self, work: Callable[[], T], limit_s: float) -> T:
        with trio.move_on_after(limit_s):
            return await trio.to_thread.run_sync(
                work, abandon_on_cancel=True, limiter=self._sqlite_thread
            )
        raise StateBroken(f"{self._store.path}: no answer in {limit_s * 1000:.0f} ms")

    async def _in_file(self, work: Callable[[], T], limit_s: float) -> T:
        with trio.move_on_after(limit_s):
            return await trio.to_thread.run_sync(
                work, abandon_on_cancel=True, limiter=self._file_thread
            )
        raise TimeoutError(f"{self._snapshot.path}: no answer in {limit_s * 1000:.0f} ms")

    def _fail_sqlite(self, error: StateBroken) -> None:
        self.stats.failures += 1
        if not self.sqlite_trouble:
            log.warning("provider keys: the state store does not answer: %s", error)
        self.sqlite_trouble = str(error)

    def _fail_snapshot(self, error: Exception) -> None:
        self.stats.failures += 1
        if not self.snapshot_trouble:
            log.warning("provider keys: the snapshot fails: %s", error)
        self.snapshot_trouble = str(error)


def unavailable() -> Refusal:
    """The one answer when the keys cannot be read or changed."""
    return Refusal(503, "provider_keys_unavailable", UNAVAILABLE, headers={"Retry-After": "5"})
