"""Server-sent events and newline-delimited JSON, split over bytes as they arrive.

Any way of cutting the stream gives the same events. Lines and events are bounded; what is larger is
dropped and counted, never held. It knows nothing of what the events mean.
"""

from typing import NamedTuple

EVENT_BYTES_MAX = 16 * 1024 * 1024
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Event(NamedTuple):
    """One event: its `event` field (empty when absent) and its data lines joined by LF."""

    name: bytes
    data: bytes


class LineSplitter:
    """Lines ended by LF, CRLF or CR. A line above the bound comes out as None, once."""

    __slots__ = ("_after_cr", "_line_bytes", "_line_bytes_max", "_pieces", "_too_long")

    def __init__(self, line_bytes_max: int = EVENT_BYTES_MAX) -> None:
        self._line_bytes_max = line_bytes_max
        self._pieces: list[bytes] = []
        self._line_bytes = 0
        self._too_long = False
        self._after_cr = False

    def feed(self, chunk: bytes) -> list[bytes | None]:
        if self._after_cr and chunk:
            # The CR of a CRLF ended the line in the chunk before.
            self._after_cr = False
            if chunk[0] == 0x0A:
                chunk = chunk[1:]
        if b"\r" in chunk:
            self._after_cr = chunk.endswith(b"\r")
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        parts = chunk.split(b"\n")
        rest = parts.pop()
        lines: list[bytes | None] = []
        for part in parts:
            self._hold(part)
            lines.append(self._take())
        if rest:
            self._hold(rest)
        return lines

    def finish(self) -> bytes | None:
        """The line that the end of the stream left without an end; None when there is none."""
        return self._take() or None

    def _hold(self, piece: bytes) -> None:
        self._line_bytes += len(piece)
        if self._line_bytes > self._line_bytes_max:
            self._too_long = True
            self._pieces.clear()
        elif not self._too_long:
            self._pieces.append(piece)

    def _take(self) -> bytes | None:
        line = None if self._too_long else b"".join(self._pieces)
        self._pieces.clear()
        self._line_bytes = 0
        self._too_long = False
        return line


class SseSplitter:
    """Bytes in, whole events out."""

    __slots__ = (
        "_data",
        "_data_bytes",
        "_event_bytes_max",
        "_lines",
        "_name",
        "_started",
        "_too_large",
        "oversized",
    )

    def __init__(self, event_bytes_max: int = EVENT_BYTES_MAX) -> None:
        self._lines = LineSplitter(event_bytes_max)
        self._event_bytes_max = event_bytes_max
        self._name = b""
        self._data: list[bytes] = []
        self._data_bytes = 0
        self._too_large = False
        self._started = False
        self.oversized = 0

    def feed(self, chunk: bytes) -> list[Event]:
        events: list[Event] = []
        for line in self._lines.feed(chunk):
            if line == b"":
                self._dispatch(events)
            else:
                self._field(line)
        return events

    def finish(self) -> list[Event]:
        """What the end of the stream left without its blank line: often the last event of a server
        that saves two bytes, or the first half of one that was cut."""
        line = self._lines.finish()
        if line is not None:
            self._field(line)
        events: list[Event] = []
        self._dispatch(events)
        return events

    def _dispatch(self, events: list[Event]) -> None:
        self._started = True
        if self._too_large:
            self.oversized += 1
        elif self._data:
            events.append(Event(self._name, b"\n".join(self._data)))
        self._name = b""
        self._data = []
        self._data_bytes = 0
        self._too_large = False

    def _field(self, line: bytes | None) -> None:
        if line is None:
            self._too_large = True
            return
        if not self._started:
            self._started = True
            line = line.removeprefix(BYTE_ORDER_MARK)
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data_bytes += len(value) + 1
            if self._data_bytes > self._event_bytes_max:
                self._too_large = True
                self._data = []
            elif not self._too_large:
                self._data.append(value)
        elif name == b"event":
            self._name = value


def sse_events(body: bytes) -> list[Event]:
    """Every event of a complete body, the unfinished last one included."""
    splitter = SseSplitter()
    return splitter.feed(body) + splitter.finish()


def ndjson_lines(body: bytes) -> list[bytes]:
    """The non-empty lines of a newline-delimited body."""
    splitter = LineSplitter()
    lines = [*splitter.feed(body), splitter.finish()]
    return [line for line in lines if line and not line.isspace()]
