"""TLS on the one port: versions, certificates and their exchange, both lanes behind it."""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.certificates import Authority
from tests.e2e.starting import failed_start, until
from tests.fakes.appliance import CHAT, Appliance
from tests.fakes.provider import Provider
from tests.fakes.tls_client import TlsClient, trusting

CA = Authority()
NAMES = ("127.0.0.1", "localhost")
ASK = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello"}]}


def tls_config(directory: Path, *, http2: bool = False) -> str:
    directory.mkdir(parents=True, exist_ok=True)
    certificate, key = CA.issue(*NAMES).write(directory, "server")
    lines = [f'tls_cert = "{certificate}"', f'tls_key = "{key}"', f"http2 = {str(http2).lower()}"]
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def secure(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Appliance]:
    directory = tmp_path_factory.mktemp("tls")
    with Appliance(directory, provider, config=tls_config(directory)) as running:
        yield running


def connect(appliance: Appliance, *protocols: str) -> TlsClient:
    return TlsClient(appliance.url, trusting(CA, *protocols))


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_versions(secure: Appliance, version: ssl.TLSVersion) -> None:
    context = trusting(CA)
    context.minimum_version = context.maximum_version = version
    with TlsClient(secure.url, context) as client:
        assert client.secure.version() == version.name.replace("_", ".")
        assert client.call("/healthcheck", method="GET").status == 200


def test_the_newest_version_is_taken(secure: Appliance) -> None:
    with connect(secure) as client:
        assert client.secure.version() == "TLSv1.3"


def test_old_versions_are_refused(secure: Appliance) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    with warnings.catch_warnings(action="ignore"):
        context.minimum_version = ssl.TLSVersion.TLSv1_1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(ssl.SSLError, match="PROTOCOL_VERSION"):
        TlsClient(secure.url, context)


