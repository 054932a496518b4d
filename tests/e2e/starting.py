"""Starts that are to fail, output that is to be read, and waiting for what must come."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.fakes.appliance import ROOT
from tests.fakes.patience import PATIENCE_S


def until(true: Callable[[], object], wait_s: float = PATIENCE_S) -> None:
    """Wait until it is so."""
    until_s = time.monotonic() + wait_s
    while not true():
        assert time.monotonic() < until_s
        time.sleep(0.01)


def environment(directory: Path, more: Mapping[str, str] | None = None) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": str(directory), **(more or {})}


def run(
    directory: Path,
    *arguments: str,
    environ: Mapping[str, str] | None = None,
    program: str = "appliance.cli",
) -> subprocess.CompletedProcess[str]:
    """Run one command to its end."""
    return subprocess.run(
        [sys.executable, "-m", program, *arguments],
        cwd=ROOT,
        env=environment(directory, environ),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )


def failed_start(
    directory: Path, *flags: str, environ: Mapping[str, str] | None = None
) -> tuple[int, str]:
    """The exit code and the one line with which `serve` gave up."""
    flags = ("--port", "0", *flags) if "--port" not in flags else flags
    done = run(directory, "serve", "--data-dir", str(directory / "data"), *flags, environ=environ)
    assert done.returncode != 0, done.stdout
    assert len(done.stderr.splitlines()) == 1, done.stderr
    return done.returncode, done.stderr
