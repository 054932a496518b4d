"""Organisations and who belongs to them (`/v1/organization…`).

Of an organisation that one does not work in, nothing is known here: 404. Somebody is invited by a
link, which is handed over by whoever made it; it works once, for seven days.
"""

import secrets
from typing import Any, Final
from uuid import UUID

from fastapi import APIRouter, Request
from starlette.responses import Response

from appliance.api import openapi_accounts as openapi
from appliance.api.audited import note
from appliance.api.incoming import invalid, path_uuid, read_object
from appliance.api.links import plain_link
from appliance.api.permissions import identity_of
from appliance.api.reply import reply
from appliance.api.services import Tables
from appliance.api.sign_in import shown_organization
from appliance.api.signed_in import services_of
from appliance.api.times import iso, iso_or_none
from appliance.core.access import Identity
from appliance.core.passwords import check_email, check_person
from appliance.core.roles import check_grant, role_of
from appliance.core.session_cookie import TOKEN_BYTES
from appliance.errors import Refusal
from storage import accounts as book
from storage.sign_in_links import Link, add_link, drop_link, list_links

INVITE_LASTS_US: Final = 7 * 24 * 60 * 60 * 1_000_000
UNKNOWN: Final = "There is no organisation of this id, or you are not working in it."
NO_MEMBER: Final = "The organisation has no member of this id."

router = APIRouter(tags=["organizations"], default_response_class=Response)


