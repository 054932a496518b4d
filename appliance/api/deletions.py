"""Deletion for good (`/v1/appliance/deletions`): a request, a session, a user of the organisation's
own application, what was created in a span of time, or the organisation. It reaches journal, lake,
database, caches and small tables.

Asked for here, it is on the disk; it is carried out behind the answer, also after a crash.
"""

from typing import Any, Final
from uuid import UUID

from fastapi import APIRouter, Request
from starlette.responses import Response

from appliance.api import openapi_accounts as openapi
from appliance.api.audited import actor_of, note
from appliance.api.incoming import invalid, read_object
from appliance.api.permissions import identity_of
from appliance.api.reply import reply
from appliance.api.signed_in import services_of
from appliance.api.times import iso, iso_or_none
from appliance.core.erasure import check_erasure
from appliance.errors import Refusal
from storage import erasures as book
from storage.state import now_us

LISTED_MAX: Final = 1000

router = APIRouter(
    prefix="/v1/appliance/deletions", tags=["appliance"], default_response_class=Response
)


@router.get("", **openapi.DELETIONS)
async def deletions(request: Request) -> Response:
    """Those that were asked for, the newest first. What was deleted is not told."""
    identity = identity_of(request)
    org = str(UUID(bytes=identity.org))
    rows = (
        await services_of(request)
        .tables[identity.region]
        .read(lambda connection: book.listed(connection, org, LISTED_MAX))
    )
    return reply([_shown(row) for row in rows])


@router.post("", **openapi.DELETE)
async def delete(request: Request) -> Response:
    """Delete everything of `id`: `kind` is request, session, user, span or organization. A span is
    two times in ISO 8601, `2026-01-01/2026-02-01` or `/2026-02-01`: all requests that were created
    from the first (included) until the second, and until now at most. Only an owner who is signed
    in deletes the organisation he works in."""
    identity = identity_of(request)
    org = str(UUID(bytes=identity.org))
    body = await read_object(request)
    kind, subject = check_erasure(body.get("kind"), body.get("id"), now_us())
    if kind == "organization":
        if subject != org:
            invalid("id", "expected the organisation that you work in")
        if identity.role != "owner":
            raise Refusal(403, "role_too_low", "Only an owner who is signed in may do this.")
    asked_by = actor_of(identity)
    services = services_of(request)

    def work(connection: Any) -> book.Erasure:  # noqa: ANN401 - sqlite3's
        return book.ask(connection, org, kind, subject, asked_by)

    try:
        row = await services.tables[identity.region].write(work)
    except ValueError as error:
        raise Refusal(503, "deletions_full", str(error), headers={"Retry-After": "60"}) from None
    note(request, "deletion.ask", row.id, kind=kind)
    services.settings.erase_soon(identity.region)
    return reply(_shown(row), 202)


def _shown(row: book.Erasure) -> dict[str, Any]:
    return {
        "id": row.id, "kind": row.kind, "state": row.state, "exchanges": row.found,
        "created_at": iso(row.created_at_us), "done_at": iso_or_none(row.done_at_us),
    }  # fmt: skip
