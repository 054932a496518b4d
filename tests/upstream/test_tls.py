"""Client TLS: what is trusted, what errors say, and the wire against trio's own SSLStream."""

import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from appliance.upstream import tls
from appliance.upstream.tls import (
    TlsSettings,
    client_context,
    default_context,
    replace_contexts,
    tls_failure_text,
)
from appliance.upstream.tls_wire import SEND_BYTES_MAX, TlsWire
from appliance.wire import PlainWire, Woken
from tests.certificates import Authority, encrypted_key

CA = Authority()
SERVER = CA.issue("localhost", "127.0.0.1")

Peer = Callable[[trio.SSLStream], Awaitable[None]]


@pytest.fixture
def trusted(tmp_path):
    """A client context that trusts CA, and a server context with SERVER."""
    client = client_context(TlsSettings(str(CA.write(tmp_path))))
    return client, server_context(tmp_path)


def server_context(tmp_path, issued=SERVER) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*issued.write(tmp_path, "server"))
    context.set_alpn_protocols(["http/1.1"])
    return context


def test_the_systems_roots_are_found_where_openssl_does_not_look(tmp_path, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "none"))
    monkeypatch.setattr(tls, "SYSTEM_ROOTS", (tmp_path / "none.pem", CA.write(tmp_path)))
    context = default_context()
    assert len(context.get_ca_certs()) == 1
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)


@asynccontextmanager
async def connected(trusted, peer: Peer, **options) -> AsyncIterator[TlsWire]:
    """A TlsWire, not yet shaken hands, whose other end is `peer` behind trio's SSLStream."""
    client, server = trusted
    left, right = socket.socketpair()
    right.setblocking(False)
    stream = trio.SSLStream(
        trio.SocketStream(trio.socket.from_stdlib_socket(right)),
        server,
        server_side=True,
        https_compatible=options.pop("https_compatible", True),
    )
    options.setdefault("server_hostname", "localhost")
    wire = TlsWire(PlainWire(left), client, **options)

    async def run() -> None:
        try:
            await peer(stream)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return
        finally:
            right.close()

    try:
        with trio.fail_after(30):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(run)
                yield wire
                nursery.cancel_scope.cancel("the test is done")
    finally:
        wire.close()
        right.close()


async def echo(stream: trio.SSLStream) -> None:
    while data := await stream.receive_some(65536):
        await stream.send_all(data)
    await stream.aclose()


async def recv_exactly(wire: TlsWire, size: int) -> bytes:
    got = b""
    while len(got) < size:
        more = await wire.recv()
        assert more
        got += more
    return got


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_2])
async def test_bytes_go_both_ways(trusted, version):
    trusted[1].maximum_version = version
    async with connected(trusted, echo) as wire:
        await wire.handshake()
        assert wire.alpn == "http/1.1"
        assert wire.version == version.name.replace("_", ".")
        for size in (1, 1000, 16384, 16385):
            data = bytes([size % 251]) * size
            await wire.send_all(data)
            assert await recv_exactly(wire, size) == data
        assert wire.is_fresh()


async def test_bodies_larger_than_every_buffer(trusted):
    data = bytes(range(256)) * 4 * (SEND_BYTES_MAX // 256) + b"end"

    async def swallow(stream: trio.SSLStream) -> None:
        got = b""
        while len(got) < len(data):
            got += await stream.receive_some(65536)
        assert got == data
        await stream.send_all(b"same" + got)

    async with connected(trusted, swallow) as wire:
        await wire.handshake()
        await wire.send_all(data)
        assert await recv_exactly(wire, 4 + len(data)) == b"same" + data


async def test_sending_and_receiving_at_once(trusted):
    async with connected(trusted, echo) as wire:
        await wire.handshake()
        data = b"x" * 3_000_000
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wire.send_all, data)
            assert await recv_exactly(wire, len(data)) == data


async def test_records_that_came_together_are_given_together(trusted):
    async def three(stream: trio.SSLStream) -> None:
        await stream.do_handshake()
        await stream.receive_some(1)
        for piece in (b"a", b"b", b"c"):
            await stream.send_all(piece)
        await stream.receive_some(1)

    async with connected(trusted, three) as wire:
        await wire.handshake()
        await wire.send_all(b"?")
        with trio.CancelScope():
            await trio.testing.wait_all_tasks_blocked()
        assert await wire.recv() == b"abc"


