"""HTTP/2 in the full lane: by ALPN and by prior knowledge; many streams, each ends alone."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.certificates import Authority
from tests.e2e.starting import until
from tests.fakes.appliance import CHAT, Appliance
from tests.fakes.http2_client import Http2Client
from tests.fakes.patience import PATIENCE_S, soonest
from tests.fakes.provider import Provider
from tests.fakes.tls_client import TlsClient, trusting

CA = Authority()
ASK: dict[str, Any] = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello"}]}
STREAM: dict[str, Any] = {**ASK, "stream": True}
GONE_S = 0.25


def body_of(ask: dict[str, Any], **more: Any) -> bytes:
    return json.dumps({**ask, **more}).encode()


@pytest.fixture(scope="module")
def secure(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Appliance]:
    directory = tmp_path_factory.mktemp("http2")
    certificate, key = CA.issue("127.0.0.1").write(directory, "server")
    config = f'tls_cert = "{certificate}"\ntls_key = "{key}"\nhttp2 = true\n'
    with Appliance(directory, provider, config=config) as running:
        yield running


def connect(appliance: Appliance, **options: Any) -> Http2Client:
    if not appliance.url.startswith("https"):
        return Http2Client(appliance.url, **options)
    client = TlsClient(appliance.url, trusting(CA, "h2", "http/1.1"))
    assert client.secure.selected_alpn_protocol() == "h2"
    return Http2Client(appliance.url, client.sock, **options)


@pytest.fixture(params=["plain", "tls"])
def server(request: pytest.FixtureRequest) -> Appliance:
    name = "secure" if request.param == "tls" else "appliance"
    running: Appliance = request.getfixturevalue(name)
    return running


def test_health_and_calls(server: Appliance) -> None:
    with connect(server) as client:
        health = client.call("/healthcheck", method="GET")
        assert (health.status, json.loads(health.body)["status"]) == (200, "healthy")
        for ask, tokens in ((ASK, 30), (STREAM, 18)):  # a stream that did not ask is estimated
            reply = client.call(CHAT, body_of(ask))
            assert (reply.status, reply.end) == (200, "clean")
            row = server.row(reply.id)
            assert (row["outcome"], row["http_status"]) == ("complete", 200)
            assert row["total_tokens"] == tokens


def test_http1_is_spoken_where_the_client_prefers_it(secure: Appliance) -> None:
    with TlsClient(secure.url, trusting(CA, "http/1.1")) as client:
        assert client.secure.selected_alpn_protocol() == "http/1.1"
        assert client.call(CHAT, ASK).status == 200


def test_a_reset_stream_ends_alone(server: Appliance, provider: Provider) -> None:
    soonest(lambda: reset_one_of_two(server, provider), GONE_S)


def reset_one_of_two(server: Appliance, provider: Provider) -> float:
    """Seconds from the reset of a stream to the end of what the provider sent for it."""
    gate = f"h2-{time.monotonic_ns()}"
    held = {"x-fake": "fake-held", "x-fake-gate": gate}
    with connect(server) as client:
        gone = client.start(CHAT, body_of(STREAM), {"x-fake": "fake-stall-after-2", "x-mark": gate})
        other = client.start(CHAT, body_of(STREAM), held)
        client.read_until(
            lambda: client.streams[gone].body.count(b"\n\n") == 2 and client.streams[other].body
        )
        received = provider.find(f"x-mark: {gate}")
        reset_s = time.monotonic()
        client.reset(gone)
        assert received.closed.wait(PATIENCE_S)
        provider.open_gate(gate)
        reply = client.reply(other)
        assert (reply.end, reply.body[-14:]) == ("clean", b"data: [DONE]\n\n")
        assert client.call("/healthcheck", method="GET").status == 200
        assert server.row(reply.id)["outcome"] == "complete"
        row = server.row(client.streams[gone].id)
        assert (row["outcome"], row["status"]) == ("client_gone", -3)
        assert (
            server.body(client.streams[gone].id)["response"].encode() == client.streams[gone].body
        )
    return received.closed_at_s - reset_s


def test_a_lost_connection_ends_all_of_its_streams(server: Appliance, provider: Provider) -> None:
    marks = [f"lost-{number}-{time.monotonic_ns()}" for number in range(3)]
    with connect(server) as client:
        numbers = [
            client.start(
                CHAT, body_of(STREAM), {"x-fake": "fake-stall-after-1", "helicone-user-id": mark}
            )
            for mark in marks
        ]
        client.read_until(lambda: all(client.streams[number].body for number in numbers))
        ids = [client.streams[number].id for number in numbers]
    for name in ids:
        row = server.row(name)
        assert (row["outcome"], row["status"]) == ("client_gone", -3)


def test_a_client_that_goes_before_the_first_byte(server: Appliance, provider: Provider) -> None:
    mark = f"early-{time.monotonic_ns()}"
    with connect(server) as client:
        number = client.start(CHAT, body_of(STREAM), {"x-fake": "fake-stall", "x-mark": mark})
        received = provider.find(mark)
        client.reset(number)
        assert received.closed.wait(PATIENCE_S)
        assert client.call("/healthcheck", method="GET").status == 200


def test_a_client_that_resets_inside_its_body(server: Appliance) -> None:
    with connect(server) as client:
        for _ in range(3):
            number = client.start(CHAT, b'{"model":', {"content-length": "1000"}, end=False)
            client.reset(number)
        assert client.call(CHAT, body_of(ASK)).status == 200
    assert "Traceback" not in server.log


def test_a_body_that_goes_on_after_its_refusal(server: Appliance) -> None:
    """The stream is gone on our side while its data still comes: no other stream may suffer."""
    with connect(server) as client:
        other = client.start(CHAT, None, end=False)
        refused = client.start("/v1/gateway/nobody/v1/x", b"x" * 1000, end=False)
        reply = client.reply(refused)
        assert reply.status == 400
        if reply.end != "reset":
            for _ in range(4):
                client.send(refused, b"x" * 10_000)
        client.send(other, body_of(ASK), end=True)
        assert client.reply(other).status == 200
    assert "Traceback" not in server.log


def test_the_window_of_the_connection_survives_refused_bodies(server: Appliance) -> None:
    """Whatever comes for streams that are gone is given back to the connection's window."""
    with connect(server) as client:
        for _ in range(12):
            number = client.start("/v1/gateway/nobody/v1/x", b"x" * 16_000, end=False)
            client.reply(number)
            if client.streams[number].end == "clean":
                client.send(number, b"x" * 16_000)
        assert client.call(CHAT, body_of(ASK)).status == 200


