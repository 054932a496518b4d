"""Direct and through the program, side by side: the same bytes both ways.

What may differ is named here: hop-by-hop headers, Host, the framing of a body, and our own headers.
"""

from __future__ import annotations

import gzip
import json
import uuid
from typing import Any

import pytest

from tests.fakes.appliance import ANTHROPIC, CHAT, OAI, Appliance
from tests.fakes.provider import Provider, Received
from tests.fakes.provider_scripts import big_body
from tests.fakes.raw_client import Headers, RawClient, Reply

OURS = (b"helicone-id", b"helicone-status")
HOPS = (b"connection", b"transfer-encoding", b"keep-alive")
ASK: dict[str, Any] = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hé 你"}]}


def passed(headers: Headers, *, without: tuple[bytes, ...] = ()) -> Headers:
    """The headers that must be the same, in their order."""
    dropped = (*HOPS, *OURS, *without)
    return [(name, value) for name, value in headers if name.lower() not in dropped]


def both(
    appliance: Appliance,
    provider: Provider,
    path: str,
    body: bytes | dict[str, Any] | None = None,
    headers: dict[str, str] | None = None,
    *,
    prefix: str = OAI,
    method: str = "POST",
) -> tuple[Reply, Reply]:
    """The same request direct and through."""
    with RawClient(provider.url) as client:
        direct = client.call(path, body, headers, method=method)
    through = appliance.call(prefix + path, body, headers, method=method)
    return direct, through


SCRIPTS = [
    "fake-normal", "fake-gzip", "fake-1xx", "fake-trailers", "fake-until-close", "fake-http10",
    "fake-duplicate-headers", "fake-204", "fake-304", "fake-error-400", "fake-error-429",
    "fake-error-500", "fake-no-done", "fake-error-in-200", "fake-redirect",
]  # fmt: skip


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("script", SCRIPTS)
def test_replies(appliance: Appliance, provider: Provider, script: str, stream: bool) -> None:
    ask = {**ASK, "stream": stream}
    direct, through = both(appliance, provider, "/v1/chat/completions", ask, {"x-fake": script})
    assert through.end == direct.end == "clean"
    # The reason is the provider's; the version is ours.
    assert through.line.partition(b" ")[2] == direct.line.partition(b" ")[2]
    assert passed(through.headers) == passed(direct.headers)
    assert through.body == direct.body
    assert through.trailers == direct.trailers
    assert through.early == direct.early
    assert through.first("content-length") == direct.first("content-length")
    row = appliance.row(through.id)
    assert row["http_status"] == direct.status
    assert row["response_bytes"] == len(direct.body)


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages?beta=true&x=%2F%20a+b"])
@pytest.mark.parametrize("stream", [False, True])
def test_anthropic_replies(
    appliance: Appliance, provider: Provider, path: str, stream: bool
) -> None:
    ask = {**ASK, "stream": stream, "max_tokens": 5}
    direct, through = both(appliance, provider, path, ask, prefix=ANTHROPIC)
    assert (through.status, through.body) == (direct.status, direct.body)
    assert passed(through.headers) == passed(direct.headers)
    assert provider.received[-1].target == path.encode()


def test_frames_of_a_paced_stream_arrive_one_by_one(
    appliance: Appliance, provider: Provider
) -> None:
    ask = {**ASK, "model": "fake-paced-5", "stream": True}
    direct, through = both(appliance, provider, "/v1/chat/completions", ask)
    assert through.body == direct.body
    # Two may meet on a slow machine; a buffer in between would join them all.
    assert len(through.frames) > len(direct.frames) // 2


@pytest.mark.parametrize("script", ["fake-normal", "fake-head"])
def test_head(appliance: Appliance, provider: Provider, script: str) -> None:
    provider.add(
        "head-normal", b"HTTP/1.1 200 OK\r\ncontent-type: a/b\r\ncontent-length: 17\r\n\r\n"
    )
    name = "head-normal" if script == "fake-normal" else script
    direct, through = both(appliance, provider, "/v1/models", None, {"x-fake": name}, method="HEAD")
    assert passed(through.headers) == passed(direct.headers)
    assert through.first("content-length") == direct.first("content-length")


