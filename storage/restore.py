"""A root out of a backup: unpacked inside its own directory, under the lock of that, and in its
place only when all of it was checked. The directory itself may be a mount, and nothing beside it
need be writable. Knows no backup: unpacking is a callable that it is given. Everything blocks.
"""

import shutil
from collections.abc import Callable, Container
from pathlib import Path
from typing import Final, TypeVar

from storage.backup_pieces import BackupRefused
from storage.directory import RESTORING, locked
from storage.disk import Disk

T = TypeVar("T")
# Of no root: locks (the last two of `run`), what a restore that was cut off left, what a new file
# system has.
PASSED_OVER: Final = frozenset(("lock", "run.lock", "run.turn", RESTORING, "lost+found"))


def restore(target: Path, unpack: Callable[[Path], T], beside: Container[str] = ()) -> T:
    """Make `target` what `unpack` puts into the folder that it is given, which is not there yet.
    What `unpack` raises leaves nothing behind. `beside`: names in it that are another root's.
    Raises BackupRefused where more lies there, RootBusy where somebody uses it, OSError."""
    was_there = target.exists()
    target.mkdir(mode=0o700, parents=True, exist_ok=True)
    with locked(target):
        for path in target.iterdir():
            if path.name not in PASSED_OVER and path.name not in beside:
                raise BackupRefused(
                    f"{target} is not empty: give another --data-dir, or move what lies there"
                )
        aside = target / RESTORING
        shutil.rmtree(aside, ignore_errors=True)
        try:
            found = unpack(aside)
        except BaseException:
            shutil.rmtree(aside if was_there else target, ignore_errors=True)
            raise
        _put_in_place(aside, target)
        return found


def _put_in_place(aside: Path, target: Path) -> None:
    """FORMAT last: records without it are not taken for a root (`directory.py`)."""
    disk = Disk()
    for path in sorted(aside.iterdir(), key=lambda path: (path.name == "FORMAT", path.name)):
        disk.rename(path, target / path.name)
    aside.rmdir()
    disk.sync_folder(target)
