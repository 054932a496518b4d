"""The log of administrative acts: who did what to what, when and from where. Rows of it hold no
secret: whoever adds one names ids and fields, never values that were secret.
"""

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from storage.account_tables import AUDIT_ROWS_MAX
from storage.state import now_us

TEXT_CHARACTERS_MAX: Final = 512
DETAIL_CHARACTERS_MAX: Final = 2000
COLUMNS: Final = "id, at_us, organization_id, actor, action, target, detail, address"


@dataclass(frozen=True, slots=True)
class Act:
    """Something that was done. `actor` is `user:<id>`, `key:<id>`, `command`, `open` or `nobody`;
    `organization_id` is "" for what concerns the server as a whole."""

    organization_id: str
    actor: str
    action: str
    target: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict)
    address: str = ""


def add_act(connection: sqlite3.Connection, act: Act) -> int:
    """Write it down, and let the oldest go beyond the number that may be kept. Gives its id."""
    detail = json.dumps(dict(act.detail), ensure_ascii=False, sort_keys=True, default=str)
    if len(detail) > DETAIL_CHARACTERS_MAX:
        detail = json.dumps({"cut": True})
    texts = (act.organization_id, act.actor, act.action, act.target)
    texts = tuple(text[:TEXT_CHARACTERS_MAX] for text in texts)  # type: ignore[assignment]
    row_id = connection.execute(
        "INSERT INTO audit (at_us, organization_id, actor, action, target, detail, address) "
        "VALUES (?, ?, ?, ?, ?, ?, ?)",
        (now_us(), *texts, detail, act.address[:TEXT_CHARACTERS_MAX]),
    ).lastrowid
    assert row_id is not None, "the row was inserted"
    connection.execute("DELETE FROM audit WHERE id <= ?", (row_id - AUDIT_ROWS_MAX,))
    return row_id


def read_acts(
    connection: sqlite3.Connection,
    organization_id: str | None,
    *,
    before: int | None = None,
    limit: int = 100,
    action: str = "",
) -> list[dict[str, Any]]:
    """The newest first: of an organisation and the server as a whole, or of all (None). `before` is
    an id; `action` is how the wanted ones begin."""
    rows = connection.execute(
        f"SELECT {COLUMNS} FROM audit "  # noqa: S608 - no value is in the text
        "WHERE (?1 IS NULL OR organization_id = ?1) AND (?2 IS NULL OR id < ?2) "
        "AND substr(action, 1, length(?3)) = ?3 ORDER BY id DESC LIMIT ?4",
        (organization_id, before, action, limit),
    )
    names = COLUMNS.split(", ")
    return [{**dict(zip(names, row, strict=True)), "detail": json.loads(row[6])} for row in rows]
