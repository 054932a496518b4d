"""What a running server does for the command, over its control socket: query, tail, keys, verify.

Whoever can open the socket owns the data directory: there is no further access check here.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import trio

from appliance.backing_up import hold_for_backup
from appliance.commands_audit import changes, write_down
from appliance.commands_import import take_records
from appliance.commands_keys import READING_COMMANDS, STATE_COMMANDS
from appliance.commands_limits import explain_limit, subject_of
from appliance.commands_orgs import organization_id
from appliance.commands_provider_keys import RING_COMMANDS, org_bytes
from appliance.commands_vault import rotate_vault
from appliance.commands_wallet import WALLET_COMMANDS
from appliance.door.control import Command, ControlReply
from appliance.errors import Refusal
from appliance.readers import in_thread
from storage.analytics import Analytics, AnalyticsFailed
from storage.frames import Part
from storage.manifest import Span
from storage.query import Query, QueryCancelled, QueryFailed

if TYPE_CHECKING:
    from appliance.actors.key_rings import KeyRings
    from appliance.actors.provider_keys import ProviderKeys
    from appliance.actors.region import Region

PAGE_ROWS = 200
INTERRUPT_AGAIN_S = 0.05
FRESH_WAIT_S = 1.0
TAIL_ROWS_MAX = 200
TAIL_PAUSE_S = 0.2
# What `tail` shows of each exchange; it follows `recorded_at`, which never goes back.
TAIL_SQL = (
    "SELECT exchange_id, recorded_at, request_created_at, provider, model, status, http_status, "
    "outcome, prompt_tokens, completion_tokens, total_tokens, usage_source, cost_usd, latency_ms, "
    "time_to_first_token_ms, user_id, session_id, session_name, session_path, error, request_id "
    "FROM requests "
    "WHERE (recorded_at, exchange_id) > (CAST(? AS TIMESTAMP), CAST(? AS UUID)) "
    "ORDER BY recorded_at, exchange_id LIMIT ?"
)
TAIL_START_SQL = "SELECT max(recorded_at), max(exchange_id) FROM requests"

T = TypeVar("T")
Take = Callable[[list[tuple[str, str]], list[tuple[Any, ...]]], Awaitable[None]]
FAILURES = (QueryFailed, QueryCancelled, AnalyticsFailed)
REOPEN_WAIT_S = 10.0
SEGMENT_WAIT_S = 10.0  # for the current segment of the journal to be closed
Maintenance = Callable[["Region"], Awaitable[object]]
# With what was given, and for progress the reply.
RegionWork = Callable[["Region", Mapping[str, Any], ControlReply], Awaitable[object]]


def analytics_of(region: Region) -> Analytics:
    """The region's database. Raises Refusal 503 while it is being opened."""
    analytics = region.ingest.analytics
    if analytics is None:
        raise Refusal(503, "analytics_closed", "The analytics store is being opened. Try again.")
    return analytics


async def _opening_ended(region: Region) -> None:
    """Right after the start, or after a deletion. Whatever fails is not waited for."""
    ingest = region.ingest
    while ingest.analytics is None and ingest.stats.error is None and not ingest.closing:
        await ingest.wait_advanced()


async def freshness(region: Region) -> float | None:
    """Waits until what ended before is in, and for a database that is just being opened, as right
    after the start. By how many milliseconds an answer may be stale, None for not at all."""
    stale_ms = await region.ingest.caught_up(FRESH_WAIT_S)
    if region.ingest.analytics is None and region.ingest.stats.error is None:
        stale_ms = await region.ingest.caught_up(REOPEN_WAIT_S)
    return stale_ms


def check_whole(region: Region) -> None:
    """For whoever concludes from what is not there. Raises Refusal 503 while the database lacks
    what it had."""
    if region.ingest.restoring:
        raise Refusal(
            503, "analytics_closed", "The analytics store is being made anew. Try again.",
            headers={"Retry-After": "1"},
        )  # fmt: skip


