"""The pieces of a reply that may be kept, held until its end shows whether it is.

All replies that are being collected share one budget; who does not fit is passed on uncached.
"""

from __future__ import annotations

from appliance.core.cache_entry import ENTRY_BYTES_MAX, OBJECT_BYTES


class CollectBudget:
    """Bytes of replies that are being collected, and the most there may be."""

    __slots__ = ("bytes_max", "held_bytes", "refused")

    def __init__(self, bytes_max: int) -> None:
        self.bytes_max = bytes_max
        self.held_bytes = 0
        self.refused = 0


class Collecting:
    """One reply as it passes. `release` gives its memory back, however it ends."""

    __slots__ = ("_budget", "_held_bytes", "pieces", "why_not")

    def __init__(self, budget: CollectBudget) -> None:
        self._budget = budget
        self._held_bytes = 0
        self.pieces: list[bytes] = []
        self.why_not = ""

    def add(self, piece: bytes) -> None:
        """A piece was received."""
        if self.why_not:
            return
        size = len(piece) + OBJECT_BYTES
        budget = self._budget
        if self._held_bytes + size > ENTRY_BYTES_MAX:
            self._give_up("too-large")
        elif budget.held_bytes + size > budget.bytes_max:
            self._give_up("memory")
        else:
            self._held_bytes += size
            budget.held_bytes += size
            self.pieces.append(piece)

    def _give_up(self, why: str) -> None:
        self.release()
        self.why_not = why
        self._budget.refused += 1

    def release(self) -> None:
        """Nothing is held any more. May be called again."""
        self._budget.held_bytes -= self._held_bytes
        self._held_bytes = 0
        self.pieces = []
