"""`Helicone-Stream-Force-Format` (`proxy.md 8.3`): small chunks are glued to the next one.

Unlike the original nothing is overwritten, and the tail is flushed.
"""

SMALL_BYTES = 50


class Gluer:
    """Holds chunks under 50 bytes back until there are at least 50."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held = b""

    def feed(self, piece: bytes) -> bytes:
        """What may be written now, perhaps nothing."""
        piece = self._held + piece
        if len(piece) < SMALL_BYTES:
            self._held = piece
            return b""
        self._held = b""
        return piece

    def flush(self, piece: bytes) -> bytes:
        """The last chunk, with whatever was held."""
        piece = self._held + piece
        self._held = b""
        return piece
