"""Stored rate limits of an organisation (`/v1/rate-limits`), in Helicone's form; enforced for keys
that were made for it (`rate_limited`), from the next request on.

What is written here as quota, window, unit and segment is the policy that `limits set` takes.
"""

from decimal import Decimal
from typing import Any, Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from appliance.api import openapi_settings as openapi
from appliance.api.audited import note
from appliance.api.incoming import invalid, path_uuid, read_object
from appliance.api.reply import reply
from appliance.api.tenant import settings_of, tenant_of, text
from appliance.api.times import iso
from appliance.core.rate_policy import PolicyInvalid, parse_policy, stored_policy
from appliance.errors import Refusal
from storage.rate_policies import RatePolicyRow

UNITS: Final = {"requests": "request", "cents": "cents"}
SHOWN_UNITS: Final = {stored: shown for shown, stored in UNITS.items()}
EVERYBODY: Final = "global"
FIELDS: Final = ("name", "quota", "window_seconds", "unit", "segment")

router = APIRouter(prefix="/v1/rate-limits", tags=["rate limits"], default_response_class=Response)


@router.get("", **openapi.LIMITS)
async def limits(request: Request) -> Response:
    """All of them, oldest first."""
    return reply([_shown(row) for row in await settings_of(request).limits(tenant_of(request))])


@router.get("/{rule_id}", **openapi.LIMIT)
async def limit(request: Request) -> Response:
    """One of them."""
    return reply(_shown(await _known(request)))


@router.post("", **openapi.ADD_LIMIT)
async def add(request: Request) -> Response:
    """A new one. 409 where another one counts the same already: they would share a bucket."""
    body = await read_object(request)
    name, policy = _read(body)
    row = await settings_of(request).put_limit(tenant_of(request), policy, name)
    note(request, "rate-limit.create", row.id, policy=row.policy)
    return reply(_shown(row), 201)


@router.put("/{rule_id}", **openapi.CHANGE_LIMIT)
async def change(request: Request) -> Response:
    """What is given is changed."""
    before = await _known(request)
    body = await read_object(request)
    now = {**_shown(before), **{name: body[name] for name in FIELDS if body.get(name) is not None}}
    name, policy = _read(now)
    row = await settings_of(request).put_limit(tenant_of(request), policy, name, before.id)
    note(request, "rate-limit.change", row.id, before=before.policy, policy=row.policy)
    return reply(_shown(row))


@router.delete("/{rule_id}", **openapi.DROP_LIMIT)
async def drop(request: Request) -> Response:
    """Gone from the next request on."""
    rule_id = path_uuid(request, "rule_id")
    row = await settings_of(request).drop_limit(tenant_of(request), rule_id)
    note(request, "rate-limit.remove", row.id, policy=row.policy)
    return reply(None)


async def _known(request: Request) -> RatePolicyRow:
    rule_id = path_uuid(request, "rule_id")
    for row in await settings_of(request).limits(tenant_of(request)):
        if row.id == rule_id:
            return row
    raise Refusal(404, "limit_unknown", "The organisation has no stored rate limit of this id.")


def _read(body: dict[str, Any]) -> tuple[str, str]:
    """The name, and the policy in its text."""
    name = text(body, "name", required=True)
    quota = body.get("quota")
    if isinstance(quota, bool) or not isinstance(quota, int | Decimal):
        invalid("quota", "expected a number above 0")
    window = body.get("window_seconds")
    if isinstance(window, bool) or not isinstance(window, int):
        invalid("window_seconds", "expected a whole number")
    unit = body.get("unit")
    if not isinstance(unit, str) or unit not in UNITS:
        invalid("unit", f"expected one of {', '.join(UNITS)}")
    segment = text(body, "segment") or EVERYBODY
    try:
        policy = stored_policy(quota, window, UNITS[unit], segment)
    except PolicyInvalid as error:
        field = {"quota": "quota", "window": "window_seconds"}.get(error.field, "segment")
        raise Refusal(422, "field_invalid", f"{field}: {error.message}") from None
    return name, policy.text.decode()


def _shown(row: RatePolicyRow) -> dict[str, Any]:
    try:
        policy = parse_policy(row.policy)
    except PolicyInvalid:  # of a later version, or damaged: shown as it is, to be removed
        quota, window = Decimal(), 0
    else:
        quota, window = Decimal(policy.limit.decode()), policy.window_s
    return {
        "id": row.id, "name": row.name or row.policy, "quota": quota, "window_seconds": window,
        "unit": SHOWN_UNITS[row.unit], "segment": row.segment or EVERYBODY, "policy": row.policy,
        "created_at": iso(row.created_at_us),
        "updated_at": iso(row.updated_at_us or row.created_at_us),
    }  # fmt: skip
