"""The appliance itself (`/v1/appliance/…`): how it is, how long records are kept, who changed what.

Paths and other organisations' numbers are not told here: `helicone-appliance status` tells them to
whoever owns the machine.
"""

from typing import Final
from uuid import UUID

from fastapi import APIRouter, Request
from starlette.responses import Response

from appliance.api import openapi_accounts as openapi
from appliance.api.incoming import invalid
from appliance.api.permissions import identity_of, sees_details
from appliance.api.reply import reply
from appliance.api.signed_in import services_of
from appliance.api.times import iso
from storage import accounts as book
from storage.audit import read_acts

ACTS_MAX: Final = 1000
ACTS_DEFAULT: Final = 100
ACTION_CHARACTERS_MAX: Final = 200
ID_MAX: Final = 2**62

router = APIRouter(prefix="/v1/appliance", tags=["appliance"], default_response_class=Response)


@router.get("/status", **openapi.STATUS)
async def status(request: Request) -> Response:
    """Whether all is well, and how many belong to the organisation."""
    services, identity = services_of(request), identity_of(request)
    health, near = services.operations.health(), sees_details(request)
    org = str(UUID(bytes=identity.org))

    members = await services.tables[identity.region].read(
        lambda connection: len(book.list_members(connection, org))
    )
    return reply({
        "version": services.version,
        "status": health.status,
        "ready": services.operations.ready(),
        "region": identity.region,
        "reasons": [
            {**reason._asdict(), "detail": reason.detail if near else ""}
            for reason in health.reasons
        ],
        "members": members,
    })  # fmt: skip


@router.get("/retention", **openapi.RETENTION)
async def retention(request: Request) -> Response:
    """How long records are kept, as the configuration of this server says: `retention_days`,
    `retention_bytes`, and whether rows of datasets go with them, `retention_datasets`."""
    services, identity = services_of(request), identity_of(request)
    days, size, datasets = services.settings.retention()
    return reply(
        {
            "region": identity.region, "retention_days": days, "retention_bytes": size,
            "retention_datasets": datasets,
        }
    )  # fmt: skip


@router.get("/audit", **openapi.AUDIT)
async def audit(request: Request) -> Response:
    """What was done to the organisation's settings, keys, members and records, the newest first.
    Pages are asked for with `before`, the last page's smallest id."""
    services, identity = services_of(request), identity_of(request)
    org = str(UUID(bytes=identity.org))
    limit = _number(request, "limit", ACTS_DEFAULT, ACTS_MAX)
    before = _number(request, "before", 0, ID_MAX) or None
    action = request.query_params.get("action", "")
    if len(action) > ACTION_CHARACTERS_MAX:
        invalid("action", f"at most {ACTION_CHARACTERS_MAX} characters")
    rows = await services.tables[identity.region].read(
        lambda connection: read_acts(connection, org, before=before, limit=limit, action=action)
    )
    return reply([{"at": iso(row.pop("at_us")), **row} for row in rows])


def _number(request: Request, name: str, default: int, maximum: int) -> int:
    text = request.query_params.get(name)
    if text is None:
        return default
    if not text.isascii() or not text.isdigit() or len(text) > 19 or not 1 <= int(text) <= maximum:
        invalid(name, f"expected a whole number from 1 to {maximum}")
    return int(text)
