"""Prints requirements.lock without what only checks and tests this project: `locked.py FILE`. What
an image is built with is half as large then. `pip check` tells where something is missing."""

import re
import sys
from pathlib import Path

# Nothing that is left asks for them.
LEFT_OUT = (
    "anthropic", "flake8", "flake8-async", "grimp", "hypothesis", "import-linter", "openai",
    "pip-tools", "playwright", "pytest", "pytest-timeout", "pytest-trio", "pytest-xdist", "ruff",
)  # fmt: skip
ENTRY = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==.*(?:\n[ \t].*)*\n", re.MULTILINE)


def kept(lock: str) -> str:
    """Entries as they stand, hashes and all."""
    return "".join(
        found[0] for found in ENTRY.finditer(lock) if found["name"].lower() not in LEFT_OUT
    )


if __name__ == "__main__":
    print(kept(Path(sys.argv[1]).read_text(encoding="utf-8")), end="")
