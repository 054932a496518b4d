"""A small run of Schemathesis with a seed that stays; scripts/fuzz-api has the large one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from tests.fakes.appliance import ROOT

MISSING = os.environ.get("HELICONE_ST") is None and shutil.which("st") is None


@pytest.mark.skipif(MISSING, reason="Schemathesis is not installed")
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("arguments"),
    [
        ["--seed", "7", "--examples", "3", "--caller", "owner"],
        pytest.param(["--examples", "30"], marks=pytest.mark.long),
    ],
)
def test_no_answer_is_a_5xx_or_against_the_schema(arguments: list[str]) -> None:
    command = [sys.executable, "scripts/fuzz_api.py", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=850)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
