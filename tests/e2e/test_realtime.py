"""WebSocket sessions through a running server: trio-websocket before it, a service behind."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import openai
import pytest
import trio
from trio_websocket import (
    ConnectionClosed,
    ConnectionRejected,
    WebSocketConnection,
    wrap_client_stream,
)

from tests.certificates import Authority
from tests.fakes.appliance import OAI, Appliance
from tests.fakes.fronts import TlsFront
from tests.fakes.patience import PATIENCE_S, TRIES
from tests.fakes.provider import Provider, Received
from tests.fakes.tls_client import trusting

CA = Authority()
GONE_S = 0.1
REALTIME = OAI + "/realtime?model=gpt-realtime"
Lines = list[tuple[bytes, bytes]]


@asynccontextmanager
async def session(
    appliance: Appliance, path: str = REALTIME, lines: Lines | None = None, **options: Any
) -> AsyncIterator[WebSocketConnection]:
    """A client's session; closed at the end, if it is still open."""
    given = [(b"Authorization", b"Bearer sk-own")] if lines is None else lines
    scheme, _, place = appliance.url.partition("://")
    host, port = place.split(":")
    with trio.fail_after(PATIENCE_S):
        stream: trio.abc.Stream = await trio.open_tcp_stream(host, int(port))
        if scheme == "https":
            stream = trio.SSLStream(stream, trusting(CA), server_hostname=host)
        async with stream, trio.open_nursery() as nursery:
            socket = await wrap_client_stream(
                nursery, stream, place, path, extra_headers=given, **options
            )
            try:
                yield socket
            finally:
                await socket.aclose()
                nursery.cancel_scope.cancel()


async def rejected(appliance: Appliance, lines: Lines) -> ConnectionRejected:
    """How the opening of a session is refused."""
    try:
        async with session(appliance, lines=lines):
            raise AssertionError("it was opened")
    except* ConnectionRejected as group:
        found = group.exceptions[0]
    assert isinstance(found, ConnectionRejected)
    return found


async def say(socket: WebSocketConnection, kind: str, /, **more: Any) -> None:
    await socket.send_message(json.dumps({"type": kind, **more}))


async def hear(socket: WebSocketConnection) -> Any:
    return json.loads(await socket.get_message())


async def until(socket: WebSocketConnection, kind: str) -> Any:
    while (event := await hear(socket))["type"] != kind:
        pass
    return event


async def end_of(socket: WebSocketConnection) -> Any:
    """How the other side ends it."""
    try:
        while True:
            await socket.get_message()
    except ConnectionClosed as closed:
        return closed.reason


def id_of(socket: WebSocketConnection) -> str:
    lines = {bytes(name).lower(): bytes(value) for name, value in socket.handshake_headers}
    return lines[b"helicone-id"].decode()


def newest(provider: Provider) -> Received:
    return provider.received[-1]


async def gone(request: Received) -> None:
    """Wait until the provider's connection has ended."""
    assert await trio.to_thread.run_sync(request.closed.wait, PATIENCE_S)


@pytest.mark.parametrize(
    "path",
    [REALTIME, OAI + "/v1/realtime?model=gpt-realtime", "/v1/realtime?model=gpt-realtime"],
)
async def test_every_door_leads_to_realtime(
    appliance: Appliance, provider: Provider, path: str
) -> None:
    async with session(appliance, path, subprotocols=["realtime", "other"]) as socket:
        assert socket.subprotocol == "realtime"
        assert (await hear(socket))["session"] == {"model": "gpt-realtime"}
        await say(socket, "response.create")
        await until(socket, "response.done")
        request, record = newest(provider), id_of(socket)
        assert (b"openai-request-id", b"req-1") in list(socket.handshake_headers)
    assert request.target == b"/v1/realtime?model=gpt-realtime"
    assert request.first(b"authorization") == b"Bearer sk-own"
    assert request.first(b"sec-websocket-protocol") == b"realtime, other"
    assert request.first(b"openai-beta") is None
    assert not [name for name, _ in request.headers if name.lower().startswith(b"helicone")]
    await gone(request)
    row = appliance.row(record)
    assert (row["status"], row["http_status"], row["outcome"]) == (200, 101, "complete")
    assert (row["model"], row["provider"], row["error"]) == ("gpt-realtime", "OPENAI", None)
    assert (row["prompt_tokens"], row["completion_tokens"]) == (68, 121)
    assert (row["prompt_audio_tokens"], row["completion_audio_tokens"]) == (9, 91)
    assert row["prompt_cache_read_tokens"] == 64
    assert Decimal(row["cost_usd"]) > 0
    body = appliance.body(record)
    asked, answered = (json.loads(body[name])["messages"] for name in ("request", "response"))
    assert [(item["from"], item["content"]["type"]) for item in asked] == [
        ("client", "response.create")
    ]
    kinds = [item["content"]["type"] for item in answered]
    assert (kinds[0], kinds[-1], len(kinds)) == ("session.created", "response.done", 5)


