"""Connections on both sides: reuse, pipelining, HTTP/1.0 and HTTP/2, hand-over between lanes."""

from __future__ import annotations

import json
import uuid
from typing import Any

import httpx2
import pytest

from tests.fakes.appliance import CHAT, OAI, Appliance
from tests.fakes.patience import PATIENCE_S
from tests.fakes.provider import Provider, Talk
from tests.fakes.provider_scripts import body_of, read, whole
from tests.fakes.raw_client import RawClient, Reply

ASK: dict[str, Any] = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hi"}]}
STREAM: dict[str, Any] = {**ASK, "stream": True}
OLD = b"POST %b HTTP/1.0\r\nHost: %b\r\nContent-Length: %d\r\n\r\n%b"


def is_chat(reply: Reply) -> bool:
    return reply.status == 200 and reply.json["object"] == "chat.completion"


def test_a_client_connection_is_reused(appliance: Appliance) -> None:
    with appliance.client() as client:
        ids = set()
        for number in range(20):
            reply = client.call(CHAT, {**ASK, "n": 10**number})
            assert is_chat(reply)
            ids.add(reply.id)
        for _ in range(3):
            assert client.call(CHAT, STREAM).end == "clean"
    assert len(ids) == 20
    assert all(appliance.row(name)["outcome"] == "complete" for name in ids)


def test_different_heads_on_one_connection_are_told_apart(
    appliance: Appliance, provider: Provider
) -> None:
    """What was worked out for one head must not be used for the next."""
    with appliance.client() as client:
        rows = []
        for user in ("ann", "bob", "ann", ""):
            headers = {"Helicone-User-Id": user} if user else {}
            rows.append(appliance.row(client.call(CHAT, ASK, headers).id))
        reply = client.call(OAI + "/v1/embeddings", {"model": "text-embedding-3-small"})
    assert [row["user_id"] for row in rows] == ["ann", "bob", "ann", None]
    assert appliance.row(reply.id)["request_path"].endswith("/v1/embeddings")
    assert provider.received[-1].target == b"/v1/embeddings"


def test_connection_close_is_obeyed(appliance: Appliance) -> None:
    with appliance.client() as client:
        reply = client.call(CHAT, ASK, {"Connection": "close"})
        assert reply.first("connection") == b"close"
        assert client.ended() == "cut"


def test_pipelined_requests_are_answered_in_order(appliance: Appliance) -> None:
    bodies = [json.dumps({**ASK, "user": f"pipe-{number}"}).encode() for number in range(8)]
    head = "POST {} HTTP/1.1\r\nHost: {}\r\nHelicone-User-Id: pipe-{}\r\nContent-Length: {}\r\n\r\n"
    with appliance.client() as client:
        host = client.host.decode()
        client.send(
            b"".join(
                head.format(CHAT, host, number, len(body)).encode() + body
                for number, body in enumerate(bodies)
            )
        )
        replies = [client.reply() for _ in bodies]
    users = [appliance.row(reply.id)["user_id"] for reply in replies]
    assert users == [f"pipe-{number}" for number in range(8)]


@pytest.mark.parametrize("ask", [ASK, STREAM])
def test_an_http_1_0_client(appliance: Appliance, ask: dict[str, Any]) -> None:
    body = json.dumps(ask).encode()
    with appliance.client() as client:
        client.send(OLD % (CHAT.encode(), client.host, len(body), body))
        reply = client.reply()
    assert (reply.status, reply.end) == (200, "clean")
    assert reply.first("transfer-encoding") is None
    if ask is STREAM:
        assert reply.body.endswith(b"data: [DONE]\n\n")
    assert appliance.row(reply.id)["outcome"] == "complete"


def test_a_cut_stream_shows_to_an_http_1_0_client_only_by_its_content(
    appliance: Appliance,
) -> None:
    """Without chunks there is no clean end to withhold; nothing is invented either."""
    body = json.dumps({**STREAM, "model": "fake-cut-after-2"}).encode()
    with appliance.client() as client:
        client.send(OLD % (CHAT.encode(), client.host, len(body), body))
        reply = client.reply()
    assert b"[DONE]" not in reply.body
    assert appliance.row(reply.id)["outcome"] == "cut"


# -- towards the provider ------------------------------------------------------------------------


def test_provider_connections_are_reused(appliance: Appliance, provider: Provider) -> None:
    marks = [str(uuid.uuid4()) for _ in range(5)]
    for mark in marks:
        assert is_chat(appliance.call(CHAT, ASK, {"X-Mark": mark}))
    assert len({provider.find(mark).connection for mark in marks}) == 1


def test_a_stale_connection_is_retried_once(appliance: Appliance, provider: Provider) -> None:
    """The provider closes a kept connection on its second request, before a byte of a reply."""
    first, second = str(uuid.uuid4()), str(uuid.uuid4())
    for mark in (first, second):
        reply = appliance.call(CHAT, ASK, {"x-fake": "fake-stale", "X-Mark": mark})
        assert is_chat(reply)
    tries = provider.all(second)
    assert [received.number for received in tries] == [2, 1]
    row = appliance.row(reply.id)
    assert (row["outcome"], row["status"]) == ("complete", 200)


def test_a_fresh_connection_is_never_retried(appliance: Appliance, provider: Provider) -> None:
    mark = str(uuid.uuid4())
    headers = {"x-fake": "fake-close-before-headers", "X-Mark": mark}
    for _ in range(2):  # the first may meet a kept connection, after which there is none left
        provider.clear()
        reply = appliance.call(CHAT, ASK, headers)
        assert reply.status == 502
    tries = provider.all(mark)
    assert [received.number for received in tries].count(1) == 1
    assert appliance.row(reply.id)["http_status"] == 502


