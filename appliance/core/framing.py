"""How long is the body? Decided from a parsed head alone, the strict way (field.md B12, B13).

Whatever two parsers could read differently is refused here, so that nothing can be smuggled behind
a message. Knows header lists and nothing of sockets, parsers or routes.
"""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

Headers = Sequence[tuple[bytes, bytes]]

LENGTH_DIGITS_MAX = 19  # 10^19 - 1 fits 64 bits unsigned; a twentieth digit need not

_TOKEN = b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_VALUE = bytes([9, *range(32, 127), *range(128, 256)])
_TARGET = bytes([*range(33, 127), *range(128, 256)])
# Anchored and narrow: `good/abc?x=` or `a@b` as Host is how routes and checks get to disagree (B3).
# No longer than a name can be (253 and a dot), or what is remembered of hosts has no bound.
_HOST = re.compile(rb"(?:[A-Za-z0-9._-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?", re.ASCII)
_ABSOLUTE = re.compile(rb"(https?)://([^/?#]*)", re.IGNORECASE)
_NO_BODY_STATUS = frozenset({204, 304})


class FramingError(Exception):
    """A message nobody should guess about. `status` answers a client; towards us it means 502."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


class Framing(NamedTuple):
    """`kind` is none, length, chunked or until_close; `reuse`: may the connection serve again?"""

    kind: str
    length: int
    reuse: bool


NO_BODY = Framing("none", 0, True)
CHUNKED = Framing("chunked", 0, True)
_STAYS = frozenset({b"", b"keep-alive", b"Keep-Alive"})


def request_framing(
    version: str, method: bytes, headers: Headers, *, target: bytes = b"/"
) -> Framing:
    """Body of a request, or FramingError with the status to answer. `version` is "1.0" or "1.1"."""
    if version not in ("1.1", "1.0"):
        raise FramingError(505, "only HTTP/1.0 and HTTP/1.1 are spoken here")
    _check_fields(headers, 400)
    found = _gather(headers)
    _check_host(found.hosts, target, version)
    if method == b"CONNECT":
        raise FramingError(405, "CONNECT is not offered here")
    reuse = _keeps_alive(version, found.connection)
    if found.codings:
        _check_request_coding(version, found)
        return Framing("chunked", 0, reuse)
    if not found.lengths:
        return Framing("none", 0, reuse)
    if len(found.lengths) > 1:
        raise FramingError(400, "more than one Content-Length")
    return Framing("length", _length(found.lengths[0], 400), reuse)


def response_framing(version: str, request_method: bytes, status: int, headers: Headers) -> Framing:
    """Body of a reply to `request_method`. Doubt ends the connection, contradiction the reply."""
    _check_fields(headers, 502)
    found = _gather(headers)
    reuse = _keeps_alive(version, found.connection)
    length = _agreed_length(found.lengths)
    if status < 200 or status in _NO_BODY_STATUS or request_method == b"HEAD":
        return Framing("none", 0, reuse and status != 101)
    codings = [coding.strip(b" \t").lower() for coding in found.codings]
    if codings == [b"chunked"]:
        # Transfer-Encoding wins over a length beside it, but what follows such a reply, or one
        # that claims to be HTTP/1.0, is anybody's guess: the connection is not used again.
        return Framing("chunked", 0, reuse and length is None and version == "1.1")
    if codings and codings != [b"identity"]:
        # We never send TE, so no other coding was asked for and none could be undone.
        raise FramingError(502, "Transfer-Encoding other than chunked in the reply")
    if length is None:
        return Framing("until_close", 0, False)
    return Framing("length", length, reuse and not codings and len(found.lengths) == 1)


def plain_request_framing(
    first: Mapping[bytes, bytes], count: int, target: bytes
) -> Framing | None:
    """The framing of an ordinary HTTP/1.1 request, or None where `request_framing` has to look
    closer. `first`: lower-case name → value of `count` header lines that passed `check_head`."""
    if len(first) != count or target[:1] != b"/" or b"transfer-encoding" in first:
        return None
    host = first.get(b"host")
    if host is None or not _is_host(host) or first.get(b"connection", b"") not in _STAYS:
        return None
    length = first.get(b"content-length")
    if length is None:
        return NO_BODY
    if not length.isdigit() or len(length) > LENGTH_DIGITS_MAX:
        return None
    return Framing("length", int(length), True)


def plain_response_framing(
    first: Mapping[bytes, bytes], count: int, request_method: bytes, status: int
) -> Framing | None:
    """The same for an HTTP/1.1 reply, with `response_framing` for all others."""
    if (
        len(first) != count
        or status < 200
        or status in _NO_BODY_STATUS
        or request_method == b"HEAD"
    ):
        return None
    if first.get(b"connection", b"") not in _STAYS:
        return None
    coding = first.get(b"transfer-encoding")
    length = first.get(b"content-length")
    if coding is not None:
        return CHUNKED if coding == b"chunked" and length is None else None
    if length is None or not length.isdigit() or len(length) > LENGTH_DIGITS_MAX:
        return None
    return Framing("length", int(length), True)


@lru_cache(maxsize=1024)
def _is_host(host: bytes) -> bool:
    return _HOST.fullmatch(host) is not None


def check_head(head: bytes) -> None:
    """Refuse a raw head (start line to the empty line, both included) with bytes out of place.

    Bare CR or LF, NUL and other controls, and folded lines: a lenient parser would mend them.
    """
    # Each CRLF accounts for two of the bytes that no field may hold; any further one is astray.
    if len(head.translate(None, _VALUE)) != 2 * head.count(b"\r\n"):
        raise FramingError(400, "control character, bare CR or bare LF in the head")
    if b"\n " in head or b"\n\t" in head:
        raise FramingError(400, "folded header line")


def field_fault(name: bytes, value: bytes) -> str | None:
    """What is wrong with one header or trailer field, or None."""
    if not name or name.translate(None, _TOKEN):
        return "field name is not a token"
    return value_fault(value)


def value_fault(value: bytes) -> str | None:
    """What is wrong with the value of a field, or None."""
    if value.isascii() and value.decode("ascii").isprintable():  # the quick way for nearly all
        return None
    if value.translate(None, _VALUE):
        return "control character in a field value"
    return None


class _Found(NamedTuple):
    hosts: list[bytes]
    lengths: list[bytes]
    codings: list[bytes]
    connection: list[bytes]


def _gather(headers: Headers) -> _Found:
    found = _Found([], [], [], [])
    for name, value in headers:
        # The lengths of the four names, so that other headers cost no lower().
        size = len(name)
        if size == 4:
            if name.lower() == b"host":
                found.hosts.append(value)
        elif size == 14:
            if name.lower() == b"content-length":
                found.lengths.append(value)
        elif size == 17:
            if name.lower() == b"transfer-encoding":
                found.codings.append(value)
        elif size == 10 and name.lower() == b"connection":
            found.connection.append(value)
    return found


def _check_fields(headers: Headers, status: int) -> None:
    names = [name for name, _ in headers]
    # One pass over all of them; only a bad head pays for finding out which.
    bad_name = not all(names) or b"".join(names).translate(None, _TOKEN)
    if bad_name or b"".join([value for _, value in headers]).translate(None, _VALUE):
        for name, value in headers:
            fault = field_fault(name, value)
            if fault:
                raise FramingError(status, fault)


def _check_host(hosts: list[bytes], target: bytes, version: str) -> None:
    if len(hosts) > 1:
        raise FramingError(400, "more than one Host")
    if not hosts and version == "1.1":
        raise FramingError(400, "Host is missing")
    host = hosts[0].strip(b" \t") if hosts else None
    if host is not None and not _HOST.fullmatch(host):
        raise FramingError(400, "Host is not a host")
    if target.translate(None, _TARGET):
        raise FramingError(400, "space or control character in the request target")
    if target[:1] == b"/" or target == b"*":
        return
    absolute = _ABSOLUTE.match(target)
    if absolute is None:
        raise FramingError(400, "request target is neither a path nor a URL")
    scheme, authority = absolute.groups()
    if not _HOST.fullmatch(authority):
        raise FramingError(400, "request target names no host")
    if host is not None and _plain(scheme, host) != _plain(scheme, authority):
        raise FramingError(400, "request target and Host name different hosts")


def _plain(scheme: bytes, authority: bytes) -> bytes:
    default = b":80" if scheme.lower() == b"http" else b":443"
    return authority.lower().removesuffix(default)


def _check_request_coding(version: str, found: _Found) -> None:
    if version == "1.0":
        raise FramingError(400, "Transfer-Encoding in HTTP/1.0")
    if found.lengths:
        raise FramingError(400, "Transfer-Encoding and Content-Length together")
    if len(found.codings) > 1:
        raise FramingError(400, "more than one Transfer-Encoding")
    coding = found.codings[0].strip(b" \t").lower()
    if coding == b"chunked":
        return
    if coding.split(b",")[-1].strip(b" \t") == b"chunked" and coding.count(b"chunked") == 1:
        raise FramingError(501, "Transfer-Encoding other than chunked")
    raise FramingError(400, "Transfer-Encoding must be chunked")


def _length(text: bytes, status: int) -> int:
    digits = text.strip(b" \t")
    # bytes.isdigit() is ASCII only: no sign, no 0x, no underscore, no list gets past it.
    if not digits.isdigit() or len(digits) > LENGTH_DIGITS_MAX:
        raise FramingError(status, "Content-Length is not a plain number")
    return int(digits)


def _agreed_length(lengths: list[bytes]) -> int | None:
    if not lengths:
        return None
    seen = {_length(part, 502) for text in lengths for part in text.split(b",")}
    if len(seen) > 1:
        raise FramingError(502, "Content-Length given twice, differently")
    return seen.pop()


def _keeps_alive(version: str, connection: list[bytes]) -> bool:
    if not connection:
        return version == "1.1"
    options = {option.strip(b" \t") for option in b",".join(connection).lower().split(b",")}
    if b"close" in options:
        return False
    return version == "1.1" or b"keep-alive" in options