def test_the_connection_goes_on_after_replies_without_body(
    appliance: Appliance, provider: Provider
) -> None:
    with appliance.client() as client:
        for script, method in (
            ("fake-head", "HEAD"), ("fake-204", "POST"), ("fake-304", "GET"), ("", "POST"),
        ):  # fmt: skip
            headers = {"x-fake": script} if script else {}
            path = OAI + "/v1/chat/completions"
            reply = client.call(path, ASK if method == "POST" else None, headers, method=method)
            assert reply.end == "clean"
        assert json.loads(reply.body)["usage"]["total_tokens"] == 30


ODD_HEADERS: Headers = [
    (b"Authorization", b"Bearer sk-test-0123"),
    (b"X-Twice", b"one"),
    (b"x-twice", b"two"),
    (b"X-Empty", b""),
    (b"X-Latin", b"caf\xe9"),
    (b"X-UTF8", "naïve ☕".encode()),
    (b"Accept-Encoding", b"gzip, br, zstd"),
    (b"OpenAI-Organization", b"org-1"),
    (b"Cookie", b"a=1; b=2"),
    (b"X-Long", b"x" * 8000),
]
BODIES = {
    "spaces kept": b'{ "model" :"gpt-4o",\n\t"messages":[ ] }  \n',
    "duplicate keys": b'{"model":"a","model":"gpt-4o","messages":[],"n":1,"n":2}',
    "odd numbers": b'{"model":"gpt-4o","x":1e400,"y":123456789012345678901234567890,"z":1.0}',
    "escapes": rb'{"model":"gpt-4o","x":"\ud800 \u0000 \/ \u00e9"}',
    "byte order mark": b'\xef\xbb\xbf{"model":"gpt-4o"}',
    "not JSON": b"\x00\x01\xff binary",
    "empty": b"",
    "deep": b'{"model":"gpt-4o","x":' + b"[" * 3000 + b"]" * 3000 + b"}",
}


@pytest.mark.parametrize("name", BODIES)
def test_requests(appliance: Appliance, provider: Provider, name: str) -> None:
    mark = str(uuid.uuid4()).encode()
    headers = [*ODD_HEADERS, (b"X-Mark", mark)]
    body = BODIES[name]
    reply = appliance.call(CHAT, body, [*headers, (b"Helicone-User-Id", b"u"), (b"TE", b"gzip")])
    assert reply.status == 200
    received = provider.find(mark)
    assert received.body == body
    expected = passed(received.headers, without=(b"host", b"content-length"))
    assert expected == headers
    assert received.values(b"host") == [provider.url.removeprefix("http://").encode()]
    assert received.values(b"content-length") == [b"%d" % len(body)]
    row = appliance.row(reply.id)
    assert row["request_bytes"] == len(body)
    assert row["derive_error"] is None


def test_a_compressed_request(appliance: Appliance, provider: Provider) -> None:
    mark = str(uuid.uuid4())
    body = gzip.compress(json.dumps(ASK).encode(), mtime=0)
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/json", "X-Mark": mark}
    reply = appliance.call(CHAT, body, {**headers, "x-fake": "fake-echo"})
    received = provider.find(mark)
    assert received.body == body
    assert received.first(b"content-encoding") == b"gzip"
    row = appliance.row(reply.id)
    assert row["request_model"] == "gpt-4o"
    assert json.loads(appliance.body(reply.id)["request"]) == ASK


def chunked(body: bytes, size: int, trailers: bytes = b"") -> bytes:
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    return chunks + b"0\r\n" + trailers + b"\r\n"


@pytest.mark.parametrize("trailers", [b"", b"X-Sum: abc\r\nx-second: two words\r\n"])
@pytest.mark.parametrize("size", [1, 17, 10_000])
def test_chunked_requests(
    appliance: Appliance, provider: Provider, size: int, trailers: bytes
) -> None:
    mark = str(uuid.uuid4())
    body = json.dumps({**ASK, "padding": "x" * 400}).encode()
    with appliance.client() as client:
        client.request(CHAT, None, {"Transfer-Encoding": "chunked", "X-Mark": mark}, framing=False)
        client.send(chunked(body, size, trailers))
        reply = client.reply()
        again = client.call(CHAT, ASK)
    assert (reply.status, again.status) == (200, 200)
    received = provider.find(mark)
    assert received.body == body
    assert received.trailers == (
        [(b"X-Sum", b"abc"), (b"x-second", b"two words")] if trailers else []
    )
    framed = received.values(b"content-length") + received.values(b"transfer-encoding")
    assert len(framed) == 1
    assert json.loads(appliance.body(reply.id)["request"])["padding"]


