"""From an origin to a wire, over real loopback sockets: pinning, the cache, proxies, errors."""

import errno
import os
import socket
import ssl
from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio
import trio.testing

from appliance.errors import Refusal, UpstreamFailed
from appliance.upstream import dial as dial_module
from appliance.upstream.address import AddressPolicy, Origin
from appliance.upstream.dial import (
    DialSettings,
    dial,
    failure_of,
)
from appliance.upstream.resolve import RESOLVED_TTL_S, Resolver
from appliance.upstream.tls import TlsSettings
from appliance.upstream.tls_wire import TlsWire
from appliance.upstream.tunnel import ProxySettings, ProxySpec
from appliance.wire import PlainWire
from tests.certificates import Authority
from tests.upstream.names import Names

CA = Authority()
SERVER = CA.issue("provider.example", "proxy.example", "127.0.0.1", "localhost")
NEAR = AddressPolicy(allow_private=True)
PRIVATE = DialSettings(NEAR)


@pytest.fixture
async def names():
    known = Names(provider_example=["127.0.0.1"], proxy_example=["127.0.0.1"])
    trio.socket.set_custom_hostname_resolver(known)
    return known


@asynccontextmanager
async def listening(handler, host="127.0.0.1"):
    """A server for the length of the block; gives its port."""
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, handler, 0, host=host))
        with trio.fail_after(30):
            yield listeners[0].socket.getsockname()[1]
        nursery.cancel_scope.cancel("the test is done")


async def echo(stream) -> None:
    try:
        while data := await stream.receive_some(65536):
            await stream.send_all(data)
    except trio.BrokenResourceError:
        return


def server_side(tmp_path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*SERVER.write(tmp_path, "server"))
    context.set_alpn_protocols(["http/1.1"])
    return context


def secured(handler, tmp_path):
    context = server_side(tmp_path)

    async def run(stream) -> None:
        inside = trio.SSLStream(stream, context, server_side=True, https_compatible=True)
        try:
            await handler(inside)
        except (trio.BrokenResourceError, ssl.SSLError):
            return

    return run


async def speak(dialed, word=b"hello") -> None:
    """Send a word, expect it back, close."""
    try:
        await dialed.wire.send_all(word)
        assert await dialed.wire.recv() == word
    finally:
        dialed.wire.close()


async def test_plain(names):
    async with listening(echo) as port:
        dialed = await dial(Origin("http", "provider.example", port), PRIVATE, resolver=Resolver())
        assert isinstance(dialed.wire, PlainWire)
        assert (dialed.address, dialed.alpn) == (("127.0.0.1", port), None)
        sock = dialed.wire.sock
        assert not sock.getblocking()
        for level, option in (
            (socket.IPPROTO_TCP, "TCP_NODELAY"),
            (socket.SOL_SOCKET, "SO_KEEPALIVE"),
            (socket.IPPROTO_TCP, "TCP_USER_TIMEOUT"),
        ):
            assert sock.getsockopt(level, getattr(socket, option)) > 0
        await speak(dialed)


async def test_tls(names, tmp_path):
    settings = DialSettings(NEAR, TlsSettings(str(CA.write(tmp_path))))
    async with listening(secured(echo, tmp_path)) as port:
        origin = Origin("https", "provider.example", port)
        dialed = await dial(origin, settings, resolver=Resolver())
        assert isinstance(dialed.wire, TlsWire)
        assert dialed.alpn == "http/1.1"
        await speak(dialed)
        await speak(await dial(Origin("https", "127.0.0.1", port), settings))
        await speak(await dial(Origin("https", "localhost", port), settings))


async def test_addresses_and_this_machine_are_never_looked_up(names):
    async with listening(echo) as port:
        for host in ("127.0.0.1", "localhost", "LOCALHOST.", "any.localhost"):
            await speak(await dial(Origin("http", host, port), PRIVATE, resolver=Resolver()))
    assert names.asked == []


