"""What a command did is written down as well as what came over REST: by whom is not known beyond
that it was somebody who owns the data directory. Which arguments may be told is said here, name by
name: all others may hold a secret.
"""

import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from appliance.commands_orgs import organization_id

if TYPE_CHECKING:
    from storage.state import State

TOLD: Final = (
    "name", "role", "provider", "base_url", "policy", "write_only", "rate_limited", "amount",
    "reason", "model", "limits", "kind", "since", "until",
)  # fmt: skip
READING: Final = (".list", ".explain", ".show", ".flags")


def changes(command: str) -> bool:
    """Whether it changes anything that is administered."""
    return command != "audit" and not command.endswith(READING)


def write_down(state: "State", command: str, given: Mapping[str, Any], value: object) -> None:
    """A command that has done something. Raises StateBroken."""
    from storage.audit import Act, add_act

    found = value if isinstance(value, Mapping) else {}
    org = str(found.get("organization_id") or organization_id(state, given.get("org")))
    detail = {name: given[name] for name in TOLD if given.get(name)}
    if found.get("repeated"):
        detail["repeated"] = True  # it was known already: nothing was done
    act = Act(str(uuid.UUID(org)), "command", command, str(found.get("id") or ""), detail)
    state.write(lambda connection: add_act(connection, act))