async def test_an_announced_end_is_an_end(trusted):
    async def say_goodbye(stream: trio.SSLStream) -> None:
        await stream.send_all(b"bye")
        await stream.aclose()

    async with connected(trusted, say_goodbye, https_compatible=False) as wire:
        await wire.handshake()
        assert await recv_exactly(wire, 3) == b"bye"
        assert await wire.recv() == b""
        assert await wire.recv() == b""
        assert not wire.truncated
        assert not wire.is_fresh()


async def test_an_unannounced_end_is_marked(trusted):
    async def vanish(stream: trio.SSLStream) -> None:
        await stream.send_all(b"half")
        stream.transport_stream.socket.close()

    async with connected(trusted, vanish) as wire:
        await wire.handshake()
        assert await recv_exactly(wire, 4) == b"half"
        assert await wire.recv() == b""
        assert wire.truncated


async def test_bytes_that_are_no_tls_are_an_error(trusted):
    async def scribble(stream: trio.SSLStream) -> None:
        await stream.send_all(b"good")
        await stream.transport_stream.send_all(b"\x17\x03\x03\x00\x14" + b"z" * 20)
        await stream.receive_some(1)

    async with connected(trusted, scribble) as wire:
        await wire.handshake()
        await trio.testing.wait_all_tasks_blocked()
        assert await wire.recv() == b"good"
        for _ in range(2):
            with pytest.raises(ssl.SSLError):
                await wire.recv()


async def test_the_other_side_hears_a_close(trusted):
    heard = trio.Event()

    async def listen(stream: trio.SSLStream) -> None:
        # Not https_compatible: a bare end of the connection would raise.
        assert await stream.receive_some(10) == b""
        heard.set()

    async with connected(trusted, listen, https_compatible=False) as wire:
        await wire.handshake()
        wire.close()
        wire.close()
        await heard.wait()
        assert not wire.is_fresh()


async def test_an_unfinished_send_leaves_no_usable_connection(trusted):
    async def never_read(stream: trio.SSLStream) -> None:
        await stream.do_handshake()
        await trio.sleep_forever()

    async with connected(trusted, never_read) as wire:
        await wire.handshake()
        with trio.move_on_after(0) as scope:
            await wire.send_all(b"x" * 10_000_000)
        assert scope.cancelled_caught
        assert not wire.is_fresh()
        with pytest.raises(BrokenPipeError):
            await wire.send_all(b"more")


async def test_two_senders_are_a_bug(trusted):
    async def never_read(stream: trio.SSLStream) -> None:
        await stream.do_handshake()
        await trio.sleep_forever()

    async with connected(trusted, never_read) as wire:
        await wire.handshake()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wire.send_all, b"x" * 10_000_000)
            await trio.testing.wait_all_tasks_blocked()
            with pytest.raises(trio.BusyResourceError):
                await wire.send_all(b"y")
            nursery.cancel_scope.cancel("enough")


async def test_a_waiting_task_can_be_woken(trusted):
    async with connected(trusted, echo) as wire:
        await wire.handshake()
        async with trio.open_nursery() as nursery:

            async def wake() -> None:
                await trio.testing.wait_all_tasks_blocked()
                wire.wake()

            nursery.start_soon(wake)
            with pytest.raises(Woken):
                await wire.recv()
        await wire.send_all(b"still there")
        assert await recv_exactly(wire, 11) == b"still there"


async def test_late_tickets_do_not_make_a_connection_stale(trusted):
    # A 1.3 server sends its tickets behind the handshake: they lie in the client's socket unread.
    left, right = (PlainWire(end) for end in socket.socketpair())
    client = TlsWire(left, trusted[0], server_hostname="localhost")
    server = TlsWire(right, trusted[1], server_side=True)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.handshake)
        nursery.start_soon(server.handshake)
    assert left.peek()
    assert client.is_fresh()
    assert not left.peek()
    await server.send_all(b"hello")
    assert not client.is_fresh()
    client.close()
    server.close()


