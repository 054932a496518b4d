"""Webhooks of an organisation (`backend.md 7.1`): receivers, their test, their deliveries.

An HMAC key is told once, when it is made: no endpoint gives a stored secret.
"""

import base64
import json
import re
import secrets
import time
import uuid
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from typing import Any, Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from appliance.api import openapi_webhooks as openapi
from appliance.api.incoming import flag, invalid, path_uuid, query_integer, read_object
from appliance.api.permissions import identity_of
from appliance.api.reply import error_reply, reply
from appliance.api.services import Services, Tables
from appliance.api.services_webhooks import Webhooks
from appliance.core.access import Identity
from appliance.core.webhooks import VERSION, read_filters
from storage import webhook_tables as table

FILTERS_MAX: Final = 50
TEXT_CHARACTERS_MAX: Final = 1000
KEY_BYTES: Final = 32
DELIVERIES_DEFAULT: Final = 50
DELIVERIES_MAX: Final = 500
CURSOR: Final = re.compile(r"([0-9]{1,18}) ([0-9a-f-]{36})")

router = APIRouter(tags=["webhooks"], default_response_class=Response)


def _parts(request: Request) -> tuple[Identity, Tables, Webhooks]:
    services: Services = request.app.state.services
    identity = identity_of(request)
    return identity, services.tables[identity.region], services.webhooks


@router.get("/v1/webhooks", **openapi.LIST)
async def list_webhooks(request: Request) -> Response:
    """The organisation's webhooks, oldest first; without their HMAC keys."""
    identity, tables, _ = _parts(request)
    rows = await tables.read(partial(table.webhooks_of, org=identity.org))
    return reply([_shown(row) for row in rows])


@router.post("/v1/webhooks", **openapi.CREATE)
async def create_webhook(request: Request) -> Response:
    """A new receiver, of what is recorded from now on. The answer has its HMAC key, this once.

    422 names a wrong field; 409 when the organisation has 50 already.
    """
    identity, tables, webhooks = _parts(request)
    body = await read_object(request)
    key = secrets.token_hex(KEY_BYTES)
    row = table.WebhookRow(
        str(uuid.uuid4()), identity.org, webhooks.check_destination(
            body.get("destination"), "destination"
        ), 100.0, "[]", True, True, b"", "", webhooks.recorded(identity.region),
        now := _now_us(), now,
    )  # fmt: skip
    row = _with_key(_with_settings(row, body), key, identity, webhooks)
    if not await tables.write(partial(table.add_webhook, row=row)):
        return error_reply(409, f"There are {table.WEBHOOKS_MAX} webhooks already: delete one.")
    webhooks.changed(identity.region)
    return reply(_shown(row) | {"hmac_key": key})


@router.patch("/v1/webhooks/{webhook_id}", **openapi.CHANGE)
async def change_webhook(request: Request) -> Response:
    """Change what is given: destination, config, includeData, isActive. `rotateHmacKey: true` makes
    a new key, which the answer has this once. One that is switched on again is told of what is
    recorded from then on."""
    identity, tables, webhooks = _parts(request)
    row = await _found(request, identity, tables)
    body = await read_object(request)
    if row is None:
        return _missing(request)
    changed = _with_settings(replace(row, updated_at_us=_now_us()), body)
    if "destination" in body:
        destination = webhooks.check_destination(body["destination"], "destination")
        changed = replace(changed, destination=destination)
    if changed.is_active and not row.is_active:
        changed = replace(changed, since=webhooks.recorded(identity.region))
    key = secrets.token_hex(KEY_BYTES) if flag(body, "rotateHmacKey") else ""
    if key:
        changed = _with_key(changed, key, identity, webhooks)
    await tables.write(partial(table.change_webhook, row=changed))
    webhooks.changed(identity.region)
    return reply(_shown(changed) | ({"hmac_key": key} if key else {}))


@router.delete("/v1/webhooks/{webhook_id}", **openapi.REMOVE)
async def remove_webhook(request: Request) -> Response:
    """With its deliveries. 404 when there is none of this id."""
    identity, tables, webhooks = _parts(request)
    webhook_id = path_uuid(request, "webhook_id")
    gone = await tables.write(
        partial(table.remove_webhook, org=identity.org, webhook_id=webhook_id)
    )
    if not gone:
        return _missing(request)
    webhooks.changed(identity.region)
    return reply(None)


@router.post("/v1/webhooks/{webhook_id}/test", **openapi.TEST)
async def test_webhook(request: Request) -> Response:
    """Send a sample, signed as any other, and wait 10 s for the answer. `success` is false, with
    the reason in `message`, where the receiver did not take it."""
    identity, tables, webhooks = _parts(request)
    row = await _found(request, identity, tables)
    if row is None:
        return _missing(request)
    tried = await webhooks.test(identity.region, row)
    return reply({
        "success": not tried.problem,
        "message": tried.problem or "delivered",
        "status": tried.status,
        "duration_ms": tried.duration_ms,
    })  # fmt: skip


