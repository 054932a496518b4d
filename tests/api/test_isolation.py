"""Every route, with another organisation's ids and with every role: nothing of one is seen or
changed by the other, no role does more than it may, and no answer has a stored secret in it.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from appliance.api.paths import PERMISSIONS
from tests.api.isolation_cases import CASES, STREAM
from tests.api.isolation_kit import WORD, Planted, planted
from tests.api.kit import OTHER_ORG, Reply
from tests.api.office_kit import THEIRS

ROLES = {
    "owner": {"read", "write", "manage", "configure", "govern", "session"},
    "admin": {"read", "write", "manage", "configure", "govern", "session"},
    "member": {"read", "write", "manage", "session"},
    "viewer": {"read", "session"},
}
KEYS = {
    "both": {"read", "write", "manage", "configure"},
    "reader": {"read"},
    "writer": {"write"},
}
# A stream goes on until its client leaves (test_request_streams.py).
ASKED = {route: permission for route, permission in PERMISSIONS.items()
         if CASES.get(route) is not STREAM}  # fmt: skip
BY_KEY = {"read", "write", "manage", "configure", "govern", "session"}


@pytest.fixture
async def there(tmp_path: Path) -> AsyncIterator[Planted]:
    async with planted(tmp_path) as made:
        yield made


def data_of(body: Any) -> bytes:
    return b"" if body is None else json.dumps(body).encode()


def test_every_route_has_its_case() -> None:
    assert sorted(CASES) == sorted(PERMISSIONS)


def test_every_case_names_what_the_route_asks_for() -> None:
    """A path with ids is called with planted ones, or the case shows nothing."""
    for (_, route), case in CASES.items():
        if "{" in route:
            assert case.path, route
            assert "{" in case.path, route
            assert case.path.count("/") >= route.count("/"), route


async def test_another_organisation_is_told_and_changes_nothing(there: Planted) -> None:
    before = await state_of(there)
    for (method, route), case in CASES.items():
        if case is STREAM:
            continue
        path, body = there.filled(case.path or route), there.filled(case.body)
        headers = ((b"authorization", b"Bearer other"),)
        reply = await there.desk.house.ask(method, path, data_of(body), headers=headers)
        where = f"{method} {route}: {reply.status} {reply.body[:200]!r}"
        assert reply.status in case.status, where
        assert WORD.lower().encode() not in reply.body.lower(), where
        if case.answer is not ... and reply.status == 200:
            assert reply.json["data"] == case.answer, where
    assert await state_of(there) == before
    assert there.wallets.asked == {OTHER_ORG}


async def test_another_organisations_owner_is_no_better_off(there: Planted) -> None:
    """Who may govern his own organisation gets as far as the ids, and no further."""
    before = await state_of(there)
    for (method, route), case in CASES.items():
        if PERMISSIONS[method, route] not in BY_KEY or "{" not in case.path:
            continue
        path, body = there.filled(case.path), there.filled(case.body)
        if PERMISSIONS[method, route] in ("govern", "session"):
            body = {"role": "viewer", "name": "x", "email": "x@example.com"}
        reply = await asked(there, "owner", method, path, body)
        where = f"{method} {route}: {reply.status} {reply.body[:200]!r}"
        if 404 in case.status or PERMISSIONS[method, route] in ("govern", "session"):
            assert reply.status == 404, where
        assert WORD.lower().encode() not in reply.body.lower(), where
    assert await state_of(there) == before


@pytest.mark.parametrize("role", ROLES)
async def test_no_role_does_more_than_it_may(there: Planted, role: str) -> None:
    for (method, route), permission in ASKED.items():
        if permission not in BY_KEY or (method, route) == ("POST", "/v1/auth/sign-out"):
            continue
        reply = await asked(there, role, method, unknown(route), {})
        refused = reply.status in (401, 403)
        where = f"{role}: {method} {route}: {reply.status} {reply.body[:200]!r}"
        assert refused is (permission not in ROLES[role]), where
        assert reply.status < 500 or reply.status in CASES[method, route].status, where


@pytest.mark.parametrize("key", KEYS)
async def test_no_key_does_more_than_it_may(there: Planted, key: str) -> None:
    for (method, route), permission in ASKED.items():
        if permission not in BY_KEY:
            continue
        reply = await there.desk.ask(method, unknown(route), {}, who=key)
        refused = reply.status in (401, 403)
        where = f"{key}: {method} {route}: {reply.status} {reply.body[:200]!r}"
        assert refused is (permission not in KEYS[key]), where
        assert reply.status < 500 or reply.status in CASES[method, route].status, where


async def test_nobody_is_let_in_with_nothing(there: Planted) -> None:
    for (method, route), permission in ASKED.items():
        if permission in BY_KEY or permission == "admin":
            reply = await there.desk.house.ask(method, unknown(route), b"{}")
            assert reply.status == 401, (method, route)
        if permission in BY_KEY and method not in ("GET",):
            # A cookie without the page's token changes nothing, whoever's it is.
            headers = there.cookies["owner"][:1]
            reply = await there.desk.house.ask(method, unknown(route), b"{}", headers=headers)
            assert reply.status == 403, (method, route)


async def test_no_answer_has_a_stored_secret_in_it(there: Planted) -> None:
    """Asked by whom it belongs to, with the whole of what may be read."""
    said = b""
    for (method, route), permission in ASKED.items():
        if permission != "read" and method != "GET":
            continue
        case = CASES[method, route]
        path, body = there.filled(case.path or route), there.filled(case.body)
        headers = ((b"authorization", b"Bearer both"),)
        said += (await there.desk.house.ask(method, path, data_of(body), headers=headers)).body
    assert WORD.encode() in said  # or nothing was shown
    for secret in there.secrets:
        assert secret.encode() not in said
    assert b"argon2" not in said


async def asked(there: Planted, role: str, method: str, path: str, body: Any) -> Reply:
    """As somebody of the other organisation."""
    headers = there.cookies[role]
    return await there.desk.house.ask(method, path, data_of(body), headers=headers)


def unknown(route: str) -> str:
    """With ids that nothing has."""
    parts = [str(uuid.uuid4()) if part.startswith("{") else part for part in route.split("/")]
    return "/".join(parts)


async def state_of(there: Planted) -> list[str]:
    """All rows of the state store, but for when a session was seen, and what is written down of
    the others' own acts."""
    return await there.desk.house.tables["us"].read(
        lambda connection: sorted(
            line for line in connection.iterdump()
            if not line.startswith(('INSERT INTO "sessions"', 'INSERT INTO "sqlite_sequence"'))
            and not (line.startswith('INSERT INTO "audit"') and THEIRS in line)
        )
    )  # fmt: skip
