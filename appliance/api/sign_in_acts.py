"""Signing in: with a password, a key, or a one-time link. Each act checks, opens a session and
writes down who came; the endpoints and the page only render what comes of it.

Which of address and password was wrong is told to nobody, and takes the same time.
"""

import secrets
from collections.abc import Mapping
from typing import Any, Final, NamedTuple
from uuid import UUID

from fastapi import Request

from appliance.api.links import caller_of, is_secure
from appliance.api.signed_in import LASTS_S, services_of
from appliance.core.keys import DEFAULT_ORGANIZATION
from appliance.core.passwords import CHARACTERS_MAX, check_email, check_password, check_person
from appliance.core.session_cookie import TOKEN_BYTES, cookie_value, csrf_token, set_cookie
from appliance.errors import Refusal
from storage import accounts as book
from storage.accounts import User
from storage.audit import Act, add_act
from storage.sign_in_links import Link, find_link, use_link

AGENT_CHARACTERS_MAX: Final = 200
WRONG: Final = "The address or the password is wrong."
LINK_GONE: Final = (
    "This link was used, or its time is over. Ask for another one; on the machine itself "
    "`helicone-appliance users reset EMAIL` makes one."
)
PENDING: Final = (
    "This account waits for another password, or has just got one. Sign in to it first, or set its "
    "password by the link that was made for that; then follow this one again."
)


class Opened(NamedTuple):
    """A session that was just opened."""

    region: str
    token: str
    csrf: str
    cookie: str


async def with_password(request: Request, body: Mapping[str, Any]) -> Opened:
    """Raises Refusal 401, 422, 429, 503."""
    services = services_of(request)
    email = check_email(body.get("email"))
    password = body.get("password")
    if not isinstance(password, str) or len(password) > CHARACTERS_MAX:
        raise Refusal(422, "field_invalid", "password: expected text")
    address = caller_of(request).address
    services.accounts.check_attempt(address, email)
    for region in _regions(request, body.get("region")):
        user = await services.tables[region].read(lambda found: book.user_by_email(found, email))
        if await services.accounts.is_password(password, user.password if user else ""):
            assert user is not None, "only a user has a password"
            services.accounts.attempt_succeeded(address, email)
            return await _open(request, region, user, "sign-in.password")
    raise Refusal(401, "sign_in_wrong", WRONG)


async def with_key(request: Request, body: Mapping[str, Any]) -> Opened:
    """For whoever has a key and no user. Raises Refusal 401, 403, 422, 429."""
    services = services_of(request)
    text = body.get("key")
    if not isinstance(text, str) or not text.strip():
        raise Refusal(422, "field_invalid", "key: expected a Helicone key")
    address = caller_of(request).address
    services.accounts.check_attempt(address, "")
    found = services.accounts.key(text)
    if found is None or found[1].region not in services.tables:
        raise Refusal(401, "sign_in_wrong", "This key is not on file here, or was revoked.")
    services.accounts.attempt_succeeded(address, "")
    key_hash, info = found
    if not info.may_read:
        raise Refusal(403, "key_write_only", "This key may only write: use an sk-helicone key.")
    org = str(UUID(bytes=info.org))
    return await _session(
        request, info.region, org, Act(org, f"key:{info.key_id}", "sign-in.key"), key_hash=key_hash
    )


async def look_at_link(request: Request, text: object) -> Link:
    """What a link is for; it stays what it is. Raises Refusal 404, 429."""
    region, token = _parted(request, text)
    link = await services_of(request).tables[region].read(lambda f: find_link(f, token))
    if link is None:
        raise Refusal(404, "link_unknown", LINK_GONE)
    services_of(request).accounts.attempt_succeeded(caller_of(request).address, "")
    return link


async def with_link(request: Request, body: Mapping[str, Any]) -> Opened:
    """Follow a one-time link, once: the first owner, a person who was invited, or one who sets a
    password anew. Raises Refusal 401, 404, 409, 422, 429, 503."""
    services = services_of(request)
    link = await look_at_link(request, body.get("token"))
    region, token = _parted(request, body.get("token"), counted=False)
    tables = services.tables[region]
    email = check_email(body.get("email")) if link.kind == "first" else link.email
    name = check_person(body.get("name"))
    known = await tables.read(lambda found: book.user_by_email(found, email))
    has_password = known is not None and bool(known.password)
    password = body.get("password")
    if link.kind == "invite" and has_password:
        assert known is not None
        sealed = known.password
        await _check_known(request, known, password)
    else:
        sealed = await services.accounts.hash_password(check_password(password, email))

    user = await _written(
        tables.write(lambda connection: _followed(connection, token, email, name, sealed))
    )
    return await _open(request, region, user, f"sign-in.link.{link.kind}", link.organization_id)


