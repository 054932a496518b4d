"""What `keys create | list | revoke | import` do to the state of one region. Blocking, no server:
a running one calls these in a thread, a command without a server calls them itself.

Each takes the state and the arguments as they travel, and gives plain values to print.
"""

import csv
import io
import json
import uuid
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from appliance.commands_datasets import DATASET_COMMANDS
from appliance.commands_delete import DELETE_COMMANDS
from appliance.commands_limits import LIMIT_COMMANDS
from appliance.commands_orgs import (
    NAME_CHARACTERS_MAX,
    ORG_COMMANDS,
    check_name,
    find_key,
    organization_id,
)
from appliance.commands_prompts import PROMPT_COMMANDS
from appliance.commands_users import USER_COMMANDS
from appliance.core.keys import generate_key, hash_key, is_key_hash
from appliance.core.provider_key_input import looks_ours
from appliance.errors import Refusal

if TYPE_CHECKING:
    from storage.state import ApiKey, State

IMPORT_KEYS_MAX = 1_000_000
# Names a column may have in an export of Helicone's table `helicone_api_keys`, or in a short list.
HASH_NAMES = ("api_key_hash", "key_hash", "hashedKey", "hash")
LABEL_NAMES = ("api_key_name", "name")
RIGHT_NAMES = ("key_permissions", "permission", "permissions")
TRUE = ("true", "t", "1", "yes")
RIGHTS = {"rw": "rw", "r": "r", "w": "w", "": "rw"}


def create_key(state: "State", arguments: Mapping[str, Any]) -> dict[str, Any]:
    """A new key. The only time that its text is known: only its hash is kept."""
    name = check_name(arguments)
    write_only = bool(arguments.get("write_only"))
    limited = bool(arguments.get("rate_limited"))
    region = str(arguments.get("region") or "us")
    key = generate_key(write_only=write_only, region=region, limited=limited)
    row = state.add_api_key(
        name,
        hash_key(key),
        organization_id=organization_id(state, arguments.get("org")),
        permission="w" if write_only else "rw",
        region=region,
        limited=limited,
    )
    return {"key": key} | shown(row)


