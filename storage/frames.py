"""What a frame holds: kinds, flags, positions, and the MessagePack of an exchange with its bodies.

Knows nothing of files; `segment.py` turns a payload into checked (and sealed) bytes on disk.
"""

import threading
from collections.abc import Callable
from hashlib import sha256
from typing import Any, NamedTuple

import msgspec
import zstandard

KIND_EXCHANGE, KIND_SCORE, KIND_FEEDBACK, KIND_PROPERTY, KIND_DELETION, KIND_ERASED = range(1, 7)
KIND_COST = 7  # a cost that was worked out anew; the newest kind is KIND_LAST
KIND_LAST = KIND_COST
FLAG_SUPERSEDES = 1  # a row with this exchange_id may exist already: this one replaces it
FLAG_REWRITTEN = 2  # written again after a failed write: dropped when its exchange_id is known

PAYLOAD_BYTES_MAX = 16 * 1024 * 1024
PART_RAW_BYTES_MAX = 64 * 1024 * 1024
# To compress 1 KB takes 4 us of every call and saves half of it until the next roll.
STORED_UP_TO_BYTES = 2 * 1024
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
FAST_COMPRESSION_ABOVE_BYTES = 32 * 1024

PART_INLINE, PART_BLOB = 0, 1

# [0, raw_length, zstd_bytes] or [1, blob_name, offset, stored_length, raw_length, coding] with the
# SHA-256 of what is stored behind it
Part = list[Any]


class Position(NamedTuple):
    segment: int
    offset: int


class Frame(NamedTuple):
    """`position` is its first byte, `end` the first byte after it; an erased one has no payload."""

    position: Position
    end: Position
    kind: int
    flags: int
    counter: int
    org: bytes
    payload: bytes


class PartDamaged(Exception):  # noqa: N818
    """A part whose bytes are not what its lengths say."""


_encoder = msgspec.msgpack.Encoder()
_exchange_decoder = msgspec.msgpack.Decoder(tuple[dict[str, Any], list[Part], list[Part]])


def encode_exchange(meta: dict[str, Any], request: list[Part], response: list[Part]) -> bytes:
    return _encoder.encode((meta, request, response))


def decode_exchange(payload: bytes) -> tuple[dict[str, Any], list[Part], list[Part]]:
    """Raises msgspec.DecodeError (msgspec.MsgspecError) for anything else."""
    return _exchange_decoder.decode(payload)


def without_bodies(payload: bytes) -> bytes:
    """The same exchange with inline bodies gone and `degraded` saying so.

    A body that lies in blobs costs no memory and stays.
    """
    meta, request, response = decode_exchange(payload)
    if not any(part[0] == PART_INLINE for part in (*request, *response)):
        return payload
    meta["degraded"] = "bodies dropped"
    return encode_exchange(meta, _blobs_only(request), _blobs_only(response))


def _blobs_only(parts: list[Part]) -> list[Part]:
    return [] if any(part[0] == PART_INLINE for part in parts) else parts


class BodyPacker:
    """Compresses bodies for frames. One per loop: a zstd compressor is not for several threads."""

    def __init__(self) -> None:
        # Every call waits for this one: level 3 takes 3.4 us for 1 KB and saves 60 bytes more.
        self._small = zstandard.ZstdCompressor(level=-1)
        self._large = zstandard.ZstdCompressor(level=1)

    def pack(self, data: bytes) -> list[Part]:
        if not data:
            return []
        if len(data) <= STORED_UP_TO_BYTES:
            return [[PART_INLINE, len(data), _stored(data)]]
        large = len(data) > FAST_COMPRESSION_ABOVE_BYTES
        compressed = (self._large if large else self._small).compress(data)
        return [[PART_INLINE, len(data), compressed]]


def _stored(data: bytes) -> bytes:
    """A zstd frame with its content size and one raw block (RFC 8878, 3.1.1), of at most 64 KiB."""
    size = len(data)
    told = b"\x20%c" % size if size < 256 else b"\x60%b" % (size - 256).to_bytes(2, "little")
    return b"%b%b%b%b" % (ZSTD_MAGIC, told, (size << 3 | 1).to_bytes(3, "little"), data)


def unpack(parts: list[Part], read_blob: Callable[[str, int, int], bytes]) -> bytes:
    """The body as it travelled. Raises PartDamaged, and what `read_blob` raises."""
    return b"".join(_part_bytes(part, read_blob) for part in parts)


def _part_bytes(part: Part, read_blob: Callable[[str, int, int], bytes]) -> bytes:
    if part[0] == PART_INLINE:
        _, raw_length, stored = part
        return _decompressed(stored, raw_length)
    _, name, offset, stored_length, raw_length, coding, *digest = part
    stored = read_blob(name, offset, stored_length)
    if digest and sha256(stored).digest() != digest[0]:
        raise PartDamaged("the bytes of a blob are not those that were written")
    if coding == "zstd":
        return _decompressed(stored, raw_length)
    if len(stored) != raw_length:
        raise PartDamaged(f"blob part of {len(stored)} bytes, {raw_length} were recorded")
    return stored


# A decompressor is not for several threads, and making one costs more than using it. No class of
# ours: compiled, its attributes would be those of all threads.
_own = threading.local()


def _decompressor() -> zstandard.ZstdDecompressor:
    if not hasattr(_own, "zstd"):
        _own.zstd = zstandard.ZstdDecompressor()
    own: zstandard.ZstdDecompressor = _own.zstd
    return own


def _decompressed(stored: bytes, raw_length: int) -> bytes:
    # The size in the zstd header is checked first: a crafted one must not choose our memory.
    try:
        announced = zstandard.frame_content_size(stored)
        if announced != raw_length or raw_length > PART_RAW_BYTES_MAX:
            raise PartDamaged(f"part of {announced} bytes, {raw_length} were recorded")
        return _decompressor().decompress(stored)
    except zstandard.ZstdError as error:
        raise PartDamaged(str(error)) from error
