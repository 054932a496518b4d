"""What was recorded, one by one: queries, the count, and one request by its id."""

from collections.abc import Iterator
from typing import Any, Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from appliance.api import openapi
from appliance.api.incoming import path_uuid, query_flag, read_object
from appliance.api.permissions import identity_of
from appliance.api.reply import error_reply, reply, reply_rows
from appliance.api.request_query import (
    bodies_statement,
    count_statement,
    list_statement,
    one_statement,
)
from appliance.api.request_rows import (
    COLUMNS,
    NOT_ASKED,
    TOO_LARGE,
    Bodies,
    bodies_of,
    derived_bodies,
    derived_row,
    helicone_request,
    id_text,
    view_row,
)
from appliance.api.services import Records, Row
from appliance.core.access import Identity

# Bodies in one answer: a page of a list, and one request (two sides of at most 64 MiB decoded).
PAGE_BODY_BYTES_MAX: Final = 32 * 1024 * 1024
ONE_BODY_BYTES_MAX: Final = 256 * 1024 * 1024

EXCHANGE_ID: Final = COLUMNS.index("exchange_id")

router = APIRouter(tags=["requests"], default_response_class=Response)


def _records(request: Request) -> Records:
    records: Records = request.app.state.services.records
    return records


@router.post("/v1/request/query-clickhouse", **openapi.LIST)
@router.post("/v1/request/query", **openapi.LIST)
async def query_requests(request: Request) -> Response:
    """Requests that a filter finds, the newest first unless `sort` says otherwise."""
    identity, records = identity_of(request), _records(request)
    sql, parameters = list_statement(await read_object(request), identity.org)
    stale_by_ms = await records.caught_up(identity.region)
    found = await records.query(identity.region, sql, parameters)
    ids = [id_text(values[EXCHANGE_ID]) for values in found.rows]
    texts = await _texts(records, identity, ids, PAGE_BODY_BYTES_MAX)

    def rows() -> Iterator[dict[str, Any]]:
        for key, values in zip(ids, found.rows, strict=True):
            bodies = bodies_of(*texts[key]) if key in texts else (TOO_LARGE, TOO_LARGE)
            yield helicone_request(view_row(values), bodies)

    return await reply_rows(rows(), stale_by_ms=stale_by_ms)


@router.post("/v1/request/count/query", **openapi.COUNT)
async def count_requests(request: Request) -> Response:
    """How many requests a filter finds."""
    identity, records = identity_of(request), _records(request)
    sql, parameters = count_statement(await read_object(request), identity.org)
    stale_by_ms = await records.caught_up(identity.region)
    found = await records.query(identity.region, sql, parameters)
    return reply(found.rows[0][0], stale_by_ms=stale_by_ms)


@router.get("/v1/request/{request_id}", **openapi.ONE)
async def read_request(request: Request) -> Response:
    """One request by its id, as soon as its response has ended; the newest, if the id was given
    more than once."""
    identity, records = identity_of(request), _records(request)
    request_id = path_uuid(request, "request_id")
    include_body = query_flag(request, "includeBody")
    found = await _recent(records, identity, request_id)
    if found is None:
        found = await _recorded(records, identity, request_id, include_body)
    if found is None:
        # A frame that a slow disk was handed, or a strict one, has no place that could be known.
        await records.caught_up(identity.region)
        found = await _recorded(records, identity, request_id, include_body)
    if found is None:
        return error_reply(404, f"There is no request with the id {request_id}.")
    row, bodies = found
    return reply(helicone_request(row, bodies if include_body else (NOT_ASKED, NOT_ASKED)))


async def _recent(
    records: Records, identity: Identity, request_id: str
) -> tuple[dict[str, Any], Bodies] | None:
    """From the journal, while the database does not have it yet."""
    position = records.find_recent(identity.region, identity.org, request_id)
    if position is None:
        return None
    try:
        row, body = await records.read_rows(identity.region, position)
    except LookupError:
        # rolled, or deleted, in the meantime: the database knows
        return None
    return derived_row(row), derived_bodies(body)


async def _recorded(
    records: Records, identity: Identity, request_id: str, include_body: bool
) -> tuple[dict[str, Any], Bodies] | None:
    found = await records.query(identity.region, *one_statement(request_id, identity.org))
    if not found.rows:
        return None
    row = view_row(found.rows[0])
    key = id_text(row["exchange_id"])
    if not include_body:
        return row, (None, None)
    texts = await _texts(records, identity, [key], ONE_BODY_BYTES_MAX)
    return row, bodies_of(*texts[key]) if key in texts else (None, None)


async def _texts(
    records: Records, identity: Identity, exchange_ids: list[str], bytes_max: int
) -> dict[str, Row]:
    """Both bodies and their types, by exchange, as far as they fit."""
    if not exchange_ids:
        return {}
    sql, parameters = bodies_statement(exchange_ids, bytes_max)
    found = await records.query(identity.region, sql, parameters)
    return {id_text(key): tuple(texts) for key, *texts in found.rows}
