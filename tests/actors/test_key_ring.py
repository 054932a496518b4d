"""The key ring: look-ups, changes that show at once, and a store that cannot be read."""

import threading
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio

from appliance.actors import key_ring as module
from appliance.actors.key_ring import KeyRing
from appliance.core.keys import DEFAULT_ORGANIZATION, hash_key, parse_key
from appliance.errors import Refusal
from storage.rate_policies import RatePolicyRow
from storage.state import DEFAULT_ORGANIZATION_ID, ApiKey, State, StateBroken

G = "abcdefg-1234567-hijklmn-7654321"


@pytest.fixture
async def ring(tmp_path: Path) -> AsyncIterator[KeyRing]:
    made = KeyRing(lambda: State.open(tmp_path / "state.sqlite"))
    assert await made.load()
    yield made
    await made.close()


def everything_in(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.iterdir())


async def test_a_new_key_works_at_once_and_after_a_restart(ring: KeyRing, tmp_path: Path) -> None:
    key, row = await ring.create("laptop", stream_usage="ask")
    info = ring.lookup(hash_key(key))
    assert info is not None
    assert (info.org, info.key_id, info.permission, info.region, info.name, info.stream_usage) == (
        DEFAULT_ORGANIZATION, row.id, "rw", "us", "laptop", "ask",
    )  # fmt: skip
    other = KeyRing(lambda: State.open(tmp_path / "state.sqlite"))
    await other.load()
    assert other.lookup(hash_key(key)) == info
    await other.close()


async def test_write_only_and_eu_keys(tmp_path: Path) -> None:
    ring = KeyRing(lambda: State.open(tmp_path / "eu.sqlite", region="eu"), "eu")
    await ring.load()
    key, _ = await ring.create("eu", write_only=True)
    info = ring.lookup(hash_key(key))
    await ring.close()
    shape = parse_key(key)
    assert info is not None
    assert shape is not None
    assert (info.permission, info.region, info.may_read) == ("w", "eu", False)
    assert (shape.write_only, shape.region) == (True, "eu")


async def test_a_revoked_key_is_gone_at_once(ring: KeyRing) -> None:
    key, row = await ring.create("a")
    kept, _ = await ring.create("b")
    assert await ring.revoke(row.id)
    assert not await ring.revoke(row.id)
    assert ring.lookup(hash_key(key)) is None
    assert ring.lookup(hash_key(kept)) is not None
    assert [row.name for row in await ring.list_keys()] == ["b"]
    assert [row.name for row in await ring.list_keys(revoked=True)] == ["a", "b"]


async def test_the_text_of_a_key_is_in_no_file(ring: KeyRing, tmp_path: Path) -> None:
    key, row = await ring.create("laptop")
    await ring.revoke(row.id)
    data = everything_in(tmp_path)
    assert hash_key(key).encode() in data
    assert key.encode() not in data
    assert key.rpartition("-")[2].encode() not in data


async def test_hashes_of_deployed_keys_are_imported(ring: KeyRing) -> None:
    key = f"pk-helicone-{G}"
    rows = [ApiKey(str(uuid.uuid4()), DEFAULT_ORGANIZATION_ID, "old", hash_key(key), "w")]
    assert await ring.import_hashes(rows) == 1
    assert await ring.import_hashes(rows) == 0
    info = ring.lookup(hash_key(key))
    assert info is not None
    assert info.permission == "w"
    with pytest.raises(ValueError, match="key 1"):
        await ring.import_hashes([ApiKey("x", DEFAULT_ORGANIZATION_ID, "bad", key)])


async def test_changes_made_on_the_store_itself_show_at_once(ring: KeyRing) -> None:
    row = await ring.change(lambda state: state.add_api_key("a", "a" * 64))
    info = ring.lookup("a" * 64)
    assert info is not None
    assert info.key_id == row.id
    await ring.change(lambda state: state.revoke_api_key(row.id))
    assert ring.lookup("a" * 64) is None


async def test_the_bootstrap_key_is_declared_and_not_stored(ring: KeyRing) -> None:
    key = f"sk-helicone-{G}"
    ring.declare(key)
    info = ring.lookup(hash_key(key))
    assert info is not None
    assert info.org == DEFAULT_ORGANIZATION
    assert await ring.list_keys() == []
    assert await ring.load()
    assert ring.lookup(hash_key(key)) == info
    with pytest.raises(ValueError, match="bootstrap"):
        ring.declare("my-password")


