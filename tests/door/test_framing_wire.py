"""Malformed requests over a real socket: refused, closed, and nothing smuggled behind them.

Each row is followed on the same connection by a request that must never be acted upon
(field.md B13, B14).
"""

from __future__ import annotations

import json
import uuid
from contextlib import suppress

import pytest

from tests.fakes.appliance import CHAT, OAI, Appliance
from tests.fakes.provider import Provider
from tests.fakes.raw_client import Ended, Reply

BODY = json.dumps({"model": "gpt-4o", "messages": []}).encode()
PATH = CHAT.encode()
POST = b"POST " + PATH + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n"
LENGTH = b"Content-Length: %d\r\n" % len(BODY)
CHUNKED = b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)


def with_length(value: bytes) -> bytes:
    return POST + b"Content-Length: " + value + b"\r\n\r\n" + BODY


def with_coding(value: bytes) -> bytes:
    return POST + b"Transfer-Encoding: " + value + b"\r\n\r\n" + CHUNKED


def with_header(line: bytes) -> bytes:
    return POST + line + b"\r\n" + LENGTH + b"\r\n" + BODY


def with_host(lines: bytes, target: bytes = PATH) -> bytes:
    return b"POST " + target + b" HTTP/1.1\r\n" + lines + LENGTH + b"\r\n" + BODY


