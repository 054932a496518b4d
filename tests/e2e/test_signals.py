"""Signals: what ends the program, how fast, and what is kept of calls that were still open."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.starting import environment, run, until
from tests.fakes.appliance import CHAT, ROOT, Appliance
from tests.fakes.patience import PATIENCE_S
from tests.fakes.provider import Provider
from tests.fakes.raw_client import RawClient

ASK: dict[str, Any] = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello"}]}
STREAM: dict[str, Any] = {**ASK, "stream": True}


def stalled(client: RawClient) -> str:
    """Begin a stream that will never end; its record's id."""
    client.request(CHAT, {**STREAM, "model": "fake-stall-after-1"})
    reply = client.head()
    client.frame(reply)
    return reply.id


def outcomes(appliance: Appliance) -> list[str]:
    return [row["outcome"] for row in appliance.query_offline("SELECT outcome FROM requests")]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_open_streams_are_cut_after_the_grace_time_and_recorded(
    provider: Provider, tmp_path: Path, number: int
) -> None:
    appliance = Appliance(tmp_path, provider, config='grace_s = "0.5s"\n')
    appliance.start()
    with appliance.client() as client:
        stalled(client)
        began_s = time.monotonic()
        os.kill(appliance.pid, number)
        assert client.ended() == "cut"
        assert appliance.wait() == 0
        assert 0.4 < time.monotonic() - began_s < 15
    assert outcomes(appliance) == ["cut"]
    assert "Traceback" not in appliance.log


def test_a_second_signal_exits_at_once_and_loses_nothing_that_was_finished(
    provider: Provider, tmp_path: Path
) -> None:
    appliance = Appliance(tmp_path, provider)  # 30 s of grace
    appliance.start()
    with appliance.client() as client:
        done = appliance.call(CHAT, ASK)
        stalled(client)
        appliance.terminate()
        until(lambda: not accepts(appliance.url))
        began_s = time.monotonic()
        appliance.terminate()
        assert appliance.wait() == 1
        assert time.monotonic() - began_s < 15
    assert done.id in [row["id"] for row in appliance.query_offline(
        "SELECT request_id::varchar AS id FROM requests")]  # fmt: skip


def accepts(url: str) -> bool:
    try:
        RawClient(url).close()
    except OSError:
        return False
    return True


def test_a_kept_connection_ends_when_its_stream_has_ended(
    provider: Provider, tmp_path: Path
) -> None:
    """The reply began before the end was announced, so it could not say `close`."""
    gate = f"kept-{time.monotonic_ns()}"
    appliance = Appliance(tmp_path, provider)
    appliance.start()
    with appliance.client() as client:
        client.request(CHAT, STREAM, {"x-fake": "fake-held", "x-fake-gate": gate})
        reply = client.head()
        client.frame(reply)
        appliance.terminate()
        until(lambda: not accepts(appliance.url))
        provider.open_gate(gate)
        while client.frame(reply):
            pass
        began_s = time.monotonic()
        assert client.ended() == "cut"
        assert appliance.wait() == 0
        assert time.monotonic() - began_s < 15
    assert outcomes(appliance) == ["complete"]


def test_a_request_whose_body_is_still_coming_is_finished(
    provider: Provider, tmp_path: Path
) -> None:
    appliance = Appliance(tmp_path, provider)
    appliance.start()
    with appliance.client() as client:
        client.request(CHAT, b'{"model":', {"Content-Length": "18"}, framing=False)
        assert appliance.call(CHAT, ASK).status == 200
        appliance.terminate()
        until(lambda: not accepts(appliance.url))
        client.send(b'"gpt-4o"}')
        reply = client.reply()
        assert (reply.status, reply.first("connection")) == (200, b"close")
        assert appliance.wait() == 0
    assert outcomes(appliance) == ["complete", "complete"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_end_while_waiting_for_the_lock(tmp_path: Path, number: int) -> None:
    """Another process holds the directory: Ctrl-C must not wait for it."""
    data = tmp_path / "data"
    data.mkdir()
    with (data / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        command = [sys.executable, "-m", "appliance.cli", "serve", "--port", "0"]
        process = subprocess.Popen(
            [*command, "--data-dir", str(data)],
            cwd=ROOT,
            env=environment(tmp_path),
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
        )
        until(lambda: holds_open(process.pid, data / "lock"))
        process.send_signal(number)
        _, said = process.communicate(timeout=PATIENCE_S)  # the lock would never come
    assert process.returncode == (130 if number == signal.SIGINT else 0)
    assert said == b""


EARLY = [
    "appliance.config:load_config",
    "appliance.process:listen",
    "storage.journal:Journal.open",
    "appliance.actors.key_rings:KeyRings.load",
    "appliance.process:Server.run",
    "appliance.actors.region:Region.start",
    "appliance.process:Server._open_doors",
    "appliance.process:Server._settle_down",
    "storage.analytics:Analytics.open",
]


def test_sigterm_at_any_moment_of_the_start(provider: Provider, tmp_path: Path) -> None:
    """Each on the directory that the one before has left."""
    appliance = Appliance(tmp_path, provider)
    for place in EARLY:
        told = {"TOLD_AT": place, "TOLD": str(int(signal.SIGTERM))}
        done = run(
            tmp_path,
            *("serve", "--port", "0", "--data-dir", str(appliance.data)),
            environ=told,
            program="tests.fakes.told_early_program",
        )
        assert (done.returncode, done.stderr) == (0, ""), (place, done)
    with appliance:
        assert appliance.call(CHAT, ASK).status == 200
    assert outcomes(appliance) == ["complete"]


def holds_open(pid: int, path: Path) -> bool:
    try:
        return any(
            os.path.samefile(f"/proc/{pid}/fd/{fd}", path) for fd in os.listdir(f"/proc/{pid}/fd")
        )
    except OSError:
        return False


def test_sighup_without_tls_changes_nothing(provider: Provider, tmp_path: Path) -> None:
    with Appliance(tmp_path, provider) as appliance, appliance.client() as client:
        assert client.call(CHAT, ASK).status == 200
        os.kill(appliance.pid, signal.SIGHUP)
        until(lambda: "reload" in appliance.log)
        assert client.call(CHAT, ASK).status == 200
