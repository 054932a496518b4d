"""How exchanges end: what the client sees, what the provider sees, and what is on record."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from tests.fakes.appliance import CHAT, MESSAGES, Appliance
from tests.fakes.patience import PATIENCE_S, soonest
from tests.fakes.provider import Provider
from tests.fakes.raw_client import Ended, RawClient, Reply

STREAM: dict[str, Any] = {"stream": True, "messages": [{"role": "user", "content": "Hi"}]}
# The rule is 100 ms; the provider that looks at its clock is a thread of the tests.
GONE_S = 0.25


def ask(model: str, *, stream: bool = True) -> dict[str, Any]:
    return {**STREAM, "model": model, "stream": stream}


def hang_up(client: RawClient, how: str) -> float:
    """Close or reset; the moment at which it was done."""
    if how == "reset":
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    return time.monotonic()


# model, stream, what the client sees (status, end), outcome, status on record
BROKEN = [
    ("fake-cut-after-3", True, 200, "cut", "cut", -100),
    ("fake-malformed-chunk", True, 200, "cut", "malformed", -100),
    ("fake-short-body", False, 200, "cut", "cut", -100),
    ("fake-error-in-200", True, 200, "clean", "error_in_200", 500),
    ("fake-no-done", True, 200, "clean", "complete", 200),
    ("fake-malformed-head", False, 502, "clean", "malformed", None),
    ("fake-reset-before-headers", False, 502, "clean", "cut", None),
    ("fake-close-before-headers", True, 502, "clean", "cut", None),
]


@pytest.mark.parametrize("path", [CHAT, MESSAGES])
@pytest.mark.parametrize(("model", "stream", "seen", "end", "outcome", "status"), BROKEN)
def test_broken_replies(
    appliance: Appliance,
    path: str,
    model: str,
    stream: bool,
    seen: int,
    end: str,
    outcome: str,
    status: int | None,
) -> None:
    reply = appliance.call(path, ask(model, stream=stream))
    assert (reply.status, reply.end) == (seen, end)
    row = appliance.row(reply.id)
    assert (row["outcome"], row["http_status"]) == (outcome, seen)
    if status is not None:
        assert row["status"] == status
    assert row["derive_error"] is None
    # What was seen is on record, to the byte; an end is never made up.
    assert appliance.body(reply.id)["response"].encode() == reply.body
    if outcome != "complete" and seen == 200:
        assert b"[DONE]" not in reply.body
        assert b"message_stop" not in reply.body
    if seen == 502:
        error = reply.json["error"]
        assert error["type"] == "helicone_upstream_failed"
        assert error["code"] == outcome
        assert "helicone-message" in reply.json


def test_a_cut_stream_counts_what_was_streamed(appliance: Appliance) -> None:
    reply = appliance.call(CHAT, {**ask("gpt-4o"), "x": 1}, {"x-fake": "fake-cut-after-5"})
    row = appliance.row(reply.id)
    assert (row["outcome"], row["usage_source"]) == ("cut", "estimated")
    assert row["completion_tokens"] > 0
    assert float(row["cost_usd"]) > 0


def test_nobody_listens(appliance: Appliance) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, and not listening
        target = f"http://127.0.0.1:{taken.getsockname()[1]}"
        reply = appliance.call(
            "/v1/chat/completions", ask("gpt-4o"), {"Helicone-Target-URL": target}
        )
    assert (reply.status, reply.end) == (502, "clean")
    row = appliance.row(reply.id)
    assert (row["outcome"], row["http_status"], row["status"]) == ("connect_failed", 502, 502)
    assert float(row["cost_usd"]) == 0


# -- the client goes -----------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("model", ["fake-stall-after-2", "fake-held"])
def test_client_gone_inside_a_stream(
    appliance: Appliance, provider: Provider, how: str, model: str
) -> None:
    def leave() -> float:
        with appliance.client() as client:
            client.request(CHAT, ask(model))
            reply = client.head()
            while reply.body.count(b"\n\n") < 2:
                client.frame(reply)
            received = provider.received[-1]
            gone_at_s = hang_up(client, how)
        assert received.closed.wait(PATIENCE_S)
        row = appliance.row(reply.id)
        assert (row["outcome"], row["status"], row["http_status"]) == ("client_gone", -3, 200)
        assert appliance.body(reply.id)["response"].encode() == reply.body
        assert row["usage_source"] == "estimated"
        return received.closed_at_s - gone_at_s

    soonest(leave, GONE_S)


def test_client_gone_before_the_first_byte(appliance: Appliance, provider: Provider) -> None:
    def leave() -> float:
        mark = f"gone-{time.monotonic_ns()}"
        with appliance.client() as client:
            client.request(CHAT, ask("fake-stall"), {"Helicone-User-Id": mark, "X-Mark": mark})
            received = provider.find(mark)
            gone_at_s = hang_up(client, "close")
        assert received.closed.wait(PATIENCE_S)
        row = row_of_user(appliance, mark)
        assert (row["outcome"], row["status"], row["http_status"]) == ("client_gone", -3, None)
        return received.closed_at_s - gone_at_s

    soonest(leave, GONE_S)


def test_client_gone_inside_its_request(appliance: Appliance) -> None:
    mark = f"gone-{time.monotonic_ns()}"
    with appliance.client() as client:
        headers = {"Helicone-User-Id": mark, "Content-Length": "1000"}
        client.request(CHAT, b'{"model":', headers, framing=False)
        hang_up(client, "close")
    row = row_of_user(appliance, mark)
    assert (row["outcome"], row["http_status"], row["attempts"]) == ("client_gone", None, [])


@pytest.mark.parametrize("path", [CHAT, MESSAGES])
def test_a_client_that_leaves_at_the_terminal_event_saw_it_all(
    appliance: Appliance, provider: Provider, path: str
) -> None:
    """SDKs hang up at `[DONE]`: that is a complete exchange, not a client that has gone."""
    with appliance.client() as client:
        client.request(path, ask("fake-held-tail"))
        reply = client.head()
        end = b'message_stop"}\n\n' if path == MESSAGES else b"[DONE]\n\n"
        while not reply.body.endswith(end):
            client.frame(reply)
        received = provider.received[-1]
        row = appliance.row(reply.id)  # on record before the last byte left
        hang_up(client, "close")
    assert (row["outcome"], row["status"]) == ("complete", 200)
    assert received.closed.wait(PATIENCE_S)
    assert appliance.row(reply.id)["outcome"] == "complete"
    assert appliance.body(reply.id)["response"].encode() == reply.body


def row_of_user(appliance: Appliance, user: str) -> dict[str, Any]:
    until_s = time.monotonic() + PATIENCE_S
    while True:
        rows = appliance.query(f"SELECT * FROM requests WHERE user_id = '{user}'")
        if rows:
            assert len(rows) == 1
            return rows[0]
        assert time.monotonic() < until_s
        time.sleep(0.01)


# -- deadlines -----------------------------------------------------------------------------------


def check_timeout(reply: Reply, option: str) -> None:
    assert (reply.status, reply.end) == (504, "clean")
    assert f"[deadlines] {option}" in reply.json["error"]["message"]


def test_first_byte(hasty: Appliance, provider: Provider) -> None:
    reply = hasty.call(CHAT, ask("fake-stall"))
    check_timeout(reply, "first_byte")
    assert reply.json["error"]["code"] == "timeout_first_byte"
    row = hasty.row(reply.id)
    assert (row["outcome"], row["http_status"], row["status"]) == ("timeout_first_byte", 504, 504)
    assert provider.received[-1].closed.wait(PATIENCE_S)


def test_gap_in_a_stream(hasty: Appliance, provider: Provider) -> None:
    reply = hasty.call(CHAT, ask("fake-stall-after-2"))
    assert (reply.status, reply.end) == (200, "cut")
    row = hasty.row(reply.id)
    assert (row["outcome"], row["http_status"], row["status"]) == ("stalled", 200, -100)
    assert hasty.body(reply.id)["response"].encode() == reply.body
    assert provider.received[-1].closed.wait(PATIENCE_S)


def test_gap_in_a_whole_body(hasty: Appliance, provider: Provider) -> None:
    async def half(talk: Any) -> None:
        await talk.read_body()
        await talk.send(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf")
        await talk.wait_closed()

    reply = hasty.call(CHAT, ask("gpt-4o"), {"x-fake": provider.add("half", half)})
    assert (reply.status, reply.body, reply.end) == (200, b"half", "cut")
    row = hasty.row(reply.id)
    assert (row["outcome"], row["status"]) == ("timeout_gap", -100)


def test_total(hasty: Appliance) -> None:
    reply = hasty.call(CHAT, ask("fake-paced-200"))
    assert (reply.status, reply.end) == (200, "cut")
    row = hasty.row(reply.id)
    assert (row["outcome"], row["status"], row["http_status"]) == ("timeout_total", -2, 200)
    assert 1900 < row["latency_ms"] < 10_000


def test_connect(hasty: Appliance) -> None:
    """A listener whose queue is full takes no more connections."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = []
        try:
            for _ in range(3):
                waiting.append(socket.socket())
                waiting[-1].setblocking(False)
                waiting[-1].connect_ex(full.getsockname())
            target = f"http://127.0.0.1:{full.getsockname()[1]}"
            reply = hasty.call(
                "/v1/chat/completions", ask("gpt-4o"), {"Helicone-Target-URL": target}
            )
        finally:
            for client in waiting:
                client.close()
    check_timeout(reply, "connect")
    row = hasty.row(reply.id)
    assert (row["outcome"], row["http_status"]) == ("timeout_connect", 504)


