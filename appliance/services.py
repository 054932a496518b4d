"""The REST API's view of the process: health, access and records, wired to what runs.

Thin: each method asks the part that knows.
"""

from __future__ import annotations

import ipaddress
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from appliance import __version__
from appliance.actors.metrics import Sample
from appliance.actors.supervisor import Report
from appliance.api.services import Health, Reason, Row, Rows, Services
from appliance.control_commands import check_whole, run_query
from appliance.core.access import (
    AccessRules,
    Identity,
    check_caller,
    check_region,
    cors_headers,
    identify,
    region_closed,
    split_host,
)
from appliance.core.access import key_hash as hash_of
from appliance.core.credentials import find_credentials
from appliance.core.forwarded import address_of
from appliance.core.urls import is_loopback
from appliance.core.web_authorization import with_authorization
from appliance.errors import Refusal
from appliance.readers import in_thread
from appliance.services_accounts import COOKIE_PURPOSE, AccountsOf
from appliance.services_datasets import CopiesOf
from appliance.services_edits import EditsOf
from appliance.services_export import ExportsOf
from appliance.services_hql import hql_of
from appliance.services_notices import NoticesOf
from appliance.services_playground import PlaygroundOf
from appliance.services_settings import SettingsOf
from appliance.services_wallet import WalletsOf
from appliance.services_webhooks import WebhooksOf
from storage.frames import Position
from storage.manifest import Span

if TYPE_CHECKING:
    from appliance.actors.region import Region
    from appliance.log import Log
    from appliance.process import Server

FRESH_WAIT_S = 1.0
LARGE_WAIT_S = 10.0
BUSY_FRAMES = 256
HISTOGRAM_UNIT_S = 1e-6
STORES_OWN_WORDS = ("query_failed", "analytics_failed")
QUOTED = re.compile(r"'[^']*'?|\"[^\"]*\"?")
STORE_FAILED = "The analytics store could not answer; the log of this server says why."


class OperationsOf:
    """Health, readiness and metrics of one server."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._since: dict[str, str] = {}

    def health(self) -> Health:
        """Degraded parts by name, each with the time it was first seen so."""
        found = dict(self._problems())
        for part in list(self._since):
            if part not in found:
                del self._since[part]
        now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        reasons = [
            Reason(part, self._since.setdefault(part, now), detail)
            for part, detail in found.items()
        ]
        return Health("degraded" if reasons else "healthy", reasons, reports_of(self._server))

    def _problems(self) -> Iterator[tuple[str, str]]:
        for name, region in self._server.regions.items():
            tail = "" if name == "us" else f"-{name}"
            if region.journal.degraded:
                yield f"journal{tail}", region.journal.degraded
            if region.ingest.stats.error:
                yield f"analytics{tail}", region.ingest.stats.error
            if region.roller.stats.error:
                yield f"lake{tail}", region.roller.stats.error
        yield from self._server.actors.troubles()
        yield from self._server.house.pool.troubles()

    def ready(self) -> bool:
        """Stores are open and nothing drains."""
        regions = self._server.regions.values()
        return self._server.ready and all(r.ingest.analytics is not None for r in regions)

    def metrics_text(self) -> str:
        """All counters and gauges."""
        return self._server.house.metrics.render()

    def refused(self, refusal: Refusal) -> None:
        """One line of the log; its message is for the caller."""
        self._server.log.warning("refused", status=refusal.status, code=refusal.code)


def reports_of(server: Server) -> list[Report]:
    """Every actor: those that the supervisor keeps, and those that mend themselves and whose end
    would be the process's: journal, ingest and lake of each region."""
    found = []
    for name, region in server.regions.items():
        tail = "" if name == "us" else f"-{name}"
        journal, ingest, roller = region.journal, region.ingest, region.roller.stats
        waiting = journal.stats.unsynced_bytes
        found += [
            Report(f"journal{tail}", "running", 0, waiting, journal.degraded or "", ""),
            Report(
                f"analytics{tail}", "running", ingest.stats.reopened, ingest.lag_frames,
                ingest.stats.error or "", "",
            ),
            Report(f"lake{tail}", "running", 0, 0, roller.error or "", ""),
        ]  # fmt: skip
    return found + server.actors.reports()


