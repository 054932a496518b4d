"""Files that travel within a request's body: images and sound as data URLs, and in the shapes of
Anthropic and Gemini. They stay in the body, as it was sent; here they are found in it.

Pure. The database finds and decodes them: that holds up nobody else.
"""

from __future__ import annotations

from typing import Final
from uuid import UUID, uuid5

ASSETS_MAX: Final = 100  # of one request
_BASE64 = "[A-Za-z0-9+/]+=*"
_TYPE = r"[a-z]+/[a-zA-Z0-9.+-]+"
_PATTERN = (
    f'"data:{_TYPE};base64,{_BASE64}"'
    rf'|"(?:media_type|mimeType|mime_type)"\s*:\s*"{_TYPE}"\s*,\s*"data"\s*:\s*"{_BASE64}"'
)
_MAY_HAVE = "(contains(request, 'base64') OR regexp_matches(request, '\"(mimeType|mime_type)\"'))"
_FOUND = f"regexp_extract_all(request, '{_PATTERN}')"
ASSET_COUNT: Final = (
    f"CASE WHEN {_MAY_HAVE} THEN least(len({_FOUND}), {ASSETS_MAX}) ELSE 0 END AS assets"
)
# $1 the exchange, $2 which of them, from 1: its type, and its bytes or NULL where they are none.
ASSET_SQL: Final = (
    f"SELECT regexp_extract(found, '({_TYPE})', 1), "  # noqa: S608 - constants of ours
    f"TRY(from_base64(regexp_extract(found, '({_BASE64})\"$', 1)))"
    f" FROM (SELECT {_FOUND}[$2] AS found FROM bodies"
    " WHERE exchange_id = CAST($1 AS UUID)) WHERE found IS NOT NULL"
)
# What a browser shows and does not run.
SHOWN_TYPES: Final = frozenset((
    "image/png", "image/jpeg", "image/gif", "image/webp", "audio/mpeg", "audio/wav", "audio/mp3",
    "audio/ogg", "application/pdf",
))  # fmt: skip
OTHER_TYPE: Final = "application/octet-stream"


def asset_id(exchange_id: str, number: int) -> str:
    """The id of one file, the same at every look."""
    return str(uuid5(UUID(exchange_id), str(number)))


def number_of(exchange_id: str, wanted: str, count: int) -> int | None:
    """Which file has this id, from 1."""
    for number in range(1, count + 1):
        if asset_id(exchange_id, number) == wanted:
            return number
    return None
