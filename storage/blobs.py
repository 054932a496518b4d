"""Large bodies, one file each under `blobs/`; written in `tmp/` first and kept by a rename.

A plain blob is the bytes themselves. In an encrypted root it is a header and sealed chunks, and
its name says so. Knows nothing of frames.
"""

import os
import re
import secrets
import shutil
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from struct import Struct
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from storage.vault import SegmentKeys, VaultError

CHUNK_BYTES = 64 * 1024
SEAL_BYTES = 16
OPEN_DESCRIPTORS_MAX = 256
COPY_BYTES = 1024 * 1024
MAGIC = b"HAJ\x00BLB\n"
_HEADER = Struct("<8sII16s")  # magic, key epoch, chunk bytes, salt
_NONCE = Struct(">7xBI")  # whether it is the last chunk, its index: cutting a file short shows
_NAME = re.compile(r"[0-9a-f]{32}(\.sealed)?")


class Blob(NamedTuple):
    """`length` and offsets count the bytes that were written, sealed or not."""

    name: str
    length: int
    sha256: bytes


class BlobUnreadable(LookupError):  # noqa: N818
    """Gone, cut, changed, or not of that length."""


class Blobs:
    """All blobs of one root. Everything is blocking; pieces of up to 64 KiB cost the loop little.

    Disk trouble comes out as OSError: whoever writes decides what is lost.
    """

    def __init__(self, directory: Path, keys: SegmentKeys | None = None) -> None:
        self._directory = directory
        self._keys = keys
        # Of those that were kept; a descriptor for the first of them.
        self._unsynced: deque[tuple[int | None, Path]] = deque()
        self.sync_failures = 0

    def create(self) -> "BlobWriter":
        """A spill: readable at once, kept by `finish`, else dropped by `discard`."""
        return BlobWriter(self, self._directory / "tmp", self._keys)

    def adopt(self, path: Path) -> Blob:
        """Takes over a plain file of the same file system by a rename, or sealed by a copy."""
        digest, length = sha256(), 0
        writer = self.create() if self._keys is not None else None
        try:
            with path.open("rb") as file:
                while piece := file.read(COPY_BYTES):
                    digest.update(piece)
                    length += len(piece)
                    if writer is not None:
                        writer.write(piece)
            if writer is not None:
                blob = writer.finish()
                path.unlink()
                return blob
        except BaseException:
            if writer is not None:
                writer.discard()
            raise
        name = secrets.token_hex(16)
        self.keep(path, name, os.open(path, os.O_RDWR | os.O_CLOEXEC))
        return Blob(name, length, digest.digest())

    def read(self, name: str, offset: int = 0, length: int | None = None) -> bytes:
        """Raises BlobUnreadable, VaultError."""
        path = self.path(name)
        try:
            with path.open("rb") as file:
                source = _source(file.fileno(), name, self._keys)
                return source.read(offset, length)
        except FileNotFoundError:
            raise BlobUnreadable(f"blob {name} is gone") from None

    def unlink(self, name: str) -> bool:
        """False when it was gone already: a deletion may be repeated after a crash."""
        try:
            self.path(name).unlink()
        except FileNotFoundError:
            return False
        return True

    def names(self) -> Iterator[str]:
        for path in (self._directory / "blobs").glob("??/*"):
            if _NAME.fullmatch(path.name):
                yield path.name

    def path(self, name: str) -> Path:
        """Raises BlobUnreadable for what is no name, so none leads out of the folder."""
        if not _NAME.fullmatch(name):
            raise BlobUnreadable("not the name of a blob")
        return self._directory / "blobs" / name[:2] / name

    def sync(self) -> None:
        """fsyncs what was kept since the last call; the journal calls it before its own fsync.

        Never raises: a blob that cannot be synced is in the page cache still, and counted.
        """
        folders: set[Path] = set()
        for _ in range(len(self._unsynced)):  # while more may be kept by the loop
            descriptor, path = self._unsynced.popleft()
            folders.add(path.parent)
            if not self._synced(path, descriptor) and not self._written_anew(path):
                self.sync_failures += 1
        for folder in folders | {self._directory / "blobs"} if folders else ():
            self.sync_failures += not self._synced(folder)

    def keep(self, source: Path, name: str, descriptor: int) -> None:
        """Renames a finished file into place; its descriptor is closed by `sync`."""
        target = self.path(name)
        try:
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            source.rename(target)
        except BaseException:
            os.close(descriptor)
            raise
        # Beyond that they are opened again: fsyncing here would hold up whoever keeps a body.
        if len(self._unsynced) < OPEN_DESCRIPTORS_MAX:
            self._unsynced.append((descriptor, target))
        else:
            os.close(descriptor)
            self._unsynced.append((None, target))

    def _synced(self, path: Path, descriptor: int | None = None) -> bool:
        """Closes the descriptor too. True for one that was removed meanwhile."""
        try:
            if descriptor is None:
                descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            return isinstance(error, FileNotFoundError)
        return True

    def _written_anew(self, path: Path) -> bool:
        """A file whose fsync failed is not to be trusted with another: its bytes, which are still
        in the page cache, go into a new one that takes its name."""
        fresh = self._directory / "tmp" / f"again-{path.name}"
        try:
            with path.open("rb") as old, fresh.open("xb") as new:
                shutil.copyfileobj(old, new, COPY_BYTES)
                new.flush()
                os.fsync(new.fileno())
            fresh.rename(path)
        except OSError:
            fresh.unlink(missing_ok=True)
            return False
        return True


