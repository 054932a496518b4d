"""WebSocket frames as they pass by (RFC 6455, 5): where each begins and ends, what it says, and the
few that we send ourselves. Pure; frames are looked at and passed on as they are, never built anew.
"""

import base64
import hashlib
import re
from typing import Final, NamedTuple

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
DATA: Final = (CONTINUATION, TEXT, BINARY)
CONTROLS: Final = (CLOSE, PING, PONG)
CONTROL_BYTES_MAX: Final = 125
# Close codes (RFC 6455, 7.4.1).
NORMAL, GOING_AWAY, PROTOCOL_ERROR, NO_CODE, TOO_BIG, FAILED = 1000, 1001, 1002, 1005, 1009, 1011

VERSION: Final = b"13"
KEY: Final = re.compile(rb"[A-Za-z0-9+/]{21}[AQgw]==")
ACCEPT_SALT: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Piece(NamedTuple):
    """A whole control frame, or what came of a data frame: `raw` as it travelled, `payload` without
    the mask. `ends`: it is the last of its message."""

    opcode: int
    raw: bytes
    payload: bytes
    ends: bool


def accept_of(key: bytes) -> bytes:
    """What a server answers to this `Sec-WebSocket-Key` (RFC 6455, 4.2.2)."""
    digest = hashlib.sha1(key + ACCEPT_SALT, usedforsecurity=False)
    return base64.b64encode(digest.digest())


def frame(opcode: int, payload: bytes, mask: bytes = b"") -> bytes:
    """A short frame of ours; masked with these 4 bytes towards a server."""
    assert len(payload) <= CONTROL_BYTES_MAX
    if not mask:
        return bytes((0x80 | opcode, len(payload))) + payload
    return bytes((0x80 | opcode, 0x80 | len(payload))) + mask + unmasked(payload, mask)


def close_payload(code: int, reason: str = "") -> bytes:
    """`reason` is ASCII and short."""
    if code == NO_CODE:
        return b""
    return code.to_bytes(2, "big") + reason.encode("ascii")[: CONTROL_BYTES_MAX - 2]


def close_code(payload: bytes) -> int:
    """The code of a Close frame."""
    return int.from_bytes(payload[:2], "big") if len(payload) >= 2 else NO_CODE


def unmasked(payload: bytes, mask: bytes, offset: int = 0) -> bytes:
    """`payload` begins at `offset` of its frame. Masking is the same once more."""
    size = len(payload)
    if not size:
        return b""
    turn = offset % 4
    key = ((mask[turn:] + mask[:turn]) * (size // 4 + 1))[:size]
    plain = int.from_bytes(payload, "little") ^ int.from_bytes(key, "little")
    return plain.to_bytes(size, "little")


class FrameReader:
    """Takes the bytes of one direction, gives its frames. After a `problem` (a close code) nothing
    more is given: what follows cannot be read, or is not to be passed on."""

    __slots__ = (
        "_data", "_ends", "_in_message", "_left", "_mask", "_masked", "_message_bytes",
        "_message_bytes_max", "_offset", "_opcode", "problem",
    )  # fmt: skip

    def __init__(self, *, masked: bool, message_bytes_max: int) -> None:
        """`masked`: these are a client's."""
        self._masked = masked
        self._message_bytes_max = message_bytes_max
        self._data = b""
        self._left = 0  # payload bytes of the data frame that has begun
        self._offset = 0
        self._mask = b""
        self._opcode = 0
        self._ends = False
        self._in_message = False
        self._message_bytes = 0
        self.problem = 0

    @property
    def between_frames(self) -> bool:
        """Whether another frame may be put in here: what was given so far are whole frames."""
        return not self._left

    def feed(self, data: bytes) -> list[Piece]:
        """At most 13 bytes and a control frame are held back until the rest of them has come."""
        data = self._data + data if self._data else data
        found: list[Piece] = []
        at = 0
        while at < len(data) and not self.problem:
            taken = self._payload(data, at, found) if self._left else self._frame(data, at, found)
            if not taken:
                break
            at += taken
        self._data = b"" if self.problem else data[at:]
        return found

    def _payload(self, data: bytes, at: int, found: list[Piece]) -> int:
        raw = data[at : at + self._left]
        found.append(self._piece(raw, raw))
        return len(raw)

    def _piece(self, raw: bytes, payload: bytes) -> Piece:
        offset = self._offset
        self._left -= len(payload)
        self._offset += len(payload)
        if self._mask:
            payload = unmasked(payload, self._mask, offset)
        return Piece(self._opcode, raw, payload, self._ends and not self._left)

    def _frame(self, data: bytes, at: int, found: list[Piece]) -> int:
        """The frame at this place; 0 when more of it is needed."""
        head = data[at : at + 14]
        if len(head) < 2:
            return 0
        opcode, ends, length = head[0] & 0x0F, bool(head[0] & 0x80), head[1] & 0x7F
        size = 2 + {126: 2, 127: 8}.get(length, 0)
        if len(head) >= size and size > 2:
            length = int.from_bytes(head[2:size], "big")
        elif size > 2 and opcode not in CONTROLS:
            return 0
        self.problem = self._fault(head, opcode, length, ends=ends)
        begin = size + (4 if self._masked else 0)
        if self.problem or len(head) < begin:
            return 0
        mask = head[size:begin]
        if opcode in CONTROLS:
            end = at + begin + length
            if len(data) < end:
                return 0
            payload = data[at + begin : end]
            payload = unmasked(payload, mask) if mask else payload
            found.append(Piece(opcode, data[at:end], payload, ends=True))
            return begin + length
        if opcode != CONTINUATION:
            self._message_bytes = 0
        self._message_bytes += length
        self._in_message = not ends
        self._opcode, self._ends, self._mask = opcode, ends, mask
        self._left, self._offset = length, 0
        payload = data[at + begin : at + begin + length]
        found.append(self._piece(data[at : at + begin] + payload, payload))
        return begin + len(payload)

    def _fault(self, head: bytes, opcode: int, length: int, *, ends: bool) -> int:
        """What is wrong with a frame, as a close code; 0 when nothing is."""
        reserved = head[0] & 0x70  # no extension was agreed on that gives them a meaning
        if reserved or bool(head[1] & 0x80) is not self._masked:
            return PROTOCOL_ERROR
        if opcode in CONTROLS:
            return PROTOCOL_ERROR if length > CONTROL_BYTES_MAX or not ends else 0
        if opcode not in DATA or (opcode == CONTINUATION) is not self._in_message:
            return PROTOCOL_ERROR
        before = self._message_bytes if opcode == CONTINUATION else 0
        return TOO_BIG if before + length > self._message_bytes_max else 0
