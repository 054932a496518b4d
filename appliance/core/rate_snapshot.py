"""Buckets as bytes: a file of checksummed blocks to which changes are added (later rows win).

Pure. What is torn or foreign is told apart from what is whole, and never raises: a limiter that
forgets is better than one that does not start.
"""

from collections.abc import Iterable, Iterator
from struct import Struct
from typing import Final, NamedTuple
from zlib import crc32

from appliance.core.bucket import Bucket
from appliance.core.rate_policy import US_PER_S, WINDOW_MAX_S, WINDOW_MIN_S
from appliance.core.rate_segment import KEY_BYTES, BucketKey

MAGIC: Final = b"rlimits\x01"
MARK: Final = b"rows"
# mark, rows, checksum of the rows
BLOCK: Final = Struct("<4sII")
# key, level and capacity (each as upper part and lower 32 bits), rest, window, time
ROW: Final = Struct(f"<{KEY_BYTES}sqIqIqqq")
BLOCK_ROWS_MAX: Final = 500
LOW: Final = 0xFFFFFFFF

Row = tuple[BucketKey, Bucket]


class Block(NamedTuple):
    """Rows, where the next block begins, and what is wrong: "", `foreign` or `torn`. After
    something wrong nothing follows."""

    rows: list[Row]
    end: int
    wrong: str


def encode_block(rows: Iterable[Row]) -> bytes:
    """One block. Empty for no rows."""
    pack = ROW.pack
    packed = [
        pack(
            key,
            bucket.level >> 32, bucket.level & LOW, bucket.capacity >> 32, bucket.capacity & LOW,
            bucket.rest, bucket.window_us, bucket.at_us,
        )
        for key, bucket in rows
    ]  # fmt: skip
    assert len(packed) <= BLOCK_ROWS_MAX, "readers stop at larger blocks"
    data = b"".join(packed)
    return BLOCK.pack(MARK, len(packed), crc32(data)) + data if packed else b""


def read_blocks(data: bytes) -> Iterator[Block]:
    """The blocks of a file in their order; ends with a block that is `wrong` where one is."""
    end = len(MAGIC)
    if data[:end] != MAGIC:
        yield Block([], 0, "foreign")
        return
    while end < len(data):
        block = _read_block(data, end)
        yield block
        if block.wrong:
            return
        end = block.end


def _read_block(data: bytes, start: int) -> Block:
    begin = start + BLOCK.size
    if begin > len(data):
        return Block([], start, "torn")
    mark, count, checksum = BLOCK.unpack_from(data, start)
    end = begin + count * ROW.size
    if mark != MARK or not 0 < count <= BLOCK_ROWS_MAX or end > len(data):
        return Block([], start, "torn")
    packed = data[begin:end]
    if crc32(packed) != checksum:
        return Block([], start, "torn")
    return Block(_rows(packed), end, "")


def _rows(packed: bytes) -> list[Row]:
    rows: list[Row] = []
    for (
        key,
        upper,
        lower,
        capacity_upper,
        capacity_lower,
        rest,
        window_us,
        at_us,
    ) in ROW.iter_unpack(packed):
        level, capacity = (upper << 32) + lower, (capacity_upper << 32) + capacity_lower
        sane = WINDOW_MIN_S <= window_us // US_PER_S <= WINDOW_MAX_S and 0 <= rest < window_us
        if sane and capacity > 0 and level <= capacity:
            rows.append((key, Bucket(level, rest, capacity, window_us, at_us)))
    return rows
