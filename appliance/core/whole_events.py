"""Server-sent events passed on whole: no write of a gateway's stream ends inside one (M2).

Pure. Bytes are never changed, only held until the event they belong to is complete.
"""

from typing import Final

HELD_BYTES_MAX: Final = 64 * 1024
ENDS: Final = (b"\n\n", b"\r\n\r\n", b"\r\r")


class WholeEvents:
    """Holds the beginning of an event back until its end has come, or 64 KiB are held."""

    __slots__ = ("held",)

    def __init__(self) -> None:
        self.held = b""

    def feed(self, piece: bytes) -> bytes:
        """What may be written now, perhaps nothing."""
        data = self.held + piece
        end = max(data.rfind(mark) + len(mark) if mark in data else 0 for mark in ENDS)
        if len(data) - end > HELD_BYTES_MAX:
            end = len(data)
        self.held = data[end:]
        return data[:end]

    def flush(self) -> bytes:
        """All that is held."""
        held, self.held = self.held, b""
        return held
