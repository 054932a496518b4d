"""The cache key of a request whose body may lie in a spill file: read piece by piece, bounded."""

from __future__ import annotations

from contextlib import aclosing

from appliance.core.cache_key import KeyHead
from appliance.exchange import Body

# Features that read the body work on spilled ones up to this size.
BODY_BYTES_MAX = 32 * 1024 * 1024
# With keys to be ignored all of it is parsed, and written anew, in the loop's time.
PARSED_BYTES_MAX = 4 * 1024 * 1024


async def key_of(head: KeyHead, body: Body) -> bytes | None:
    """The key, or None for a body that is too large to be cached by: not applied, and to be said.
    Raises BlobUnreadable when the spill file is lost."""
    if body.spill is None:
        return head.key(body.data)
    if body.length > (PARSED_BYTES_MAX if head.ignored else BODY_BYTES_MAX):
        return None
    if head.ignored:
        async with aclosing(body.spill.pieces()) as pieces:
            return head.key(b"".join([piece async for piece in pieces]))
    growing = head.growing()
    async with aclosing(body.spill.pieces()) as pieces:
        async for piece in pieces:
            growing.add(piece)
    return growing.key()
