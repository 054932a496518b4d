"""Results of queries that are to be downloaded: files without a name, sealed with a key that only
this process has, for an hour at most. They end with it.
"""

from __future__ import annotations

import os
import secrets
import tempfile
from collections import OrderedDict
from pathlib import Path
from typing import Final

import trio
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

LIVES_S: Final = 3600
FILES_MAX: Final = 32
BYTES_MAX: Final = 2**30
TAG_BYTES: Final = 16


class ResultFile:
    """Written once, in pieces; then read any number of times. `dropped`: while somebody reads, the
    file stays open."""

    def __init__(self, directory: Path, form: str) -> None:
        """Raises OSError."""
        self.form = form
        self.size = 0
        self._pieces: list[int] = []
        self._cipher = AESGCM(AESGCM.generate_key(128))
        with tempfile.TemporaryFile(dir=directory) as file:
            self._descriptor = os.dup(file.fileno())

    async def write(self, data: bytes) -> None:
        """Raises OSError."""
        await trio.to_thread.run_sync(self._write, data)

    def _write(self, data: bytes) -> None:
        sealed = self._cipher.encrypt(len(self._pieces).to_bytes(12, "big"), data, None)
        offset = self.size + TAG_BYTES * len(self._pieces)
        if os.pwrite(self._descriptor, sealed, offset) != len(sealed):
            raise OSError("a result was written short")
        self._pieces.append(len(data))
        self.size += len(data)

    def read(self) -> Reading:
        """Piece by piece."""
        return Reading(os.dup(self._descriptor), self._cipher, list(self._pieces))

    def drop(self) -> None:
        """The bytes go when nobody reads them any more."""
        os.close(self._descriptor)


class Reading:
    """Iterates over the pieces; an iterator and no generator, which would hold its file open until
    it is collected when a client leaves."""

    def __init__(self, descriptor: int, cipher: AESGCM, pieces: list[int]) -> None:
        self._file = os.fdopen(descriptor, "rb", buffering=0)
        self._cipher = cipher
        self._pieces = pieces
        self._number = self._offset = 0

    def __aiter__(self) -> Reading:
        return self

    async def __anext__(self) -> bytes:
        if self._number == len(self._pieces):
            self._file.close()
            raise StopAsyncIteration
        size = self._pieces[self._number] + TAG_BYTES
        sealed = await trio.to_thread.run_sync(os.pread, self._file.fileno(), size, self._offset)
        data = self._cipher.decrypt(self._number.to_bytes(12, "big"), sealed, None)
        self._offset += size
        self._number += 1
        return data


class ResultFiles:
    """Those of one region. The oldest go first."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._files: OrderedDict[str, tuple[float, ResultFile]] = OrderedDict()

    def new(self, form: str) -> ResultFile:
        """To be written, and then kept or dropped. Raises OSError."""
        self.sweep()
        return ResultFile(self._directory, form)

    def keep(self, file: ResultFile) -> str:
        """Its id."""
        file_id = secrets.token_hex(16)
        self._files[file_id] = (trio.current_time() + LIVES_S, file)
        while len(self._files) > FILES_MAX or self._held() > BYTES_MAX:
            _, (_, oldest) = self._files.popitem(last=False)
            oldest.drop()
        return file_id

    def find(self, file_id: str) -> ResultFile | None:
        """While it is kept."""
        self.sweep()
        found = self._files.get(file_id)
        return found[1] if found else None

    def sweep(self) -> None:
        """Drop those whose time is over."""
        now_s = trio.current_time()
        for file_id, (until_s, file) in list(self._files.items()):
            if until_s <= now_s:
                del self._files[file_id]
                file.drop()

    def clear(self) -> None:
        """Drop all."""
        while self._files:
            self._files.popitem()[1][1].drop()

    def _held(self) -> int:
        return sum(file.size for _, file in self._files.values())
