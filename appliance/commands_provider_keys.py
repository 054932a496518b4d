"""What `provider-keys` and `proxy-keys` do to the ring of one region. A running server calls these
on its own ring, a command without a server on one that it opens for the moment.

Each takes the ring, the organisation and the arguments as they travel, and gives plain values to
print: never a secret, but for the text of a proxy key just made.
"""

import json
import uuid
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from appliance.actors.provider_key_changes import Entry
from appliance.errors import Refusal

if TYPE_CHECKING:
    from appliance.actors.provider_keys import ProviderKeys
    from storage.provider_keys import ProviderKeyRow, ProxyKeyRow

Arguments = Mapping[str, Any]
LINES_MAX = 3


def entry_of(text: str) -> Entry:
    """A secret as it is read: a service account's JSON, else a line for the key, one for the second
    half of a pair (AWS) and one for its session token. Raises Refusal 400."""
    stripped = text.strip()
    if stripped.startswith("{"):
        return Entry(stripped)
    lines = [line.strip() for line in stripped.splitlines()]
    if not lines or len(lines) > LINES_MAX:
        raise Refusal(
            400, "secret_invalid",
            "give the key on stdin: one line; for AWS a second one with the secret access key, and "
            "a third with the session token if there is one",
        )  # fmt: skip
    return Entry(*lines)


async def add_key(ring: "ProviderKeys", org: bytes, given: Arguments) -> dict[str, Any]:
    """Store a key; one of the same provider and name is replaced."""
    row = await ring.add(
        org,
        str(given.get("provider", "")),
        entry_of(str(given.get("secret", ""))),
        name=str(given.get("name") or ""),
        base_url=str(given.get("base_url") or ""),
        config=dict(given.get("config") or {}),
    )
    return shown(row)


async def rotate_key(ring: "ProviderKeys", org: bytes, given: Arguments) -> dict[str, Any]:
    """The secret of a key entered anew."""
    key_id = await _key_id(ring, org, given)
    return shown(await ring.rotate(org, key_id, entry_of(str(given.get("secret", "")))))


async def remove_key(ring: "ProviderKeys", org: bytes, given: Arguments) -> dict[str, Any]:
    """Take a key off file, with its proxy keys."""
    return shown(await ring.remove(org, await _key_id(ring, org, given)))


async def list_keys(ring: "ProviderKeys", org: bytes, _given: Arguments) -> list[dict[str, Any]]:
    """Those on file, and those of the environment that serve the default organisation."""
    from appliance.core.keys import DEFAULT_ORGANIZATION

    found = [shown(row) for row in await ring.list_keys(org)]
    if org == DEFAULT_ORGANIZATION:
        nothing = dict.fromkeys(("base_url", "config", "created_at"), "")
        found += [
            {"id": "", "provider": provider, "name": "(environment)", "state": "in use"} | nothing
            for provider in sorted(filter(None, ring.environment))  # not what a replay makes up
        ]
    return found


async def add_proxy_key(ring: "ProviderKeys", org: bytes, given: Arguments) -> dict[str, Any]:
    """A key that stands in for a stored one. The only time that its text is known."""
    key_id = await _key_id(ring, org, given)
    limits = [str(limit) for limit in given.get("limits") or ()]
    made = await ring.add_proxy(org, key_id, name=str(given.get("name") or ""), limits=limits)
    return {"key": made.key} | shown_proxy(made.row)


async def remove_proxy_key(ring: "ProviderKeys", org: bytes, given: Arguments) -> dict[str, Any]:
    """Take a proxy key off file."""
    return shown_proxy(await ring.remove_proxy(org, str(given.get("key", "")).strip()))


async def list_proxy_keys(
    ring: "ProviderKeys", org: bytes, _given: Arguments
) -> list[dict[str, Any]]:
    return [shown_proxy(row) for row in await ring.list_proxies(org)]


RING_COMMANDS: dict[str, Callable[["ProviderKeys", bytes, Arguments], Awaitable[Any]]] = {
    "provider-keys.add": add_key,
    "provider-keys.list": list_keys,
    "provider-keys.rotate": rotate_key,
    "provider-keys.remove": remove_key,
    "proxy-keys.create": add_proxy_key,
    "proxy-keys.list": list_proxy_keys,
    "proxy-keys.remove": remove_proxy_key,
}


def shown(row: "ProviderKeyRow") -> dict[str, Any]:
    """A provider's key as it may be shown."""
    config = json.loads(row.config or "{}")
    return {
        "id": row.id,
        "provider": row.provider,
        "name": row.name,
        "state": "enter it again" if row.disabled else "in use",
        "base_url": row.base_url,
        "config": ", ".join(f"{name}={value}" for name, value in sorted(config.items())),
        "created_at": _time(row.created_at_us),
    }


def shown_proxy(row: "ProxyKeyRow") -> dict[str, Any]:
    """A proxy key as it may be shown: neither its text nor its hash."""
    return {
        "id": row.id,
        "name": row.name,
        "provider_key_id": row.provider_key_id,
        "limits": ", ".join(row.policies.split()),
        "created_at": _time(row.created_at_us),
    }


async def _key_id(ring: "ProviderKeys", org: bytes, given: Arguments) -> str:
    """The id of the key that is named by its id, its name or, where it is the only one, its
    provider. Raises Refusal 404 or 409."""
    wanted = str(given.get("key", "")).strip()
    rows = await ring.list_keys(org)
    found = [row for row in rows if row.id == wanted]
    found = found or [row for row in rows if row.name == wanted]
    found = found or [row for row in rows if row.provider == wanted.lower()]
    if not found:
        raise Refusal(404, "provider_key_unknown", "no stored key has this id, name or provider")
    if len(found) > 1:
        ids = ", ".join(row.id for row in found[:5])
        raise Refusal(409, "ambiguous", f"{len(found)} keys fit, give an id: {ids}")
    return found[0].id


def org_bytes(organization_id: str) -> bytes:
    """An organisation's id as the ring knows it."""
    return uuid.UUID(organization_id).bytes


def _time(at_us: int) -> str:
    return datetime.fromtimestamp(at_us // 1_000_000, UTC).isoformat().replace("+00:00", "Z")
