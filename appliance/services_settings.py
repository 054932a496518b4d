"""Settings of one organisation, changed through the rings that requests ask: what was changed holds
for the next one. The rules are those of the commands.
"""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from appliance.actors.provider_key_changes import Entry
from appliance.api.services_settings import Secret, Tenant
from appliance.commands_limits import set_limit
from appliance.commands_orgs import check_name
from appliance.core.keys import generate_key, hash_key
from appliance.core.rate_policy import PolicyInvalid, parse_policy
from appliance.errors import Refusal
from storage.rate_policies import RatePolicyRow, drop_policy, put_policy
from storage.state import State, now_us

if TYPE_CHECKING:
    from appliance.actors.key_rings import KeyRings
    from appliance.actors.provider_keys import ProviderKeys
    from storage.provider_keys import ProviderKeyRow, ProxyKeyRow
    from storage.state import ApiKey

KEYS_PER_ORGANIZATION_MAX = 1000


@dataclass(frozen=True, slots=True)
class SettingsOf:
    """All settings of one server."""

    rings: KeyRings
    keys: Mapping[str, ProviderKeys]
    retention_days: int | None = None
    retention_bytes: int | None = None
    retention_datasets: bool = True
    erase: Callable[[str], None] = lambda region: None

    def retention(self) -> tuple[int | None, int | None, bool]:
        """As the configuration says."""
        return self.retention_days, self.retention_bytes, self.retention_datasets

    def erase_soon(self, region: str) -> None:
        """Wake who does it."""
        self.erase(region)

    # -- API keys

    async def api_keys(self, tenant: Tenant) -> list[ApiKey]:
        """Those in use."""
        org = _org(tenant)
        return await self.rings.by_region[tenant.region].ask(lambda state: _keys_of(state, org))

    async def create_api_key(
        self, tenant: Tenant, name: str, permission: str, *, limited: bool
    ) -> tuple[str, ApiKey]:
        """A new key. Only its hash is kept."""
        name = check_name({"name": name})
        key = generate_key(write_only=permission == "w", region=tenant.region, limited=limited)

        def work(state: State) -> ApiKey:
            if len(_keys_of(state, _org(tenant))) >= KEYS_PER_ORGANIZATION_MAX:
                raise Refusal(
                    409, "keys_full",
                    f"At most {KEYS_PER_ORGANIZATION_MAX} keys are kept: revoke one first.",
                )  # fmt: skip
            return state.add_api_key(
                name, hash_key(key), organization_id=_org(tenant), permission=permission,
                region=tenant.region, limited=limited,
            )  # fmt: skip

        return key, await self.rings.by_region[tenant.region].change(work)

    async def rename_api_key(self, tenant: Tenant, key_id: str, name: str) -> ApiKey:
        """Call it something else."""
        name = check_name({"name": name})

        def work(state: State) -> ApiKey | None:
            _known_key(state, tenant, key_id)
            return state.rename_api_key(key_id, name)

        return _there(await self.rings.by_region[tenant.region].change(work))

    async def revoke_api_key(self, tenant: Tenant, key_id: str) -> ApiKey:
        """Take it out of use."""

        def work(state: State) -> ApiKey | None:
            _known_key(state, tenant, key_id)
            return state.revoke_api_key(key_id)

        return _there(await self.rings.by_region[tenant.region].change(work))

    # -- rate limits

    async def limits(self, tenant: Tenant) -> list[RatePolicyRow]:
        """Stored policies."""
        org = _org(tenant)
        return await self.rings.by_region[tenant.region].ask(
            lambda state: [row for row in state.rate_policies() if row.organization_id == org]
        )

    async def put_limit(
        self, tenant: Tenant, policy: str, name: str, policy_id: str = ""
    ) -> RatePolicyRow:
        """Counted as `limits set` does, and never in the place of another one without a word."""
        org, called = _org(tenant), check_name({"name": name})
        try:
            wanted = parse_policy(policy)
        except PolicyInvalid as error:
            raise Refusal(422, "policy_invalid", error.message) from None

        def work(state: State) -> RatePolicyRow:
            theirs = [row for row in state.rate_policies() if row.organization_id == org]
            before = _known_limit(theirs, policy_id) if policy_id else None
            for row in theirs:
                same = (row.segment, row.unit) == (wanted.segment, wanted.unit)
                if same and row.id != policy_id:
                    raise Refusal(
                        409, "limit_known",
                        f"The policy {row.policy} counts the same already: change that one.",
                    )  # fmt: skip
            if before is None:
                made = set_limit(state, {"org": org, "policy": policy})
                before = _known_limit(state.rate_policies(), made["id"])
                changed_us = None
            else:
                changed_us = now_us()
            fresh = replace(
                before, segment=wanted.segment, unit=wanted.unit, policy=wanted.text.decode(),
                name=called, updated_at_us=changed_us,
            )  # fmt: skip
            return state.write(lambda connection: _replaced(connection, fresh))

        return await self.rings.by_region[tenant.region].change(work)

    async def drop_limit(self, tenant: Tenant, policy_id: str) -> RatePolicyRow:
        """Gone from the next request on."""
        org = _org(tenant)

        def work(state: State) -> RatePolicyRow:
            theirs = [row for row in state.rate_policies() if row.organization_id == org]
            row = _known_limit(theirs, policy_id)
            state.drop_rate_policy(row.id)
            return row

        return await self.rings.by_region[tenant.region].change(work)

    # -- providers' keys

    async def provider_keys(self, tenant: Tenant) -> list[ProviderKeyRow]:
        """All on file."""
        return await self.keys[tenant.region].list_keys(tenant.org)

    async def provider_key(self, tenant: Tenant, key_id: str) -> ProviderKeyRow:
        """One of them."""
        for row in await self.provider_keys(tenant):
            if row.id == key_id:
                return row
        raise Refusal(
            404, "provider_key_unknown", "The organisation has no provider key of this id."
        )

    async def add_provider_key(
        self,
        tenant: Tenant,
        provider: str,
        secret: Secret,
        *,
        name: str,
        base_url: str,
        config: Mapping[str, object],
        auth_type: str,
        byok_enabled: bool,
    ) -> ProviderKeyRow:
        """Store one."""
        return await self.keys[tenant.region].add(
            tenant.org, provider, Entry(secret.key, secret.second), name=name, base_url=base_url,
            config=config, auth_type=auth_type, byok_enabled=byok_enabled,
        )  # fmt: skip

    async def edit_provider_key(
        self,
        tenant: Tenant,
        key_id: str,
        *,
        secret: Secret | None,
        name: str | None,
        base_url: str | None,
        config: Mapping[str, object] | None,
        byok_enabled: bool | None,
    ) -> ProviderKeyRow:
        """The place first, then the secret for it: in between the key is disabled at most."""
        ring = self.keys[tenant.region]
        row = await ring.edit(
            tenant.org, key_id, name=name, base_url=base_url, config=config,
            byok_enabled=byok_enabled,
        )  # fmt: skip
        if secret is not None:
            row = await ring.rotate(tenant.org, key_id, Entry(secret.key, secret.second))
        return row

    async def remove_provider_key(self, tenant: Tenant, key_id: str) -> ProviderKeyRow:
        """With its proxy keys."""
        return await self.keys[tenant.region].remove(tenant.org, key_id)

    async def add_proxy_key(
        self, tenant: Tenant, key_id: str, name: str, limits: Sequence[str]
    ) -> tuple[str, ProxyKeyRow]:
        """A key that stands in for a stored one."""
        made = await self.keys[tenant.region].add_proxy(
            tenant.org, key_id, name=name, limits=limits
        )
        return made.key, made.row

    async def proxy_keys(self, tenant: Tenant) -> list[ProxyKeyRow]:
        """Those on file."""
        return await self.keys[tenant.region].list_proxies(tenant.org)

    async def remove_proxy_key(self, tenant: Tenant, key_id: str) -> ProxyKeyRow:
        """Take it off file."""
        return await self.keys[tenant.region].remove_proxy(tenant.org, key_id)


def _replaced(connection: sqlite3.Connection, row: RatePolicyRow) -> RatePolicyRow:
    drop_policy(connection, row.id)
    return put_policy(connection, row)


def _org(tenant: Tenant) -> str:
    return str(uuid.UUID(bytes=tenant.org))


def _keys_of(state: State, org: str) -> list[ApiKey]:
    return [row for row in state.api_keys() if row.organization_id == org]


def _known_key(state: State, tenant: Tenant, key_id: str) -> ApiKey:
    found = [row for row in _keys_of(state, _org(tenant)) if row.id == key_id]
    return _there(found[0] if found else None)


def _there(row: ApiKey | None) -> ApiKey:
    if row is None:
        raise Refusal(404, "unknown_key", "The organisation has no key of this id in use.")
    return row


def _known_limit(rows: Sequence[RatePolicyRow], policy_id: str) -> RatePolicyRow:
    for row in rows:
        if row.id == policy_id:
            return row
    raise Refusal(404, "limit_unknown", "The organisation has no stored rate limit of this id.")