def _followed(connection: Any, token: str, email: str, name: str, sealed: str) -> User:  # noqa: ANN401
    """The link is used up, and does what it is for. What was read before may have changed."""
    used = use_link(connection, token)
    if used is None:
        raise Refusal(404, "link_unknown", LINK_GONE)
    user = book.user_by_email(connection, email)
    if user is None:
        if used.kind == "reset":
            raise Refusal(404, "link_unknown", LINK_GONE)
        user = book.add_user(connection, email, name)
    elif used.kind == "first":
        raise Refusal(409, "user_known", "email: there is a user of this address already")
    elif used.kind == "invite" and user.password != sealed:
        _check_free(connection, user)
    if user.password != sealed:
        book.set_password(connection, user, sealed)
        book.drop_sessions(connection, user.id)
    if name:
        book.set_name(connection, user.id, name)
    now = book.role_in(connection, used.organization_id, user.id) if used.role else ""
    if used.role and not now:
        book.put_member(connection, used.organization_id, user.id, used.role)
    return user


def _check_free(connection: Any, user: User) -> None:  # noqa: ANN401 - sqlite3's
    """Whoever invites has the link as well: it must not open what this person has elsewhere, be it
    before a first password, while one is reset, or with one that was just replaced. Raises Refusal
    409."""
    if user.password or book.organizations_of(connection, user.id):
        raise Refusal(409, "password_pending", PENDING)


async def _written(done: Any) -> Any:  # noqa: ANN401 - whatever the work gives
    """A rule of the tables that was broken is a conflict."""
    try:
        return await done
    except ValueError as error:
        raise Refusal(409, "conflict", str(error)) from None


async def _check_known(request: Request, user: User, password: object) -> None:
    accounts, address = services_of(request).accounts, caller_of(request).address
    accounts.check_attempt(address, user.email)
    text = password if isinstance(password, str) else ""
    if len(text) > CHARACTERS_MAX or not await accounts.is_password(text, user.password):
        raise Refusal(401, "sign_in_wrong", "password: give the one that you sign in with")
    accounts.attempt_succeeded(address, user.email)


async def _open(
    request: Request, region: str, user: User, action: str, organization_id: str = ""
) -> Opened:
    tables = services_of(request).tables[region]
    found = await tables.read(lambda connection: book.organizations_of(connection, user.id))
    if not found:
        raise Refusal(403, "no_organization", "You belong to no organisation here any more.")
    orgs = [org for org, _ in found]
    org = organization_id if organization_id in orgs else orgs[0]
    return await _session(request, region, org, Act(org, f"user:{user.id}", action), user=user)


async def _session(
    request: Request, region: str, org: str, act: Act, *, user: User | None = None,
    key_hash: str = "",
) -> Opened:  # fmt: skip
    services, caller = services_of(request), caller_of(request)
    token = secrets.token_urlsafe(TOKEN_BYTES)
    agent = request.headers.get("user-agent", "")[:AGENT_CHARACTERS_MAX]
    act = Act(act.organization_id, act.actor, act.action, address=caller.address)

    def work(connection: Any) -> None:  # noqa: ANN401 - sqlite3's
        book.add_session(
            connection, token, user_id=user.id if user else None, key_hash=key_hash,
            organization_id=org, lasts_us=LASTS_S * 1_000_000, address=caller.address, agent=agent,
        )  # fmt: skip
        add_act(connection, act)

    await _written(services.tables[region].write(work))
    secret = services.accounts.secret(region)
    cookie = set_cookie(
        cookie_value(secret, region, token), secure=is_secure(request), lasts_s=LASTS_S
    )
    return Opened(region, token, csrf_token(secret, token), cookie)


def _regions(request: Request, wanted: object) -> tuple[str, ...]:
    kept = services_of(request).accounts.regions()
    if wanted is None:
        return kept
    if wanted not in kept:
        raise Refusal(422, "field_invalid", f"region: expected one of {', '.join(kept)}")
    return (str(wanted),)


def _parted(request: Request, text: object, *, counted: bool = True) -> tuple[str, str]:
    """Region and token of a link."""
    if counted:
        services_of(request).accounts.check_attempt(caller_of(request).address, "")
    region, _, token = (text if isinstance(text, str) else "").partition(".")
    if region not in services_of(request).accounts.regions() or not 0 < len(token) <= 64:
        raise Refusal(404, "link_unknown", LINK_GONE)
    return region, token


def default_organization() -> str:
    """The organisation that the first owner owns."""
    return str(UUID(bytes=DEFAULT_ORGANIZATION))
