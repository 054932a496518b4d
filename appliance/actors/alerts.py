"""Looks at every alert of a region each minute, and puts the news into the queue.

Loaded once there are alerts. What is asked and when one is triggered is decided in core/alerts.py;
what has become of an alert and its news are stored in one transaction, under ids that stay, so that
an evaluation that is cut off is done again and tells nobody twice.
"""

from __future__ import annotations

import json
import logging
import time
import uuid
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, Final, NamedTuple

import trio

from appliance.actors.tables import Tables
from appliance.actors.webhooks import Query
from appliance.core import alerts
from appliance.core import notices as core_notices
from appliance.core.alerts import Alert, Reached, Standing
from appliance.core.filters import Tables as FilterTables
from appliance.errors import Refusal
from storage import alert_tables as table
from storage.notice_tables import Notice, add_notices
from storage.vault import VaultError

log = logging.getLogger(__name__)

QUERY_S: Final = 20.0  # of one alert: a filter over all bodies may be slow
Seal = Callable[[str, str], bytes]
Unseal = Callable[[str, bytes], str]


class Ways(NamedTuple):
    """How it reaches the rest: the region's database, seals, the sender of news, and what links
    begin with, None without public_url."""

    query: Query
    seal: Seal
    unseal: Unseal
    changed: Callable[[], None]
    base_url: Callable[[], str | None]
    fields: FilterTables


def alert_of(row: table.AlertRow) -> Alert:
    """As it was stored."""
    return Alert(
        row.org,
        row.metric,
        Decimal(row.threshold),
        row.window_ms,
        row.aggregation,
        Decimal(row.percentile) if row.percentile is not None else None,
        row.grouping,
        row.grouping_is_property,
        row.requests_min,
        json.loads(row.filter),
        row.cooldown_ms,
    )


async def look_at_all(tables: Tables, ways: Ways, clock: Callable[[], float] = time.time) -> None:
    """One after the other: they share the database with everybody. One that cannot be asked is told
    in the log, and stays as it is. Raises Refusal where the state store cannot be used."""
    for row in await tables.read(table.all_alerts):
        if not row.is_active:
            continue
        try:
            with trio.fail_after(QUERY_S):
                found = await reached(row, ways, int(clock() * 1e6))
        except (Refusal, trio.TooSlowError) as error:
            words = error.message if isinstance(error, Refusal) else f"took over {QUERY_S:g} s"
            log.warning("the alert %s was not looked at: %s", row.id, words)
            continue
        try:
            await _note(tables, ways, row, found, int(clock() * 1e6))
        except VaultError as error:  # of its channels
            log.error("the alert %s: %s", row.id, error)


async def reached(row: table.AlertRow, ways: Ways, now_us: int) -> list[Reached]:
    """The groups that reach its threshold. Raises Refusal."""
    rows = await ways.query(*alerts.statement(alert_of(row), ways.fields, now_us))
    return [Reached(group, Decimal(str(value)), count) for group, value, count in rows]


async def _note(
    tables: Tables, ways: Ways, row: table.AlertRow, found: list[Reached], now_us: int
) -> None:
    before = Standing(row.status, row.below_since_us)  # type: ignore[arg-type]
    after = alerts.step(before, bool(found), now_us, row.cooldown_ms)
    if after == before:
        return
    begun = ended_at_us = None
    news: Sequence[Notice] = ()
    if after.status != before.status:
        moment = f"{row.id} {after.status} {now_us}"
        if after.status == "triggered":
            begun = _incident(row, found, now_us)
        else:
            ended_at_us = now_us
        news = _news(ways, row, found, after.status, moment)

    def write(connection: Any) -> bool:  # noqa: ANN401 - a connection of SQLite
        noted = table.note_status(
            connection, row, after.status, after.below_since_us, begun, ended_at_us
        )
        if noted and news:
            add_notices(connection, news, now_us)
        return noted

    if await tables.write(write) and news:
        ways.changed()


def _incident(row: table.AlertRow, found: list[Reached], now_us: int) -> table.Incident:
    groups = [
        {"name": one.group, "value": f"{one.value:.2f}", "requests": one.requests}
        for one in found
        if one.group is not None
    ]
    return table.Incident(
        str(uuid.uuid4()), row.id, row.name, row.metric, now_us, None, "triggered",
        alerts.triggered_value(found), json.dumps(groups, ensure_ascii=False),
    )  # fmt: skip


def _news(
    ways: Ways, row: table.AlertRow, found: list[Reached], status: str, moment: str
) -> list[Notice]:
    base = ways.base_url()
    link = f"{base}/alerts" if base else None
    subject = f"Alert {status}: {row.name}"
    if status == "triggered":
        text = alerts.words(row.name, alert_of(row), found, link)
    else:
        text = alerts.words_at_the_end(row.name, alert_of(row))
    event = {
        "type": f"alert.{status}",
        "alert_id": row.id,
        "name": row.name,
        "metric": row.metric,
        "threshold": row.threshold,
        "time_window": str(row.window_ms),
        "cooldown": str(row.cooldown_ms),
        "triggered_value": alerts.triggered_value(found),
        "groups": [
            {"name": one.group, "value": f"{one.value:.2f}", "requests": one.requests}
            for one in found
            if one.group is not None
        ],
        **({"url": link} if link else {}),
    }
    channels = core_notices.opened(row.emails, ways.unseal(row.id, row.sealed))
    return sealed_notices(
        ways.seal, row.org, core_notices.drafts(moment, channels, subject, text, event)
    )


def sealed_notices(seal: Seal, org: bytes, drafts: Sequence[core_notices.Draft]) -> list[Notice]:
    """Ready for the table."""
    return [
        Notice(one.id, org, one.channel, seal(one.id, one.destination), one.subject, one.body)
        for one in drafts
    ]
