"""What `users create | list | reset | remove` and `audit` do to the state of one region, and the
one-time link of the first start. Blocking, no server: see commands_keys.py.

A link is shown once and works once; what is kept is its hash.
"""

import secrets
import sqlite3
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from appliance.commands_orgs import organization_id
from appliance.core.passwords import check_email, check_person
from appliance.core.roles import role_of
from appliance.core.session_cookie import TOKEN_BYTES
from appliance.errors import Refusal

if TYPE_CHECKING:
    from storage.sign_in_links import LinkKind
    from storage.state import State

LINK_LASTS_US: Final = 15 * 60 * 1_000_000
ACTS_MAX: Final = 1000
ACTS_DEFAULT: Final = 100
# A link that no server's address is known for: the path alone.
PATH: Final = "/sign-in?token="


def create_user(state: "State", given: Mapping[str, Any]) -> dict[str, Any]:
    """A user without a password, and the one-time link to set one."""
    from storage import accounts as book

    email = _field(check_email, given, "email")
    name = _field(check_person, given, "name")
    role = _field(role_of, {"role": given.get("role") or "member"}, "role")
    org = organization_id(state, given.get("org"))

    def work(connection: sqlite3.Connection) -> book.User:
        user = book.add_user(connection, email, name)
        book.put_member(connection, org, user.id, role)
        return user

    try:
        user = state.write(work)
    except ValueError as error:
        raise Refusal(409, "user_known", str(error)) from None
    link = _link(state, given, "reset", email, org, "")
    return {"id": user.id, "email": email, "role": role, "organization_id": org, **link}


def reset_user(state: "State", given: Mapping[str, Any]) -> dict[str, Any]:
    """A one-time link to set a new password; the old one and all sessions end now."""
    from storage import accounts as book

    email = _field(check_email, given, "email")

    def work(connection: sqlite3.Connection) -> tuple[str, str]:
        user = _known(connection, email)
        book.set_password(connection, user, "")
        book.drop_sessions(connection, user.id)
        orgs = book.organizations_of(connection, user.id)
        if not orgs:
            raise Refusal(409, "no_organization", "this user belongs to no organisation any more")
        return user.id, orgs[0][0]

    user_id, org = state.write(work)
    return {"id": user_id, "email": email, **_link(state, given, "reset", email, org, "")}


def remove_user(state: "State", given: Mapping[str, Any]) -> dict[str, Any]:
    """Take a person off file, with memberships and sessions. The last owner of an organisation
    stays."""
    from storage import accounts as book

    email = _field(check_email, given, "email")

    def work(connection: sqlite3.Connection) -> dict[str, Any]:
        user = _known(connection, email)
        for org, _ in book.organizations_of(connection, user.id):
            book.drop_member(connection, org, user.id)
        book.drop_user(connection, user)
        return {"id": user.id, "email": email}

    try:
        return state.write(work)
    except ValueError as error:
        raise Refusal(409, "last_owner", str(error)) from None


def list_users(state: "State", _given: Mapping[str, Any]) -> list[dict[str, Any]]:
    from storage import accounts as book

    return [
        {
            "id": row["id"], "email": row["email"], "name": row["name"],
            "organizations": row["organizations"],
            "password": "set" if row["has_password"] else "not set",
            "created_at": _time(row["created_at_us"]),
            "signed_in_at": _time(row["signed_in_at_us"]),
        }
        for row in state.read(book.list_users)
    ]  # fmt: skip


def list_acts(state: "State", given: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What was done, the newest last; of one organisation, or of all."""
    from storage.audit import read_acts

    org = organization_id(state, given["org"]) if given.get("org") else None
    limit = int(given.get("limit") or ACTS_DEFAULT)
    if not 1 <= limit <= ACTS_MAX:
        raise Refusal(400, "bad_limit", f"limit: from 1 to {ACTS_MAX}")
    rows = state.read(lambda connection: read_acts(connection, org, limit=limit))
    return [
        {"at": _time(row.pop("at_us")), **row, "detail": _pairs(row["detail"])}
        for row in reversed(rows)
    ]


def first_link(state: "State") -> str:
    """A link for the first owner where there is no user yet, else "". It takes the place of the
    one of an earlier start."""
    from storage import accounts as book
    from storage.state import DEFAULT_ORGANIZATION_ID

    if state.read(book.count_users):
        return ""
    return _link(state, {}, "first", "", DEFAULT_ORGANIZATION_ID, "owner")["url"]


USER_COMMANDS: dict[str, Callable[["State", Mapping[str, Any]], Any]] = {
    "users.create": create_user,
    "users.list": list_users,
    "users.reset": reset_user,
    "users.remove": remove_user,
    "audit": list_acts,
}


def _link(
    state: "State",
    given: Mapping[str, Any],
    kind: "LinkKind",
    email: str,
    org: str,
    role: str,
) -> dict[str, str]:
    from storage.sign_in_links import add_link

    token = secrets.token_urlsafe(TOKEN_BYTES)
    link = state.write(
        lambda connection: add_link(
            connection, token, kind, email=email, organization_id=org, role=role,
            lasts_us=LINK_LASTS_US, created_by="command",
        )
    )  # fmt: skip
    region = str(given.get("region") or "us")
    url = f"{given.get('base') or ''}{PATH}{region}.{token}"
    return {"url": url, "until": _time(link.expires_at_us) or ""}


def _known(connection: sqlite3.Connection, email: str) -> Any:  # noqa: ANN401 - accounts.User
    from storage.accounts import user_by_email

    user = user_by_email(connection, email)
    if user is None:
        raise Refusal(404, "user_unknown", "there is no user of this address: users list")
    return user


def _field(check: Callable[[object], Any], given: Mapping[str, Any], name: str) -> Any:  # noqa: ANN401
    """As the REST API checks it; a command's own refusals are 400."""
    try:
        return check(given.get(name))
    except Refusal as refusal:
        raise Refusal(400, f"bad_{name}", refusal.message) from None


def _pairs(detail: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in detail.items())


def _time(at_us: int | None) -> str | None:
    if at_us is None:
        return None
    at = datetime.fromtimestamp(at_us // 1_000_000, UTC)
    return at.isoformat().replace("+00:00", "Z")
