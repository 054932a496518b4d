"""Has the reply said its last word? Finds a dialect's terminal event in a stream as it passes.

SDKs hang up at that event, so the chunk that completes it is the last one that counts. A marker
only counts at the start of a line; inside JSON strings line ends are escaped and never match.
"""

import re

# Longer than any marker with its line start: a marker cut by chunks is whole in tail + next chunk.
TAIL_BYTES = 64

_CHAT = re.compile(rb"[\r\n]data: ?\[DONE\]")
_ANTHROPIC = re.compile(
    rb'[\r\n](?:event: ?message_stop[\r\n]|data: ?\{\s{0,4}"type": ?"message_stop")'
)
_RESPONSES = re.compile(
    rb"[\r\n](?:event: ?response\.(?:completed|failed|incomplete)[\r\n]"
    rb'|data: ?\{\s{0,4}"type": ?"response\.(?:completed|failed|incomplete)")'
)
_DATA_START = re.compile(rb"[\r\n]data:")

ANTHROPIC_DIALECTS = frozenset({"anthropic", "vertex", "bedrock"})
SILENT_DIALECTS = frozenset({"gemini", "google"})  # their streams end with the body


class TerminalScanner:
    """`feed` is true once: for the chunk that completes the terminal event."""

    __slots__ = ("_cue", "_done", "_in_data", "_marker", "_pending", "_responses", "_tail")

    def __init__(self, dialect: str) -> None:
        self._done = dialect in SILENT_DIALECTS
        self._responses = dialect == "responses"
        self._pending = False  # a Responses terminal event has begun, its data line has not ended
        self._in_data = False
        self._tail = b"\n"
        if dialect in ANTHROPIC_DIALECTS:
            self._cue, self._marker = b"message_stop", _ANTHROPIC
        else:
            self._cue, self._marker = b"[DONE]", _CHAT

    def feed(self, chunk: bytes) -> bool:
        if self._done:
            return False
        window = self._tail + chunk
        self._tail = window[-TAIL_BYTES:]
        if not self._responses:
            if self._cue in window and self._marker.search(window):
                self._done = True
                return True
            if b"\nevent: response." not in window:
                return False
            self._responses = True
        return self._feed_responses(window, chunk)

    def _feed_responses(self, window: bytes, chunk: bytes) -> bool:
        """The data line of the last event carries the usage: the event is complete at its end."""
        rest = chunk
        if not self._pending:
            if (
                b".completed" not in window
                and b".failed" not in window
                and (b".incomplete" not in window)
            ):
                return False
            found = _RESPONSES.search(window)
            if found is None:
                return False
            self._pending = True
            window = window[found.start() :]
            # Nothing before the terminal event may be taken for its data line.
            self._tail = window[-TAIL_BYTES:]
        if not self._in_data:
            begin = _DATA_START.search(window)
            if begin is None:
                return False
            self._in_data = True
            rest = window[begin.end() :]
        if b"\n" not in rest and b"\r" not in rest:
            return False
        self._done = True
        return True
