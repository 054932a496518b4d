"""What was recorded, one by one: queries, the count, one request by its id, several by theirs, and
the links under which their bodies can be fetched without a key.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import trio
from fastapi import APIRouter, Request
from starlette.responses import Response

from appliance.api import openapi
from appliance.api.cursors import encode_cursor
from appliance.api.fields import uuids
from appliance.api.incoming import flag, path_uuid, query_flag, read_object
from appliance.api.links import check_link
from appliance.api.look_back import LookBack, look_key
from appliance.api.permissions import identity_of
from appliance.api.reply import bare, reply, reply_rows
from appliance.api.request_find import (
    ONE_BODY_BYTES_MAX,
    PAGE_BODY_BYTES_MAX,
    find_request,
    not_found,
    records_of,
    texts_of,
)
from appliance.api.request_links import LinksTo
from appliance.api.request_query import (
    EVER,
    asks_for_bodies,
    count_statement,
    created_of,
    has_cursor,
    limit_of,
    list_statement,
    looks,
    many_statement,
    rows_statement,
    text_looks,
    within_statement,
)
from appliance.api.request_rows import (
    COLUMNS,
    NOT_ASKED,
    TOO_LARGE,
    bodies_of,
    helicone_request,
    id_text,
    view_row,
)
from appliance.api.services import Records, Row
from appliance.core.access import Identity
from appliance.errors import Refusal

EXCHANGE_ID: Final = COLUMNS.index("exchange_id")
CREATED_AT: Final = COLUMNS.index("request_created_at")
IDS_MAX: Final = 1000
MISSING: Final = (None, None, None, None, 0)

router = APIRouter(tags=["requests"], default_response_class=Response)


@router.post("/v1/request/query-clickhouse", **openapi.LIST)
@router.post("/v1/request/query", **openapi.LIST)
async def query_requests(request: Request) -> Response:
    """Requests that a filter finds, the newest first unless `sort` says otherwise. Lists in the
    order of time bring `next_cursor`: sent back as `cursor` it gives the rows behind these, also
    where others came meanwhile. `total: true` counts all that the filter finds."""
    identity, records = identity_of(request), records_of(request)
    body = await read_object(request)
    list_statement(body, identity.org)  # refused before anybody waits
    counting = count_statement(body, identity.org) if flag(body, "total") else None
    stale_by_ms = await records.caught_up(identity.region)
    page = await page_of(records, identity, body, request.app.state.look_back)
    beside: dict[str, object] = {}
    if has_cursor(body):
        beside["next_cursor"] = _next_cursor(page.rows, body)
    if counting is not None:
        beside["total"] = (await records.query(identity.region, *counting)).rows[0][0]
    return await _rows_reply(request, identity, page, stale_by_ms, beside)


@router.post("/v1/request/query-ids", **openapi.BY_IDS)
async def query_ids(request: Request) -> Response:
    """Requests by their ids, the newest first; of an id that was given more than once the newest.
    Ids that are not on record here are left out."""
    identity, records = identity_of(request), records_of(request)
    ids = uuids(await read_object(request), "requestIds", values_max=IDS_MAX)
    stale_by_ms = await records.caught_up(identity.region)
    rows = (await records.query(identity.region, *many_statement(ids, identity.org))).rows
    keys = [id_text(values[EXCHANGE_ID]) for values in rows]
    page = Page(rows, await texts_of(records, identity, keys, PAGE_BODY_BYTES_MAX))
    return await _rows_reply(request, identity, page, stale_by_ms, {})


@router.post("/v1/request/count/query", **openapi.COUNT)
async def count_requests(request: Request) -> Response:
    """How many requests a filter finds."""
    identity, records = identity_of(request), records_of(request)
    sql, parameters = count_statement(await read_object(request), identity.org)
    stale_by_ms = await records.caught_up(identity.region)
    found = await records.query(identity.region, sql, parameters)
    return reply(found.rows[0][0], stale_by_ms=stale_by_ms)


@router.get("/v1/request/{request_id}", **openapi.ONE)
async def read_request(request: Request) -> Response:
    """One request by its id, as soon as its response has ended; the newest, if the id was given
    more than once."""
    identity, records = identity_of(request), records_of(request)
    request_id = path_uuid(request, "request_id")
    include_body = query_flag(request, "includeBody")
    found = await find_request(records, identity, request_id, include_body=include_body)
    links = LinksTo(request, identity.region)
    key = id_text(found.row["exchange_id"])
    shown = found.bodies if include_body else (NOT_ASKED, NOT_ASKED)
    return reply(
        helicone_request(
            found.row, shown, signed_body_url=links.bodies(key),
            assets=links.assets(key, found.assets),
        )
    )  # fmt: skip


@router.get("/v1/signed/{region}/bodies/{exchange_id}", **openapi.BODIES)
async def signed_bodies(request: Request) -> Response:
    """Both bodies of one exchange as `{request, response}`: JSON where they are JSON, else text.
    The URL is a row's `signed_body_url`, which counts for a day and needs no key."""
    region, records = check_link(request), records_of(request)
    exchange_id = path_uuid(request, "exchange_id")
    # Whose it is was said when the link was made: it names one exchange of one organisation.
    whose = Identity(region=region)
    texts = await texts_of(records, whose, [exchange_id], ONE_BODY_BYTES_MAX)
    if not texts:
        await records.caught_up(region)
        records.check_whole(region)
        texts = await texts_of(records, whose, [exchange_id], ONE_BODY_BYTES_MAX, whole=True)
    if not texts:
        raise not_found(exchange_id)
    bodies = bodies_of(*texts[exchange_id][:4])
    return bare({"request": bodies[0], "response": bodies[1]})


