"""The analytics file is derived: whatever happens to it, server and command make it anew."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.storage_kit import (
    Traffic,
    everything,
    injected,
    metric,
    needs_root,
    needs_strace,
    reasons,
    wait_healthy,
    wait_until,
)
from tests.fakes.appliance import Appliance
from tests.fakes.provider import Provider


def truncated(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def emptied(path: Path) -> None:
    os.truncate(path, 0)


def noise(path: Path) -> None:
    path.write_bytes(os.urandom(path.stat().st_size))


def noise_within(path: Path) -> None:
    """The header survives, so that it opens."""
    with path.open("r+b") as file:
        file.seek(12 * 1024)
        file.write(os.urandom(path.stat().st_size - 12 * 1024))


def deleted(path: Path) -> None:
    path.unlink()


CASES = [  # damage, was the server killed, who meets it
    (truncated, False, "server"),
    (truncated, False, "command"),
    (emptied, False, "server"),
    (noise, True, "server"),
    (noise, False, "command"),
    (noise_within, False, "server"),
    (noise_within, True, "command"),
    (deleted, True, "server"),
    (deleted, False, "command"),
]


@pytest.mark.parametrize(("damage", "killed", "by"), CASES)
def test_damaged_while_stopped(
    tmp_path: Path, provider: Provider, damage: Callable[[Path], None], killed: bool, by: str
) -> None:
    appliance = Appliance(tmp_path, provider)
    traffic = Traffic(appliance)
    appliance.start()
    traffic.send(10)
    before = everything(appliance)
    if killed:
        appliance.kill()
    else:
        assert appliance.stop() == 0
    damage(appliance.data / "analytics.duckdb")
    if by == "command":
        traffic.check()
        assert everything(appliance) == before
    with appliance:
        traffic.send(2)
        wait_until(lambda: appliance.query("SELECT count(*) AS n FROM requests")[0]["n"] == 12)
        traffic.check()
        wait_healthy(appliance)
        assert everything(appliance)["requests"][:10] == before["requests"]
        if damage in (truncated, noise, noise_within) and not killed:  # else all lay in its log
            assert (appliance.data / "quarantine" / "analytics.duckdb.0").exists()


@needs_root
@needs_strace
@pytest.mark.parametrize("calls", ["pwrite64,write", "fsync,fdatasync"])
def test_fails_while_running(tmp_path: Path, provider: Provider, calls: str) -> None:
    """DuckDB declares itself invalid after an error in its commit: it is opened again."""
    with Appliance(tmp_path, provider) as appliance:
        traffic = Traffic(appliance)
        traffic.send(5)
        traffic.check()
        files = [appliance.data / name for name in ("analytics.duckdb", "analytics.duckdb.wal")]
        with injected(appliance.pid, f"{calls}:error=EIO", *files):
            traffic.send(5)
            wait_until(lambda: "analytics" in reasons(appliance))
            traffic.send(3)
            assert metric(appliance, "journal_failures_total") == 0  # that is what counts
        wait_healthy(appliance)
        traffic.check()
        assert metric(appliance, "duckdb_reopened_total") > 0
