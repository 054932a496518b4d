"""From an origin to a connected wire: resolve, judge each address, connect to it, TLS, proxy.

The address that was judged is the one connected to (pinned). Time limits are the caller's;
`failure_of` gives every error here its name.
"""

import errno
import os
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import trio

from appliance.errors import Refusal, UpstreamFailed
from appliance.upstream.address import AddressPolicy, Origin, normalise_host
from appliance.upstream.resolve import RESOLVER, Resolver
from appliance.upstream.tls import TlsSettings, client_context, tls_failure_text
from appliance.upstream.tls_wire import TlsWire
from appliance.upstream.tunnel import ProxySettings, ProxySpec, open_tunnel
from appliance.wire import PlainWire, Wire

STAGGER_S = 0.25  # RFC 8305: the next address is tried beside one that does not answer

KEEPALIVE_IDLE_S = 60
KEEPALIVE_INTERVAL_S = 15
KEEPALIVE_PROBES = 4
# Unanswered bytes for so long mean that the path is dead; silence without any is no fault.
USER_TIMEOUT_MS = 90_000


SYSTEM_TLS = TlsSettings()
NO_PROXIES = ProxySettings()


@dataclass(frozen=True)
class DialSettings:
    """All that decides how an origin is reached; hashable, so that it can be part of a pool key."""

    policy: AddressPolicy
    tls: TlsSettings = SYSTEM_TLS
    proxies: ProxySettings = NO_PROXIES
    nobody: bool = False  # nothing is dialled: a server that replays

    def __post_init__(self) -> None:
        # Hashed with every request (pool key): the nested sum is done once.
        object.__setattr__(self, "_hash", hash((self.policy, self.tls, self.proxies)))

    def __hash__(self) -> int:
        return self._hash  # type: ignore[attr-defined,no-any-return]


@dataclass(frozen=True, slots=True)
class Dialed:
    """A connection: its wire, the address at the other end (the proxy's, if any), and ALPN."""

    wire: Wire
    address: tuple[str, int]
    alpn: str | None = None


class _Connection(NamedTuple):
    sock: socket.socket
    own_ip: str
    peer_ip: str


async def dial(origin: Origin, settings: DialSettings, *, resolver: Resolver = RESOLVER) -> Dialed:
    """Connect. Raises UpstreamFailed (connect_failed, timeout_connect) or Refusal(target_refused);
    cancellation closes whatever was open. The caller keeps the time (`[deadlines] connect`)."""
    if settings.nobody:
        raise UpstreamFailed("connect_failed", "a server that replays calls nobody")
    host = normalise_host(origin.host)
    if host != origin.host:
        origin = Origin(origin.scheme, host, origin.port)
    opened: list[Wire] = []
    try:
        return await _dial(origin, settings, resolver, opened)
    except (OSError, ValueError) as error:
        raise failure_of(error, origin) from None
    finally:
        # Emptied by success: whatever else ended this must not leave a socket behind.
        for wire in opened:
            wire.close()


async def _dial(
    origin: Origin, settings: DialSettings, resolver: Resolver, opened: list[Wire]
) -> Dialed:
    proxy = settings.proxies.proxy_for(origin)
    if proxy is None:
        wire, address = await _direct(origin, settings.policy, resolver)
        opened.append(wire)
    elif settings.policy.allows_name(origin.host, origin.port):
        wire, address = await _through(proxy, origin, settings, resolver, opened)
    else:
        option = settings.policy.option
        raise Refusal(403, "target_refused", f"{origin.authority} is not in {option}")
    alpn = None
    if origin.scheme == "https":
        wire = secure = await _secure(wire, origin.host, settings.tls)
        alpn = secure.alpn
    opened.clear()
    return Dialed(wire, address, alpn)


def failure_of(error: Exception, origin: Origin) -> UpstreamFailed:
    """OSError, TLS and settings errors under their stable names, with what to do about them."""
    name = origin.authority
    if isinstance(error, ssl.SSLError):
        text = tls_failure_text(error, name)
        retryable = not isinstance(error, ssl.SSLCertVerificationError)
        return UpstreamFailed("connect_failed", text, retryable=retryable)
    if isinstance(error, socket.gaierror):
        return UpstreamFailed(
            "connect_failed", f"cannot find the address of {origin.host}: {error.strerror}",
            retryable=True,
        )  # fmt: skip
    if isinstance(error, TimeoutError | trio.TooSlowError):
        return UpstreamFailed("timeout_connect", f"{name} does not answer", retryable=True)
    if isinstance(error, ConnectionRefusedError):
        text = f"{name} refuses connections: is it running?"
        return UpstreamFailed("connect_failed", text, retryable=True)
    if isinstance(error, OSError):
        text = f"cannot connect to {name}: {error.strerror or error}"
        return UpstreamFailed("connect_failed", text, retryable=True)
    return UpstreamFailed("connect_failed", f"cannot connect to {name}: {error}")


