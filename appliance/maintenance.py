"""`verify`, `rebuild` and `roll`: the books checked, the database made anew, segments moved into
the lake before they are due. What a server does of them it does beside its traffic.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import trio

from appliance.actors.roller import FAILURES
from appliance.errors import Refusal
from storage.analytics import AnalyticsFailed
from storage.query import QueryCancelled, QueryFailed
from storage.verify_rows import Report

if TYPE_CHECKING:
    from appliance.actors.region import Region

Progress = Callable[[dict[str, Any]], None]
HOT_ROWS = "SELECT count(*), count(DISTINCT exchange_id) FROM frames WHERE segment > ?"
ROTATE_S = 30.0  # for the current segment to be closed, and for its frames to be ingested


def report_value(report: Report) -> dict[str, Any]:
    """A report as it is printed: whether all is well, what was counted, what was found."""
    return {"ok": report.is_whole, **asdict(report)}


async def verify(region: Region) -> dict[str, Any]:
    """Check a region that is being served: journal, lake and bodies in the helper process, the
    database through the server's own connection, while it is open."""
    try:
        report = await region.roller.verify()
        await trio.to_thread.run_sync(_add_hot_rows, region, report)
    except (*FAILURES, QueryFailed) as error:
        raise Refusal(503, "verify_failed", str(error)) from None
    return report


def _add_hot_rows(region: Region, report: dict[str, Any]) -> None:
    """Blocking. None may be there twice: at this moment, while more come in."""
    analytics = region.ingest.analytics
    if analytics is None:
        report["hot_rows"] = None  # it is being opened, or broken: /healthcheck says so
        return
    try:
        with analytics.query(HOT_ROWS, (region.roller.rolled_upto,)) as query:
            rows, exchanges = query.fetch()[0]
    except QueryCancelled:  # closed at this moment, to be opened again
        report["hot_rows"] = None
        return
    report["hot_rows"] = rows
    if rows > exchanges:
        what = f"{rows - exchanges} rows of exchanges that have one already"
        report["findings"].append({"file": "analytics.duckdb", "what": what})
        report["ok"] = False


async def rebuild(region: Region) -> dict[str, Any]:
    """The database anew, from lake and journal. Readers are told to wait meanwhile, proxied calls
    notice nothing; ingest's slices are as short as ever, so it takes longer than without a server.
    """
    counts = region.deriver.counts
    frames, errors = counts.frames, counts.derive_errors
    try:
        await region.ingest.renew()
    except AnalyticsFailed as error:
        raise Refusal(503, "rebuild_failed", str(error)) from None
    done = {"frames": counts.frames - frames, "derive_errors": counts.derive_errors - errors}
    return {"ok": True, **done}


async def roll(region: Region) -> dict[str, Any]:
    """Move all there is from the journal into the lake, due or not, and drop there what is older
    or more than retention allows."""
    try:
        with trio.move_on_after(ROTATE_S):
            await region.journal.rotate()
        await region.ingest.caught_up(ROTATE_S)
        segments = await region.roller.roll_now()
        return {"ok": True, "segments": segments, "dropped": await region.roller.keep_now()}
    except FAILURES as error:
        raise Refusal(503, "roll_failed", str(error)) from None


# What the control socket offers of it.
COMMANDS = {"verify": verify, "rebuild": rebuild, "roll": roll}
