import sqlite3
import threading
from functools import partial
from pathlib import Path

import pytest
import trio
import trio.testing

from appliance.actors import tables as module
from appliance.actors.tables import Tables
from appliance.errors import Refusal
from storage.state_tables import StateTables


def count(connection: sqlite3.Connection) -> int:
    return connection.execute("SELECT count(*) FROM organizations").fetchone()[0]


async def test_a_broken_file_is_a_refusal_and_a_mended_one_is_opened_anew(tmp_path: Path):
    path = tmp_path / "state.sqlite"
    tables = Tables(partial(StateTables.open, path))
    path.write_bytes(b"noise" * 1000)
    with pytest.raises(Refusal) as caught:
        await tables.read(count)
    assert caught.value.status == 503
    assert str(path) not in caught.value.message
    assert tables.failing
    path.unlink()
    assert await tables.read(count) == 1
    assert not tables.failing
    await tables.close()
    assert await tables.read(count) == 1
    await tables.close()


async def test_who_comes_when_too_many_wait_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "WAITING_MAX", 2)
    tables = Tables(partial(StateTables.open, tmp_path / "state.sqlite"))
    gate, begun = threading.Event(), threading.Event()

    def slow(connection: sqlite3.Connection) -> int:
        begun.set()
        gate.wait()
        return count(connection)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(tables.read, slow)
        await trio.to_thread.run_sync(begun.wait)
        nursery.start_soon(tables.read, count)
        nursery.start_soon(tables.write, count)
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(Refusal) as caught:
            await tables.read(count)
        assert caught.value.headers == {"Retry-After": "1"}
        gate.set()
    await tables.close()
