"""The ring of provider keys of one region: found without waiting, loaded from the next tier, added
and taken away. What is decided with a key is in core/provider_credentials.py.

Closed: without a tier that answers `load` refuses, and nothing of ours is lent.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple

import trio

from appliance.actors.google_tokens import NO_TOKENS, GoogleTokens
from appliance.actors.provider_key_book import BookIndex, opened
from appliance.actors.provider_key_changes import KEYS_MAX, Changes, Entry, NewProxyKey
from appliance.actors.provider_key_tiers import (
    PROVIDER_KEY_TTL_S,
    State,
    Tiers,
    TierStats,
)
from appliance.core.attempts import StoredKey
from appliance.core.keys import DEFAULT_ORGANIZATION, REGION_DEFAULT
from appliance.core.provider_credentials import Found, Secret
from appliance.core.provider_key_input import RowOf
from appliance.core.proxy_keys import StandIn
from appliance.errors import Refusal
from storage.disk import Disk
from storage.provider_key_snapshot import Snapshot
from storage.provider_keys import (
    KeyBook,
    ProviderKeyRow,
    ProviderKeyStore,
    ProxyKeyRow,
    Stamp,
)
from storage.vault import Vault, VaultError

__all__ = ["PROVIDER_KEY_TTL_S", "Entry", "NewProxyKey", "ProviderKeys"]

log = logging.getLogger(__name__)

# How often SQLite is asked whether it still says the same.
CHECK_S: Final = 5.0
OPENED_MAX: Final = 20_000
PLANS_MAX: Final = 10_000

Plans = Mapping[str, Sequence[StoredKey]]


class Rotated(NamedTuple):
    """The vault's new epoch, how many secrets are sealed with its key, and how many still with an
    older one: those are left to the next check, or do not open at all."""

    epoch: int
    sealed: int
    left: int


class ProviderKeys:
    """`directory` is the region's root, `environment` the keys that the process was started with
    (`environment_secrets`): they serve the default organisation and are stored nowhere."""

    def __init__(
        self,
        directory: Path,
        vault: Vault,
        row_of: RowOf,
        *,
        environment: Mapping[str, Secret] = MappingProxyType({}),
        region: str = REGION_DEFAULT,
        check_s: float = CHECK_S,
        disk: Disk | None = None,
        clock_s: Callable[[], float] = time.monotonic,
        tokens: GoogleTokens = NO_TOKENS,
    ) -> None:
        self.environment = environment
        self.tokens = tokens
        self._region = region
        self._vault = vault
        self._vault_thread = trio.CapacityLimiter(1)
        self._check_s = check_s
        self._clock_s = clock_s
        self._changes = Changes(vault, row_of)
        self._store = ProviderKeyStore(directory / "state.sqlite")
        self._tiers = Tiers(
            self._store, Snapshot(directory, vault, disk), self._installed, clock_s=clock_s
        )
        self._index = BookIndex(KeyBook(Stamp("", 0)))
        # The memory tier: what was opened, with the time until when. Dropped with every new book.
        self._opened: dict[tuple[bytes, str, str], tuple[Found, float]] = {}
        self._plans: dict[bytes, Plans] = {}
        # Keys that do not open, by id, each with the seal that was tried.
        self._unreadable: dict[str, bytes] = {}
        self._closing = False

    # -- what requests call

    def find(self, org: bytes, provider_id: str, key_id: str = "") -> Found | None:
        """A key that was opened before; None says only that `load` has to be asked."""
        entry = self._opened.get((org, provider_id, key_id))
        return entry[0] if entry is not None and entry[1] > self._clock_s() else None

    async def load(self, org: bytes, provider_id: str, key_id: str = "") -> Found | None:
        """The key from the other tiers; None when there is none, which is remembered as well.

        Raises Refusal 503 where that cannot be said, or the key does not open.
        """
        await self._tiers.ready()
        row = self._index.choose(org, provider_id, key_id)
        if row is None:
            return None
        try:
            found = opened(self._vault, row)
        except (VaultError, ValueError) as error:
            raise self._not_opened(row, error) from None
        if len(self._opened) >= OPENED_MAX:
            del self._opened[next(iter(self._opened))]
        until_s = self._clock_s() + PROVIDER_KEY_TTL_S
        self._opened[org, provider_id, key_id] = found, until_s
        return found

    async def plan_keys(self, org: bytes) -> Plans:
        """What a gateway's plan must know of an organisation's keys, by provider: those on file,
        and the environment's for the default organisation. Raises Refusal 503."""
        await self._tiers.ready()
        plans = self._plans.get(org)
        if plans is None:
            found = self._index.plan_keys(org)
            if org == DEFAULT_ORGANIZATION:
                for provider in self.environment:
                    found.setdefault(provider, [StoredKey(provider)])
            if len(self._plans) >= PLANS_MAX:
                self._plans.clear()
            plans = self._plans[org] = found
        return plans

    async def stand_in(self, text: str) -> StandIn | None:
        """The proxy key with this text, if it is on file. Raises Refusal 503."""
        await self._tiers.ready()
        return self._index.stand_in(text)

    # -- changes; each holds for the next request

    async def add(
        self,
        org: bytes,
        provider: str,
        entry: Entry,
        *,
        name: str = "",
        base_url: str = "",
        config: Mapping[str, object] | None = None,
        auth_type: str = "key",
        byok_enabled: bool = True,
    ) -> ProviderKeyRow:
        """Store a key. One of the same provider and name is replaced, and keeps its id."""
        return await self._tiers.apply(
            lambda book: self._changes.add(
                book, org, provider, entry, name=name, base_url=base_url, config=config,
                auth_type=auth_type, byok_enabled=byok_enabled,
            )
        )  # fmt: skip

    async def rotate(self, org: bytes, key_id: str, entry: Entry) -> ProviderKeyRow:
        """Enter the secret of a key anew; this also enables one that is disabled."""
        return await self._tiers.apply(lambda book: self._changes.rotate(book, org, key_id, entry))

    async def edit(
        self,
        org: bytes,
        key_id: str,
        *,
        name: str | None = None,
        base_url: str | None = None,
        config: Mapping[str, object] | None = None,
        byok_enabled: bool | None = None,
    ) -> ProviderKeyRow:
        """Change what is given. Another base URL disables the key until it is entered again."""
        return await self._tiers.apply(
            lambda book: self._changes.edit(
                book, org, key_id, name=name, base_url=base_url, config=config,
                byok_enabled=byok_enabled,
            )
        )  # fmt: skip

    async def remove(self, org: bytes, key_id: str) -> ProviderKeyRow:
        """Take a key off file, with its proxy keys. Raises Refusal 404."""
        return await self._tiers.apply(lambda book: self._changes.remove(book, org, key_id))

    async def base_url_changed(self, provider: str, org: bytes | None = None) -> int:
        """The API has changed where a provider is reached (for one organisation, or all): its keys
        must be entered again. How many."""
        return await self._tiers.apply(lambda book: self._changes.disable(book, provider, org))

    async def list_keys(self, org: bytes) -> list[ProviderKeyRow]:
        """All keys on file, oldest first; their secrets are sealed."""
        await self._tiers.ready()
        return self._index.rows(org)

    async def add_proxy(
        self, org: bytes, key_id: str, *, name: str = "", limits: Sequence[str] = ()
    ) -> NewProxyKey:
        """Make a key that stands in for a stored one, under `limits` (rate-limit policies)."""
        return await self._tiers.apply(
            lambda book: self._changes.add_proxy(
                book, org, key_id, name=name, limits=limits, region=self._region
            )
        )

    async def remove_proxy(self, org: bytes, proxy_id: str) -> ProxyKeyRow:
        """Take a proxy key off file. Raises Refusal 404."""
        return await self._tiers.apply(lambda book: self._changes.remove_proxy(book, org, proxy_id))

    async def list_proxies(self, org: bytes) -> list[ProxyKeyRow]:
        """The proxy keys on file, without their text."""
        await self._tiers.ready()
        return list(self._index.proxies(org))

    # -- the task, and what others are shown of it

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Load, then keep the tiers alike until `close`. What is broken is asked again."""
        await self.check()
        task_status.started()
        while not self._closing:
            await self._tiers.pause(self._check_s)
            if not self._closing:
                await self.check()

    def close(self) -> None:
        """`run` returns; there is nothing to save."""
        self._closing = True
        self._tiers.wake()

    async def check(self) -> None:
        """Compare the tiers now, and seal anew what an older key of the vault has sealed."""
        await self._tiers.check()
        if self._tiers.state == "sqlite":
            await self.reseal()

    async def rotate_vault(self, master_key: str | None = None) -> Rotated:
        """A new key of the vault, and every secret sealed with it, while all of them stay in use.
        Killed half-way, the next check goes on. Raises Refusal."""
        try:
            epoch = await trio.to_thread.run_sync(
                self._vault.rotate, master_key, limiter=self._vault_thread
            )
        except VaultError as error:
            raise Refusal(409, "vault_refused", str(error)) from None
        except OSError as error:
            raise Refusal(503, "vault_failed", f"The vault was not changed: {error}") from None
        await self._tiers.check()
        await self.reseal()
        book = self._tiers.book
        rows = [row for row in book.keys if not row.disabled] if book is not None else []
        left = sum(row.key_epoch < epoch for row in rows)
        return Rotated(epoch, len(rows) - left, left)

    async def reseal(self) -> int:
        """Seal every secret with the vault's newest key, while all of them stay in use. How many
        were looked at; what cannot be stored now is left to the next check."""
        total = 0
        while (book := self._tiers.book) is not None:
            rows = self._changes.sealed_before(book, self._unreadable)
            if not rows or total >= KEYS_MAX:
                break
            try:
                broken = await self._tiers.apply(partial(self._changes.reseal, rows))
            except Refusal:
                break
            self._unreadable.update(broken)
            total += len(rows)
        return total

    @property
    def inbox(self) -> int:
        """Nothing waits here: whoever changes something waits for it."""
        return 0

    @property
    def state(self) -> State:
        """Which tier answers."""
        return self._tiers.state

    @property
    def stats(self) -> TierStats:
        """Counts since the start."""
        return self._tiers.stats

    @property
    def trouble(self) -> str:
        """What /healthcheck says, or "". No names of keys, no secrets."""
        found = [self._tiers.sqlite_trouble, self._tiers.snapshot_trouble]
        if self._unreadable:
            found.append(f"{len(self._unreadable)} keys do not open: enter them again")
        return "; ".join(filter(None, found))

    def __len__(self) -> int:
        book = self._tiers.book
        return len(book.keys) if book is not None else 0

    def lend_from(self, environment: Mapping[str, Secret]) -> None:
        """The environment's keys are these from now on: providers have changed."""
        self.environment = environment
        self._plans = {}

    def _installed(self, book: KeyBook) -> None:
        """Versioned invalidation: what was opened belongs to the book before."""
        self._index = BookIndex(book)
        self._opened = {}
        self._plans = {}
        if self._unreadable:
            seals = {row.id: row.sealed for row in book.keys}
            known = self._unreadable.items()
            self._unreadable = {one: tried for one, tried in known if seals.get(one) == tried}

    def _not_opened(self, row: ProviderKeyRow, error: Exception) -> Refusal:
        if row.id not in self._unreadable:
            self._unreadable[row.id] = row.sealed
            log.warning("provider key %s of %s: %s", row.id, row.provider, error)
        return Refusal(
            503, "provider_key_unreadable",
            f"The stored key {row.id} of {row.provider} does not open. Enter it again: "
            f"helicone-appliance provider-keys rotate {row.id}",
        )  # fmt: skip