async def _opened(region: Region, *, whole: bool) -> Analytics:
    """The database, waited for; with all that it had if it is to be `whole`. Nothing is awaited
    between that look and the return. Raises Refusal 503."""
    with trio.move_on_after(REOPEN_WAIT_S):
        await _opening_ended(region)
    if whole:
        if region.ingest.restoring:
            await region.ingest.caught_up(REOPEN_WAIT_S)
        check_whole(region)
    return analytics_of(region)


async def run_query(
    region: Region,
    sql: str,
    parameters: tuple[Any, ...],
    take: Take,
    *,
    created: Span | None = None,
    whole: bool = False,
) -> None:
    """Run a reading query and hand its rows over in pages, the columns with each. Cancelling
    interrupts DuckDB. `created`: see Analytics.query. `whole`: for whoever concludes from what is
    not there; without it the answer may lack rows while the database is filled anew, as
    `freshness` says. Raises Refusal with DuckDB's own words, 503 when the database was closed in
    the middle or is not whole in time, and what `take` raises."""
    told = False

    async def telling(columns: list[tuple[str, str]], rows: list[tuple[Any, ...]]) -> None:
        nonlocal told
        told = True
        await take(columns, rows)

    analytics = await _opened(region, whole=whole)
    try:
        await _drive(analytics.query(sql, parameters, created=created), telling)
        return
    except FAILURES as error:
        closed = isinstance(error, QueryCancelled)  # under whoever asked, who is here still
        if told or not (analytics.broken or closed):
            raise refusal_of(error) from None
    # It is opened again or made anew: asked once more, but what was to be there must be.
    if await region.ingest.caught_up(REOPEN_WAIT_S) is not None:
        raise refusal_of(QueryCancelled())
    try:
        await _drive(analytics_of(region).query(sql, parameters), take)
    except FAILURES as again:
        raise refusal_of(again) from None


async def run_copy(region: Region, sql: str, parameters: tuple[Any, ...], path: Path) -> None:
    """Have DuckDB write the rows of a reading query into a Parquet file, of a database that is
    whole. Cancelling interrupts it. Raises Refusal."""

    async def nothing(_columns: object, _rows: object) -> None:
        """The answer is a number of rows."""

    try:
        analytics = await _opened(region, whole=True)
        await _drive(analytics.query(sql, parameters, into=path), nothing)
    except FAILURES as error:
        raise refusal_of(error) from None


async def _drive(query: Query, take: Take) -> None:
    failure: Exception | None = None
    async with trio.open_nursery() as nursery:
        ended = trio.Event()
        nursery.start_soon(_interrupt_when_cancelled, query, ended)
        try:
            await _pages(query, take)
        except Exception as error:  # none may cross the nursery: it would come out as a group
            failure = error
        finally:
            ended.set()
            if not query.closed:
                with trio.CancelScope(shield=True):  # bounded: closing only gives the cursor back
                    await in_thread(query.close)
            nursery.cancel_scope.cancel()
    await trio.lowlevel.checkpoint_if_cancelled()
    if failure is not None:
        raise failure


async def _pages(query: Query, take: Take) -> None:
    ended = False  # `closed` it is too when the database was closed in the middle
    while not ended:
        columns, rows, ended = await in_thread(_page, query)
        await take(columns, rows)


def _page(query: Query) -> tuple[list[tuple[str, str]], list[tuple[Any, ...]], bool]:
    """In a reader's thread, and all that it has to do there at once: where calls are served beside
    it, each hand-over waits for its turn. Lastly whether this page was the last."""
    rows = query.fetch(PAGE_ROWS)
    ended = query.ended or not rows
    if ended:
        query.close()
    return query.columns, rows, ended


async def _interrupt_when_cancelled(query: Query, ended: trio.Event) -> None:
    """A call just before DuckDB begins is lost: so it is repeated until the query has ended."""
    try:
        await trio.sleep_forever()
    finally:
        with trio.CancelScope(shield=True):  # bounded by the query's end, which this brings about
            while not ended.is_set():
                query.interrupt()
                with trio.move_on_after(INTERRUPT_AGAIN_S):
                    await ended.wait()


