"""Outbound proxies: which one an origin goes through, and the CONNECT that opens the way.

HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY, read once from the mapping that is handed in. Plain
http targets are tunnelled too: one way of proxying, and no proxy ever sees a request's bytes.
"""

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from urllib.parse import unquote

from appliance.errors import Refusal, UpstreamFailed
from appliance.upstream.address import Network, Origin, is_localhost, normalise_host, split_port
from appliance.wire import Wire

HEAD_BYTES_MAX = 16384

_STATUS = re.compile(rb"HTTP/1\.[01] ([0-9]{3})(?: |\r\n)")
# The proxy's own troubles pass; its decisions do not.
_RETRYABLE = frozenset({408, 429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class ProxySpec:
    """A proxy, with the value of Proxy-Authorization where it wants one (never shown)."""

    origin: Origin
    authorization: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class ProxySettings:
    """The proxies by scheme of the target, and the hosts that are reached without one."""

    http: ProxySpec | None = None
    https: ProxySpec | None = None
    direct: tuple[str, ...] = ()

    def proxy_for(self, origin: Origin) -> ProxySpec | None:
        """The proxy for `origin`. This machine is always reached directly: its loopback is not
        the proxy's."""
        spec = self.https if origin.scheme == "https" else self.http
        if spec is None or is_localhost(origin.host):
            return None
        if any(_bypasses(entry, origin) for entry in self.direct):
            return None
        try:
            loopback = ip_address(origin.host).is_loopback
        except ValueError:
            loopback = False
        return None if loopback else spec


def proxies_from(environ: Mapping[str, str]) -> ProxySettings:
    """Raises ValueError, in one line, for a proxy that cannot be used. Lower case wins (curl)."""

    def value(name: str) -> str:
        return (environ.get(name) or environ.get(name.upper()) or "").strip()

    both = value("all_proxy")
    return ProxySettings(
        http=_parse_proxy("http_proxy", value("http_proxy") or both),
        https=_parse_proxy("https_proxy", value("https_proxy") or both),
        direct=tuple(re.split(r"[\s,]+", value("no_proxy").lower())) if value("no_proxy") else (),
    )


async def open_tunnel(wire: Wire, proxy: ProxySpec, origin: Origin) -> None:
    """Ask the proxy at the other end of `wire` for `origin`; then the wire leads there.

    Raises UpstreamFailed(connect_failed); OSError and Woken of the wire pass.
    """
    await wire.send_all(_connect_request(proxy, origin))
    head = b""
    while (end := head.find(b"\r\n\r\n")) < 0:
        if len(head) > HEAD_BYTES_MAX:
            raise _failed(proxy, "sent an endless reply")
        more = await wire.recv()
        if not more:
            raise _failed(proxy, "closed the connection", retryable=True)
        head += more
    status = _STATUS.match(head)
    if status is None:
        raise _failed(proxy, "does not speak HTTP")
    code = int(status[1])
    if not 200 <= code < 300:
        raise _refused(proxy, origin, code)
    if end + 4 != len(head):
        # The target cannot have spoken first: these bytes are the proxy's own.
        raise _failed(proxy, "sent data before the tunnel was used")


def _connect_request(proxy: ProxySpec, origin: Origin) -> bytes:
    lines = [f"CONNECT {origin.authority} HTTP/1.1", f"Host: {origin.authority}"]
    if proxy.authorization is not None:
        lines.append(f"Proxy-Authorization: {proxy.authorization}")
    return "\r\n".join([*lines, "", ""]).encode("ascii")


def _refused(proxy: ProxySpec, origin: Origin, code: int) -> UpstreamFailed:
    if code == 407:
        return _failed(proxy, "wants a user and password (407): put them into its URL")
    text = f"did not open a tunnel to {origin.authority}: status {code}"
    return _failed(proxy, text, retryable=code in _RETRYABLE)


def _failed(proxy: ProxySpec, text: str, *, retryable: bool = False) -> UpstreamFailed:
    return UpstreamFailed(
        "connect_failed",
        f"the outbound proxy {proxy.origin.authority} {text}",
        retryable=retryable,
    )


def _parse_proxy(name: str, url: str) -> ProxySpec | None:
    if not url:
        return None
    # Never quote the URL in an error: it may hold the password.
    scheme, mark, rest = url.partition("://")
    if not mark:
        scheme, rest = "http", url
    scheme = scheme.lower()
    if scheme not in ("http", "https"):
        shown = scheme if scheme.isalnum() else "this kind of"
        raise ValueError(f"{name}: {shown} proxies are not supported, only http and https ones")
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    credentials, at, location = authority.rpartition("@")
    try:
        host, port = split_port(location)
        origin = Origin(scheme, normalise_host(host), port or (443 if scheme == "https" else 80))
    except Refusal:
        raise ValueError(f"{name}: the proxy's host or port is malformed") from None
    if not at:
        return ProxySpec(origin)
    user, _, password = credentials.partition(":")
    plain = f"{unquote(user)}:{unquote(password)}".encode()
    return ProxySpec(origin, "Basic " + base64.b64encode(plain).decode("ascii"))


def _bypasses(entry: str, origin: Origin) -> bool:
    """One entry of NO_PROXY: `*`, a name (and all below it), an address, a range, with a port."""
    if entry == "*":
        return True
    network = _network(entry.strip("[]"))
    if network is not None:
        return _holds(network, origin.host)
    try:
        host, port = split_port(entry)
    except Refusal:
        return False
    if port is not None and port != origin.port:
        return False
    network = _network(host.strip("[]"))
    if network is not None:
        return _holds(network, origin.host)
    name = host.removeprefix("*").removeprefix(".").removesuffix(".")
    return bool(name) and (origin.host == name or origin.host.endswith("." + name))


def _network(text: str) -> Network | None:
    try:
        return ip_network(text, strict=False)
    except ValueError:
        return None


def _holds(network: Network, host: str) -> bool:
    try:
        address = ip_address(host)
    except ValueError:
        return False
    return address.version == network.version and address in network
