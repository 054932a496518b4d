"""The environment of a program that the frozen executable runs: real processes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.starting import environment
from tests.fakes.appliance import ROOT
from tests.fakes.patience import PATIENCE_S

FROZEN = """
import os, sys
sys.frozen = sys.argv[1] == "frozen"
from appliance.program_child import run_program
tell = "import json, os; print(json.dumps(dict(os.environ)))"
sys.exit(run_program([sys.executable, "-c", tell], os.environ))
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
