"""`Helicone-Stream-Usage`: ask the provider for token counts at the end of a stream.

The one feature of this kind that edits a body, and only a JSON body that streams and did not say
anything about it. Everything else is passed on as it came.
"""

from __future__ import annotations

import re

import msgspec

from appliance.exchange import Body, Exchange

BODY_BYTES_MAX = 32 * 1024 * 1024
CHAT_DIALECTS = frozenset({"openai", "azure", "groq", "xai", "deepseek", "openrouter", "generic"})


async def ask_for_usage(x: Exchange) -> None:
    """Add `stream_options.include_usage` where it was asked for (header, key or configuration)."""
    if not x.asks_usage:
        return
    body = x.body
    if body.spill is not None or b"content-encoding" in x.head.first:
        x.not_applied.append("stream-usage;reason=body")
        return
    edited = with_usage(body.data)
    if edited is not None:
        x.body = Body(edited, None, len(edited), body.trailers)


def with_usage(data: bytes) -> bytes | None:
    """The body with `stream_options.include_usage` set; None when it needs no change.

    The text is edited at one place and not written anew, so that every other byte stays.
    """
    try:
        document = msgspec.json.decode(data)
    except (msgspec.MsgspecError, RecursionError):
        return None
    if not isinstance(document, dict) or document.get("stream") is not True:
        return None
    options = document.get("stream_options")
    if options is None and "stream_options" not in document:
        at = data.index(b"{") + 1
        return data[:at] + b'"stream_options":{"include_usage":true},' + data[at:]
    if isinstance(options, dict) and "include_usage" not in options:
        opening = re.search(rb'"stream_options"\s*:\s*\{', data)
        if opening is None:
            return None
        separator = b"," if options else b""
        return (
            data[: opening.end()] + b'"include_usage":true' + separator + data[opening.end() :]
        )
    return None
