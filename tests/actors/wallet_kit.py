"""Wallets on real files for tests, with stores that fail when told to."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio

from appliance.actors.wallet import Wallet
from appliance.actors.wallet_desk import WalletDesk
from appliance.core.budgets import Spender
from appliance.core.ledger import Hold
from appliance.core.ledger_book import Wanted
from appliance.core.worst_case import HoldSize
from storage.ledger import LedgerBatch, LedgerStore
from storage.state import StateBroken

ORG = b"\x01" * 16
USD = 10**12
CENT = 10**10
NOW_US = 1_773_828_000_000_000  # 2026-03-18 10:00 UTC


class Store(LedgerStore):
    """`trouble` is what the next commits meet: "before" (not stored), "after" (stored, yet told as
    failed), "slow" (until `go`), or nothing."""

    trouble: list[str]
    go: threading.Event

    def commit(self, batch: LedgerBatch) -> None:
        trouble = self.trouble.pop(0) if self.trouble else ""
        if trouble == "before":
            raise StateBroken("disk I/O error")
        if trouble == "slow":
            assert self.go.wait(20)
        super().commit(batch)
        if trouble == "after":
            raise StateBroken("disk I/O error")


class Rig:
    """A wallet with its desk, a clock that is set, and the troubles to come."""

    def __init__(self, path: Path, **options: Any) -> None:
        self.path = path
        self.trouble: list[str] = []
        self.go = threading.Event()
        self.opens = 0
        self.refuses_to_open = ""
        self.now_us = NOW_US
        self.position = (1, 0)
        options.setdefault("journal_at", lambda: self.position)
        self.wallet = Wallet(self._open, now_us=lambda: self.now_us, **options)
        self.desk = WalletDesk(self.wallet)

    def _open(self) -> LedgerStore:
        self.opens += 1
        if self.refuses_to_open:
            raise StateBroken(self.refuses_to_open)
        store = Store.open(self.path)
        assert isinstance(store, Store)
        store.trouble, store.go = self.trouble, self.go
        return store

    def spent(self) -> int:
        """What was spent from credits, in pico-USD."""
        return self.desk.state(ORG).debits

    async def up(self) -> None:
        """Until the wallet works again."""
        await until(lambda: not self.wallet.broken)


async def until(is_so: Callable[[], bool]) -> None:
    """Wait for a thread's work to show."""
    with trio.fail_after(20):
        while not is_so():  # noqa: ASYNC110 - a thread cannot set an event
            await trio.sleep(0.002)


@asynccontextmanager
async def running(path: Path, *, usd: int = 0, **options: Any) -> AsyncIterator[Rig]:
    """A wallet that works, with credits; closed at the end."""
    rig = Rig(path, **options)
    async with trio.open_nursery() as nursery:
        await nursery.start(rig.wallet.run)
        if usd:
            assert await rig.desk.top_up(ORG, usd * USD, "first")
        yield rig
        rig.wallet.close()


def credits_call(worst_pico: int = USD, *, input_pico: int | None = None) -> Wanted:
    """A call that is paid from credits."""
    size = HoldSize(worst_pico, worst_pico, worst_pico // 4 if input_pico is None else input_pico)
    return Wanted(ORG, size, True, Spender("k1"), "openai", "gpt-x")


def own_call(expected_usd: int = 1, worst_usd: int = 1, user: str = "ann") -> Wanted:
    """A call with a key of one's own."""
    return Wanted(ORG, HoldSize(worst_usd * USD, expected_usd * USD, 0), False, Spender("k1", user))


async def held(rig: Rig, wanted: Wanted) -> Hold:
    """A hold that must be one."""
    made = await rig.wallet.hold(wanted)
    assert made is not None
    return made


def rows(path: Path, query: str) -> list[Any]:
    """What another connection finds in the file."""
    store = LedgerStore.open(path)
    try:
        return store._connection.execute(query).fetchall()
    finally:
        store.close()


def audit(path: Path) -> tuple[list[str], int]:
    """Complaints of the log, and how many holds are open."""
    store = LedgerStore.open(path)
    try:
        return store.check(), len(store.load(0).holds)
    finally:
        store.close()
