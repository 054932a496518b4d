"""`upgrade-check`: what it finds, beside a running server and without one, and that it leaves
everything as it was.
"""

from __future__ import annotations

import json
import sqlite3
import subprocess
from pathlib import Path
from typing import Any

import duckdb
import pytest

from storage.state import MIGRATIONS, State
from tests.e2e.starting import run
from tests.fakes.appliance import CHAT, Appliance
from tests.fakes.provider import Provider

ASK: dict[str, Any] = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello"}]}
LAST = MIGRATIONS[-1].__name__


def check(
    appliance: Appliance, *arguments: str
) -> tuple[subprocess.CompletedProcess[str], dict[str, dict[str, Any]]]:
    done = run(
        appliance.directory, "upgrade-check", "--json", "--data-dir", str(appliance.data),
        "--config", str(appliance.config), *arguments,
    )  # fmt: skip
    rows = json.loads(done.stdout) if done.stdout else []
    return done, {row["part"]: row for row in rows}


def files(directory: Path) -> dict[str, tuple[int, int, bytes]]:
    """Everything that lies there: its size, when it was changed, and what is in it."""
    return {
        str(path.relative_to(directory)): (
            path.stat().st_size, path.stat().st_mtime_ns, path.read_bytes()
        )
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }  # fmt: skip


def made_older(directory: Path, steps: int) -> None:
    """A state as the version wrote it that did not know the last steps, with an organisation."""
    path = directory / "state.sqlite"
    for tail in ("", "-wal", "-shm"):
        path.with_name(path.name + tail).unlink(missing_ok=True)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("storage.state.MIGRATIONS", MIGRATIONS[:-steps])
        older = State.open(path)
        older.add_organization("acme")
        older.close()


@pytest.fixture
def used(provider: Provider, tmp_path: Path) -> Appliance:
    """A directory that was used, and whose server has ended."""
    appliance = Appliance(tmp_path, provider)
    with appliance:
        appliance.row(appliance.call(CHAT, ASK).id)
    return appliance


def test_nothing_to_change(used: Appliance) -> None:
    before = files(used.data)
    done, found = check(used)
    assert done.returncode == 0, done.stderr
    assert {part: row["outcome"] for part, row in found.items()} == dict.fromkeys(
        ("configuration", "directory", "state", "database", "disk"), "ok"
    )
    assert "from the file" in found["database"]["detail"]
    assert files(used.data) == before


def test_a_state_of_an_earlier_version(used: Appliance) -> None:
    made_older(used.data, 4)
    before = files(used.data)
    done, found = check(used)
    assert done.returncode == 0, done.stderr
    state = found["state"]
    assert state["outcome"] == "changes"
    assert "4 steps: " in state["detail"]
    assert LAST in state["detail"]
    assert "column alerts.is_active" in state["detail"]
    assert state["seconds"] > 0
    assert files(used.data) == before
    # As it said: the start does so, and what was there is there.
    with used:
        assert "acme" in [row["name"] for row in used.command("orgs.list")]
    assert check(used)[1]["state"]["outcome"] == "ok"


def test_beside_a_running_server(provider: Provider, tmp_path: Path) -> None:
    """Whose state is in its log still, and whose database is its own."""
    with Appliance(tmp_path, provider) as appliance:
        appliance.row(appliance.call(CHAT, ASK).id)
        appliance.command("orgs.create", name="acme")
        done, found = check(appliance)
        assert done.returncode == 0, done.stderr
        assert found["state"]["outcome"] == "ok"
        assert found["database"]["outcome"] == "ok", found
        assert "from the running server" in found["database"]["detail"]
        assert appliance.call(CHAT, ASK).status == 200
        names = sorted(path.name for path in appliance.data.iterdir())
        assert "state.sqlite-wal" in names


def test_a_database_without_a_column(used: Appliance) -> None:
    with duckdb.connect(str(used.data / "analytics.duckdb")) as connection:
        views = connection.execute(
            "SELECT view_name FROM duckdb_views() WHERE NOT internal"
        ).fetchall()
        for (name,) in views:
            connection.execute(f"DROP VIEW {name}")
        connection.execute("ALTER TABLE hot_requests DROP COLUMN session_name")
    before = files(used.data)
    done, found = check(used)
    assert done.returncode == 0
    assert found["database"]["outcome"] == "changes"
    assert "column hot_requests.session_name" in found["database"]["detail"]
    assert files(used.data) == before


def test_a_database_that_cannot_be_read_is_made_anew(used: Appliance) -> None:
    (used.data / "analytics.duckdb").write_bytes(b"nonsense" * 10_000)
    done, found = check(used)
    assert done.returncode == 0
    assert found["database"]["outcome"] == "changes"
    assert "is made anew from journal and lake" in found["database"]["detail"]


def test_what_this_version_could_not_go_on_from(used: Appliance) -> None:
    with sqlite3.connect(used.data / "state.sqlite") as connection:
        connection.execute("INSERT INTO migrations VALUES ('m999_later', 0)")
    connection.close()
    before = files(used.data)
    done, found = check(used)
    assert done.returncode == 1
    assert found["state"]["outcome"] == "failed"
    assert "was written by a later version (m999_later)" in found["state"]["detail"]
    assert str(used.data) in found["state"]["detail"]
    assert files(used.data) == before
    (used.data / "FORMAT").write_text("7\n")
    done, found = check(used)
    assert (done.returncode, found["directory"]["outcome"]) == (1, "failed")
    assert "format 7, made by a newer version" in found["directory"]["detail"]
    assert "state" not in found


def test_a_migration_that_fails_is_told(used: Appliance) -> None:
    """A table of the name that a step makes is there already."""
    made_older(used.data, len(MIGRATIONS) - 1)
    with sqlite3.connect(used.data / "state.sqlite") as connection:
        connection.execute("CREATE TABLE alerts (x)")
    connection.close()
    done, found = check(used)
    assert done.returncode == 1
    assert "alerts already exists" in found["state"]["detail"]


def test_options_that_this_version_does_not_know(used: Appliance) -> None:
    used.config.write_text("no_such_option = 1\n")
    done, _ = check(used)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert "no_such_option" in done.stderr


def test_no_directory_is_made(tmp_path: Path) -> None:
    done = run(tmp_path, "upgrade-check", "--data-dir", str(tmp_path / "none"))
    assert done.returncode == 1
    assert "there is no data directory" in done.stdout
    assert not (tmp_path / "none").exists()