def test_large_chunked_request_with_trailers(appliance: Appliance, provider: Provider) -> None:
    """Spilled to disk on the way, and still framed with its trailers."""
    mark = str(uuid.uuid4())
    body = big_body(1500)
    with appliance.client() as client:
        client.request(CHAT, None, {"Transfer-Encoding": "chunked", "X-Mark": mark}, framing=False)
        client.send(chunked(body, 100_000, b"X-Sum: abc\r\n"))
        assert client.reply().status == 200
    received = provider.find(mark)
    assert received.body == body
    assert received.trailers == [(b"X-Sum", b"abc")]


def test_expect_continue(appliance: Appliance, provider: Provider) -> None:
    mark = str(uuid.uuid4())
    body = json.dumps(ASK).encode()
    headers = {"Expect": "100-continue", "Content-Length": str(len(body)), "X-Mark": mark}
    with appliance.client() as client:
        client.request(CHAT, None, headers, framing=False)
        assert client.read_until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.send(body)
        reply = client.reply()
    assert (reply.status, reply.early) == (200, [])
    assert provider.find(mark).values(b"expect") == []


def test_expect_continue_with_the_body_right_behind(appliance: Appliance) -> None:
    """Nobody waits: then none is sent."""
    with appliance.client() as client:
        reply = client.call(CHAT, ASK, {"Expect": "100-continue"})
    assert (reply.status, reply.early) == (200, [])


def test_expect_continue_is_refused_before_the_body(appliance: Appliance) -> None:
    """A foreign page's request is told so instead of being asked for its body."""
    headers = {
        "Expect": "100-continue", "Content-Length": "1000000", "Origin": "https://evil.example",
    }  # fmt: skip
    with appliance.client() as client:
        client.request(CHAT, None, headers, framing=False)
        reply = client.reply()
        assert (reply.status, reply.early) == (403, [])
        assert client.ended() == "cut"


def received_of(provider: Provider, path: str) -> Received:
    return provider.find(path)


def test_paths_and_queries_are_kept(appliance: Appliance, provider: Provider) -> None:
    for path in (
        "/v1/chat/completions?a=1&b=%20c&a=2",
        "/v1/files/file%2Fname/content",
        "/v1/x//y",
        "/v1/caf%C3%A9?q=%E4%BD%A0",
        "/v1/models?",
    ):
        assert appliance.call(OAI + path, None, method="GET").status == 200
        assert provider.received[-1].target == path.encode()


def test_large_reply_is_kept_in_a_blob(appliance: Appliance, provider: Provider) -> None:
    ask = {**ASK, "model": "fake-big-3072"}
    direct, through = both(appliance, provider, "/v1/chat/completions", ask)
    assert through.body == direct.body == big_body(3072)
    row = appliance.row(through.id)
    assert (row["outcome"], row["response_bytes"], row["truncated"]) == (
        "complete", len(direct.body), False,
    )  # fmt: skip
    assert appliance.body(through.id)["response"].encode() == direct.body
    assert any((appliance.data / "blobs").glob("??/*"))


def test_large_request_is_spilled_and_sent_on(appliance: Appliance, provider: Provider) -> None:
    mark = str(uuid.uuid4())
    body = big_body(5120)
    reply = appliance.call(CHAT, body, {"X-Mark": mark, "Content-Type": "application/json"})
    assert reply.status == 200
    assert provider.find(mark).body == body
    row = appliance.row(reply.id)
    assert (row["request_bytes"], row["truncated"]) == (len(body), False)
    assert appliance.body(reply.id)["request"].encode() == body
    assert list((appliance.data / "tmp").iterdir()) == []


def test_early_reply_while_the_body_is_being_sent(appliance: Appliance, provider: Provider) -> None:
    """The provider refuses a large body after its first kilobyte: the client gets to read that."""
    reply = appliance.call(CHAT, big_body(20_000), {"x-fake": "fake-early-413"})
    assert (reply.status, reply.end) == (413, "clean")
    assert reply.json["error"]["message"] == "too large"
    row = appliance.row(reply.id)
    assert (row["status"], row["outcome"]) == (413, "complete")
    assert list((appliance.data / "tmp").iterdir()) == []
