"""Processes for user SQL: real ones, with limits that a test can wait for."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from appliance.actors.sandbox import (
    AT_ONCE,
    WAITING_MAX,
    BodiesWanted,
    Sandbox,
    SandboxBusy,
    SandboxFailed,
    SandboxProcess,
    Turns,
)
from storage.sandbox_wire import Job
from tests.fakes.patience import PATIENCE_S

ORG = "00000000-0000-4000-8000-000000000001"


def job(sql: str, **changes: Any) -> Job:
    values = {"form": "rows", "rows_max": 1000, "bytes_max": 10**7, **changes}
    return Job(sql, ORG, **values)


async def found(process: SandboxProcess, sql: str, **changes: Any) -> bytes:
    pieces = []

    async def take(data: bytes) -> None:
        pieces.append(data)

    await process.run(job(sql, **changes), (), take)
    return b"".join(pieces)


@asynccontextmanager
async def running(**options: Any) -> AsyncIterator[Sandbox]:
    sandbox = Sandbox(**options)
    async with trio.open_nursery() as nursery:
        await nursery.start(sandbox.run)
        try:
            yield sandbox
        finally:
            sandbox.close()


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_a_process_serves_one_query_after_another() -> None:
    async with running() as sandbox:
        for number in range(3):
            async with sandbox.turn("a") as process:
                assert await found(process, f"SELECT {number} AS n") == b'{"n":%d}' % number
        assert (sandbox.started, sandbox.killed) == (1, 0)
        async with sandbox.turn("a") as process:
            with pytest.raises(SandboxFailed, match="INVALID_TABLE"):
                await found(process, "SELECT * FROM nowhere")
            with pytest.raises(BodiesWanted):
                await found(process, "SELECT * FROM request_response_rmt")
        assert (sandbox.started, sandbox.killed) == (1, 0), "refusals cost no process"
        pid = process.pid
    assert not alive(pid)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT repeat('x', 1500000000)",
        "SELECT length(repeat('x', 1500000000))",
        "WITH RECURSIVE t(n, s) AS (SELECT 1, 'x' UNION ALL SELECT n + 1, s || s FROM t)"
        " SELECT max(length(s)) FROM t",
        "SELECT list(x) FROM range(1000000000) AS r(x)",
        "SELECT * FROM range(1000000000) AS r(x) ORDER BY hash(x)",
    ],
)
async def test_memory_is_limited(sql: str) -> None:
    async with running(query_s=PATIENCE_S) as sandbox:
        with pytest.raises(SandboxFailed) as failed:
            async with sandbox.turn("a") as process:
                await found(process, sql)
        assert failed.value.code == "MEMORY_LIMIT_EXCEEDED"
        async with sandbox.turn("a") as process:
            assert await found(process, "SELECT 1 AS n") == b'{"n":1}'
        assert sandbox.started == 2, "it was replaced"


@pytest.mark.parametrize(
    "sql",
    [
        "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SELECT count(*) FROM t",
        "SELECT count(*) FROM range(10000000) AS a(x), range(10000000) AS b(y)"
        " WHERE hash(x + y) = 7",
        "SELECT sum(hash(x)) FROM range(100000000000000) AS r(x)",
    ],
)
async def test_time_is_limited(sql: str) -> None:
    async with running(query_s=1.0) as sandbox:
        with pytest.raises(SandboxFailed) as failed:
            async with sandbox.turn("a") as process:
                await found(process, sql)
        assert failed.value.code in ("QUERY_TIMEOUT", "MEMORY_LIMIT_EXCEEDED")
        with trio.fail_after(PATIENCE_S):
            await process._process.wait()
        sandbox._query_s = PATIENCE_S  # of the next process: on a busy machine a second is short
        for _ in range(2):  # one may have been started by then, with the old limit
            with suppress(SandboxFailed):
                async with sandbox.turn("a") as process:
                    again = await found(process, "SELECT 1 AS n")
        assert again == b'{"n":1}'


async def test_a_cancelled_query_is_killed() -> None:
    async with running() as sandbox:
        async with sandbox.turn("a") as process:
            with trio.move_on_after(0.3):
                await found(process, "SELECT sum(hash(x)) FROM range(100000000000000) AS r(x)")
        assert not alive(process.pid)
        assert (sandbox.started, sandbox.killed) == (1, 1)


async def test_it_ends_with_whoever_started_it() -> None:
    process = await SandboxProcess.start([sys.executable, "-m", "storage.sandbox"], 60)
    async with trio.open_nursery() as nursery:

        async def ask() -> None:
            with pytest.raises(SandboxFailed):
                await found(process, "SELECT sum(hash(x)) FROM range(100000000000000) AS r(x)")

        nursery.start_soon(ask)
        await trio.sleep(0.2)
        process._socket.shutdown(2)
        with trio.fail_after(PATIENCE_S):
            await process._process.wait()
    await process.end()


async def test_processes_that_rest_are_ended() -> None:
    rested = trio.Event()

    async def rest() -> None:
        rested.set()

    async with running(idle_s=0.1) as sandbox:
        sandbox.on_rest.append(rest)
        async with sandbox.turn("a") as process:
            await found(process, "SELECT 1")
        with trio.fail_after(PATIENCE_S):
            await process._process.wait()
            await rested.wait()


async def test_it_has_no_secrets_and_little_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-of-the-server")
    async with running() as sandbox, sandbox.turn("a") as process:
        await found(process, "SELECT 1")
        folder = Path(f"/proc/{process.pid}")
        assert b"sk-secret" not in (folder / "environ").read_bytes()
        limits = (folder / "limits").read_text()
        assert f"Max data size             {512 * 2**20}" in limits
        assert "Max core file size        0" in limits
        descriptors = {os.readlink(path) for path in (folder / "fd").iterdir()}
        assert not [name for name in descriptors if "duckdb" in name or "sqlite" in name]


async def test_a_command_that_does_not_start() -> None:
    for command in (["/nowhere/at-all"], [sys.executable, "-c", "pass"]):
        async with running(command=command) as sandbox:
            with pytest.raises(SandboxFailed, match="EXECUTION_FAILED"):
                async with sandbox.turn("a"):
                    raise AssertionError


# -- turns


async def hold(turns: Turns, who: str, order: list[str], let_go: trio.Event) -> None:
    async with turns.taken(who, 60):
        order.append(who)
        await let_go.wait()


async def test_whoever_has_none_comes_first(autojump_clock: trio.testing.MockClock) -> None:
    turns, order, let_go = Turns(), [], trio.Event()
    async with trio.open_nursery() as nursery:
        for who in ("a", "a", "a", "a", "b"):
            nursery.start_soon(hold, turns, who, order, let_go)
            await trio.testing.wait_all_tasks_blocked()
        assert order == ["a"] * AT_ONCE
        assert turns.waiting == 3
        let_go.set()
        await trio.testing.wait_all_tasks_blocked()
    assert order[AT_ONCE] in ("a", "b")
    assert sorted(order) == ["a", "a", "a", "a", "b"]


async def test_b_goes_before_more_of_a(autojump_clock: trio.testing.MockClock) -> None:
    turns, order = Turns(), []
    gates = [trio.Event() for _ in range(4)]
    async with trio.open_nursery() as nursery:
        for who, gate in zip(("a", "a", "a", "b"), gates, strict=True):
            nursery.start_soon(hold, turns, who, order, gate)
            await trio.testing.wait_all_tasks_blocked()
        gates[0].set()
        await trio.testing.wait_all_tasks_blocked()
        assert order == ["a", "a", "b"]
        for gate in gates:
            gate.set()


async def test_waiting_is_bounded(autojump_clock: trio.testing.MockClock) -> None:
    turns, order, never = Turns(), [], trio.Event()
    async with trio.open_nursery() as nursery:
        for _ in range(AT_ONCE + WAITING_MAX):
            nursery.start_soon(hold, turns, "a", order, never)
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(SandboxBusy):
            async with turns.taken("b", 60):
                raise AssertionError
        nursery.cancel_scope.cancel()
    assert turns.waiting == 0
    async with turns.taken("b", 1), turns.taken("b", 1):
        with pytest.raises(SandboxBusy):
            async with turns.taken("b", 1):
                raise AssertionError
    async with turns.taken("b", 1):
        pass


async def test_a_turn_that_comes_too_late_goes_on(
    autojump_clock: trio.testing.MockClock,
) -> None:
    turns, order, let_go = Turns(), [], trio.Event()
    async with trio.open_nursery() as nursery:
        for _ in range(AT_ONCE):
            nursery.start_soon(hold, turns, "a", order, let_go)
        await trio.testing.wait_all_tasks_blocked()
        async with trio.open_nursery() as leaving:
            leaving.start_soon(hold, turns, "b", order, let_go)
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(hold, turns, "c", order, let_go)
            await trio.testing.wait_all_tasks_blocked()
            let_go.set()
            leaving.cancel_scope.cancel()
    assert "c" in order
    async with turns.taken("d", 1), turns.taken("d", 1):
        pass