REFUSED = [
    # host, the addresses its name has, status
    ("provider.example", ["127.0.0.1"], 403),
    ("provider.example", ["10.0.0.1", "169.254.169.254"], 403),
    ("provider.example", ["::ffff:127.0.0.1"], 403),
    ("provider.example", ["64:ff9b::7f00:1"], 403),
    ("localhost", [], 403),
    ("x.localhost", [], 403),
    ("127.0.0.1", [], 403),
    ("::1", [], 403),
    ("::", [], 403),
    ("0x7f.1", [], 400),
    ("2130706433", [], 400),
    ("user:pass@provider.example", [], 400),
]


@pytest.mark.parametrize(("host", "ips", "status"), REFUSED)
async def test_targets_that_are_refused(names, host, ips, status):
    names.table["provider.example"] = ips
    async with listening(echo) as port:
        with pytest.raises(Refusal) as caught:
            await dial(
                Origin("http", host, port), DialSettings(AddressPolicy()), resolver=Resolver()
            )
    assert (caught.value.status, caught.value.code) == (status, "target_refused")


async def test_a_rebound_name_is_judged_again_for_each_connection(names):
    now_s = 0.0
    resolver = Resolver(clock=lambda: now_s)
    listed = DialSettings(AddressPolicy(allow=("127.0.0.1",)))
    async with listening(echo) as port:
        origin = Origin("http", "provider.example", port)
        await speak(await dial(origin, listed, resolver=resolver))
        names.table["provider.example"] = ["10.0.0.1"]
        now_s = RESOLVED_TTL_S
        with pytest.raises(Refusal):
            await dial(origin, listed, resolver=resolver)
    assert len(names.asked) == 2


async def test_only_the_allowed_of_several_addresses_are_used(names):
    names.table["provider.example"] = ["169.254.169.254", "127.0.0.1"]
    async with listening(echo) as port:
        dialed = await dial(Origin("http", "provider.example", port), PRIVATE, resolver=Resolver())
        assert dialed.address[0] == "127.0.0.1"
        await speak(dialed)


async def test_our_own_listener_by_any_address(names):
    async with listening(echo) as port:
        own = AddressPolicy(allow_private=True, deny_own=frozenset({("0.0.0.0", port)}))
        for host in ("127.0.0.1", "provider.example", "localhost", "0.0.0.0"):
            with pytest.raises(Refusal, match="this server itself"):
                await dial(Origin("http", host, port), DialSettings(own), resolver=Resolver())


async def test_our_own_listener_by_an_outward_address(monkeypatch):
    # The kernel gives both ends of such a connection the same address; loopback plays it here.
    async with listening(echo) as port:
        own = AddressPolicy(allow_private=True, deny_own=frozenset({("0.0.0.0", port)}))
        monkeypatch.setattr(AddressPolicy, "check", lambda *_: None)
        with pytest.raises(Refusal, match="this server itself"):
            await dial(Origin("http", "127.0.0.1", port), DialSettings(own))


async def test_nobody_listens():
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
        for host in ("127.0.0.1", "localhost"):
            with pytest.raises(UpstreamFailed) as caught:
                await dial(Origin("http", host, port), PRIVATE)
            assert (caught.value.name, caught.value.retryable) == ("connect_failed", True)
            assert f"{host}:{port} refuses connections" in caught.value.message


async def test_unknown_names(names):
    with pytest.raises(UpstreamFailed) as caught:
        await dial(Origin("http", "nowhere.example", 80), PRIVATE, resolver=Resolver())
    assert caught.value.name == "connect_failed"
    assert "cannot find the address of nowhere.example" in caught.value.message


