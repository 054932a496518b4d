"""A data directory without a server: locked, caught up with its journal, asked, closed. Blocking.

After a `kill -9` the answer is complete without a restart of the server: the journal's tail is
ingested first. On a read-only medium the tail is derived into memory and nothing is written.
"""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import trio

from appliance import assembly, commands_datasets, repricing
from appliance.actors.catch_up import CaughtUp, catch_up
from appliance.actors.frame_rows import FrameDeriver
from appliance.actors.provider_keys import ProviderKeys
from appliance.actors.rate_limiter import FILE_NAME as RATE_LIMITS
from appliance.actors.rate_limiter import RateLimiter
from appliance.actors.region import DELETION_PURPOSE, LIMITS_PURPOSE
from appliance.actors.spill import blob_parts
from appliance.actors.wallet import Wallet
from appliance.actors.wallet_desk import WalletDesk
from appliance.commands_import import take_records
from appliance.commands_limits import explain_limit, policies_in, subject_of
from appliance.commands_orgs import organization_id
from appliance.commands_provider_keys import RING_COMMANDS, org_bytes
from appliance.commands_vault import rotate_vault
from appliance.commands_wallet import WALLET_COMMANDS
from appliance.config import Config
from appliance.errors import Refusal
from appliance.maintenance import report_value
from appliance.offline_query import OfflineQuery
from appliance.providers.price_eras import DeriveByEra
from storage import price_eras
from storage.analytics import Analytics, AnalyticsFailed
from storage.analytics_failure import set_aside
from storage.blobs import Blobs
from storage.directory import Root
from storage.frames import Part, Position, unpack
from storage.journal import Journal
from storage.lake import Lake
from storage.ledger import LedgerStore
from storage.price_eras import Era
from storage.query import QueryFailed
from storage.state import State
from storage.vault import Vault
from storage.verify import rebuild, verify

WAIT_S = 10.0


class ServerFound(Exception):  # noqa: N818 - it is an answer
    """Whoever held the directory is a server, and answers now."""


