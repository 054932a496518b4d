"""Follows a full-lane HTTP/1.1 connection by the rules of the fast lane, message by message.

Hypercorn's parser mends what ours refuses (two lengths, a length beside chunks, folded lines). With
this in front no lane reads a message that the other would read differently. No I/O.
"""

from __future__ import annotations

from appliance.core.chunked import ChunkedDecoder
from appliance.door.head import (
    HeadError,
    find_end,
    parse_head,
    without_empty_lines,
    without_foreign_upgrade,
)


class Guard:
    """`feed` what arrives, pass on what it gives. After `fault` nothing more is passed on."""

    __slots__ = ("_decoder", "_held", "_left", "fault")

    def __init__(self) -> None:
        self._held = b""  # the begin of a head
        self._left = 0  # bytes of a body of known length
        self._decoder: ChunkedDecoder | None = None
        self.fault = ""

    def feed(self, data: bytes) -> bytes:
        """The bytes that Hypercorn may read: bodies as they come, heads when they are whole."""
        passed: list[bytes] = []
        while data and not self.fault:
            if self._decoder is not None:
                data = self._chunks(data, passed)
            elif self._left:
                passed.append(data[: self._left])
                data, self._left = data[self._left :], max(0, self._left - len(data))
            else:
                data = self._head(data, passed)
        return b"".join(passed)

    def _head(self, data: bytes, passed: list[bytes]) -> bytes:
        data, self._held = self._held + data, b""
        data = without_empty_lines(data)
        try:
            end = find_end(data, 0)
            if end < 0:
                self._held = data
                return b""
            raw, rest = data[:end], data[end:]
            _, framing, _ = parse_head(raw, scheme=b"http", client_address="")
        except HeadError as error:
            self.fault = error.text
            return b""
        raw = without_foreign_upgrade(raw)
        if framing.kind == "length":
            self._left = framing.length
        elif framing.kind == "chunked":
            self._decoder = ChunkedDecoder()
        passed.append(without_upgrading(raw))
        return rest

    def _chunks(self, data: bytes, passed: list[bytes]) -> bytes:
        decoder = self._decoder
        assert decoder is not None
        decoder.feed(data)
        if decoder.error:
            self.fault = decoder.error
            return b""
        if not decoder.done:
            passed.append(data)
            return b""
        self._decoder = None
        passed.append(data[: len(data) - len(decoder.leftover)])
        return decoder.leftover


def without_upgrading(raw: bytes) -> bytes:
    """Take `upgrade` out of `Connection`, so that Hypercorn reads on in HTTP/1.1: no WebSocket is
    served here, and bytes of another protocol would pass by every check. The `Upgrade` line stays
    for the routing table to refuse."""
    if b"\r\nupgrade:" not in raw.lower():
        return raw
    kept = []
    for line in raw.split(b"\r\n"):
        name, colon, value = line.partition(b":")
        if colon and name.lower() == b"connection":
            tokens = [token.strip() for token in value.split(b",")]
            value = b", ".join(token for token in tokens if token.lower() != b"upgrade")
            line = name + b": " + value
        kept.append(line)
    return b"\r\n".join(kept)
