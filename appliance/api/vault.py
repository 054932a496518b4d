"""The older API of providers' keys (`/v1/vault/…`): the same keys as `/v1/api-keys/provider-keys`,
and as little of a secret.
"""

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from appliance.api import openapi_settings as openapi
from appliance.api.api_keys import entered, known_provider_key
from appliance.api.audited import note
from appliance.api.incoming import flag, invalid, read_object
from appliance.api.reply import reply
from appliance.api.services_settings import Secret
from appliance.api.tenant import settings_of, tenant_of, text
from storage.provider_keys import ProviderKeyRow

router = APIRouter(prefix="/v1/vault", tags=["keys"], default_response_class=Response)


@router.post("/add", **openapi.VAULT_ADD)
async def add(request: Request) -> Response:
    """Store a provider's key."""
    body = await read_object(request)
    row = await settings_of(request).add_provider_key(
        tenant_of(request),
        text(body, "provider", required=True),
        Secret(text(body, "key", required=True)),
        name=text(body, "name"),
        base_url="",
        config={},
        auth_type="key",
        byok_enabled=True,
    )
    note(request, "provider-key.add", row.id, provider=row.provider, name=row.name)
    return reply({"id": row.id})


@router.get("/keys", **openapi.VAULT_KEYS)
async def keys(request: Request) -> Response:
    """Those on file; Helicone's answer has their secrets, this one has null."""
    rows = await settings_of(request).provider_keys(tenant_of(request))
    return reply([_shown(row) for row in rows])


@router.get("/key/{provider_key_id}", **openapi.VAULT_KEY)
async def key(request: Request) -> Response:
    """One of them."""
    return reply(_shown(await known_provider_key(request, "provider_key_id")))


@router.patch("/update/{provider_key_id}", **openapi.VAULT_UPDATE)
async def update(request: Request) -> Response:
    """Another secret, or another name."""
    row = await known_provider_key(request, "provider_key_id")
    body = await read_object(request)
    if flag(body, "active") is False:
        invalid("active", "a key is taken out of use by DELETE /v1/api-keys/provider-key/{id}")
    await settings_of(request).edit_provider_key(
        tenant_of(request), row.id, secret=entered(body, "key"),
        name=text(body, "name") if "name" in body else None, base_url=None, config=None,
        byok_enabled=None,
    )  # fmt: skip
    fields = sorted(name for name in body if name in ("key", "name", "active"))
    note(request, "provider-key.change", row.id, fields=fields)
    return reply(None)


def _shown(row: ProviderKeyRow) -> dict[str, Any]:
    return {
        "id": row.id, "provider_key": None, "provider_name": row.provider,
        "provider_key_name": row.name,
    }  # fmt: skip
