"""Signing in and out (`/v1/auth/…`): ours, as Helicone leaves it to another service.

The session is a cookie; every change that is made with it needs `csrf_token` in X-CSRF-Token.
"""

from typing import Any, Final
from uuid import UUID

from fastapi import APIRouter, Request
from starlette.responses import Response

from appliance.api import openapi_accounts as openapi
from appliance.api.incoming import invalid, path_uuid, read_object
from appliance.api.links import is_secure
from appliance.api.reply import reply
from appliance.api.sign_in_acts import (
    WRONG,
    Opened,
    look_at_link,
    with_key,
    with_link,
    with_password,
)
from appliance.api.signed_in import SignedIn, find_signed_in, services_of, signed_in
from appliance.api.times import iso
from appliance.core.access import Identity
from appliance.core.passwords import CHARACTERS_MAX, check_password
from appliance.core.session_cookie import read_cookie, set_cookie
from appliance.errors import Refusal
from storage import accounts as book
from storage.audit import Act, add_act

SET_COOKIE: Final = "Set-Cookie"

router = APIRouter(tags=["sign-in"], default_response_class=Response)


@router.get("/v1/auth/session", **openapi.SESSION)
async def session(request: Request) -> Response:
    """Who is signed in, and the token that changes need. Answers nobody's call as well."""
    headers = dict(reversed(request.headers.raw))
    found = await find_signed_in(request, headers)
    if found is not None:
        return reply(await _told(request, found.identity, found.csrf))
    try:
        identity = services_of(request).access.admit(headers, headers.get(b"host", b""))
    except Refusal:
        return reply(_nobody(is_open=False))
    told = await _told(request, identity, "")
    is_open = not identity.key_id
    return reply({**told, "signed_in": False, "open": is_open})


@router.post("/v1/auth/sign-in", **openapi.SIGN_IN)
async def sign_in(request: Request) -> Response:
    """With address and password, or with a key. 401 when it is not right, 429 after too many
    failures from an address or for an account."""
    body = await read_object(request)
    opened = await (with_key if "key" in body else with_password)(request, body)
    return await _opened(request, opened)


@router.post("/v1/auth/link", **openapi.LINK)
async def follow_link(request: Request) -> Response:
    """With a one-time link: the first owner, whoever was invited, or a new password. 404 when it
    was used or its time is over."""
    return await _opened(request, await with_link(request, await read_object(request)))


@router.post("/v1/auth/link/check", **openapi.CHECK_LINK)
async def check_link(request: Request) -> Response:
    """What a one-time link is for; it is not used up by this."""
    link = await look_at_link(request, (await read_object(request)).get("token"))
    return reply(
        {
            "kind": link.kind, "email": link.email, "role": link.role,
            "expires_at": iso(link.expires_at_us),
        }
    )  # fmt: skip


@router.post("/v1/auth/sign-out", **openapi.NULL)
async def sign_out(request: Request) -> Response:
    """End this session."""
    found = signed_in(request)
    await _end(request, found, found.session.id, "sign-out")
    answer = reply(None)
    answer.headers.append(SET_COOKIE, set_cookie("", secure=is_secure(request), lasts_s=0))
    return answer


@router.post("/v1/auth/password", **openapi.PASSWORD)
async def change_password(request: Request) -> Response:
    """Set another password. All other sessions of the user end."""
    found = signed_in(request)
    body = await read_object(request)
    services, tables = services_of(request), services_of(request).tables[found.identity.region]
    user = await tables.read(lambda c: book.user_by_id(c, _user_id(found)))
    if user is None:
        raise Refusal(401, "sign_in_needed", "Sign in first.")
    current = body.get("current_password")
    if not isinstance(current, str) or len(current) > CHARACTERS_MAX:
        invalid("current_password", "expected text")
    password = check_password(body.get("password"), user.email)
    services.accounts.check_attempt("", user.email)
    if not await services.accounts.is_password(current, user.password):
        raise Refusal(401, "sign_in_wrong", f"current_password: {WRONG}")
    services.accounts.attempt_succeeded("", user.email)
    sealed = await services.accounts.hash_password(password)

    def work(connection: Any) -> None:  # noqa: ANN401 - sqlite3's
        book.set_password(connection, user, sealed)
        ended = book.drop_sessions(connection, user.id, but=found.session.id)
        add_act(connection, _act(found, "password.change", user.id, sessions_ended=ended))

    await tables.write(work)
    return reply(None)


