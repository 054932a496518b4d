"""Who waits for provider keys and how long: one load for all, tiers that hang, changes that were
given up, and the task that looks after all of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import trio

from appliance.actors import provider_key_tiers as module
from appliance.errors import Refusal
from storage.provider_key_snapshot import Snapshot
from storage.provider_keys import ProviderKeyStore
from tests.actors.provider_keys_kit import ORG, PLANTED, Gate, Home, stored, text_of


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


async def test_a_thousand_misses_make_one_load(
    home: Home, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stored(home.ring())
    home.snapshot.unlink()
    gate = Gate()
    monkeypatch.setattr(ProviderKeyStore, "read", gate.before(ProviderKeyStore.read))
    monkeypatch.setattr(module, "SQLITE_S", 30.0)
    ring = home.ring()
    found: list[str | None] = []

    async def ask() -> None:
        found.append(await text_of(ring))

    for _ in range(1000):
        nursery.start_soon(ask)
    await trio.testing.wait_all_tasks_blocked()
    assert await trio.to_thread.run_sync(gate.waiting.wait, 30)
    gate.opened.set()
    with trio.fail_after(30):
        while len(found) < 1000:
            await trio.testing.wait_all_tasks_blocked(0.01)
    assert found == [PLANTED] * 1000
    assert (gate.passed, ring.stats.sqlite_reads, ring.stats.snapshot_reads) == (1, 1, 1)


async def test_whoever_loads_may_hang_up(
    home: Home, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stored(home.ring())
    home.snapshot.unlink()
    gate = Gate()
    monkeypatch.setattr(ProviderKeyStore, "read", gate.before(ProviderKeyStore.read))
    monkeypatch.setattr(module, "SQLITE_S", 30.0)
    ring = home.ring()
    scope = trio.CancelScope()
    found: list[str | None] = []

    async def first() -> None:
        with scope:
            await ring.load(ORG, "openai")

    async def second() -> None:
        found.append(await text_of(ring))

    nursery.start_soon(first)
    assert await trio.to_thread.run_sync(gate.waiting.wait, 30)
    nursery.start_soon(second)
    await trio.testing.wait_all_tasks_blocked()
    scope.cancel()
    await trio.testing.wait_all_tasks_blocked()
    gate.opened.set()
    with trio.fail_after(30):
        while not found:
            await trio.testing.wait_all_tasks_blocked(0.01)
    assert found == [PLANTED]


async def test_a_state_that_is_slower_than_its_time_is_not_waited_for(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert module.SQLITE_S == 0.25
    await stored(home.ring())
    gate = Gate()
    monkeypatch.setattr(ProviderKeyStore, "stamp", gate.before(ProviderKeyStore.stamp))
    ring = home.ring()
    began_s = trio.current_time()
    assert await text_of(ring) == PLANTED
    assert trio.current_time() - began_s < 5
    assert ring.state == "snapshot"
    assert "no answer in 250 ms" in ring.trouble
    # The call that was given up still runs, and the next one does not overtake it.
    await ring.check()
    assert gate.passed == 0
    gate.opened.set()
    monkeypatch.setattr(module, "SQLITE_S", 30.0)
    await ring.check()
    assert (ring.state, ring.trouble, gate.passed) == ("sqlite", "", 2)


async def test_a_snapshot_that_hangs_is_not_waited_for(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stored(home.ring())
    gate = Gate()
    monkeypatch.setattr(Snapshot, "read", gate.before(Snapshot.read))
    monkeypatch.setattr(module, "SNAPSHOT_S", 0.01)
    monkeypatch.setattr(module, "WRITE_S", 0.01)
    ring = home.ring()
    assert await text_of(ring) == PLANTED
    assert "provider_keys.snapshot: no answer in 10 ms" in ring.trouble
    gate.opened.set()


async def test_a_snapshot_that_was_slow_once_is_no_trouble_any_more(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    ring = home.ring()
    await stored(ring)
    gate = Gate()
    monkeypatch.setattr(Snapshot, "is_as_left", gate.before(Snapshot.is_as_left))
    monkeypatch.setattr(module, "SNAPSHOT_S", 0.01)
    await ring.check()
    assert "provider_keys.snapshot: no answer in 10 ms" in ring.trouble
    gate.opened.set()
    monkeypatch.setattr(module, "SNAPSHOT_S", 30.0)
    await ring.check()
    assert ring.trouble == ""


async def test_a_change_given_up_is_looked_up_before_anything_else(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    ring = home.ring()
    key_id = await stored(ring)
    gate = Gate()
    monkeypatch.setattr(ProviderKeyStore, "drop", gate.before(ProviderKeyStore.drop))
    monkeypatch.setattr(module, "WRITE_S", 0.02)
    with pytest.raises(Refusal) as refusal:
        await ring.remove(ORG, key_id)
    assert refusal.value.status == 503
    # Whether it is removed nobody knows: no snapshot says that it is not.
    assert not home.snapshot.exists()
    monkeypatch.setattr(module, "SQLITE_S", 0.02)
    await ring.check()
    assert not home.snapshot.exists()
    monkeypatch.setattr(module, "SQLITE_S", 30.0)
    monkeypatch.setattr(module, "WRITE_S", 30.0)
    gate.opened.set()
    await ring.check()
    assert await ring.load(ORG, "openai") is None
    assert home.snapshot.exists()


async def test_the_task_looks_at_once_what_became_of_a_change_given_up(
    home: Home, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    ring = home.ring(check_s=3600)
    await nursery.start(ring.run)
    key_id = await stored(ring)
    gate = Gate()
    monkeypatch.setattr(ProviderKeyStore, "drop", gate.before(ProviderKeyStore.drop))
    monkeypatch.setattr(module, "WRITE_S", 0.02)
    monkeypatch.setattr(module, "SQLITE_S", 30.0)
    with pytest.raises(Refusal):
        await ring.remove(ORG, key_id)
    gate.opened.set()
    await until(lambda: len(ring) == 0)
    ring.close()


async def test_the_task_notices_and_mends(home: Home, nursery: trio.Nursery) -> None:
    ring = home.ring(check_s=0.001)
    await nursery.start(ring.run)
    assert ring.state == "sqlite"
    await stored(ring)
    kept = home.spoil()
    await until(lambda: "state.sqlite" in ring.trouble)
    assert await text_of(ring) == PLANTED
    home.put_back(kept)
    await until(lambda: not ring.trouble)
    # What another program has changed shows too.
    home.sql("DELETE FROM provider_keys")
    home.sql("UPDATE provider_keys_version SET version = version + 1")
    await until(lambda: len(ring) == 0)
    assert await ring.load(ORG, "openai") is None
    home.vault.rotate()
    await stored(ring)
    ring.close()


async def test_the_task_starts_again_after_it_has_died(home: Home) -> None:
    ring = home.ring(check_s=0.001)
    await stored(ring)
    for _ in range(2):
        async with trio.open_nursery() as nursery:
            await nursery.start(ring.run)
            nursery.cancel_scope.cancel()
        assert await text_of(ring) == PLANTED
    async with trio.open_nursery() as nursery:
        await nursery.start(ring.run)
        ring.close()
    assert ring.inbox == 0


async def until(holds: Callable[[], bool]) -> None:
    with trio.fail_after(30):
        while not holds():
            await trio.testing.wait_all_tasks_blocked(0.001)
            await trio.to_thread.run_sync(lambda: None)
