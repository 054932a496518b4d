"""Whoever comes with the session's cookie: found in the state store with each request, so that a
session that was revoked, a role that was changed, a key that was taken away count at once.
"""

import hmac
from collections.abc import Mapping
from typing import Final, NamedTuple
from uuid import UUID

from fastapi import Request

from appliance.api.links import is_secure
from appliance.api.services import Services
from appliance.core.access import Identity
from appliance.core.roles import PERMISSION_OF
from appliance.core.session_cookie import CSRF_HEADER, csrf_token, is_ours, read_cookie
from appliance.errors import Refusal
from storage.accounts import SEEN_EVERY_US, Session, find_session, touch_session
from storage.state import now_us

LASTS_S: Final = 30 * 24 * 60 * 60
IDLE_US: Final = 7 * 24 * 60 * 60 * 1_000_000
# With one of these it is a program that calls, whatever cookies came along.
KEY_HEADERS: Final = (b"authorization", b"helicone-auth", b"helicone-authorization", b"x-api-key")
SAFE: Final = ("GET", "HEAD", "OPTIONS")


class SignedIn(NamedTuple):
    """A session that counts, on whose account it acts, and the token for its changes."""

    session: Session
    identity: Identity
    csrf: str


def services_of(request: Request) -> Services:
    """The process's."""
    services: Services = request.app.state.services
    return services


async def find_signed_in(request: Request, headers: Mapping[bytes, bytes]) -> SignedIn | None:
    """The session of the request's cookie; None where there is none that counts."""
    if any(name in headers for name in KEY_HEADERS):
        return None
    signed = read_cookie(headers.get(b"cookie"), secure=is_secure(request))
    services = services_of(request)
    accounts = services.accounts
    if signed is None or signed.region not in accounts.regions():
        return None
    secret = accounts.secret(signed.region)
    if not is_ours(secret, signed):
        return None
    tables = services.tables[signed.region]
    session = await tables.read(lambda found: find_session(found, signed.token, IDLE_US))
    if session is None:
        return None
    identity = _identity(services, session, signed.region)
    if identity is None:
        return None
    if now_us() - session.seen_at_us > SEEN_EVERY_US:
        await tables.write(lambda found: touch_session(found, session.id))
    return SignedIn(session, identity, csrf_token(secret, signed.token))


def check_csrf(request: Request, headers: Mapping[bytes, bytes], csrf: str) -> None:
    """Changes need what only a page of ours can read. Raises Refusal 403."""
    if request.method in SAFE:
        return
    given = headers.get(CSRF_HEADER, b"")
    if not hmac.compare_digest(given, csrf.encode("ascii")):
        raise Refusal(
            403, "csrf_missing",
            "X-CSRF-Token: send what csrf_token of GET /v1/auth/session says, or use a key.",
        )  # fmt: skip


def signed_in(request: Request) -> SignedIn:
    """Who is signed in, behind a guard that asks for it."""
    found: SignedIn = request.state.signed_in
    return found


def _identity(services: Services, session: Session, region: str) -> Identity | None:
    if session.user_id is not None:
        return Identity(
            UUID(session.organization_id).bytes,
            permission=PERMISSION_OF[session.role],
            region=region,
            user=session.user_id,
            role=session.role,
        )
    info = services.accounts.key_of_hash(session.key_hash)
    if info is None:
        return None
    return Identity(info.org, info.key_id, info.permission, info.region, info.stream_usage)