class Page(NamedTuple):
    """Rows in their order, and what was said by exchange, as far as it fits."""

    rows: Sequence[Row]
    texts: dict[str, Row]


async def page_of(
    records: Records, identity: Identity, body: dict[str, Any], memory: LookBack
) -> Page:
    """A page, found by as short a look back as fills it."""
    now = datetime.now(UTC).replace(tzinfo=None)
    if asks_for_bodies(body, identity.org):
        ids = await _ids_by_bodies(records, identity, body, now)
    else:
        ids = await _ids_by_columns(records, identity, body, now, memory)
    page = await _read_page(records, identity, ids)
    memory.note_shown(identity.region, (row[CREATED_AT] for row in page.rows))
    return page


async def _ids_by_columns(
    records: Records, identity: Identity, body: dict[str, Any], now: datetime, memory: LookBack
) -> Sequence[Row]:
    wanted = limit_of(body)
    ids: Sequence[Row] = ()
    key = look_key(identity, body)
    for look in looks(body, memory.begin(identity.region, now)):
        if look != EVER and memory.is_far(key):
            continue
        statement = list_statement(body, identity.org, look)
        ids = (await records.query(identity.region, *statement, look.created)).rows
        if len(ids) >= wanted:
            break
        if look != EVER:
            memory.note_far(key)
    return ids


async def _ids_by_bodies(
    records: Records, identity: Identity, body: dict[str, Any], now: datetime
) -> Sequence[Row]:
    """Of a page whose bodies are to be read: of each look only those that it can be about."""
    wanted = limit_of(body)
    ids: list[Row] = []
    for look in text_looks(body, now):
        statement = within_statement(body, identity.org, look)
        first, last = (await records.query(identity.region, *statement, look.created)).rows[0]
        if first is None:
            continue
        statement = list_statement(body, identity.org, look, within=(first, last))
        ids += (await records.query(identity.region, *statement, look.created)).rows
        if len(ids) >= wanted:
            break
    return ids[:wanted]


async def _read_page(records: Records, identity: Identity, ids: Sequence[Row]) -> Page:
    """Rows and bodies at once: to plan such a statement takes as long as to carry it out."""
    keys, created = [id_text(row[0]) for row in ids], created_of(ids)
    rows: list[Row] = []
    texts: dict[str, Row] = {}
    refused: list[Refusal] = []

    async def read_rows() -> None:
        try:
            statement = rows_statement(keys)
            rows.extend((await records.query(identity.region, *statement, created)).rows)
        except Refusal as refusal:
            refused.append(refusal)

    async def read_texts() -> None:
        try:
            found = await texts_of(records, identity, keys, PAGE_BODY_BYTES_MAX, created)
            texts.update(found)
        except Refusal as refusal:
            refused.append(refusal)

    if keys:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(read_rows)
            nursery.start_soon(read_texts)
    if refused:
        raise refused[0]
    by_id = {id_text(row[EXCHANGE_ID]): row for row in rows}
    # One that was deleted between the two looks is left out.
    return Page([by_id[key] for key in keys if key in by_id], texts)


def _next_cursor(rows: Sequence[Row], body: dict[str, Any]) -> str | None:
    """None at the end of the list, as far as it can be seen."""
    if not rows or len(rows) < limit_of(body):
        return None
    return encode_cursor(rows[-1][CREATED_AT], rows[-1][EXCHANGE_ID])


async def _rows_reply(
    request: Request,
    identity: Identity,
    page: Page,
    stale_by_ms: float | None,
    beside: dict[str, object],
) -> Response:
    links, texts = LinksTo(request, identity.region), page.texts

    def rows() -> Iterator[dict[str, Any]]:
        for values in page.rows:
            key = id_text(values[EXCHANGE_ID])
            *four, count = texts.get(key) or MISSING
            bodies = bodies_of(*four) if key in texts else (TOO_LARGE, TOO_LARGE)
            yield helicone_request(
                view_row(values), bodies, signed_body_url=links.bodies(key),
                assets=links.assets(key, count),
            )  # fmt: skip

    return await reply_rows(rows(), stale_by_ms=stale_by_ms, **beside)
