"""One POST of our own to somebody who is no provider: a connection for it, and the whole reply.

Redirects are not followed. Time is the caller's: cancellation closes the connection.
"""

from __future__ import annotations

from collections.abc import Mapping

from appliance.core.urls import parse_target
from appliance.errors import UpstreamFailed
from appliance.exchange import Body, Watch
from appliance.upstream.address import Origin
from appliance.upstream.dial import DialSettings, dial
from appliance.upstream.http1 import Stale, UpstreamConnection, UpstreamReply, send_request


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
    dialed = await dial(Origin(target.scheme, target.host, target.port), settings)
    connection = UpstreamConnection(None, dialed.wire)
    try:
        # A target is read without the slash at its end, which some servers ask for.
        path = target.path + ("/" if url.endswith("/") else "") or "/"
        more = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
        head = (
            f"POST {path} HTTP/1.1\r\nhost: {target.netloc}\r\n"
            f"content-type: {content_type}\r\naccept: application/json\r\n"
            f"content-length: {len(body)}\r\n{more}connection: close\r\n\r\n"
        )
        sent = Body(body, None, len(body))
        complete = await send_request(connection, head.encode("ascii"), sent, Watch(None))
        reply = UpstreamReply(connection)
        while not await reply.read_head(b"POST", complete=complete):
            pass
        return reply.status, await _whole(reply, reply_bytes_max)
    except Stale:
        raise UpstreamFailed("cut", "connection lost before the reply", retryable=True) from None
    finally:
        connection.close()


async def _whole(reply: UpstreamReply, reply_bytes_max: int) -> bytes:
    data = b""
    while not reply.done:
        data += await reply.piece()
        if len(data) > reply_bytes_max:
            raise UpstreamFailed("malformed", f"the reply is over {reply_bytes_max} bytes")
    return data
