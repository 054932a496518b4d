"""A cached reply: what is sent again, and what a hit puts on record about its origin.

Pure values; MessagePack is the form they have on disk.
"""

import sys
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

Headers = list[tuple[bytes, bytes]]

# Of one reply, as it lies in memory. Larger ones are passed on and not kept.
ENTRY_BYTES_MAX: Final = 8 * 1024 * 1024
OBJECT_BYTES: Final = sys.getsizeof(b"") + 15  # a bytes object beside its bytes, and its reference
# The entry itself with its tuples, its place in the tier's map, its slot.
ENTRY_BYTES: Final = 640
# A cookie is between the provider and the one who asked.
NOT_KEPT: Final = frozenset((b"set-cookie", b"set-cookie2"))


class Entry(msgspec.Struct, gc=False, array_like=True):
    """One whole reply. Not to be changed but for `saved`.

    `gc=False`: it holds bytes and numbers alone, and there may be a hundred thousand of it.
    """

    org: bytes
    exchange_id: bytes
    request_id: str  # the `Helicone-Id` of the exchange that filled it: what hits refer to
    created_at_us: int
    expires_at_us: int
    latency_ms: int
    reason: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    chunks: tuple[bytes, ...]
    has_length: bool  # came with its length, so it is sent with one
    content_type: str = ""
    coding: str = ""
    trailers: tuple[tuple[bytes, bytes], ...] = ()
    cost_pico: int | None = None
    held_bytes: int = 0
    # What the answer used, for the cost that hits save: read at the first of them.
    saved: dict[str, Any] | None = None

    @property
    def body(self) -> bytes:
        """The reply's body in one piece."""
        return b"".join(self.chunks)


def make_entry(
    *,
    org: bytes,
    exchange_id: bytes,
    request_id: str,
    created_at_us: int,
    age_s: int,
    latency_ms: int,
    headers: Iterable[tuple[bytes, bytes]],
    chunks: Iterable[bytes],
    has_length: bool,
    reason: bytes = b"OK",
    content_type: str = "",
    coding: str = "",
    trailers: Iterable[tuple[bytes, bytes]] = (),
    cost_pico: int | None = None,
) -> Entry:
    """An entry that is good for `age_s` seconds. `headers` are those that the client was sent, but
    for ours."""
    kept = tuple([field for field in headers if field[0].lower() not in NOT_KEPT])
    pieces = tuple([piece for piece in chunks if piece])
    ends = tuple(trailers)
    return Entry(
        org, exchange_id, request_id, created_at_us, created_at_us + age_s * 1_000_000, latency_ms,
        reason, kept, pieces, has_length, content_type, coding, ends, cost_pico,
        _held_bytes(kept, pieces, ends),
    )  # fmt: skip


def _held_bytes(
    headers: tuple[tuple[bytes, bytes], ...],
    chunks: tuple[bytes, ...],
    trailers: tuple[tuple[bytes, bytes], ...],
) -> int:
    """What an entry takes of memory, about."""
    fields = headers + trailers
    sizes = sum([len(name) + len(value) for name, value in fields]) + sum(map(len, chunks))
    return ENTRY_BYTES + sizes + OBJECT_BYTES * (len(chunks) + 3 * len(fields))


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Entry).decode


def encode_entry(entry: Entry) -> bytes:
    """As it is kept on disk."""
    return _encode(entry)


def decode_entry(data: bytes) -> Entry | None:
    """None for what is no entry: a cache that cannot be read is a miss."""
    try:
        return _decode(data)
    except (msgspec.MsgspecError, ValueError):
        return None


def summary_facts(entry: Entry, facts: Mapping[str, Any]) -> dict[str, Any]:
    """The metadata to read an entry's usage with: those of a request that it answers, and its own
    reply's."""
    return {
        **facts,
        "outcome": "complete",
        "http_status": 200,
        "response_type": entry.content_type,
        "response_coding": entry.coding,
    }
