"""Which addresses may be dialled: names made plain first, every address judged where it is used.

Pure. A name proves nothing: `check` is asked again for the very address a connection goes to, and
the connection goes to that address (field.md B8).
"""

import re
from dataclasses import dataclass, field
from functools import cached_property
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

from appliance.errors import Refusal

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

HOST_BYTES_MAX = 253

# First match wins. What is in none of these, and not global by the registries, is "reserved".
# Metadata services hand out the machine's own credentials: AWS, Google, Azure, Alibaba and kin.
_KINDS: tuple[tuple[str, str], ...] = (
    ("metadata", "169.254.169.254/32 169.254.170.2/32 169.254.170.23/32 100.100.100.200/32"),
    ("metadata", "168.63.129.16/32 fd00:ec2::/32 fd20:ce::254/128"),
    ("unspecified", "0.0.0.0/32 ::/128"),
    ("loopback", "127.0.0.0/8 ::1/128"),
    ("link_local", "169.254.0.0/16 fe80::/10"),
    ("private", "0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 172.16.0.0/12 192.168.0.0/16 198.18.0.0/15"),
    ("private", "fc00::/7 fec0::/10"),
    ("multicast", "224.0.0.0/4 ff00::/8"),
)
_TABLE: tuple[tuple[Network, str], ...] = tuple(
    (ip_network(text), kind) for kind, texts in _KINDS for text in texts.split()
)
# IPv6 that carries an IPv4 address: (network, bits below the embedded address).
_EMBEDDED: tuple[tuple[IPv6Network, int], ...] = (
    (IPv6Network("::ffff:0:0/96"), 0),  # mapped
    (IPv6Network("::ffff:0:0:0/96"), 0),  # translated (SIIT)
    (IPv6Network("64:ff9b::/96"), 0),  # NAT64
    (IPv6Network("64:ff9b:1::/48"), 0),  # NAT64, local prefix: the usual /96 below it
    (IPv6Network("2002::/16"), 80),  # 6to4
    (IPv6Network("::/96"), 0),  # compatible, long deprecated
)
_TEREDO = IPv6Network("2001::/32")
# Open access and a listed name cover these; the other kinds must be listed as an address.
_NEARBY = frozenset({"loopback", "private", "unspecified"})

_EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - compared with, never bound

_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?", re.ASCII)
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII)
_URL = re.compile(r"(https?)://([^/?#\\]*)", re.IGNORECASE | re.ASCII)


@dataclass(frozen=True, slots=True)
class Origin:
    """Scheme (http or https), plain host (no brackets) and port."""

    scheme: str
    host: str
    port: int

    @property
    def authority(self) -> str:
        """`host:port` as a request line or a message writes it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_origin(url: str) -> Origin:
    """The origin of an absolute URL. Refuses what two readers could take differently."""
    match = _URL.match(url)
    if match is None:
        raise _refused("the target must be an http:// or https:// URL", 400)
    scheme, authority = match[1].lower(), match[2]
    if "\\" in url[: match.end() + 1] or "@" in authority:
        raise _refused("the target URL must not hold a user, a password or a backslash", 400)
    if authority.startswith("["):
        host, bracket, rest = authority.partition("]")
        host += bracket
    else:
        host, colon, rest = authority.partition(":")
        rest = colon + rest
    port = _port(rest, 443 if scheme == "https" else 80)
    return Origin(scheme, normalise_host(host), port)


def normalise_host(text: str) -> str:
    """One spelling for each host: lower case, no brackets, no final dot, addresses canonical.

    Refuses spellings of addresses that only some readers know (0x7f.1, 2130706433, 0177.0.0.1).
    """
    if not text or len(text) > HOST_BYTES_MAX + 1 or not text.isascii():
        raise _refused("the target's host must be ASCII (xn-- for others) and not empty", 400)
    if text.startswith("[") and text.endswith("]"):
        try:
            return str(IPv6Address(text[1:-1] if "%" not in text else ""))
        except ValueError:
            raise _refused("the target's host is no IPv6 address", 400) from None
    host = text.lower().removesuffix(".")
    labels = host.split(".")
    if _NUMBER.fullmatch(labels[-1]):
        try:
            return str(IPv4Address(host))
        except ValueError:
            raise _refused(
                "write the target's address as four plain decimal numbers", 400
            ) from None
    if ":" in host:
        try:
            return str(IPv6Address(host if "%" not in host else ""))
        except ValueError:
            raise _refused("the target's host is no IPv6 address", 400) from None
    if len(host) > HOST_BYTES_MAX or not all(map(_LABEL.fullmatch, labels)):
        raise _refused("the target's host is malformed", 400)
    return host


def is_localhost(host: str) -> bool:
    """`localhost` and all names below it mean this machine and are never looked up (RFC 6761)."""
    return host == "localhost" or host.endswith(".localhost")


def classify(ip: str | Address) -> str:
    """public, private, loopback, link_local, metadata, unspecified, multicast or reserved.

    An address that wraps another has the kind of the inner one; wrapping a public one makes it
    private: no resolver needs to hand such an address out to us.
    """
    address = ip_address(ip) if isinstance(ip, str) else ip
    # `::` and `::1` lie in the range of compatible addresses, but are themselves.
    for network, kind in _TABLE:
        if address.version == network.version and address in network:
            return kind
    inner = _embedded(address)
    if inner is not None:
        kind = classify(inner)
        return "private" if kind == "public" else kind
    return "public" if address.is_global and not address.is_reserved else "reserved"


@dataclass(frozen=True)
class AddressPolicy:
    """Who may be dialled. `allow` holds names, `*.suffix`, addresses and CIDR ranges, the first
    three with an optional `:port`; `deny_own` the (address, port) pairs that we listen on. `option`
    is what messages call the list."""

    allow_private: bool = False
    allow: tuple[str, ...] = ()
    deny_own: frozenset[tuple[str, int]] = frozenset()
    option: str = "allow_targets"
    _rules: "_Rules" = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_rules", _Rules(self.allow))

    def check(self, host: str, port: int, ip: str) -> str | None:
        """None: `ip`, to which `host` was resolved, may be dialled. Else why not."""
        address = ip_address(ip)
        kind = classify(address)
        if self._is_own(address, kind, port):
            return f"{host}:{port} is this server itself"
        if kind == "public" or self._rules.lists_address(address, port):
            return None
        named = self.allow_private or self._rules.lists_name(host, port)
        if kind in _NEARBY and named:
            return None
        shown = ip if ip == host else f"{host} ({ip})"
        what = "it" if kind in _NEARBY else "the address itself"
        return f"{shown} is a {kind.replace('_', '-')} address: list {what} in {self.option}"

    def is_own(self, ip: str, port: int) -> bool:
        """Whether we listen there ourselves."""
        address = ip_address(ip)
        return self._is_own(address, classify(address), port)

    def is_own_port(self, port: int) -> bool:
        """Whether we listen on `port` at every address: then a connection from us to us shows."""
        return any((ip, port) in self.deny_own for ip in _EVERYWHERE)

    def allows_name(self, host: str, port: int) -> bool:
        """For targets behind an outbound proxy, whose address we never see (M1, Outbound): plain
        names count as public, this machine's names and odd addresses need to be listed."""
        try:
            return self.check(host, port, host) is None
        except ValueError:
            return not is_localhost(host) or self.check(host, port, "127.0.0.1") is None

    @cached_property
    def _own_addresses(self) -> frozenset[tuple[Address, int]]:
        return frozenset((_unwrapped(ip_address(ip)), port) for ip, port in self.deny_own)

    def _is_own(self, address: Address, kind: str, port: int) -> bool:
        if not self.deny_own:
            return False
        if self.is_own_port(port) and kind in ("loopback", "unspecified"):
            return True
        plain = _unwrapped(address)
        if kind == "unspecified":  # the kernel takes it for loopback
            return any(own.is_loopback and at == port for own, at in self._own_addresses)
        return (plain, port) in self._own_addresses


