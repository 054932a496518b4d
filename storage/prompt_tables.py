"""Prompts of the state store: names and tags, and versions whose bodies never change. What is
deleted stays on file and is not found any more.
"""

import json
import secrets
import sqlite3
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

ID_LETTERS: Final = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
PROMPTS_MAX: Final = 10_000
VERSIONS_MAX: Final = 1_000
PRODUCTION: Final = "production"
FIRST_MESSAGE: Final = "First version."

_encode = msgspec.json.Encoder(decimal_format="number").encode


class TooManyPrompts(ValueError):  # noqa: N818 - whoever asked is told
    """A bound is reached."""


class VersionDiffers(ValueError):  # noqa: N818 - whoever asked is told
    """A version of this number is there, and says something else."""


@dataclass(frozen=True, slots=True)
class Prompt:
    id: str
    name: str
    tags: tuple[str, ...]
    created_at_us: int


@dataclass(frozen=True, slots=True)
class Version:
    """`body` is JSON text."""

    id: str
    prompt_id: str
    major: int
    minor: int
    commit_message: str
    model: str
    body: str
    environments: tuple[str, ...]
    created_at_us: int


_PROMPT: Final = "id, name, tags, created_at_us"
_VERSION: Final = (
    "id, prompt_id, major, minor, commit_message, model, body, environments, created_at_us"
)
_LIVE: Final = (
    "organization_id = ? AND deleted_at_us IS NULL AND EXISTS (SELECT 1 FROM prompts AS p"
    " WHERE p.organization_id = v.organization_id AND p.id = v.prompt_id"
    " AND p.deleted_at_us IS NULL)"
)


def m021_prompts(connection: sqlite3.Connection) -> None:
    connection.execute(
        "CREATE TABLE prompts (id TEXT NOT NULL, organization_id TEXT NOT NULL, "
        "name TEXT NOT NULL, tags TEXT NOT NULL, created_at_us INTEGER NOT NULL, "
        "deleted_at_us INTEGER, PRIMARY KEY (organization_id, id)) STRICT"
    )
    connection.execute(
        "CREATE TABLE prompt_versions (id TEXT PRIMARY KEY, organization_id TEXT NOT NULL, "
        "prompt_id TEXT NOT NULL, major INTEGER NOT NULL, minor INTEGER NOT NULL, "
        "commit_message TEXT NOT NULL, model TEXT NOT NULL, body TEXT NOT NULL, "
        "environments TEXT NOT NULL, created_at_us INTEGER NOT NULL, deleted_at_us INTEGER, "
        "UNIQUE (organization_id, prompt_id, major, minor), "
        "FOREIGN KEY (organization_id, prompt_id) REFERENCES prompts (organization_id, id)) STRICT"
    )


def add_prompt(
    connection: sqlite3.Connection, org: str, name: str, tags: Sequence[str], body: dict[str, Any]
) -> tuple[str, str]:
    """Ids of the prompt and of its version 0.0, which is the production one. Raises
    TooManyPrompts."""
    count = _count(connection, "prompts", org)
    if count >= PROMPTS_MAX:
        raise TooManyPrompts(f"at most {PROMPTS_MAX} prompts are kept")
    while True:
        prompt_id = "".join(secrets.choice(ID_LETTERS) for _ in range(6))
        taken = connection.execute(
            "SELECT 1 FROM prompts WHERE organization_id = ? AND id = ?", (org, prompt_id)
        ).fetchone()
        if not taken:
            break
    connection.execute(
        "INSERT INTO prompts VALUES (?, ?, ?, ?, ?, NULL)",
        (prompt_id, org, name, json.dumps(list(tags)), _now_us()),
    )
    version = _insert(connection, org, prompt_id, (0, 0), FIRST_MESSAGE, body, (PRODUCTION,))
    return prompt_id, version


def add_version(
    connection: sqlite3.Connection,
    org: str,
    of: Version,
    body: dict[str, Any],
    message: str,
    *,
    is_major: bool,
    environment: str | None,
) -> str:
    """The id of a version that follows `of`: the next major one, or the next minor one of its
    major. Deleted versions keep their numbers. Raises TooManyPrompts."""
    rows = connection.execute(
        "SELECT major, minor FROM prompt_versions WHERE organization_id = ? AND prompt_id = ?",
        (org, of.prompt_id),
    ).fetchall()
    if len(rows) >= VERSIONS_MAX:
        raise TooManyPrompts(f"at most {VERSIONS_MAX} versions of a prompt are kept")
    if is_major:
        number = max(major for major, _ in rows) + 1, 0
    else:
        number = of.major, max(minor for major, minor in rows if major == of.major) + 1
    version = _insert(connection, org, of.prompt_id, number, message, body, ())
    if environment:
        set_environment(connection, org, of.prompt_id, version, environment)
    return version


