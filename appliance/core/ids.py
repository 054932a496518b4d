"""Identifiers: UUIDv7 for exchanges (RFC 9562 5.7), time-ordered and never repeated here."""

import os
import time

_POOL_BYTES = 4096
# Every eighth byte of the pool begins the last half of an id: the variant's two bits go there.
_RANDOM = int.from_bytes(bytes.fromhex("3fffffffffffffff") * (_POOL_BYTES // 8), "big")
_VARIANT = int.from_bytes(bytes.fromhex("8000000000000000") * (_POOL_BYTES // 8), "big")
_VERSION = 0x7000


class ExchangeIds:
    """Makes UUIDv7 values: 48 bits of milliseconds, a 12-bit counter within the millisecond seeded
    low, 62 random bits. Values of one maker always grow, also when the clock steps back."""

    __slots__ = ("_at", "_counter", "_last_ms", "_pool")

    def __init__(self) -> None:
        self._last_ms = 0
        self._counter = 0
        self._pool = b""
        self._at = _POOL_BYTES

    def new(self) -> bytes:
        """16 bytes."""
        now_ms = time.time_ns() // 1_000_000
        if now_ms > self._last_ms:
            self._last_ms = now_ms
            self._counter = 0
        else:
            self._counter += 1
            if self._counter > 0xFFF:
                self._last_ms += 1
                self._counter = 0
        at = self._at
        if at == _POOL_BYTES:
            drawn = int.from_bytes(os.urandom(_POOL_BYTES), "big") & _RANDOM | _VARIANT
            self._pool = drawn.to_bytes(_POOL_BYTES, "big")
            at = 0
        self._at = at + 8
        begin = self._last_ms << 16 | _VERSION | self._counter
        return begin.to_bytes(8, "big") + self._pool[at : at + 8]


def uuid_text(value: bytes) -> str:
    """The usual text form of 16 bytes."""
    text = value.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
