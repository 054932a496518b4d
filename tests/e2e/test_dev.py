"""`dev` in a terminal and into a pipe: what it shows, where it listens, and how it ends."""

from __future__ import annotations

import fcntl
import io
import json
import os
import pty
import re
import signal
import socket
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest
from rich.console import Console

from appliance import commands_dev, dev_screen
from appliance.core.dev_board import Board
from appliance.dev_screen import Screen
from tests.e2e.starting import environment, run, until
from tests.fakes.appliance import CHAT, ROOT, Appliance, providers_toml
from tests.fakes.patience import PATIENCE_S
from tests.fakes.provider import Provider
from tests.fakes.raw_client import RawClient, Reply

ASK: dict[str, Any] = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello"}]}
URL = re.compile(r"http://127\.0\.0\.1:\d+")
CODES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
OWN_SCREEN, FORMER_SCREEN = "\x1b[?1049h", "\x1b[?1049l"


class Dev:
    """`dev` on a directory of its own; in a terminal of 140 by 40, or into pipes."""

    def __init__(
        self, directory: Path, provider: Provider, *arguments: str, config: str = "",
        terminal: bool = False, environ: dict[str, str] | None = None,
    ) -> None:  # fmt: skip
        (directory / "dev.toml").write_text(config + providers_toml(provider))
        command = [sys.executable, "-m", "appliance.cli", "dev", "--port", "0", *arguments]
        command += ["--config", str(directory / "dev.toml"), "--data-dir", str(directory / "data")]
        env = environment(directory, {"TERM": "xterm-256color", **(environ or {})})
        self.said, self.told = "", ""
        if terminal:
            master, slave = pty.openpty()
            fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 140, 0, 0))
            self.process = subprocess.Popen(
                command, cwd=ROOT, env=env, preexec_fn=lambda: os.login_tty(slave), pass_fds=[slave]
            )
            os.close(slave)
            self._master = master
            readers = [(master, "said")]
        else:
            self.process = subprocess.Popen(
                command, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )  # fmt: skip
            assert self.process.stdout is not None
            assert self.process.stderr is not None
            readers = [
                (self.process.stdout.fileno(), "said"),
                (self.process.stderr.fileno(), "told"),
            ]
        self._threads = [threading.Thread(target=self._read, args=one) for one in readers]
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> Dev:
        until(lambda: URL.search(self.said + self.told) or self.process.poll() is not None)
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for thread in self._threads:
            thread.join(PATIENCE_S)
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()

    def _read(self, descriptor: int, where: str) -> None:
        while True:
            try:
                data = os.read(descriptor, 65536)
            except OSError:  # of a terminal whose other side has gone
                return
            if not data:
                return
            setattr(self, where, getattr(self, where) + data.decode("utf-8", "replace"))

    @property
    def url(self) -> str:
        found = URL.search(self.said + self.told)
        assert found is not None, (self.said, self.told)
        return found[0]

    def call(self, ask: dict[str, Any], headers: dict[str, str] | None = None) -> Reply:
        with RawClient(self.url) as client:
            return client.call(CHAT, ask, headers or {})

    def shows(self, words: str) -> bool:
        """On the screen, now or before; colours do not count."""
        return words in CODES.sub("", self.said)

    def press(self, keys: bytes) -> None:
        os.write(self._master, keys)

    def ended(self) -> int:
        code = self.process.wait(PATIENCE_S)
        for thread in self._threads:
            thread.join(PATIENCE_S)
        return code


def test_in_a_terminal(provider: Provider, tmp_path: Path) -> None:
    with Dev(tmp_path, provider, terminal=True) as dev:
        until(lambda: OWN_SCREEN in dev.said)
        in_session = {
            "Helicone-Session-Id": "s-1", "Helicone-Session-Name": "trip plan",
            "Helicone-Session-Path": "/outline/search",
        }  # fmt: skip
        assert dev.call(ASK, in_session).status == 200
        until(lambda: dev.shows("1 call · 19 tokens in, 11 out · $0.000158 · 0 errors"))
        until(lambda: dev.shows("trip plan  1 call · $0.000158"))
        until(lambda: dev.shows("outline"))  # a frame comes in pieces
        until(lambda: dev.shows("search  1 call"))
        assert dev.call({**ASK, "model": "fake-error-429"}).status == 429
        until(lambda: dev.shows("2 calls · ") and dev.shows("1 error"))
        until(lambda: dev.shows("fake-error-429"))
        dev.press(b"\x03")
        assert dev.ended() == 0
        _, _, after = dev.said.rpartition(FORMER_SCREEN)
        lines = [line for line in CODES.sub("", after).splitlines() if line]
        assert lines[0].startswith("dev: 2 calls in "), lines
        assert "19 tokens in, 11 out" in lines[0]
        assert any(line.startswith("errors: 1 × 429") for line in lines)
        assert "Traceback" not in dev.said
    assert not (tmp_path / "data" / "control.sock").exists()


