"""Limits of the configuration: sizes of bodies, what is kept of them, a provider's deadlines."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.fakes.appliance import CHAT, Appliance
from tests.fakes.provider import Provider
from tests.fakes.provider_scripts import END, STREAM_HEAD, big_body, chunk, events_of, read

ASK: dict[str, Any] = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hi"}]}
MIB = 1 << 20
TAIL = 256 << 10


@pytest.fixture(scope="module")
def limited(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Appliance]:
    config = f"""
body_bytes_max = "4MiB"
record_bytes_max = "1MiB"

[providers.slow]
base_url = "{provider.url}"
dialect = "openai"

[providers.slow.deadlines]
first_byte = "0.2s"
"""
    with Appliance(tmp_path_factory.mktemp("limited"), provider, config=config) as running:
        yield running


def leftovers(appliance: Appliance) -> list[str]:
    return [path.name for path in (appliance.data / "tmp").iterdir()]


@pytest.mark.parametrize("lane", ["fast", "full"])
@pytest.mark.parametrize("framing", ["length", "expect", "chunked"])
def test_a_body_that_is_too_large(
    limited: Appliance, provider: Provider, framing: str, lane: str
) -> None:
    provider.clear()
    with limited.client() as client:
        if lane == "full":
            assert client.call("/healthcheck", method="GET").status == 200
        if framing == "chunked":
            client.request(CHAT, None, {"Transfer-Encoding": "chunked"}, framing=False)
            piece = b"%x\r\n%b\r\n" % (MIB, b"x" * MIB)
            client.send(piece * 4 + b"1\r\nx\r\n")
        else:
            headers = {"Content-Length": str(4 * MIB + 1)}
            if framing == "expect":
                headers["Expect"] = "100-continue"
            client.request(CHAT, None, headers, framing=False)
        reply = client.reply()
    assert reply.status == 413
    assert reply.json["error"]["code"] == "body_too_large"
    assert "body_bytes_max" in reply.json["error"]["message"]
    if lane == "fast":
        assert reply.early == []  # nobody is asked to go on with what will be refused
    assert provider.received == []
    row = limited.row(reply.id)
    assert (row["outcome"], row["http_status"], row["status"]) == ("refused", 413, 413)
    assert leftovers(limited) == []


def test_the_largest_body_is_passed_on(limited: Appliance, provider: Provider) -> None:
    body = json.dumps(ASK).encode()
    body += b" " * (4 * MIB - len(body))
    reply = limited.call(CHAT, body, {"x-fake": "fake-normal"})
    assert reply.status == 200
    assert provider.received[-1].body == body


def test_of_large_bodies_head_and_tail_are_kept(limited: Appliance, provider: Provider) -> None:
    request = big_body(3000)
    reply = limited.call(CHAT, request, {"x-fake": "fake-big-2048"})
    assert provider.received[-1].body == request
    assert reply.body == big_body(2048)
    row = limited.row(reply.id)
    assert (row["outcome"], row["truncated"], row["derive_error"]) == ("complete", True, None)
    assert (row["request_bytes"], row["response_bytes"]) == (len(request), len(reply.body))
    assert row["request_model"] == "gpt-4o"
    body = limited.body(reply.id)
    assert body["request"].encode() == request[:MIB] + request[-TAIL:]
    kept = body["response"].encode()
    assert kept.startswith(reply.body[:MIB])
    assert kept.endswith(reply.body[-TAIL:])
    assert len(kept) == MIB + TAIL
    assert leftovers(limited) == []


def test_a_stream_longer_than_what_is_kept_still_has_its_usage(
    limited: Appliance, provider: Provider
) -> None:
    """The usage stands at the end, and the end is kept."""
    ask = {**ASK, "stream": True, "stream_options": {"include_usage": True}}
    event = b'data: {"choices":[{"delta":{"content":"%b"}}]}\n\n' % (b"x" * 4000)

    async def long(talk: Any) -> None:
        await read(talk)
        await talk.send(STREAM_HEAD)
        for _ in range(600):
            await talk.send(chunk(event))
        await talk.send(b"".join(map(chunk, events_of(talk))) + END)

    reply = limited.call(CHAT, ask, {"x-fake": provider.add("long-stream", long)})
    assert reply.end == "clean"
    assert len(reply.body) > 2 * MIB
    row = limited.row(reply.id)
    assert (row["truncated"], row["usage_source"], row["total_tokens"]) == (True, "provider", 30)


def test_a_provider_may_have_deadlines_of_its_own(limited: Appliance) -> None:
    reply = limited.call("/v1/gateway/slow/v1/chat/completions", {**ASK, "model": "fake-stall"})
    assert reply.status == 504
    assert "0.2 s" in reply.json["error"]["message"]
    assert limited.row(reply.id)["gateway_provider"] == "slow"
