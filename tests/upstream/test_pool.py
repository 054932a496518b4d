"""The pool: last in, first out, by key; what is old, dead or too many is closed."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from appliance.errors import UpstreamFailed
from appliance.exchange import Watch
from appliance.upstream import pool as module
from appliance.upstream.http1 import UpstreamConnection
from appliance.upstream.pool import Pool, PoolKey
from appliance.wire import Wire, Woken

KEY = PoolKey("https", "api.example", 443, "settings", "us")


class FakeWire:
    """Remembers whether it was closed."""

    def __init__(self) -> None:
        self.sock: Any = None
        self.fresh = True
        self.closed = False

    def is_fresh(self) -> bool:
        return self.fresh

    def close(self) -> None:
        self.closed = True


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "monotonic", clock)
    return clock


async def dial(key: PoolKey) -> Wire:
    return FakeWire()  # type: ignore[return-value]


def connection_of(clock: Clock, key: PoolKey = KEY) -> UpstreamConnection:
    connection = UpstreamConnection(key, FakeWire())  # type: ignore[arg-type]
    connection.born_s = clock.now_s
    return connection


def is_closed(connection: UpstreamConnection) -> bool:
    wire: Any = connection.wire
    closed: bool = wire.closed
    return closed


def test_last_in_first_out(clock: Clock) -> None:
    pool = Pool(dial)
    first, second = connection_of(clock), connection_of(clock)
    pool.give_back(first)
    pool.give_back(second)
    assert pool.idle_count() == 2
    assert pool.take_idle(KEY) is second
    assert pool.take_idle(KEY) is first
    assert pool.take_idle(KEY) is None
    assert pool.reused == 2


@pytest.mark.parametrize(
    "other",
    [
        KEY._replace(scheme="http"),
        KEY._replace(host="api.other"),
        KEY._replace(port=444),
        KEY._replace(settings="other settings"),
        KEY._replace(region="eu"),
    ],
)
def test_nothing_is_mixed(clock: Clock, other: PoolKey) -> None:
    pool = Pool(dial)
    pool.give_back(connection_of(clock))
    assert pool.take_idle(other) is None


def test_what_looks_dead_is_closed_and_the_next_taken(clock: Clock) -> None:
    pool = Pool(dial)
    alive, dead = connection_of(clock), connection_of(clock)
    wire: Any = dead.wire
    wire.fresh = False
    pool.give_back(alive)
    pool.give_back(dead)
    assert pool.take_idle(KEY) is alive
    assert is_closed(dead)


@pytest.mark.parametrize("pass_s", [module.IDLE_S, module.LIFETIME_S])
def test_what_idled_or_lived_too_long_is_not_used(clock: Clock, pass_s: float) -> None:
    pool = Pool(dial)
    connection = connection_of(clock)
    if pass_s == module.LIFETIME_S:
        connection.born_s -= pass_s
        pool.give_back(connection)
    else:
        pool.give_back(connection)
        clock.now_s += pass_s
    assert pool.take_idle(KEY) is None
    assert is_closed(connection)


def test_sweep(clock: Clock) -> None:
    pool = Pool(dial)
    old = connection_of(clock)
    pool.give_back(old)
    clock.now_s += module.IDLE_S - 1
    young = connection_of(clock)
    pool.give_back(young)
    other = connection_of(clock, KEY._replace(port=1))
    pool.give_back(other)
    clock.now_s += 2
    pool.sweep()
    assert is_closed(old)
    assert not is_closed(young)
    assert pool.idle_count() == 2
    clock.now_s += module.IDLE_S + 1
    pool.sweep()
    assert pool.idle_count() == 0
    assert pool._idle == {}  # empty origins are forgotten


def test_idle_connections_are_bounded(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "IDLE_PER_ORIGIN_MAX", 3)
    pool = Pool(dial)
    given = [connection_of(clock) for _ in range(5)]
    for connection in given:
        pool.give_back(connection)
    assert [is_closed(connection) for connection in given] == [True, True, False, False, False]


def test_closing(clock: Clock) -> None:
    pool = Pool(dial)
    idle, lent = connection_of(clock), connection_of(clock)
    pool.give_back(idle)
    pool.close()
    assert is_closed(idle)
    pool.give_back(lent)
    assert is_closed(lent)
    assert pool.idle_count() == 0


async def test_connect() -> None:
    pool = Pool(dial)
    connection = await pool.connect(KEY, 1.0, Watch(None))
    assert (connection.key, connection.used, pool.dialled) == (KEY, 0, 1)


async def never(key: PoolKey) -> Wire:
    await trio.sleep_forever()
    raise AssertionError


async def test_connect_takes_too_long(autojump_clock: object) -> None:
    with pytest.raises(UpstreamFailed) as raised:
        await Pool(never).connect(KEY, 5.0, Watch(None))
    assert raised.value.name == "timeout_connect"
    assert raised.value.retryable
    assert "api.example:443" in raised.value.message
    assert "[deadlines] connect" in raised.value.message


async def test_a_client_that_goes_ends_the_connect(autojump_clock: object) -> None:
    watch = Watch(None)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(hang_up_later, watch)
        with pytest.raises(Woken):
            await Pool(never).connect(KEY, 60.0, watch)
    assert trio.current_time() < 60


async def hang_up_later(watch: Watch) -> None:
    await trio.sleep(1)
    watch.hang_up()