def tune_socket(sock: socket.socket) -> None:
    """No waiting to fill packets, and dead peers are noticed. Options a platform lacks are left."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (
        ("TCP_KEEPIDLE", KEEPALIVE_IDLE_S),
        ("TCP_KEEPINTVL", KEEPALIVE_INTERVAL_S),
        ("TCP_KEEPCNT", KEEPALIVE_PROBES),
        ("TCP_USER_TIMEOUT", USER_TIMEOUT_MS),
    ):
        number = getattr(socket, option, None)
        if number is not None:
            sock.setsockopt(socket.IPPROTO_TCP, number, value)


async def _direct(
    origin: Origin, policy: AddressPolicy, resolver: Resolver
) -> tuple[Wire, tuple[str, int]]:
    addresses = await resolver.resolve(origin.host)
    # One address that is ours is enough: `localhost` has others, where nobody listens.
    if any(policy.is_own(ip, origin.port) for ip in addresses):
        raise _own(origin)
    refusals = {ip: policy.check(origin.host, origin.port, ip) for ip in addresses}
    allowed = [ip for ip, refusal in refusals.items() if refusal is None]
    if not allowed:
        raise Refusal(403, "target_refused", refusals[addresses[0]] or "")
    connection = await _connect_first(allowed, origin.port)
    # Same address at both ends: it is this machine, reached by one of its outward addresses.
    if policy.is_own_port(origin.port) and connection.own_ip == connection.peer_ip:
        connection.sock.close()
        raise _own(origin)
    return PlainWire(connection.sock), (connection.peer_ip, origin.port)


def _own(origin: Origin) -> Refusal:
    return Refusal(403, "target_refused", f"{origin.authority} is this server itself")


async def _through(
    proxy: ProxySpec,
    origin: Origin,
    settings: DialSettings,
    resolver: Resolver,
    opened: list[Wire],
) -> tuple[Wire, tuple[str, int]]:
    # The operator chose the proxy: its own address is not the policy's business.
    try:
        addresses = await resolver.resolve(proxy.origin.host)
        connection = await _connect_first(addresses, proxy.origin.port)
        wire: Wire = PlainWire(connection.sock)
        opened.append(wire)
        address = (connection.peer_ip, proxy.origin.port)
        if proxy.origin.scheme == "https":
            wire = await _secure(wire, proxy.origin.host, TlsSettings(settings.tls.ca_file))
        await open_tunnel(wire, proxy, origin)
    except OSError as error:
        failed = failure_of(error, proxy.origin)
        raise UpstreamFailed(
            failed.name, f"outbound proxy: {failed.message}", retryable=failed.retryable
        ) from None
    return wire, address


async def _secure(wire: Wire, host: str, settings: TlsSettings) -> TlsWire:
    # Parsed roots are shared by all connections; reading them would hold up the loop.
    context = await trio.to_thread.run_sync(client_context, settings)
    secure = TlsWire(wire, context, server_hostname=host)
    await secure.handshake()
    return secure


async def _connect_first(addresses: Sequence[str], port: int) -> _Connection:
    """The first of `addresses` that takes the connection; the next starts beside a slow one."""
    if len(addresses) == 1:
        return await _connect(addresses[0], port)
    winner: _Connection | None = None
    errors: list[OSError] = []

    async def attempt(ip: str, failed: trio.Event, scope: trio.CancelScope) -> None:
        nonlocal winner
        try:
            connection = await _connect(ip, port)
        except OSError as error:
            errors.append(error)
            failed.set()
            return
        if winner is None:
            winner = connection
            scope.cancel("another address was quicker")
        else:
            connection.sock.close()

    try:
        async with trio.open_nursery() as nursery:
            for ip in addresses:
                failed = trio.Event()
                nursery.start_soon(attempt, ip, failed, nursery.cancel_scope)
                with trio.move_on_after(STAGGER_S):
                    await failed.wait()
    except BaseException:
        if winner is not None:
            winner.sock.close()
        raise
    if winner is None:
        raise errors[0]
    return winner


async def _connect(ip: str, port: int) -> _Connection:
    family = socket.AF_INET6 if ":" in ip else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        tune_socket(sock)
        try:
            sock.connect((ip, port))
        except BlockingIOError:
            await trio.lowlevel.wait_writable(sock)
        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, os.strerror(code))
        own, peer = sock.getsockname(), sock.getpeername()
        if own == peer:
            # Nobody listens, and the kernel happened to pick that very port for our side.
            raise ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
    except BaseException:
        sock.close()
        raise
    return _Connection(sock, str(own[0]), str(peer[0]))
