"""One recorded request by its id: its row, its bodies, the exchange that edits are for.

An id is what the client said: of any version of UUID, and not always used once; the newest counts.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple
from uuid import UUID

from fastapi import Request

from appliance.api.request_query import bodies_statement, one_statement, small_bodies_statement
from appliance.api.request_rows import (
    Bodies,
    bodies_of,
    derived_bodies,
    derived_row,
    id_text,
    view_row,
)
from appliance.api.services import Records, Row
from appliance.core.access import Identity
from appliance.errors import Refusal
from storage.manifest import Span

# Bodies in one answer: a page of a list, and one request (two sides of at most 64 MiB decoded).
PAGE_BODY_BYTES_MAX: Final = 32 * 1024 * 1024
ONE_BODY_BYTES_MAX: Final = 256 * 1024 * 1024


class Found(NamedTuple):
    """A row as the views show it, and its bodies where they were asked for."""

    row: dict[str, Any]
    bodies: Bodies
    assets: int = 0  # how many images and other files the request's body carries


def records_of(request: Request) -> Records:
    """What was recorded."""
    records: Records = request.app.state.services.records
    return records


def not_found(request_id: str) -> Refusal:
    """Also where it is another organisation's."""
    return Refusal(404, "request_unknown", f"There is no request with the id {request_id}.")


async def find_request(
    records: Records, identity: Identity, request_id: str, *, include_body: bool
) -> Found:
    """As soon as its response has ended. Raises Refusal 404, and 503 while that is not known."""
    found = await _recent(records, identity, request_id)
    if found is None:
        found = await _recorded(records, identity, request_id, include_body, whole=False)
    if found is None:
        # A frame that a slow disk was handed, or a strict one, has no place that could be known.
        await records.caught_up(identity.region)
        records.check_whole(identity.region)  # before it is asked: it may become whole meanwhile
        found = await _recorded(records, identity, request_id, include_body, whole=True)
    if found is None:
        raise not_found(request_id)
    return found


async def find_exchange(records: Records, identity: Identity, request_id: str) -> bytes:
    """The exchange that an edit of this request is for. Raises Refusal 404."""
    found = await find_request(records, identity, request_id, include_body=False)
    return id_bytes(found.row["exchange_id"])


def id_bytes(value: UUID | bytes | str) -> bytes:
    """The 16 bytes of a UUID, from what the database or the deriver gives."""
    return UUID(id_text(value)).bytes


async def texts_of(
    records: Records,
    identity: Identity,
    exchange_ids: list[str],
    bytes_max: int,
    created: Span | None = None,
    *,
    whole: bool = False,
) -> dict[str, Row]:
    """Both bodies, their types and the number of assets, by exchange, as far as they fit.
    `created`: when all of these were. `whole`: see Records.query."""
    if not exchange_ids:
        return {}
    # Nearly always these are all: then they are read once, not a second time for their sizes.
    small = small_bodies_statement(exchange_ids, bytes_max)
    found = await records.query(identity.region, *small, created, whole=whole)
    if len(found.rows) < len(exchange_ids):
        everything = bodies_statement(exchange_ids, bytes_max)
        found = await records.query(identity.region, *everything, created, whole=whole)
    return {id_text(key): tuple(texts) for key, *texts in found.rows}


async def _recent(records: Records, identity: Identity, request_id: str) -> Found | None:
    """From the journal, while the database does not have it yet."""
    position = records.find_recent(identity.region, identity.org, request_id)
    if position is None:
        return None
    try:
        row, body = await records.read_rows(identity.region, position)
    except LookupError:
        # rolled, or deleted, in the meantime: the database knows
        return None
    return Found(derived_row(row), derived_bodies(body))


async def _recorded(
    records: Records, identity: Identity, request_id: str, include_body: bool, *, whole: bool
) -> Found | None:
    statement = one_statement(request_id, identity.org)
    found = await records.query(identity.region, *statement, whole=whole)
    if not found.rows:
        return None
    row = view_row(found.rows[0])
    key = id_text(row["exchange_id"])
    if not include_body:
        return Found(row, (None, None))
    texts = await texts_of(records, identity, [key], ONE_BODY_BYTES_MAX)
    if key not in texts:
        return Found(row, (None, None))
    *bodies, assets = texts[key]
    return Found(row, bodies_of(*bodies), assets)
