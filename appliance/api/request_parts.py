"""Parts of one recorded request: the inputs of its prompt, the files in its body."""

from __future__ import annotations

from collections.abc import Mapping
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
from appliance.api.request_find import find_request, not_found, records_of
from appliance.api.request_links import LinksTo
from appliance.api.request_rows import PICO, id_text, time_text
from appliance.core.access import Identity
from appliance.errors import Refusal

TEMPLATE_SQL: Final = (
    "SELECT prompt_template FROM bodies WHERE exchange_id = CAST($1 AS UUID)"
    " AND organization_id = CAST($2 AS UUID)"
)
# What a request's row does not say, as Helicone's has no field for it.
DETAIL_COLUMNS: Final = (
    "http_status", "outcome", "error", "attempts", "not_applied", "price_source", "price_version",
    "usage_detail", "usage_source", "is_stream", "truncated", "method", "api_key_id",
    "gateway_provider", "session_id", "session_path", "session_name", "source", "step", "trace_id",
    "span_id", "parent_span_id", "saved_latency_ms", "request_bytes", "response_bytes",
)  # fmt: skip
DETAIL_SQL: Final = (
    f"SELECT {', '.join(DETAIL_COLUMNS)}, CAST(cost_usd AS VARCHAR), "  # noqa: S608
    "CAST(saved_cost_usd AS VARCHAR) FROM requests "
    "WHERE exchange_id = CAST($1 AS UUID) AND organization_id = CAST($2 AS UUID)"
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


@router.get("/v1/request/{request_id}/details", **openapi.DETAILS)
async def read_details(request: Request) -> Response:
    """What became of one request on its way: every attempt with its target, status, time in
    milliseconds and why it was not the last, what was asked for and not applied, how the cost was
    found (`cost_usd`: exact, as text), session and trace."""
    identity, records = identity_of(request), records_of(request)
    request_id = path_uuid(request, "request_id")
    found = await find_request(records, identity, request_id, include_body=False)
    row: Mapping[str, Any] = found.row
    if "attempts" not in row:  # else it came from the journal, whole
        key = id_text(row["exchange_id"])
        rows = (await records.query(identity.region, DETAIL_SQL, [key, identity.org.hex()])).rows
        if not rows:
            raise not_found(request_id)
        row = dict(zip((*DETAIL_COLUMNS, "cost_usd", "saved_cost_usd"), rows[0], strict=True))
    told: dict[str, Any] = {name: row[name] for name in DETAIL_COLUMNS}
    told["cost_usd"] = _amount(row, "cost")
    told["saved_cost_usd"] = _amount(row, "saved_cost")
    told["attempts"] = [_attempt(one) for one in told["attempts"] or ()]
    told["not_applied"] = told["not_applied"] or []
    return reply(told)


def _attempt(one: Mapping[str, Any]) -> dict[str, Any]:
    names = ("target", "provider", "model", "status", "latency_ms", "why_next")
    told = {name: one.get(name) for name in names}
    told["started_at"] = time_text(one.get("started_at"))
    told["cost_usd"] = _amount(one, "cost")
    return told


def _amount(row: Mapping[str, Any], name: str) -> str | None:
    """As text: a number of JavaScript does not hold every amount."""
    usd, pico = row.get(f"{name}_usd"), row.get(f"{name}_pico")
    if usd is None and pico is not None:
        usd = pico * PICO
    return None if usd is None else str(usd)


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
