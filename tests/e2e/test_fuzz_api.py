"""A small run of Schemathesis with a seed that stays; scripts/fuzz-api has the large one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from tests.fakes.appliance import ROOT

MISSING = os.environ.get("HELICONE_ST") is None and shutil.which("schemathesis") is None
OTHERS = (
    "nobody", "admin_key", "key rw", "key w", "key r", "admin", "member", "viewer", "stranger",
)  # fmt: skip


@pytest.mark.skipif(MISSING, reason="Schemathesis is not installed: see scripts/fuzz_api.py")
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "caller", ["owner", *(pytest.param(name, marks=pytest.mark.long) for name in OTHERS)]
)
def test_no_answer_is_a_5xx_or_against_the_schema(caller: str) -> None:
    command = [sys.executable, "scripts/fuzz_api.py", "--seed", "7", "--examples", "3"]
    command += ["--caller", caller]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=850)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