@router.get("/v1/organization", **openapi.ORGANIZATIONS)
async def organizations(request: Request) -> Response:
    """Those that the caller belongs to; of a key, its own."""
    identity, tables = _asked(request)

    def work(connection: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - sqlite3's
        mine = [(_org(identity), identity.role)]
        if identity.user:
            mine = book.organizations_of(connection, identity.user)
        rows = [(book.organization(connection, org), role) for org, role in mine]
        return [shown_organization(row, role) for row, role in rows if row is not None]

    return reply(await tables.read(work))


@router.post("/v1/organization/create", **openapi.CREATE)
async def create(request: Request) -> Response:
    """A new organisation, owned by whoever makes it."""
    identity, tables = _asked(request)
    name = _name(await read_object(request))

    def work(connection: Any) -> book.OrganizationRow:  # noqa: ANN401 - sqlite3's
        row = book.add_organization(connection, name, identity.region)
        book.put_member(connection, row.id, identity.user, "owner")
        return row

    row = await _changed(tables, work)
    note(request, "organization.create", row.id)
    return reply(shown_organization(row, "owner"))


@router.get("/v1/organization/{org_id}", **openapi.ORGANIZATION)
async def one(request: Request) -> Response:
    """The organisation that the caller works in."""
    identity, tables = _asked(request)
    org = _own(request, identity)
    row = await tables.read(lambda connection: book.organization(connection, org))
    if row is None:
        raise Refusal(404, "organization_unknown", UNKNOWN)
    return reply(shown_organization(row, identity.role))


@router.patch("/v1/organization/{org_id}", **openapi.RENAME)
async def rename(request: Request) -> Response:
    """Call it something else."""
    identity, tables = _asked(request)
    org = _own(request, identity)
    name = _name(await read_object(request))

    def work(connection: Any) -> book.OrganizationRow | None:  # noqa: ANN401 - sqlite3's
        book.rename_organization(connection, org, name)
        return book.organization(connection, org)

    row = await _changed(tables, work)
    if row is None:
        raise Refusal(404, "organization_unknown", UNKNOWN)
    note(request, "organization.rename", org, name=name)
    return reply(shown_organization(row, identity.role))


@router.get("/v1/organization/{org_id}/members", **openapi.MEMBERS)
async def members(request: Request) -> Response:
    """Who belongs to it, with their roles."""
    identity, tables = _asked(request)
    org = _own(request, identity)
    rows = await tables.read(lambda connection: book.list_members(connection, org))
    return reply(
        [
            {
                "id": row["id"], "email": row["email"], "name": row["name"], "role": row["role"],
                "created_at": iso(row["created_at_us"]),
                "signed_in_at": iso_or_none(row["signed_in_at_us"]),
            }
            for row in rows
        ]
    )  # fmt: skip


@router.post("/v1/organization/{org_id}/members", **openapi.INVITE)
async def invite(request: Request) -> Response:
    """A link that makes whoever follows it a member. Only an owner invites an owner."""
    identity, tables = _asked(request)
    org = _own(request, identity)
    body = await read_object(request)
    email, role = check_email(body.get("email")), role_of(body.get("role"))
    check_grant(identity.role, "", role)
    token = secrets.token_urlsafe(TOKEN_BYTES)

    def work(connection: Any) -> Link:  # noqa: ANN401 - sqlite3's
        known = book.user_by_email(connection, email)
        if known is not None and book.role_in(connection, org, known.id):
            raise Refusal(409, "member_known", "email: this user is a member already")
        return add_link(
            connection, token, "invite", email=email, organization_id=org, role=role,
            lasts_us=INVITE_LASTS_US, created_by=identity.user,
        )  # fmt: skip

    link = await _changed(tables, work)
    note(request, "member.invite", link.id, role=role)
    url = plain_link(request, f"/sign-in?token={identity.region}.{token}")
    return reply(
        {"id": link.id, "email": email, "role": role, "expires_at": iso(link.expires_at_us),
         "url": url}
    )  # fmt: skip


@router.patch("/v1/organization/{org_id}/members/{user_id}", **openapi.ROLE)
async def change_role(request: Request) -> Response:
    """Give a member another role. The last owner stays one: 409."""
    identity, tables = _asked(request)
    org = _own(request, identity)
    user_id = path_uuid(request, "user_id")
    role = role_of((await read_object(request)).get("role"))

    def work(connection: Any) -> str:  # noqa: ANN401 - sqlite3's
        now = _role_now(connection, org, user_id)
        check_grant(identity.role, now, role)
        book.put_member(connection, org, user_id, role)
        return now

    before = await _changed(tables, work)
    note(request, "member.role", user_id, before=before, role=role)
    return reply(None)


@router.delete("/v1/organization/{org_id}/members/{user_id}", **openapi.REMOVE)
async def remove(request: Request) -> Response:
    """Take a member out; the sessions there end at once. The last owner stays: 409."""
    identity, tables = _asked(request)
    org = _own(request, identity)
    user_id = path_uuid(request, "user_id")

    def work(connection: Any) -> str:  # noqa: ANN401 - sqlite3's
        now = _role_now(connection, org, user_id)
        check_grant(identity.role, now, "")
        book.drop_member(connection, org, user_id)
        return now

    before = await _changed(tables, work)
    note(request, "member.remove", user_id, before=before)
    return reply(None)


@router.get("/v1/organization/{org_id}/invites", **openapi.INVITES)
async def invites(request: Request) -> Response:
    """Invitations that nobody has followed yet; their links cannot be shown again."""
    identity, tables = _asked(request)
    org = _own(request, identity)
    rows = await tables.read(lambda connection: list_links(connection, org))
    return reply(
        [
            {
                "id": row.id, "email": row.email, "role": row.role,
                "created_at": iso(row.created_at_us), "expires_at": iso(row.expires_at_us),
            }
            for row in rows
        ]
    )  # fmt: skip


@router.delete("/v1/organization/{org_id}/invites/{invite_id}", **openapi.DROP_INVITE)
async def drop_invite(request: Request) -> Response:
    """Take an invitation back."""
    identity, tables = _asked(request)
    org = _own(request, identity)
    invite_id = path_uuid(request, "invite_id")
    if not await tables.write(lambda connection: drop_link(connection, org, invite_id)):
        raise Refusal(404, "invite_unknown", "There is no open invitation of this id.")
    note(request, "member.invite.drop", invite_id)
    return reply(None)


def _asked(request: Request) -> tuple[Identity, Tables]:
    identity = identity_of(request)
    return identity, services_of(request).tables[identity.region]


def _org(identity: Identity) -> str:
    return str(UUID(bytes=identity.org))


def _own(request: Request, identity: Identity) -> str:
    """The organisation of the path, which is the caller's. Raises Refusal 404, 422."""
    org = path_uuid(request, "org_id")
    if org != _org(identity):
        raise Refusal(404, "organization_unknown", UNKNOWN)
    return org


def _name(body: dict[str, Any]) -> str:
    name = check_person(body.get("name"))
    if not name:
        invalid("name", "is required")
    return name


def _role_now(connection: Any, org: str, user_id: str) -> str:  # noqa: ANN401 - sqlite3's
    now = book.role_in(connection, org, user_id)
    if not now:
        raise Refusal(404, "member_unknown", NO_MEMBER)
    return now


async def _changed(tables: Tables, work: Any) -> Any:  # noqa: ANN401 - whatever it gives
    """A rule of the tables that was broken is a conflict."""
    try:
        return await tables.write(work)
    except ValueError as error:
        raise Refusal(409, "conflict", str(error)) from None
