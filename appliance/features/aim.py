"""The plan of one: where a proxied request goes, and the request head that is sent there.

What is not asked to change is not touched: header lines keep their order, case and doubles.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

from appliance.core.credentials import forward_headers
from appliance.core.urls import parse_target, scrub
from appliance.errors import Refusal
from appliance.exchange import Aim, Exchange, Headers
from appliance.upstream.pool import PoolKey


class _Base(NamedTuple):
    """What every request to one base URL needs of it."""

    scheme: str
    host: str
    port: int
    host_line: bytes
    origin: str


@lru_cache(maxsize=4096)
def _base(url: str) -> _Base:
    try:
        target = parse_target(url)
    except ValueError as error:
        raise Refusal(400, "target_invalid", f"The target URL {error}.") from None
    netloc = target.netloc.encode("ascii")
    return _Base(target.scheme, target.host, target.port, netloc, target.origin)


_scrubbed = lru_cache(maxsize=4096)(scrub)


def aim_at(x: Exchange, dialling: Any, deadlines: Any) -> Aim:
    """Build the Aim of this exchange from its route. `dialling` gives the pool key's settings for
    a provider. Raises Refusal 400 when the target is no URL."""
    route = x.route
    base = _base(route.base_url)
    path = route.path
    key = PoolKey(base.scheme, base.host, base.port, dialling(route.provider), x.region)
    headers = forward_headers(x.head.headers, x.found_key)
    return Aim(
        route.provider,
        key,
        request_head(x, path, base.host_line, headers),
        deadlines,
        _scrubbed(route.record_path.decode("latin-1")),
        _scrubbed(base.origin + path.decode("latin-1")),
    )


def request_head(x: Exchange, path: bytes, host: bytes, headers: Headers) -> bytes:
    """Request line and header lines, with the empty line."""
    lines = [b"%b %b HTTP/1.1\r\nhost: %b\r\n" % (x.head.method, path, host)]
    lines.extend([b"%b: %b\r\n" % field for field in headers])
    body = x.body
    if body.trailers:
        lines.append(b"transfer-encoding: chunked\r\n")
    elif body.length or x.head.method in (b"POST", b"PUT", b"PATCH"):
        lines.append(b"content-length: %d\r\n" % body.length)
    lines.append(b"\r\n")
    return b"".join(lines)
