"""A request head: found in the bytes, checked by llhttp, made into a Head. No I/O.

The head's end is found here and not by the parser, so that routing and access are decided before
the first body byte and one message is parsed at a time (ARCHITECTURE 3).
"""

import re

import httptools

from appliance.core.framing import (
    Framing,
    FramingError,
    check_head,
    plain_request_framing,
    request_framing,
)
from appliance.core.headers import UPGRADE
from appliance.core.realtime import as_usual
from appliance.exchange import Head, Headers

HEAD_BYTES_MAX = 65536
HEADERS_MAX = 200
END = b"\r\n\r\n"
EMPTY_LINES = re.compile(rb"(?:\r\n)+")
HTTP2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


class HeadError(Exception):
    """Malformed head: answered with `status` and closed."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


class _Sink:
    __slots__ = ("headers", "target")

    def __init__(self) -> None:
        self.headers: Headers = []
        self.target = b""

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name, value))

    def on_url(self, url: bytes) -> None:
        self.target += url


def without_empty_lines(data: bytes) -> bytes:
    """What follows the empty lines that may stand before a request (RFC 9112 2.2)."""
    found = EMPTY_LINES.match(data)
    return data[found.end() :] if found is not None else data


def find_end(data: bytes, scanned: int) -> int:
    """Index after the head in `data`, or -1 when more is needed.

    Raises HeadError: too large, or line ends that are not CRLF (nobody may wait for an end that
    cannot come, and no other parser may see another end).
    """
    at = data.find(END, max(0, scanned - 3))
    if at >= 0:
        if at > HEAD_BYTES_MAX:
            raise _too_large(data)
        return at + 4
    if len(data) > HEAD_BYTES_MAX:
        raise _too_large(data)
    if data.count(b"\n") != data.count(b"\r\n"):
        raise HeadError(400, "lines of a request head end with CR LF")
    return -1


def _too_large(data: bytes) -> HeadError:
    """Whoever sent a long address is told that it is this (RFC 9110 15.5.15)."""
    if data.find(b"\r\n", 0, HEAD_BYTES_MAX) < 0:
        return HeadError(414, f"address over {HEAD_BYTES_MAX} bytes")
    return HeadError(431, f"request head over {HEAD_BYTES_MAX} bytes")


def without_foreign_upgrade(raw: bytes) -> bytes:
    """Take `Upgrade` lines other than `websocket` out (h2c offers of Java and curl), so that the
    request is answered as the HTTP/1.1 that it also is (RFC 9110 7.8)."""
    lowered = raw.lower()
    if b"\r\nupgrade:" not in lowered:
        return raw
    lines = raw.split(b"\r\n")
    kept = [
        line
        for line in lines
        if not line.lower().startswith(b"upgrade:")
        or line.partition(b":")[2].strip().lower() == b"websocket"
    ]
    return b"\r\n".join(kept)


def opening(head: Head) -> Head:
    """A head that offers an upgrade, as it is read: HTTP/1.0 has none (RFC 9110 7.8), and what
    browsers cannot say in header lines is taken from where they say it."""
    headers = head.headers
    if head.version != "1.1":
        headers = [field for field in headers if field[0].lower() != UPGRADE]
    headers = as_usual(headers)
    if headers is head.headers:
        return head
    first = {name.lower(): value for name, value in reversed(headers)}
    return Head(
        head.method, head.target, head.version, headers, first, head.scheme, head.client_address
    )


def parse_head(raw: bytes, *, scheme: bytes, client_address: str) -> tuple[Head, Framing, bool]:
    """Head, how its body is framed, and whether the connection may go on after it.

    Raises HeadError for everything of field.md B13.
    """
    sink = _Sink()
    parser = httptools.HttpRequestParser(sink)
    try:
        check_head(raw)
        parser.feed_data(without_foreign_upgrade(raw) if b"pgrade" in raw else raw)
    except httptools.HttpParserUpgrade:
        pass
    except httptools.HttpParserError as error:
        raise HeadError(400, f"malformed request: {error}") from None
    except FramingError as error:
        raise HeadError(error.status, error.text) from None
    headers, target = sink.headers, sink.target
    if not target or len(headers) > HEADERS_MAX:
        raise HeadError(431 if target else 400, f"more than {HEADERS_MAX} header lines")
    version = parser.get_http_version()
    method = parser.get_method()
    first = {name.lower(): value for name, value in reversed(headers)}
    framing = None
    if version == "1.1" and method != b"CONNECT":
        framing = plain_request_framing(first, len(headers), target)
    if framing is None:
        try:
            framing = request_framing(version, method, headers, target=target)
        except FramingError as error:
            raise HeadError(error.status, error.text) from None
    head = Head(method, target, version, headers, first, scheme, client_address)
    return head, framing, framing.reuse and version == "1.1"
