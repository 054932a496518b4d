"""The plan of one: where a proxied request goes, and the request head that is sent there.

What is not asked to change is not touched: header lines keep their order, case and doubles.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import lru_cache
from typing import Any, NamedTuple

from appliance.config import Deadlines
from appliance.core.credentials import forward_headers
from appliance.core.realtime import sent_fields
from appliance.core.urls import parse_target, scrub
from appliance.errors import Refusal
from appliance.exchange import Aim, Exchange, Headers, Lent
from appliance.providers.table import Provider
from appliance.upstream.pool import PoolKey

# RFC 9110 8.6: methods whose body has a meaning say that it is empty.
LENGTH_ALWAYS = frozenset((b"POST", b"PUT", b"PATCH"))


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


def aim_at(
    x: Exchange, lent: Lent, dialling: Callable[[Provider], Hashable], deadlines: Deadlines
) -> Aim:
    """The Aim of this exchange, from its route. `dialling` gives the pool key's settings for a
    provider. Raises Refusal 400 when the target is no URL."""
    facts = x.facts
    aim = facts.aim
    if (
        aim is None
        or lent is not facts.aimed
        or x.found_key != facts.found_key
        or x.region != aim.key.region
    ):
        sent = lent
        if lent.fields is None:
            sent = Lent(None, forward_headers(x.head.headers, x.found_key), x.route.path)
        aim = facts.aim = aim_along(x, x.route, sent, dialling, deadlines)
        facts.found_key, facts.aimed = x.found_key, lent
    return aim


def aim_along(
    x: Exchange,
    route: Any,  # noqa: ANN401 - the door's Route, which lies above
    lent: Lent,
    dialling: Callable[[Provider], Hashable],
    deadlines: Deadlines,
) -> Aim:
    """The Aim along a route, with the header lines and path of `lent`. Raises Refusal 400."""
    provider = route.provider
    assert provider is not None, "a proxied route has one"
    base = _base(route.base_url)
    switches: bool = route.switches
    fields = lent.fields or []
    if switches:
        fields = sent_fields(fields, provider.id, lent.path)
    return Aim(
        provider,
        PoolKey(base.scheme, base.host, base.port, dialling(provider), x.region),
        head_lines(x.head.method, lent.path, base.host_line, fields),
        x.head.method in LENGTH_ALWAYS,
        deadlines,
        scrub(x.route.record_path.decode("latin-1")),
        scrub(base.origin + route.path.decode("latin-1")),
        switches,
        lent.denied,
    )


def head_lines(method: bytes, path: bytes, host: bytes, fields: Headers) -> bytes:
    """Request line and header lines but for the length: the client's own, in order, without what
    is ours, hop by hop or a Helicone key."""
    lines = [b"%b %b HTTP/1.1\r\nhost: %b\r\n" % (method, path, host)]
    lines.extend([b"%b: %b\r\n" % field for field in fields])
    return b"".join(lines)
