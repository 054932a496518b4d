"""Entries: what is kept of a reply, how it is written, and how much memory it is said to take."""

import gc
import tracemalloc

import pytest

from appliance.core.cache_entry import Entry, decode_entry, encode_entry, make_entry

HEADERS = [
    (b"Content-Type", b"application/json"),
    (b"Set-Cookie", b"session=1"),
    (b"X-Twice", b"a"),
    (b"x-twice", b"b"),
]


def entry(chunks: list[bytes], **other: object) -> Entry:
    given = {
        "org": b"o" * 16, "exchange_id": b"e" * 16, "request_id": "r-1", "created_at_us": 1_000_000,
        "age_s": 60, "latency_ms": 1234, "headers": HEADERS, "chunks": chunks, "has_length": True,
    }  # fmt: skip
    return make_entry(**{**given, **other})  # type: ignore[arg-type]


def test_what_is_kept() -> None:
    made = entry([b"a", b"", b"bc"], trailers=[(b"T", b"1")], cost_pico=5)
    assert made.headers == (HEADERS[0], HEADERS[2], HEADERS[3])
    assert made.chunks == (b"a", b"bc")
    assert made.body == b"abc"
    assert (made.expires_at_us, made.latency_ms, made.cost_pico) == (61_000_000, 1234, 5)
    assert decode_entry(encode_entry(made)) == made


def test_what_was_learnt_is_written_too() -> None:
    made = entry([b"a"])
    made.saved = {"model": "gpt-4o", "usage": {"input": 3}}
    assert decode_entry(encode_entry(made)) == made


@pytest.mark.parametrize("data", [b"", b"\x00", b"\x90", b"\x81\xa1a\x01", b"\xff" * 40])
def test_what_is_no_entry_is_a_miss(data: bytes) -> None:
    assert decode_entry(data) is None


def test_text_that_is_none() -> None:
    data = encode_entry(entry([b"a"])).replace(b"\xa3r-1", b"\xa3\xff\xff\xff")
    assert decode_entry(data) is None


def test_entries_are_not_the_collectors_work() -> None:
    assert not gc.is_tracked(entry([b"a"]))


@pytest.mark.parametrize(("chunks", "size"), [(1, 1000), (400, 60), (1, 200_000)])
def test_the_size_is_about_what_memory_it_takes(chunks: int, size: int) -> None:
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    kept = [
        decode_entry(encode_entry(entry([bytes([at % 251]) * size for at in range(chunks)])))
        for _ in range(20)
    ]
    taken = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    held = sum(one.held_bytes for one in kept if one is not None)
    # What the tier's map takes is in it, and has not been taken here.
    assert 0.75 * held <= taken <= 1.05 * held