class _Rules:
    """The entries of `allow`, taken apart once."""

    def __init__(self, entries: tuple[str, ...]) -> None:
        self.names: set[tuple[str, int | None]] = set()
        self.suffixes: list[tuple[str, int | None]] = []
        self.networks: list[tuple[Network, int | None]] = []
        for entry in entries:
            self._add(entry.strip())

    def _add(self, entry: str) -> None:
        try:
            self.networks.append((ip_network(entry.strip("[]")), None))
            return
        except ValueError:
            pass
        try:
            host, port = split_port(entry)
            wild = host.startswith("*.")
            plain = normalise_host(host[2:] if wild else host)
        except Refusal:
            raise ValueError(
                f"allow_targets: {entry!r} is no host, host:port, address or CIDR range"
            ) from None
        try:
            self.networks.append((ip_network(plain), port))
        except ValueError:
            if wild:
                self.suffixes.append(("." + plain, port))
            else:
                self.names.add((plain, port))

    def lists_name(self, host: str, port: int) -> bool:
        if (host, None) in self.names or (host, port) in self.names:
            return True
        return any(host.endswith(end) and at in (None, port) for end, at in self.suffixes)

    def lists_address(self, address: Address, port: int) -> bool:
        return any(
            at in (None, port) and address.version == network.version and address in network
            for network, at in self.networks
        )


def split_port(text: str) -> tuple[str, int | None]:
    """`host`, `host:port`, `[v6]:port` or a bare v6 address, taken apart but not checked."""
    if text.startswith("["):
        host, bracket, rest = text.partition("]")
        return host + bracket, _port(rest, 0) or None
    if text.count(":") != 1:
        return text, None
    host, _, rest = text.partition(":")
    return host, _port(":" + rest, 0) or None


def _port(text: str, default: int) -> int:
    """`:443` as a number; nothing, or a colon alone, is the default."""
    digits = text.removeprefix(":")
    if not digits and text in ("", ":"):
        return default
    if not text.startswith(":") or not (digits.isascii() and digits.isdigit()):
        raise _refused("the target's port is malformed", 400)
    if len(digits) > 5 or not 0 < int(digits) < 65536:
        raise _refused("the target's port must be 1 to 65535", 400)
    return int(digits)


def _embedded(address: Address) -> IPv4Address | None:
    if address.version == 4:
        return None
    assert isinstance(address, IPv6Address)
    if address in _TEREDO:
        # The client's address, stored inverted; the server's is as good as public.
        return IPv4Address(~int(address) & 0xFFFFFFFF)
    for network, shift in _EMBEDDED:
        if address in network:
            return IPv4Address(int(address) >> shift & 0xFFFFFFFF)
    return None


def _unwrapped(address: Address) -> Address:
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _refused(text: str, status: int) -> Refusal:
    return Refusal(status, "target_refused", text)
