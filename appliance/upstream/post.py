"""One POST of our own to somebody who is no provider.

Redirects are not followed. Time is the caller's: cancellation closes the connection.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from appliance.core.urls import Target, parse_target
from appliance.errors import UpstreamFailed
from appliance.exchange import Body, Watch
from appliance.upstream.address import Origin
from appliance.upstream.dial import DialSettings, dial
from appliance.upstream.http1 import Stale, UpstreamConnection, UpstreamReply, send_request
from appliance.upstream.pool import Pool, PoolKey

# Read of a reply of which only the status counts, so that its connection can be used again.
PASSED_OVER_BYTES_MAX = 64 * 1024


async def post(
    url: str,
    settings: DialSettings,
    *,
    content_type: str,
    body: bytes,
    reply_bytes_max: int,
    headers: Mapping[str, str] | None = None,
) -> tuple[int, bytes]:
    """Status and body of the reply. `headers` go along as they are; none may hold the end of a
    line. Raises UpstreamFailed; Refusal for an address that may not be
    dialled; ValueError for what is no URL."""
    target = parse_target(url)
    connection = await _connect(target, settings, None)
    try:
        head = _head(target, _path_of(url), content_type, body, headers or {}, keep=False)
        try:
            reply = await _exchange(connection, head, body)
        except Stale:
            raise _cut() from None
        return reply.status, await _whole(reply, reply_bytes_max)
    finally:
        connection.close()


async def notify(
    url: str, settings: DialSettings, pool: Pool, *, headers: Mapping[str, str], body: bytes
) -> int:
    """The status of the reply to a POST of JSON, over a connection of the pool. What the reply says
    is passed over. Raises as `post` does."""
    target = parse_target(url)
    key = PoolKey(target.scheme, target.host, target.port, settings, "")
    head = _head(target, _path_of(url), "application/json", body, headers, keep=True)
    connection = pool.take_idle(key)
    while True:
        if connection is None:
            connection = await _connect(target, settings, key)
        reusable = False
        try:
            reply = await _exchange(connection, head, body)
            reusable = await _passed_over(reply)
            return reply.status
        except Stale:
            if connection.used <= 1:
                raise _cut() from None
        finally:
            if reusable:
                pool.give_back(connection)
            else:
                connection.close()
        connection = None


async def _connect(target: Target, settings: DialSettings, key: object) -> UpstreamConnection:
    dialed = await dial(Origin(target.scheme, target.host, target.port), settings)
    return UpstreamConnection(key, dialed.wire)


def _path_of(url: str) -> str:
    """Path and query as they were written: a slash at the end may mean something."""
    parts = urlsplit(url)
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def _head(
    target: Target,
    path: str,
    content_type: str,
    body: bytes,
    headers: Mapping[str, str],
    *,
    keep: bool,
) -> bytes:
    lines = [
        f"POST {path} HTTP/1.1", f"host: {target.netloc}", f"content-type: {content_type}",
        "accept: application/json", f"content-length: {len(body)}",
        f"connection: {'keep-alive' if keep else 'close'}",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]  # fmt: skip
    return "\r\n".join([*lines, "", ""]).encode("ascii")


async def _exchange(connection: UpstreamConnection, head: bytes, body: bytes) -> UpstreamReply:
    """The reply, its head read. Raises Stale, UpstreamFailed."""
    complete = await send_request(connection, head, Body(body, None, len(body)), Watch(None))
    reply = UpstreamReply(connection)
    while not await reply.read_head(b"POST", complete=complete):
        pass
    return reply


def _cut() -> UpstreamFailed:
    return UpstreamFailed("cut", "connection lost before the reply", retryable=True)


async def _passed_over(reply: UpstreamReply) -> bool:
    """Whether the connection can be used again. The reply's body changes nothing of the outcome,
    also where it breaks off."""
    left = PASSED_OVER_BYTES_MAX
    try:
        while not reply.done and left > 0:
            left -= len(await reply.piece())
    except UpstreamFailed:
        return False
    return reply.done and reply.reusable


async def _whole(reply: UpstreamReply, reply_bytes_max: int) -> bytes:
    data = b""
    while not reply.done:
        data += await reply.piece()
        if len(data) > reply_bytes_max:
            raise UpstreamFailed("malformed", f"the reply is over {reply_bytes_max} bytes")
    return data
