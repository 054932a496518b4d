"""The tiers of provider keys when one of them is locked, slow, corrupt, missing or older than it
was: who answers, what is told, and that what was taken away stays away."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pytest

from appliance.actors import provider_key_tiers as module
from appliance.actors.provider_keys import Entry, ProviderKeys
from appliance.errors import Refusal
from storage.disk import Disk
from storage.provider_key_snapshot import Snapshot
from storage.provider_keys import ProviderKeyStore, Stamp
from storage.state import State
from tests.actors.provider_keys_kit import ORG, PLANTED, SECOND, Home, stored, text_of


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def noise(home: Home) -> AbstractContextManager[object]:
    home.spoil()
    return nullcontext()


def missing(home: Home) -> AbstractContextManager[object]:
    home.lose()
    return nullcontext()


def flipped(home: Home) -> AbstractContextManager[object]:
    """The tables' own pages are noise, the file's head is not."""
    data = bytearray(home.state.read_bytes())
    data[4096:] = b"\xaa" * (len(data) - 4096)
    home.lose()
    home.state.write_bytes(data)
    return nullcontext()


def no_tables(home: Home) -> AbstractContextManager[object]:
    home.lose()
    home.sql("CREATE TABLE something_else (x)")
    return nullcontext()


def locked(home: Home) -> AbstractContextManager[object]:
    return home.locked()


BROKEN = [noise, missing, flipped, no_tables, locked]


async def revoked_and_kept(home: Home) -> tuple[str, str]:
    """Two keys on file, and one that was taken away: the ids of the first and of the last."""
    ring = home.ring()
    kept = await stored(ring)
    gone = await stored(ring, "gone", "groq")
    await ring.remove(ORG, gone)
    return kept, gone


@pytest.mark.parametrize("break_it", BROKEN)
async def test_the_snapshot_serves_at_start(
    home: Home, break_it: Callable[[Home], AbstractContextManager[object]]
) -> None:
    kept, gone = await revoked_and_kept(home)
    with break_it(home):
        ring = home.ring()
        assert await text_of(ring) == PLANTED
        assert await text_of(ring, key_id=kept) == PLANTED
        assert await ring.load(ORG, "groq") is None
        assert await ring.load(ORG, "groq", gone) is None
        assert ring.state == "snapshot"
        assert "state.sqlite" in ring.trouble
        await refused(ring, kept)


@pytest.mark.parametrize("break_it", BROKEN)
async def test_stored_keys_keep_working_at_run_time(
    home: Home, break_it: Callable[[Home], AbstractContextManager[object]]
) -> None:
    ring = home.ring()
    kept = await stored(ring)
    gone = await stored(ring, "gone", "groq")
    late = await stored(ring, SECOND, "anthropic")
    assert await text_of(ring) == PLANTED
    await ring.remove(ORG, gone)
    assert ring.trouble == ""
    with break_it(home):
        await ring.check()
        assert "state.sqlite" in ring.trouble
        for _ in range(2):
            assert await text_of(ring, key_id=kept) == PLANTED
            # One that was not asked for before.
            assert await text_of(ring, "anthropic", late) == SECOND
            assert await ring.load(ORG, "groq", gone) is None
            home.clock.now_s += module.PROVIDER_KEY_TTL_S + 1
        await refused(ring, kept)
        assert await text_of(ring, key_id=kept) == PLANTED


async def refused(ring: ProviderKeys, key_id: str) -> None:
    """No change is made, and all are refused alike."""
    for work in (
        ring.add(ORG, "openai", Entry("new"), name="new"),
        ring.rotate(ORG, key_id, Entry("new")),
        ring.remove(ORG, key_id),
    ):
        with pytest.raises(Refusal) as refusal:
            await work
        assert (refusal.value.status, refusal.value.code) == (503, "provider_keys_unavailable")
        assert refusal.value.headers["Retry-After"]


async def test_what_was_put_back_mends_itself(home: Home) -> None:
    ring = home.ring()
    await stored(ring)
    kept = home.spoil()
    await ring.check()
    assert ring.state == "snapshot"
    home.put_back(kept)
    await ring.check()
    assert (ring.state, ring.trouble) == ("sqlite", "")
    await stored(ring, SECOND, "groq")
    assert await text_of(home.ring(), "groq") == SECOND


@pytest.mark.parametrize("at_run_time", [True, False])
async def test_an_older_copy_brings_no_revoked_key_back(home: Home, at_run_time: bool) -> None:
    """The state is put back from a backup of before a key was removed, and another one added."""
    ring = home.ring()
    gone = await stored(ring, "gone", "groq")
    backup = {path.name: path.read_bytes() for path in home.path.glob("state.sqlite*")}
    await ring.remove(ORG, gone)
    kept = await stored(ring)
    proxy = await ring.add_proxy(ORG, kept)
    home.put_back(backup)
    if not at_run_time:
        ring = home.ring()
    await ring.check()
    assert (ring.stats.restored, ring.trouble) == (1, "")
    for one in (ring, home.ring()):
        assert await text_of(one) == PLANTED
        assert await one.load(ORG, "groq", gone) is None
        assert await one.stand_in(proxy.key) is not None
    assert home.sql("SELECT id FROM provider_keys") == [(kept,)]
    assert await text_of(ring) == PLANTED


async def test_a_state_that_was_made_anew_gets_the_keys_back(home: Home) -> None:
    await revoked_and_kept(home)
    home.lose()
    State.open(home.state).close()
    ring = home.ring()
    assert await text_of(ring) == PLANTED
    assert await ring.load(ORG, "groq") is None
    assert (ring.state, ring.trouble, ring.stats.restored) == ("sqlite", "", 1)
    await stored(ring, SECOND, "groq")
    home.snapshot.unlink()
    assert await text_of(home.ring()) == PLANTED


async def test_another_state_with_keys_of_its_own_is_left_as_it_is(
    home: Home, tmp_path_factory: pytest.TempPathFactory
) -> None:
    await stored(home.ring())
    other = Home(tmp_path_factory.mktemp("other"))
    other.vault = home.vault
    await stored(other.ring(), SECOND, "groq")
    home.lose()
    home.state.write_bytes(other.state.read_bytes())
    ring = home.ring()
    assert await text_of(ring, "groq") == SECOND
    assert await ring.load(ORG, "openai") is None
    assert other.sql("SELECT provider FROM provider_keys") == [("groq",)]


@pytest.mark.parametrize(
    ("found", "known", "older"),
    [
        (Stamp("a", 1), Stamp("a", 2), True),
        (Stamp("a", 2), Stamp("a", 2), False),
        (Stamp("a", 3), Stamp("a", 2), False),
        (Stamp("b", 0), Stamp("a", 1), True),
        (Stamp("b", 0), Stamp("a", 0), False),
        (Stamp("b", 1), Stamp("a", 9), False),
    ],
)
def test_which_state_counts(found: Stamp, known: Stamp, older: bool) -> None:
    assert module.is_older(found, known) is older


@pytest.mark.parametrize("content", [b"", b"noise" * 100, b"provider keys 1\n" + b"\x01" * 100])
async def test_a_spoilt_snapshot_is_written_anew(home: Home, content: bytes) -> None:
    ring = home.ring()
    await stored(ring)
    good = len(home.snapshot.read_bytes())
    for one in (ring, home.ring()):
        home.snapshot.write_bytes(content)
        await one.check()
        assert (one.trouble, one.state) == ("", "sqlite")
        assert len(home.snapshot.read_bytes()) == good
        home.snapshot.unlink()
        await one.check()
        assert len(home.snapshot.read_bytes()) == good


async def test_without_any_tier_nothing_is_said_of_keys(home: Home) -> None:
    await stored(home.ring())
    home.spoil()
    home.snapshot.write_bytes(b"noise")
    ring = home.ring()
    for _ in range(3):
        with pytest.raises(Refusal) as refusal:
            await ring.load(ORG, "openai")
        assert (refusal.value.status, refusal.value.code) == (503, "provider_keys_unavailable")
    assert ring.state == "broken"
    assert "state.sqlite" in ring.trouble
    assert "provider_keys.snapshot" in ring.trouble
    # Asked once for all three, and again after a second.
    assert ring.stats.sqlite_reads == 1
    home.clock.now_s += module.RETRY_S
    with pytest.raises(Refusal):
        await ring.stand_in("x")
    assert ring.stats.sqlite_reads == 2


class BadDisk(Disk):
    """Fails at what it is told to."""

    def __init__(self) -> None:
        self.full = False
        self.folders_broken = False

    def write(self, descriptor: int, data: bytes | bytearray) -> int:
        if self.full:
            raise OSError(28, "No space left on device")
        return super().write(descriptor, data)

    def sync_folder(self, folder: Path) -> None:
        if self.folders_broken:
            raise OSError(5, "Input/output error")
        super().sync_folder(folder)


async def test_a_snapshot_that_cannot_be_written_is_told_and_written_later(home: Home) -> None:
    disk = BadDisk()
    ring = home.ring(disk=disk)
    gone = await stored(ring, "gone", "groq")
    disk.full = True
    await stored(ring)
    assert "No space left" in ring.trouble
    # Taken away in spite of it: the old snapshot, which knows the key, is no more.
    await ring.remove(ORG, gone)
    assert not home.snapshot.exists()
    assert await text_of(ring) == PLANTED
    disk.full = False
    await ring.check()
    assert ring.trouble == ""
    home.spoil()
    again = home.ring()
    assert await text_of(again) == PLANTED
    assert await again.load(ORG, "groq") is None


async def test_nothing_is_taken_away_while_the_old_snapshot_may_stay(home: Home) -> None:
    disk = BadDisk()
    ring = home.ring(disk=disk)
    key_id = await stored(ring)
    disk.folders_broken = True
    with pytest.raises(Refusal) as refusal:
        await ring.remove(ORG, key_id)
    assert refusal.value.status == 503
    assert home.sql("SELECT count(*) FROM provider_keys") == [(1,)]
    disk.folders_broken = False
    await ring.remove(ORG, key_id)
    assert ring.trouble == ""


async def test_a_change_that_is_refused_leaves_every_tier_as_it_was(home: Home) -> None:
    ring = home.ring()
    await stored(ring)
    other = await ring.add(ORG, "openai", Entry(SECOND), name="other")
    with pytest.raises(Refusal) as refusal:
        await ring.edit(ORG, other.id, name="openai")
    assert (refusal.value.status, refusal.value.code) == (409, "provider_key_conflict")
    home.spoil()
    for one in (ring, home.ring()):
        assert await text_of(one) == PLANTED
        assert await text_of(one, key_id=other.id) == SECOND


@pytest.mark.parametrize("died_after", ["snapshot", "sqlite"])
async def test_a_removal_that_is_cut_short_brings_nothing_back(
    home: Home, died_after: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that dies in between; also where SQLite is noise at the next start."""
    ring = home.ring()
    key_id = await stored(ring)

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        if died_after == "snapshot":
            patched.setattr(ProviderKeyStore, "drop", die)
        else:
            patched.setattr(Snapshot, "write", die)
        with pytest.raises(KeyboardInterrupt):
            await ring.remove(ORG, key_id)
    kept = home.spoil()
    with pytest.raises(Refusal, match="cannot be read"):
        await home.ring().load(ORG, "openai")
    home.put_back(kept)
    # Before SQLite was asked, nobody was told that it is removed.
    assert await text_of(home.ring()) == (PLANTED if died_after == "snapshot" else None)


async def test_what_is_older_is_not_taken_even_when_it_came_in_between(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is exchanged for an older one after its version was asked for."""
    ring = home.ring()
    gone = await stored(ring, "gone", "groq")
    backup = {path.name: path.read_bytes() for path in home.path.glob("state.sqlite*")}
    await ring.remove(ORG, gone)
    newer = Stamp(ProviderKeyStore(home.state).stamp().lineage, 99)
    home.put_back(backup)
    with monkeypatch.context() as patched:
        patched.setattr(ProviderKeyStore, "stamp", lambda _: newer)
        await ring.check()
    assert await ring.load(ORG, "groq", gone) is None
    await ring.check()
    assert home.sql("SELECT count(*) FROM provider_keys") == [(0,)]