def test_a_connection_closed_while_idle_is_not_used(
    appliance: Appliance, provider: Provider
) -> None:
    async def then_close(talk: Talk) -> None:
        await read(talk)
        await talk.send(whole(body_of(talk)))
        talk.keep = False

    name = provider.add("then-close", then_close)
    for _ in range(4):
        mark = str(uuid.uuid4())
        assert is_chat(appliance.call(CHAT, ASK, {"x-fake": name, "X-Mark": mark}))
        assert provider.find(mark).closed.wait(PATIENCE_S)
    assert len(provider.all(mark)) == 1


def test_bytes_behind_a_reply_poison_nothing(appliance: Appliance, provider: Provider) -> None:
    """A provider that sends more than its reply: the next client must not get it."""
    evil = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil"
    name = provider.add("more", whole(b'{"a":1}') + evil)
    for _ in range(3):
        assert appliance.call(CHAT, ASK, {"x-fake": name}).body == b'{"a":1}'
        assert is_chat(appliance.call(CHAT, ASK))


# -- lanes ---------------------------------------------------------------------------------------


def test_hand_over_to_the_full_lane_and_llm_traffic_there(
    appliance: Appliance, provider: Provider
) -> None:
    mark = str(uuid.uuid4())
    with appliance.client() as client:
        assert is_chat(client.call(CHAT, ASK))
        health = client.call("/healthcheck", method="GET")
        assert health.status == 200
        assert health.first("connection") != b"close"
        reply = client.call(CHAT, ASK, {"X-Mark": mark, "Helicone-User-Id": "full"})
        assert is_chat(reply)
        assert reply.first("connection") == b"close"
        assert client.ended() == "cut"
    assert provider.find(mark).json == ASK
    row = appliance.row(reply.id)
    assert (row["outcome"], row["user_id"]) == ("complete", "full")
    assert json.loads(appliance.body(reply.id)["response"]) == reply.json


def test_a_pipelined_hand_over(appliance: Appliance) -> None:
    body = json.dumps(ASK).encode()
    with appliance.client() as client:
        host = client.host
        ask = b"POST %b HTTP/1.1\r\nHost: %b\r\nContent-Length: %d\r\n\r\n%b" % (
            CHAT.encode(), host, len(body), body,
        )  # fmt: skip
        health = b"GET /healthcheck HTTP/1.1\r\nHost: %b\r\n\r\n" % host
        client.send(ask + health + ask)
        assert is_chat(client.reply())
        assert client.reply().status == 200
        assert is_chat(client.reply())


@pytest.mark.parametrize("count", [2, 9])
def test_streams_in_the_full_lane(appliance: Appliance, provider: Provider, count: int) -> None:
    with RawClient(provider.url) as direct:
        wanted = direct.call("/v1/chat/completions", STREAM).body
    with appliance.client() as client:
        assert client.call("/healthcheck", method="GET").status == 200
        reply = client.call(CHAT, STREAM)
    assert (reply.body, reply.end) == (wanted, "clean")
    with appliance.client() as client:
        assert client.call("/healthcheck", method="GET").status == 200
        reply = client.call(CHAT, {**STREAM, "model": f"fake-cut-after-{count}"})
    assert reply.end == "cut"
    assert appliance.row(reply.id)["outcome"] == "cut"


def test_http_2_with_prior_knowledge(appliance: Appliance, provider: Provider) -> None:
    with httpx2.Client(http1=False, http2=True, base_url=appliance.url) as client:
        health = client.get("/healthcheck")
        assert (health.status_code, health.http_version) == (200, "HTTP/2")
        reply = client.post(CHAT, json=ASK)
        assert (reply.status_code, reply.http_version) == (200, "HTTP/2")
        assert reply.json()["usage"]["total_tokens"] == 30
        row = appliance.row(reply.headers["helicone-id"])
        assert (row["outcome"], row["total_tokens"]) == ("complete", 30)
        with client.stream("POST", CHAT, json=STREAM) as streamed:
            body = b"".join(streamed.iter_bytes())
        assert body.endswith(b"data: [DONE]\n\n")
        row = appliance.row(streamed.headers["helicone-id"])
        assert (row["outcome"], row["is_stream"]) == ("complete", True)
        big = client.post(CHAT, json={**ASK, "model": "fake-big-1024"})
        assert len(big.content) > 1_000_000
        trailed = client.post(CHAT, json=ASK, headers={"x-fake": "fake-trailers", "te": "trailers"})
        assert trailed.json()["object"] == "chat.completion"
    assert provider.received[-1].values(b"te") == []


def test_http_2_cut_stream(appliance: Appliance) -> None:
    ask = {**STREAM, "model": "fake-cut-after-2"}
    with httpx2.Client(http1=False, http2=True, base_url=appliance.url) as client:
        with (
            pytest.raises(httpx2.RemoteProtocolError),
            client.stream("POST", CHAT, json=ask) as streamed,
        ):
            streamed.read()
        row = appliance.row(streamed.headers["helicone-id"])
        assert row["outcome"] == "cut"
        assert client.post(CHAT, json=ASK).status_code == 200


def test_an_offer_to_upgrade_is_ignored(appliance: Appliance, provider: Provider) -> None:
    """Java's client offers h2c with its first request."""
    headers = {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c", "HTTP2-Settings": "AAMA"}
    with appliance.client() as client:
        assert is_chat(client.call(CHAT, ASK, headers))
        assert is_chat(client.call(CHAT, ASK))
    assert provider.received[-2].values(b"http2-settings") == []
