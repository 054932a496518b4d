"""Makes the reports that are due and puts them into the queue. Loaded once there are any.

The ids of the news follow from report and moment: a round that is cut off is done again, and tells
nobody twice.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import tzinfo
from functools import partial
from typing import Final, NamedTuple

import trio

from appliance.actors.alerts import Seal, Unseal, sealed_notices
from appliance.actors.tables import Tables
from appliance.actors.webhooks import Query
from appliance.core import notices as core_notices
from appliance.core import reports
from appliance.core.reports import Figures
from storage.notice_tables import Notice, add_notices
from storage.report_tables import ReportRow, due_reports
from storage.vault import VaultError

log = logging.getLogger(__name__)

QUERY_S: Final = 60.0


class Ways(NamedTuple):
    """How it reaches the rest, as of alerts."""

    query: Query
    seal: Seal
    unseal: Unseal
    changed: Callable[[], None]
    base_url: Callable[[], str | None]
    zone: tzinfo


async def send_due(tables: Tables, ways: Ways, frequency: str, due_s: int, now_us: int) -> None:
    """All of this frequency, for the time that ends with this moment. Raises Refusal where a store
    cannot be used, and TooSlowError: then none of those that follow is made, until it is tried
    again."""
    for row in await tables.read(partial(due_reports, frequency=frequency)):
        try:
            notices = await made(row, ways, due_s)
        except VaultError as error:
            log.error("the report %s: %s", row.id, error)
            continue
        await tables.write(partial(add_notices, notices=notices, now_us=now_us))
        ways.changed()


async def made(row: ReportRow, ways: Ways, due_s: int, event_id: str = "") -> list[Notice]:
    """The news of one report. Raises Refusal, VaultError, trio.TooSlowError."""
    span, before_span = reports.spans(row.frequency, due_s, ways.zone)
    now = await _figures(row.org, ways, span)
    before = await _figures(row.org, ways, before_span)
    base = ways.base_url()
    link = f"{base}/dashboard" if base else None
    text = reports.words(row.frequency, span, now, before, ways.zone, link)
    event = reports.event(row.id, row.frequency, span, now, before, link)
    channels = core_notices.opened(row.emails, ways.unseal(row.id, row.sealed))
    drafts = core_notices.drafts(
        event_id or f"{row.id} {due_s}",
        channels,
        f"{row.name}: {row.frequency} report",
        text,
        event,
    )
    return sealed_notices(ways.seal, row.org, drafts)


async def _figures(org: bytes, ways: Ways, span: tuple[int, int]) -> Figures:
    with trio.fail_after(QUERY_S):
        (row,) = await ways.query(reports.SQL, reports.parameters(org, span))
    return reports.figures(row)
