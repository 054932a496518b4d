"""Server TLS: versions, ALPN, and certificates exchanged while running."""

import socket
import ssl

import pytest
import trio

from appliance.door.tls import ServerTls
from appliance.wire import PlainWire
from tests.certificates import Authority

CA = Authority()


def client_context() -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=CA.certificate.decode())
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context


def server(tmp_path, *, http2: bool = False) -> ServerTls:
    return ServerTls(*CA.issue("localhost").write(tmp_path, "server"), http2=http2)


async def meet(tls: ServerTls, context: ssl.SSLContext) -> dict[str, object]:
    """Shake hands over a socket pair and exchange a word; what both sides agreed on."""
    left, right = socket.socketpair()
    right.setblocking(False)
    stream = trio.SSLStream(
        trio.SocketStream(trio.socket.from_stdlib_socket(right)),
        context,
        server_hostname="localhost",
        https_compatible=True,
    )
    inner = PlainWire(left)
    with trio.fail_after(30):
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(stream.send_all, b"ping")
                wire = await tls.wrap(inner)
                assert await wire.recv() == b"ping"
                await wire.send_all(b"pong")
                assert await stream.receive_some(10) == b"pong"
            certificate = stream.getpeercert()
            return {
                "alpn": wire.alpn,
                "version": wire.version,
                "cipher": stream.cipher()[0],
                "serial": certificate["serialNumber"],
            }
        finally:
            inner.close()
            right.close()


@pytest.mark.parametrize(("http2", "alpn"), [(False, "http/1.1"), (True, "h2")])
async def test_h2_only_when_asked_for(tmp_path, http2, alpn):
    met = await meet(server(tmp_path, http2=http2), client_context())
    assert (met["alpn"], met["version"]) == (alpn, "TLSv1.3")


async def test_tls_1_2_is_the_floor_with_forward_secret_ciphers(tmp_path):
    context = client_context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    met = await meet(server(tmp_path), context)
    assert met["version"] == "TLSv1.2"
    assert str(met["cipher"]).startswith("ECDHE-")
    assert server(tmp_path).context.minimum_version == ssl.TLSVersion.TLSv1_2


async def test_clients_without_alpn_are_served(tmp_path):
    context = ssl.create_default_context(cadata=CA.certificate.decode())
    assert (await meet(server(tmp_path), context))["alpn"] is None


async def test_new_certificates_serve_new_connections(tmp_path):
    tls = server(tmp_path)
    before = await meet(tls, client_context())
    CA.issue("localhost").write(tmp_path, "server")
    assert (await meet(tls, client_context()))["serial"] == before["serial"]
    tls.context = server(tmp_path).context  # as a reload does
    assert (await meet(tls, client_context()))["serial"] != before["serial"]


def test_key_and_certificate_must_fit_at_the_start(tmp_path):
    certificate, _ = CA.issue("localhost").write(tmp_path, "one")
    _, key = CA.issue("localhost").write(tmp_path, "two")
    with pytest.raises(ValueError, match=r"tls_cert, tls_key: the key in .*two\.key") as caught:
        ServerTls(certificate, key, http2=False)
    assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match="gone cannot be read"):
        ServerTls(tmp_path / "gone", None, http2=False)


def test_one_file_may_hold_both(tmp_path):
    both = tmp_path / "both.pem"
    both.write_bytes(CA.issue("localhost").both)
    assert ServerTls(both, None, http2=False).context


async def test_a_client_that_speaks_plain_http_is_an_os_error(tmp_path):
    left, right = socket.socketpair()
    right.send(b"GET / HTTP/1.1\r\n\r\n")
    wire = PlainWire(left)
    with pytest.raises(OSError):
        await server(tmp_path).wrap(wire)
    assert wire.sock.fileno() >= 0
    wire.close()
    right.close()


async def test_a_client_that_leaves_is_an_os_error(tmp_path):
    left, right = socket.socketpair()
    right.close()
    wire = PlainWire(left)
    with pytest.raises(OSError):
        await server(tmp_path).wrap(wire)
    wire.close()
