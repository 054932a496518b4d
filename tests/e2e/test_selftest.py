"""`selftest` of a program that works."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from appliance import selftest
from tests.e2e.starting import environment
from tests.fakes.appliance import ROOT

# Six starts and as many commands; alone on a machine it takes a tenth of it.
LONG_S = 300


@pytest.mark.timeout(LONG_S + 30)
def test_all_is_well_whatever_the_environment_says(tmp_path: Path) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    more = {"HELICONE_APPLIANCE_PORT": "1", "OPENAI_API_KEY": "sk-mine", "TMPDIR": str(temporary)}
    done = subprocess.run(
        [sys.executable, "-m", "appliance.cli", "selftest", "--json"],
        cwd=ROOT, env=environment(tmp_path, more), capture_output=True, text=True, timeout=LONG_S,
    )  # fmt: skip
    told = json.loads(done.stdout)
    assert [check for check in told["checks"] if not check["ok"]] == [], done.stderr
    assert (done.returncode, told["ok"], told["frozen"]) == (0, True, False)
    names = [check["name"] for check in told["checks"]]
    assert len(names) == len(set(names)) == len(selftest.PLAIN) + len(selftest.SEALED) + 1
    assert not list(temporary.iterdir())