class Offline:
    """An open root. The analytics are opened when first asked for, the state too."""

    def __init__(self, config: Config, region: str, *, read_only: bool) -> None:
        self._config = config
        self._region = region
        directory = self._directory = config.root(region)
        self._read_only = read_only
        self._vault = Vault.open(directory, config.master_key)
        self._keys = self._vault.segment_keys
        self._deletion_key = self._vault.stable_key(DELETION_PURPOSE)
        self._blobs = Blobs(directory, self._keys)
        self._analytics: Analytics | None = None
        self._state: State | None = None

    @property
    def directory(self) -> Path:
        """Of the region."""
        return self._directory

    @property
    def state(self) -> State:
        """The state store."""
        if self._state is None:
            self._state = State.open(self._directory / "state.sqlite", region=self._region)
        return self._state

    def _lake(self) -> Lake:
        return Lake.open(
            self._directory,
            keys=self._keys,
            deletion_key=self._deletion_key,
            read_only=self._read_only,
        )

    def _open(self, path: Path | None, lake: Lake) -> Analytics:
        spills = path is not None and not self._read_only
        return Analytics.open(
            path,
            memory_bytes_max=self._config.memory.duckdb,
            threads=2,
            lake=lake.view,
            read_only=self._read_only,
            temporary=self._directory / "tmp" if spills else None,
            deletion_key=self._deletion_key,
        )

    @property
    def analytics(self) -> Analytics:
        """The database, caught up with the journal. A damaged one is set aside and made anew."""
        if self._analytics is None:
            path = None if self._keys is not None else self._directory / "analytics.duckdb"
            try:
                self._analytics = self._caught_up(path)
            except AnalyticsFailed as error:
                if path is None or not error.damaged:
                    raise
                self._analytics = self._made_anew(path)
        return self._analytics

    def _made_anew(self, path: Path) -> Analytics:
        """From lake and journal: where nothing can be written, in memory."""
        if self._read_only:
            return self._caught_up(None)
        set_aside(path, self._directory / "quarantine")
        return self._caught_up(path)

    def _caught_up(self, path: Path | None) -> Analytics:
        analytics = self._open(path, self._lake())
        try:
            deriver = FrameDeriver(self._derive(), self._read_parts)
            catch_up(
                analytics, self._directory, deriver, keys=self._keys, read_only=self._read_only
            )
        except BaseException:
            analytics.close()
            raise
        return analytics

    def _derive(self) -> DeriveByEra:
        """As a server would: what was recorded keeps the prices of its time."""
        known = price_eras.read(self._directory)
        first = Era(Position(0, 0), 0, assembly.price_rows(self._config))
        return DeriveByEra(price_eras.as_job(known or [first])["eras"])

    def _read_parts(self, parts: list[Part]) -> bytes:
        return unpack(parts, self._blobs.read)

    def query(self, sql: str) -> OfflineQuery:
        """A reading query. Raises QueryFailed."""
        analytics = self.analytics
        query = OfflineQuery(analytics.query(sql))
        try:
            _ = query.columns  # runs it: only then its blocks are read
        except QueryFailed:
            query.close()
            if not analytics.damaged:
                raise
            analytics.close()
            self._analytics = self._made_anew(self._directory / "analytics.duckdb")
            return OfflineQuery(self._analytics.query(sql))
        return query

    def run(self, command: str, arguments: dict[str, Any], progress: Callable[..., None]) -> object:
        """`verify`, `rebuild`, provider keys. Raises Refusal for what needs a server."""
        if command == "verify":
            return self._verify(lambda frames: progress({"done": frames}))
        if command == "rebuild":
            return self._rebuild(lambda frames: progress({"done": frames}))
        if command == "import":
            return _in_trio(self._import, arguments)
        if command in (repricing.COMMAND, repricing.DRY):
            return _in_trio(self._reprice, arguments, progress, command == repricing.DRY)
        if command == commands_datasets.COMMAND:
            return commands_datasets.show_rows(self.state, self._vault, arguments)
        if command == "limits.explain":
            return self._explain_limit(arguments)
        if command == "vault.rotate":
            return _in_trio(rotate_vault, self._ring(arguments), arguments)
        if command in RING_COMMANDS:
            return _in_trio(self._on_ring, command, arguments)
        if command in WALLET_COMMANDS:
            return _in_trio(self._on_wallet, command, arguments)
        raise Refusal(409, "needs_server", f"{command} needs a running server")

    def _explain_limit(self, arguments: dict[str, Any]) -> object:
        """With the buckets as they were saved last."""
        subject = subject_of(self.state, arguments)
        limiter = RateLimiter(self._directory, self._vault.stable_key(LIMITS_PURPOSE))
        with suppress(FileNotFoundError):
            limiter.load((self._directory / RATE_LIMITS).read_bytes())
        stored = policies_in(self.state, subject)
        return explain_limit(limiter, subject, stored, arguments, time.time_ns() // 1000)

    async def _import(self, arguments: dict[str, Any]) -> object:
        """Into a segment of our own, which is closed before this answers."""
        org = org_bytes(organization_id(self.state, arguments.get("org")))

        async def store(data: bytes) -> list[Part]:
            writer = self._blobs.create()
            writer.write(data)
            return blob_parts(writer)

        async def take(journal: Journal) -> dict[str, Any]:
            value, _ = await take_records(
                arguments.get("records") or (), org, journal.append, store
            )
            return value

        return await self._journaled(take, "import_unsafe")

    async def _reprice(
        self, arguments: dict[str, Any], progress: Callable[..., None], dry: bool
    ) -> dict[str, Any]:
        """With the book of this configuration, as the next server would have it."""
        price = assembly.book_of(self._config).price
        if dry:
            return await repricing.reprice_query(self.query, price, arguments, progress, None)

        async def correct(journal: Journal) -> dict[str, Any]:
            return await repricing.reprice_query(
                self.query, price, arguments, progress, journal.append
            )

        return await self._journaled(correct, "reprice_unsafe")

    async def _journaled(
        self, work: Callable[[Journal], Awaitable[dict[str, Any]]], unsafe: str
    ) -> dict[str, Any]:
        """What writes into a segment of its own, which is closed when this returns. Raises Refusal
        with the code `unsafe` where the journal could not be written, and what `work` raises."""
        if self._read_only:
            raise Refusal(409, "read_only", f"{self._directory} cannot be written to")
        journal = Journal.open(
            self._directory, region=self._region, keyring=self._keys,
            before_sync=self._blobs.sync,
        )  # fmt: skip
        price_eras.take_up(
            self._directory, assembly.price_rows(self._config), journal.written,
            self._lake().manifest.upto_segment,
        )  # fmt: skip
        value: dict[str, Any] = {}
        failure: Exception | None = None
        async with trio.open_nursery() as nursery:
            await nursery.start(journal.run)
            try:
                value = await work(journal)
            except Exception as error:  # none may cross the nursery: it would come out as a group
                failure = error
            finally:
                await journal.close()  # noqa: ASYNC102 - bounded in itself
        if failure is not None:
            raise failure
        if journal.degraded:
            raise Refusal(503, unsafe, f"the journal is degraded: {journal.degraded}")
        if self._analytics is not None:  # it would not know of what was written
            self._analytics.close()
            self._analytics = None
        return value

    async def _on_ring(self, command: str, arguments: dict[str, Any]) -> object:
        """A command on the provider keys, whose ring lives as long as that takes."""
        org = organization_id(self.state, arguments.get("org"))
        return await RING_COMMANDS[command](self._ring(arguments), org_bytes(org), arguments)

    def _ring(self, arguments: dict[str, Any]) -> ProviderKeys:
        table = assembly.provider_table(self._config)
        region = str(arguments.get("region") or "us")
        _ = self.state  # made where there is none yet
        return ProviderKeys(self._directory, self._vault, table.by_id, region=region)

    async def _on_wallet(self, command: str, arguments: dict[str, Any]) -> object:
        """A command on the wallet, which is open as long as that takes. What a crash left held
        stays so until a server has settled it."""
        org = organization_id(self.state, arguments.get("org"))
        region = str(arguments.get("region") or "us")
        path = self._directory / "state.sqlite"
        wallet = Wallet(partial(LedgerStore.open, path, region=region))
        found: object = None
        refusal: Refusal | None = None
        async with trio.open_nursery() as nursery:
            await nursery.start(wallet.run)
            try:
                found = await WALLET_COMMANDS[command](
                    WalletDesk(wallet), org_bytes(org), arguments
                )
            except Refusal as caught:  # none may cross the nursery: it would come out as a group
                refusal = caught
            finally:
                wallet.close()
        if refusal is not None:
            raise refusal
        return found

    def _verify(self, progress: Callable[[int], None]) -> dict[str, Any]:
        def opened(lake: Lake) -> Analytics:
            return self.analytics

        deriver = FrameDeriver(self._derive(), self._read_parts)
        report = verify(
            self._directory,
            keys=self._keys,
            open_analytics=opened,
            derive=deriver,
            progress=progress,
        )
        return report_value(report)

    def _rebuild(self, progress: Callable[[int], None]) -> dict[str, Any]:
        if self._keys is not None:
            return {"ok": True, "note": "an encrypted directory has no database file to rebuild"}
        lake = self._lake()

        def ingested(analytics: Analytics) -> CaughtUp:
            deriver = FrameDeriver(self._derive(), self._read_parts)
            return catch_up(analytics, self._directory, deriver, on_progress=progress)

        result = rebuild(self._directory, lambda path: self._open(path, lake), ingested)
        return {"ok": True, "frames": result.frames, "derive_errors": result.derive_errors}

    def close(self) -> None:
        """Close what was opened."""
        if self._analytics is not None:
            self._analytics.close()
            if self._analytics.damaged and not self._read_only:  # the next command makes it anew
                set_aside(self._directory / "analytics.duckdb", self._directory / "quarantine")
        if self._state is not None:
            self._state.close()


def _in_trio(work: Callable[..., Awaitable[object]], *arguments: object) -> object:
    """Its value. Ctrl-C comes to whatever task is at work, and out of its nursery as a group: as
    itself it ends the command as any other."""
    try:
        return trio.run(work, *arguments)
    except BaseExceptionGroup as group:
        if group.subgroup(KeyboardInterrupt) is None:
            raise
        raise KeyboardInterrupt from None


@contextmanager
def open_root(
    config: Config, region: str, *, server_found: Callable[[], bool] = lambda: False
) -> Iterator[Offline]:
    """Open the directory of a region for a command. Raises RootBusy, RootRefused, VaultError,
    Refusal 404 when there is none, and ServerFound: a server that starts holds the lock some time
    before it answers, so it is looked for as long as the lock is waited for."""

    def wait(seconds: float) -> None:
        time.sleep(seconds)
        if server_found():
            raise ServerFound

    directory = config.root(region)
    if not (directory / "FORMAT").exists():
        raise Refusal(404, "no_data", f"there is no data directory at {directory}")
    read_only = not os.access(directory, os.W_OK) or is_read_only(directory)
    root = None if read_only else Root.open(directory, wait_s=WAIT_S, sleep=wait)
    try:
        offline = Offline(config, region, read_only=read_only)
        try:
            yield offline
        finally:
            offline.close()
    finally:
        if root is not None:
            root.close()


def is_read_only(directory: Path) -> bool:
    """Whether its file system is mounted read-only."""
    return bool(os.statvfs(directory).f_flag & os.ST_RDONLY)
