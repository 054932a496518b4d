"""The second tier of provider keys: one sealed file with all of them, for when SQLite is no help.

Blocking. It never says more than SQLite did: whoever takes a key away removes the file first. The
secrets in it are sealed twice, their names and hosts once.
"""

import os
from pathlib import Path
from typing import Final

import msgspec

from storage.disk import Disk
from storage.provider_keys import KeyBook, ProviderKeyRow, ProxyKeyRow, Stamp
from storage.vault import Vault, VaultError

FILE_NAME: Final = "provider_keys.snapshot"
MAGIC: Final = b"provider keys 1\n"
PURPOSE: Final = b"provider keys snapshot"
FILE_BYTES_MAX: Final = 64 << 20

Content = tuple[Stamp, list[ProviderKeyRow], list[ProxyKeyRow]]
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Content)


class SnapshotUnreadable(Exception):  # noqa: N818 - a condition that callers handle
    """There is a file, and it is of no use; the text says why."""


class Snapshot:
    """The file in a region's root. Every method may raise OSError."""

    def __init__(self, directory: Path, vault: Vault, disk: Disk | None = None) -> None:
        self.path = directory / FILE_NAME
        self._vault = vault
        self._disk = disk or Disk()
        self._written: tuple[int, ...] = ()

    def read(self) -> KeyBook | None:
        """What was written last; None without a file. Raises SnapshotUnreadable."""
        try:
            with open(self.path, "rb") as stream:
                data = stream.read(FILE_BYTES_MAX)
                state = _identity(os.fstat(stream.fileno()))
        except FileNotFoundError:
            return None
        if not data.startswith(MAGIC):
            raise SnapshotUnreadable(f"{self.path} does not begin as it should")
        try:
            plain = self._vault.open_sealed(data[len(MAGIC) :], PURPOSE)
            stamp, keys, proxies = _decoder.decode(plain)
        except (VaultError, msgspec.MsgspecError) as error:
            raise SnapshotUnreadable(f"{self.path}: {error}") from None
        self._written = state
        return KeyBook(stamp, tuple(keys), tuple(proxies))

    def write(self, book: KeyBook) -> None:
        """Replace it: after a crash there is the old one or the new one."""
        plain = _encoder.encode((book.stamp, book.keys, book.proxies))
        self._disk.replace(self.path, MAGIC + self._vault.seal(plain, PURPOSE))
        self._written = _identity(self.path.stat())

    def remove(self) -> None:
        """No file, on the disk as well."""
        self.path.unlink(missing_ok=True)
        self._disk.sync_folder(self.path.parent)
        self._written = ()

    def is_as_left(self) -> bool:
        """Whether the file is still the one that was read or written here."""
        try:
            return self._written == _identity(self.path.stat())
        except FileNotFoundError:
            return False


def _identity(status: os.stat_result) -> tuple[int, ...]:
    return status.st_ino, status.st_size, status.st_mtime_ns
