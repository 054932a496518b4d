"""The database is made anew while the server runs, from what lake and journal hold."""

import os
from pathlib import Path

import pytest
import trio

from storage.analytics import Analytics, AnalyticsFailed
from storage.query import QueryCancelled
from tests.actors.ingest_kit import House, append, running
from tests.storage.analytics_rows import opened

NAME = "a.duckdb"


def open_files(path: Path) -> int:
    """How often this process holds a file open, deleted or not."""
    links = [f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd")]
    return sum(os.readlink(link).startswith(str(path)) for link in links if os.path.exists(link))


async def test_renewed_with_all_rows(tmp_path: Path) -> None:
    path = tmp_path / NAME
    async with running(tmp_path, open_analytics=lambda: opened(path), remove=path.unlink) as house:
        append(house.journal, *range(50))
        assert await house.ask() == [(50, 50)]
        first = house.ingest.analytics
        append(house.journal, *range(50, 60))
        await house.ingest.renew()
        assert house.ingest.analytics is not first
        assert await house.ask() == [(60, 60)]
        assert house.ingest.stats.failures == 0


async def test_queries_in_progress_end_and_hold_no_file(tmp_path: Path) -> None:
    path = tmp_path / NAME
    async with running(tmp_path, open_analytics=lambda: opened(path), remove=path.unlink) as house:
        append(house.journal, *range(500))
        await house.settled()
        assert house.ingest.analytics is not None
        paused = house.ingest.analytics.query("FROM requests")
        assert paused.fetch(5)
        await house.ingest.renew()
        with pytest.raises(QueryCancelled):
            paused.fetch(5)
        paused.close()
        assert open_files(path) <= 2  # the new one and its log
        assert await house.ask() == [(500, 500)]


async def test_two_wishes_are_one_renewal(tmp_path: Path) -> None:
    count = 0

    def open_one() -> Analytics:
        nonlocal count
        count += 1
        return opened(None)

    async with running(tmp_path, open_analytics=open_one) as house:
        append(house.journal, 1)
        await house.settled()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(house.ingest.renew)
            nursery.start_soon(house.ingest.renew)
        assert await house.ask() == [(1, 1)]
        assert count == 2


async def test_a_removal_that_fails_is_tried_again(tmp_path: Path) -> None:
    errors: list[Exception] = [OSError("busy")] * 3

    def remove() -> None:
        if errors:
            raise errors.pop()

    async with running(tmp_path, remove=remove) as house:
        append(house.journal, 1)
        await house.settled()
        await house.ingest.renew()
        assert not errors
        assert await house.ask() == [(1, 1)]
        assert house.ingest.stats.error is None


async def test_a_renewal_ends_with_the_server(tmp_path: Path) -> None:
    tries = 0

    def remove() -> None:
        nonlocal tries
        tries += 1
        raise OSError("busy")

    async def renewed(house: House) -> None:
        with pytest.raises(AnalyticsFailed, match="the server ends before"):
            await house.ingest.renew()

    async with trio.open_nursery() as nursery, running(tmp_path, remove=remove) as house:
        await house.settled()
        nursery.start_soon(renewed, house)
        await trio.testing.wait_all_tasks_blocked(0.01)
    assert tries, "the renewal was under way"


async def test_who_waits_while_it_ends_does_not_turn_round_and_round(tmp_path: Path) -> None:
    async with running(tmp_path) as house:
        append(house.journal, 1)
        await house.settled()
    steps = 0

    class Counting(trio.abc.Instrument):
        def before_task_step(self, task: trio.lowlevel.Task) -> None:
            nonlocal steps
            steps += 1

    counting = Counting()
    trio.lowlevel.add_instrument(counting)
    assert await house.ingest.caught_up(0.05) is not None
    trio.lowlevel.remove_instrument(counting)
    assert steps < 10