async def test_a_corrupt_store_is_broken_until_it_is_mended(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    path.write_bytes(b"garbage" * 1000)
    ring = KeyRing(lambda: State.open(path))
    assert ring.broken
    assert not await ring.load()
    assert "state.sqlite" in ring.broken
    assert ring.failures == 1
    assert ring.lookup("a" * 64) is None
    with pytest.raises(Refusal) as refusal:
        await ring.create("a")
    assert refusal.value.status == 503
    path.unlink()
    assert await ring.load()
    assert (ring.broken, ring.failing) == ("", "")
    await ring.create("a")
    await ring.close()


async def test_later_trouble_does_not_touch_look_ups(
    ring: KeyRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, _ = await ring.create("a")

    def full_disk(*_: object, **__: object) -> ApiKey:
        raise StateBroken("disk full")

    with monkeypatch.context() as patched:
        patched.setattr(State, "add_api_key", full_disk)
        with pytest.raises(Refusal):
            await ring.create("b")
    assert (ring.broken, ring.failing) == ("", "disk full")
    assert ring.lookup(hash_key(key)) is not None
    with monkeypatch.context() as patched:
        patched.setattr(State, "api_keys", full_disk)
        assert not await ring.load()
    assert ring.broken == ""
    assert ring.lookup(hash_key(key)) is not None
    with pytest.raises(Refusal, match="disk full"):
        await ring.create("c")
    assert await ring.load()
    await ring.create("d")
    assert ring.failing == ""


async def test_a_broken_store_is_tried_again(
    tmp_path: Path, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RETRY_FIRST_S", 0.001)
    mended = trio.Event()
    tries = 0

    def open_state() -> State:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise StateBroken("not yet")
        return State.open(tmp_path / "state.sqlite")

    class Watched(KeyRing):
        async def load(self) -> bool:
            loaded = await super().load()
            if loaded:
                mended.set()
            return loaded

    ring = Watched(open_state)
    await nursery.start(ring.run)
    assert ring.broken == "not yet"
    with trio.fail_after(30):
        await mended.wait()
    assert (tries, ring.broken, ring.failing) == (3, "", "")
    nursery.cancel_scope.cancel()
    with trio.CancelScope(shield=True):
        await ring.close()


async def test_rate_limits_of_an_organisation_as_they_are_tried(
    ring: KeyRing, tmp_path: Path
) -> None:
    def put(policy: str, number: int) -> None:
        segment, unit = ("user" if "user" in policy else ""), "request"
        row = RatePolicyRow(f"id-{number}", DEFAULT_ORGANIZATION_ID, segment, unit, policy, number)
        put_it = State.open(tmp_path / "state.sqlite")
        put_it.put_rate_policy(row)
        put_it.close()

    assert ring.policies(DEFAULT_ORGANIZATION) == ()
    put("5;w=60", 1)
    put("9;w=60;s=user", 2)
    await ring.change(lambda state: state.rate_policies())
    found = ring.policies(DEFAULT_ORGANIZATION)
    assert found is not None
    assert [policy.text for policy in found] == [b"9;w=60;s=user", b"5;w=60"]
    assert ring.policies(b"x" * 16) == ()
    assert ring.policies_trouble == ""
    put("nine", 3)
    await ring.load()
    assert ring.policies(DEFAULT_ORGANIZATION) is None
    assert ring.policies(b"x" * 16) == ()
    assert "1 organisations" in ring.policies_trouble


async def test_rate_limits_of_a_store_never_read_cannot_be_told() -> None:
    def fails() -> State:
        raise StateBroken("noise")

    ring = KeyRing(fails)
    assert not await ring.load()
    assert ring.policies(DEFAULT_ORGANIZATION) is None


@pytest.mark.parametrize("gone", [True, False])
async def test_a_revoked_key_is_gone_though_whoever_revoked_it_has_left(
    ring: KeyRing, gone: bool
) -> None:
    key, row = await ring.create("a")
    began, go, scope = threading.Event(), threading.Event(), trio.CancelScope()

    def revoke(state: State) -> object:
        began.set()
        assert go.wait(10)
        return state.revoke_api_key(row.id)

    async def ask() -> None:
        with scope:
            await ring.change(revoke)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        await trio.to_thread.run_sync(began.wait)
        if gone:
            scope.cancel("the command was interrupted")
        go.set()
    assert ring.lookup(hash_key(key)) is None


async def test_a_change_after_which_nothing_can_be_read_is_no_success(
    ring: KeyRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have been made: the ring reads again as soon as it can."""
    key, row = await ring.create("a")

    def noise(*_: object, **__: object) -> ApiKey:
        raise StateBroken("not a database")

    with monkeypatch.context() as patched:
        patched.setattr(State, "api_keys", noise)
        with pytest.raises(Refusal, match="not a database"):
            await ring.change(lambda state: state.revoke_api_key(row.id))
    assert ring.trouble == "not a database"
    assert await ring.load()
    assert ring.lookup(hash_key(key)) is None


async def test_reading_makes_nothing_known_anew(
    ring: KeyRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ring.create("a")
    info = ring._keys.copy()
    assert [one.name for one in await ring.ask(lambda state: state.api_keys())] == ["a"]
    assert all(ring._keys[hashed] is known for hashed, known in info.items())
