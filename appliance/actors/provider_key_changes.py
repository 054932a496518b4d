"""What may be changed about provider keys, checked: each function makes a Change from the newest
book. The tiers carry it out. Raises Refusal; no message names a secret.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Final, NamedTuple, cast

from appliance.actors.provider_key_book import seal, settings_of, unseal
from appliance.actors.provider_key_tiers import Change
from appliance.core.keys import REGION_DEFAULT, hash_key
from appliance.core.provider_credentials import AuthType, ProviderRow
from appliance.core.provider_key_input import (
    RowOf,
    check_name,
    check_secret,
    check_settings,
    provider_of,
)
from appliance.core.proxy_keys import generate_proxy_key, limits_of
from appliance.errors import Refusal
from storage.provider_keys import KeyBook, ProviderKeyRow, ProviderKeyStore, ProxyKeyRow, with_seal
from storage.state import now_us
from storage.vault import Vault, VaultError

KEYS_MAX: Final = 10_000
KEYS_PER_ORGANIZATION_MAX: Final = 200
# Sealed anew in one transaction, after the vault's key was rotated.
RESEAL_ROWS: Final = 200
AUTH_TYPES: Final = ("key", "session_token")
PLACES: Final = ("baseUri", "resourceName")


@dataclass(frozen=True, slots=True)
class Entry:
    """A secret as somebody enters it."""

    key: str = field(repr=False)
    second: str = field(default="", repr=False)
    session: str = field(default="", repr=False)


class NewProxyKey(NamedTuple):
    """A proxy key just made; its text is shown this once."""

    key: str
    row: ProxyKeyRow

    def __repr__(self) -> str:
        return f"NewProxyKey(***, {self.row!r})"


@dataclass(frozen=True, slots=True)
class Changes:
    """Makes changes for one region. `row_of` finds a provider by id or alias."""

    vault: Vault
    row_of: RowOf

    def add(
        self,
        book: KeyBook,
        org: bytes,
        provider: str,
        entry: Entry,
        *,
        name: str = "",
        base_url: str = "",
        config: Mapping[str, object] | None = None,
        auth_type: str = "key",
        byok_enabled: bool = True,
    ) -> Change[ProviderKeyRow]:
        """A new key; under the name of one that is there it replaces that one, in its row."""
        found = provider_of(provider, self.row_of)
        called = check_name(name) or found.id
        settings = check_settings(found, config or {}, base_url)
        at_us = now_us()
        known = next(
            (
                row
                for row in book.keys
                if (row.org, row.provider, row.name) == (org, found.id, called)
            ),
            None,
        )
        if known is None:
            _check_room(book, org)
        row = ProviderKeyRow(
            org=org,
            provider=found.id,
            name=called,
            auth_type=_auth_type(auth_type),
            byok_enabled=byok_enabled,
            base_url=settings.base_url,
            config=json.dumps(settings.values),
            key_epoch=0,
            sealed=b"",
            created_at_us=known.created_at_us if known is not None else at_us,
            entered_at_us=at_us,
            id=known.id if known is not None else str(uuid.uuid4()),
        )
        return _put(self._sealed(found, row, entry), takes_away=known is not None)

    def rotate(
        self, book: KeyBook, org: bytes, key_id: str, entry: Entry
    ) -> Change[ProviderKeyRow]:
        """The secret entered anew, for the base URL that the key has now."""
        row = replace(_known(book, org, key_id), entered_at_us=now_us())
        return _put(self._sealed(provider_of(row.provider, self.row_of), row, entry))

    def edit(
        self,
        book: KeyBook,
        org: bytes,
        key_id: str,
        *,
        name: str | None = None,
        base_url: str | None = None,
        config: Mapping[str, object] | None = None,
        byok_enabled: bool | None = None,
    ) -> Change[ProviderKeyRow]:
        """What is given is changed. Another base URL overwrites the secret: it was entered for the
        old one, and works again when it is entered again."""
        row = _known(book, org, key_id)
        found = provider_of(row.provider, self.row_of)
        where = row.base_url if base_url is None else base_url
        if base_url is None and config is not None and any(place in config for place in PLACES):
            where = ""
        given = _settings(row) if config is None else config
        if base_url == "" and config is None:
            given = {key: value for key, value in given.items() if key not in PLACES}
        settings = check_settings(found, given, where)
        row = replace(
            row,
            name=row.name if name is None else check_name(name) or found.id,
            byok_enabled=row.byok_enabled if byok_enabled is None else byok_enabled,
            config=json.dumps(settings.values),
            base_url=settings.base_url,
            sealed=row.sealed if settings.base_url == row.base_url else b"",
        )
        return _put(row)

    def remove(self, book: KeyBook, org: bytes, key_id: str) -> Change[ProviderKeyRow]:
        """Gone, with the proxy keys that stand in for it."""
        row = _known(book, org, key_id)
        return Change(row, lambda store: store.drop(row.id), takes_away=True)

    def disable(self, book: KeyBook, provider: str, org: bytes | None) -> Change[int]:
        """The base URL of a provider was changed through the API: keys that go wherever the
        provider's row says must be entered again."""
        ids = [
            row.id
            for row in book.keys
            if row.provider == provider
            and org in (None, row.org)
            and not row.base_url
            and not row.disabled
        ]
        return Change(len(ids), lambda store: store.empty(ids), takes_away=True)

    def add_proxy(
        self,
        book: KeyBook,
        org: bytes,
        key_id: str,
        *,
        name: str,
        limits: Sequence[str],
        region: str = REGION_DEFAULT,
    ) -> Change[NewProxyKey]:
        """A key that stands in for a stored one, under limits."""
        behind = _known(book, org, key_id)
        if sum(row.org == org for row in book.proxies) >= KEYS_PER_ORGANIZATION_MAX:
            raise _too_many(f"{KEYS_PER_ORGANIZATION_MAX} proxy keys an organisation")
        if len(book.proxies) >= KEYS_MAX:
            raise _too_many(f"{KEYS_MAX} proxy keys a region")
        proxy_id = str(uuid.uuid4())
        text = generate_proxy_key(proxy_id, region=region)
        policies = "\n".join(policy.text.decode() for policy in limits_of(limits))
        row = ProxyKeyRow(
            org, behind.id, check_name(name), hash_key(text), policies, now_us(), proxy_id
        )
        return Change(NewProxyKey(text, row), lambda store: store.put_proxy(row))

    def remove_proxy(self, book: KeyBook, org: bytes, proxy_id: str) -> Change[ProxyKeyRow]:
        """It stands for nothing any more."""
        for row in book.proxies:
            if row.id == proxy_id and row.org == org:
                return Change(row, lambda store: store.drop_proxy(proxy_id), takes_away=True)
        raise Refusal(404, "proxy_key_unknown", "There is no proxy key of this id.")

    def sealed_before(self, book: KeyBook, without: Container[str]) -> list[ProviderKeyRow]:
        """Some of the keys whose seal is of an older epoch than the vault's."""
        epoch = self.vault.epoch
        rows = (row for row in book.keys if row.key_epoch < epoch and not row.disabled)
        return list(islice((row for row in rows if row.id not in without), RESEAL_ROWS))

    def reseal(self, rows: Sequence[ProviderKeyRow], _book: KeyBook) -> Change[dict[str, bytes]]:
        """Seal keys anew, in the thread that stores them. The result: those that do not open,
        by id."""
        broken: dict[str, bytes] = {}

        def write(store: ProviderKeyStore) -> KeyBook:
            fresh = []
            for row in rows:
                try:
                    fresh.append(with_seal(row, *seal(self.vault, row, unseal(self.vault, row))))
                except VaultError:
                    broken[row.id] = row.sealed
            old = [row.sealed for row in rows if row.id not in broken]
            return store.put_all(fresh, instead_of=old)

        return Change(broken, write)

    def _sealed(self, found: ProviderRow, row: ProviderKeyRow, entry: Entry) -> ProviderKeyRow:
        secret = check_secret(found, entry.key, entry.second, entry.session)
        return with_seal(row, *seal(self.vault, row, secret))


