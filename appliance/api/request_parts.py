"""Parts of one recorded request: the inputs of its prompt, the files in its body."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from fastapi import APIRouter, Request
from starlette.responses import Response

from appliance.api import openapi_requests as openapi
from appliance.api.assets import ASSET_SQL, ASSETS_MAX, OTHER_TYPE, SHOWN_TYPES, number_of
from appliance.api.incoming import invalid, path_uuid
from appliance.api.links import check_link
from appliance.api.permissions import identity_of
from appliance.api.reply import NO_STORE, reply
from appliance.api.request_find import find_request, records_of
from appliance.api.request_links import LinksTo
from appliance.api.request_rows import id_text
from appliance.core.access import Identity
from appliance.errors import Refusal

TEMPLATE_SQL: Final = (
    "SELECT prompt_template FROM bodies WHERE exchange_id = CAST($1 AS UUID)"
    " AND organization_id = CAST($2 AS UUID)"
)
NOT_RUN: Final = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "sandbox; default-src 'none'",
}

router = APIRouter(tags=["requests"], default_response_class=Response)


@router.get("/v1/request/{request_id}/inputs", **openapi.INPUTS)
async def read_inputs(request: Request) -> Response:
    """What the variables of the request's prompt were: `{inputs, prompt_id, version_id,
    environment}`; null for a request without a prompt."""
    identity, records = identity_of(request), records_of(request)
    request_id = path_uuid(request, "request_id")
    stale_by_ms = await records.caught_up(identity.region)
    found = await find_request(records, identity, request_id, include_body=False)
    key = id_text(found.row["exchange_id"])
    rows = (await records.query(identity.region, TEMPLATE_SQL, [key, identity.org.hex()])).rows
    template = _object(rows[0][0] if rows else None)
    prompt_id = found.row["prompt_id"]
    if not template and not prompt_id:
        return reply(None, stale_by_ms=stale_by_ms)
    inputs = template.get("inputs")
    return reply(
        {
            "inputs": inputs if isinstance(inputs, dict) else {},
            "prompt_id": prompt_id,
            "version_id": found.row["prompt_version"],
            "environment": template.get("environment"),
        },
        stale_by_ms=stale_by_ms,
    )


@router.post("/v1/request/{request_id}/assets/{asset_id}", **openapi.ASSET)
async def link_asset(request: Request) -> Response:
    """A URL, good for a day and without a key, of one file that the request's body carries; which
    there are is said by `asset_ids` of the request. 404 for any other id."""
    identity, records = identity_of(request), records_of(request)
    request_id, wanted = path_uuid(request, "request_id"), path_uuid(request, "asset_id")
    await records.caught_up(identity.region)
    found = await find_request(records, identity, request_id, include_body=True)
    key = id_text(found.row["exchange_id"])
    number = number_of(key, wanted, found.assets)
    if number is None:
        raise Refusal(404, "asset_unknown", f"This request has no asset with the id {wanted}.")
    return reply({"assetUrl": LinksTo(request, identity.region).asset(key, number)})


@router.get("/v1/signed/{region}/assets/{exchange_id}/{number}", **openapi.ASSET_FILE)
async def signed_asset(request: Request) -> Response:
    """The bytes of one file in a request's body, with its type where a browser only shows it."""
    region, records = check_link(request), records_of(request)
    exchange_id = path_uuid(request, "exchange_id")
    digits = request.path_params["number"]
    if not digits.isascii() or not digits.isdigit() or not 0 < int(digits[:9]) <= ASSETS_MAX:
        invalid("number", f"expected a whole number from 1 to {ASSETS_MAX}")
    whose = Identity(region=region)
    rows = (await records.query(whose.region, ASSET_SQL, [exchange_id, int(digits)])).rows
    if not rows or rows[0][1] is None:
        raise Refusal(404, "asset_unknown", "There is no such file in this request any more.")
    kind = rows[0][0] if rows[0][0] in SHOWN_TYPES else OTHER_TYPE
    return Response(rows[0][1], 200, {**NO_STORE, **NOT_RUN}, kind)


def _object(text: str | None) -> dict[str, Any]:
    if not text:
        return {}
    try:
        value = msgspec.json.decode(text)
    except (msgspec.MsgspecError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