class AccessOf:
    """Who may ask the REST API."""

    def __init__(self, server: Server) -> None:
        self._server = server

    @property
    def _rules(self) -> AccessRules:
        return self._server.house.gate.rules

    def check(self, headers: Mapping[bytes, bytes], host: bytes) -> None:
        """Refuse web pages and hosts that have no business here."""
        check_caller(headers, host, self._rules, proxied=False)

    def admit(self, headers: Mapping[bytes, bytes], host: bytes) -> Identity:
        """Whose account it is. Raises Refusal."""
        self.check(headers, host)
        headers, org = with_authorization(headers)
        credentials = find_credentials(headers)
        rings = self._server.rings
        hashed = hash_of(credentials)
        info = rings.lookup(hashed) if hashed else None
        check_region(credentials, info, self._server.regions)
        identity = identify(
            credentials, info, self._rules, store_broken=bool(rings.broken), to_built_in=False
        )
        if identity.region not in self._server.regions:
            raise region_closed(identity.region)
        if org and org != identity.org:
            raise Refusal(403, "org_other", "orgId: the key is of another organisation.")
        return identity

    def page_headers(
        self, headers: Mapping[bytes, bytes], host: bytes
    ) -> Sequence[tuple[bytes, bytes]]:
        """CORS headers for allowed origins."""
        return cors_headers(headers, host, self._rules, proxied=False)

    def caller_address(self, peer: str, lines: Sequence[tuple[bytes, bytes]]) -> str:
        """Through trusted proxies."""
        return self._server.house.proxies.caller(peer, "", "", lines).address

    def is_near(self, client_ip: str, host: bytes) -> bool:
        """Whether an address needs no key for the metrics: loopback, unless a page has rebound a
        name of its own to it, or one of `metrics_allow`."""
        address = address_of(client_ip)
        if address is None:
            return False
        allowed = self._server.config.metrics_allow
        if any(address in ipaddress.ip_network(text, strict=False) for text in allowed):
            return True
        name, port = split_host(host)
        is_ours = is_loopback(name) or self._rules.hosts.has(name, int(port or 0))
        return address.is_loopback and is_ours


class RecordsOf:
    """What was recorded, by region."""

    def __init__(self, regions: Mapping[str, Region], log: Log) -> None:
        self._regions = regions
        self._log = log

    async def caught_up(self, region: str) -> float | None:
        """Wait for ingest, at most a second. Not while so much is under way that it gathers whole
        batches: to hurry it for each reader would cost the proxy a tenth of its speed, and a reader
        longer than the answer takes."""
        ingest = self._regions[region].ingest
        if ingest.analytics is not None and ingest.lag_frames >= BUSY_FRAMES:
            return ingest.stale_by_ms
        return await ingest.caught_up(FRESH_WAIT_S)

    async def query(
        self,
        region: str,
        sql: str,
        parameters: Sequence[Any],
        created: Span | None = None,
        *,
        whole: bool = False,
    ) -> Rows:
        """All rows of one reading statement; `whole`: see run_query. The store's own words go to
        the log alone, and what they quote goes nowhere: it may be from a body of another
        organisation."""
        columns: list[tuple[str, str]] = []
        rows: list[Row] = []

        async def take(names: list[tuple[str, str]], page: list[tuple[Any, ...]]) -> None:
            columns[:] = names
            rows.extend(page)

        try:
            kept = self._regions[region]
            await run_query(kept, sql, tuple(parameters), take, created=created, whole=whole)
        except Refusal as refusal:
            if refusal.code not in STORES_OWN_WORDS:
                raise
            self._log.failure(refusal.code, QUOTED.sub("'…'", refusal.message))
            raise Refusal(503, refusal.code, STORE_FAILED) from None
        return Rows(columns, rows)

    def check_whole(self, region: str) -> None:
        """See appliance.control_commands.check_whole."""
        check_whole(self._regions[region])

    def find_recent(self, region: str, org: bytes, request_id: str) -> Position | None:
        """The newest exchange of this id that is not in the database yet."""
        return self._regions[region].find_recent(org, request_id)

    async def read_rows(self, region: str, position: Position) -> tuple[Row, Row]:
        """The exchange at this place as rows. Raises LookupError: the database has it by now, or
        it is gone."""
        kept = self._regions[region]
        rows = await in_thread(kept.read_rows, position)
        if rows is None:
            await kept.ingest.caught_up(LARGE_WAIT_S)
            raise LookupError("left to ingest")
        if rows.request is None or rows.body is None:
            raise LookupError("not an exchange")
        return rows.request, rows.body


def services_of(server: Server) -> Services:
    """Everything the API needs."""

    def webhook_allow() -> tuple[str, ...]:
        return server.config.webhook_allow

    return Services(
        __version__,
        OperationsOf(server),
        AccessOf(server),
        server.records,
        ModelsOf(server),
        WalletsOf(server),
        {name: region.tables for name, region in server.regions.items()},
        server.links,
        hql=hql_of(server),
        webhooks=WebhooksOf(
            server.regions, server.hooks.webhooks, server.hooks.send, webhook_allow
        ),
        notices=NoticesOf(
            server.regions,
            server.hooks.notices,
            server.config,
            server.links,
            server.hooks.report_ways,
            webhook_allow,
        ),
        accounts=AccountsOf(
            {
                name: partial(region.vault.stable_key, COOKIE_PURPOSE)
                for name, region in server.regions.items()
            },
            server.rings.lookup,
        ),
        settings=SettingsOf(
            server.rings,
            server.keys,
            server.config.retention_days,
            server.config.retention_bytes,
            server.config.retention_datasets,
            server.erase_soon,
        ),
        edits=EditsOf(server.regions),
        exports=ExportsOf(server.regions, server.ending),
        prompts={name: region.prompts for name, region in server.regions.items()},
        copies=CopiesOf({name: region.vault for name, region in server.regions.items()}),
        playground=PlaygroundOf(server),
    )


