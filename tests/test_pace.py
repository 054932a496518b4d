"""Helper processes take what nobody else wants of the processors, unless they have to get on."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from appliance.pace import at_once

# In a process of its own: the thread that makes it idle stays so.
PROGRAM = """
import os, sys
from appliance.pace import Pace
if "bare" in sys.argv:
    del os.SCHED_IDLE
os.nice(7)
pace = Pace()
def where():
    return os.sched_getscheduler(0), os.nice(0)
print(pace.run(where, hurry=False), pace.run(where, hurry=True), pace.run(where, hurry=False))
try:
    pace.run(lambda: 1 / 0, hurry="hurry" in sys.argv)
except ZeroDivisionError:
    print("raised")
"""
IDLE, USUAL = f"({os.SCHED_IDLE}, 7)", f"({os.SCHED_OTHER}, 7)"


@pytest.mark.parametrize(
    ("arguments", "patient"), [([], IDLE), (["hurry"], IDLE), (["bare"], USUAL)]
)
def test_patient_work_is_idle_and_hurried_work_is_not(arguments: list[str], patient: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments],
        cwd=Path(__file__).parents[1], capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == f"{patient} {USUAL} {patient}\nraised\n"


def test_without_a_pace_it_is_done_here() -> None:
    before = os.sched_getscheduler(0)
    assert at_once(lambda: os.sched_getscheduler(0), hurry=False) == before