async def test_the_next_address_is_tried_beside_a_silent_one(names, monkeypatch, autojump_clock):
    names.table["provider.example"] = ["127.0.0.2", "127.0.0.3", "127.0.0.1"]
    ends = [socket.socketpair() for _ in range(1)]
    started: list[tuple[str, float]] = []
    begun_s = trio.current_time()

    async def connect(ip, port):
        started.append((ip, trio.current_time() - begun_s))
        if ip == "127.0.0.2":
            await trio.sleep_forever()
        if ip == "127.0.0.3":
            raise OSError(errno.ENETUNREACH, "unreachable")
        return dial_module._Connection(ends[0][0], "127.0.0.1", ip)

    monkeypatch.setattr(dial_module, "_connect", connect)
    dialed = await dial(Origin("http", "provider.example", 80), PRIVATE, resolver=Resolver())
    assert dialed.address == ("127.0.0.1", 80)
    assert started == [("127.0.0.2", 0), ("127.0.0.3", 0.25), ("127.0.0.1", 0.25)]
    dialed.wire.close()
    ends[0][1].close()


async def test_two_quick_addresses_leave_one_connection(names):
    names.table["provider.example"] = ["127.0.0.1", "127.0.0.2"]
    accepted = 0

    async def count(stream) -> None:
        nonlocal accepted
        accepted += 1
        await echo(stream)

    async with listening(count) as port:
        await speak(
            await dial(Origin("http", "provider.example", port), PRIVATE, resolver=Resolver())
        )
    assert accepted == 1