def test_a_cut_is_told_from_an_end_whatever_python_was_built(trusted):
    assert not trusted[0].options & ssl.OP_IGNORE_UNEXPECTED_EOF


async def test_unasked_data_makes_a_connection_stale(trusted):
    async def babble(stream: trio.SSLStream) -> None:
        await stream.send_all(b"HTTP/1.1 408 Request Timeout\r\n\r\n")
        await trio.sleep_forever()

    async with connected(trusted, babble) as wire:
        await wire.handshake()
        await trio.testing.wait_all_tasks_blocked()
        assert not wire.is_fresh()
        # Looking at it does not use it up.
        assert wire.peek()
        assert await wire.recv() == b"HTTP/1.1 408 Request Timeout\r\n\r\n"
        assert not wire.peek()


async def test_a_silent_end_makes_a_connection_stale(trusted):
    async def vanish(stream: trio.SSLStream) -> None:
        await stream.do_handshake()
        stream.transport_stream.socket.close()

    async with connected(trusted, vanish) as wire:
        await wire.handshake()
        await trio.testing.wait_all_tasks_blocked()
        assert not wire.is_fresh()
        assert await wire.recv() == b""
        assert wire.truncated


async def test_tls_inside_tls(trusted):
    inner_trust = trusted

    async def proxy(stream: trio.SSLStream) -> None:
        inside = trio.SSLStream(stream, inner_trust[1], server_side=True)
        await echo(inside)

    async with connected(trusted, proxy) as outer:
        await outer.handshake()
        inner = TlsWire(outer, trusted[0], server_hostname="localhost")
        await inner.handshake()
        data = b"x" * 100_000
        await inner.send_all(data)
        assert await recv_exactly(inner, len(data)) == data
        assert inner.sock is outer.sock
        assert inner.is_fresh()
        await inner.send_all(b"again")
        await trio.testing.wait_all_tasks_blocked()
        assert not inner.is_fresh()
        assert await inner.recv() == b"again"
        inner.close()


async def first_bytes(wire: TlsWire) -> bytes:
    """In 1.3 the client is through with the handshake before the server has looked at it."""
    await wire.handshake()
    return await wire.recv()


async def shake(trusted, **options) -> str:
    """The text of the error that a handshake ends with."""
    async with connected(trusted, echo, **options) as wire:
        with pytest.raises(ssl.SSLError) as caught:
            await first_bytes(wire)
        return tls_failure_text(caught.value, "host:443")


async def test_unknown_ca_names_the_option(trusted):
    text = await shake((client_context(TlsSettings()), trusted[1]))
    assert "not accepted" in text
    assert "ca_file" in text


async def test_wrong_host_name_is_said(trusted):
    text = await shake(trusted, server_hostname="other.example")
    assert "not for host:443" in text
    assert "ca_file" not in text


async def test_expired_certificates_are_said(trusted, tmp_path):
    old = server_context(tmp_path, CA.issue("localhost", expired=True))
    text = await shake((trusted[0], old))
    assert "expired" in text
    assert "ca_file" not in text


async def test_old_tls_is_refused(trusted):
    client, server = trusted
    with pytest.warns(DeprecationWarning, match="TLSv1_1 is deprecated"):
        server.minimum_version = server.maximum_version = ssl.TLSVersion.TLSv1_1
    server.set_ciphers("DEFAULT@SECLEVEL=0")
    assert "TLS" in await shake((client, server))


async def test_plain_http_is_recognised(trusted):
    left, right = socket.socketpair()
    right.setblocking(False)
    right.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    wire = TlsWire(PlainWire(left), trusted[0], server_hostname="localhost")
    with pytest.raises(ssl.SSLError) as caught:
        await wire.handshake()
    assert "does not speak TLS" in tls_failure_text(caught.value, "host:80")
    assert right.recv(4096)[:1] == b"\x16"
    wire.close()
    right.close()


