"""What the endpoints about settings ask of the process: the same acts as the commands do, so that
every change holds from the next request on. Each is about one organisation; ids of another's are
unknown. Raise Refusal.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from storage.provider_keys import ProviderKeyRow, ProxyKeyRow
from storage.rate_policies import RatePolicyRow
from storage.state import ApiKey


class Tenant(NamedTuple):
    """An organisation in its region."""

    region: str
    org: bytes


class Secret(NamedTuple):
    """A provider's key as somebody enters it: the second half is AWS's."""

    key: str
    second: str = ""

    def __repr__(self) -> str:
        return "Secret(***)"


class Settings(Protocol):
    """Keys, providers' keys and rate limits."""

    def retention(self) -> tuple[int | None, int | None, bool]:
        """Days and bytes for which records are kept, None without a bound; and whether copies in
        datasets go with them."""

    def erase_soon(self, region: str) -> None:
        """A deletion was put down: it is carried out now."""

    # -- API keys

    async def api_keys(self, tenant: Tenant) -> list[ApiKey]:
        """Those in use, oldest first."""

    async def create_api_key(
        self, tenant: Tenant, name: str, permission: str, *, limited: bool
    ) -> tuple[str, ApiKey]:
        """A new key, and its text, which is known this once."""

    async def rename_api_key(self, tenant: Tenant, key_id: str, name: str) -> ApiKey:
        """Call it something else. Refusal 404."""

    async def revoke_api_key(self, tenant: Tenant, key_id: str) -> ApiKey:
        """Refused from the next request on. Refusal 404."""

    # -- rate limits

    async def limits(self, tenant: Tenant) -> list[RatePolicyRow]:
        """Stored policies, oldest first."""

    async def put_limit(
        self, tenant: Tenant, policy: str, name: str, policy_id: str = ""
    ) -> RatePolicyRow:
        """Store a policy; in the place of the one of this id, where one is named. Refusal 404 for
        an id that is unknown, 409 where another one counts the same already, 422 for what is no
        policy."""

    async def drop_limit(self, tenant: Tenant, policy_id: str) -> RatePolicyRow:
        """Refusal 404."""

    # -- providers' keys and proxy keys; nothing here gives a secret back

    async def provider_keys(self, tenant: Tenant) -> list[ProviderKeyRow]:
        """All on file, their secrets sealed."""

    async def provider_key(self, tenant: Tenant, key_id: str) -> ProviderKeyRow:
        """One of them. Refusal 404."""

    async def add_provider_key(
        self, tenant: Tenant, provider: str, secret: Secret, *, name: str, base_url: str,
        config: Mapping[str, object], auth_type: str, byok_enabled: bool,
    ) -> ProviderKeyRow:  # fmt: skip
        """Store one; one of the same provider and name is replaced."""

    async def edit_provider_key(
        self, tenant: Tenant, key_id: str, *, secret: Secret | None, name: str | None,
        base_url: str | None, config: Mapping[str, object] | None, byok_enabled: bool | None,
    ) -> ProviderKeyRow:  # fmt: skip
        """What is given is changed. Another base URL disables the key, unless the secret is
        entered with it."""

    async def remove_provider_key(self, tenant: Tenant, key_id: str) -> ProviderKeyRow:
        """With its proxy keys."""

    async def add_proxy_key(
        self, tenant: Tenant, key_id: str, name: str, limits: Sequence[str]
    ) -> tuple[str, ProxyKeyRow]:
        """A key that stands in for a stored one, and its text."""

    async def proxy_keys(self, tenant: Tenant) -> list[ProxyKeyRow]:
        """Those on file."""

    async def remove_proxy_key(self, tenant: Tenant, key_id: str) -> ProxyKeyRow:
        """Refusal 404."""