@router.get("/v1/webhooks/{webhook_id}/deliveries", **openapi.DELIVERIES)
async def list_deliveries(request: Request) -> Response:
    """The newest first: `state`, `limit` (at most 500), and `cursor` as the last answer gave it,
    whose `next_cursor` is null at the end. Of those that have ended the newest 1000 are kept."""
    identity, tables, _ = _parts(request)
    limit = query_integer(request, "limit", DELIVERIES_DEFAULT, 1, DELIVERIES_MAX)
    state = request.query_params.get("state")
    if state is not None and state not in table.STATES:
        invalid("state", f"expected one of {', '.join(table.STATES)}")
    before = _cursor(request.query_params.get("cursor"))
    row = await _found(request, identity, tables)
    if row is None:
        return _missing(request)
    found = await tables.read(
        partial(table.deliveries_of, webhook_id=row.id, state=state, before=before, limit=limit + 1)
    )
    page = found[:limit]
    more = f"{page[-1].created_at_us} {page[-1].id}" if len(found) > limit else None
    return reply({
        "deliveries": [_delivery(one) for one in page],
        "next_cursor": more and base64.urlsafe_b64encode(more.encode()).decode(),
    })  # fmt: skip


@router.post("/v1/webhooks/{webhook_id}/deliveries/{delivery_id}/replay", **openapi.REPLAY)
async def replay_delivery(request: Request) -> Response:
    """Send it as soon as may be, whatever became of it before, under the same delivery id."""
    identity, tables, webhooks = _parts(request)
    delivery_id = path_uuid(request, "delivery_id")
    row = await _found(request, identity, tables)
    if row is None:
        return _missing(request)
    if not row.is_active:
        return error_reply(409, "This webhook is switched off: set isActive first.")
    found = await tables.write(
        partial(table.replay, webhook_id=row.id, delivery_id=delivery_id, now_us=_now_us())
    )
    if found is None:
        return error_reply(404, f"This webhook has no delivery {delivery_id}.")
    webhooks.changed(identity.region)
    return reply(_delivery(found))


async def _found(request: Request, identity: Identity, tables: Tables) -> table.WebhookRow | None:
    webhook_id = path_uuid(request, "webhook_id")
    return await tables.read(partial(table.find_webhook, org=identity.org, webhook_id=webhook_id))


def _missing(request: Request) -> Response:
    return error_reply(404, f"There is no webhook {path_uuid(request, 'webhook_id')}.")


def _with_key(
    row: table.WebhookRow, key: str, identity: Identity, webhooks: Webhooks
) -> table.WebhookRow:
    return replace(row, sealed=webhooks.seal(identity.region, row.id, key), key_hint=key[-4:])


def _with_settings(row: table.WebhookRow, body: dict[str, Any]) -> table.WebhookRow:
    """What of `config`, includeData and isActive is given."""
    config = body.get("config")
    if config is None:
        config = {}
    if not isinstance(config, dict):
        invalid("config", "expected an object with sampleRate and propertyFilters")
    include = flag(body, "includeData")
    if include is None:
        include = flag(config, "includeData")
    active = flag(body, "isActive")
    return replace(
        row,
        sample_percent=_sample_rate(config.get("sampleRate"), row.sample_percent),
        filters=_filters(config.get("propertyFilters"), row.filters),
        include_data=row.include_data if include is None else include,
        is_active=row.is_active if active is None else active,
    )


def _sample_rate(value: object, otherwise: float) -> float:
    if value is None:
        return otherwise
    if isinstance(value, bool) or not isinstance(value, int | Decimal) or not 0 <= value <= 100:
        invalid("config.sampleRate", "expected a number from 0 to 100 (per cent)")
    return float(value)


def _filters(value: object, otherwise: str) -> str:
    if value is None:
        return otherwise
    if not isinstance(value, list) or len(value) > FILTERS_MAX:
        invalid("config.propertyFilters", f"expected a list of at most {FILTERS_MAX}")
    found = []
    for number, item in enumerate(value):
        where = f"config.propertyFilters.{number}"
        if not isinstance(item, dict):
            invalid(where, "expected an object with key and value")
        pair = [item.get("key"), item.get("value")]
        for name, text in zip(("key", "value"), pair, strict=True):
            if not isinstance(text, str) or len(text) > TEXT_CHARACTERS_MAX:
                invalid(f"{where}.{name}", f"expected a text of up to {TEXT_CHARACTERS_MAX}")
        found.append(pair)
    return json.dumps(found, ensure_ascii=False)


def _cursor(text: str | None) -> tuple[int, str] | None:
    if text is None:
        return None
    try:
        match = CURSOR.fullmatch(base64.urlsafe_b64decode(text.encode()).decode())
    except ValueError:
        match = None
    if match is None:
        invalid("cursor", "is not one that this endpoint gave")
    return int(match[1]), match[2]


def _shown(row: table.WebhookRow) -> dict[str, Any]:
    filters = [{"key": name, "value": value} for name, value in read_filters(row.filters)]
    return {
        "id": row.id,
        "created_at": _time(row.created_at_us),
        "updated_at": _time(row.updated_at_us),
        "destination": row.destination,
        "version": VERSION,
        "config": {
            "sampleRate": Decimal(repr(row.sample_percent)).normalize() + 0,
            "propertyFilters": filters,
            "includeData": row.include_data,
        },
        "is_active": row.is_active,
        "hmac_key_hint": f"…{row.key_hint}",
    }


def _delivery(row: table.Delivery) -> dict[str, Any]:
    return {
        "id": row.id,
        "request_id": row.request_id,
        "state": row.state,
        "attempts": row.attempts,
        "created_at": _time(row.created_at_us),
        "next_attempt_at": _time(row.next_at_us) if row.state == "waiting" else None,
        "last_attempt_at": _time(row.last_at_us),
        "status": row.status,
        "error": row.error or None,
        "duration_ms": row.duration_ms,
    }


def _time(at_us: int | None) -> str | None:
    if at_us is None:
        return None
    return datetime.fromtimestamp(at_us / 1e6, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def _now_us() -> int:
    return time.time_ns() // 1000