class ModelsOf:
    """The gateway's models."""

    def __init__(self, server: Server) -> None:
        self._server = server

    async def listed(self, *, multimodal: bool = False) -> list[dict[str, Any]]:
        """The entries of the list; loads the gateway."""
        gateway = await self._server.house.gateway()
        return gateway.registry.listed(multimodal=multimodal)

    async def prices(self) -> list[dict[str, Any]]:
        """Of the registry's rates; loads the gateway."""
        await self._server.house.gateway()
        from appliance.providers.registry_pages import price_page

        return price_page()

    async def registry(self) -> list[dict[str, Any]]:
        """The models as Helicone's public page has them; loads the gateway."""
        gateway = await self._server.house.gateway()
        from appliance.providers.registry_pages import registry_page

        return registry_page(gateway.registry)

    def storable(self) -> list[dict[str, Any]]:
        """Of the table, with what the configuration added."""
        from appliance.providers.storable import storable

        return storable(self._server.routing.providers.rows.values())


class Gauges:
    """What is measured by looking: asked whenever somebody reads the metrics."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._since_s = datetime.now(UTC).timestamp()

    def __call__(self) -> Iterable[Sample]:
        """All samples."""
        server = self._server
        door, pool = server.door, server.house.pool
        yield "connections", {"lane": "all"}, door.connections
        yield "connections_accepted_total", {}, door.accepted
        yield "connections_refused_total", {}, door.refused
        yield "loop_lag_seconds", {}, door.sweeper.lag_s
        yield "loop_longest_stall_seconds", {}, door.sweeper.longest_stall_s
        watches = (*door.sweeper.watches, *door.sweeper.exchanges)
        used = sum(watch.upstream is not None for watch in watches)
        yield "pool_used_connections", {}, used
        yield "pool_idle_connections", {}, pool.idle_count()
        yield "pool_dialled_total", {}, pool.dialled
        yield "pool_reused_total", {}, pool.reused
        yield "captured_bytes", {}, server.house.recorder.budget.held_bytes
        for report in reports_of(server):
            labels = {"actor": report.name}
            yield "actor_up", labels, int(report.state == "running")
            yield "actor_restarts_total", labels, report.restarts
            yield "actor_inbox", labels, report.inbox
            yield "actor_troubled", labels, int(bool(report.trouble))
        for name, region in server.regions.items():
            yield from region_samples(name, region, self._since_s)


def region_samples(name: str, region: Region, since_s: float) -> Iterator[Sample]:
    """Journal, ingest and lake of one region. The age of a roll counts from the start at most."""
    labels = {"region": name}
    journal, ingest, roller = region.journal.stats, region.ingest, region.roller.stats
    yield "journal_frames_total", labels, journal.frames
    yield "journal_bytes_total", labels, journal.bytes
    yield "journal_failures_total", labels, journal.failures
    yield "journal_late_records_total", labels, journal.late_records
    yield "journal_bodies_dropped_total", labels, journal.bodies_dropped
    yield "journal_records_dropped_total", labels, journal.records_dropped
    yield "journal_unsynced_bytes", labels, journal.unsynced_bytes
    yield "journal_backlog_bytes", labels, journal.backlog_bytes
    for phase, counts, total_s in (
        ("write", journal.write_us, journal.write_total_s),
        ("fsync", journal.sync_us, journal.sync_total_s),
    ):
        yield from microsecond_buckets(f"journal_{phase}_seconds", labels, counts, total_s)
    yield "ingest_lag_frames", labels, ingest.lag_frames
    yield "ingest_lag_seconds", labels, ingest.lag_s
    for name, value in region.cache.gauges().items():
        is_now = name.endswith(("_bytes", "_entries"))
        yield f"cache_{name}" if is_now else f"cache_{name}_total", labels, value
    yield "rate_limit_buckets", labels, len(region.limiter)
    limits = region.limiter.stats
    yield "rate_limit_refused_total", labels, limits.refused
    yield "rate_limit_evicted_total", labels, limits.evicted
    yield "rate_limit_swept_total", labels, limits.swept
    yield "duckdb_reopened_total", labels, ingest.stats.reopened
    yield "rolls_total", labels, roller.rolls
    rolled_s = since_s if roller.rolled_at_s is None else roller.rolled_at_s
    yield "roll_age_seconds", labels, max(0.0, datetime.now(UTC).timestamp() - rolled_s)
    yield "disk_free_bytes", labels, shutil.disk_usage(region.directory).free


def microsecond_buckets(
    name: str, labels: Mapping[str, str], counts: Sequence[int], total_s: float
) -> Iterator[Sample]:
    """Bucket n counts what took less than 2**n microseconds, the last everything above."""
    running = 0
    for number, count in enumerate(counts):
        running += count
        last = number == len(counts) - 1
        bound = "+Inf" if last else f"{2**number * HISTOGRAM_UNIT_S:g}"
        yield f"{name}_bucket", {**labels, "le": bound}, running
    yield f"{name}_sum", dict(labels), total_s
    yield f"{name}_count", dict(labels), running