def refusal_of(error: Exception) -> Refusal:
    """DuckDB's complaints for whoever asked."""
    if isinstance(error, QueryFailed):
        return Refusal(400, "query_failed", str(error))
    if isinstance(error, QueryCancelled):  # not by whoever asked: they hear no answer
        return Refusal(503, "analytics_closed", "The analytics store was closed. Try again.")
    return Refusal(503, "analytics_failed", str(error))


class Commands:
    """The commands of one server, by region."""

    def __init__(
        self,
        regions: Mapping[str, Region],
        rings: KeyRings,
        keys: Mapping[str, ProviderKeys],
        maintain: Mapping[str, Maintenance],
        status: Callable[[], dict[str, Any]],
        base: Callable[[], str] = str,
        erase_soon: Callable[[str], None] = lambda region: None,
        work: Mapping[str, RegionWork] | None = None,
    ) -> None:
        self._regions = regions
        self._rings = rings
        self._keys = keys
        self._maintain = maintain
        self._status = status
        self._base = base
        self._erase_soon = erase_soon
        self._work = work or {}

    def table(self) -> dict[str, Command]:
        """Command name → what it does."""
        found: dict[str, Command] = {"query": self._query, "tail": self._tail}
        found["status"] = self._tell_status
        found["limits.explain"] = self._explain
        found["import"] = self._import
        found["vault.rotate"] = self._rotate_vault
        found["backup"] = self._backup
        for name in STATE_COMMANDS:
            found[name] = self._state_command(name)
        for name in RING_COMMANDS:
            found[name] = self._ring_command(name)
        for name in WALLET_COMMANDS:
            found[name] = self._wallet_command(name)
        for name, action in self._maintain.items():
            found[name] = self._maintenance(action)
        for name, done in self._work.items():
            found[name] = self._region_work(name, done)
        return found

    def _region(self, arguments: Mapping[str, Any]) -> Region:
        name = str(arguments.get("region") or "us")
        region = self._regions.get(name)
        if region is None:
            raise Refusal(
                404,
                "region_closed",
                f"this server does not keep the region {name}: set {name}_data_dir",
            )
        return region

    async def _query(self, arguments: dict[str, Any], reply: ControlReply) -> None:
        region = self._region(arguments)
        stale_ms = await freshness(region)
        told = False

        async def take(columns: list[tuple[str, str]], rows: list[tuple[Any, ...]]) -> None:
            nonlocal told
            if not told:
                await reply.columns(columns)
                told = True
            if rows:
                await reply.rows(rows)

        await run_query(region, str(arguments.get("sql", "")), (), take)
        if stale_ms is not None:
            reply.ending["stale_by_ms"] = round(stale_ms)

    async def _tail(self, arguments: dict[str, Any], reply: ControlReply) -> None:
        """Every exchange that ends from now on, until the client hangs up."""
        region = self._region(arguments)
        await freshness(region)
        after: tuple[Any, ...] = (None, None)

        async def start(_: object, rows: list[tuple[Any, ...]]) -> None:
            nonlocal after
            after = rows[0] if rows else after

        await run_query(region, TAIL_START_SQL, (), start)
        told = False

        async def take(columns: list[tuple[str, str]], rows: list[tuple[Any, ...]]) -> None:
            nonlocal after, told
            if not told:
                await reply.columns(columns)
                told = True
            if rows:
                after = (rows[-1][1], rows[-1][0])
                await reply.rows(rows)

        while True:
            seen = region.ingest.position
            since = (
                after
                if after[0] is not None
                else ("1970-01-01", "00000000-0000-0000-0000-000000000000")
            )
            await run_query(region, TAIL_SQL, (*since, TAIL_ROWS_MAX), take)
            while region.ingest.position == seen:
                await trio.sleep(TAIL_PAUSE_S)
                await region.ingest.caught_up(FRESH_WAIT_S)

    def _state_command(self, name: str) -> Command:
        async def run(arguments: dict[str, Any], reply: ControlReply) -> None:
            region = self._region(arguments).name
            ring = self._rings.by_region[region]
            act = ring.ask if name in READING_COMMANDS else ring.change
            given = {**arguments, "base": self._base()}
            value = await act(lambda state: STATE_COMMANDS[name](state, given))
            await self._write_down(region, name, arguments, value)
            if name == "delete":
                self._erase_soon(region)
            if name == "prompts.import":
                self._regions[region].prompts.forget()
            await reply.value(value)

        return run

    def _ring_command(self, name: str) -> Command:
        async def run(arguments: dict[str, Any], reply: ControlReply) -> None:
            region = self._region(arguments).name
            org = await self._org(region, arguments)
            value = await RING_COMMANDS[name](self._keys[region], org, arguments)
            await self._write_down(region, name, arguments, value)
            await reply.value(value)

        return run

    def _wallet_command(self, name: str) -> Command:
        async def run(arguments: dict[str, Any], reply: ControlReply) -> None:
            region = self._region(arguments)
            org = await self._org(region.name, arguments)
            value = await WALLET_COMMANDS[name](region.desk, org, arguments)
            await self._write_down(region.name, name, arguments, value)
            await reply.value(value)

        return run

    async def _backup(self, arguments: dict[str, Any], reply: ControlReply) -> None:
        await hold_for_backup(self._region(arguments), reply)

    async def _tell_status(self, _arguments: dict[str, Any], reply: ControlReply) -> None:
        await reply.value(self._status())

    async def _explain(self, arguments: dict[str, Any], reply: ControlReply) -> None:
        region = self._region(arguments)
        ring = self._rings.by_region[region.name]
        subject = await ring.ask(lambda state: subject_of(state, arguments))
        stored = ring.policies(uuid.UUID(subject.organization_id).bytes)
        now_us = time.time_ns() // 1000
        await reply.value(explain_limit(region.limiter, subject, stored, arguments, now_us))

    async def _import(self, arguments: dict[str, Any], reply: ControlReply) -> None:
        """Records that were made elsewhere, in the journal when this answers."""
        region = self._region(arguments)
        org = await self._org(region.name, arguments)

        async def store(data: bytes) -> list[Part]:
            sink = region.blob_sink()
            await sink.write(data)
            return sink.parts()

        rows = arguments.get("records") or ()
        value, ticket = await take_records(rows, org, region.append, store)
        if ticket is not None:
            await region.settle(ticket)
        await reply.value(value)

    async def _rotate_vault(self, arguments: dict[str, Any], reply: ControlReply) -> None:
        """Records go into a new segment with the new key, where they are encrypted."""
        region = self._region(arguments)
        value = await rotate_vault(self._keys[region.name], arguments)
        if region.keys is not None:
            with trio.move_on_after(SEGMENT_WAIT_S):
                await region.journal.rotate()
        await self._write_down(region.name, "vault.rotate", {}, value)
        await reply.value(value)

    async def _write_down(
        self, region: str, command: str, arguments: Mapping[str, Any], value: object
    ) -> None:
        if changes(command):
            ring = self._rings.by_region[region]
            await ring.ask(lambda state: write_down(state, command, arguments, value))

    async def _org(self, region: str, arguments: Mapping[str, Any]) -> bytes:
        wanted = arguments.get("org")
        ring = self._rings.by_region[region]
        return org_bytes(await ring.ask(lambda state: organization_id(state, wanted)))

    def _maintenance(self, action: Maintenance) -> Command:
        async def run(arguments: dict[str, Any], reply: ControlReply) -> None:
            value = await action(self._region(arguments))
            await reply.value(value)

        return run

    def _region_work(self, name: str, work: RegionWork) -> Command:
        async def run(arguments: dict[str, Any], reply: ControlReply) -> None:
            region = self._region(arguments)
            value = await work(region, arguments, reply)
            await self._write_down(region.name, name, arguments, value)
            await reply.value(value)

        return run