@pytest.mark.parametrize("first", [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x00" * 600])
def test_no_tls_on_the_tls_port_ends_cleanly(secure: Appliance, first: bytes) -> None:
    with secure.client() as client:
        client.send(first)
        assert client.ended() in ("cut", "reset")
    with connect(secure) as other:
        assert other.call("/healthcheck", method="GET").status == 200
    assert "Traceback" not in secure.log


def test_calls_over_tls_take_the_fast_lane_and_keep_the_connection(
    secure: Appliance, provider: Provider
) -> None:
    with connect(secure) as client:
        for stream in (False, True):
            reply = client.call(CHAT, {**ASK, "stream": stream})
            assert (reply.status, reply.end) == (200, "clean")
            assert reply.first("connection") is None  # the full lane closes after a call
            row = secure.row(reply.id)
            assert (row["outcome"], row["http_status"]) == ("complete", 200)


def test_a_long_body_and_a_long_reply_over_tls(secure: Appliance) -> None:
    text = "x" * 3_000_000
    with connect(secure) as client:
        sent = client.call(CHAT, json.dumps({**ASK, "pad": text}).encode(), {"x-fake": "fake-echo"})
        assert sent.end == "clean"
        assert text.encode() in sent.body
        big = client.call(CHAT, {**ASK, "model": "fake-big-2000"})
        assert len(big.body) > 2_000_000


def test_the_same_connection_goes_on_in_the_full_lane(secure: Appliance) -> None:
    with connect(secure) as client:
        asked = client.call(CHAT, ASK)
        assert client.call("/healthcheck", method="GET").status == 200
        found = client.call(f"/v1/request/{asked.id}", method="GET")
        assert found.json["data"]["request_id"] == asked.id
        again = client.call(CHAT, ASK)
        assert (again.status, again.first("connection")) == (200, b"close")
        assert client.ended() == "cut"


def test_http2_is_not_offered_by_default(secure: Appliance) -> None:
    with connect(secure, "h2", "http/1.1") as client:
        assert client.secure.selected_alpn_protocol() == "http/1.1"
        assert client.call("/healthcheck", method="GET").status == 200


def test_an_own_origin_has_the_scheme_of_the_listener(secure: Appliance) -> None:
    """The full lane knows that it is behind TLS."""
    host = secure.url.partition("://")[2]
    with connect(secure) as client:
        own = client.call("/healthcheck", None, {"Origin": f"https://{host}"}, method="GET")
        assert own.status == 200
        assert own.first("access-control-allow-origin") == f"https://{host}".encode()


def test_a_client_that_leaves_inside_the_handshake_or_shakes_too_slowly(
    provider: Provider, tmp_path: Path
) -> None:
    config = tls_config(tmp_path) + '[deadlines]\nclient_head = "1s"\n'
    with Appliance(tmp_path, provider, config=config) as appliance:
        with appliance.client() as gone:
            gone.send(b"\x16\x03\x01\x02\x00")
        with appliance.client() as slow:
            slow.send(b"\x16\x03\x01\x02\x00")
            assert slow.ended() in ("cut", "reset")
        with connect(appliance) as client:
            assert client.call("/healthcheck", method="GET").status == 200


def test_a_stopped_server_ends_idle_connections_at_once(provider: Provider, tmp_path: Path) -> None:
    with Appliance(tmp_path, provider, config=tls_config(tmp_path)) as appliance:
        with connect(appliance) as fast, connect(appliance) as full, connect(appliance) as fresh:
            assert fast.call(CHAT, ASK).status == 200
            assert full.call("/healthcheck", method="GET").status == 200
            began_s = time.monotonic()
            appliance.terminate()
            for client in (fast, full, fresh):
                assert client.ended() in ("cut", "reset")
            assert appliance.wait() == 0
            assert time.monotonic() - began_s < 15
        appliance.start()


def test_sighup_takes_new_certificates_and_keeps_old_ones_when_they_are_broken(
    provider: Provider, tmp_path: Path
) -> None:
    def serial() -> str:
        with connect(appliance) as client:
            certificate = client.secure.getpeercert()
        assert certificate is not None
        return str(certificate["serialNumber"])

    def reload(word: str) -> None:
        seen = appliance.log.count("reload")
        os.kill(appliance.pid, signal.SIGHUP)
        until(lambda: appliance.log.count("reload") > seen)
        assert word in appliance.log.splitlines()[-1]

    running = Appliance(tmp_path, provider, config=tls_config(tmp_path))
    with running as appliance, connect(appliance) as kept:
        first = serial()
        CA.issue(*NAMES).write(tmp_path, "server")
        assert serial() == first
        reload("INFO")
        second = serial()
        assert second != first
        (tmp_path / "server.pem").write_text("nonsense")
        reload("nothing has changed: tls_cert, tls_key")
        assert serial() == second
        CA.issue(*NAMES).write(tmp_path, "other")
        (tmp_path / "server.pem").write_bytes((tmp_path / "other.pem").read_bytes())
        reload("does not belong")
        assert serial() == second
        # A connection that is open keeps what it began with.
        assert kept.call(CHAT, ASK).status == 200


def test_a_key_that_does_not_fit_stops_the_start_with_one_line(tmp_path: Path) -> None:
    certificate, _ = CA.issue(*NAMES).write(tmp_path, "one")
    _, key = CA.issue(*NAMES).write(tmp_path, "two")
    code, said = failed_start(tmp_path, "--tls-cert", str(certificate), "--tls-key", str(key))
    assert code != 0
    assert len(said.splitlines()) == 1, said
    assert "does not belong" in said


@pytest.mark.parametrize("flags", [("--tls-cert", "x.pem"), ("--tls-key", "x.key")])
def test_half_a_pair_stops_the_start_with_one_line(tmp_path: Path, flags: tuple[str, ...]) -> None:
    _, said = failed_start(tmp_path, *flags)
    assert "TLS needs both" in said


def test_a_port_that_was_given_is_reachable_on_both_families(
    provider: Provider, tmp_path: Path
) -> None:
    """`localhost` may mean two addresses: both answer, over TLS too."""
    addresses = {str(info[4][0]) for info in socket.getaddrinfo("localhost", None)}
    appliance = Appliance(tmp_path, provider, config=tls_config(tmp_path))
    appliance.start("--host", "localhost")
    try:
        port = int(appliance.url.rpartition(":")[2])
        for address in addresses:
            with socket.create_connection((address, port), 5) as sock:
                wrapped = trusting(CA).wrap_socket(sock, server_hostname="localhost")
                wrapped.close()
    finally:
        assert appliance.stop() == 0
