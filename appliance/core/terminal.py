"""Has the reply said its last word? Finds a dialect's terminal event in a stream as it passes.

SDKs hang up at that event, so the chunk that completes it is the last one that counts. A marker
only counts at the start of a line; inside JSON strings line ends are escaped and never match.
"""

import re
from collections.abc import Callable

# Longer than any marker with its line start: a marker cut by chunks is whole in tail + next chunk.
TAIL_BYTES = 96

_CHAT = re.compile(rb"[\r\n]data: ?\[DONE\]")
_ANTHROPIC = re.compile(
    rb'[\r\n](?:event: ?message_stop[\r\n]|data: ?\{\s{0,4}"type": ?"message_stop")'
)
# Servers that name no events write the type first or last, beside the event's number. It is never
# taken out of a string, where its quotes would be escaped, or out of an object inside the event.
_NUMBER = rb'"sequence_number": ?[0-9]{1,9}'
_RESPONSES = re.compile(
    rb"[\r\n](?:event: ?response\.(?:completed|failed|incomplete)[\r\n]"
    rb"|data: ?\{\s{0,4}(?:%b, ?)?"
    rb'"type": ?"response\.(?:completed|failed|incomplete)")' % _NUMBER
)
_RESPONSES_LAST = re.compile(
    rb', ?"type": ?"response\.(?:completed|failed|incomplete)"(?:, ?%b)?\s?\}[\r\n]' % _NUMBER
)
_RESPONSES_BEGIN = re.compile(rb'[\r\n]event: response\.|[{,] ?"type": ?"response\.')
_DATA_START = re.compile(rb"[\r\n]data:")

Look = Callable[["TerminalScanner", bytes, bytes], bool]
ANTHROPIC_DIALECTS = frozenset({"anthropic", "bedrock", "vertex"})


class TerminalScanner:
    """`feed` is true once: for the chunk that completes the terminal event.

    The dialect says what to look for until the stream names its events: providers serve several
    dialects side by side (Messages at OpenAI-like services, chat at Anthropic and Google).
    Gemini's own streams have no terminal event: they end with the body.
    """

    __slots__ = (
        "_cue", "_done", "_in_data", "_look", "_other_cue", "_pending", "_tail", "_third_cue",
    )  # fmt: skip

    def __init__(self, dialect: str) -> None:
        self._done = False
        self._pending = False  # a Responses terminal event has begun, its data line has not ended
        self._in_data = False
        self._tail = b"\n"
        # A chunk without any cue is ordinary and is not looked at any further.
        self._cue, self._other_cue, self._third_cue = b"[DONE]", b"\nevent: ", b'"response.'
        # Not bound: a scanner that held itself would be left to the collector.
        self._look: Look = TerminalScanner._chat
        if dialect in ANTHROPIC_DIALECTS:
            self._expect_messages()

    def feed(self, chunk: bytes) -> bool:
        if self._done:
            return False
        window = self._tail + chunk
        self._tail = window[-TAIL_BYTES:]
        if self._cue in window or self._other_cue in window or self._third_cue in window:
            self._done = self._look(self, window, chunk)
            return self._done
        return False

    def _chat(self, window: bytes, chunk: bytes) -> bool:
        if _CHAT.search(window):
            return True
        if b"\nevent: message_start" in window:
            self._expect_messages()
            return self._messages(window, chunk)
        if _RESPONSES_BEGIN.search(window) is not None:
            self._look = TerminalScanner._responses
            self._cue, self._other_cue, self._third_cue = b"complete", b".failed", b"[DONE]"
            return self._responses(window, chunk)
        return False

    def _expect_messages(self) -> None:
        self._look = TerminalScanner._messages
        self._cue, self._other_cue = b"message_stop", b"[DONE]"
        self._third_cue = self._other_cue

    def _messages(self, window: bytes, chunk: bytes) -> bool:
        return _ANTHROPIC.search(window) is not None or _CHAT.search(window) is not None

    def _responses(self, window: bytes, chunk: bytes) -> bool:
        """The data line of the last event carries the usage: the event is complete at its end."""
        rest = chunk
        if not self._pending:
            if _RESPONSES_LAST.search(window) is not None or _CHAT.search(window) is not None:
                return True
            found = _RESPONSES.search(window)
            if found is None:
                return False
            self._pending = True
            self._cue = b""  # from here each chunk is looked at
            window = window[found.start() :]
            # Nothing before the terminal event may be taken for its data line.
            self._tail = window[-TAIL_BYTES:]
        if not self._in_data:
            begin = _DATA_START.search(window)
            if begin is None:
                return False
            self._in_data = True
            rest = window[begin.end() :]
        return b"\n" in rest or b"\r" in rest
