"""A book of provider keys made ready for requests: found by organisation, provider and id, opened
with the vault when first asked for. Plain calls; knows nothing of files.
"""

import json
from collections.abc import Iterator
from typing import Final, cast

from appliance.core.attempts import StoredKey
from appliance.core.keys import hash_key
from appliance.core.provider_credentials import AuthType, Found, Secret, pack_secret, unpack_secret
from appliance.core.proxy_keys import StandIn, limits_of
from storage.provider_keys import KeyBook, ProviderKeyRow, ProxyKeyRow
from storage.vault import Vault

MODEL: Final = "heliconeModelId"
PURPOSE: Final = b"provider key"


def sealing_data(org: bytes, key_id: str, provider: str, base_url: str) -> bytes:
    """What a secret is sealed for: moved to another organisation, row, provider or address, it
    does not open."""
    parts = (org, key_id.encode(), provider.encode(), base_url.encode())
    return PURPOSE + b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def seal(vault: Vault, row: ProviderKeyRow, secret: Secret) -> tuple[bytes, int]:
    """The secret for this row, and the epoch of the key that it is sealed with at least."""
    epoch = vault.epoch
    data = sealing_data(row.org, row.id, row.provider, row.base_url)
    return vault.seal(pack_secret(secret), data), epoch


def unseal(vault: Vault, row: ProviderKeyRow) -> Secret:
    """Raises VaultError."""
    data = sealing_data(row.org, row.id, row.provider, row.base_url)
    return unpack_secret(vault.open_sealed(row.sealed, data))


def opened(vault: Vault, row: ProviderKeyRow) -> Found:
    """Raises VaultError."""
    return Found(
        key_id=row.id,
        provider=row.provider,
        name=row.name,
        secret=None if row.disabled else unseal(vault, row),
        auth_type=cast(AuthType, row.auth_type),
        base_url=row.base_url,
        model=model_of(row),
        config=settings_of(row),
    )


def settings_of(row: ProviderKeyRow) -> dict[str, str]:
    """The settings of a key. Raises ValueError where the file has been damaged."""
    found = json.loads(row.config)
    if not isinstance(found, dict) or not all(isinstance(one, str) for one in found.values()):
        raise ValueError("its settings are damaged")
    return found


def model_of(row: ProviderKeyRow) -> str:
    """The one model that a key is for, or ""; of damaged settings what no model is called."""
    if MODEL not in row.config:
        return ""
    try:
        return settings_of(row).get(MODEL, "")
    except ValueError:
        return row.config


class BookIndex:
    """One book. Absence is an answer too: what is not in it is nowhere."""

    def __init__(self, book: KeyBook) -> None:
        self._by_id = {row.id: row for row in book.keys}
        self._by_org: dict[bytes, list[ProviderKeyRow]] = {}
        for row in book.keys:
            rows = self._by_org.get(row.org)
            if rows is None:
                self._by_org[row.org] = [row]
            else:
                rows.append(row)
        self._proxies = {row.key_hash: row for row in book.proxies}
        self._stand_ins: dict[str, StandIn] = {}

    def row(self, org: bytes, key_id: str) -> ProviderKeyRow | None:
        """A key of this organisation, by its id."""
        row = self._by_id.get(key_id)
        return row if row is not None and row.org == org else None

    def rows(self, org: bytes) -> list[ProviderKeyRow]:
        """All keys of an organisation, oldest first."""
        return list(self._by_org.get(org, ()))

    def choose(self, org: bytes, provider: str, key_id: str = "") -> ProviderKeyRow | None:
        """The key with this id, which must be the provider's; else the oldest that is for every
        model, one that has to be entered again only where there is no other."""
        if key_id:
            row = self.row(org, key_id)
            usable = row is not None and row.provider == provider and row.byok_enabled
            return row if usable else None
        rows = [
            row
            for row in self._by_org.get(org, ())
            if row.provider == provider and row.byok_enabled and not model_of(row)
        ]
        return next((row for row in rows if not row.disabled), rows[0] if rows else None)

    def plan_keys(self, org: bytes) -> dict[str, list[StoredKey]]:
        """What a gateway's plan is made from: keys by provider, without secrets."""
        found: dict[str, list[StoredKey]] = {}
        for row in self._by_org.get(org, ()):
            if not row.disabled:
                key = StoredKey(row.provider, row.id, row.byok_enabled, model_of(row))
                found.setdefault(row.provider, []).append(key)
        return found

    def stand_in(self, text: str) -> StandIn | None:
        """The proxy key with this text."""
        hashed = hash_key(text)
        known = self._stand_ins.get(hashed)
        if known is not None:
            return known
        proxy = self._proxies.get(hashed)
        row = self.row(proxy.org, proxy.provider_key_id) if proxy is not None else None
        if proxy is None or row is None:
            return None
        policies = limits_of(filter(None, proxy.policies.split("\n")))
        found = StandIn(proxy.org, proxy.id, row.id, row.provider, policies)
        self._stand_ins[hashed] = found
        return found

    def proxies(self, org: bytes) -> Iterator[ProxyKeyRow]:
        """The proxy keys of an organisation."""
        return (row for row in self._proxies.values() if row.org == org)
