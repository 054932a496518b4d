"""Jobs on a clock of our own: restarts, jumps both ways, failures."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from appliance.actors.scheduler import LOOK_S, Job, Scheduler
from appliance.core.schedule import Calendar, Every
from appliance.log import Log
from tests.actors.hooks_kit import NOON_S, InlineTables, WallClock

HOUR_S, DAY_S, WEEK_S = 3600, 24 * 3600, 7 * 24 * 3600
MONDAY_TEN = Calendar(10, weekday=0)


class Ran:
    """Which moments a job was run for."""

    def __init__(self) -> None:
        self.moments: list[int] = []
        self.fails = 0

    async def __call__(self, due_s: int) -> None:
        await trio.lowlevel.checkpoint()
        if self.fails:
            self.fails -= 1
            raise OSError("no such luck")
        self.moments.append(due_s)


@pytest.fixture
def tables(tmp_path: Path) -> Iterator[InlineTables]:
    opened = InlineTables(tmp_path)
    yield opened
    opened.close()


@asynccontextmanager
async def running(tables: Any, jobs: list[Job], clock: WallClock) -> AsyncIterator[Scheduler]:
    scheduler = Scheduler(tables, jobs, Log("error"), clock=clock)
    async with trio.open_nursery() as nursery:
        await nursery.start(scheduler.run)
        yield scheduler
        scheduler.close()


async def test_each_minute_and_each_monday(autojump_clock: Any, tables: InlineTables):
    minutes, mondays, clock = Ran(), Ran(), WallClock()
    jobs = [
        Job("minutes", Every(60), minutes, kept=False),
        Job("mondays", MONDAY_TEN, mondays),
    ]
    async with running(tables, jobs, clock) as scheduler:
        await trio.sleep(HOUR_S + 1)
        assert len(minutes.moments) == 60
        assert minutes.moments == sorted(set(minutes.moments))
        assert all(moment % 60 == 0 for moment in minutes.moments)
        assert mondays.moments == []
        await trio.sleep(WEEK_S)
        assert mondays.moments == [MONDAY_TEN.following(NOON_S)]
        assert (scheduler.trouble, scheduler.inbox) == ("", 0)
    assert tables.writes == 2  # no disk is woken for what comes each minute


async def test_what_was_missed_while_down_is_run_once_and_what_was_done_not_again(
    autojump_clock: Any, tables: InlineTables
):
    ran, clock = Ran(), WallClock()
    jobs = [Job("mondays", MONDAY_TEN, ran)]
    async with running(tables, jobs, clock):
        await trio.sleep(4 * DAY_S)
    first = MONDAY_TEN.following(NOON_S)
    assert ran.moments == [first]
    async with running(tables, jobs, clock):
        await trio.sleep(HOUR_S)
    assert ran.moments == [first]
    clock.jumped_s += 3 * WEEK_S
    async with running(tables, jobs, clock):
        await trio.sleep(HOUR_S)
    assert ran.moments == [first, first + 3 * WEEK_S]


async def test_jumps_of_the_clock(autojump_clock: Any, tables: InlineTables):
    ran, clock = Ran(), WallClock()
    first = MONDAY_TEN.following(NOON_S)
    async with running(tables, [Job("mondays", MONDAY_TEN, ran)], clock):
        await trio.sleep(1)
        clock.jumped_s = first - NOON_S  # ahead: noticed soon, not in three days
        await trio.sleep(LOOK_S + 1)
        assert ran.moments == [first]
        clock.jumped_s -= 2 * HOUR_S  # back over the moment: it is not run again
        await trio.sleep(DAY_S)
        assert ran.moments == [first]
        clock.jumped_s += 52 * WEEK_S  # a wrong clock, put right
        await trio.sleep(LOOK_S + 1)
        clock.jumped_s -= 52 * WEEK_S
        await trio.sleep(WEEK_S)
        assert ran.moments == [first, first + 52 * WEEK_S, first + WEEK_S]


async def test_a_job_that_fails_is_tried_again_and_keeps_no_other_from_running(
    autojump_clock: Any, tables: InlineTables
):
    minutes, mondays, clock = Ran(), Ran(), WallClock()
    mondays.fails = 2
    first = MONDAY_TEN.following(NOON_S)
    clock.jumped_s = first - NOON_S - 90
    jobs = [Job("minutes", Every(60), minutes), Job("mondays", MONDAY_TEN, mondays)]
    async with running(tables, jobs, clock) as scheduler:
        await trio.sleep(120)
        assert "OSError: no such luck" in scheduler.trouble
        assert len(minutes.moments) == 2
        await trio.sleep(120)
        assert mondays.moments == [first]
        assert scheduler.trouble == ""


async def test_a_store_that_breaks_is_trouble_and_no_end(autojump_clock: Any, tables: InlineTables):
    ran, clock = Ran(), WallClock()
    tables.broken = True
    first = MONDAY_TEN.following(NOON_S)
    async with running(tables, [Job("mondays", MONDAY_TEN, ran)], clock) as scheduler:
        await trio.sleep(61)
        assert "state store" in scheduler.trouble
        tables.broken = False
        await trio.sleep(61)
        assert scheduler.trouble == ""
        clock.jumped_s = first - NOON_S
        await trio.sleep(61)
        assert ran.moments == [first]
