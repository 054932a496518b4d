"""Programs of users, run with the packages that `scripts/setup --packages` has installed beside
this file: in an environment of their own, so that none of them becomes part of ours."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

START_S = 110  # LiteLLM takes 5 s of a processor to be imported
PLACE = Path(__file__).parent
PYTHON = PLACE / ".venv" / "bin" / "python"
NODE_MODULES = PLACE / "node_modules"
MISSING = "scripts/setup --packages has not been run: this is tested nowhere else"

needs_python = pytest.mark.skipif(not PYTHON.exists(), reason=MISSING)
needs_node = pytest.mark.skipif(not NODE_MODULES.exists(), reason=MISSING)


def run(directory: Path, program: str, *arguments: str, **environ: str) -> Any:
    """What the program prints as its last line, as JSON. What it says on stderr is shown when it
    fails."""
    python = program.endswith(".py")
    command = [str(PYTHON) if python else "node", str(PLACE / "programs" / program), *arguments]
    done = subprocess.run(
        command,
        cwd=directory,
        env={
            "PATH": os.environ["PATH"], "HOME": str(directory), "NO_PROXY": "*",
            "TRACELOOP_TELEMETRY": "false", "LITELLM_LOCAL_MODEL_COST_MAP": "true",
            "PYTHONDONTWRITEBYTECODE": "1", **environ,
        },
        capture_output=True,
        text=True,
        timeout=START_S,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr + done.stdout
    assert "Error making request to Helicone" not in done.stdout, done.stdout
    lines = done.stdout.strip().splitlines()
    return json.loads(lines[-1]) if lines else None
