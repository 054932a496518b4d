"""A request body read as a whole, whoever asks: at once where it is small, off the loop where it is
large or lies in a file. What it says as JSON is worked out once, and stays with it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import trio

from appliance.core.json_reader import read_json
from appliance.exchange import Body

T = TypeVar("T")

# What reads a whole body says no to larger ones, before it asks here.
BODY_BYTES_MAX = 32 * 1024 * 1024
# Above this a body is read off the loop, and what it says is not kept for whoever may come next.
READ_HERE_BYTES_MAX = 256 * 1024


async def of_bytes(body: Body, work: Callable[[bytes], T]) -> T:
    """What `work` makes of the body's bytes. Raises what it raises; BlobUnreadable for a file that
    is lost."""
    if body.spill is None and body.length <= READ_HERE_BYTES_MAX:
        return work(body.data)
    return await trio.to_thread.run_sync(lambda: work(whole(body)))


async def of_document(body: Body, work: Callable[[Any, str], T], *, keep: bool = False) -> T:
    """What `work` makes of what `read_json` gives for the body; it must not change the document.

    `keep`: the caller keeps the document of a large body anyway, so others may have it too.
    """
    if body.spill is None and body.length <= READ_HERE_BYTES_MAX:
        return work(*_read(body, keep=True))
    return await trio.to_thread.run_sync(lambda: work(*_read(body, keep=keep)))


def whole(body: Body) -> bytes:
    """All of it. Reads a file: not on the loop, unless it is known to lie in memory."""
    data: bytes = body.data if body.spill is None else body.spill.begin(body.length)
    return data


def _read(body: Body, *, keep: bool) -> tuple[Any, str]:
    read = body.read
    if read is None:
        read = read_json(whole(body))
        if keep:
            body.read = read
    return read