class BlobWriter:
    """One growing file in `tmp/`. After an OSError only `discard` is left to call."""

    def __init__(self, blobs: Blobs, folder: Path, keys: SegmentKeys | None) -> None:
        self.name = secrets.token_hex(16) + (".sealed" if keys is not None else "")
        self.length = 0
        self._blobs = blobs
        self._path = folder / self.name
        self._digest = sha256()
        self._seal = _Seal.new(self.name, keys) if keys is not None else None
        self._waiting = bytearray()  # less than a chunk, until it is known whether it is the last
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        self._descriptor = os.open(self._path, flags, 0o600)
        try:
            if self._seal is not None:
                self._append(self._seal.header)
        except BaseException:
            self.discard()
            raise

    def write(self, piece: bytes) -> None:
        """Raises OSError."""
        self._digest.update(piece)
        self.length += len(piece)
        if self._seal is None:
            self._append(piece)
            return
        self._waiting += piece
        while len(self._waiting) > CHUNK_BYTES:
            chunk = bytes(self._waiting[:CHUNK_BYTES])
            self._append(self._seal.sealed(chunk, last=False))
            del self._waiting[:CHUNK_BYTES]

    def read(self, offset: int, length: int) -> bytes:
        """What was written so far, also while it grows. Raises BlobUnreadable."""
        if self._seal is None:
            return _PlainSource(self._descriptor).read(offset, length)
        data = b""
        sealed_bytes = self.length - len(self._waiting)
        if offset < sealed_bytes:
            source = _SealedSource(self._descriptor, self._seal, is_finished=False)
            data = source.read(offset, min(length, sealed_bytes - offset))
        start = max(0, offset - sealed_bytes)
        data += self._waiting[start : start + length - len(data)]
        if len(data) != length:
            raise BlobUnreadable(f"{length} bytes at {offset} of {self.length}")
        return data

    def finish(self) -> Blob:
        """Moves it under `blobs/`. In the page cache and killed-safe now, on disk by `sync`."""
        if self._seal is not None:
            self._append(self._seal.sealed(bytes(self._waiting), last=True))
        descriptor, self._descriptor = self._descriptor, -1
        try:
            self._blobs.keep(self._path, self.name, descriptor)
        except OSError:
            with suppress(OSError):
                self._path.unlink()
            raise
        return Blob(self.name, self.length, self._digest.digest())

    def discard(self) -> None:
        """May be called again, and does nothing after `finish`."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
            with suppress(OSError):
                self._path.unlink()

    def _append(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._descriptor, view) :]


class _Seal:
    """AES-256-GCM in chunks: the key is the file's own, the name is bound to each chunk."""

    def __init__(self, name: str, header: bytes, keys: SegmentKeys) -> None:
        _, epoch, self.chunk_bytes, salt = _HEADER.unpack(header)
        self.header = header
        self._cipher = AESGCM(keys.derive(epoch, b"blob", salt))
        self._name = name.encode()
        self._chunks = 0

    @classmethod
    def new(cls, name: str, keys: SegmentKeys) -> "_Seal":
        salt = secrets.token_bytes(16)
        return cls(name, _HEADER.pack(MAGIC, keys.current, CHUNK_BYTES, salt), keys)

    def sealed(self, chunk: bytes, *, last: bool) -> bytes:
        nonce = _NONCE.pack(last, self._chunks)
        self._chunks += 1
        return self._cipher.encrypt(nonce, chunk, self._name)

    def opened(self, index: int, stored: bytes, *, last: bool) -> bytes:
        return self._cipher.decrypt(_NONCE.pack(last, index), stored, self._name)


