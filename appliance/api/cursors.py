"""The opaque cursor of a list of requests: the place of its last row, in the order of the list.

Pure. Offsets skip and repeat rows where data grows meanwhile; a place does not (`backend.md 2.6`).
"""

from __future__ import annotations

import base64
import binascii
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple
from uuid import UUID

from appliance.api.incoming import invalid

VERSION: Final = b"\x01"
LENGTH: Final = 1 + 8 + 16
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND: Final = timedelta(microseconds=1)
TIME_US_MAX: Final = 253_402_300_799_999_999  # the end of the year 9999


class Place(NamedTuple):
    """Of a row: when it was created, in microseconds, and its exchange."""

    created_at_us: int
    exchange_id: bytes

    @property
    def created_at(self) -> datetime:
        """As a TIMESTAMP, which has no zone."""
        return (EPOCH + self.created_at_us * MICROSECOND).replace(tzinfo=None)


def encode_cursor(created_at: datetime | None, exchange_id: UUID) -> str:
    """What a client sends back. A row without a time is behind all others."""
    at_us = 0
    if created_at is not None:
        at_us = (created_at.replace(tzinfo=UTC) - EPOCH) // MICROSECOND
    data = VERSION + at_us.to_bytes(8, "big") + exchange_id.bytes
    return base64.urlsafe_b64encode(data).decode("ascii").rstrip("=")


def decode_cursor(value: object, field: str = "cursor") -> Place:
    """Raises Refusal 422 for what no answer of ours has given."""
    data = b""
    if isinstance(value, str) and len(value) <= 2 * LENGTH and value.isascii():
        with suppress(binascii.Error, ValueError):
            data = base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))
    at_us = int.from_bytes(data[1:9], "big")
    if len(data) != LENGTH or data[:1] != VERSION or at_us > TIME_US_MAX:
        invalid(field, "expected the next_cursor of an earlier answer")
    return Place(at_us, data[9:])
