"""What `delete` puts down in the state of one region: a running server carries it out at once, else
the next one that starts.
"""

import sqlite3
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from appliance.commands_orgs import organization_id
from appliance.core.erasure import check_erasure
from appliance.errors import Refusal

if TYPE_CHECKING:
    from storage.erasures import Erasure
    from storage.state import State


def delete(state: "State", given: Mapping[str, Any]) -> dict[str, Any]:
    """Everything of a request, session, user, span of time or organisation."""
    from storage.erasures import ask
    from storage.state import now_us

    kind = str(given.get("kind", ""))
    wanted = given.get("id")
    if kind == "organization":
        org = wanted = organization_id(state, wanted or "?")
    else:
        org = organization_id(state, given.get("org"))
    try:
        asked_kind, subject = check_erasure(kind, wanted, now_us())
    except Refusal as refusal:
        raise Refusal(400, refusal.code, refusal.message) from None

    def work(connection: sqlite3.Connection) -> "Erasure":
        return ask(connection, org, asked_kind, subject, "command")

    try:
        row = state.write(work)
    except ValueError as error:
        raise Refusal(503, "deletions_full", str(error)) from None
    return {"id": row.id, "kind": row.kind, "organization_id": org, "state": row.state}


DELETE_COMMANDS = {"delete": delete}