def _put(row: ProviderKeyRow, *, takes_away: bool = True) -> Change[ProviderKeyRow]:
    return Change(row, lambda store: store.put(row), takes_away=takes_away)


def _known(book: KeyBook, org: bytes, key_id: str) -> ProviderKeyRow:
    for row in book.keys:
        if row.id == key_id and row.org == org:
            return row
    raise Refusal(
        404, "provider_key_unknown",
        "There is no provider key of this id; helicone-appliance provider-keys list shows them.",
    )  # fmt: skip


def _settings(row: ProviderKeyRow) -> Mapping[str, object]:
    try:
        return settings_of(row)
    except ValueError:
        raise Refusal(
            409, "config_invalid", "config: what is stored is damaged, give it anew."
        ) from None


def _check_room(book: KeyBook, org: bytes) -> None:
    if sum(row.org == org for row in book.keys) >= KEYS_PER_ORGANIZATION_MAX:
        raise _too_many(f"{KEYS_PER_ORGANIZATION_MAX} keys an organisation")
    if len(book.keys) >= KEYS_MAX:
        raise _too_many(f"{KEYS_MAX} keys a region")


def _too_many(what: str) -> Refusal:
    return Refusal(409, "provider_keys_full", f"At most {what} are kept: remove one first.")


def _auth_type(text: str) -> AuthType:
    if text not in AUTH_TYPES:
        raise Refusal(400, "auth_type_invalid", f"auth type: one of {', '.join(AUTH_TYPES)}.")
    return cast(AuthType, text)
