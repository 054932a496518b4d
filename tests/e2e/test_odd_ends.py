"""Ends and beginnings that few clients and providers show, over the running program."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.appliance import CHAT, Appliance
from tests.fakes.patience import PATIENCE_S
from tests.fakes.provider import Provider, Talk

DRAIN_S = 0.5


@pytest.fixture(scope="module")
def patient(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Appliance]:
    """One that reads on for a while when its client has gone."""
    directory: Path = tmp_path_factory.mktemp("patient")
    with Appliance(directory, provider, config=f"drain_s = {DRAIN_S}\n") as appliance:
        yield appliance


def old_request(appliance: Appliance, script: str, more: bytes = b"") -> bytes:
    host = appliance.url.partition("//")[2].encode()
    lines = [b"POST %b HTTP/1.0" % CHAT.encode(), b"Host: " + host, b"x-fake: " + script.encode()]
    return b"\r\n".join(lines) + b"\r\nContent-Length: 2\r\n" + more + b"\r\n"


def test_an_old_client_does_not_wait_to_be_told_to_go_on(appliance: Appliance) -> None:
    """RFC 9110 10.1.1: HTTP/1.0 knows no 100, and would take it for the reply."""
    with appliance.client() as client:
        client.send(old_request(appliance, "fake-normal", b"Expect: 100-continue\r\n"))
        client.send(b"{}")
        reply = client.reply()
    assert (reply.status, reply.early) == (200, [])


def test_an_old_client_sees_that_its_reply_was_cut(
    appliance: Appliance, provider: Provider
) -> None:
    """It knows the end by the connection's end alone: only a reset says that it was none."""

    async def cut(talk: Talk) -> None:
        await talk.read_body()
        await talk.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        await talk.gate("cut-for-an-old-client")
        talk.close()

    with appliance.client() as client:
        client.send(old_request(appliance, provider.add("cut-for-an-old-client", cut)) + b"{}")
        client.read_until(b"hello")
        provider.open_gate("cut-for-an-old-client")
        assert client.ended() == "reset"


@pytest.mark.parametrize(
    ("script", "end"), [("fake-trailers", "clean"), ("fake-until-close", "clean")]
)
def test_an_old_client_gets_ordinary_ends(appliance: Appliance, script: str, end: str) -> None:
    with appliance.client() as client:
        client.send(old_request(appliance, script) + b"{}")
        reply = client.reply()
    assert (reply.status, reply.end) == (200, end)


def test_a_provider_that_gave_a_hint_is_not_asked_twice(
    appliance: Appliance, provider: Provider
) -> None:
    async def hint_and_close(talk: Talk) -> None:
        await talk.read_body()
        if talk.request.number == 1:
            await talk.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            return
        await talk.send(b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n")
        talk.close()

    headers = {"x-fake": provider.add("hint-and-close", hint_and_close), "x-mark": "hinted-once"}
    calls = 0
    status = 200
    while status == 200:  # until a connection is used again: those of other tests are taken first
        reply = appliance.call(CHAT, {"a": 1}, headers)
        calls, status = calls + 1, reply.status
        assert calls < 20
    assert (status, [early for early, _ in reply.early]) == (502, [103])
    assert len(provider.all("hinted-once")) == calls


def test_line_ends_before_a_request(appliance: Appliance) -> None:
    with appliance.client() as client:
        client.send(b"\r\n" * 200_000)
        assert client.call("/healthcheck", method="GET").status == 200


# -- `drain_s`: read on for its usage, and not longer ----------------------------------------------


def gone(appliance: Appliance, script: str) -> None:
    with appliance.client() as client:
        client.request(CHAT, {"a": 1}, {"x-fake": script, "x-mark": script})
        assert appliance.provider is not None
        appliance.provider.find(script)


def test_reading_on_ends_in_time(patient: Appliance, provider: Provider) -> None:
    """Also where the reply begins after the client has gone, and goes on for long."""

    async def drip(talk: Talk) -> None:
        await talk.read_body()
        await talk.gate("drip")
        await talk.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        await talk.wait_closed()

    gone(patient, provider.add("drip", drip))
    provider.open_gate("drip")
    received = provider.find("x-mark: drip")
    began_s = time.monotonic()
    assert received.closed.wait(PATIENCE_S)
    assert received.closed_at_s - began_s < DRAIN_S + 10
    until_s = time.monotonic() + PATIENCE_S
    while not (rows := patient.query("SELECT outcome FROM requests")):
        assert time.monotonic() < until_s
    assert rows[0]["outcome"] == "client_gone"
