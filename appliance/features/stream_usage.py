"""`Helicone-Stream-Usage`: ask the provider for token counts at the end of a stream.

The one feature of this kind that edits a body, and only that of a chat completion which streams and
says nothing about it: other APIs refuse the option. Everything else is passed on as it came.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec
import trio

from appliance import fence
from appliance.actors.spill import Spliced
from appliance.exchange import Body, Exchange

BODY_BYTES_MAX = 32 * 1024 * 1024
OPTION = b'"include_usage":true'
OPTIONS_OPENING = re.compile(rb'"stream_options"\s*:\s*\{')


class Unclear(Exception):  # noqa: N818 - says of which part nothing is known
    """The body cannot be changed for certain; the word is the reason that is told."""


class _Asked(msgspec.Struct):
    """The two keys that matter: the rest of a large body is skipped, not built."""

    stream: Any = None
    stream_options: Any = msgspec.UNSET


def wants_usage(x: Exchange) -> bool:
    """Whether it was asked for (header, key or configuration), of an API that knows it."""
    return x.asks_usage and b"/completions" in x.route.path and x.body.length > 0


async def ask_for_usage(x: Exchange) -> bool:
    """Add `stream_options.include_usage`. True: that is done with."""
    if not wants_usage(x):
        return True
    body = x.body
    if b"content-encoding" in x.head.first or body.length > BODY_BYTES_MAX:
        fence.note(x, "stream-usage;reason=body")
        return True
    try:
        await _insert(x, body)
    except Unclear as unclear:
        fence.note(x, f"stream-usage;reason={unclear}")
    return True


async def _insert(x: Exchange, body: Body) -> None:
    """Raises Unclear."""
    if body.spill is not None:
        # Only the reading of a file and a scan in C happen over there; the loop goes on.
        edit = await trio.to_thread.run_sync(lambda: usage_edit(body.spill.begin(body.length)))
        if edit is not None:
            spliced = Spliced(body.spill, *edit)
            x.body = Body(b"", spliced, spliced.length, body.trailers)
        return
    edited = with_usage(body.data)
    if edited is not None:
        x.body = Body(edited, None, len(edited), body.trailers)


def with_usage(data: bytes) -> bytes | None:
    """The body with `stream_options.include_usage` set; None when it needs no change. Raises
    Unclear."""
    edit = usage_edit(data)
    if edit is None:
        return None
    at, inserted = edit
    return data[:at] + inserted + data[at:]


def usage_edit(data: bytes) -> tuple[int, bytes] | None:
    """Where to insert what, so that every other byte stays as it is; None for no change. Raises
    Unclear for a body that nobody can tell where to change."""
    try:
        asked = msgspec.json.decode(data, type=_Asked)
    except (msgspec.MsgspecError, RecursionError):
        raise Unclear("body") from None
    if asked.stream is not True:
        return None
    options = asked.stream_options
    if options is msgspec.UNSET:
        return data.index(b"{") + 1, b'"stream_options":{' + OPTION + b"},"
    if isinstance(options, dict) and "include_usage" in options:
        return None
    openings = list(OPTIONS_OPENING.finditer(data))
    if not isinstance(options, dict) or len(openings) != 1:
        raise Unclear("stream-options")  # of several nobody knows which is the body's own
    at, inserted = openings[0].end(), OPTION + (b"," if options else b"")
    # The one that was found may lie deeper, and the body's own be written with escapes.
    made = msgspec.json.decode(data[:at] + inserted + data[at:], type=_Asked).stream_options
    if "include_usage" not in made:
        raise Unclear("stream-options")
    return at, inserted
