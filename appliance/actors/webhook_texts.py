"""What is sent of recorded exchanges, read from the database: facts, and bodies as far as they are
small enough."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec
import trio

from appliance.core.webhooks import JSON_BYTES_MAX, TEXT_BYTES_MAX, notice

COLUMNS: Final = (
    "exchange_id", "request_id", "user_id", "model", "provider", "cost_usd", "prompt_tokens",
    "completion_tokens", "reasoning_tokens", "latency_ms",
)  # fmt: skip
ROWS_SQL: Final = (
    f"SELECT {', '.join(COLUMNS)} FROM requests WHERE exchange_id IN $1::UUID[] "  # noqa: S608
    "AND exchange_id BETWEEN CAST($2 AS UUID) AND CAST($3 AS UUID)"
)
# Sizes first: a body that is too large is never read as a whole.
BODIES_SQL: Final = (
    "SELECT exchange_id, strlen(request), CASE WHEN strlen(request) <= $4 THEN request END, "
    "request_type, strlen(response), CASE WHEN strlen(response) <= $4 THEN response END, "
    "response_type FROM bodies WHERE exchange_id IN $1::UUID[] "
    "AND exchange_id BETWEEN CAST($2 AS UUID) AND CAST($3 AS UUID)"
)
BASE64: Final = ";base64"
PIECES_OF_A_TURN: Final = 800


class Text(NamedTuple):
    """One body. `text` is None where there is none, or where it is too large."""

    size_bytes: int
    text: str | None
    content_type: str

    def value(self, url: str | None) -> Any:  # noqa: ANN401 - JSON
        """JSON where it is JSON, else text; a notice in its place where it is too large."""
        if self.text is None:
            return notice(self.size_bytes, JSON_BYTES_MAX, url) if self.size_bytes else None
        if not self.content_type.endswith(BASE64):
            try:
                return msgspec.json.decode(self.text)
            except (msgspec.MsgspecError, ValueError, RecursionError):
                pass  # text it is, then
        if self.size_bytes > TEXT_BYTES_MAX:
            return notice(self.size_bytes, TEXT_BYTES_MAX, url)
        return self.text


class Recorded(NamedTuple):
    """One exchange."""

    row: Mapping[str, Any]
    request: Text
    response: Text

    def bodies(self, url: str | None) -> tuple[Any, Any]:
        """Request and response as they are sent."""
        return self.request.value(url), self.response.value(url)


NOTHING: Final = Text(0, None, "")


async def read_recorded(
    query: Callable[[str, Sequence[Any]], Awaitable[Sequence[tuple[Any, ...]]]],
    exchange_ids: Collection[bytes],
) -> dict[bytes, Recorded]:
    """By exchange; those that are not there any more are not here either."""
    ids = sorted(key.hex() for key in exchange_ids)
    place = [ids, ids[0], ids[-1]]
    rows = await query(ROWS_SQL, place)
    texts = {
        key.bytes: (
            Text(asked or 0, request, request_type or ""),
            Text(replied or 0, response, response_type or ""),
        )
        for key, asked, request, request_type, replied, response, response_type in await query(
            BODIES_SQL, [*place, JSON_BYTES_MAX]
        )
    }
    found = {}
    for values in rows:
        row = dict(zip(COLUMNS, values, strict=True))
        key = row["exchange_id"].bytes
        found[key] = Recorded(row, *texts.get(key, (NOTHING, NOTHING)))
    return found


async def encoded(value: object) -> bytes:
    """As JavaScript writes it, while others get their turn."""
    from appliance.core.js_json import pieces  # who has no webhooks needs none of it

    texts: list[str] = []
    for number, piece in enumerate(pieces(value), 1):
        texts.append(piece)
        if number % PIECES_OF_A_TURN == 0:
            await trio.lowlevel.checkpoint()
    return "".join(texts).encode("utf-8", "replace")