def test_many_streams_at_once(server: Appliance) -> None:
    with connect(server) as client:
        numbers = [client.start(CHAT, body_of(STREAM, n=number)) for number in range(60)]
        assert all(client.reply(number).end == "clean" for number in numbers)
        assert len({client.streams[number].id for number in numbers}) == 60


def test_a_large_body_and_a_large_reply(server: Appliance) -> None:
    with connect(server) as client:
        number = client.start(CHAT, None, {"x-fake": "fake-echo"}, end=False)
        data = body_of(ASK, pad="x" * 2_000_000)
        client.send(number, data, end=True)
        assert client.reply(number).body.endswith(data)
        assert len(client.call(CHAT, body_of(ASK, model="fake-big-2000")).body) > 2_000_000


@pytest.mark.parametrize(
    ("model", "end"), [("fake-cut-after-3", "reset"), ("fake-no-done", "clean")]
)
def test_a_cut_reply_resets_its_stream(server: Appliance, model: str, end: str) -> None:
    with connect(server) as client:
        reply = client.call(CHAT, body_of(STREAM, model=model))
        assert reply.end == end
        assert client.call("/healthcheck", method="GET").status == 200
    assert "Traceback" not in server.log


def test_head_and_empty_replies(server: Appliance) -> None:
    with connect(server) as client:
        assert client.call(CHAT, body_of(ASK), {"x-fake": "fake-204"}).status == 204
        head = client.call(CHAT, method="HEAD", headers={"x-fake": "fake-head"})
        assert (head.status, head.body, head.end) == (200, b"", "clean")


def test_trailers_of_the_provider_are_passed_on(server: Appliance) -> None:
    with connect(server) as client:
        reply = client.call(CHAT, body_of(ASK), {"x-fake": "fake-trailers", "te": "trailers"})
        assert reply.end == "clean"
        assert reply.trailers


