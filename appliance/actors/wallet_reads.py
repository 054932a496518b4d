"""Questions to the ledger that no call waits for: pages of its tables, events, the whole log.

Each has a connection of its own, which can only read, so that a long one keeps no commit waiting.
It sees what is on the disk when it begins.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

import trio

from appliance.actors.wallet_batch import WalletDown
from storage.ledger import LedgerStore
from storage.state import StateBroken

T = TypeVar("T")

READS_AT_ONCE: Final = 2  # the others wait: every one takes a thread


class Reads:
    """Those of one wallet."""

    __slots__ = ("_limiter",)

    def __init__(self) -> None:
        self._limiter = trio.CapacityLimiter(READS_AT_ONCE)

    async def ask(self, path: Path, work: Callable[[LedgerStore], T]) -> T:
        """What `work` finds, in a thread. Raises WalletDown: closed, what cannot be read is not
        decided by. The wallet itself goes on."""
        try:
            return await trio.to_thread.run_sync(_read, path, work, limiter=self._limiter)
        except StateBroken as error:
            raise WalletDown(str(error)) from None


def _read(path: Path, work: Callable[[LedgerStore], T]) -> T:
    store = LedgerStore.open_to_read(path)
    try:
        return work(store)
    finally:
        store.close()
