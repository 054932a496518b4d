"""One segment while it is written: made under a temporary name, published, appended to, closed.

Blocking and without a lock: the journal sees to it that one thread writes at a time. After any
failure the file is given up; nothing here tries a second write or fsync on it.
"""

import os
import secrets
import time
from collections.abc import Iterable
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from storage.backlog import Entry, Held
from storage.disk import Disk
from storage.segment import (
    HEADER_BYTES,
    IDENTITY,
    Footer,
    FrameCodec,
    SegmentHeader,
    encode_footer,
    encode_header,
    segment_path,
)
from storage.vault import SegmentKeys

SALT_BYTES = 16


class Encoded(NamedTuple):
    """Frames ready to be written, and what the segment's counts become by them."""

    data: bytearray
    identities: bytearray
    frames: int


class SegmentWriter:
    """`end`, `frames`: what is in the page cache, moved on only by the journal's own thread."""

    def __init__(
        self, directory: Path, disk: Disk, header: SegmentHeader, codec: FrameCodec
    ) -> None:
        self.number = header.number
        self.end = HEADER_BYTES
        self.frames = 0
        self.failed = False
        self.closed = False
        # Made while in trouble, nothing in it synced: given up, it only takes others' room, and
        # all its frames are in memory.
        self.is_expendable = False
        self.unsynced = Held()
        self.syncing = Held()
        self.syncing_end = HEADER_BYTES
        self._directory = directory
        self._disk = disk
        self._codec = codec
        self._digest = sha256()
        self._descriptor = -1
        self._folder_is_synced = False

    @classmethod
    def prepare(
        cls, directory: Path, disk: Disk, *, number: int, region: str, keys: SegmentKeys | None
    ) -> "SegmentWriter":
        """Makes the file, not yet under its name, header and number on disk. Raises OSError."""
        epoch = keys.current if keys is not None else 0
        salt = secrets.token_bytes(SALT_BYTES)
        header = SegmentHeader(number, region, time.time_ns() // 1000, epoch, salt)
        writer = cls(directory, disk, header, FrameCodec(header, keys))
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND
        writer._descriptor = disk.open(writer._temporary, flags)
        try:
            disk.write_all(writer._descriptor, encode_header(header))
            disk.fsync(writer._descriptor)
            # The highest number is kept apart: the lake may drop every segment there is.
            disk.replace(directory / "journal" / "highest", f"{number}\n".encode())
        except OSError:
            writer.discard()
            raise
        return writer

    def publish(self) -> None:
        """Gives the file its name. The folder is synced before the first frame counts as synced."""
        self._disk.rename(self._temporary, segment_path(self._directory, self.number))

    def discard(self) -> None:
        """For one that was never published."""
        self.abandon()
        with suppress(OSError):
            self._temporary.unlink()

    def write(self, kind: int, flags: int, org: bytes, payload: bytes) -> None:
        """One frame. Raises OSError; a short write is one."""
        frame = self._codec.encode(self.frames, kind, flags, org, payload)
        self._disk.write_all(self._descriptor, frame)
        self._digest.update(frame[IDENTITY.start : IDENTITY.stop])
        self.frames += 1
        self.end += len(frame)

    def encode(self, entries: Iterable[Entry], encoded: Encoded | None = None) -> Encoded:
        """Adds to `encoded`; changes nothing here, so a batch may still be given up."""
        data, identities, count = encoded or Encoded(bytearray(), bytearray(), 0)
        for _, kind, flags, org, payload in entries:
            frame = self._codec.encode(self.frames + count, kind, flags, org, payload)
            data += frame
            identities += frame[IDENTITY.start : IDENTITY.stop]
            count += 1
        return Encoded(data, identities, count)

    def write_encoded(self, encoded: Encoded) -> None:
        """The system call alone, for a thread; `wrote` follows on the loop. Raises OSError."""
        self._disk.write_all(self._descriptor, encoded.data)

    def wrote(self, encoded: Encoded, entries: Iterable[Entry]) -> None:
        self._digest.update(encoded.identities)
        self.frames += encoded.frames
        self.end += len(encoded.data)
        for entry in entries:
            self.unsynced.add(entry)

    def begin_sync(self) -> None:
        """What was written up to now is what the coming fsync covers."""
        self.unsynced.absorb(self.syncing)  # there when an fsync was cancelled before it began
        self.syncing, self.unsynced = self.unsynced, Held()
        self.syncing_end = self.end

    def sync(self, *, last: bool) -> None:
        """Blocking; raises OSError when the frames are not safe. With `last` also closes."""
        if not self._folder_is_synced:
            self._disk.sync_folder(self._directory / "journal")
            self._folder_is_synced = True
        self._disk.fsync(self._descriptor)
        if last:
            with suppress(OSError):  # without a footer the segment is as good, only not closed
                self._write_footer()
            self.abandon()

    def abandon(self) -> None:
        """Closes the descriptor; the file stays as it is."""
        self.closed = True
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            with suppress(OSError):
                self._disk.close(descriptor)

    def put_away(self) -> None:
        """Closes a file that was given up, and removes one that holds nothing of its own."""
        self.abandon()
        if self.is_expendable:
            with suppress(OSError):
                segment_path(self._directory, self.number).unlink()

    def _write_footer(self) -> None:
        size = self.end - HEADER_BYTES
        footer = Footer(self.number, self.frames, size, self._digest.digest())
        self._disk.write_all(self._descriptor, encode_footer(footer, self._codec.seed))
        self._disk.fsync(self._descriptor)

    @property
    def _temporary(self) -> Path:
        return segment_path(self._directory, self.number).with_suffix(".new")