def put_version(connection: sqlite3.Connection, org: str, prompt: Prompt, version: Version) -> bool:
    """A version that was made elsewhere, under its prompt's id and its own number; both come back
    where they were deleted. The environments are as the version has them. False: it was there.
    Raises TooManyPrompts, VersionDiffers."""
    if find_prompt(connection, org, prompt.id) is None:
        if _count(connection, "prompts", org) >= PROMPTS_MAX:
            raise TooManyPrompts(f"at most {PROMPTS_MAX} prompts are kept")
        connection.execute(
            "INSERT INTO prompts VALUES (?, ?, ?, ?, ?, NULL) ON CONFLICT DO UPDATE SET"
            " name = excluded.name, tags = excluded.tags, deleted_at_us = NULL",
            (prompt.id, org, prompt.name, json.dumps(list(prompt.tags)), _now_us()),
        )
    row = connection.execute(
        "SELECT id, body, deleted_at_us FROM prompt_versions WHERE organization_id = ?"
        " AND prompt_id = ? AND major = ? AND minor = ?",
        (org, prompt.id, version.major, version.minor),
    ).fetchone()
    if row is None:
        count = "SELECT count(*) FROM prompt_versions WHERE organization_id = ? AND prompt_id = ?"
        if connection.execute(count, (org, prompt.id)).fetchone()[0] >= VERSIONS_MAX:
            raise TooManyPrompts(f"at most {VERSIONS_MAX} versions of a prompt are kept")
        number, body = (version.major, version.minor), json.loads(version.body)
        message = version.commit_message
        version_id = _insert(connection, org, prompt.id, number, message, body, ())
    elif json.loads(row[1]) != json.loads(version.body):
        raise VersionDiffers
    else:
        version_id = row[0]
        connection.execute(
            "UPDATE prompt_versions SET deleted_at_us = NULL WHERE id = ?", (version_id,)
        )
    for environment in version.environments:
        set_environment(connection, org, prompt.id, version_id, environment)
    return row is None or row[2] is not None


def find_prompts(connection: sqlite3.Connection, org: str) -> list[Prompt]:
    """The newest first."""
    rows = connection.execute(
        f"SELECT {_PROMPT} FROM prompts WHERE organization_id = ? AND deleted_at_us IS NULL"  # noqa: S608
        " ORDER BY created_at_us DESC, id",
        (org,),
    )
    return [_prompt(row) for row in rows]


def find_prompt(connection: sqlite3.Connection, org: str, prompt_id: str) -> Prompt | None:
    row = connection.execute(
        f"SELECT {_PROMPT} FROM prompts WHERE organization_id = ? AND id = ?"  # noqa: S608
        " AND deleted_at_us IS NULL",
        (org, prompt_id),
    ).fetchone()
    return _prompt(row) if row else None


def find_versions(
    connection: sqlite3.Connection, org: str, prompt_id: str, major: int | None = None
) -> list[Version]:
    """The newest first."""
    rows = connection.execute(
        f"SELECT {_VERSION} FROM prompt_versions AS v WHERE {_LIVE} AND prompt_id = ?"  # noqa: S608
        " AND (? IS NULL OR major = ?) ORDER BY major DESC, minor DESC",
        (org, prompt_id, major, major),
    )
    return [_version(row) for row in rows]


def find_version(connection: sqlite3.Connection, org: str, version_id: str) -> Version | None:
    row = connection.execute(
        f"SELECT {_VERSION} FROM prompt_versions AS v WHERE {_LIVE} AND id = ?",  # noqa: S608
        (org, version_id),
    ).fetchone()
    return _version(row) if row else None


def version_body(connection: sqlite3.Connection, version_id: str) -> str | None:
    """For whoever has a signed link to it."""
    row = connection.execute(
        "SELECT body FROM prompt_versions WHERE id = ? AND deleted_at_us IS NULL", (version_id,)
    ).fetchone()
    return str(row[0]) if row else None


