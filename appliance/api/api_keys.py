"""Keys of an organisation over REST (`/v1/api-keys…`): its own, those of its providers, and proxy
keys. Answers have no envelope where Helicone's have none (`backend.md 1.1`).

The text of a key is told once, by the call that makes it. No stored secret is told by any call,
other than Helicone's GET of one does.
"""

import json
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from fastapi import APIRouter, Request
from starlette.responses import Response

from appliance.api import openapi_settings as openapi
from appliance.api.ask import Ask
from appliance.api.audited import note
from appliance.api.incoming import flag, invalid, path_uuid, read_object
from appliance.api.reply import bare, reply
from appliance.api.scope import iso as shown_time
from appliance.api.services_settings import Secret
from appliance.api.signed_in import services_of
from appliance.api.tenant import mapping, settings_of, tenant_of, text
from appliance.api.times import iso
from storage.provider_keys import ProviderKeyRow, ProxyKeyRow
from storage.state import ApiKey

PERMISSIONS: Final = ("rw", "r", "w")
LIMITS_MAX: Final = 20
USAGE_DAYS: Final = 30
# Asked of the records when somebody looks: a call pays nothing for it.
USED_SQL: Final = (
    "SELECT api_key_id, max(request_created_at), count(*) FILTER (request_created_at >= $3)"
    " FROM unedited_requests WHERE organization_id = CAST($1 AS UUID)"
    " AND api_key_id IN $2::VARCHAR[] GROUP BY 1"
)

router = APIRouter(prefix="/v1/api-keys", tags=["keys"], default_response_class=Response)


@router.get("", **openapi.KEYS)
async def keys(request: Request) -> Response:
    """The organisation's keys in use. What a key is cannot be told again."""
    rows = await settings_of(request).api_keys(tenant_of(request))
    return reply([_shown_key(row) for row in rows])


@router.get("/usage", **openapi.KEY_USAGE)
async def key_usage(request: Request) -> Response:
    """When each key made its last call, and how many it made in 30 days: of calls on record. What a
    key reads over REST is not on record."""
    ask = Ask(request)
    rows = await settings_of(request).api_keys(tenant_of(request))
    since = datetime.now(UTC).replace(tzinfo=None) - timedelta(days=USAGE_DAYS)
    ids = [row.id for row in rows]
    found = await ask.rows(USED_SQL, [ask.org.hex(), ids, since]) if ids else ()
    used = {key_id: (shown_time(last), calls) for key_id, last, calls in found}
    shown = []
    for key_id in ids:
        last_used_at, calls = used.get(key_id, (None, 0))
        shown.append({"id": key_id, "last_used_at": last_used_at, "calls_30d": calls})
    return reply(shown, stale_by_ms=ask.stale_by_ms)


@router.post("", **openapi.CREATE_KEY)
async def create_key(request: Request) -> Response:
    """A new key; the next call may come with it. `key_permissions` is rw, r or w."""
    body = await read_object(request)
    name = text(body, "api_key_name", required=True)
    permission = body.get("key_permissions")
    if permission is None:
        permission = "rw"
    if permission not in PERMISSIONS:
        invalid("key_permissions", f"expected one of {', '.join(PERMISSIONS)}")
    limited = flag(body, "rate_limited") or False
    made, row = await settings_of(request).create_api_key(
        tenant_of(request), name, permission, limited=limited
    )
    note(request, "key.create", row.id, name=row.name, permission=permission)
    return bare({"id": row.id, "apiKey": made, "hashedKey": row.key_hash})


@router.patch("/{key_id}", **openapi.CHANGE_KEY)
async def rename_key(request: Request) -> Response:
    """Call a key something else."""
    key_id = path_uuid(request, "key_id")
    name = text(await read_object(request), "api_key_name", required=True)
    row = await settings_of(request).rename_api_key(tenant_of(request), key_id, name)
    note(request, "key.rename", row.id, name=row.name)
    return bare({"id": row.id, "hashedKey": row.key_hash})


@router.delete("/{key_id}", **openapi.DROP_KEY)
async def revoke_key(request: Request) -> Response:
    """Take a key out of use: the next call with it is refused."""
    key_id = path_uuid(request, "key_id")
    row = await settings_of(request).revoke_api_key(tenant_of(request), key_id)
    note(request, "key.revoke", row.id, name=row.name)
    return bare({"id": row.id, "hashedKey": row.key_hash})


# -- providers' keys


@router.get("/provider-keys", **openapi.PROVIDER_KEYS)
async def provider_keys(request: Request) -> Response:
    """Those on file, without their secrets."""
    tenant = tenant_of(request)
    rows = await settings_of(request).provider_keys(tenant)
    return bare([shown_provider_key(row) for row in rows])


@router.get("/providers", **openapi.STORABLE)
async def storable_providers(request: Request) -> Response:
    """The providers whose keys can be stored: the names each goes by, what its secret is made of,
    which settings it usually takes, and whether it has no address but one of your own."""
    return reply(services_of(request).models.storable())


@router.post("/provider-key", **openapi.ADD_PROVIDER_KEY)
async def add_provider_key(request: Request) -> Response:
    """Store a provider's key; one of the same provider and name is replaced."""
    body = await read_object(request)
    byok = flag(body, "byokEnabled")
    row = await settings_of(request).add_provider_key(
        tenant_of(request),
        text(body, "providerName", required=True),
        Secret(text(body, "providerKey", required=True), text(body, "providerSecretKey")),
        name=text(body, "providerKeyName"),
        base_url=text(body, "base_url"),
        config=mapping(body, "config") or {},
        auth_type=text(body, "authType") or "key",
        byok_enabled=True if byok is None else byok,
    )
    note(request, "provider-key.add", row.id, provider=row.provider, name=row.name)
    return bare(shown_provider_key(row))


