"""The plan of one: where a proxied request goes, and the request head that is sent there.

What is not asked to change is not touched: header lines keep their order, case and doubles.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import lru_cache
from typing import NamedTuple

from appliance.config import Deadlines
from appliance.core.credentials import forward_headers
from appliance.core.urls import parse_target, scrub
from appliance.errors import Refusal
from appliance.exchange import Aim, Exchange
from appliance.providers.table import Provider
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


def aim_at(x: Exchange, dialling: Callable[[Provider], Hashable], deadlines: Deadlines) -> Aim:
    """Build the Aim of this exchange from its route. `dialling` gives the pool key's settings for
    a provider. Raises Refusal 400 when the target is no URL."""
    route = x.route
    base = _base(route.base_url)
    facts = x.facts
    if facts.lines is None or x.found_key:
        facts.lines = head_lines(x, base.host_line)
        facts.record_path = scrub(route.record_path.decode("latin-1"))
        facts.record_url = scrub(base.origin + route.path.decode("latin-1"))
    key = PoolKey(base.scheme, base.host, base.port, dialling(route.provider), x.region)
    head = facts.lines + length_lines(x)
    return Aim(route.provider, key, head, deadlines, facts.record_path, facts.record_url)


def head_lines(x: Exchange, host: bytes) -> bytes:
    """Request line and header lines but for the length: the client's own, in order, without what
    is ours, hop by hop or a Helicone key."""
    lines = [b"%b %b HTTP/1.1\r\nhost: %b\r\n" % (x.head.method, x.route.path, host)]
    fields = forward_headers(x.head.headers, x.found_key)
    lines.extend([b"%b: %b\r\n" % field for field in fields])
    return b"".join(lines)


def length_lines(x: Exchange) -> bytes:
    """How the body is framed towards the provider, with the empty line."""
    body = x.body
    if body.trailers:
        return b"transfer-encoding: chunked\r\n\r\n"
    if body.length or x.head.method in (b"POST", b"PUT", b"PATCH"):
        return b"content-length: %d\r\n\r\n" % body.length
    return b"\r\n"
