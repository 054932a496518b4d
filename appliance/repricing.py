"""`reprice`: recorded calls by the price book in force, and a correcting row for each that cost
something else. In a running server beside its calls, or by the command that holds the directory.

A run that was broken off is simply begun again: what was corrected by then is found to be right.
Money of the wallet was settled when the call ended, and stays as it is: what was paid at the price
of its day is paid. Who wants it otherwise makes a transfer of their own (`wallet top-up`, `debit`).
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import msgspec
import trio

from appliance.control_commands import RegionWork, check_whole, freshness, run_query
from appliance.core.derive import PriceOf
from appliance.core.repriced import SELECTED, Recorded, Repricing, within
from appliance.door.control import ControlReply
from appliance.errors import Refusal
from storage.frames import KIND_COST

if TYPE_CHECKING:
    from appliance.actors.region import Region
    from appliance.offline_query import OfflineQuery

COMMAND, DRY = "reprice", "reprice.show"
SLICE: Final = 40  # calls between two looks at what else there is to do: 1 ms
TOLD_EVERY: Final = 2000
SEEN_WAIT_S: Final = 30.0
WRITTEN_WAIT_S: Final = 10.0  # for a page of corrections to have left memory
PAGE_ROWS: Final = 200

Append = Callable[[int, bytes, bytes], object]
Settle = Callable[[], Awaitable[None]]
Tell = Callable[[object], Awaitable[None]]


def work(price: Callable[[], PriceOf]) -> dict[str, RegionWork]:
    """What a server does of it. `price`: the book in force, asked when a run begins."""

    def named(*, dry: bool) -> RegionWork:
        async def run(region: Region, given: Mapping[str, Any], reply: ControlReply) -> object:
            return await reprice_region(region, price(), given, reply.value, dry=dry)

        return run

    return {COMMAND: named(dry=False), DRY: named(dry=True)}


class Corrections:
    """One run: pages of calls in, frames out."""

    def __init__(self, price: PriceOf, append: Append | None, settle: Settle | None) -> None:
        """Without `append` it only counts. `settle` follows each page that had corrections."""
        self.run = Repricing(price, time.time_ns() // 1000)
        self._append = append
        self._settle = settle

    async def page(self, rows: Sequence[Sequence[Any]]) -> None:
        """Raises what `settle` raises."""
        changed = False
        waiting = iter(rows)
        while some := list(islice(waiting, SLICE)):
            for row in some:
                call = Recorded(*row)
                correction = self.run.look(call)
                if correction is not None and self._append is not None:
                    payload = msgspec.msgpack.encode(correction)
                    self._append(KIND_COST, call.organization_id.bytes, payload)
                    changed = True
            await trio.lowlevel.checkpoint()
        if changed and self._settle is not None:
            await self._settle()


async def reprice_region(
    region: Region, price: PriceOf, given: Mapping[str, Any], tell: Tell, *, dry: bool
) -> dict[str, Any]:
    """Of a region that is being served. The views show the corrections when this returns; where
    they do not yet, `stale_by_ms` is told. Raises Refusal."""
    if not dry:
        _refuse_degraded(region)
    await freshness(region)
    check_whole(region)
    source = _source(given)
    total = 0

    async def count(_: object, rows: list[tuple[Any, ...]]) -> None:
        nonlocal total
        total = rows[0][0] if rows else total

    await run_query(region, f"SELECT count(*) {source}", (), count, whole=True)

    async def written() -> None:
        with trio.move_on_after(WRITTEN_WAIT_S) as waiting:
            await region.journal.wait_written()
        _refuse_degraded(region, slow=waiting.cancelled_caught)

    work = Corrections(price, None if dry else region.append, written)
    told_at = 0

    async def take(_: object, rows: list[tuple[Any, ...]]) -> None:
        nonlocal told_at
        await work.page(rows)
        if work.run.seen - told_at >= TOLD_EVERY:
            told_at = work.run.seen
            await tell({"progress": {"done": work.run.seen, "total": total}})

    await run_query(region, f"SELECT {SELECTED} {source}", (), take, whole=True)
    stale_ms = None if dry else await region.ingest.caught_up(SEEN_WAIT_S)
    stale = {} if stale_ms is None else {"stale_by_ms": round(stale_ms)}
    return {"dry_run": dry, **work.run.told(), **stale}


def _refuse_degraded(region: Region, *, slow: bool = False) -> None:
    """A correction that is told of must not be lost with what waits in memory."""
    why = region.degraded or ("it is too slow" if slow else None)
    if why is not None:
        raise Refusal(
            503, "reprice_unsafe",
            f"the journal is degraded: {why}; begin again when `status` says that it is well",
        )  # fmt: skip


async def reprice_query(
    ask: Callable[[str], OfflineQuery],
    price: PriceOf,
    given: Mapping[str, Any],
    progress: Callable[[dict[str, Any]], None],
    append: Append | None,
) -> dict[str, Any]:
    """Of a directory that this process holds: whoever closes the journal makes it safe."""
    source = _source(given)
    counted = ask(f"SELECT count(*) {source}")
    total = counted.fetch()[0][0]
    counted.close()
    work = Corrections(price, append, None)
    query = ask(f"SELECT {SELECTED} {source}")
    try:
        while rows := query.fetch(PAGE_ROWS):
            await work.page(rows)
            progress({"done": work.run.seen, "total": total})
    finally:
        query.close()
    return {"dry_run": append is None, **work.run.told()}


def _source(given: Mapping[str, Any]) -> str:
    """The calls that are meant, as the command has put the times. Raises Refusal 400."""
    moments: list[datetime | None] = []
    for name in ("since", "until"):
        text = str(given.get(name) or "")
        try:
            moment = datetime.fromisoformat(text) if text else None
        except ValueError:
            raise Refusal(400, "bad_time", f'{name}: "{text}" is no time') from None
        moments.append(moment)
    return within(moments[0], moments[1])
