"""The environment of a program that the frozen executable runs: real processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.starting import environment, until
from tests.fakes.appliance import ROOT
from tests.fakes.patience import PATIENCE_S

FROZEN = """
import os, sys
sys.frozen = sys.argv[1] == "frozen"
from appliance.program_child import run_program
tell = "import json, os; print(json.dumps(dict(os.environ)))"
sys.exit(run_program([sys.executable, "-c", tell], os.environ))
"""
RUN = """
import os, sys
from appliance.program_child import run_program
print("ended with", run_program([sys.executable, "-c", sys.argv[1]], os.environ))
"""
# Stops whoever runs it, so that all else comes at once, when that one goes on.
AT_ITS_END = """
import os, signal
ours = os.getppid()
os.kill(ours, signal.SIGSTOP)
for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
    os.kill(ours, number)
os._exit(5)
"""
ENDED = """
import signal, sys, time
from appliance.program_child import ended_in_order
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # under nohup it is ignored, and stays so
with ended_in_order():
    try:
        print("ready", flush=True)
        time.sleep(60)
    finally:
        signal.raise_signal(signal.SIGTERM)
        print("cleaned", flush=True)
"""
OWN = {
    "LD_LIBRARY_PATH": "/opt/helicone/_internal", "_MEIPASS2": "/tmp/_MEI1",
    "_PYI_ARCHIVE_FILE": "/opt/helicone/x", "_PYI_PARENT_PROCESS_LEVEL": "1",
}  # fmt: skip


def seen(tmp_path: Path, how: str, more: dict[str, str]) -> dict[str, str]:
    """What the program finds in its environment."""
    done = subprocess.run(
        [sys.executable, "-c", FROZEN, how], cwd=ROOT, env=environment(tmp_path, more),
        capture_output=True, text=True, timeout=PATIENCE_S,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: dict[str, str] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("original", [None, "/usr/local/lib"])
def test_a_frozen_executable_keeps_its_libraries_to_itself(
    tmp_path: Path, original: str | None
) -> None:
    kept = {} if original is None else {"LD_LIBRARY_PATH_ORIG": original}
    found = seen(tmp_path, "frozen", {**OWN, **kept, "MINE": "stays"})
    assert found.get("LD_LIBRARY_PATH") == original
    assert found["MINE"] == "stays"
    assert [name for name in found if name.startswith("_PYI_") or name == "_MEIPASS2"] == []
    assert "LD_LIBRARY_PATH_ORIG" not in found


def test_an_installed_one_has_none_and_changes_nothing(tmp_path: Path) -> None:
    found = seen(tmp_path, "installed", OWN)
    assert {name: found[name] for name in OWN} == OWN


def test_what_comes_with_its_end_is_for_the_program(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", RUN, AT_ITS_END], cwd=ROOT, env=environment(tmp_path),
        stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        until(lambda: any(state(int(child)) == "Z" for child in children.read_text().split()))
        assert state(process.pid) == "T"
        os.kill(process.pid, signal.SIGCONT)
        said, _ = process.communicate(timeout=PATIENCE_S)
    assert (said, process.returncode) == ("ended with 5\n", 0)


def state(pid: int) -> str:
    """As the kernel has it: T is stopped, Z has ended."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_us_in_order_and_once(tmp_path: Path, number: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", ENDED], cwd=ROOT, env=environment(tmp_path),
        stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        said, _ = process.communicate(timeout=PATIENCE_S)
    assert (said, process.returncode) == ("cleaned\n", 128 + number)
