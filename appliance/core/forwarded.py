"""Who called, and by which scheme and host, where a proxy of the operator's stands in between.

Pure. `X-Forwarded-For`, `-Proto`, `-Host` and `Forwarded` (RFC 7239) count only where the peer is
one of `trusted_proxies`; anybody else could write what he likes. Of a chain the rightmost address
that is no trusted proxy's is the caller's: what stands to its left is his own word.
"""

import ipaddress
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

Headers = Sequence[tuple[bytes, bytes]]
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

FORWARDED: Final = b"forwarded"
FOR: Final = b"x-forwarded-for"
PROTO: Final = b"x-forwarded-proto"
HOST: Final = b"x-forwarded-host"
# Of a chain, from its right end: nobody has more proxies of his own.
HOPS_MAX: Final = 32
BYTES_MAX: Final = 8192
SCHEMES: Final = {"http": "http", "https": "https", "ws": "http", "wss": "https"}
HOST_TEXT: Final = re.compile(r"(?:\[[0-9a-f:.]{2,45}\]|[a-z0-9._-]{1,255})(?::[0-9]{1,5})?")
TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z:\[\]-]*")  # and what many write unquoted
QUOTED: Final = re.compile(r'"((?:[^"\\]|\\.)*)"')
IPV6_BITS_OF_ONE: Final = 64  # what one household or machine is given


class Caller(NamedTuple):
    """As the client sees the request. `address` is text of an IP address, or what the door said."""

    address: str
    scheme: str
    host: str


class _Hop(NamedTuple):
    """What one proxy says of whoever called it; "" for what it does not say."""

    address: str
    scheme: str = ""
    host: str = ""


class TrustedProxies:
    """The networks of `trusted_proxies`. Without any nothing is looked at."""

    def __init__(self, networks: Iterable[str] = ()) -> None:
        self._networks = [ipaddress.ip_network(text, strict=False) for text in networks]

    def __bool__(self) -> bool:
        return bool(self._networks)

    def trusts(self, text: str) -> bool:
        """Whether this is the address of one of them."""
        address = address_of(text)
        return address is not None and any(address in network for network in self._networks)

    def caller(self, peer: str, scheme: str, host: str, headers: Headers) -> Caller:
        """Who called: `peer`, `scheme` and `host` are those of the connection and the request's
        head, `headers` its lines in order, with doubles."""
        own = Caller(peer, scheme, host)
        if not self._networks or not self.trusts(peer):
            return own
        told = _values(headers, FORWARDED)
        chain, chain_for = _forwarded(told), _x_forwarded(headers)
        if not chain or not chain_for:
            return self._seen(own, chain or chain_for)
        one, other = self._seen(own, chain), self._seen(own, chain_for)
        # A proxy may write one of the two and pass the other on as the client wrote it: which one
        # that is cannot be told, so what they do not agree in does not count.
        pairs = zip(one, other, own, strict=True)
        return Caller(*(said if said == again else known for said, again, known in pairs))

    def _seen(self, own: Caller, chain: Sequence[_Hop]) -> Caller:
        """Along the chain from its right end, as far as those who wrote it are trusted."""
        found = own
        for hop in reversed(chain[-HOPS_MAX:]):
            found = Caller(found.address, hop.scheme or found.scheme, hop.host or found.host)
            address = address_of(hop.address)
            if address is None:  # hidden, or no address: the proxy that says so is all we know
                break
            found = found._replace(address=str(address))
            if not self.trusts(found.address):
                break
        return found


def address_of(text: str) -> Address | None:
    """An address as it stands in a header or comes from a socket: with or without brackets, port
    and zone. None where it is none."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    return _address_of(text) if len(text) <= 64 else None


@lru_cache(maxsize=1024)
def _address_of(text: str) -> Address | None:
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def counted_as(text: str) -> str:
    """Under which name the calls of an address are counted together: whoever has an IPv6 address
    has a network full of them."""
    address = address_of(text)
    if address is None:
        return text
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    return str(ipaddress.ip_network((address, IPV6_BITS_OF_ONE), strict=False))


def _values(headers: Headers, name: bytes) -> str:
    """All lines of this name as one list; of a longer one its right end."""
    joined = b",".join(value for field, value in headers if field.lower() == name)
    if len(joined) > BYTES_MAX:
        joined = joined[-BYTES_MAX:].partition(b",")[2]
    return joined.decode("latin-1")


def _x_forwarded(headers: Headers) -> list[_Hop]:
    """Each proxy appends the address that called it. Scheme and host are told by the outermost, or
    appended as well: then there is one for each address."""
    told = _values(headers, FOR)
    addresses = [part.strip() for part in told.split(",")] if told.strip() else [""]
    schemes = [_scheme(part) for part in _values(headers, PROTO).split(",")]
    hosts = [_host(part) for part in _values(headers, HOST).split(",")]
    if addresses == [""] and schemes == [""] and hosts == [""]:
        return []
    count = len(addresses)
    return [
        _Hop(address, _beside(schemes, index - count), _beside(hosts, index - count))
        for index, address in enumerate(addresses)
    ]


def _beside(values: Sequence[str], index: int) -> str:
    """The value that belongs to the address at this negative index; a single one belongs to the
    last, and holds until another is told."""
    return values[index] if -len(values) <= index else ""


def _forwarded(text: str) -> list[_Hop]:
    """`Forwarded: for=192.0.2.7;proto=https;host=x, for="[2001:db8::1]:47"`. An element that cannot
    be read is one that says nothing."""
    if not text.strip():
        return []
    return [_element(part) for part in _parts(text, ",")]


def _element(text: str) -> _Hop:
    found: dict[str, str] = {}
    for pair in _parts(text, ";"):
        name, _, value = pair.strip().partition("=")
        quoted = QUOTED.fullmatch(value)
        if quoted is not None:
            value = re.sub(r"\\(.)", r"\1", quoted[1])
        elif TOKEN.fullmatch(value) is None:
            return _Hop("")
        if name.lower() in found:
            return _Hop("")
        found[name.lower()] = value
    return _Hop(found.get("for", ""), _scheme(found.get("proto", "")), _host(found.get("host", "")))


def _parts(text: str, separator: str) -> list[str]:
    """Split where it is not quoted; in one pass, whatever the text."""
    parts: list[str] = []
    start, quoted, escaped = 0, False, False
    for at, character in enumerate(text):
        if escaped:
            escaped = False
        elif character == '"':
            quoted = not quoted
        elif quoted:
            escaped = character == "\\"
        elif character == separator:
            parts.append(text[start:at])
            start = at + 1
    return [*parts, text[start:]]


def _scheme(text: str) -> str:
    return SCHEMES.get(text.strip().lower(), "")


def _host(text: str) -> str:
    lowered = text.strip().lower()
    return lowered if HOST_TEXT.fullmatch(lowered) else ""
