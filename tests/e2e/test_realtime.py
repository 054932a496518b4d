"""WebSocket sessions through a running server: trio-websocket before it, a service behind."""

from __future__ import annotations

import json
import time
from decimal import Decimal

import openai
import pytest

from tests.e2e.realtime_kit import (
    REALTIME,
    end_of,
    gone,
    hear,
    id_of,
    newest,
    rejected,
    say,
    session,
    until,
)
from tests.fakes.appliance import OAI, Appliance
from tests.fakes.patience import TRIES
from tests.fakes.provider import Provider

GONE_S = 0.1


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
