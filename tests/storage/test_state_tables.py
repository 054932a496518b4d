import sqlite3
from pathlib import Path

import pytest

from storage.state import StateBroken
from storage.state_tables import StateTables


def add(name: str):
    return lambda connection: (
        connection.execute(
            "INSERT INTO organizations VALUES (?, 'x', 'us', '', 0)", (name,)
        ).rowcount
    )


def count(connection: sqlite3.Connection) -> int:
    return connection.execute("SELECT count(*) FROM organizations").fetchone()[0]


def test_what_was_written_is_there_for_the_next_one_that_opens(tmp_path: Path):
    tables = StateTables.open(tmp_path / "state.sqlite")
    assert tables.write(add("a")) == 1
    tables.close()
    assert StateTables.open(tmp_path / "state.sqlite").read(count) == 2


def test_a_change_that_breaks_off_leaves_nothing(tmp_path: Path):
    tables = StateTables.open(tmp_path / "state.sqlite")

    def half(connection: sqlite3.Connection) -> None:
        add("a")(connection)
        raise LookupError("no such prompt")

    with pytest.raises(LookupError):
        tables.write(half)
    assert tables.read(count) == 1
    with pytest.raises(ValueError, match="UNIQUE"):
        tables.write(lambda connection: (add("a")(connection), add("a")(connection)))
    assert tables.read(count) == 1


def test_what_only_reads_changes_nothing(tmp_path: Path):
    tables = StateTables.open(tmp_path / "state.sqlite")
    tables.read(add("a"))
    assert tables.read(count) == 1


def test_a_damaged_file_says_so(tmp_path: Path):
    tables = StateTables.open(tmp_path / "state.sqlite")
    tables.close()
    with pytest.raises(StateBroken, match=r"state\.sqlite"):
        tables.read(count)
    (tmp_path / "noise.sqlite").write_bytes(b"noise" * 1000)
    with pytest.raises(StateBroken, match=r"noise\.sqlite"):
        StateTables.open(tmp_path / "noise.sqlite")
