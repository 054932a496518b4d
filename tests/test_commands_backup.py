"""`backup` and `restore` before and around their work: words, names, and being told to end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from appliance import commands_backup
from appliance.cli import main
from appliance.commands_backup import passphrase_of
from appliance.errors import Refusal
from tests.fakes.appliance import ROOT
from tests.fakes.patience import PATIENCE_S

WORDS = "a passphrase of some length"
# A backup that comes to no end.
ENDLESS = """
import sys, time
from contextlib import contextmanager
from pathlib import Path
from appliance import commands_backup

@contextmanager
def nothing(*_):
    yield []

def write(*_, **__):
    print("writes", flush=True)
    time.sleep(1000)

commands_backup._held = nothing
commands_backup.backup.write = write
commands_backup.run_backup({}, "us", Path(sys.argv[1]), None, check=True, as_json=True)
"""


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What a person types, in turn."""
    words: list[str] = []
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("getpass.getpass", lambda _: words.pop(0))
    monkeypatch.delenv(commands_backup.VARIABLE, raising=False)
    return words


def test_a_slip_of_the_finger_makes_no_backup(typed: list[str]) -> None:
    typed += [WORDS, WORDS + "x"]
    with pytest.raises(Refusal, match="two different"):
        passphrase_of(None, unencrypted=False, twice=True)
    typed += [WORDS, WORDS]
    assert passphrase_of(None, unencrypted=False, twice=True) == WORDS.encode()


def test_restore_asks_once(typed: list[str]) -> None:
    typed += [WORDS]
    assert passphrase_of(None, unencrypted=False) == WORDS.encode()


def test_only_a_file_is_a_backup(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Said before the work, not after it."""
    data = ("--data-dir", str(tmp_path / "none"))
    assert main(["backup", str(tmp_path), "--unencrypted", *data]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("is a directory: name a file in it")
    os.mkfifo(tmp_path / "fifo")
    assert main(["backup", str(tmp_path / "fifo"), "--unencrypted", *data]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("fifo is no regular file: a backup is written to one")


def test_restore_of_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = ("--data-dir", str(tmp_path / "none"))
    assert main(["restore", str(tmp_path), "--unencrypted", *data]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line == f"error: {tmp_path} is a directory, and no backup"


def test_told_to_end_it_leaves_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-c", ENDLESS, str(tmp_path / "x.backup")]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "writes\n"
    assert [path.suffix for path in tmp_path.iterdir()] == [".partial"]
    process.send_signal(signal.SIGTERM)
    process.stdout.close()
    assert process.wait(PATIENCE_S) == 128 + signal.SIGTERM
    assert list(tmp_path.iterdir()) == []
