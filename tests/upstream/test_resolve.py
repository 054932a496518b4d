"""The short memory of names: good answers only, bounded, one question at a time."""

import socket

import pytest
import trio
import trio.testing

from appliance.upstream.resolve import RESOLVED_NAMES_MAX, RESOLVED_TTL_S, Resolver
from tests.upstream.names import Names


@pytest.fixture
async def names():
    known = Names(provider_example=["127.0.0.1"])
    trio.socket.set_custom_hostname_resolver(known)
    return known


async def test_good_answers_are_remembered_for_a_while(names):
    now_s = 0.0
    resolver = Resolver(clock=lambda: now_s)
    assert await resolver.resolve("provider.example") == ("127.0.0.1",)
    now_s = RESOLVED_TTL_S - 1
    await resolver.resolve("provider.example")
    assert len(names.asked) == 1
    now_s = RESOLVED_TTL_S
    names.table["provider.example"] = ["127.0.0.5", "127.0.0.5", "127.0.0.6"]
    assert await resolver.resolve("provider.example") == ("127.0.0.5", "127.0.0.6")
    assert len(names.asked) == 2


async def test_failures_are_not_remembered(names):
    resolver = Resolver()
    for _ in range(2):
        with pytest.raises(socket.gaierror):
            await resolver.resolve("nowhere.example")
    assert len(names.asked) == 2
    names.table["nowhere.example"] = []
    with pytest.raises(socket.gaierror):
        await resolver.resolve("nowhere.example")


async def test_the_memory_is_bounded(names):
    resolver = Resolver()
    for number in range(RESOLVED_NAMES_MAX + 5):
        names.table[f"h{number}.example"] = ["127.0.0.1"]
        await resolver.resolve(f"h{number}.example")
    assert len(resolver._known) == RESOLVED_NAMES_MAX
    names.asked.clear()
    await resolver.resolve(f"h{RESOLVED_NAMES_MAX}.example")
    assert names.asked == []


async def test_many_tasks_ask_once(names):
    names.gate = trio.Event()
    resolver = Resolver()
    got: list[tuple[str, ...]] = []

    async def ask() -> None:
        got.append(await resolver.resolve("provider.example"))

    async with trio.open_nursery() as nursery:
        for _ in range(10):
            nursery.start_soon(ask)
        await trio.testing.wait_all_tasks_blocked()
        names.gate.set()
    assert (len(got), len(names.asked)) == (10, 1)


async def test_a_cancelled_question_is_asked_by_the_next(names):
    names.gate = trio.Event()
    resolver = Resolver()
    scope = trio.CancelScope()
    got: list[tuple[str, ...]] = []

    async def first() -> None:
        with scope:
            await resolver.resolve("provider.example")

    async def second() -> None:
        got.append(await resolver.resolve("provider.example"))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(first)
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(second)
        await trio.testing.wait_all_tasks_blocked()
        scope.cancel("it gave up")
        await trio.testing.wait_all_tasks_blocked()
        names.gate.set()
    assert got == [("127.0.0.1",)]
    assert len(names.asked) == 2
