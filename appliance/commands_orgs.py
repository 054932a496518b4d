"""What `orgs create | list` do to the state of one region, and how a command finds an organisation
or a key that it was given by name. Blocking, no server: see commands_keys.py.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from appliance.core.keys import hash_key
from appliance.core.provider_key_input import looks_ours
from appliance.errors import Refusal

if TYPE_CHECKING:
    from storage.state import ApiKey, Organization, State

NAME_CHARACTERS_MAX = 200
DEFAULT = "default"


def create_organization(state: "State", arguments: Mapping[str, Any]) -> dict[str, Any]:
    """A new tenant. Its name is its own, so that `--org` can say it."""
    name = check_name(arguments)
    # `--org default` is the default one, whatever others are called.
    known = state.organizations()
    if name.lower() == DEFAULT or any(name in (row.name, row.id) for row in known):
        raise Refusal(409, "name_taken", f"there is an organisation {name} already")
    return shown(state.add_organization(name, region=str(arguments.get("region") or "us")))


def check_name(arguments: Mapping[str, Any]) -> str:
    """What a key or an organisation is called. Raises Refusal 400: names are shown to everybody,
    also in terminals."""
    name = str(arguments.get("name", "")).strip()
    if not name or len(name) > NAME_CHARACTERS_MAX or not name.isprintable():
        most = NAME_CHARACTERS_MAX
        raise Refusal(400, "bad_name", f"name: 1 to {most} printable characters are expected")
    if looks_ours(name):
        raise Refusal(400, "bad_name", "name: this looks like a key; names are shown to everybody")
    return name


def list_organizations(state: "State", _arguments: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [shown(row) for row in state.organizations()]


def organization_id(state: "State", wanted: object) -> str:
    """The id of the organisation with this id or name; of the default one when none is named.
    Raises Refusal 404."""
    from storage.state import DEFAULT_ORGANIZATION_ID

    text = str(wanted or "").strip()
    if text in ("", DEFAULT, DEFAULT_ORGANIZATION_ID):
        return DEFAULT_ORGANIZATION_ID
    rows = state.organizations()
    found = [row for row in rows if row.id == text] or [row for row in rows if row.name == text]
    if not found:
        raise Refusal(
            404, "unknown_org",
            "no organisation has this id or name: helicone-appliance orgs list shows them",
        )  # fmt: skip
    if len(found) > 1:
        ids = ", ".join(row.id for row in found[:5])
        raise Refusal(
            409, "ambiguous", f"{len(found)} organisations have this name, give an id: {ids}"
        )
    return found[0].id


def find_key(state: "State", wanted: str) -> "ApiKey | None":
    """The key in use of this id or text, else of this name where only one has it. Raises Refusal
    409."""
    in_use = state.api_keys()
    hashed = hash_key(wanted)
    found = [row for row in in_use if row.id == wanted or row.key_hash in (wanted, hashed)]
    found = found or [row for row in in_use if row.name == wanted]
    if len(found) > 1:
        ids = ", ".join(row.id for row in found[:5])
        raise Refusal(409, "ambiguous", f"{len(found)} keys have this name, give an id: {ids}")
    return found[0] if found else None


ORG_COMMANDS: dict[str, Callable[["State", Mapping[str, Any]], Any]] = {
    "orgs.create": create_organization,
    "orgs.list": list_organizations,
}


def shown(row: "Organization") -> dict[str, Any]:
    """An organisation as it is printed."""
    at = datetime.fromtimestamp(row.created_at_us // 1_000_000, UTC)
    created_at = at.isoformat().replace("+00:00", "Z")
    return {"id": row.id, "name": row.name, "region": row.region, "created_at": created_at}
