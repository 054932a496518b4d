"""What only some servers need is loaded by the first request for it, while the loop goes on."""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

import trio

T = TypeVar("T")

# How long whoever loads may keep the interpreter from the loop: Python's own 5 ms would be felt by
# every call that is proxied meanwhile.
SWITCH_S = 0.0005
# Two at once would each put back what the other has set.
_one = threading.Lock()


class OnDemand(Generic[T]):
    """Made once, by `make`, in a thread; its first users wait for it together."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._loading = trio.Lock()
        self.made: T | None = None  # once somebody asked for it

    async def __call__(self) -> T:
        """The thing itself. Raises what making it raises, and then tries again the next time."""
        if self.made is None:
            async with self._loading:
                if self.made is None:
                    self.made = await trio.to_thread.run_sync(self._gently)
                    # It stays: the collector need not look at it, as at all that the start made.
                    gc.freeze()
        return self.made

    def _gently(self) -> T:
        with _one:
            usual_s = sys.getswitchinterval()
            sys.setswitchinterval(SWITCH_S)
            try:
                return self._make()
            finally:
                sys.setswitchinterval(usual_s)
