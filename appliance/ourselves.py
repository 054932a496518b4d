"""How this program starts itself again: as a command, or as one of its helper processes."""

import sys
from pathlib import Path


def own_command(module: str, argument: str = "") -> list[str]:
    """The module, or of a frozen executable, which knows only its own name, `argument` (entry.py).

    `-m` alone would look into the current directory first, where a project's own `storage` or
    `types.py` would be taken for ours: it is left out, but where we lie there ourselves."""
    if getattr(sys, "frozen", False):
        return [sys.executable, *([argument] if argument else [])]
    return [sys.executable, *([] if _is_here() else ["-P"]), "-m", module]


def _is_here() -> bool:
    try:
        return Path(__file__).resolve().parents[1] == Path.cwd()
    except FileNotFoundError:  # somebody has removed the current directory
        return False
