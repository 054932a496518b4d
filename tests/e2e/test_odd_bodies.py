"""Replies that are legal, odd or hostile: passed on to the byte, and read as far as they can be.

field.md B15, B16 and B19 over the running program: whatever comes, the row is there.
"""

from __future__ import annotations

import gzip
import json
import resource
import zlib
from typing import Any

import brotli
import pytest
import zstandard

from tests.fakes import provider_openai as openai
from tests.fakes.appliance import CHAT, MESSAGES, Appliance
from tests.fakes.provider import Provider
from tests.fakes.provider_scripts import END, JSON, chunk, head, whole

ASK: dict[str, Any] = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hi"}]}
STREAM: dict[str, Any] = {**ASK, "stream": True, "stream_options": {"include_usage": True}}

CODINGS = {
    "gzip": lambda data: gzip.compress(data, mtime=0),
    "deflate": zlib.compress,
    "br": lambda data: brotli.compress(data, quality=4),
    "zstd": zstandard.compress,
    "gzip, br": lambda data: brotli.compress(gzip.compress(data, mtime=0)),
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("coding", CODINGS)
def test_coded_replies(appliance: Appliance, provider: Provider, coding: str, stream: bool) -> None:
    plain = b"".join(openai.chat_events(STREAM)) if stream else openai.chat(ASK)
    coded = CODINGS[coding](plain)
    more = b"content-encoding: " + coding.encode() + b"\r\n"
    kind = b"text/event-stream" if stream else JSON
    script = provider.add(f"coded-{coding}-{stream}", whole(coded, kind=kind, more=more))
    reply = appliance.call(CHAT, STREAM if stream else ASK, {"x-fake": script})
    assert reply.body == coded
    assert reply.values("content-encoding") == [coding.encode()]
    row = appliance.row(reply.id)
    assert (row["outcome"], row["total_tokens"], row["usage_source"]) == (
        "complete", 30, "provider",
    )  # fmt: skip
    assert row["response_bytes"] == len(coded)
    assert appliance.body(reply.id)["response"].encode() == plain


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
def test_bombs(appliance: Appliance, provider: Provider, coding: str) -> None:
    """200 MB of nothing in a few kilobytes: passed on, never unpacked, in both directions."""
    bomb = CODINGS[coding](b"\0" * (200 << 20))
    more = b"content-encoding: " + coding.encode() + b"\r\n"
    script = provider.add(f"bomb-{coding}", whole(bomb, more=more))
    before = peak_bytes(appliance.pid)
    reply = appliance.call(CHAT, bomb, {"x-fake": script, "Content-Encoding": coding})
    assert reply.body == bomb
    row = appliance.row(reply.id)
    assert row["derive_error"] is None
    assert {note.partition(";")[0] for note in row["not_applied"]} == {
        "decoding-request", "decoding-response",
    }  # fmt: skip
    assert peak_bytes(appliance.pid) - before < 100 << 20


def peak_bytes(pid: int) -> int:
    with open(f"/proc/{pid}/status") as file:
        line = next(line for line in file if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


@pytest.mark.parametrize("coding", ["gzip", "identity", "unheard-of"])
def test_wrong_codings(appliance: Appliance, provider: Provider, coding: str) -> None:
    """Said to be coded and not: the bytes are kept as they came, and read if they can be."""
    body = openai.chat(ASK)
    more = b"content-encoding: " + coding.encode() + b"\r\n"
    script = provider.add(f"wrong-{coding}", whole(body, more=more))
    reply = appliance.call(CHAT, ASK, {"x-fake": script})
    assert reply.body == body
    row = appliance.row(reply.id)
    assert row["derive_error"] is None
    if coding == "unheard-of":
        assert row["not_applied"] == ["decoding-response;reason=unknown"]
    else:
        assert row["total_tokens"] == 30


EVENTS = b"".join(openai.chat_events(STREAM))
STREAMS = {
    "as it should be": EVENTS,
    "carriage return and line feed": EVENTS.replace(b"\n", b"\r\n"),
    "carriage returns": EVENTS.replace(b"\n", b"\r"),
    "no space behind the colon": EVENTS.replace(b"data: ", b"data:"),
    "byte order mark": b"\xef\xbb\xbf" + EVENTS,
    "comments": b": ping\n\n" * 5000 + EVENTS,
    "ids and retries": b"retry: 5\nid: 7\n\n" + EVENTS,
    "data over several lines": EVENTS.replace(b'"usage":', b'\ndata: "usage":'),
    "nothing behind the last line": EVENTS.removesuffix(b"\n\n"),
}


@pytest.mark.parametrize("name", STREAMS)
def test_odd_streams(appliance: Appliance, provider: Provider, name: str) -> None:
    body = STREAMS[name]
    raw = head(b"200 OK", b"text/event-stream", b"transfer-encoding: chunked")
    # Cut at a prime: events, lines and letters of more than one byte fall apart.
    raw += b"".join(chunk(body[at : at + 97]) for at in range(0, len(body), 97)) + END
    reply = appliance.call(CHAT, STREAM, {"x-fake": provider.add(f"odd-{name}", raw)})
    assert (reply.body, reply.end) == (body, "clean")
    row = appliance.row(reply.id)
    assert (row["outcome"], row["derive_error"]) == ("complete", None)
    assert (row["usage_source"], row["total_tokens"]) == ("provider", 30)
    assert appliance.body(reply.id)["response"].encode() == body


def test_one_event_of_ten_megabytes(appliance: Appliance, provider: Provider) -> None:
    delta = {"choices": [{"index": 0, "delta": {"content": "x" * (10 << 20)}}]}
    body = b"data: " + json.dumps(delta).encode() + b"\n\n" + EVENTS
    raw = head(b"200 OK", b"text/event-stream", b"transfer-encoding: chunked")
    raw += chunk(body) + END
    reply = appliance.call(CHAT, STREAM, {"x-fake": provider.add("ten-megabytes", raw)})
    assert reply.body == body
    row = appliance.row(reply.id)
    assert (row["outcome"], row["total_tokens"]) == ("complete", 30)


REPLIES = {
    "empty": b"",
    "not JSON": b"<html>Bad gateway</html>",
    "half": b'{"model":"gpt-4o","usage":{"prompt_tok',
    "deep": b"[" * 100_000 + b"]" * 100_000,
    "a list": b'[{"usage":{}}]',
    "huge numbers": b'{"usage":{"prompt_tokens":1e400,"completion_tokens":' + b"9" * 30 + b"}}",
    "negative": b'{"usage":{"prompt_tokens":-5,"completion_tokens":3}}',
    "usage of another kind": b'{"usage":"none"}',
    "usage in text": b'{"usage":{"prompt_tokens":"19","completion_tokens":"11"}}',
    "not a number": b'{"usage":{"prompt_tokens":NaN}}',
    "a lone surrogate": rb'{"model":"\ud800","usage":{"prompt_tokens":1}}',
    "null": b'{"model":null,"usage":null,"choices":null}',
    "binary": bytes(range(256)) * 10,
}


@pytest.mark.parametrize("name", REPLIES)
@pytest.mark.parametrize("path", [CHAT, MESSAGES])
def test_odd_replies(appliance: Appliance, provider: Provider, name: str, path: str) -> None:
    body = REPLIES[name]
    script = provider.add(f"odd-reply-{name}", whole(body))
    reply = appliance.call(path, ASK, {"x-fake": script})
    assert reply.body == body
    row = appliance.row(reply.id)
    assert row["derive_error"] is None
    assert row["http_status"] == 200
    assert row["cost_usd"] is None or float(row["cost_usd"]) >= 0


def test_many_idle_connections_stop_nobody(appliance: Appliance) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    count = 1500
    if hard != resource.RLIM_INFINITY and hard < count + 200:
        pytest.skip("too few files may be open here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, count + 200), hard))
    idle = []
    try:
        for number in range(count):
            idle.append(appliance.client())
            if number % 2:
                idle[-1].send(b"POST /v1/gateway/oai HTTP/1.1\r\n")
        assert appliance.call(CHAT, ASK).status == 200
    finally:
        for client in idle:
            client.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