async def test_a_preview_is_asked_for_in_the_betas_words(
    appliance: Appliance, provider: Provider
) -> None:
    async with session(appliance, OAI + "/realtime?model=gpt-4o-realtime-preview"):
        assert newest(provider).values(b"openai-beta") == [b"realtime=v1"]


async def test_a_key_among_the_subprotocols(appliance: Appliance, provider: Provider) -> None:
    """As browsers bring it, who can set no header lines."""
    offered = ["realtime", "openai-insecure-api-key.sk-browser", "openai-beta.realtime-v1"]
    async with session(appliance, "/v1/realtime?model=a-preview", [], subprotocols=offered):
        request = newest(provider)
        assert request.first(b"authorization") == b"Bearer sk-browser"
        assert request.first(b"sec-websocket-protocol") == b"realtime, openai-beta.realtime-v1"
        assert request.first(b"openai-beta") is None


async def test_a_target_by_its_url(appliance: Appliance, provider: Provider) -> None:
    url = provider.url.replace("http", "ws", 1).encode() + b"/deep"
    async with session(appliance, "/any/socket?a=1", [(b"Helicone-Target-URL", url)]) as socket:
        await hear(socket)
        await socket.send_message(b"\x00\xff")
        assert await socket.get_message() == b"\x00\xff"
        assert newest(provider).target == b"/deep/any/socket?a=1"


@pytest.mark.parametrize("code", [1000, 3000, 4999])
async def test_close_codes_of_the_client(
    appliance: Appliance, provider: Provider, code: int
) -> None:
    async with session(appliance) as socket:
        await hear(socket)
        request, record = newest(provider), id_of(socket)
        await socket.aclose(code, "so long")
        assert socket.closed is not None
        assert (socket.closed.code, socket.closed.reason) == (code, "so long")
    await gone(request)
    assert request.room.closes() == [(code, "so long")]
    row = appliance.row(record)
    assert row["outcome"] == "complete"
    assert row["error"] == (None if code == 1000 else f"close_{code}_by_client")


@pytest.mark.parametrize("code", [1000, 1008, 1011, 4000])
async def test_close_codes_of_the_provider(appliance: Appliance, code: int) -> None:
    async with session(appliance) as socket:
        record = id_of(socket)
        await say(socket, "fake.close", code=code, reason="enough")
        reason = await end_of(socket)
        assert (reason.code, reason.reason) == (code, "enough")
    row = appliance.row(record)
    assert (row["status"], row["outcome"]) == (200, "complete")
    assert row["error"] == (None if code == 1000 else f"close_{code}_by_target")


async def test_a_client_that_goes_takes_the_provider_along(
    appliance: Appliance, provider: Provider
) -> None:
    took_s = []
    for _ in range(TRIES):
        async with session(appliance) as socket:
            await say(socket, "response.create")
            await until(socket, "response.done")
            request, record = newest(provider), id_of(socket)
            gone_at_s = time.monotonic()
            await socket._stream.aclose()
            await gone(request)
        row = appliance.row(record)
        assert (row["status"], row["outcome"]) == (200, "client_gone")
        assert row["completion_audio_tokens"] == 91
        took_s.append(request.closed_at_s - gone_at_s)
        if took_s[-1] <= GONE_S:
            break
    assert min(took_s) <= GONE_S