async def test_client_certificates(trusted, tmp_path):
    _, server = trusted
    server.verify_mode = ssl.CERT_REQUIRED
    server.load_verify_locations(cadata=CA.certificate.decode())
    mine = CA.issue("me")
    both = tmp_path / "both.pem"
    both.write_bytes(mine.both)
    certificate, key = mine.write(tmp_path, "mine")
    ca = str(tmp_path / "ca.pem")
    for settings in (
        TlsSettings(ca, str(both)),
        TlsSettings(ca, str(certificate), str(key)),
    ):
        async with connected((client_context(settings), server), echo) as wire:
            await wire.handshake()
            await wire.send_all(b"me")
            assert await recv_exactly(wire, 2) == b"me"


async def test_a_missing_client_certificate_is_said(trusted):
    client, server_context = trusted
    server_context.verify_mode = ssl.CERT_REQUIRED
    server_context.load_verify_locations(cadata=CA.certificate.decode())
    for version in (ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_2):
        server_context.maximum_version = version
        left, right = (PlainWire(end) for end in socket.socketpair())
        wire = TlsWire(left, client, server_hostname="localhost")

        async def ask(right: PlainWire = right) -> None:
            with pytest.raises(ssl.SSLError):
                await TlsWire(right, server_context, server_side=True).handshake()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            with pytest.raises(ssl.SSLError) as caught:
                await first_bytes(wire)
        assert "client_cert" in tls_failure_text(caught.value, "host:443")
        wire.close()
        right.close()


def test_addresses_are_checked_like_names(trusted):
    assert trusted[0].check_hostname
    assert trusted[0].verify_mode == ssl.CERT_REQUIRED
    assert trusted[0].minimum_version == ssl.TLSVersion.TLSv1_2


async def test_address_in_the_certificate(trusted):
    async with connected(trusted, echo, server_hostname="127.0.0.1") as wire:
        await wire.handshake()
    assert "not for" in await shake(trusted, server_hostname="127.0.0.2")


def test_contexts_are_kept_until_told(trusted, tmp_path):
    settings = TlsSettings(str(tmp_path / "ca.pem"))
    first = client_context(settings)
    assert client_context(TlsSettings(str(tmp_path / "ca.pem"))) is first
    replace_contexts({})
    assert client_context(settings) is not first


def test_the_environment_has_no_say(trusted, tmp_path, monkeypatch):
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    replace_contexts({})
    context = client_context(TlsSettings())
    assert context.keylog_filename is None
    names = [str(ca["subject"]) for ca in context.get_ca_certs()]
    assert not [name for name in names if "nobody" in name]
    replace_contexts({})


def broken_settings(tmp_path) -> list[tuple[TlsSettings, str]]:
    one, two = CA.issue("one"), CA.issue("two")
    certificate, _ = one.write(tmp_path, "one")
    _, other_key = two.write(tmp_path, "two")
    text = tmp_path / "text.pem"
    text.write_text("not PEM\n")
    locked = tmp_path / "locked.key"
    locked.write_bytes(encrypted_key(b"secret"))
    gone = str(tmp_path / "gone.pem")
    return [
        (TlsSettings(ca_file=gone), "ca_file: .*gone.pem cannot be read: No such file"),
        (TlsSettings(ca_file=str(text)), "ca_file: .*text.pem holds no PEM certificate"),
        (TlsSettings(client_cert=gone), "client_cert: .*gone.pem cannot be read"),
        (TlsSettings(client_cert=str(certificate)), "client_cert: no PEM certificate with its key"),
        (TlsSettings(client_cert=str(certificate), client_key=gone), "gone.pem cannot be read"),
        (
            TlsSettings(client_cert=str(certificate), client_key=str(other_key)),
            "client_cert: the key in .*two.key does not belong to the certificate in .*one.pem",
        ),
        (
            TlsSettings(client_cert=str(certificate), client_key=str(locked)),
            "locked.key is encrypted",
        ),
    ]


@pytest.mark.parametrize("row", range(7))
def test_bad_files_are_named_in_one_line(tmp_path, row):
    settings, text = broken_settings(tmp_path)[row]
    with pytest.raises(ValueError, match=text) as caught:
        client_context(settings)
    assert "\n" not in str(caught.value)
