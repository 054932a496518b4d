"""The file operations that the journal depends on, in one place that can be exchanged.

Nothing else of the journal touches a descriptor, so a test can hand in a disk that fails at the
n-th call, writes short or dawdles.
"""

import errno
import os
from pathlib import Path


class Disk:
    """Thin names for system calls. Every method may raise OSError."""

    def open(self, path: Path, flags: int) -> int:
        return os.open(path, flags | os.O_CLOEXEC, 0o600)

    def write(self, descriptor: int, data: bytes | bytearray) -> int:
        return os.write(descriptor, data)

    def fsync(self, descriptor: int) -> None:
        os.fsync(descriptor)

    def close(self, descriptor: int) -> None:
        os.close(descriptor)

    def rename(self, source: Path, target: Path) -> None:
        source.rename(target)

    def sync_folder(self, folder: Path) -> None:
        descriptor = self.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            self.fsync(descriptor)
        finally:
            self.close(descriptor)

    def replace(self, path: Path, data: bytes) -> None:
        """The new content or the old one after a crash, never a mixture."""
        fresh = path.with_name(path.name + ".new")
        descriptor = self.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        try:
            self.write_all(descriptor, data)
            self.fsync(descriptor)
        finally:
            self.close(descriptor)
        self.rename(fresh, path)
        self.sync_folder(path.parent)

    def write_all(self, descriptor: int, data: bytes | bytearray) -> None:
        """One call; a short count is a failure, because what follows could not be trusted."""
        count = self.write(descriptor, data)
        if count != len(data):
            raise ShortWrite(count, len(data))

    def free_bytes(self, folder: Path) -> int:
        status = os.statvfs(folder)
        return status.f_bavail * status.f_frsize


class ShortWrite(OSError):  # noqa: N818
    """A file takes a part only when there is no room for the rest: on the disk, or in a quota."""

    def __init__(self, count: int, wanted: int) -> None:
        super().__init__(errno.ENOSPC, f"{count} of {wanted} bytes were written")