def test_increase_timeout(hasty: Appliance, provider: Provider) -> None:
    """`Helicone-Increase-Timeout` outlasts first byte and gap; the total still holds."""
    headers = {"Helicone-Increase-Timeout": "true"}
    reply = hasty.call(CHAT, ask("fake-paced-800"), headers)
    assert hasty.row(reply.id)["outcome"] == "timeout_total"
    with hasty.client() as client:
        client.request(CHAT, ask("fake-stall"), headers)
        reply = client.reply()
    check_timeout(reply, "total")


def test_a_pause_of_the_client_is_not_the_providers(hasty: Appliance) -> None:
    """Early hints were written in between: the deadline that passes is still the provider's."""
    reply = hasty.call(CHAT, ask("gpt-4o"), {"x-fake": "fake-hint-then-stall"})
    assert reply.early
    check_timeout(reply, "first_byte")


def test_deadlines_hold_in_the_full_lane(hasty: Appliance, provider: Provider) -> None:
    with hasty.client() as client:
        assert client.call("/healthcheck", method="GET").status == 200
        reply = client.call(CHAT, ask("fake-stall"))
    check_timeout(reply, "first_byte")
    with hasty.client() as client:
        assert client.call("/healthcheck", method="GET").status == 200
        reply = client.call(CHAT, ask("fake-stall-after-2"))
    assert (reply.status, reply.end) == (200, "cut")
    assert hasty.row(reply.id)["outcome"] == "stalled"


