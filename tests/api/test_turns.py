"""Readers take turns, so that what their answers hold is bounded."""

from typing import Any

import pytest
import trio
import trio.testing

from appliance.api.turns import READS_AT_ONCE, WAIT_S, Turns
from tests.api.kit import FakeOperations

Sent = list[dict[str, Any]]


class Slow:
    """An app whose clients take their answer only when the gate opens."""

    def __init__(self) -> None:
        self.gate = trio.Event()
        self.inside = 0
        self.most = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.inside += 1
        self.most = max(self.most, self.inside)
        try:
            await self.gate.wait()
            await send({"type": "http.response.start", "status": 200, "headers": []})
        finally:
            self.inside -= 1


@pytest.fixture
def slow() -> Slow:
    return Slow()


async def ask(turns: Turns, sent: Sent, path: str = "/v1/request/query") -> None:
    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        raise AssertionError("nobody reads")

    await turns({"type": "http", "path": path}, receive, send)


async def test_a_few_at_once_and_the_others_after_them(slow: Slow, autojump_clock: object) -> None:
    turns = Turns(slow, FakeOperations())
    sent: Sent = []
    async with trio.open_nursery() as nursery:
        for _ in range(3 * READS_AT_ONCE):
            nursery.start_soon(ask, turns, sent)
        await trio.testing.wait_all_tasks_blocked()
        assert slow.inside == READS_AT_ONCE
        slow.gate.set()
    assert slow.most == READS_AT_ONCE
    assert [message["status"] for message in sent] == [200] * 3 * READS_AT_ONCE


async def test_who_waits_too_long_may_come_back(slow: Slow, autojump_clock: object) -> None:
    operations = FakeOperations()
    turns = Turns(slow, operations)
    async with trio.open_nursery() as nursery:
        for _ in range(READS_AT_ONCE):
            nursery.start_soon(ask, turns, [])
        await trio.testing.wait_all_tasks_blocked()
        late: Sent = []
        began_s = trio.current_time()
        await ask(turns, late)
        assert trio.current_time() - began_s == pytest.approx(WAIT_S)
        assert late[0]["status"] == 503
        assert (b"retry-after", b"1") in late[0]["headers"]
        assert operations.refusals == ["reads_busy"]
        slow.gate.set()


async def test_a_cancelled_reader_gives_its_turn_back(slow: Slow, autojump_clock: object) -> None:
    turns = Turns(slow, FakeOperations())
    for _ in range(2):
        async with trio.open_nursery() as nursery:
            for _ in range(READS_AT_ONCE):
                nursery.start_soon(ask, turns, [])
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel("the clients hang up")
    assert slow.most == READS_AT_ONCE


async def test_health_waits_for_nobody(slow: Slow, autojump_clock: object) -> None:
    turns = Turns(slow, FakeOperations())
    async with trio.open_nursery() as nursery:
        for _ in range(READS_AT_ONCE):
            nursery.start_soon(ask, turns, [])
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(ask, turns, [], "/healthcheck")
        await trio.testing.wait_all_tasks_blocked()
        assert slow.inside == READS_AT_ONCE + 1
        slow.gate.set()
