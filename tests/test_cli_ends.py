"""How commands end that cannot be done: one line, and an exit code that says whose fault it is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import trio

from appliance import cli
from appliance.control_client import ControlError
from appliance.control_wire import frame
from appliance.door.control import serve_control
from appliance.errors import Refusal
from appliance.offline_query import OfflineQuery
from appliance.output_lines import print_value
from tests.fakes.appliance import ROOT
from tests.fakes.patience import PATIENCE_S

NO_TEXT = "a\udcff"  # as a byte arrives that is no UTF-8


def process(*arguments: str, shell: str) -> subprocess.CompletedProcess[str]:
    """With standard output as `shell` has it."""
    command = [
        "sh", "-c", f'exec "$@" {shell}', "sh", sys.executable, "-m", "appliance.cli", *arguments,
    ]  # fmt: skip
    return subprocess.run(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, timeout=PATIENCE_S)


@pytest.mark.parametrize("arguments", [("providers",), ("keys", "create", "a"), ("version",)])
def test_nowhere_to_write_to(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    done = process(*arguments, shell=">&-")
    assert done.returncode == 1
    assert done.stderr == "error: standard output is closed: there is nowhere to write to\n"


def test_a_full_disk_in_words() -> None:
    done = process("providers", shell="> /dev/full")
    assert done.returncode == 1
    assert done.stderr == "error: No space left on device\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ("report", "--month", "2026-13"),
        ("what-if",),
        ("import",),
        ("export", "--since", "yesterday"),
        ("keys", "create", NO_TEXT),
        ("query", f"select '{NO_TEXT}'"),
        ("query", "select 1", "-o", "."),
        ("query", "select 1", "-o", "/"),
        ("export", "-o", ".."),
    ],
)
async def test_wrong_words_exit_with_2(
    nursery: trio.Nursery, tmp_path: Path, capsys: Any, arguments: tuple[str, ...]
) -> None:
    """Whatever the answer of a server would be."""
    await nursery.start(serve_control, tmp_path / "control.sock", {})
    given = [*arguments, "--data-dir", str(tmp_path)]
    assert await trio.to_thread.run_sync(cli.main, given) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("status", "code", "ending"),
    [(400, "bad_name", 2), (400, "query_failed", 1), (404, "unknown_key", 1), (503, "busy", 1)],
)
async def test_a_servers_no(
    nursery: trio.Nursery, tmp_path: Path, capsys: Any, status: int, code: str, ending: int
) -> None:
    async def listed(_arguments: object, _reply: object) -> None:
        raise Refusal(status, code, "no")

    await nursery.start(serve_control, tmp_path / "control.sock", {"keys.list": listed})
    given = ["keys", "list", "--data-dir", str(tmp_path)]
    assert await trio.to_thread.run_sync(cli.main, given) == ending
    assert capsys.readouterr().err == "error: no\n"
    nursery.cancel_scope.cancel()


def test_an_older_servers_no(monkeypatch: pytest.MonkeyPatch) -> None:
    """It tells no status."""

    def asked(_given: object) -> None:
        raise ControlError("bad_name", "no")

    monkeypatch.setattr(cli, "_run", asked)
    assert cli.main([]) == 1


def test_what_is_no_text_is_not_shown() -> None:
    """It may be a secret."""
    with pytest.raises(Refusal, match="character 2 of what was given is no"):
        frame({"arguments": {"name": NO_TEXT}})


def test_stdin_that_is_no_text(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "appliance.cli", "provider-keys", "add", "openai", "--name", "x",
         "--data-dir", str(tmp_path)],
        cwd=ROOT, input=b"\xff\xfe", capture_output=True, timeout=PATIENCE_S,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.splitlines() == [b"error: Invalid value: stdin is not UTF-8 text"]


def test_an_empty_list_is_no_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    print_value([], as_json=False)
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    print_value([], as_json=False)
    assert capsys.readouterr() == ("", "none\n")


# Ctrl-C.


class Endless:
    """A query that heeds nothing but its interruption."""

    def __init__(self) -> None:
        self.interrupted = False

    @property
    def columns(self) -> list[tuple[str, str]]:
        os.kill(os.getpid(), signal.SIGINT)
        until_s = time.monotonic() + PATIENCE_S
        while not self.interrupted and time.monotonic() < until_s:
            time.sleep(0.001)
        return []

    def interrupt(self) -> None:
        self.interrupted = True


def test_a_query_that_looks_at_no_signal() -> None:
    query = Endless()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever started us may ignore it
    with pytest.raises(KeyboardInterrupt):
        _ = OfflineQuery(query).columns  # type: ignore[arg-type]
    assert query.interrupted


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("Query interrupted")])
def test_ctrl_c_is_silent(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def stopped(_given: object) -> None:
        raise error

    monkeypatch.setattr(cli, "_run", stopped)
    assert cli.main(["query", "select 1"]) == 130
    assert capsys.readouterr() == ("", "")