def test_client_gone_in_the_full_lane(appliance: Appliance, provider: Provider) -> None:
    def leave() -> float:
        with appliance.client() as client:
            assert client.call("/healthcheck", method="GET").status == 200
            client.request(CHAT, ask("fake-stall-after-2"))
            reply = client.head()
            client.frame(reply)
            received = provider.received[-1]
            gone_at_s = hang_up(client, "close")
        assert received.closed.wait(PATIENCE_S)
        assert appliance.row(reply.id)["outcome"] == "client_gone"
        return received.closed_at_s - gone_at_s

    soonest(leave, GONE_S)


# -- slow clients --------------------------------------------------------------------------------


@pytest.mark.parametrize("lane", ["fast", "full"])
def test_a_client_that_stops_reading(hasty: Appliance, provider: Provider, lane: str) -> None:
    with hasty.client(receive_buffer=4096) as client:
        if lane == "full":
            assert client.call("/healthcheck", method="GET").status == 200
        client.request(CHAT, ask("fake-flood-64"))
        reply = client.head()
        received = provider.received[-1]
        # Others are served meanwhile.
        assert hasty.call(CHAT, ask("gpt-4o")).end == "clean"
        assert received.closed.wait(PATIENCE_S)
        row = hasty.row(reply.id)
        assert (row["outcome"], row["status"]) == ("client_stalled", -3)
        assert row["response_bytes"] < 32 << 20
        with pytest.raises(Ended):
            read_on(client, reply)


