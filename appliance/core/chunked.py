"""Chunked transfer coding (RFC 9112, 7.1): a strict decoder that never waits, and the encoder.

Pure: bytes in, body bytes out, however the input is cut. Nothing is mended: what is not exactly a
chunk ends in `error`, and what is mostly wrapping is refused before it costs anybody time.
"""

import re
from enum import Enum

from appliance.core.framing import field_fault

EXTENSION_BYTES_MAX = 256  # per chunk line
TRAILER_BYTES_MAX = 8192
# Wrapping a whole message may carry: a fixed allowance, and eight bytes for each byte of body. One
# byte per chunk (5 : 1) stays legal, as some servers stream so; padded or commented ones do not.
OVERHEAD_BYTES_FREE = 16384
OVERHEAD_PER_BODY_BYTE = 8

LAST_CHUNK = b"0\r\n\r\n"

_LINE = re.compile(rb"([0-9A-Fa-f]{1,16})(;[\t\x20-\x7e\x80-\xff]*)?\r\n")
_LINE_BEGUN = re.compile(rb"[0-9A-Fa-f]{1,16}(?:;[\t\x20-\x7e\x80-\xff]*)?\r?")
_LINE_BYTES_MAX = 16 + EXTENSION_BYTES_MAX + 2


class _At(Enum):
    SIZE = 0  # a chunk line begins, or is held in part
    DATA = 1  # `_missing` bytes of a chunk are to come
    DATA_END = 2  # the CRLF behind them; half of it may be held
    TRAILER = 3
    END = 4  # done or failed


def encode_chunk(data: bytes) -> bytes:
    """One chunk; nothing for no data, because an empty chunk would end the message."""
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""


def encode_last(trailers: list[tuple[bytes, bytes]]) -> bytes:
    """The end of a message, with trailer fields that passed `field_fault` when they came in."""
    return b"0\r\n%b\r\n" % b"".join([b"%b: %b\r\n" % field for field in trailers])


class ChunkedDecoder:
    """`feed` until `done` or `error`; bytes of the next message are in `leftover`."""

    __slots__ = (
        "_at",
        "_budget",
        "_held",
        "_missing",
        "_trailer_bytes",
        "done",
        "error",
        "leftover",
        "trailers",
    )

    def __init__(self) -> None:
        self.done = False
        self.error: str | None = None
        self.leftover = b""
        self.trailers: list[tuple[bytes, bytes]] = []
        self._at = _At.SIZE
        self._held = b""
        self._missing = 0
        self._budget = OVERHEAD_BYTES_FREE
        self._trailer_bytes = 0

    def feed(self, data: bytes) -> bytes:
        """The body bytes that `data` completes. After an error or the end nothing more comes."""
        if self._at is _At.SIZE and not self._held:
            # By far the commonest feed of a stream: one whole chunk, nothing before or behind.
            line = _LINE.match(data)
            if line is not None and line[2] is None:
                begin = line.end()
                size = int(line[1], 16)
                if size and begin + size + 2 == len(data) and data.endswith(b"\r\n"):
                    self._budget += OVERHEAD_PER_BODY_BYTE * size - begin
                    if self._budget >= 0:
                        return data[begin:-2]
                    return self._fail("far more wrapping than body")
        return self._walk(data)

    def _walk(self, data: bytes) -> bytes:
        if self._held:
            data, self._held = self._held + data, b""
        body: list[bytes] = []
        position = 0
        while position < len(data):
            match self._at:
                case _At.SIZE:
                    position = self._whole_chunks(data, position, body)
                    if position < len(data):
                        position = self._chunk_line(data, position)
                case _At.DATA:
                    piece = data[position : position + self._missing]
                    body.append(piece)
                    position += len(piece)
                    self._missing -= len(piece)
                    if not self._missing:
                        self._at = _At.DATA_END
                case _At.DATA_END:
                    position = self._data_end(data, position)
                case _At.TRAILER:
                    position = self._trailer_line(data, position)
                case _At.END:
                    if self.done:
                        self.leftover += data[position:]
                    break
        return body[0] if len(body) == 1 else b"".join(body)

    def _whole_chunks(self, data: bytes, position: int, body: list[bytes]) -> int:
        """Take chunks that lie complete in `data`, up to the first that needs a closer look."""
        budget = self._budget
        while (line := _LINE.match(data, position)) is not None and line[2] is None:
            begin = line.end()
            size = int(line[1], 16)
            end = begin + size
            changed = budget + OVERHEAD_PER_BODY_BYTE * size - (begin - position)
            if not size or changed < 0 or data[end : end + 2] != b"\r\n":
                break
            body.append(data[begin:end])
            budget = changed
            position = end + 2
        self._budget = budget
        return position

    def _chunk_line(self, data: bytes, position: int) -> int:
        line = _LINE.match(data, position)
        if line is None:
            begun = data[position : position + _LINE_BYTES_MAX]
            if len(begun) == _LINE_BYTES_MAX or not _LINE_BEGUN.fullmatch(begun):
                self._fail("chunk size is malformed")
            self._held = begun
            return len(data)
        if line[2] is not None and len(line[2]) > EXTENSION_BYTES_MAX:
            self._fail("chunk extension is too long")
            return len(data)
        size = int(line[1], 16)
        end = line.end()
        self._budget += OVERHEAD_PER_BODY_BYTE * size - (end - position)
        if self._budget < 0:
            self._fail("far more wrapping than body")
            return len(data)
        self._missing = size
        self._at = _At.DATA if size else _At.TRAILER
        return end

    def _data_end(self, data: bytes, position: int) -> int:
        if data.startswith(b"\r\n", position):
            self._at = _At.SIZE
            return position + 2
        if len(data) - position == 1 and data[position] == 13:
            self._held = b"\r"
            return len(data)
        self._fail("chunk is longer or shorter than it says")
        return len(data)

    def _trailer_line(self, data: bytes, position: int) -> int:
        newline = data.find(b"\n", position)
        end = newline if newline >= 0 else len(data)
        if self._trailer_bytes + end - position > TRAILER_BYTES_MAX:
            self._fail("trailers are too long")
            return len(data)
        if newline < 0:
            self._held = data[position:]
            return len(data)
        self._trailer_bytes += end + 1 - position
        if data[end - 1] != 13 or end == position:
            self._fail("bare LF in the trailers")
            return len(data)
        line = data[position : end - 1]
        if not line:
            self._at, self.done = _At.END, True
        else:
            self._trailer(line)
        return end + 1

    def _trailer(self, line: bytes) -> None:
        name, colon, value = line.partition(b":")
        value = value.strip(b" \t")
        fault = field_fault(name, value) if colon else "no colon"
        if fault:
            self._fail(f"malformed trailer: {fault}")
        else:
            self.trailers.append((name, value))

    def _fail(self, text: str) -> bytes:
        self._at, self.error = _At.END, text
        return b""
