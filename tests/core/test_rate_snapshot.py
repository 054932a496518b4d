"""Buckets as bytes: whole blocks are read, and torn or foreign ones are told apart."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.core.bucket import DEBT_MAX_PICO, Bucket
from appliance.core.rate_snapshot import (
    BLOCK,
    BLOCK_ROWS_MAX,
    MAGIC,
    ROW,
    Row,
    encode_block,
    read_blocks,
)

S = 1_000_000


def row(number: int, level: int = 5, capacity: int = 10) -> Row:
    return number.to_bytes(16, "big"), Bucket(level, 7, capacity, 60 * S, 1_800_000_000 * S)


def plain(rows: list[Row]) -> list[tuple[object, ...]]:
    return [(key, b.level, b.rest, b.capacity, b.window_us, b.at_us) for key, b in rows]


def read(data: bytes) -> tuple[list[tuple[object, ...]], str]:
    rows, wrong = [], ""
    for block in read_blocks(data):
        assert not wrong, "after something wrong nothing follows"
        rows += plain(block.rows)
        wrong = block.wrong
    return rows, wrong


@given(
    st.lists(
        st.tuples(
            st.binary(min_size=16, max_size=16), st.integers(-DEBT_MAX_PICO, 10**22),
            st.integers(0, 10**7), st.integers(1, 10**22), st.integers(60, 31_536_000),
            st.integers(0, 2**62),
        ),
        max_size=20,
    )
)  # fmt: skip
def test_everything_comes_back(values: list[Any]) -> None:
    rows = [
        (key, Bucket(min(level, capacity), rest, capacity, window_s * S, at_us))
        for key, level, rest, capacity, window_s, at_us in values
    ]
    assert read(MAGIC + encode_block(rows)) == (plain(rows), "")


def test_blocks_follow_one_another_and_none_is_empty() -> None:
    first, second = [row(1), row(2)], [row(1, 3)]
    data = MAGIC + encode_block(first) + encode_block([]) + encode_block(second)
    assert read(data) == (plain(first + second), "")
    assert encode_block([]) == b""
    assert read(MAGIC) == ([], "")
    assert len(encode_block([row(n) for n in range(BLOCK_ROWS_MAX)])) == (
        BLOCK.size + BLOCK_ROWS_MAX * ROW.size
    )


def test_every_cut_keeps_the_whole_blocks_before_it() -> None:
    first, second = encode_block([row(1)]), encode_block([row(2), row(3)])
    data = MAGIC + first + second
    for cut in range(len(MAGIC), len(data)):
        rows, wrong = read(data[:cut])
        ends = {len(MAGIC): 0, len(MAGIC + first): 1}
        assert wrong == ("" if cut in ends else "torn"), cut
        assert len(rows) == (0 if cut < len(MAGIC + first) else 1)


def test_every_flipped_byte_is_noticed() -> None:
    data = MAGIC + encode_block([row(1)])
    for place in range(len(data)):
        damaged = bytearray(data)
        damaged[place] ^= 0x10
        rows, wrong = read(bytes(damaged))
        assert rows == []
        assert wrong == ("foreign" if place < len(MAGIC) else "torn"), place


@pytest.mark.parametrize(
    "data",
    [b"", b"SQLite format 3\0", MAGIC[:4], b"rlimits\x02" + encode_block([row(1)]), b"\0" * 99],
)
def test_foreign_files(data: bytes) -> None:
    assert read(data) == ([], "foreign")


def test_a_page_of_zeros_behind_is_torn() -> None:
    assert read(MAGIC + encode_block([row(1)]) + b"\0" * 4096) == (plain([row(1)]), "torn")


@pytest.mark.parametrize(
    "changes",
    [{"capacity": 0, "level": 0}, {"window_us": 59 * S}, {"window_us": 10**15}, {"rest": -1},
     {"rest": 60 * S}, {"level": 11}],
)  # fmt: skip
def test_rows_that_cannot_be_are_passed_over(changes: dict[str, int]) -> None:
    key, bucket = row(1)
    for name, value in changes.items():
        setattr(bucket, name, value)
    assert read(MAGIC + encode_block([(key, bucket), row(2)])) == (plain([row(2)]), "")