@router.post("/v1/auth/organization", **openapi.MOVE)
async def move(request: Request) -> Response:
    """Work in another organisation that one belongs to. 404 for all others."""
    found = signed_in(request)
    wanted = (await read_object(request)).get("organization_id")
    tables = services_of(request).tables[found.identity.region]

    def work(connection: Any) -> str:  # noqa: ANN401 - sqlite3's
        role = ""
        if isinstance(wanted, str):
            role = book.role_in(connection, wanted, _user_id(found))
        if not role:
            raise Refusal(404, "organization_unknown", "You belong to no organisation of this id.")
        book.move_session(connection, found.session.id, str(wanted))
        return role

    if not isinstance(wanted, str):
        invalid("organization_id", "expected an organisation's id")
    await tables.write(work)
    again = await find_signed_in(request, dict(reversed(request.headers.raw)))
    if again is None:
        raise Refusal(401, "sign_in_needed", "Sign in first.")
    return reply(await _told(request, again.identity, again.csrf))


@router.get("/v1/auth/sessions", **openapi.SESSIONS)
async def sessions(request: Request) -> Response:
    """Where the user is signed in."""
    found = signed_in(request)
    tables = services_of(request).tables[found.identity.region]
    rows = await tables.read(lambda connection: book.list_sessions(connection, _user_id(found)))
    return reply(
        [
            {
                "id": row.id, "created_at": iso(row.created_at_us), "seen_at": iso(row.seen_at_us),
                "expires_at": iso(row.expires_at_us), "address": row.address,
                "user_agent": row.agent, "current": row.id == found.session.id,
            }
            for row in rows
        ]
    )  # fmt: skip


@router.delete("/v1/auth/sessions/{session_id}", **openapi.DROP_SESSION)
async def end_session(request: Request) -> Response:
    """End one of the user's sessions. 404 for one of anybody else's."""
    await _end(request, signed_in(request), path_uuid(request, "session_id"), "session.end")
    return reply(None)


async def _end(request: Request, found: SignedIn, session_id: str, action: str) -> None:
    def work(connection: Any) -> None:  # noqa: ANN401 - sqlite3's
        own = session_id == found.session.id
        user_id = None if own else _user_id(found)
        if not book.drop_session(connection, session_id, user_id):
            raise Refusal(404, "session_unknown", "You have no session of this id.")
        add_act(connection, _act(found, action, session_id))

    await services_of(request).tables[found.identity.region].write(work)


def _act(found: SignedIn, action: str, target: str, **detail: Any) -> Act:  # noqa: ANN401
    user = found.session.user_id
    actor = f"user:{user}" if user else f"key:{found.identity.key_id}"
    return Act(found.session.organization_id, actor, action, target, detail)


def _user_id(found: SignedIn) -> str:
    """Raises Refusal 403 for a session that was opened with a key."""
    if found.session.user_id is None:
        raise Refusal(403, "no_user", "This session was opened with a key: it is of no user.")
    return found.session.user_id


async def _opened(request: Request, opened: Opened) -> Response:
    """The cookie, and who one is by it."""
    headers = {b"cookie": opened.cookie.partition(";")[0].encode("ascii")}
    assert read_cookie(headers[b"cookie"], secure=is_secure(request)) is not None
    found = await find_signed_in(request, headers)
    if found is None:
        raise Refusal(401, "sign_in_needed", "This session ended at once: sign in again.")
    answer = reply(await _told(request, found.identity, found.csrf))
    answer.headers.append(SET_COOKIE, opened.cookie)
    return answer


def _nobody(*, is_open: bool) -> dict[str, Any]:
    return {
        "signed_in": False, "open": is_open, "user": None, "organization": None, "permission": "",
        "csrf_token": "",
    }  # fmt: skip


async def _told(request: Request, identity: Identity, csrf: str) -> dict[str, Any]:
    org = str(UUID(bytes=identity.org))
    tables = services_of(request).tables[identity.region]

    def work(connection: Any) -> tuple[Any, Any]:  # noqa: ANN401 - sqlite3's
        user = book.user_by_id(connection, identity.user) if identity.user else None
        return user, book.organization(connection, org)

    user, organization = await tables.read(work)
    return {
        "signed_in": True,
        "open": False,
        "user": {"id": user.id, "email": user.email, "name": user.name} if user else None,
        "organization": shown_organization(organization, identity.role) if organization else None,
        "permission": identity.permission,
        "csrf_token": csrf,
    }


def shown_organization(row: book.OrganizationRow, role: str) -> dict[str, Any]:
    """An organisation, and what the caller is in it; "" for a key."""
    return {
        "id": row.id, "name": row.name, "region": row.region, "role": role,
        "created_at": iso(row.created_at_us),
    }  # fmt: skip
