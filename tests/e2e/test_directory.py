"""Who may open a data directory, and what an offline command leaves behind in it."""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from storage.directory import Root
from tests.e2e.storage_kit import (
    Traffic,
    everything,
    mount,
    needs_root,
    offline,
    told_on_stderr,
)
from tests.fakes.appliance import Appliance
from tests.fakes.provider import Provider


def test_a_second_server_waits_and_names_the_first(tmp_path: Path, provider: Provider) -> None:
    with Appliance(tmp_path, provider) as appliance:
        Traffic(appliance).send()
        told = told_on_stderr(appliance.data, "serve", "--port", "0")
        assert (told.returncode, told.stdout) == (1, "")
        assert told.stderr.count("\n") == 1
        assert f"is in use by process {appliance.pid} (waited 10 s)" in told.stderr
        Traffic(appliance).send()


def test_a_state_store_of_a_later_version_is_refused(tmp_path: Path) -> None:
    """As an old program finds it after an upgrade that is taken back."""
    with Appliance(tmp_path) as appliance:
        pass
    path = appliance.data / "state.sqlite"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("INSERT INTO migrations VALUES ('m999_later', 1)")
    told = told_on_stderr(appliance.data, "serve", "--port", "0")
    assert (told.returncode, told.stdout) == (1, "")
    assert told.stderr == f"error: {path} was written by a later version (m999_later)\n"


def test_a_second_server_takes_over(tmp_path: Path, provider: Provider) -> None:
    """It waits for one that is about to end, as an upgrade needs it."""
    first = Appliance(tmp_path, provider)
    second = Appliance(tmp_path / "second", provider)
    second.data = first.data
    first.start()
    traffic = Traffic(first)
    traffic.send(3)
    starting = threading.Thread(target=second.start)
    starting.start()
    assert first.stop() == 0
    starting.join()
    traffic.appliance = second
    traffic.send(2)
    traffic.check()
    assert second.stop() == 0


@pytest.mark.parametrize("command", [["serve", "--port", "0"], ["query", "SELECT 1"]])
def test_a_newer_format_is_refused(tmp_path: Path, command: list[str]) -> None:
    data = tmp_path / "data"
    Root.open(data).close()
    (data / "FORMAT").write_text("99\n")
    told = told_on_stderr(data, *command)
    assert (told.returncode, told.stdout) == (1, "")
    assert told.stderr.count("\n") == 1
    assert "has format 99, made by a newer version" in told.stderr


# -- offline


def contents(root: Path) -> dict[str, str]:
    """Every file with its digest and time."""
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        + str(path.stat().st_mtime_ns)
        for path in root.rglob("*")
        if path.is_file()
    }


@contextmanager
def read_only(path: Path) -> Iterator[None]:
    """The same place, bound again so that nothing can be written."""
    mount("--bind", str(path), str(path))
    mount("-o", "remount,bind,ro", str(path))
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


DAMAGES = ["none", "no database", "noise for a database", "torn tail"]


@needs_root
@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("key", [None, "a passphrase that nobody guesses"])
def test_a_read_only_copy(tmp_path: Path, provider: Provider, key: str | None, damage: str) -> None:
    """Of a server that was killed: it answers completely and writes nothing."""
    if key is not None and damage not in ("none", "torn tail"):
        pytest.skip("there is no file of a database")
    environ = {"HELICONE_APPLIANCE_MASTER_KEY": key} if key else {}
    appliance = Appliance(tmp_path, provider, environ=environ)
    traffic = Traffic(appliance)
    appliance.start()
    traffic.send(5)
    assert len(everything(appliance)["requests"]) == 5  # these are ingested
    traffic.send(20)
    traffic.send(script="fake-big-1024")
    appliance.kill()
    copy = Appliance(tmp_path / "copy", provider, environ=environ)
    shutil.copytree(appliance.data, copy.data, ignore=shutil.ignore_patterns("control.sock"))
    database = copy.data / "analytics.duckdb"
    if damage == "no database":
        for path in copy.data.glob("analytics.duckdb*"):
            path.unlink()
    elif damage == "noise for a database":
        database.write_bytes(b"noise" * 20_000)
    elif damage == "torn tail":
        newest = sorted((copy.data / "journal").glob("*.seg"))[-1]
        with newest.open("ab") as file:
            file.write(b"\xa7\x01torn")
    before = contents(copy.data)
    with read_only(copy.data):
        found = everything(copy)
        traffic.appliance = copy
        traffic.check()
        assert offline(copy, "verify")["ok"] or damage == "noise for a database"
        assert contents(copy.data) == before
    assert everything(appliance) == found


def test_two_queries_wait_for_each_other(tmp_path: Path, provider: Provider) -> None:
    with Appliance(tmp_path, provider) as appliance:
        Traffic(appliance).send(3)
    answers: list[subprocess.CompletedProcess[str]] = []

    def ask() -> None:
        sql = "SELECT count(*) AS n, sum(i) AS total FROM requests, range(3000000) AS r(i)"
        answers.append(told_on_stderr(appliance.data, "query", sql, "--format", "json"))

    asking = [threading.Thread(target=ask) for _ in range(3)]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join()
    assert [answer.returncode for answer in answers] == [0] * 3
    assert len({answer.stdout for answer in answers}) == 1
    assert '"n":9000000' in answers[0].stdout.replace(" ", "")


def test_what_a_query_does_while_a_server_starts(tmp_path: Path, provider: Provider) -> None:
    """Neither is refused: whoever is second waits, or asks the first."""
    appliance = Appliance(tmp_path, provider)
    with appliance:
        Traffic(appliance).send(3)
    answers: list[subprocess.CompletedProcess[str]] = []
    sql = "SELECT count(*) AS n FROM requests"

    def ask() -> None:
        answers.append(told_on_stderr(appliance.data, "query", sql, "--format", "csv"))

    asking = [threading.Thread(target=ask) for _ in range(2)]
    for thread in asking:
        thread.start()
    with appliance:
        for thread in asking:
            thread.join()
    assert [(a.returncode, a.stdout.split()) for a in answers] == [(0, ["n", "3"])] * 2, answers
