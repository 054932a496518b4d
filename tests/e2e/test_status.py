"""`status`: of a server that runs, of a directory without one, and of what is wrong."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from appliance import cli, commands_run
from appliance.control_wire import socket_address
from tests.e2e.starting import environment, run
from tests.e2e.storage_kit import (
    health,
    metric,
    noise_over_state,
    reasons,
    told_on_stderr,
    wait_until,
)
from tests.fakes.appliance import CHAT, ROOT, Appliance
from tests.fakes.provider import Provider

ASK: dict[str, Any] = {"model": "gpt-4o", "messages": [{"role": "user", "content": "a secret"}]}
ACTORS = {
    "journal", "analytics", "lake", "keys", "limits", "cache", "provider-keys", "wallet",
    "webhooks", "notices", "scheduler", "deletions",
}  # fmt: skip
OF_THE_PROCESS = {"sandbox", "posthog"}


def status(appliance: Appliance, *options: str) -> tuple[int, Any]:
    done = run(
        appliance.directory, "status", "--json", "--config", str(appliance.config), "--data-dir",
        str(appliance.data), *options,
    )  # fmt: skip
    return done.returncode, json.loads(done.stdout)


def test_with_a_server_and_without(tmp_path: Path, provider: Provider) -> None:
    eu = tmp_path / "europe"
    appliance = Appliance(tmp_path, provider, config=f'eu_data_dir = "{eu}"\n')
    with appliance:
        assert appliance.call(CHAT, ASK).status == 200
        appliance.query("SELECT 1")  # until it is in the database
        code, told = status(appliance)
        assert (code, told["ok"], told["running"], told["status"]) == (0, True, True, "healthy")
        assert (told["pid"], told["degraded"]) == (appliance.pid, [])
        assert 0 <= told["uptime_s"] < 600
        assert 0 < told["memory_bytes"] < told["memory_bytes_max"]
        states = {row["name"]: row for row in told["actors"]}
        assert set(states) == OF_THE_PROCESS | ACTORS | {f"{name}-eu" for name in ACTORS}
        assert {row["state"] for row in told["actors"]} == {"running"}
        assert {row["trouble"] + row["last_error"] for row in told["actors"]} == {""}
        us, europe = told["regions"]
        assert (us["directory"], europe["directory"]) == (str(appliance.data), str(eu))
        assert (us["journal_frames"], europe["journal_frames"]) == (1, 0)
        assert us["journal_offset"] > europe["journal_offset"] > 0
        assert us["ingest_lag_frames"] == 0
        assert us["disk_free_bytes"] > 0
        shown = told_on_stderr(appliance.data, "status").stdout
        assert "limits-eu" in shown
        assert "uptime_s" in shown
        # The same over HTTP, for whoever asks.
        assert {row["name"] for row in health(appliance)["actors"]} == set(states)
        assert metric(appliance, "actor_up") == len(states)
        assert metric(appliance, "actor_restarts_total") == 0
    code, told = status(appliance)
    assert (code, told["ok"], told["running"]) == (1, False, False)
    assert [row["state"] for row in told["regions"]] == ["closed", "closed"]
    us = told["regions"][0]
    assert (us["journal_segments"], us["journal_last"]) == (1, 1)
    assert us["journal_bytes"] >= (appliance.data / "journal" / "00000001.seg").stat().st_size
    assert us["state_bytes"] > 0
    assert us["database_bytes"] > 0
    assert "no server is running" in told_on_stderr(appliance.data, "status").stdout


def healthcheck(appliance: Appliance, *options: str) -> tuple[int, str, str]:
    """As an image asks, by the environment alone: exit code, standard output and error."""
    done = subprocess.run(
        [sys.executable, "-m", "appliance.cli", "healthcheck", *options],
        env=environment(appliance.directory) | {"HELICONE_APPLIANCE_DATA_DIR": str(appliance.data)},
        capture_output=True, text=True, cwd=ROOT,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def test_a_healthcheck_is_one_line_and_a_code(tmp_path: Path, provider: Provider) -> None:
    with Appliance(tmp_path, provider) as appliance:
        assert healthcheck(appliance) == (0, "healthy\n", "")
        code, told, _ = healthcheck(appliance, "--json")
        assert (code, json.loads(told)) == (0, {"ok": True, "status": "healthy", "degraded": []})
        noise_over_state(appliance)
        wait_until(lambda: "provider-keys" in reasons(appliance))
        code, told, _ = healthcheck(appliance)  # it goes on proxying: nobody is to end it
        assert (code, told.count("\n")) == (0, 1)
        assert told.startswith("degraded; ")
        assert "provider-keys: " in told
    assert healthcheck(appliance) == (1, f"no server runs on {appliance.data}\n", "")


def test_a_healthcheck_of_a_server_that_stands_still(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It takes the connection, as the kernel does for it, and says nothing."""
    monkeypatch.setattr(commands_run, "HEALTH_S", 0.05)
    with socket.socket(socket.AF_UNIX) as listening, socket_address(tmp_path) as address:
        listening.bind(address)
        listening.listen()
        assert cli.main(["healthcheck", "--data-dir", str(tmp_path)]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_a_directory_that_is_held_or_missing(tmp_path: Path) -> None:
    appliance = Appliance(tmp_path)
    code, told = status(appliance)
    assert (code, told["regions"][0]["state"]) == (1, "there is no data directory")
    assert not appliance.data.exists()  # looking makes nothing
    with appliance:
        pass
    lock = os.open(appliance.data / "lock", os.O_RDWR)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        os.ftruncate(lock, 0)
        os.pwrite(lock, b"4711\n", 0)
        assert "process 4711, which does not answer" in status(appliance)[1]["regions"][0]["state"]
    finally:
        os.close(lock)


def test_what_is_degraded_is_told_with_its_reason(tmp_path: Path, provider: Provider) -> None:
    with Appliance(tmp_path, provider) as appliance:
        noise_over_state(appliance)
        wait_until(lambda: "provider-keys" in reasons(appliance))
        code, told = status(appliance)
        assert (code, told["ok"], told["running"], told["status"]) == (1, False, True, "degraded")
        parts = {row["part"]: row for row in told["degraded"]}
        assert "state.sqlite" in parts["provider-keys"]["detail"]
        troubled = {row["name"] for row in told["actors"] if row["trouble"]}
        assert troubled == set(parts)
        # Others may notice it a moment later.
        assert metric(appliance, "actor_troubled") >= len(troubled)
        since = {part: row["since"] for part, row in parts.items()}
        again = {row["part"]: row["since"] for row in status(appliance)[1]["degraded"]}
        assert {part: again[part] for part in since} == since