def sockets_open() -> int:
    paths = (f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd"))
    return sum(os.path.lexists(path) and os.readlink(path).startswith("socket:") for path in paths)


async def test_cancelling_leaves_no_socket_open(tmp_path):
    before = sockets_open()

    async def silent(stream) -> None:
        await trio.sleep_forever()

    async with listening(silent) as port:
        settings = DialSettings(NEAR, TlsSettings(str(CA.write(tmp_path))))
        inside = sockets_open()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(dial, Origin("https", "127.0.0.1", port), settings)
            with trio.move_on_after(5):
                while sockets_open() == inside:
                    await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel("that is long enough")
    await trio.testing.wait_all_tasks_blocked()
    assert sockets_open() == before


async def test_untrusted_certificates_name_the_option(names, tmp_path):
    async with listening(secured(echo, tmp_path)) as port:
        origin = Origin("https", "provider.example", port)
        with pytest.raises(UpstreamFailed) as caught:
            await dial(origin, PRIVATE, resolver=Resolver())
    assert (caught.value.name, caught.value.retryable) == ("connect_failed", False)
    assert "ca_file" in caught.value.message


async def test_https_to_a_plain_port():
    async def plain(stream) -> None:
        await stream.receive_some(1)
        await stream.send_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await echo(stream)

    async with listening(plain) as port:
        with pytest.raises(UpstreamFailed, match="use http://"):
            await dial(Origin("https", "127.0.0.1", port), PRIVATE)


async def test_a_bad_ca_file_is_said():
    async with listening(echo) as port:
        settings = DialSettings(NEAR, TlsSettings(ca_file="/nowhere/ca.pem"))
        with pytest.raises(UpstreamFailed, match=r"ca_file: /nowhere/ca\.pem") as caught:
            await dial(Origin("https", "127.0.0.1", port), settings)
    assert not caught.value.retryable


FAILURES = [
    (TimeoutError(errno.ETIMEDOUT, "x"), "timeout_connect", True),
    (trio.TooSlowError(), "timeout_connect", True),
    (ConnectionRefusedError(errno.ECONNREFUSED, "x"), "connect_failed", True),
    (ConnectionResetError(errno.ECONNRESET, "x"), "connect_failed", True),
    (OSError(errno.EMFILE, "Too many open files"), "connect_failed", True),
    (socket.gaierror(socket.EAI_AGAIN, "x"), "connect_failed", True),
    (ssl.SSLError(1, "x"), "connect_failed", True),
    (ssl.SSLCertVerificationError(1, "x"), "connect_failed", False),
    (ValueError("ca_file: x"), "connect_failed", False),
]


@pytest.mark.parametrize(("error", "name", "retryable"), FAILURES)
def test_names_of_failures(error, name, retryable):
    failed = failure_of(error, Origin("https", "a.example", 443))
    assert (failed.name, failed.retryable) == (name, retryable)
    assert "a.example" in failed.message


class Proxy:
    """A CONNECT proxy that sends everybody to one port and notes what it was asked."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.heads: list[bytes] = []

    async def __call__(self, stream) -> None:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += await stream.receive_some(4096)
        self.heads.append(head)
        target = await trio.open_tcp_stream("127.0.0.1", self.port)
        await stream.send_all(b"HTTP/1.1 200 Connection established\r\n\r\n")
        async with target, trio.open_nursery() as nursery:
            nursery.start_soon(self.pump, stream, target)
            await self.pump(target, stream)
            nursery.cancel_scope.cancel("one side is done")

    @staticmethod
    async def pump(source, sink) -> None:
        try:
            async for data in source:
                await sink.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return


async def test_through_a_proxy(names, tmp_path):
    ca = TlsSettings(str(CA.write(tmp_path)))
    async with (
        listening(secured(echo, tmp_path)) as target,
        listening(proxy := Proxy(target)) as port,
    ):
        spec = ProxySpec(Origin("http", "proxy.example", port), "Basic eA==")
        settings = DialSettings(AddressPolicy(), ca, ProxySettings(https=spec))
        # The target's name is never looked up here, and its address never judged.
        dialed = await dial(Origin("https", "provider.example", 443), settings, resolver=Resolver())
        assert (dialed.address, dialed.alpn) == (("127.0.0.1", port), "http/1.1")
        await speak(dialed)
    assert names.asked == ["proxy.example"]
    assert proxy.heads[0].startswith(b"CONNECT provider.example:443 HTTP/1.1\r\n")
    assert b"\r\nProxy-Authorization: Basic eA==\r\n" in proxy.heads[0]


async def test_through_a_tls_proxy(names, tmp_path):
    ca = TlsSettings(str(CA.write(tmp_path)))
    async with (
        listening(secured(echo, tmp_path)) as target,
        listening(secured(proxy := Proxy(target), tmp_path)) as port,
    ):
        spec = ProxySpec(Origin("https", "proxy.example", port))
        settings = DialSettings(AddressPolicy(), ca, ProxySettings(https=spec))
        origin = Origin("https", "provider.example", 443)
        await speak(await dial(origin, settings, resolver=Resolver()), b"x" * 1000)
    assert [head.split(b"\r\n")[0] for head in proxy.heads] == [
        b"CONNECT provider.example:443 HTTP/1.1"
    ]


async def test_plain_targets_are_tunnelled_too(names):
    async with listening(echo) as target, listening(proxy := Proxy(target)) as port:
        spec = ProxySpec(Origin("http", "proxy.example", port))
        settings = DialSettings(AddressPolicy(), proxies=ProxySettings(http=spec))
        origin = Origin("http", "provider.example", 80)
        await speak(await dial(origin, settings, resolver=Resolver()))
    assert proxy.heads[0].startswith(b"CONNECT provider.example:80 ")


async def test_behind_a_proxy_addresses_must_be_listed(names):
    spec = ProxySpec(Origin("http", "proxy.example", 1))
    settings = DialSettings(AddressPolicy(), proxies=ProxySettings(http=spec))
    for host in ("10.0.0.1", "169.254.169.254"):
        with pytest.raises(Refusal) as caught:
            await dial(Origin("http", host, 80), settings, resolver=Resolver())
        assert caught.value.status == 403
    assert names.asked == []


async def test_a_dead_proxy_is_named(names):
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
        spec = ProxySpec(Origin("http", "proxy.example", port))
        settings = DialSettings(AddressPolicy(), proxies=ProxySettings(http=spec))
        with pytest.raises(UpstreamFailed, match=f"outbound proxy: proxy.example:{port} refuses"):
            await dial(Origin("http", "provider.example", 80), settings, resolver=Resolver())


def test_settings_are_values():
    one, two = (DialSettings(AddressPolicy(True), TlsSettings("a")) for _ in range(2))
    assert one == two
    assert hash(one) == hash(two)
    assert one != DialSettings(AddressPolicy(True), TlsSettings("b"))
