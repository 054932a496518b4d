"""Filters that somebody saved for the whole organisation (`/v1/filter`). What is in one is the
page's business (`backend.md 2.4`): it is kept as it came.
"""

from typing import Any, Final
from uuid import UUID

import msgspec
from fastapi import APIRouter, Request
from starlette.responses import Response

from appliance.api import openapi_settings as openapi
from appliance.api.audited import note
from appliance.api.incoming import invalid, path_uuid, read_object
from appliance.api.reply import reply
from appliance.api.signed_in import services_of
from appliance.api.tenant import tenant_of
from appliance.api.times import iso
from appliance.core.passwords import check_person
from appliance.errors import Refusal
from storage import saved_filters as book

FILTER_BYTES_MAX: Final = 65_536
UNKNOWN: Final = "The organisation has no saved filter of this id."

router = APIRouter(prefix="/v1/filter", tags=["filters"], default_response_class=Response)
_encode = msgspec.json.Encoder(decimal_format="number").encode


@router.get("", **openapi.FILTERS)
async def filters(request: Request) -> Response:
    """All of them, the newest first."""
    org, tables = _asked(request)
    rows = await tables.read(lambda connection: book.list_filters(connection, org))
    return reply([_shown(row) for row in rows])


@router.get("/{filter_id}", **openapi.FILTER)
async def one(request: Request) -> Response:
    """One of them."""
    return reply(_shown(await _known(request)))


@router.post("", **openapi.ADD_FILTER)
async def add(request: Request) -> Response:
    """Save one: `name`, and `filter` as any JSON of at most 64 KiB."""
    org, tables = _asked(request)
    name, text = _read(await read_object(request))
    try:
        row = await tables.write(lambda found: book.add_filter(found, org, name, text))
    except ValueError as error:
        raise Refusal(409, "filters_full", str(error)) from None
    note(request, "filter.create", row.id)
    return reply({"id": row.id}, 201)


@router.patch("/{filter_id}", **openapi.CHANGE_FILTER)
async def change(request: Request) -> Response:
    """Another name or another filter: said plainly, or as Helicone's page does in `filters`."""
    before = await _known(request)
    org, tables = _asked(request)
    body = await read_object(request)
    given = body.get("filters", body)
    if not isinstance(given, dict):
        invalid("filters", "expected an object")
    # As it was written: not every number of JSON is one of ours.
    now: dict[str, Any] = {"name": before.name, "filter": msgspec.Raw(before.filter.encode())}
    name, text = _read({**now, **given})
    if not await tables.write(lambda c: book.change_filter(c, org, before.id, name, text)):
        raise Refusal(404, "filter_unknown", UNKNOWN)
    note(request, "filter.change", before.id)
    return reply(None)


@router.delete("/{filter_id}", **openapi.DROP_FILTER)
async def drop(request: Request) -> Response:
    """Forget it."""
    org, tables = _asked(request)
    filter_id = path_uuid(request, "filter_id")
    if not await tables.write(lambda found: book.drop_filter(found, org, filter_id)):
        raise Refusal(404, "filter_unknown", UNKNOWN)
    note(request, "filter.remove", filter_id)
    return reply(None)


def _asked(request: Request) -> Any:  # noqa: ANN401 - a pair
    tenant = tenant_of(request)
    return str(UUID(bytes=tenant.org)), services_of(request).tables[tenant.region]


async def _known(request: Request) -> book.SavedFilter:
    org, tables = _asked(request)
    filter_id = path_uuid(request, "filter_id")
    found = await tables.read(lambda connection: book.find_filter(connection, org, filter_id))
    if found is None:
        raise Refusal(404, "filter_unknown", UNKNOWN)
    row: book.SavedFilter = found
    return row


def _read(body: dict[str, Any]) -> tuple[str, str]:
    name = check_person(body.get("name"))
    if not name:
        invalid("name", "is required")
    if body.get("filter") is None:
        invalid("filter", "is required")
    data = _encode(body["filter"])
    if len(data) > FILTER_BYTES_MAX:
        invalid("filter", f"at most {FILTER_BYTES_MAX} bytes")
    return name, data.decode()


def _shown(row: book.SavedFilter) -> dict[str, Any]:
    return {
        "id": row.id, "name": row.name, "filter": msgspec.Raw(row.filter.encode()),
        "createdAt": iso(row.created_at_us),
    }  # fmt: skip