def test_the_board_stands_still_while_it_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread draws it while others add to it: one at a time."""
    screens: list[Screen] = []

    class Watched(Board):
        def add(self, row: Mapping[str, Any]) -> None:
            assert screens[-1].lock.locked()
            super().add(row)

        @property
        def calls(self) -> Any:
            assert not screens or screens[-1].lock.locked()
            return self._calls

        @calls.setter
        def calls(self, calls: Any) -> None:
            self._calls = calls

    class Kept(Screen):
        def __init__(self, *given: Any) -> None:
            super().__init__(*given)
            screens.append(self)

    monkeypatch.setattr(commands_dev, "Board", Watched)
    monkeypatch.setattr(dev_screen, "Screen", Kept)
    commands_dev.draw("http://here", ["model", "status"], iter([["gpt-4o", 200]]))
    shown = io.StringIO()
    Console(file=shown, width=140, height=40).print(screens[-1])
    assert "gpt-4o" in shown.getvalue()


def test_ctrl_c_twice_gives_the_terminal_back(provider: Provider, tmp_path: Path) -> None:
    with Dev(tmp_path, provider, terminal=True) as dev:
        until(lambda: OWN_SCREEN in dev.said)
        for _ in range(3):
            dev.process.send_signal(signal.SIGINT)
        dev.ended()
        assert dev.said.count(FORMER_SCREEN) == 1
        assert "Traceback" not in dev.said


def test_what_comes_from_outside_is_text(provider: Provider, tmp_path: Path) -> None:
    with Dev(tmp_path, provider, terminal=True) as dev:
        until(lambda: OWN_SCREEN in dev.said)
        hostile = "\x1b]0;owned\x07[bold]"
        assert dev.call({**ASK, "model": hostile}).status == 200
        until(lambda: dev.shows("\\x1b]0;owned\\x07[bold]"))
        assert "\x1b]0;owned" not in dev.said
        assert "\x07" not in dev.said
        dev.process.send_signal(signal.SIGTERM)
        assert dev.ended() == 0


def test_into_a_pipe_it_prints_a_line_for_each_call(provider: Provider, tmp_path: Path) -> None:
    with Dev(tmp_path, provider) as dev:
        for _ in range(2):
            assert dev.call(ASK).status == 200
        until(lambda: dev.said.count("\n") == 2)
        assert "\x1b" not in dev.said
        assert all("gpt-4o" in line and "19 in" in line for line in dev.said.splitlines())
        dev.process.send_signal(signal.SIGINT)
        assert dev.ended() == 0
        assert dev.told.splitlines()[-2].startswith("dev: 2 calls in ")
        assert dev.told.splitlines()[-1].startswith("slowest: gpt-4o, ")


def test_calls_before_tail_has_begun_are_shown_once() -> None:
    class Early:
        def rows(self, sql: str) -> list[dict[str, Any]]:
            assert sql.startswith("SELECT model, exchange_id FROM requests WHERE recently ")
            return [{"exchange_id": "1", "model": "a"}, {"exchange_id": "2", "model": "b"}]

    tail = iter([["b", "2"], ["c", "3"]])
    server, names = cast(Any, Early()), ["model", "exchange_id"]
    found = commands_dev.from_the_start(server, "recently", names, tail)
    assert list(found) == [["a", "1"], ["b", "2"], ["c", "3"]]


def test_the_first_call_is_on_record_of_this_time(provider: Provider, tmp_path: Path) -> None:
    """Made as soon as the port answers, before anything else was asked of the server."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    dev = Dev(tmp_path, provider, "--port", str(port))
    try:
        until(lambda: answers(port))
        with RawClient(f"http://127.0.0.1:{port}") as client:
            assert client.call(CHAT, ASK, {}).status == 200
        until(lambda: dev.said.count("\n") == 1)
        dev.process.send_signal(signal.SIGINT)
        assert dev.ended() == 0
        assert "dev: 1 call in " in dev.told
    finally:
        dev.__exit__()


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_as_json_and_of_this_time_alone(provider: Provider, tmp_path: Path) -> None:
    for _ in range(2):
        with Dev(tmp_path, provider, "--json") as dev:
            assert dev.call(ASK).status == 200
            until(lambda dev=dev: dev.said.endswith("\n"))
            assert json.loads(dev.said)["model"] == "gpt-4o"
            dev.process.send_signal(signal.SIGINT)
            assert dev.ended() == 0
            summary = json.loads(dev.told.splitlines()[-1])
            assert (summary["calls"], summary["session_name"]) == (1, "dev")


def test_it_listens_on_loopback_whatever_was_configured(provider: Provider, tmp_path: Path) -> None:
    environ = {"HELICONE_APPLIANCE_HOST": "0.0.0.0"}
    with Dev(tmp_path, provider, environ=environ) as dev:
        port = int(dev.url.rpartition(":")[2])
        assert dev.call(ASK).status == 200
        # Of this machine as well, and reached where a server listens everywhere.
        with socket.socket() as other:
            assert other.connect_ex(("127.0.0.2", port)) != 0
        told = "listens on 127.0.0.1 alone, not on 0.0.0.0 (from HELICONE_APPLIANCE_HOST)"
        assert told in dev.told
        dev.process.send_signal(signal.SIGINT)
        assert dev.ended() == 0


def test_faults_may_be_asked_for(provider: Provider, tmp_path: Path) -> None:
    with Dev(tmp_path, provider) as dev:
        fault = {"Helicone-Fault": "status=503; times=1"}
        assert [dev.call(ASK, fault).status for _ in range(2)] == [503, 200]
        again = {**fault, "Helicone-Session-Id": "s-2"}  # as of a program that is run again
        assert [dev.call(ASK, again).status for _ in range(2)] == [503, 200]
        dev.process.send_signal(signal.SIGINT)
        assert dev.ended() == 0


def test_what_is_in_the_way_is_one_line(provider: Provider, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = run(tmp_path, "dev", "--data-dir", str(tmp_path / "data"), "--port", port)
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert f"cannot listen on 127.0.0.1:{port}" in done.stderr
    with Appliance(tmp_path, provider) as appliance:
        done = run(tmp_path, "dev", "--data-dir", str(appliance.data))
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert "a server runs on" in done.stderr