class _PlainSource:
    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def read(self, offset: int, length: int | None) -> bytes:
        rest = os.fstat(self._descriptor).st_size - offset
        wanted = rest if length is None else length
        if not 0 <= wanted <= rest:
            raise BlobUnreadable(f"{wanted} bytes at {offset}: {rest} are there")
        data = bytearray()
        while len(data) < wanted:  # one pread gives at most 2 GiB
            piece = os.pread(self._descriptor, wanted - len(data), offset + len(data))
            if not piece:
                raise BlobUnreadable("cut while it was read")
            data += piece
        return bytes(data)


class _SealedSource:
    """Opens only the chunks that a range touches."""

    def __init__(self, descriptor: int, seal: _Seal, *, is_finished: bool) -> None:
        self._descriptor = descriptor
        self._seal = seal
        stored = os.fstat(descriptor).st_size - _HEADER.size
        self._step = seal.chunk_bytes + SEAL_BYTES
        chunks = -(-stored // self._step)
        self._last = chunks - 1 if is_finished else -1
        self._length = stored - chunks * SEAL_BYTES

    def read(self, offset: int, length: int | None) -> bytes:
        wanted = self._length - offset if length is None else length
        if not 0 <= wanted <= self._length - offset:
            raise BlobUnreadable(f"{wanted} bytes at {offset} of {self._length}")
        if not wanted:
            return b""
        size = self._seal.chunk_bytes
        first, last = offset // size, (offset + wanted - 1) // size
        data = b"".join(self._chunk(index) for index in range(first, last + 1))
        start = offset - first * size
        return data[start : start + wanted]

    def _chunk(self, index: int) -> bytes:
        stored = os.pread(self._descriptor, self._step, _HEADER.size + index * self._step)
        try:
            return self._seal.opened(index, stored, last=index == self._last)
        except (InvalidTag, ValueError):
            raise BlobUnreadable("a blob does not open with its key") from None


def _source(descriptor: int, name: str, keys: SegmentKeys | None) -> _PlainSource | _SealedSource:
    if not name.endswith(".sealed"):
        return _PlainSource(descriptor)
    if keys is None:
        raise VaultError(f"blob {name} is encrypted: master_key is needed")
    header = os.pread(descriptor, _HEADER.size, 0)
    if len(header) < _HEADER.size or not header.startswith(MAGIC):
        raise BlobUnreadable(f"blob {name} has no header")
    return _SealedSource(descriptor, _Seal(name, header, keys), is_finished=True)
