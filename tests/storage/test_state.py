"""State in SQLite: migrations, keys by hash alone, and files that are not what they should be."""

import os
import sqlite3
import stat
from pathlib import Path

import pytest

from storage import state as module
from storage.state import (
    DEFAULT_ORGANIZATION_ID,
    MIGRATIONS,
    ApiKey,
    State,
    StateBroken,
    StateTooNew,
)

HASH = "a" * 64


def names_of(path: Path) -> list[str]:
    connection = sqlite3.connect(path)
    try:
        return [row[0] for row in connection.execute("SELECT name FROM migrations ORDER BY name")]
    finally:
        connection.close()


def test_a_new_file_has_the_default_organisation(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    state = State.open(path)
    assert [row.id for row in state.organizations()] == [DEFAULT_ORGANIZATION_ID]
    assert state.api_keys() == []
    state.close()
    state.close()
    assert names_of(path) == [step.__name__ for step in MIGRATIONS]
    again = State.open(path)
    assert len(again.organizations()) == 1
    again.close()


def test_files_are_private_and_durable(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    state = State.open(path)
    state.add_api_key("a", HASH)
    for name in ("state.sqlite", "state.sqlite-wal", "state.sqlite-shm"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
    pragmas = {"journal_mode": "wal", "synchronous": 2, "secure_delete": 1, "foreign_keys": 1}
    for name, value in pragmas.items():
        assert state._connection.execute(f"PRAGMA {name}").fetchone()[0] == value
    state.close()


def locks_on(path: Path) -> list[str]:
    inode, pid = f":{path.stat().st_ino}", str(os.getpid())
    lines = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
    return [
        " ".join(line) for line in lines if pid in line and any(x.endswith(inode) for x in line)
    ]


@pytest.mark.skipif(not Path("/proc/locks").exists(), reason="locks are looked up in /proc")
def test_opening_it_again_keeps_the_locks_of_the_first(tmp_path: Path) -> None:
    first = State.open(tmp_path / "state.sqlite")
    held = locks_on(tmp_path / "state.sqlite")
    assert held
    second = State.open(tmp_path / "state.sqlite")
    assert len(locks_on(tmp_path / "state.sqlite")) >= len(held)
    second.close()
    first.close()


def test_keys_come_and_go(tmp_path: Path) -> None:
    state = State.open(tmp_path / "state.sqlite")
    row = state.add_api_key("laptop", HASH, permission="w", region="eu", stream_usage="ask")
    assert state.api_keys() == [row]
    assert (row.organization_id, row.permission, row.region) == (DEFAULT_ORGANIZATION_ID, "w", "eu")
    with pytest.raises(ValueError, match="already"):
        state.add_api_key("again", HASH)
    revoked = state.revoke_api_key(row.id)
    assert revoked is not None
    assert revoked.revoked_at_us is not None
    assert state.revoke_api_key(row.id) is None
    assert state.revoke_api_key("'; DROP TABLE api_keys--") is None
    assert state.api_keys() == []
    assert state.api_keys(revoked=True) == [revoked]
    # A revoked key does not come back by being put on file once more.
    assert state.import_api_keys([ApiKey("x", DEFAULT_ORGANIZATION_ID, "x", HASH)]) == 0
    state.close()


def test_import_is_all_or_nothing_and_repeatable(tmp_path: Path) -> None:
    state = State.open(tmp_path / "state.sqlite")
    org = state.add_organization("Team", region="eu")
    rows = [ApiKey(f"id-{n}", org.id, f"key {n}", f"{n:064x}") for n in range(3)]
    assert state.import_api_keys(rows) == 3
    assert state.import_api_keys(rows) == 0
    assert all(row.created_at_us for row in state.api_keys())
    bad = [ApiKey("id-9", org.id, "ok", "9" * 64), ApiKey("id-8", "no-such-org", "bad", "8" * 64)]
    with pytest.raises(ValueError, match="FOREIGN KEY"):
        state.import_api_keys(bad)
    with pytest.raises(ValueError, match="CHECK"):
        state.import_api_keys([ApiKey("id-7", org.id, "short", "7")])
    with pytest.raises(ValueError, match="CHECK"):
        state.add_api_key("odd", "7" * 64, permission="x")
    assert len(state.api_keys()) == 3
    state.close()


def test_what_is_written_is_there_for_the_next(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    state = State.open(path)
    row = state.add_api_key("a", HASH)
    other = State.open(path)
    assert other.api_keys() == [row]
    state.close()
    other.close()


@pytest.mark.parametrize(
    "content", [b"not a database at all" * 100, b"SQLite format 3\0" + b"\xff" * 4096]
)
def test_a_corrupt_file_is_said_to_be_and_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "state.sqlite"
    path.write_bytes(content)
    with pytest.raises(StateBroken, match=r"state\.sqlite"):
        State.open(path)
    assert path.read_bytes() == content


def test_a_flipped_page_is_found_at_open(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    state = State.open(path)
    state.import_api_keys(
        ApiKey(f"id-{n}", DEFAULT_ORGANIZATION_ID, "n" * 100, f"{n:064x}") for n in range(200)
    )
    state.close()
    data = bytearray(path.read_bytes())
    data[4096 * 3 : 4096 * 6] = b"\xaa" * (4096 * 3)
    path.write_bytes(data)
    with pytest.raises(StateBroken):
        State.open(path)


def test_a_missing_folder_is_a_broken_state(tmp_path: Path) -> None:
    with pytest.raises(StateBroken):
        State.open(tmp_path / "nowhere" / "state.sqlite")


def test_a_closed_state_says_so(tmp_path: Path) -> None:
    state = State.open(tmp_path / "state.sqlite")
    state.close()
    with pytest.raises(StateBroken):
        state.api_keys()
    with pytest.raises(StateBroken):
        state.add_api_key("a", HASH)


def test_a_file_of_a_later_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    State.open(path).close()
    connection = sqlite3.connect(path)
    connection.execute("INSERT INTO migrations VALUES ('m999_later', 0)")
    connection.commit()
    connection.close()
    with pytest.raises(StateTooNew, match="m999_later"):
        State.open(path)


def test_a_step_that_fails_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "state.sqlite"
    State.open(path).close()

    def m999_breaks(connection: sqlite3.Connection) -> None:
        connection.execute("CREATE TABLE half (x)")
        connection.execute("nonsense")

    def m999_works(connection: sqlite3.Connection) -> None:
        connection.execute("CREATE TABLE whole (x)")

    monkeypatch.setattr(module, "MIGRATIONS", (*MIGRATIONS, m999_breaks))
    with pytest.raises(StateBroken):
        State.open(path)
    monkeypatch.setattr(module, "MIGRATIONS", (*MIGRATIONS, m999_works))
    State.open(path).close()
    assert names_of(path)[-1] == "m999_works"
    connection = sqlite3.connect(path)
    tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_schema")}
    connection.close()
    assert "whole" in tables
    assert "half" not in tables


def test_names_of_steps_are_in_order() -> None:
    """Each number once; those of parts that were built beside each other may leave gaps."""
    numbers = [int(step.__name__[1:4]) for step in MIGRATIONS]
    assert numbers == sorted(set(numbers))
