"""A root: one region's data directory, its lock, its format version and the reserve on its disk.

Knows the names of the folders, nothing of what is in them.
"""

import errno
import fcntl
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from storage.disk import Disk

FORMAT_VERSION = 1
FOLDERS = ("journal", "blobs", "lake", "quarantine", "tmp")
LOCK_POLL_S = 0.05
RESERVE_BYTES = 32 * 1024 * 1024
RESTORING = ".restoring"  # where `restore` unpacks; with no FORMAT beside it, it was cut off

# Step n turns a directory of format n + 1 into one of format n + 2.
Upgrade = Callable[[Path], None]
UPGRADES: tuple[Upgrade, ...] = ()


class RootBusy(Exception):  # noqa: N818 - names a state, not a fault
    """Another process holds the lock; one line that names it."""


class RootRefused(Exception):  # noqa: N818 - it is an answer
    """One line that says why this directory is not opened."""


class Root:
    """An open, locked data directory. Closing it (or dying) gives the lock back."""

    def __init__(self, path: Path, lock: int) -> None:
        self.path = path
        self._lock = lock

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        wait_s: float = 10.0,
        version: int = FORMAT_VERSION,
        upgrades: Sequence[Upgrade] = UPGRADES,
        sleep: Callable[[float], None] = time.sleep,
    ) -> "Root":
        """Blocking. Raises RootBusy, RootRefused, OSError. From here on the process makes files
        for its owner alone: DuckDB and PyArrow have no option for the mode of theirs."""
        os.umask(os.umask(0o077) | 0o077)  # the directory itself may be older, and open to others
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        root = cls(path, _locked(path / "lock", wait_s, sleep))
        try:
            _check_format(path, version, upgrades)
            for folder in FOLDERS:
                (path / folder).mkdir(mode=0o700, exist_ok=True)
            _emptied(path / "tmp")
        except BaseException:
            root.close()
            raise
        return root

    @property
    def lock_descriptor(self) -> int:
        """For helper processes: while one of them lives, the directory stays locked."""
        return self._lock

    def close(self) -> None:
        """The lock file stays: removing it would let two processes lock two files."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def __enter__(self) -> "Root":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """The lock of a directory that is to become a root. Raises RootBusy at once, OSError."""
    descriptor = _locked(path / "lock", 0.0, time.sleep)
    try:
        yield
    finally:
        os.close(descriptor)


def lock_holder(path: Path) -> int | None:
    """The pid that the lock file of a root names; it may be dead, the lock tells."""
    try:
        return int((path / "lock").read_text())
    except (OSError, ValueError):
        return None


def _locked(path: Path, wait_s: float, sleep: Callable[[float], None]) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        for attempt in range(int(wait_s / LOCK_POLL_S) + 1):
            if attempt:
                sleep(LOCK_POLL_S)
            if _try_lock(descriptor):
                os.ftruncate(descriptor, 0)
                # A full disk must not keep us out: the lock holds without the name in it.
                with suppress(OSError):
                    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
                return descriptor
        holder = lock_holder(path.parent)
        named = f"process {holder}" if holder else "another process"
        raise RootBusy(f"{path.parent} is in use by {named} (waited {wait_s:g} s)")
    except BaseException:
        os.close(descriptor)
        raise


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _check_format(path: Path, version: int, upgrades: Sequence[Upgrade]) -> None:
    found = _format_of(path)
    if found is None:
        found = version
        _write_format(path, version)
    if found > version:
        raise RootRefused(
            f"{path} has format {found}, made by a newer version; this one knows {version}"
        )
    for step in range(found, version):
        upgrades[step - 1](path)
        _write_format(path, step + 1)


def _format_of(path: Path) -> int | None:
    """None for a directory that was never used."""
    try:
        found = int((path / "FORMAT").read_text())
        if found < 1:
            raise ValueError("versions begin at 1")
        return found
    except FileNotFoundError:
        if (path / RESTORING).exists():
            raise RootRefused(
                f"a restore was cut off in {path}: remove what it left, and make it again"
            ) from None
        if any((path / "journal").glob("*.seg")) or any((path / "lake").glob("*/*.parquet")):
            raise RootRefused(f"{path} has records but no FORMAT file") from None
        return None
    except ValueError:
        raise RootRefused(f"{path / 'FORMAT'} holds no version number") from None


def _write_format(path: Path, version: int) -> None:
    Disk().replace(path / "FORMAT", f"{version}\n".encode())


def _emptied(folder: Path) -> None:
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


class Reserve:
    """Space held back on the disk, so that there is some to end well when it is full."""

    def __init__(self, path: Path, size_bytes: int = RESERVE_BYTES) -> None:
        self._path = path
        self._size_bytes = size_bytes

    @property
    def present(self) -> bool:
        """True also when no reserve is wanted."""
        try:
            return self._path.stat().st_size >= self._size_bytes
        except FileNotFoundError:
            return not self._size_bytes

    def make(self, free_bytes: int) -> bool:
        """Makes it where twice its size is free. False when there is no space. Raises OSError."""
        if self.present:
            return True
        if free_bytes < 2 * self._size_bytes:
            return False
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, self._size_bytes)
        except OSError as error:
            self.release()
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                return False
            raise
        finally:
            os.close(descriptor)
        return True

    def release(self) -> bool:
        """Whether there was one to give. Raises OSError on a read-only disk."""
        try:
            self._path.unlink()
        except FileNotFoundError:
            return False
        return bool(self._size_bytes)
