"""What a hit sends and puts on record, and clients that cannot read what the first one got."""

import gzip
import json
from typing import Any

import brotli
import pytest

from appliance.core.cache_entry import Entry, make_entry
from appliance.core.cache_reply import (
    DECODED_BYTES_MAX,
    accepts,
    hit_facts,
    hit_headers,
    read_saved,
    replay_of,
)

CHAT = json.dumps(
    {
        "model": "gpt-4o-2024-08-06",
        "choices": [{"message": {"content": "hi"}}],
        "usage": {"prompt_tokens": 7, "completion_tokens": 5},
    }
).encode()


def entry(chunks: list[bytes], coding: str = "", **other: Any) -> Entry:
    length = b"%d" % sum(map(len, chunks))
    headers = [(b"Content-Type", b"application/json"), (b"content-length", length)]
    if coding:
        headers.append((b"Content-Encoding", coding.encode()))
    given = {
        "org": b"o" * 16, "exchange_id": b"e" * 16, "request_id": "r-1", "created_at_us": 1,
        "age_s": 60, "latency_ms": 321, "headers": headers, "chunks": chunks, "has_length": True,
        "content_type": "application/json", "coding": coding,
    }  # fmt: skip
    return make_entry(**{**given, **other})


def test_headers_of_a_hit() -> None:
    assert hit_headers(entry([b"x"]), 2) == [
        (b"Helicone-Cache", b"HIT"),
        (b"Helicone-Cache-Bucket-Idx", b"2"),
        (b"Helicone-Cache-Latency", b"321"),
    ]


def test_facts_of_a_hit() -> None:
    facts = {
        "cache_reference_id": "r-1",
        "cached_exchange_id": b"e" * 16,
        "cached_latency_us": 321_000,
    }
    assert hit_facts(entry([b"x"])) == facts
    assert hit_facts(entry([b"x"], cost_pico=0)) == {**facts, "saved_cost_pico": 0}


@pytest.mark.parametrize("coding", ["", "gzip"])
def test_what_was_saved_is_read_once(coding: str) -> None:
    body = gzip.compress(CHAT) if coding else CHAT
    kept = entry([body[:20], body[20:]], coding)
    asked = {"gateway_provider": "openai", "dialect": "openai", "path": "/v1/chat/completions"}
    read_saved(kept, {**asked, "outcome": "cache_hit"}, b'{"model":"gpt-4o"}')
    saved = kept.saved
    assert saved is not None
    assert saved["model"] == "gpt-4o-2024-08-06"
    assert (saved["usage"]["input"], saved["usage"]["output"]) == (7, 5)
    assert saved["usage"]["source"] == "provider"
    assert hit_facts(kept)["saved"] is saved
    read_saved(kept, asked, b"")
    assert kept.saved is saved


def test_a_known_cost_is_not_looked_for() -> None:
    kept = entry([CHAT], cost_pico=7)
    read_saved(kept, {}, b"{}")
    assert kept.saved is None


def test_replay_is_what_was_received() -> None:
    chunks = [b"data: 1\n\n", b"data: 2\n\n"]
    replay = replay_of(entry(chunks, has_length=False), b"")
    assert replay is not None
    assert replay.chunks == tuple(chunks)
    assert replay.length is None
    replay = replay_of(entry([b"ab", b"c"]), b"")
    assert replay is not None
    assert (replay.length, replay.coding) == (3, "")


@pytest.mark.parametrize(
    ("accept_encoding", "decoded"),
    [(b"gzip", False), (b"", True), (b"br", True), (b"gzip;q=0", True), (b"*", False)],
)
@pytest.mark.parametrize("has_length", [True, False])
def test_a_coding_is_taken_off(accept_encoding: bytes, decoded: bool, has_length: bool) -> None:
    body = gzip.compress(CHAT)
    replay = replay_of(entry([body[:9], body[9:]], "gzip", has_length=has_length), accept_encoding)
    assert replay is not None
    assert b"".join(replay.chunks) == (CHAT if decoded else body)
    names = [name.lower() for name, _ in replay.headers]
    assert (b"content-encoding" in names) is not decoded
    assert (replay.coding == "") is decoded
    length = len(CHAT) if decoded else len(body)
    assert replay.length == (length if has_length else None)
    assert (b"content-length", b"%d" % length) in replay.headers


def test_what_cannot_be_decoded_is_a_miss() -> None:
    assert replay_of(entry([b"x"], "snappy"), b"gzip") is None
    assert replay_of(entry([b"no gzip"], "gzip"), b"") is None
    large = brotli.compress(bytes(DECODED_BYTES_MAX + 1))
    assert replay_of(entry([large], "br"), b"gzip") is None
    assert replay_of(entry([large], "br"), b"gzip, br") is not None


@pytest.mark.parametrize(
    ("accept_encoding", "coding", "expected"),
    [
        (b"gzip, deflate, br", "br", True),
        (b"GZIP", "gzip", True),
        (b"gzip", "GZIP", True),
        (b"gzip;q=1.0, br;q=0.5", "br", True),
        (b"gzip;q=0.000", "gzip", False),
        (b"gzip;q=x", "gzip", False),
        (b"*;q=0", "gzip", False),
        (b"*;q=0, gzip", "gzip", True),
        (b"gzip", "gzip, br", False),
        (b"gzip, br", "gzip, br", True),
        (b"", "identity", True),
        (b"", "gzip", False),
        (b"xgzip", "gzip", False),
        (b"gzip" + b" " * 300, "gzip", False),
    ],
)
def test_accepts(accept_encoding: bytes, coding: str, expected: bool) -> None:
    assert accepts(accept_encoding, coding) is expected