@router.get("/provider-key/{provider_key_id}", **openapi.PROVIDER_KEY)
async def provider_key(request: Request) -> Response:
    """One of them, without its secret: `provider_key` is null."""
    return bare(shown_provider_key(await known_provider_key(request, "provider_key_id")))


@router.patch("/provider-key/{provider_key_id}", **openapi.CHANGE_PROVIDER_KEY)
async def change_provider_key(request: Request) -> Response:
    """What is given is changed. Another base URL takes the stored secret out of use until it is
    entered again: it was entered for the old one."""
    row = await known_provider_key(request, "provider_key_id")
    body = await read_object(request)
    changed = await settings_of(request).edit_provider_key(
        tenant_of(request),
        row.id,
        secret=entered(body, "providerKey", "providerSecretKey"),
        name=text(body, "providerKeyName") if "providerKeyName" in body else None,
        base_url=text(body, "base_url") if "base_url" in body else None,
        config=mapping(body, "config"),
        byok_enabled=flag(body, "byokEnabled"),
    )
    fields = sorted(name for name in body if name in openapi.PROVIDER_KEY_FIELDS)
    note(request, "provider-key.change", row.id, fields=fields)
    return bare(shown_provider_key(changed))


@router.delete("/provider-key/{provider_key_id}", **openapi.PROVIDER_KEY)
async def remove_provider_key(request: Request) -> Response:
    """Take it off file, with the proxy keys that stand in for it."""
    row = await known_provider_key(request, "provider_key_id")
    removed = await settings_of(request).remove_provider_key(tenant_of(request), row.id)
    note(request, "provider-key.remove", row.id, provider=row.provider, name=row.name)
    return bare(shown_provider_key(removed))


# -- proxy keys


@router.get("/proxy-keys", **openapi.PROXY_KEYS)
async def proxy_keys(request: Request) -> Response:
    """Keys that stand in for a stored one, without their text."""
    rows = await settings_of(request).proxy_keys(tenant_of(request))
    return bare([_shown_proxy_key(row) for row in rows])


@router.post("/proxy-key", **openapi.ADD_PROXY_KEY)
async def add_proxy_key(request: Request) -> Response:
    """A key that stands in for a stored one, under `limits` (rate-limit policies)."""
    body = await read_object(request)
    given = body.get("limits")
    limits = [] if given is None else given
    if not isinstance(limits, list) or len(limits) > LIMITS_MAX:
        invalid("limits", f"expected at most {LIMITS_MAX} policies")
    if not all(isinstance(limit, str) for limit in limits):
        invalid("limits", "expected text such as 100;w=3600")
    try:
        provider_key_id = str(UUID(text(body, "providerKeyId", required=True)))
    except ValueError:
        invalid("providerKeyId", "expected a UUID")
    made, row = await settings_of(request).add_proxy_key(
        tenant_of(request), provider_key_id, text(body, "proxyKeyName", required=True), limits
    )
    note(request, "proxy-key.create", row.id, provider_key=row.provider_key_id, name=row.name)
    return bare({"proxyKeyId": row.id, "proxyKey": made})


@router.delete("/proxy-key/{proxy_key_id}", **openapi.DROP_PROXY_KEY)
async def remove_proxy_key(request: Request) -> Response:
    """Take a proxy key off file: the next call with it is refused."""
    key_id = path_uuid(request, "proxy_key_id")
    row = await settings_of(request).remove_proxy_key(tenant_of(request), key_id)
    note(request, "proxy-key.remove", row.id, name=row.name)
    return bare(_shown_proxy_key(row))


async def known_provider_key(request: Request, name: str) -> ProviderKeyRow:
    """The organisation's key of the id in the path. Raises Refusal 404, 422."""
    key_id = path_uuid(request, name)
    return await settings_of(request).provider_key(tenant_of(request), key_id)


def entered(body: dict[str, Any], key: str, second: str = "") -> Secret | None:
    """A secret that is entered anew; None where none is."""
    given = text(body, key)
    half = text(body, second) if second else ""
    if half and not given:
        invalid(key, f"is required beside {second}")
    return Secret(given, half) if given else None


def shown_provider_key(row: ProviderKeyRow) -> dict[str, Any]:
    """A provider's key under Helicone's names; its secret under none."""
    return {
        "id": row.id, "org_id": str(UUID(bytes=row.org)), "provider_name": row.provider,
        "provider_key_name": row.name, "provider_key": None, "provider_secret_key": None,
        "auth_type": row.auth_type, "byok_enabled": row.byok_enabled, "base_url": row.base_url,
        "config": json.loads(row.config or "{}"), "needs_key": row.disabled,
        "created_at": iso(row.created_at_us), "entered_at": iso(row.entered_at_us),
    }  # fmt: skip


def _shown_key(row: ApiKey) -> dict[str, Any]:
    return {
        "id": row.id, "api_key_name": row.name, "key_permissions": row.permission,
        "organization_id": row.organization_id, "rate_limited": row.limited,
        "created_at": iso(row.created_at_us), "soft_delete": False,
    }  # fmt: skip


def _shown_proxy_key(row: ProxyKeyRow) -> dict[str, Any]:
    return {
        "id": row.id, "name": row.name, "provider_key_id": row.provider_key_id,
        "limits": row.policies.split(), "created_at": iso(row.created_at_us),
    }  # fmt: skip
