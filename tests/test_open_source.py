"""Who answers a command: the server, the directory, or a server that is starting just now."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pytest
import trio

from appliance import offline
from appliance.commands import open_source
from appliance.config import load_config
from appliance.door.control import serve_control
from storage.directory import Root, RootBusy


def asked(data: Path) -> tuple[bool, list[list[Any]]]:
    """Whether it was a server, and the rows."""
    config = load_config({"data_dir": str(data)}, {})
    with open_source(config) as source, source.query("SELECT 1 AS n") as result:
        return source.live, result.fetch(10)


def test_the_directory_when_there_is_no_server(tmp_path: Path) -> None:
    Root.open(tmp_path).close()
    assert asked(tmp_path) == (False, [[1]])


async def test_a_server_that_holds_the_lock_before_it_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one that starts; it is asked as soon as it can be, and the lock is not waited for."""
    waits = trio.Event()
    token = trio.lowlevel.current_trio_token()

    async def query(_: object, reply: Any) -> None:
        await reply.columns([("n", "INTEGER")])
        await reply.rows([(2,)])

    real = offline.time.sleep

    def sleep(seconds: float) -> None:
        with contextlib.suppress(trio.RunFinishedError):
            token.run_sync_soon(waits.set)
        real(seconds)

    monkeypatch.setattr(offline.time, "sleep", sleep)
    with Root.open(tmp_path), trio.fail_after(offline.WAIT_S / 2):
        async with trio.open_nursery() as nursery:

            async def serve() -> None:
                await waits.wait()
                await nursery.start(serve_control, tmp_path / "control.sock", {"query": query})

            nursery.start_soon(serve)
            assert await trio.to_thread.run_sync(asked, tmp_path) == (True, [[2]])
            nursery.cancel_scope.cancel()


def test_another_command_that_does_not_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offline, "WAIT_S", 0.1)
    with Root.open(tmp_path), pytest.raises(RootBusy, match="is in use by process"):
        asked(tmp_path)
