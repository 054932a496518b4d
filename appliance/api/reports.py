"""Reports of an organisation (`backend.md 7.3`): who gets one, how often, and one on trial."""

import json
import time
import uuid
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from appliance.api import openapi_reports as openapi
from appliance.api.incoming import flag, invalid, path_uuid, read_object
from appliance.api.permissions import identity_of
from appliance.api.reply import error_reply, reply
from appliance.api.services import Services, Tables
from appliance.api.services_notices import Notices
from appliance.core.access import Identity
from appliance.core.alert_input import read_name
from appliance.core.notices import Channels, opened, read_channels
from appliance.core.reports import FREQUENCIES
from storage import report_tables as table
from storage.notice_tables import add_notices

NAME: Final = "LLM calls"

router = APIRouter(tags=["reports"], default_response_class=Response)


def _parts(request: Request) -> tuple[Identity, Tables, Notices]:
    services: Services = request.app.state.services
    identity = identity_of(request)
    return identity, services.tables[identity.region], services.notices


@router.get("/v1/reports", **openapi.LIST)
async def list_reports(request: Request) -> Response:
    """The organisation's reports, oldest first. URLs are shown without their secrets."""
    identity, tables, notices = _parts(request)
    rows = await tables.read(partial(table.reports_of, org=identity.org))
    return reply([_shown(row, _channels(row, identity, notices), notices) for row in rows])


@router.post("/v1/reports", **openapi.CREATE)
async def create_report(request: Request) -> Response:
    """A new report: `frequency` is weekly (Mondays at 10:00 in the zone of `time_zone`), daily or
    monthly. 422 names a wrong field; 409 when the organisation has 50 already."""
    identity, tables, notices = _parts(request)
    body = await read_object(request)
    row = table.ReportRow(
        str(uuid.uuid4()), identity.org, NAME, "weekly", "[]", b"", created_at_us=_now_us()
    )
    return await _put(row, Channels(), body, identity, tables, notices)


@router.patch("/v1/reports/{report_id}", **openapi.CHANGE)
async def change_report(request: Request) -> Response:
    """Change what is given; a list of channels takes the place of the one before, where a URL in
    the form in which it is shown stands for itself."""
    identity, tables, notices = _parts(request)
    row = await _found(request, identity, tables)
    body = await read_object(request)
    if row is None:
        return _missing(request)
    return await _put(row, _channels(row, identity, notices), body, identity, tables, notices)


@router.delete("/v1/reports/{report_id}", **openapi.REMOVE)
async def remove_report(request: Request) -> Response:
    """404 when there is none of this id."""
    identity, tables, _ = _parts(request)
    report_id = path_uuid(request, "report_id")
    gone = await tables.write(partial(table.remove_report, org=identity.org, report_id=report_id))
    return reply(None) if gone else _missing(request)


@router.post("/v1/reports/{report_id}/test", **openapi.TEST)
async def test_report(request: Request) -> Response:
    """Make it now, for the time up to now, and send it to all of its channels. How many messages
    were put into the queue, and what keeps some of them from arriving."""
    identity, tables, notices = _parts(request)
    row = await _found(request, identity, tables)
    if row is None:
        return _missing(request)
    made = await notices.report_now(identity.region, row)
    await tables.write(partial(add_notices, notices=made, now_us=_now_us()))
    notices.changed(identity.region)
    warnings = notices.warnings(_channels(row, identity, notices))
    return reply({"messages": len(made), "warnings": warnings})


async def _put(
    row: table.ReportRow,
    before: Channels,
    body: dict[str, Any],
    identity: Identity,
    tables: Tables,
    notices: Notices,
) -> Response:
    frequency = body.get("frequency", row.frequency)
    if frequency not in FREQUENCIES:
        invalid("frequency", f"expected one of {', '.join(FREQUENCIES)}")
    active = flag(body, "is_active")
    channels = read_channels(body, before, notices.check_destination)
    changed = replace(
        row,
        name=read_name(body, row.name),
        frequency=frequency,
        emails=json.dumps(channels.emails),
        sealed=notices.seal(identity.region, row.id, channels.secrets()),
        is_active=row.is_active if active is None else active,
        updated_at_us=_now_us(),
    )
    if not await tables.write(partial(table.put_report, row=changed)):
        return error_reply(409, f"There are {table.REPORTS_MAX} reports already: delete one.")
    return reply(_shown(changed, channels, notices))


async def _found(request: Request, identity: Identity, tables: Tables) -> table.ReportRow | None:
    report_id = path_uuid(request, "report_id")
    return await tables.read(partial(table.find_report, org=identity.org, report_id=report_id))


def _missing(request: Request) -> Response:
    return error_reply(404, f"There is no report {path_uuid(request, 'report_id')}.")


def _channels(row: table.ReportRow, identity: Identity, notices: Notices) -> Channels:
    return opened(row.emails, notices.unseal(identity.region, row.id, row.sealed))


def _shown(row: table.ReportRow, channels: Channels, notices: Notices) -> dict[str, Any]:
    return {
        "id": row.id,
        "created_at": _time(row.created_at_us),
        "updated_at": _time(row.updated_at_us),
        "name": row.name,
        "frequency": row.frequency,
        "is_active": row.is_active,
        **channels.shown(),
        "warnings": notices.warnings(channels),
    }


def _time(at_us: int) -> str:
    return datetime.fromtimestamp(at_us / 1e6, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def _now_us() -> int:
    return time.time_ns() // 1000