TE = b"Transfer-Encoding: chunked\r\n"
HEADS: dict[str, tuple[bytes, int]] = {
    "length and chunked": (POST + LENGTH + TE + b"\r\n" + CHUNKED, 400),
    "chunked and length": (POST + TE + LENGTH + b"\r\n" + CHUNKED, 400),
    "two lengths": (POST + LENGTH + b"Content-Length: 5\r\n\r\n" + BODY, 400),
    "the same length twice": (POST + LENGTH + LENGTH + b"\r\n" + BODY, 400),
    "+length": (with_length(b"+%d" % len(BODY)), 400),
    "-1": (with_length(b"-1"), 400),
    "hexadecimal": (with_length(b"0x10"), 400),
    "underscore": (with_length(b"1_0"), 400),
    "list of lengths": (with_length(b"%d, %d" % (len(BODY), len(BODY))), 400),
    "empty length": (with_length(b""), 400),
    "20 digits": (with_length(b"1" * 20), 400),
    "40 digits": (with_length(b"9" * 40), 400),
    "digits of another script": (with_length("３".encode()), 400),
    "identity behind chunked": (with_coding(b"chunked, identity"), 400),
    "identity": (with_coding(b"identity"), 400),
    "another coding": (with_coding(b"gzip, chunked"), 501),
    "chunked twice": (with_coding(b"chunked, chunked"), 400),
    "two lines of coding": (POST + TE + TE + b"\r\n" + CHUNKED, 400),
    "xchunked": (with_coding(b"xchunked"), 400),
    "quoted": (with_coding(b'"chunked"'), 400),
    "with a parameter": (with_coding(b"chunked;q=1"), 400),
    "with a tab inside": (with_coding(b"chunk\ted"), 400),
    "vertical tab": (with_coding(b"\x0bchunked"), 400),
    "coding in HTTP/1.0": (
        POST.replace(b"1.1", b"1.0") + TE + b"\r\n" + CHUNKED, 400,
    ),
    "space before the colon": (with_header(b"Content-Length : 5"), 400),
    "coding, space before the colon": (
        POST + b"Transfer-Encoding : chunked\r\n" + LENGTH + b"\r\n" + BODY, 400,
    ),
    "bare line feeds": (POST.replace(b"\r\n", b"\n") + LENGTH + b"\n" + BODY, 400),
    "one bare line feed": (with_header(b"X-A: 1\nX-B: 2"), 400),
    "bare carriage return": (with_header(b"X-A: 1\rX-B: 2"), 400),
    "folded line": (with_header(b"X-A: 1\r\n folded"), 400),
    "null": (with_header(b"X-A: a\x00b"), 400),
    "control character": (with_header(b"X-A: a\x01b"), 400),
    "no colon": (with_header(b"X-A"), 400),
    "empty name": (with_header(b": value"), 400),
    "name with a space": (with_header(b"X A: 1"), 400),
    "name with a control character": (with_header(b"X\x7fA: 1"), 400),
    "no host": (with_host(b""), 400),
    "two hosts": (with_host(b"Host: 127.0.0.1\r\nHost: 127.0.0.1\r\n"), 400),
    "host with a path": (with_host(b"Host: 127.0.0.1/abc?x=\r\n"), 400),
    "host with a user": (with_host(b"Host: a@127.0.0.1\r\n"), 400),
    "another host in the target": (
        with_host(b"Host: 127.0.0.1\r\n", b"http://evil.example" + PATH), 400,
    ),
    "another scheme in the target": (
        with_host(b"Host: 127.0.0.1\r\n", b"file:///etc/passwd"), 400,
    ),
    "space in the target": (with_host(b"Host: 127.0.0.1\r\n", PATH + b" x"), 400),
    "no slash": (with_host(b"Host: 127.0.0.1\r\n", b"v1"), 400),
    "CONNECT": (b"CONNECT 127.0.0.1:80 HTTP/1.1\r\nHost: 127.0.0.1:80\r\n\r\n", 400),
    "unknown method": (b"P@ST / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "method in lower case": (b"post / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "HTTP/0.9": (b"GET /\r\n\r\n", 505),
    "HTTP/1.2": (b"GET / HTTP/1.2\r\nHost: a\r\n\r\n", 400),
    "HTTP/3.0": (b"GET / HTTP/3.0\r\nHost: a\r\n\r\n", 400),
    "not HTTP": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
    "too many headers": (POST + b"X-A: 1\r\n" * 300 + LENGTH + b"\r\n" + BODY, 431),
    "one enormous header": (with_header(b"X-A: " + b"a" * 100_000), 431),
    "an enormous target": (with_host(b"Host: a\r\n", b"/" + b"a" * 100_000), 414),
}  # fmt: skip

CHUNKS: dict[str, bytes] = {
    "not a number": b"zz\r\n",
    "negative": b"-1\r\n",
    "with a prefix": b"0x5\r\nhello\r\n0\r\n\r\n",
    "with a sign": b"+5\r\nhello\r\n0\r\n\r\n",
    "blank behind": b"5 \r\nhello\r\n0\r\n\r\n",
    "blank before": b" 5\r\nhello\r\n0\r\n\r\n",
    "17 digits": b"F" * 17 + b"\r\n",
    "empty size": b"\r\nhello",
    "longer than it says": b"5\r\nhello!\r\n0\r\n\r\n",
    "shorter than it says": b"6\r\nhello\r\n0\r\n\r\n",
    "ended by a line feed": b"5\nhello\n0\n\n",
    "data ended by a line feed": b"5\r\nhello\n0\r\n\r\n",
    "two bytes of anything": b"5\r\nhelloXX0\r\n\r\n",
    "extension of 1 MB": b"5;" + b"a" * 1_000_000 + b"\r\nhello\r\n0\r\n\r\n",
    "extension with a line feed": b"5;a\nb\r\nhello\r\n0\r\n\r\n",
    "mostly extensions": b"1;aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\nx\r\n" * 20_000,
    "trailer without a colon": b"0\r\nX-A\r\n\r\n",
    "folded trailer": b"0\r\nX-A: 1\r\n folded\r\n\r\n",
    "trailer with a line feed": b"0\r\nX-A: 1\nX-B: 2\r\n\r\n",
    "endless trailers": b"0\r\n" + b"X-A: 1\r\n" * 100_000,
}


def behind(mark: str) -> bytes:
    """The request that a confused parser would find behind the malformed one."""
    return f"GET {OAI}/v1/models?smuggled={mark} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()


def refused(appliance: Appliance, raw: bytes) -> Reply:
    with appliance.client() as client:
        with suppress(OSError):  # it may be refused before all of it was sent
            client.send(raw)
        reply = client.reply()
        assert reply.end == "clean"
        assert reply.first("connection") == b"close"
        assert client.ended() in ("cut", "reset")
    return reply


@pytest.mark.parametrize("name", HEADS)
def test_malformed_heads(appliance: Appliance, provider: Provider, name: str) -> None:
    raw, status = HEADS[name]
    mark = str(uuid.uuid4())
    provider.clear()
    reply = refused(appliance, raw + behind(mark))
    assert reply.status == status, reply.body
    assert provider.received == []
    assert b"helicone" not in reply.body.lower()


@pytest.mark.parametrize("name", CHUNKS)
def test_malformed_chunks(appliance: Appliance, provider: Provider, name: str) -> None:
    mark = str(uuid.uuid4())
    provider.clear()
    head = POST + TE + b"X-Mark: " + mark.encode() + b"\r\n\r\n"
    reply = refused(appliance, head + CHUNKS[name] + behind(mark))
    assert reply.status == 400
    assert reply.json["error"]["code"] == "malformed_body"
    assert provider.received == []
    row = appliance.row(reply.id)
    assert (row["outcome"], row["http_status"]) == ("refused", 400)


@pytest.mark.parametrize("size", [1, 3, 64])
def test_split_at_every_size(appliance: Appliance, size: int) -> None:
    """However a good request comes in pieces, it is one request."""
    raw = POST + TE + b"\r\n" + CHUNKED
    with appliance.client() as client:
        for at in range(0, len(raw), size):
            client.send(raw[at : at + size])
        assert client.reply().status == 200


def test_one_byte_chunks_are_a_request(appliance: Appliance, provider: Provider) -> None:
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in BODY) + b"0\r\n\r\n"
    with appliance.client() as client:
        client.send(POST + TE + b"\r\n" + chunks)
        assert client.reply().status == 200
    assert provider.received[-1].body == BODY