def in_environment(
    connection: sqlite3.Connection, org: str, prompt_id: str, environment: str
) -> Version | None:
    """The version that an environment has."""
    found = find_versions(connection, org, prompt_id)
    return next((version for version in found if environment in version.environments), None)


def environments(connection: sqlite3.Connection, org: str) -> list[str]:
    """Those that some version has, each once."""
    rows = connection.execute(
        f"SELECT DISTINCT environments FROM prompt_versions AS v WHERE {_LIVE}",  # noqa: S608
        (org,),
    )
    return sorted({name for (names,) in rows for name in json.loads(names)})


def set_environment(
    connection: sqlite3.Connection, org: str, prompt_id: str, version_id: str, environment: str
) -> bool:
    """Of all versions of the prompt this one has it. False: there is no such version."""
    found = find_versions(connection, org, prompt_id)
    if not any(version.id == version_id for version in found):
        return False
    for version in found:
        wanted = [name for name in version.environments if name != environment]
        if version.id == version_id:
            wanted.append(environment)
        _write_environments(connection, version.id, wanted)
    return True


def drop_environment(
    connection: sqlite3.Connection, org: str, version_id: str, environment: str
) -> bool:
    """False: this version did not have it."""
    version = find_version(connection, org, version_id)
    if version is None or environment not in version.environments:
        return False
    kept = [name for name in version.environments if name != environment]
    _write_environments(connection, version_id, kept)
    return True


def change_prompt(
    connection: sqlite3.Connection,
    org: str,
    prompt_id: str,
    *,
    name: str | None = None,
    tags: Sequence[str] | None = None,
) -> bool:
    """False: there is no such prompt."""
    return bool(
        connection.execute(
            "UPDATE prompts SET name = coalesce(?, name), tags = coalesce(?, tags)"
            " WHERE organization_id = ? AND id = ? AND deleted_at_us IS NULL",
            (name, None if tags is None else json.dumps(list(tags)), org, prompt_id),
        ).rowcount
    )


def drop_prompt(connection: sqlite3.Connection, org: str, prompt_id: str) -> bool:
    """False: there is no such prompt."""
    return bool(
        connection.execute(
            "UPDATE prompts SET deleted_at_us = ? WHERE organization_id = ? AND id = ?"
            " AND deleted_at_us IS NULL",
            (_now_us(), org, prompt_id),
        ).rowcount
    )


def drop_version(connection: sqlite3.Connection, org: str, version_id: str) -> bool:
    """False: there is no such version."""
    return bool(
        connection.execute(
            "UPDATE prompt_versions SET deleted_at_us = ? WHERE organization_id = ? AND id = ?"
            " AND deleted_at_us IS NULL",
            (_now_us(), org, version_id),
        ).rowcount
    )


def _insert(
    connection: sqlite3.Connection,
    org: str,
    prompt_id: str,
    number: tuple[int, int],
    message: str,
    body: dict[str, Any],
    environments: Sequence[str],
) -> str:
    version = str(uuid.uuid4())
    model = body.get("model")
    connection.execute(
        "INSERT INTO prompt_versions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL)",
        (
            version, org, prompt_id, *number, message, model if isinstance(model, str) else "",
            _encode(body).decode(), json.dumps(list(environments)),
            _now_us(),
        ),
    )  # fmt: skip
    return version


def _write_environments(
    connection: sqlite3.Connection, version_id: str, environments: Sequence[str]
) -> None:
    connection.execute(
        "UPDATE prompt_versions SET environments = ? WHERE id = ?",
        (json.dumps(list(environments)), version_id),
    )


def _count(connection: sqlite3.Connection, table: str, org: str) -> int:
    sql = f"SELECT count(*) FROM {table} WHERE organization_id = ?"  # noqa: S608 - a constant
    return int(connection.execute(sql, (org,)).fetchone()[0])


def _prompt(row: Sequence[Any]) -> Prompt:
    return Prompt(row[0], row[1], tuple(json.loads(row[2])), row[3])


def _version(row: Sequence[Any]) -> Version:
    *fields, environments, created_at_us = row
    return Version(*fields, tuple(json.loads(environments)), created_at_us)  # type: ignore[call-arg]


def _now_us() -> int:
    return time.time_ns() // 1000
