"""User SQL for the REST API: limits, turns, snapshots and the sandbox put together."""

from __future__ import annotations

import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from appliance.actors.hot_snapshots import HotSnapshots, SnapshotFailed
from appliance.actors.hql_files import LIVES_S, ResultFile, ResultFiles
from appliance.actors.sandbox import (
    BodiesWanted,
    Sandbox,
    SandboxBusy,
    SandboxFailed,
    SandboxProcess,
)
from appliance.api.services_hql import Export, Result
from appliance.core.hql_errors import hql_error
from appliance.core.minute_limit import MinuteLimit
from storage.sandbox_schema import SHOWN_TABLES, Shown
from storage.sandbox_wire import Done, Form, Job

if TYPE_CHECKING:
    from appliance.actors.region import Region
    from appliance.core.access import Identity
    from appliance.log import Log
    from appliance.process import Server

QUERIES_A_MINUTE: Final = 100
DOWNLOADS_A_MINUTE: Final = 10
ROWS_USUAL: Final = 100
ROWS_MAX: Final = 10_000
ROWS_BYTES_MAX: Final = 16 * 2**20
EXPORT_ROWS_MAX: Final = 300_000
EXPORT_BYTES_MAX: Final = 128 * 2**20
FRESH_WAIT_S: Final = 1.0


class Store(Protocol):
    """What a region has for it."""

    @property
    def directory(self) -> Path: ...
    @property
    def snapshots(self) -> HotSnapshots: ...
    @property
    def results(self) -> ResultFiles: ...
    async def caught_up(self, within_s: float) -> float | None: ...


class HqlOf:
    """Over what runs."""

    def __init__(
        self,
        stores: Mapping[str, Store],
        sandbox: Sandbox,
        log: Log,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stores = stores
        self._sandbox = sandbox
        self._log = log
        self._clock = clock
        self._queries = MinuteLimit(QUERIES_A_MINUTE)
        self._downloads = MinuteLimit(DOWNLOADS_A_MINUTE)

    def schema(self) -> list[dict[str, Any]]:
        """The documented table first, then our own."""
        return [
            {
                "table_name": table.name,
                "description": table.description,
                "columns": [_column(column) for column in table.columns],
            }
            for table in SHOWN_TABLES
        ]

    async def execute(self, identity: Identity, sql: str) -> Result:
        """Its rows, in memory."""
        self._count(self._queries, identity)
        pieces: list[bytes] = []

        async def take(data: bytes) -> None:
            pieces.append(data)

        job = self._job(identity, sql, "rows", ROWS_MAX, ROWS_BYTES_MAX, ROWS_USUAL)
        began_s = self._clock()
        done, stale_by_ms = await self._run(identity, job, take)
        elapsed_ms = round((self._clock() - began_s) * 1000, 3)
        return Result(
            pieces, done.columns, done.rows, done.bytes, elapsed_ms, done.truncated, stale_by_ms
        )

    async def export(self, identity: Identity, sql: str, form: str) -> Export:
        """Its rows, in a file."""
        self._count(self._downloads, identity)
        results = self._stores[identity.region].results
        job = self._job(identity, sql, form, EXPORT_ROWS_MAX, EXPORT_BYTES_MAX, None)  # type: ignore[arg-type]
        file = self._new_file(results, form)
        is_kept = False
        try:
            done, _ = await self._run(identity, job, file.write)
            if not done.rows:
                raise hql_error("NO_DATA_RETURNED")
            export_id = results.keep(file)
            is_kept = True
        except OSError as error:
            self._log.failure("hql_file", str(error))
            raise hql_error("UNAVAILABLE") from None
        finally:
            if not is_kept:
                file.drop()
        return Export(export_id, done.rows, LIVES_S)

    def export_file(self, region: str, export_id: str) -> ResultFile:
        """Raises Refusal 404."""
        found = self._stores[region].results.find(export_id)
        if found is None:
            raise hql_error("CSV_EXPIRED")
        return found

    def _new_file(self, results: ResultFiles, form: str) -> ResultFile:
        try:
            return results.new(form)
        except OSError as error:
            self._log.failure("hql_file", str(error))
            raise hql_error("UNAVAILABLE") from None

    def _count(self, limit: MinuteLimit, identity: Identity) -> None:
        wait_s = limit.take((identity.region, identity.org), self._clock())
        if wait_s:
            raise hql_error("RATE_LIMITED", f"at most {limit.most}", retry_after_s=wait_s)

    def _job(
        self, identity: Identity, sql: str, form: Form, rows: int, size: int, usual: int | None
    ) -> Job:
        root = str(self._stores[identity.region].directory)
        org = str(uuid.UUID(bytes=identity.org))
        return Job(sql, org, form, rows, size, rows_usual=usual, root=root)

    async def _run(
        self, identity: Identity, job: Job, take: Callable[[bytes], Awaitable[None]]
    ) -> tuple[Done, float | None]:
        store = self._stores[identity.region]
        stale_by_ms = await store.caught_up(FRESH_WAIT_S)
        try:
            async with self._sandbox.turn((identity.region, identity.org)) as process:
                try:
                    done = await _answered(store, process, job, take, bodies=False)
                except BodiesWanted:
                    done = await _answered(store, process, job, take, bodies=True)
            return done, stale_by_ms
        except SandboxBusy:
            raise hql_error("BUSY", retry_after_s=5) from None
        except SandboxFailed as error:
            raise hql_error(error.code, error.details) from None
        except SnapshotFailed as error:
            self._log.failure("hql_snapshot", str(error))
            raise hql_error("UNAVAILABLE", retry_after_s=5) from None


def _column(column: Shown) -> dict[str, Any]:
    """As ClickHouse describes one, for clients of Helicone's."""
    return {
        "name": column.name,
        "type": column.kind,
        "default_type": None,
        "default_expression": None,
        "comment": column.comment or None,
        "codec_expression": None,
        "ttl_expression": None,
    }


async def _answered(
    store: Store,
    process: SandboxProcess,
    job: Job,
    take: Callable[[bytes], Awaitable[None]],
    *,
    bodies: bool,
) -> Done:
    taken = await store.snapshots.take(bodies=bodies)
    try:
        whole = replace(job, lake=taken.lake, hot=taken.hot)
        return await process.run(whole, taken.descriptors, take)
    finally:
        taken.let_go()


class RegionStore:
    """One region, for user SQL."""

    def __init__(self, region: Region) -> None:
        self._region = region
        self.directory = region.directory
        temporary = region.directory / "tmp"
        self.snapshots = HotSnapshots(
            lambda: region.ingest.analytics, None if region.keys is not None else temporary
        )
        self.results = ResultFiles(temporary)
        region.on_forget.append(self.forget)

    async def caught_up(self, within_s: float) -> float | None:
        """Wait for ingest. By how many milliseconds an answer may be stale."""
        return await self._region.ingest.caught_up(within_s)

    async def forget(self) -> None:
        """Something was deleted: it may be in any result that is kept."""
        self.results.clear()
        await self.snapshots.rest()

    async def rest(self) -> None:
        """No query has come for a while."""
        self.results.sweep()
        await self.snapshots.rest()


def hql_of(server: Server) -> HqlOf:
    """User SQL over the regions of a server."""
    stores = {name: RegionStore(region) for name, region in server.regions.items()}
    server.sandbox.on_rest += [store.rest for store in stores.values()]
    return HqlOf(stores, server.sandbox, server.log)