def read_on(client: RawClient, reply: Reply) -> None:
    while client.frame(reply):
        pass


def test_a_slow_client_slows_the_provider_down(appliance: Appliance, provider: Provider) -> None:
    """Nothing is held between the two: what the provider could send is bounded by the sockets."""
    with appliance.client(receive_buffer=4096) as client:
        client.request(CHAT, ask("fake-flood-64"))
        reply = client.head()
        before = resident_bytes(appliance.pid)
        while len(reply.body) < 8 << 20:
            client.frame(reply)
        assert resident_bytes(appliance.pid) - before < 24 << 20
        hang_up(client, "close")
    row = appliance.row(reply.id)
    assert row["outcome"] == "client_gone"
    assert len(reply.body) <= row["response_bytes"] < len(reply.body) + (16 << 20)


def resident_bytes(pid: int) -> int:
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * 4096


@pytest.mark.parametrize("pause", ["head", "body", "between"])
def test_slow_requests_are_bounded(hasty: Appliance, pause: str) -> None:
    """A client that does not get on with its request is let go (field.md B14)."""
    with hasty.client() as client:
        if pause == "head":
            client.send(b"POST /v1/gateway/oai/v1/chat/completions HTTP/1.1\r\nHo")
            assert client.ended() in ("cut", "reset")
        elif pause == "body":
            headers = {"Content-Length": "100"}
            client.request(CHAT, b"half", headers, framing=False)
            reply = client.reply()
            assert (reply.status, reply.json["error"]["code"]) == (408, "body_too_slow")
            row = hasty.row(reply.id)
            assert (row["outcome"], row["http_status"]) == ("refused", 408)
        else:
            assert client.call(CHAT, ask("gpt-4o", stream=False)).status == 200
            assert client.ended() == "cut"


def test_a_trickled_head_is_bounded_too(hasty: Appliance) -> None:
    """A byte now and then does not move the deadline."""
    with hasty.client() as client:
        began_s = time.monotonic()
        client.sock.settimeout(0.05)
        client.send(b"POST / HTTP/1.1\r\n")
        with suppress(BrokenPipeError, ConnectionResetError):
            while client.ended() == "timeout":
                client.send(b"x")
                assert time.monotonic() - began_s < PATIENCE_S


# -- reading on without a client -----------------------------------------------------------------


@pytest.fixture(scope="module")
def drained(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Appliance]:
    directory = tmp_path_factory.mktemp("drained")
    with Appliance(directory, provider, config='drain_s = "2s"\n') as running:
        yield running


def test_a_reply_is_read_on_for_its_usage(drained: Appliance, provider: Provider) -> None:
    model = {**ask("gpt-4o"), "stream_options": {"include_usage": True}}
    for first in (True, False):
        gate = f"drain-{time.monotonic_ns()}"
        script = "fake-held" if first else "fake-slow-first-token"
        with drained.client() as client:
            client.request(CHAT, model, {"x-fake": script, "x-fake-gate": gate})
            reply = client.head()
            if first:
                client.frame(reply)
            hang_up(client, "close")
        assert provider.find(gate).closed.wait(0.2) is False
        provider.open_gate(gate)
        row = drained.row(reply.id)
        assert (row["outcome"], row["status"]) == ("client_gone", -3)
        assert (row["usage_source"], row["total_tokens"]) == ("provider", 30)


def test_but_not_for_ever(drained: Appliance, provider: Provider) -> None:
    with drained.client() as client:
        client.request(CHAT, ask("fake-stall-after-2"))
        reply = client.head()
        client.frame(reply)
        received = provider.received[-1]
        gone_at_s = hang_up(client, "close")
    assert received.closed.wait(PATIENCE_S)
    assert 1.8 < received.closed_at_s - gone_at_s < 10
    assert drained.row(reply.id)["outcome"] == "client_gone"