def test_what_is_allowed(appliance: Appliance) -> None:
    """The strict reading refuses nothing that clients send."""
    good = [
        b"\r\n\r\n" + POST + LENGTH + b"\r\n" + BODY,  # empty lines before a request
        POST + b"Content-Length:%d \t\r\n\r\n" % len(BODY) + BODY,
        POST + b"transfer-encoding: Chunked\r\n\r\n" + CHUNKED,
        POST + b"X-Empty:\r\n" + LENGTH + b"\r\n" + BODY,
        with_host(b"Host: localhost:8585\r\n"),
        with_host(b"Host: [::1]:80\r\n"),
        with_host(b"Host: 127.0.0.1\r\n", b"http://127.0.0.1" + PATH),
        POST + TE + b"\r\n" + b"5;name=value\r\n     \r\n" + CHUNKED,
    ]
    for raw in good:
        with appliance.client() as client:
            client.send(raw)
            assert client.reply().status == 200, raw


FULL_LANE = [
    POST + LENGTH + TE + b"\r\n" + CHUNKED,
    POST + LENGTH + LENGTH + b"\r\n" + BODY,
    POST + b"Content-Length: +%d\r\n\r\n" % len(BODY) + BODY,
    with_coding(b"chunked, identity"),
    with_host(b"Host: 127.0.0.1/abc?x=\r\n"),
    with_host(b"Host: 127.0.0.1\r\nHost: 127.0.0.1\r\n"),
    with_host(b"Host: 127.0.0.1\r\n", b"http://evil.example" + PATH),
    with_header(b"X-A: 1\r\n folded"),
    b"GET /healthcheck HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
    b"CONNECT 127.0.0.1:80 HTTP/1.1\r\nHost: 127.0.0.1:80\r\n\r\n",
]


@pytest.mark.parametrize("raw", FULL_LANE)
def test_the_full_lane_reads_no_message_that_the_fast_lane_refuses(
    appliance: Appliance, provider: Provider, raw: bytes
) -> None:
    mark = str(uuid.uuid4())
    provider.clear()
    with appliance.client() as client:
        assert client.call("/healthcheck", method="GET").status == 200
        client.send(raw + behind(mark))
        assert client.ended() in ("cut", "reset")
    assert provider.received == []


@pytest.mark.parametrize("path", [b"/healthcheck", PATH])
def test_bodies_do_not_leak_into_the_next_request(
    appliance: Appliance, provider: Provider, path: bytes
) -> None:
    """A body that looks like a request stays a body, whichever lane reads it."""
    mark = str(uuid.uuid4())
    provider.clear()
    inner = behind(mark)
    head = b"POST " + path + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    for raw in (
        head + b"Content-Length: %d\r\n\r\n%b" % (len(inner), inner),
        head + TE + b"\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(inner), inner),
    ):
        with appliance.client() as client:
            client.send(raw + b"GET /healthcheck HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            client.reply()
            try:
                assert client.head().status == 200
            except Ended:
                assert path == b"/healthcheck"  # a refused body ends the connection
    assert not any(b"smuggled" in received.head for received in provider.received)


def test_header_bomb_in_pieces(appliance: Appliance) -> None:
    """The bound holds while the end of the head has not been seen."""
    with appliance.client() as client:
        client.send(POST)
        with suppress(OSError):
            for _ in range(100):
                client.send(b"X-A: " + b"a" * 1000 + b"\r\n")
        reply = client.reply()
    assert reply.status == 431 or reply.end == "reset"
