"""How much room request bodies may take over all exchanges, on disk and in memory."""

from __future__ import annotations

from appliance.errors import Refusal

SPILL_BYTES_MAX = 4 * 1024**3
# Over all exchanges, for request bodies that a failing disk does not take.
HELD_BYTES_MAX = 64 * 1024 * 1024
# Over all request bodies that are still coming in: beyond it they go to disk as they come, or many
# slow clients with a body of 1 MiB each would hold all memory.
COMING_BYTES_MAX = 32 * 1024 * 1024


class SpillBudget:
    """Bytes of request bodies on disk over all exchanges, and the most there may be; the same for
    those in memory because the disk failed."""

    __slots__ = (
        "bytes_max", "coming_bytes", "coming_bytes_max", "held_bytes", "held_bytes_max",
        "used_bytes",
    )  # fmt: skip

    def __init__(
        self,
        bytes_max: int = SPILL_BYTES_MAX,
        held_bytes_max: int = HELD_BYTES_MAX,
        coming_bytes_max: int = COMING_BYTES_MAX,
    ) -> None:
        self.bytes_max = bytes_max
        self.used_bytes = 0
        self.held_bytes_max = held_bytes_max
        self.held_bytes = 0
        self.coming_bytes_max = coming_bytes_max
        self.coming_bytes = 0

    def take(self, size: int) -> None:
        """Raises Refusal 503 when there is no room."""
        if self.used_bytes + size > self.bytes_max:
            raise Refusal(
                503,
                "spill_full",
                "Too many large request bodies are in flight. Try again shortly.",
                headers={"Retry-After": "5"},
            )
        self.used_bytes += size

    def hold(self, size: int) -> None:
        """The same for memory."""
        if self.held_bytes + size > self.held_bytes_max:
            raise spill_failed("the disk fails, and memory is used up")
        self.held_bytes += size


def spill_failed(why: str) -> Refusal:
    """A large body that cannot be taken."""
    return Refusal(
        503,
        "spill_failed",
        f"A large request body cannot be buffered: {why}.",
        headers={"Retry-After": "5"},
    )
