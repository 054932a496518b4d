"""The frozen executable's beginning, run as a module: helpers by their argument, and what becomes
of the single file's server when whoever unpacked it is killed."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from appliance import rolling
from appliance.actors import batch_wire, lake_helper
from appliance.actors import sandbox as sandbox_actor
from appliance.actors.batch_helper import BatchHelper
from appliance.actors.batch_wire import Ask
from appliance.actors.lake_helper import Helper
from appliance.actors.sandbox import Sandbox
from storage import sandbox
from tests.e2e.starting import until
from tests.fakes.patience import PATIENCE_S

ENTRY = [sys.executable, "-m", "appliance.entry"]
HEAVY = ("duckdb", "pyarrow", "trio", "fastapi", "typer", "msgspec", "cryptography")
# Stands in for the single file: an interpreter that starts another one and waits for it.
UNPACKER = "import subprocess, sys; subprocess.run([sys.executable, '-c', *sys.argv[1:]])"
SERVER = """
import os, signal, sys
from pathlib import Path
from appliance import cli, entry
sys._MEIPASS, sys.frozen = sys.argv.pop(), True
ended = []
signal.signal(signal.SIGTERM, lambda *_: ended.append(True))
def serve():
    Path(sys._MEIPASS, "pid").write_text(str(os.getpid()))
    while not ended:
        signal.pause()
    Path(sys._MEIPASS).with_suffix(".ended").touch()
    return 0
cli.main = serve
sys.exit(entry.main())
"""


def test_it_looks_at_the_argument_before_anything_of_weight() -> None:
    code = f"import sys, appliance.entry; print([m for m in {HEAVY} if m in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


def test_the_names_of_helpers_are_one_each() -> None:
    assert sandbox.ARGUMENT == sandbox_actor.ARGUMENT
    assert rolling.ARGUMENT == lake_helper.ARGUMENT
    assert len({sandbox.ARGUMENT, rolling.ARGUMENT, batch_wire.ARGUMENT}) == 3


async def test_the_sandbox_starts() -> None:
    """It says so itself, or the turn would not begin."""
    made = Sandbox([*ENTRY, sandbox.ARGUMENT])
    made.close()  # it is not kept for the next
    async with made.turn("a") as process:
        assert process.is_idle
    assert (made.started, made.killed) == (1, 1)


async def test_the_lakes_helper_starts(tmp_path: Path) -> None:
    async with Helper([*ENTRY, rolling.ARGUMENT]).process() as process:
        job = {"command": "pending", "root": str(tmp_path)}
        assert await process.run(job, lambda message: None) == {"count": 0}


def test_the_helper_of_ingest_starts(tmp_path: Path) -> None:
    helper = BatchHelper(tmp_path, {}, None, command=[*ENTRY, batch_wire.ARGUMENT])
    try:
        gathered, batch = helper.gather(Ask((1, 0), (1, 0), 1, 1, 1, False, 1, 1))
    finally:
        helper.close()
    assert (gathered.end, len(batch)) == ((1, 0), 0)


def test_everything_else_is_the_command() -> None:
    for arguments in (["version", "--json"], ["--help"]):
        done = subprocess.run([*ENTRY, *arguments], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    done = subprocess.run([*ENTRY, sandbox.ARGUMENT, "more"], capture_output=True, text=True)
    assert done.returncode == 2


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_the_server_ends_with_whoever_unpacked_it(tmp_path: Path, how: signal.Signals) -> None:
    place = tmp_path / "_MEI1234"
    place.mkdir()
    (place / "library.so").touch()
    with subprocess.Popen([sys.executable, "-c", UNPACKER, SERVER, str(place)]) as unpacker:
        until((place / "pid").exists)
        until(lambda: (place / "pid").read_text())
        unpacker.send_signal(how)
        unpacker.wait(PATIENCE_S)
    until(place.with_suffix(".ended").exists)
    until(lambda: not place.exists())


def test_ended_as_usual_its_files_are_left_to_whoever_unpacked_them(tmp_path: Path) -> None:
    place = tmp_path / "_MEI1234"
    place.mkdir()
    with subprocess.Popen([sys.executable, "-c", UNPACKER, SERVER, str(place)]) as unpacker:
        until((place / "pid").exists)
        until(lambda: (place / "pid").read_text())
        os.kill(int((place / "pid").read_text()), signal.SIGTERM)
        unpacker.wait(PATIENCE_S)
    assert place.with_suffix(".ended").exists()
    assert place.exists()


@pytest.mark.parametrize("command", ["serve", "query"])
def test_a_server_is_out_of_the_terminals_reach(tmp_path: Path, command: str) -> None:
    """Whoever unpacked it passes on what the terminal sends. Other commands may ask there."""
    place = tmp_path / "_MEI1234"
    place.mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", UNPACKER, SERVER, command, str(place)]
    ) as unpacker:
        until((place / "pid").exists)
        until(lambda: (place / "pid").read_text())
        pid = int((place / "pid").read_text())
        assert (os.getpgid(pid) == pid) is (command == "serve")
        os.kill(pid, signal.SIGTERM)
        unpacker.wait(PATIENCE_S)


def test_another_parent_may_go(tmp_path: Path) -> None:
    """A shell, or systemd: a server that was sent to the background stays."""
    place = tmp_path / "_MEI1234"
    place.mkdir()
    command = ["sh", "-c", '"$@" & wait', "sh", sys.executable, "-c", SERVER, str(place)]
    with subprocess.Popen(command) as shell:
        until((place / "pid").exists)
        until(lambda: (place / "pid").read_text())
        pid = int((place / "pid").read_text())
        shell.kill()
        shell.wait(PATIENCE_S)
    try:
        status = Path(f"/proc/{pid}/status").read_text()
        assert "ShdPnd:\t0000000000000000" in status
        assert not place.with_suffix(".ended").exists()
        os.kill(pid, signal.SIGTERM)
        until(place.with_suffix(".ended").exists)
    finally:
        until(lambda: not Path(f"/proc/{pid}").exists())


def test_what_nobody_unpacked_is_nobodys(tmp_path: Path) -> None:
    """Installed, or as a folder: a program in Python that starts it is no other half of it."""
    place = tmp_path / "_internal"
    place.mkdir()
    with subprocess.Popen([sys.executable, "-c", UNPACKER, SERVER, "serve", str(place)]) as program:
        until((place / "pid").exists)
        until(lambda: (place / "pid").read_text())
        pid = int((place / "pid").read_text())
        assert os.getpgid(pid) == os.getpgid(program.pid)
        program.kill()
        program.wait(PATIENCE_S)
    try:
        assert "ShdPnd:\t0000000000000000" in Path(f"/proc/{pid}/status").read_text()
    finally:
        os.kill(pid, signal.SIGTERM)
        until(lambda: not Path(f"/proc/{pid}").exists())
