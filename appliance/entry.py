"""Where the command begins, installed or frozen (build/appliance.spec).

Frozen it has no `-m`: what the server starts beside itself is the same executable with one
argument, which is looked at before anything of weight is imported. The names must agree with the
helpers' own.
"""

import ctypes
import gc
import os
import shutil
import signal
import sys
from contextlib import suppress
from pathlib import Path

PR_SET_PDEATHSIG = 1  # <linux/prctl.h>
# Modules are loaded by the hundred and stay: Python's own 700 would have the collector look through
# all of them again and again, a tenth of the start.
COLLECTOR_WHILE_LOADING = 50_000


def main() -> int:
    """The exit code."""
    match sys.argv[1:]:
        case ["sql-sandbox"]:
            from storage.sandbox import main as sandbox

            return sandbox()
        case ["lake-helper"]:
            from appliance.rolling import main as lake

            return lake()
        case ["batch-helper"]:
            from appliance.batching import main as batches

            return batches()
        case _:
            return _command()


def _command() -> int:
    """The one-file form is two processes: one unpacked the files and waits to remove them. Killed,
    it must leave neither a server behind that holds the port, nor its files. It passes signals on,
    which a terminal sends to both: a server takes a second one for haste, so it leaves the group
    that the terminal knows."""
    gc.set_threshold(COLLECTOR_WHILE_LOADING, *gc.get_threshold()[1:])
    try:
        from appliance.cli import main as command
    except KeyboardInterrupt:
        return 130

    place, unpacker = _unpacked(), os.getppid()
    if place is None or not _is_ourselves(unpacker):
        return command()
    end_with_parent()
    if sys.argv[1:2] == ["serve"]:
        os.setpgid(0, 0)
    try:
        return command()
    finally:
        if os.getppid() != unpacker:
            shutil.rmtree(place, ignore_errors=True)


def end_with_parent() -> None:
    """SIGTERM when it ends, as if somebody had told this process to stop; Linux alone knows it."""
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:
        prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _is_ourselves(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/exe").readlink() == Path(sys.executable).resolve()
    return False


def _unpacked() -> Path | None:
    """Where the one-file form lies unpacked, if this is it and the directory is its own."""
    place = Path(getattr(sys, "_MEIPASS", ""))
    return place if place.name.startswith("_MEI") and place.is_dir() else None


if __name__ == "__main__":
    sys.exit(main())
