"""Actors are started again when they die, and end in order."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
import trio
import trio.testing

from appliance.actors.supervisor import CLOSE_S, LONGEST_WAIT_S, Supervisor
from appliance.log import Log


class Worker:
    """Does as the lives say: `fails` before it has started, `dies` after, else lives on."""

    def __init__(self, *lives: str) -> None:
        self.lives = list(lives)
        self.began: list[float] = []
        self.saved = False
        self.inbox = 0
        self.trouble = ""
        self._closed = trio.Event()

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        self.began.append(trio.current_time())
        life = self.lives.pop(0) if self.lives else "lives"
        if life == "fails":
            raise OSError("no disk")
        task_status.started()
        if life == "dies":
            raise ValueError("a bug")
        if life == "hangs":
            await trio.sleep_forever()
        await self._closed.wait()
        self.saved = True

    def close(self) -> None:
        self._closed.set()


@pytest.fixture
def log() -> Iterator[Log]:
    with open(os.devnull, "w") as nowhere:
        made = Log(descriptor=nowhere.fileno())
        yield made
        made.close()


async def test_it_is_started_again_ever_later(log: Log, autojump_clock: trio.abc.Clock) -> None:
    worker, other = Worker(*["dies"] * 12), Worker()
    supervisor = Supervisor(log)
    seat = supervisor.add("limits", worker)
    supervisor.add("cache", other)
    async with trio.open_nursery() as nursery:
        await nursery.start(supervisor.run)
        await trio.sleep(1000)
        assert (seat.state, seat.restarts) == ("running", 12)
        waits = [late - soon for soon, late in zip(worker.began, worker.began[1:], strict=False)]
        assert waits == sorted(waits)
        assert 0.1 <= waits[0] < 1
        assert waits[-1] == pytest.approx(LONGEST_WAIT_S)
        assert len(other.began) == 1
        await supervisor.close()
    assert worker.saved
    assert other.saved
    assert [seat.state for seat in supervisor.seats] == ["ended", "ended"]


async def test_a_start_that_fails_keeps_nobody_waiting(
    log: Log, autojump_clock: trio.abc.Clock
) -> None:
    worker = Worker(*["fails"] * 3)
    supervisor = Supervisor(log)
    supervisor.add("limits", worker)
    async with trio.open_nursery() as nursery:
        await nursery.start(supervisor.run)
        assert list(supervisor.troubles()) == [("limits", "OSError: no disk")]
        await trio.sleep(10)
        assert list(supervisor.troubles()) == []
        worker.trouble = "is not saved"
        assert list(supervisor.troubles()) == [("limits", "is not saved")]
        await supervisor.close()


async def test_one_that_hangs_does_not_hold_the_end(
    log: Log, autojump_clock: trio.abc.Clock
) -> None:
    supervisor = Supervisor(log)
    supervisor.add("limits", Worker("hangs"))
    async with trio.open_nursery() as nursery:
        await nursery.start(supervisor.run)
        began_s = trio.current_time()
        await supervisor.close()
        assert trio.current_time() - began_s == pytest.approx(CLOSE_S)
        nursery.cancel_scope.cancel()
