"""Work that nobody would hear the end of is given up: for endpoints that may take long."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import trio
from fastapi import Request
from starlette.requests import ClientDisconnect

T = TypeVar("T")


async def while_client_waits(request: Request, work: Callable[[], Awaitable[T]]) -> T:
    """What `work` gives; it is cancelled when the client leaves. The body must have been read.
    Raises what `work` raises, and ClientDisconnect."""
    failure: Exception | None = None
    found: list[T] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_until_gone, request, nursery.cancel_scope)
        try:
            found.append(await work())
        except Exception as error:  # none may cross the nursery: it would come out as a group
            failure = error
        nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure
    if not found:
        await trio.lowlevel.checkpoint_if_cancelled()
        raise ClientDisconnect
    return found[0]


async def _until_gone(request: Request, scope: trio.CancelScope) -> None:
    message = await request.receive()
    if message["type"] == "http.disconnect":
        scope.cancel()
