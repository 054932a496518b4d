"""Provider keys in SQLite and in the snapshot: what is stored, refused and told to be broken."""

import sqlite3
from pathlib import Path

import msgspec
import pytest

from storage.provider_key_snapshot import MAGIC, PURPOSE, Snapshot, SnapshotUnreadable
from storage.provider_keys import (
    KeyBook,
    ProviderKeyRow,
    ProviderKeyStore,
    ProxyKeyRow,
    Stamp,
    with_seal,
)
from storage.state import DEFAULT_ORGANIZATION_ID, State, StateBroken
from storage.vault import Vault

ORG = bytes.fromhex(DEFAULT_ORGANIZATION_ID.replace("-", ""))
SEAL = b"\x01sealed"


@pytest.fixture
def store(tmp_path: Path) -> ProviderKeyStore:
    State.open(tmp_path / "state.sqlite").close()
    return ProviderKeyStore(tmp_path / "state.sqlite")


def key(row_id: str = "k1", **values: object) -> ProviderKeyRow:
    row = {
        "org": ORG, "provider": "openai", "name": row_id, "auth_type": "key",
        "byok_enabled": True, "base_url": "", "config": "{}", "key_epoch": 1, "sealed": SEAL,
        "created_at_us": 5, "entered_at_us": 6, "id": row_id,
    } | values  # fmt: skip
    return ProviderKeyRow(**row)  # type: ignore[arg-type]


def proxy(row_id: str = "p1", behind: str = "k1") -> ProxyKeyRow:
    return ProxyKeyRow(ORG, behind, "n", row_id.ljust(64, "0"), "10;w=60", 7, row_id)


def test_a_new_state_has_no_keys_and_a_life_of_its_own(
    store: ProviderKeyStore, tmp_path: Path
) -> None:
    State.open(tmp_path / "other.sqlite").close()
    assert store.stamp().version == 0
    assert store.stamp().lineage != ProviderKeyStore(tmp_path / "other.sqlite").stamp().lineage
    assert store.read() == KeyBook(store.stamp())


def test_each_change_gives_everything_and_raises_the_version(store: ProviderKeyStore) -> None:
    lineage = store.stamp().lineage
    first, second = key("k1", created_at_us=2), key("k2", created_at_us=1, byok_enabled=False)
    store.put(first)
    book = store.put(second)
    assert book == KeyBook(Stamp(lineage, 2), (second, first))
    changed = key("k1", created_at_us=2, sealed=b"new", name="other", base_url="https://x")
    assert store.put(changed).keys == (second, changed)
    assert store.put_proxy(proxy()).proxies == (proxy(),)
    store.put_proxy(proxy("p2", "k2"))
    assert store.drop_proxy("p1").proxies == (proxy("p2", "k2"),)
    assert store.empty(["k1"]).keys[1].disabled
    book = store.drop("k2")
    assert (book.stamp.version, [row.id for row in book.keys], book.proxies) == (8, ["k1"], ())
    assert store.read() == book


def test_a_seal_is_exchanged_only_for_the_one_it_was_made_from(store: ProviderKeyStore) -> None:
    store.put(key("k1"))
    store.put(key("k2"))
    fresh = [with_seal(key(row_id), b"fresh", 2) for row_id in ("k1", "k2")]
    book = store.put_all(fresh, instead_of=[SEAL, b"another"])
    assert [(row.sealed, row.key_epoch) for row in book.keys] == [(b"fresh", 2), (SEAL, 1)]


@pytest.mark.parametrize(
    ("row", "why"),
    [
        (key("k2", name="k1"), "UNIQUE"),
        (key("k2", auth_type="other"), "CHECK"),
        (key("k2", provider=""), "CHECK"),
        (key("k2", org=bytes(15) + b"\x09"), "no organisation"),
    ],
)
def test_what_cannot_be_stored_changes_nothing(
    store: ProviderKeyStore, row: ProviderKeyRow, why: str
) -> None:
    before = store.put(key("k1"))
    with pytest.raises(ValueError, match=why):
        store.put(row)
    with pytest.raises(ValueError, match="FOREIGN KEY"):
        store.put_proxy(proxy("p1", "unknown"))
    assert store.read() == before


def test_a_later_state_is_put_back_whole(store: ProviderKeyStore) -> None:
    store.put(key("gone"))
    store.put_proxy(proxy("p9", "gone"))
    later = KeyBook(Stamp("c" * 32, 9), (key("k1"),), (proxy(),))
    assert store.restore(later) == later
    assert store.read() == later


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.unlink(),
        lambda path: path.write_bytes(b"noise" * 9999),
        lambda path: path.write_bytes(b""),
        lambda path: sql(path, "DROP TABLE proxy_keys"),
        lambda path: sql(path, "DELETE FROM provider_keys_version"),
        lambda path: sql(path, "UPDATE provider_keys_version SET lineage = 'x'"),
        lambda path: sql(path, "UPDATE provider_keys_version SET version = -9"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_use_is_told_and_not_made(store: ProviderKeyStore, spoil) -> None:  # type: ignore[no-untyped-def]
    store.put(key())
    spoil(store.path)
    with pytest.raises(StateBroken, match=r"state\.sqlite"):
        store.read()
    with pytest.raises(StateBroken):
        store.put(key("k2"))


def sql(path: Path, statement: str) -> None:
    connection = sqlite3.connect(path)
    with connection:
        connection.execute(statement)
    connection.close()


def test_a_missing_file_stays_missing(store: ProviderKeyStore) -> None:
    store.path.unlink()
    with pytest.raises(StateBroken):
        store.stamp()
    assert not store.path.exists()


def test_odd_paths_are_paths(tmp_path: Path) -> None:
    folder = tmp_path / "a?b#c%20d e"
    folder.mkdir()
    State.open(folder / "state.sqlite").close()
    store = ProviderKeyStore(folder / "state.sqlite")
    assert store.put(key()).keys == (key(),)
    assert list(tmp_path.iterdir()) == [folder]


def test_the_snapshot_is_read_as_it_was_written(tmp_path: Path) -> None:
    vault = Vault.open(tmp_path)
    snapshot = Snapshot(tmp_path, vault)
    assert snapshot.read() is None
    assert not snapshot.is_as_left()
    book = KeyBook(Stamp("a" * 32, 3), (key("k1"), key("k2", byok_enabled=False)), (proxy(),))
    snapshot.write(book)
    assert snapshot.is_as_left()
    vault.rotate()
    again = Snapshot(tmp_path, Vault.open(tmp_path))
    assert not again.is_as_left()
    assert again.read() == book
    assert again.is_as_left()
    again.remove()
    again.remove()
    assert not again.is_as_left()
    assert again.read() is None


def test_a_snapshot_of_no_use_says_why(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    vault = Vault.open(tmp_path)
    snapshot = Snapshot(tmp_path, vault)
    snapshot.write(KeyBook(Stamp("a" * 32, 3), (key(),)))
    good = snapshot.path.read_bytes()
    other = Vault.open(tmp_path_factory.mktemp("other"))
    for content, why in (
        (b"", "begin"),
        (good[1:], "begin"),
        (good[:-1], "does not open"),
        (good[:-1] + bytes([good[-1] ^ 1]), "does not open"),
        (MAGIC + other.seal(b"x", PURPOSE), "does not open"),
        (MAGIC + vault.seal(b"\x90", PURPOSE), "Expected"),
        (MAGIC + vault.seal(msgspec.msgpack.encode((("a", 1), [1], [])), PURPOSE), "Expected"),
    ):
        snapshot.path.write_bytes(content)
        with pytest.raises(SnapshotUnreadable, match=why):
            snapshot.read()