def list_keys(state: "State", arguments: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [shown(row) for row in state.api_keys(revoked=bool(arguments.get("revoked")))]


def revoke_key(state: "State", arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Take a key out of use, named by its id, its name where only one has it, or its text."""
    wanted = str(arguments.get("key", "")).strip()
    found = find_key(state, wanted)
    revoked = state.revoke_api_key(found.id) if found is not None else None
    if revoked is None:
        raise Refusal(404, "unknown_key", "no key in use has this id, name or text")
    return shown(revoked)


def import_keys(state: "State", arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Put stored hashes on file, so that keys given out before keep working."""
    region = str(arguments.get("region") or "us")
    rows, skipped = [], 0
    for number, item in enumerate(_items(str(arguments.get("text", ""))), 1):
        if number > IMPORT_KEYS_MAX:
            raise Refusal(413, "too_many", f"at most {IMPORT_KEYS_MAX} keys at once")
        if str(item.get("soft_delete", "")).lower() in TRUE:
            skipped += 1
        else:
            rows.append(_imported(item, number, region))
    known = {organization.id for organization in state.organizations()}
    for new in sorted({row.organization_id for row in rows} - known):
        state.add_organization(f"imported {new[:8]}", organization_id=new, region=region)
    added = state.import_api_keys(rows)
    return {"imported": added, "known_already": len(rows) - added, "deleted_skipped": skipped}


STATE_COMMANDS: dict[str, Callable[["State", Mapping[str, Any]], Any]] = {
    **ORG_COMMANDS,
    **LIMIT_COMMANDS,
    **USER_COMMANDS,
    **DELETE_COMMANDS,
    **PROMPT_COMMANDS,
    **DATASET_COMMANDS,
    "keys.create": create_key,
    "keys.list": list_keys,
    "keys.revoke": revoke_key,
    "keys.import": import_keys,
}


# They change nothing: nothing has to be known anew behind them.
READING_COMMANDS = frozenset({
    "keys.list", "orgs.list", "limits.list", "users.list", "audit", "prompts.list", "prompts.show",
    "datasets.list",
})  # fmt: skip


def shown(row: "ApiKey") -> dict[str, Any]:
    """A key as it may be shown: neither its text nor its hash. `rate_limited` is not known of keys
    that were imported."""
    return {
        "id": row.id,
        "name": row.name,
        "permission": row.permission,
        "rate_limited": row.limited,
        "region": row.region,
        "organization_id": row.organization_id,
        "created_at": _time(row.created_at_us),
        "revoked_at": _time(row.revoked_at_us),
    }


def _time(at_us: int | None) -> str | None:
    if at_us is None:
        return None
    at = datetime.fromtimestamp(at_us // 1_000_000, UTC)
    return at.isoformat().replace("+00:00", "Z")


def _items(text: str) -> Iterator[Mapping[str, Any]]:
    """Entries of a JSON array, of JSON lines, of a CSV file with a header, or bare hashes."""
    stripped = text.lstrip("\ufeff \t\r\n")
    if stripped.startswith("["):
        yield from _objects(_json(stripped, "the file"))
    elif stripped.startswith("{"):
        for number, line in enumerate(stripped.splitlines(), 1):
            if line.strip():
                yield from _objects([_json(line, f"line {number}")])
    elif is_key_hash(stripped[:64].lower()):
        yield from ({"hash": line.strip()} for line in stripped.splitlines() if line.strip())
    else:
        yield from _csv_rows(stripped)


def _csv_rows(text: str) -> Iterator[Mapping[str, Any]]:
    reader = csv.DictReader(io.StringIO(text))
    try:
        if not set(HASH_NAMES) & set(reader.fieldnames or ()):
            names = ", ".join(HASH_NAMES)
            raise Refusal(400, "bad_file", f"a JSON or CSV file with a column of {names} is needed")
        yield from reader
    except csv.Error as error:
        raise Refusal(400, "bad_file", f"the file is no CSV that can be read: {error}") from None


def _json(text: str, where: str) -> Any:  # noqa: ANN401 - JSON
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise Refusal(400, "bad_file", f"{where} is not valid JSON") from None


def _objects(values: list[Any]) -> Iterator[Mapping[str, Any]]:
    for value in values:
        if not isinstance(value, dict):
            raise Refusal(400, "bad_file", "each entry of the file is to be a JSON object")
        yield value


def _imported(item: Mapping[str, Any], number: int, region: str) -> "ApiKey":
    from storage.state import DEFAULT_ORGANIZATION_ID, ApiKey

    key_hash = _first(item, HASH_NAMES).lower().removeprefix("\\x")
    if not is_key_hash(key_hash):
        raise Refusal(400, "bad_file", f"entry {number} has no hash (64 hexadecimal digits)")
    permission = RIGHTS.get(_first(item, RIGHT_NAMES).lower())
    if permission is None:
        raise Refusal(400, "bad_file", f"entry {number}: a permission is rw, r or w")
    organization = _first(item, ("organization_id",)) or DEFAULT_ORGANIZATION_ID
    try:
        organization = str(uuid.UUID(organization))
    except ValueError:
        raise Refusal(400, "bad_file", f"entry {number}: organization_id is no UUID") from None
    label = _first(item, LABEL_NAMES)[:NAME_CHARACTERS_MAX]
    if not label.isprintable() or looks_ours(label):
        raise Refusal(400, "bad_file", f"entry {number}: a name is printable, and no key")
    label = label or f"imported {key_hash[:8]}"
    return ApiKey(str(uuid.uuid4()), organization, label, key_hash, permission, region)


def _first(item: Mapping[str, Any], names: tuple[str, ...]) -> str:
    return next((str(item[name]).strip() for name in names if item.get(name) is not None), "")