@pytest.mark.parametrize(
    "headers",
    [{"host": "127.0.0.1"}, {"transfer-encoding": "chunked"}, {"connection": "close"}],
)
def test_odd_headers_end_their_stream_at_most(server: Appliance, headers: dict[str, str]) -> None:
    with connect(server) as client:
        client.connection.config.validate_outbound_headers = False
        client.connection.config.normalize_outbound_headers = False
        number = client.start(CHAT, body_of(ASK), headers)
        client.read_until(lambda: client.streams[number].end or client.closed)
    with connect(server) as client:
        assert client.call("/healthcheck", method="GET").status == 200
    assert "Traceback" not in server.log


def test_drain_finishes_open_streams_and_takes_no_new_ones(
    provider: Provider, tmp_path: Path
) -> None:
    gate = f"drain-{time.monotonic_ns()}"
    held = {"x-fake": "fake-held", "x-fake-gate": gate}
    with Appliance(
        tmp_path,
        provider,
    ) as appliance:  # 30 s of grace
        with connect(appliance) as client, connect(appliance) as idle:
            assert idle.call("/healthcheck", method="GET").status == 200
            number = client.start(CHAT, body_of(STREAM), held)
            client.read_until(lambda: client.streams[number].body)
            appliance.terminate()
            idle.read_until(lambda: idle.closed)
            late = client.start("/readycheck", method="GET")
            client.read_until(lambda: client.streams[late].end)
            assert client.streams[late].end == "reset" or client.streams[late].status == 503
            provider.open_gate(gate)
            assert client.reply(number).body.endswith(b"data: [DONE]\n\n")
            began_s = time.monotonic()
            assert appliance.wait() == 0
            assert time.monotonic() - began_s < 10
        outcomes = appliance.query("SELECT outcome FROM requests")
        assert [row["outcome"] for row in outcomes] == ["complete"]
        appliance.start()


def test_a_client_that_stops_reading_is_cut_and_blocks_nobody(
    hasty: Appliance, provider: Provider
) -> None:
    """`client_write` is short there. One client leaves its window full, the other its socket."""
    ids = []
    with connect(hasty, acknowledge=False) as window, connect(hasty) as socket_full:
        number = window.start(CHAT, body_of(STREAM, model="fake-flood-4"))
        window.read_until(lambda: len(window.streams[number].body) >= 65_535)
        blocked = socket_full.start(CHAT, body_of(STREAM, model="fake-flood-20"))
        # The client's windows are made wide, and then nothing is read any more.
        socket_full.connection.increment_flow_control_window(2**30)
        socket_full.connection.increment_flow_control_window(2**30, blocked)
        socket_full.flush()
        socket_full.read_until(lambda: socket_full.streams[blocked].status)
        ids = [window.streams[number].id, socket_full.streams[blocked].id]
        assert hasty.call(CHAT, ASK).status == 200
        window.read_until(lambda: window.streams[number].end or window.closed)
        for name in ids:
            assert hasty.row(name)["outcome"] == "client_stalled"
        # Its connection has no window left for a body, but goes on.
        number = window.start("/healthcheck", method="GET")
        window.read_until(lambda: window.streams[number].status == 200)


def test_a_client_that_stops_reading_does_not_hold_up_the_end(
    provider: Provider, tmp_path: Path
) -> None:
    config = 'grace_s = "0.5s"\n[deadlines]\nclient_write = "30s"\n'
    appliance = Appliance(tmp_path, provider, config=config)
    with appliance, connect(appliance, acknowledge=False) as client:
        number = client.start(CHAT, body_of(STREAM, model="fake-flood-4"))
        client.read_until(lambda: len(client.streams[number].body) >= 65_535)
        began_s = time.monotonic()
        assert appliance.stop() == 0
        assert time.monotonic() - began_s < 10
        row = appliance.query("SELECT outcome FROM requests")[0]
        assert row["outcome"] in ("cut", "client_gone", "client_stalled")
        appliance.start()


def test_a_flood_of_resets_costs_nobody_else(appliance: Appliance) -> None:
    """Rapid reset: each stream is taken back at once."""

    def flood() -> None:
        with connect(appliance) as client:
            for _ in range(300):
                if client.closed:
                    return
                client.reset(client.start(CHAT, body_of(STREAM)))
            client.call("/healthcheck", method="GET")

    thread = threading.Thread(target=flood)
    thread.start()
    for _ in range(10):
        assert appliance.call(CHAT, ASK).status == 200
    thread.join(PATIENCE_S)
    assert not thread.is_alive()
    until(lambda: appliance.call("/healthcheck", method="GET").status == 200)
    assert "Traceback" not in appliance.log
