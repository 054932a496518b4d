"""Alerts of an organisation (`backend.md 7.2`): their list with its history, and what is kept."""

import json
import time
import uuid
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from typing import Any, Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from appliance.actors.alerts import alert_of
from appliance.api import openapi_alerts as openapi
from appliance.api.filter_fields import REQUEST_TABLES
from appliance.api.incoming import flag, invalid, path_uuid, query_integer, read_object
from appliance.api.permissions import identity_of
from appliance.api.reply import bare, error_reply, reply
from appliance.api.services import Services, Tables
from appliance.api.services_notices import Notices
from appliance.core.access import Identity
from appliance.core.alert_input import filter_text, read_alert, read_name
from appliance.core.alerts import Alert
from appliance.core.notices import Channels, opened, read_channels
from storage import alert_tables as table

HISTORY_DEFAULT: Final = 100
HISTORY_PAGE_MAX: Final = 1000
PAGES_MAX: Final = 1_000_000
REQUIRED: Final = ("name", "metric", "threshold", "time_window")

router = APIRouter(tags=["alerts"], default_response_class=Response)


def _parts(request: Request) -> tuple[Identity, Tables, Notices]:
    services: Services = request.app.state.services
    identity = identity_of(request)
    return identity, services.tables[identity.region], services.notices


@router.get("/v1/alert/query", **openapi.LIST)
async def query_alerts(request: Request) -> Response:
    """All alerts, and a page of what has become of them: `historyPage` from 0, `historyPageSize`
    100. URLs of channels are shown without their secrets; `warnings` of an alert say what keeps its
    news from arriving."""
    identity, tables, notices = _parts(request)
    page = query_integer(request, "historyPage", 0, 0, PAGES_MAX)
    size = query_integer(request, "historyPageSize", HISTORY_DEFAULT, 1, HISTORY_PAGE_MAX)
    rows, (incidents, count) = await tables.read(
        lambda connection: (
            table.alerts_of(connection, identity.org),
            table.history_of(connection, identity.org, size, page * size),
        )
    )
    return reply({
        "alerts": [_shown(row, _channels(row, identity, notices), notices) for row in rows],
        "history": [_incident(row, identity) for row in incidents],
        "historyTotalCount": count,
    })  # fmt: skip


@router.post("/v1/alert/create", **openapi.CREATE)
async def create_alert(request: Request) -> Response:
    """A new alert; its id. `warnings` beside it say what keeps its news from arriving, as a missing
    mail server. 422 names a wrong field; 409 when the organisation has 100 already."""
    identity, tables, notices = _parts(request)
    body = await read_object(request)
    for name in REQUIRED:
        if body.get(name) is None:
            invalid(name, "is required")
    alert = read_alert(body, Alert(identity.org, "count", Decimal(1), 60_000), REQUEST_TABLES)
    channels = read_channels(body, Channels(), notices.check_destination)
    alert_id, now_us = str(uuid.uuid4()), time.time_ns() // 1000
    row = replace(
        _row(alert_id, read_name(body, ""), alert, channels, identity, notices, now_us),
        is_active=flag(body, "is_active") is not False,
    )
    if not await tables.write(partial(table.add_alert, row=row)):
        return error_reply(409, f"There are {table.ALERTS_MAX} alerts already: delete one.")
    return bare({"data": alert_id, "error": None, "warnings": notices.warnings(channels)})


@router.patch("/v1/alert/{alert_id}", **openapi.CHANGE)
async def change_alert(request: Request) -> Response:
    """Change what is given; a list of channels takes the place of the one before, where a URL in
    the form in which it is shown stands for itself. `is_active: false` pauses it: it is not
    looked at, and what was triggered is over without news. The alert as it is now."""
    identity, tables, notices = _parts(request)
    alert_id = path_uuid(request, "alert_id")
    row = await tables.read(partial(table.find_alert, org=identity.org, alert_id=alert_id))
    body = await read_object(request)
    if row is None:
        return _missing(alert_id)
    active = flag(body, "is_active")
    is_active = row.is_active if active is None else active
    alert = read_alert(body, alert_of(row), REQUEST_TABLES)
    before = _channels(row, identity, notices)
    channels = read_channels(body, before, notices.check_destination)
    changed = replace(
        _row(row.id, read_name(body, row.name), alert, channels, identity, notices, 0),
        status=row.status if is_active else "resolved", created_at_us=row.created_at_us,
        updated_at_us=time.time_ns() // 1000, is_active=is_active,
    )  # fmt: skip
    if not await tables.write(partial(table.change_alert, row=changed)):
        return _missing(alert_id)
    return reply(_shown(changed, channels, notices))


@router.delete("/v1/alert/{alert_id}", **openapi.REMOVE)
async def remove_alert(request: Request) -> Response:
    """With its history. 404 when there is none of this id."""
    identity, tables, _ = _parts(request)
    alert_id = path_uuid(request, "alert_id")
    gone = await tables.write(partial(table.remove_alert, org=identity.org, alert_id=alert_id))
    return reply(None) if gone else _missing(alert_id)


def _missing(alert_id: str) -> Response:
    return error_reply(404, f"There is no alert {alert_id}.")


def _channels(row: table.AlertRow, identity: Identity, notices: Notices) -> Channels:
    return opened(row.emails, notices.unseal(identity.region, row.id, row.sealed))


def _row(
    alert_id: str,
    name: str,
    alert: Alert,
    channels: Channels,
    identity: Identity,
    notices: Notices,
    now_us: int,
) -> table.AlertRow:
    return table.AlertRow(
        alert_id, alert.org, name, alert.metric, str(alert.threshold), alert.aggregation,
        None if alert.percentile is None else str(alert.percentile), alert.grouping,
        alert.grouping_is_property, alert.window_ms, alert.requests_min, filter_text(alert.filter),
        json.dumps(channels.emails),
        notices.seal(identity.region, alert_id, channels.secrets()),
        created_at_us=now_us, updated_at_us=now_us, cooldown_ms=alert.cooldown_ms,
    )  # fmt: skip


def _shown(row: table.AlertRow, channels: Channels, notices: Notices) -> dict[str, Any]:
    return {
        "id": row.id,
        "created_at": _time(row.created_at_us),
        "updated_at": _time(row.updated_at_us),
        "name": row.name,
        "metric": row.metric,
        "threshold": Decimal(row.threshold),
        "aggregation": row.aggregation,
        "percentile": None if row.percentile is None else Decimal(row.percentile),
        "grouping": row.grouping,
        "grouping_is_property": row.grouping_is_property,
        "time_window": str(row.window_ms),
        "cooldown": str(row.cooldown_ms),
        "minimum_request_count": row.requests_min,
        "filter": json.loads(row.filter),
        "status": row.status,
        "is_active": row.is_active,
        **channels.shown(),
        "warnings": notices.warnings(channels),
    }


def _incident(row: table.Incident, identity: Identity) -> dict[str, Any]:
    return {
        "id": row.id,
        "alert_id": row.alert_id,
        "alert_name": row.alert_name,
        "alert_metric": row.alert_metric,
        "org_id": str(uuid.UUID(bytes=identity.org)),
        "status": row.status,
        "triggered_value": row.triggered_value,
        "alert_start_time": _time(row.started_at_us),
        "alert_end_time": _time(row.ended_at_us),
        "groups": json.loads(row.groups),
    }


def _time(at_us: int | None) -> str | None:
    if at_us is None:
        return None
    return datetime.fromtimestamp(at_us / 1e6, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"
