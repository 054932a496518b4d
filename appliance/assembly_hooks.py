"""Puts together what tells others of records: webhooks, alerts and reports of each region."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, tzinfo
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import trio

from appliance import services_notices, services_webhooks
from appliance.actors.metrics import Sample
from appliance.actors.notices import Mail, Notices
from appliance.actors.scheduler import Job, Scheduler
from appliance.actors.supervisor import Actor
from appliance.actors.webhooks import Query, Send, Ways, Webhooks
from appliance.config import ConfigError
from appliance.core.reports import FREQUENCIES, schedule_of
from appliance.core.schedule import Every
from appliance.core.signed_url import DAY_S
from appliance.upstream.mail import send_mail
from appliance.upstream.post import notify
from storage.alert_tables import any_alerts
from storage.report_tables import due_reports

if TYPE_CHECKING:
    from appliance.actors import reports
    from appliance.actors.region import Region
    from appliance.assembly import Parts
    from appliance.config import Config
    from appliance.log import Log
    from appliance.services import RecordsOf
    from appliance.services_links import LinksOf
    from appliance.upstream.pool import Pool

ALERTS_EVERY_S: Final = 60


@dataclass(frozen=True, slots=True)
class Hooks:
    """All regions' actors, and how they send."""

    send: Send
    webhooks: Mapping[str, Webhooks]
    notices: Mapping[str, Notices]
    schedulers: Mapping[str, Scheduler]
    report_ways: Callable[[str], reports.Ways]
    silent: bool = False  # what is replayed is told to nobody

    def actors(self, region: str) -> Iterator[tuple[str, Actor]]:
        """Those of a region by their names."""
        if self.silent:
            return
        yield "webhooks", self.webhooks[region]
        yield "notices", self.notices[region]
        yield "scheduler", self.schedulers[region]

    def gauges(self) -> Iterator[Sample]:
        """For the metrics."""
        for region, webhooks in self.webhooks.items():
            yield from webhooks.gauges(region)


@dataclass(frozen=True, slots=True)
class _Parts:
    """What all regions share."""

    config: Config
    records: RecordsOf
    links: LinksOf
    send: Send
    log: Log
    zone: tzinfo


def hooks_of(
    config: Config,
    regions: Mapping[str, Region],
    records: RecordsOf,
    links: LinksOf,
    send: Send,
    log: Log,
) -> Hooks:
    """Made before anything is served; nothing of it is on the way of a call. Raises ConfigError for
    a zone that nobody knows."""
    parts = _Parts(config, records, links, send, log, zone_of(config.time_zone))
    notices = {name: _notices_of(parts, region) for name, region in regions.items()}
    return Hooks(
        send,
        {name: _webhooks_of(parts, name, region) for name, region in regions.items()},
        notices,
        {
            name: _scheduler_of(parts, name, region, notices[name])
            for name, region in regions.items()
        },
        lambda name: report_ways(parts, name, regions[name], notices[name]),
        silent=config.replay is not None,
    )


def sender(parts: Parts, pool: Pool) -> Send:
    """POSTs JSON to where the configuration lets it go."""

    async def send(url: str, headers: Mapping[str, str], body: bytes) -> int:
        return await notify(url, parts.dialling.for_hooks(), pool, headers=headers, body=body)

    return send


def mailer(config: Config) -> Mail | None:
    """Hands mails to the server of the configuration, two at once. None: there is none."""
    smtp = config.smtp
    if smtp is None or config.replay is not None:
        return None
    limiter = trio.CapacityLimiter(2)

    async def mail(to: str, subject: str, text: str) -> None:
        # Given up by its caller it may still be sent: nothing of ours is held meanwhile.
        await trio.to_thread.run_sync(
            send_mail, smtp, [to], subject, text, limiter=limiter, abandon_on_cancel=True
        )

    return mail


def _webhooks_of(parts: _Parts, name: str, region: Region) -> Webhooks:
    return Webhooks(
        region.tables,
        region.ingest,
        Ways(
            query_of(parts.records, name),
            parts.send,
            partial(body_url, parts.links, name),
            partial(services_webhooks.unsealed, region.vault),
        ),
    )


def _notices_of(parts: _Parts, region: Region) -> Notices:
    unseal = partial(services_notices.unsealed, region.vault)
    return Notices(region.tables, parts.send, mailer(parts.config), unseal)


def _scheduler_of(parts: _Parts, name: str, region: Region, notices: Notices) -> Scheduler:
    alerts = partial(look_at_alerts, parts, name, region, notices)
    jobs = [Job("alerts", Every(ALERTS_EVERY_S), alerts, kept=False)]
    for frequency in FREQUENCIES:
        work = partial(send_reports, parts, name, region, notices, frequency)
        jobs.append(Job(f"reports {frequency}", schedule_of(frequency, parts.zone), work))
    return Scheduler(region.tables, jobs, parts.log)


async def look_at_alerts(
    parts: _Parts, name: str, region: Region, notices: Notices, _due_s: int
) -> None:
    """Each minute; whoever has no alerts loads nothing."""
    if not await region.tables.read(any_alerts):
        return
    from appliance.actors import alerts
    from appliance.api.filter_fields import REQUEST_TABLES

    ways = alerts.Ways(
        query_of(parts.records, name),
        partial(services_notices.sealed, region.vault),
        partial(services_notices.unsealed, region.vault),
        notices.changed,
        parts.links.base,
        REQUEST_TABLES,
    )
    await alerts.look_at_all(region.tables, ways)


async def send_reports(
    parts: _Parts, name: str, region: Region, notices: Notices, frequency: str, due_s: int
) -> None:
    """Whoever has no reports loads nothing."""
    if not await region.tables.read(partial(due_reports, frequency=frequency)):
        return
    from appliance.actors import reports

    ways = report_ways(parts, name, region, notices)
    await reports.send_due(region.tables, ways, frequency, due_s, time.time_ns() // 1000)


def report_ways(parts: _Parts, name: str, region: Region, notices: Notices) -> reports.Ways:
    """Of reports of a region."""
    from appliance.actors import reports

    return reports.Ways(
        query_of(parts.records, name),
        partial(services_notices.sealed, region.vault),
        partial(services_notices.unsealed, region.vault),
        notices.changed,
        parts.links.base,
        parts.zone,
    )


def zone_of(name: str) -> tzinfo:
    """By the machine's own list of zones, else by that of pytz, which DuckDB brings along. Raises
    ConfigError."""
    if name == "UTC":
        return UTC
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        import pytz

        try:
            with pytz.open_resource(name) as file:
                return ZoneInfo.from_file(file, key=name)
        except (ValueError, OSError):
            raise ConfigError(
                f"time_zone = {name!r}: allowed is a zone such as Europe/Berlin or UTC"
            ) from None


def query_of(records: RecordsOf, region: str) -> Query:
    """The rows of a statement over this region's records."""

    async def query(sql: str, parameters: Sequence[Any]) -> Sequence[tuple[Any, ...]]:
        # whole: what is not found is not delivered, and a sum goes out for good
        return (await records.query(region, sql, parameters, whole=True)).rows

    return query


def body_url(links: LinksOf, region: str, exchange_id: str) -> str | None:
    """The signed link to both bodies of an exchange; None without public_url, since a guess would
    send people to a wrong place."""
    base = links.base()
    if base is None:
        return None
    path = f"/v1/signed/{region}/bodies/{exchange_id}"
    return f"{base}{links.signed(region, path, (), DAY_S)}"