@pytest.mark.parametrize(("kind", "code"), [("fake.vanish", 1011), ("fake.half", 1006)])
async def test_a_provider_that_goes_is_told_as_a_failure(
    appliance: Appliance, kind: str, code: int
) -> None:
    """Inside a frame nothing can be told any more, and the connection just ends."""
    async with session(appliance) as socket:
        record = id_of(socket)
        await say(socket, kind)
        assert (await end_of(socket)).code == code
    row = appliance.row(record)
    assert (row["status"], row["outcome"], row["error"]) == (200, "cut", "provider_lost")


async def test_pings_pass_from_end_to_end(appliance: Appliance, provider: Provider) -> None:
    async with session(appliance) as socket:
        await hear(socket)
        await socket.ping(b"from the client")
        await say(socket, "fake.ping")
        await say(socket, "last")
        await until(socket, "echo")
        await say(socket, "last")
        await until(socket, "echo")
        assert newest(provider).room.pongs() == [b"from the provider"]


async def test_messages_of_any_size_are_kept_whole(
    appliance: Appliance, provider: Provider
) -> None:
    """More than is held in memory, on both sides."""
    text = "ä" * 100_000
    async with session(appliance, max_message_size=4 << 20) as socket:
        record = id_of(socket)
        await hear(socket)
        for number in range(5):
            await say(socket, "mine", number=number, text=text)
            assert (await hear(socket))["event"]["text"] == text
        request = newest(provider)
    await gone(request)
    body = appliance.body(record)
    for side, name in (("request", "mine"), ("response", "echo")):
        messages = [item["content"] for item in json.loads(body[side])["messages"]]
        mine = [item if side == "request" else item["event"] for item in messages[-5:]]
        assert [item["number"] for item in mine] == [0, 1, 2, 3, 4], name
        assert all(item["text"] == text for item in mine)


async def test_the_providers_refusal_is_passed_on(appliance: Appliance, provider: Provider) -> None:
    refusal = await rejected(appliance, [(b"x-fake", b"fake-error-429")])
    assert refusal.status_code == 429
    assert b"error" in (refusal.body or b"")
    lines = dict(refusal.headers or ())
    row = appliance.row(lines[b"helicone-id"].decode())
    assert (row["status"], row["outcome"], row["model"]) == (429, "complete", "gpt-realtime")


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\r\n",
    ],
)
async def test_a_switch_that_is_none(
    appliance: Appliance, provider: Provider, answer: bytes
) -> None:
    name = provider.add(f"odd-switch-{len(answer)}", answer)
    refusal = await rejected(appliance, [(b"x-fake", name.encode())])
    assert refusal.status_code == 502


OPENING = {
    "Connection": "keep-alive, Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version": "13",
}


@pytest.mark.parametrize(
    ("change", "method", "path", "status", "word"),
    [
        ({"Connection": "keep-alive"}, "GET", REALTIME, 400, "Connection: Upgrade"),
        ({"Sec-WebSocket-Version": "8"}, "GET", REALTIME, 426, "13"),
        ({"Sec-WebSocket-Key": "short"}, "GET", REALTIME, 400, "Sec-WebSocket-Key"),
        ({"Content-Length": "3"}, "GET", REALTIME, 400, "no body"),
        ({}, "POST", REALTIME, 400, "GET"),
        ({"__helicone-mock-response": "hi"}, "GET", REALTIME, 400, "mock-response"),
        ({}, "GET", "/ai/v1/chat/completions", 400, "/v1/gateway/{provider}"),
        ({}, "GET", REALTIME + "&resource=a", 400, "deployment"),
        ({}, "GET", REALTIME + "&deployment=d&resource=evil.example/", 400, "resource"),
        ({"Origin": "https://evil.example"}, "GET", REALTIME, 403, ""),
    ],
)
def test_what_is_no_opening_reaches_nobody(
    appliance: Appliance,
    provider: Provider,
    change: dict[str, str],
    method: str,
    path: str,
    status: int,
    word: str,
) -> None:
    seen = len(provider.received)
    with appliance.client() as client:
        client.request(path, b"", {**OPENING, **change}, method=method, framing=False)
        if "Content-Length" in change:
            client.send(b"abc")
        reply = client.reply()
    assert reply.status == status
    assert word in reply.json["error"]["message"]
    assert status != 426 or reply.first("sec-websocket-version") == b"13"
    assert len(provider.received) == seen


