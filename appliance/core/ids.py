"""Identifiers: UUIDv7 for exchanges (RFC 9562 5.7), time-ordered and never repeated here."""

import os
import time

_POOL_BYTES = 4096


class ExchangeIds:
    """Makes UUIDv7 values: 48 bits of milliseconds, a 12-bit counter within the millisecond seeded
    low, 62 random bits. Values of one maker always grow, also when the clock steps back."""

    __slots__ = ("_at", "_counter", "_last_ms", "_pool")

    def __init__(self) -> None:
        self._last_ms = 0
        self._counter = 0
        self._pool = b""
        self._at = 0

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
        if self._at + 8 > len(self._pool):
            self._pool = os.urandom(_POOL_BYTES)
            self._at = 0
        random = int.from_bytes(self._pool[self._at : self._at + 8], "big")
        self._at += 8
        value = (
            self._last_ms << 80
            | 0x7 << 76
            | self._counter << 64
            | 0x2 << 62
            | random & 0x3FFF_FFFF_FFFF_FFFF
        )
        return value.to_bytes(16, "big")


def uuid_text(value: bytes) -> str:
    """The usual text form of 16 bytes."""
    text = value.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
