"""Identical misses at once: one asks, the rest get its answer, or go on alone."""

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from appliance.actors import cache_flights as module
from appliance.actors.cache_flights import Flights, Follower, Lead
from appliance.core.cache_entry import Entry
from tests.actors.cache_kit import entry

KEY = b"k" * 16


def lead(flights: Flights, key: bytes = KEY) -> Lead:
    joined = flights.join(key)
    assert isinstance(joined, Lead)
    return joined


def follower(flights: Flights) -> Follower:
    joined = flights.join(KEY)
    assert isinstance(joined, Follower)
    return joined


async def waiting(flights: Flights, count: int, got: list[Entry | None]) -> None:
    async def wait(one: Follower) -> None:
        got.append(await one.wait())

    async with trio.open_nursery() as nursery:
        for _ in range(count):
            nursery.start_soon(wait, follower(flights))


async def test_all_get_what_the_first_got(nursery: trio.Nursery) -> None:
    flights, got, made = Flights(), list[Entry | None](), entry()
    with lead(flights) as first:
        nursery.start_soon(waiting, flights, 50, got)
        await wait_all_tasks_blocked()
        assert got == []
        first.land(made)
    await wait_all_tasks_blocked()
    assert got == [made] * 50
    assert (len(flights), flights.followed) == (0, 50)
    lead(flights)  # the next miss asks anew


@pytest.mark.parametrize("how", ["leaves", "fails", "says so"])
async def test_a_leader_without_an_answer(nursery: trio.Nursery, how: str) -> None:
    flights, got = Flights(), list[Entry | None]()

    async def leading() -> None:
        with lead(flights) as first:
            nursery.start_soon(waiting, flights, 3, got)
            await wait_all_tasks_blocked()
            if how == "fails":
                raise OSError
            if how == "says so":
                first.land(None)
                first.land(entry())  # too late

    try:
        await leading()
    except OSError:
        assert how == "fails"
    await wait_all_tasks_blocked()
    assert got == [None] * 3
    assert len(flights) == 0


async def test_a_cancelled_leader_lets_go(nursery: trio.Nursery) -> None:
    flights, got = Flights(), list[Entry | None]()
    with trio.CancelScope() as scope, lead(flights):
        nursery.start_soon(waiting, flights, 2, got)
        await wait_all_tasks_blocked()
        scope.cancel()
        await trio.sleep_forever()
    await wait_all_tasks_blocked()
    assert got == [None] * 2


async def test_waiting_has_an_end(autojump_clock: trio.testing.MockClock) -> None:
    flights = Flights()
    with lead(flights) as first:
        one = follower(flights)
        began_s = trio.current_time()
        assert await one.wait(7.0) is None
        assert trio.current_time() - began_s == pytest.approx(7.0)
        first.land(entry())
    assert await one.wait(0) is None  # it has gone on alone


async def test_a_follower_is_woken_from_outside(nursery: trio.Nursery) -> None:
    flights, got = Flights(), list[Entry | None]()
    with lead(flights) as first:
        one = follower(flights)

        async def wait() -> None:
            got.append(await one.wait())

        nursery.start_soon(wait)
        await wait_all_tasks_blocked()
        one.wake()
        one.wake()
        await wait_all_tasks_blocked()
        assert got == [None]
        first.land(entry())
    assert await one.wait() is None


async def test_what_came_before_the_waking_counts() -> None:
    flights, made = Flights(), entry()
    with lead(flights) as first:
        one = follower(flights)
        first.land(made)
        one.wake()
    assert await one.wait() is made


async def test_a_cancelled_follower_is_not_given_anything() -> None:
    flights = Flights()
    with lead(flights) as first:
        one = follower(flights)
        with trio.move_on_after(0):
            await one.wait()
        first.land(entry())
    with trio.move_on_after(0):
        assert await one.wait() is None


def test_keys_fly_apart() -> None:
    flights = Flights()
    with lead(flights), lead(flights, b"j" * 16):
        assert len(flights) == 2
    assert len(flights) == 0


def test_both_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FLIGHTS_MAX", 1)
    monkeypatch.setattr(module, "FOLLOWERS_MAX", 2)
    flights = Flights()
    with lead(flights):
        assert flights.join(b"j" * 16) is None
        follower(flights)
        one = follower(flights)
        assert flights.join(KEY) is None
        one.wake()
        follower(flights)  # there is room again