def test_no_extension_is_agreed_on(appliance: Appliance, provider: Provider) -> None:
    lines = {**OPENING, "Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits"}
    with appliance.client() as client:
        client.request(REALTIME, None, lines, method="GET")
        # A 101 is no final head for this client: it is among the early ones.
        head = client.read_until(b"\r\n\r\n").lower()
    assert head.startswith(b"http/1.1 101 switching protocols\r\n")
    assert b"sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=" in head
    assert b"extensions" not in head
    assert newest(provider).first(b"sec-websocket-extensions") is None


async def test_one_session_is_one_request_for_the_limiter(appliance: Appliance) -> None:
    lines = [(b"Helicone-RateLimit-Policy", b"1;w=600;s=user"), (b"Helicone-User-Id", b"ws-limit")]
    async with session(appliance, lines=lines) as socket:
        for _ in range(3):
            await say(socket, "any")
            await until(socket, "echo")
    refusal = await rejected(appliance, lines)
    assert refusal.status_code == 429


async def test_what_means_nothing_here_is_named(appliance: Appliance) -> None:
    async with session(appliance, lines=[(b"Helicone-Cache-Enabled", b"true")]) as socket:
        record = id_of(socket)
        lines = list(socket.handshake_headers)
        assert (b"helicone-not-applied", b"cache;reason=websocket") in [
            (name.lower(), value) for name, value in lines
        ]
    assert appliance.row(record)["not_applied"] == ["cache;reason=websocket"]


async def test_bodies_that_are_not_to_be_kept_leave_their_usage(appliance: Appliance) -> None:
    lines = [(b"Helicone-Omit-Request", b"true"), (b"Helicone-Omit-Response", b"true")]
    async with session(appliance, lines=lines) as socket:
        record = id_of(socket)
        await say(socket, "response.create", secret="do not keep")
        await until(socket, "response.done")
    row = appliance.row(record)
    assert (row["completion_audio_tokens"], row["model"]) == (91, "gpt-realtime")
    body = appliance.body(record)
    assert json.loads(body["request"]) == {"model": "gpt-realtime"}
    assert json.loads(body["response"]) == {"model": "gpt-realtime"}


# -- servers of their own ------------------------------------------------------------------------


async def test_too_large_a_message_ends_both_sides(provider: Provider, tmp_path: Path) -> None:
    with Appliance(tmp_path, provider, config='message_bytes_max = "64KiB"\n') as appliance:
        for kind, more in (("mine", {"text": "x" * 70_000}), ("fake.say", {"size": 70_000})):
            async with session(appliance) as socket:
                record, request = id_of(socket), newest(provider)
                await hear(socket)
                await say(socket, kind, **more)
                reason = await end_of(socket)
                assert (reason.code, reason.reason) == (1009, "a message over message_bytes_max")
            await gone(request)
            assert request.room.closes() == [(1009, "a message over message_bytes_max")]
            row = appliance.row(record)
            assert (row["outcome"], row["error"]) == ("cut", "message_too_large")


async def test_a_session_is_told_that_the_server_ends(provider: Provider, tmp_path: Path) -> None:
    with Appliance(tmp_path, provider) as appliance:
        async with session(appliance) as socket:
            record, request = id_of(socket), newest(provider)
            await hear(socket)
            appliance.terminate()
            assert (await end_of(socket)).code == 1001
        await gone(request)
        assert request.room.closes() == [(1001, "the server is shutting down")]
        assert appliance.wait() == 0
        row = appliance.row(record)
        assert (row["outcome"], row["error"], row["status"]) == ("cut", "shutdown", 200)


async def test_over_tls_on_both_sides(provider: Provider, tmp_path: Path) -> None:
    """Both directions at once, as fast as they go."""
    certificate, key = CA.issue("127.0.0.1").write(tmp_path, "server")
    with TlsFront(provider.url, CA.issue("127.0.0.1"), tmp_path) as front:
        config = f'tls_cert = "{certificate}"\ntls_key = "{key}"\n'
        config += (
            f'[providers.openai]\nbase_url = "{front.url}"\nca_file = "{CA.write(tmp_path)}"\n'
        )
        with Appliance(tmp_path / "own", config=config) as appliance:
            async with session(appliance, max_message_size=1 << 20) as socket:
                record = id_of(socket)
                await hear(socket)
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(say_many, socket, 300)
                    for number in range(300):
                        assert (await hear(socket))["event"]["number"] == number
                await socket.aclose(4000)
            row = appliance.row(record)
            assert (row["outcome"], row["error"]) == ("complete", "close_4000_by_client")
            said = json.loads(appliance.body(record)["request"])["messages"]
            assert [item["content"]["number"] for item in said] == list(range(300))


async def say_many(socket: WebSocketConnection, count: int) -> None:
    for number in range(count):
        await say(socket, "one", number=number, text="x" * (number * 37 % 5000))


async def test_keys_that_are_lent(provider: Provider, tmp_path: Path) -> None:
    helicone = "sk-helicone-aaaaaaa-bbbbbbb-ccccccc-ddddddd"
    environ = {"OPENAI_API_KEY": "sk-env"}
    with Appliance(tmp_path, provider, environ=environ, lends=True) as appliance:
        for lines, offered in (
            ([(b"Helicone-Auth", b"Bearer " + helicone.encode())], ["realtime"]),
            ([(b"Authorization", b"Bearer " + helicone.encode())], ["realtime"]),
            ([], ["realtime", f"openai-insecure-api-key.{helicone}"]),
        ):
            path = "/v1/realtime?model=gpt-realtime"
            async with session(appliance, path, lines, subprotocols=offered) as socket:
                assert socket.subprotocol == "realtime"
                request = newest(provider)
                assert request.values(b"authorization") == [b"Bearer sk-env"]
                assert helicone.encode() not in request.head
    for secret in ("sk-env", helicone):
        assert secret not in appliance.log


async def test_azure_by_resource_and_deployment(provider: Provider, tmp_path: Path) -> None:
    config = f'[providers.azure]\nbase_url = "{provider.url}"\n'
    with Appliance(tmp_path, provider, config=config) as appliance:
        path = OAI + "/realtime?resource=mine&deployment=d-1"
        async with session(appliance, path) as socket:
            await hear(socket)
            record, request = id_of(socket), newest(provider)
        assert request.target == (b"/openai/realtime?api-version=2024-10-01-preview&deployment=d-1")
        assert request.first(b"api-key") == b"sk-own"
        assert request.first(b"authorization") is None
        assert appliance.row(record)["provider"] == "AZURE"


@pytest.mark.filterwarnings("ignore:connect.. must be used:DeprecationWarning")
def test_the_official_client(appliance: Appliance, provider: Provider) -> None:
    """OpenAI's own, whose sockets are the package `websockets`."""
    pytest.importorskip("websockets")
    base = f"{appliance.url}{OAI}"
    client = openai.OpenAI(api_key="sk-own", base_url=base, max_retries=0)
    with client.realtime.connect(model="gpt-realtime") as socket:
        assert socket.recv().type == "session.created"
        socket.response.create()
        kinds = []
        for event in socket:
            kinds.append(event.type)
            if event.type == "response.done":
                assert event.response.usage is not None
                assert event.response.usage.total_tokens == 253
                break
        record = socket._connection.response.headers["helicone-id"]
    assert kinds[0] == "response.created"
    assert newest(provider).target == b"/v1/realtime?model=gpt-realtime"
    row = appliance.row(record)
    assert (row["status"], row["outcome"], row["model"]) == (200, "complete", "gpt-realtime")
    assert row["completion_audio_tokens"] == 91
