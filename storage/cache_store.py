"""The disk tier of the response cache: files that are only appended to, the oldest dropped first.

Blocking, for threads: writing, scanning and erasing one at a time, reading beside them. It keeps no
map of what it holds; whoever asks knows the place. Nothing here is worth an fsync but forgetting.
"""

import errno
import os
import re
import secrets
import threading
from collections.abc import Container, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

import zstandard

from storage.cache_segment import (
    HEADER_BYTES,
    KIND_ENTRY,
    RECORD_BYTES,
    SALT_BYTES,
    CacheUnreadable,
    Header,
    RecordHead,
    Seal,
    decode_header,
    decode_record,
    encode_header,
    encode_record,
    erased,
    number_of,
    offset_of,
    place_of,
)
from storage.disk import Disk
from storage.vault import SegmentKeys

SEGMENTS_WANTED = 32
SEGMENT_BYTES_MIN, SEGMENT_BYTES_MAX = 256 * 1024, 64 * 1024 * 1024
# Each start of the process begins one: so many starts are outlived, however little each kept.
SEGMENTS_MAX = 512
RAW_BYTES_MAX = 64 * 1024 * 1024
READ_BYTES = 16 * 1024  # most records are in one read
ZERO_BYTES = 256 * 1024
# The cache is the first to do without when the disk gets full.
FREE_BYTES_MIN = 256 * 1024 * 1024
_NAME = re.compile(r"([0-9]{10})\.seg")

Found = tuple[bytes, int]  # slot and place


class Record(NamedTuple):
    """What is to be kept. A slot has 16 bytes, and one more for a bucket that is not the first."""

    slot: bytes
    org: bytes
    exchange_id: bytes
    expires_s: int
    data: bytes


class _Own(threading.local):
    """A decompressor is not for several threads."""

    def __init__(self) -> None:
        self.zstd = zstandard.ZstdDecompressor()


class CacheStore:
    """All cached replies of one root. Disk trouble comes out as OSError."""

    def __init__(
        self,
        folder: Path,
        bytes_max: int,
        keys: SegmentKeys | None = None,
        *,
        disk: Disk | None = None,
        segment_bytes_max: int = 0,
        free_bytes_min: int = FREE_BYTES_MIN,
    ) -> None:
        usual = min(max(bytes_max // SEGMENTS_WANTED, SEGMENT_BYTES_MIN), SEGMENT_BYTES_MAX)
        usual = min(usual, bytes_max // 4)
        self._folder = folder
        self._bytes_max = bytes_max
        self._segment_bytes_max = segment_bytes_max or usual
        self._free_bytes_min = free_bytes_min
        self._keys = keys
        self._disk = disk or Disk()
        self._sizes: dict[int, int] = {}  # by number, the oldest first
        self.held_bytes = 0
        self._dropped: list[int] = []
        self._seals: dict[int, Seal] = {}
        self._descriptor = -1
        self._number = 0  # of the file that is appended to, or was last
        self._epoch = 0
        self._compressor = zstandard.ZstdCompressor(level=1)
        self._own = _Own()

    def open(self) -> list[int]:
        """The numbers of the files that can be used, the oldest first; others are removed."""
        self.close()
        self._folder.mkdir(mode=0o700, exist_ok=True)
        self._sizes, self._seals, self.held_bytes = {}, {}, 0
        found = [(match, path) for path in self._folder.iterdir() if (match := _name(path))]
        for number, path in sorted(found):
            self._number = max(self._number, number)
            try:
                with path.open("rb") as file:
                    header = decode_header(file.read(HEADER_BYTES), number)
                    self._seals[number] = Seal(header, self._keys)
                    self._resize(number, os.fstat(file.fileno()).st_size)
            except CacheUnreadable:
                path.unlink(missing_ok=True)
        self._make_room()
        self._dropped.clear()
        return list(self._sizes)

    def scan(self, number: int) -> list[Found]:
        """The records of a file. From the first that is torn or damaged on it is cut off: what
        cannot be read could not be found either when it is to be forgotten."""
        with self._path(number).open("r+b") as file:
            size = os.fstat(file.fileno()).st_size
            found: list[Found] = []
            end = HEADER_BYTES
            for offset, head in _records(file.fileno(), size):
                end = offset + RECORD_BYTES + head.stored_bytes
                if head.kind == KIND_ENTRY:
                    found.append((head.slot, place_of(number, offset, head.expires_s)))
            if end < size:
                os.ftruncate(file.fileno(), end)
            self._resize(number, end)
        return found

    def write(self, records: Sequence[Record]) -> list[int | None]:
        """Append; gives the places, None for what is too large. Old files go where their room is
        needed. After an OSError none of these can be read, and the file is not written again."""
        places: list[int | None] = []
        batch = bytearray()
        for record in records:
            packed = self._compressor.compress(record.data)
            size = RECORD_BYTES + len(packed) + 16
            if size > self._bytes_max // 4 or len(record.data) > RAW_BYTES_MAX:
                places.append(None)
                continue
            if not self._takes(len(batch), size):
                self._append(batch)
                batch = bytearray()
                self._begin()
            offset = self._sizes[self._number] + len(batch)
            batch += self._encoded(record, packed, offset)
            places.append(place_of(self._number, offset, record.expires_s))
        self._append(batch)
        self._make_room()
        return places

    def take_dropped(self) -> list[int]:
        """The files that went since the last call: nothing of them can be read any more."""
        dropped, self._dropped = self._dropped, []
        return dropped

    def read(self, slot: bytes, place: int) -> bytes:
        """Raises CacheUnreadable, OSError."""
        number, offset = number_of(place), offset_of(place)
        seal = self._seals.get(number)
        try:
            descriptor = os.open(self._path(number), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise CacheUnreadable("its file is gone") from None
        try:
            begin = os.pread(descriptor, READ_BYTES, offset)
            head = decode_record(begin)
            stored = begin[RECORD_BYTES : RECORD_BYTES + head.stored_bytes]
            if len(stored) < head.stored_bytes:
                rest = head.stored_bytes - len(stored)
                stored += os.pread(descriptor, rest, offset + len(begin))
        finally:
            os.close(descriptor)
        if head.kind != KIND_ENTRY or head.slot != slot or seal is None:
            raise CacheUnreadable("another record lies there")
        if crc32(stored) != head.crc or head.raw_bytes > RAW_BYTES_MAX:
            raise CacheUnreadable("its bytes are not those that were written")
        return self._unpacked(seal.opened(offset, stored, slot, head.org), head.raw_bytes)

    def drop(self, number: int) -> None:
        """A whole file goes. May be called again."""
        if number == self._number:
            self.close()
        self._path(number).unlink(missing_ok=True)
        self._lost(number)

    def shrink(self) -> None:
        """The disk is full: the older half of all files goes, at least one."""
        numbers = list(self._sizes)
        for number in numbers[: (len(numbers) + 1) // 2]:
            self.drop(number)

    def find(self, org: bytes | None, exchange_ids: Container[bytes] | None) -> list[Found]:
        """All records of an organisation, or of these exchanges; also such as nobody would be given
        any more. None means all of them."""
        found = []
        for number in list(self._sizes):
            with suppress(FileNotFoundError), self._path(number).open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                for offset, head in _records(file.fileno(), size):
                    if head.kind != KIND_ENTRY or org not in (None, head.org):
                        continue
                    if exchange_ids is None or head.exchange_id in exchange_ids:
                        found.append((head.slot, place_of(number, offset, head.expires_s)))
        return found

    def erase(self, places: Sequence[int]) -> None:
        """Overwrite records where they lie, and have that on disk before this returns."""
        for number in sorted({number_of(place) for place in places}):
            offsets = [offset_of(place) for place in places if number_of(place) == number]
            with suppress(FileNotFoundError):
                descriptor = self._disk.open(self._path(number), os.O_RDWR)
                try:
                    for offset in offsets:
                        _erase_at(descriptor, offset)
                    self._disk.fsync(descriptor)
                finally:
                    self._disk.close(descriptor)

    def close(self) -> None:
        """No more is written; a further write begins a new file."""
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            self._disk.close(descriptor)

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:010}.seg"

    def _takes(self, waiting: int, size: int) -> bool:
        """Whether the file that is written to has room for so much, and the key of today."""
        if self._descriptor < 0 or (self._keys is not None and self._keys.current != self._epoch):
            return False
        here = self._sizes[self._number] + waiting
        return here == HEADER_BYTES or here + size <= self._segment_bytes_max

    def _begin(self) -> None:
        """A new file. A file is only ever appended to by the process that made it: no offset, and
        so no nonce, is used twice."""
        self.close()
        self._make_room(SEGMENTS_MAX - 1)
        if self._disk.free_bytes(self._folder) < self._free_bytes_min:
            raise OSError(errno.ENOSPC, "too little of the disk is free for a cache")
        self._number += 1
        self._epoch = 0 if self._keys is None else self._keys.current
        header = Header(self._number, self._epoch, secrets.token_bytes(SALT_BYTES))
        seal = Seal(header, self._keys)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND
        self._descriptor = self._disk.open(self._path(self._number), flags)
        self._seals[self._number] = seal
        self._resize(self._number, 0)
        self._append(encode_header(header))

    def _make_room(self, files_max: int = SEGMENTS_MAX) -> None:
        """Drop the oldest files until the rest is within bounds."""
        while self.held_bytes > self._bytes_max or len(self._sizes) > files_max:
            self.drop(next(iter(self._sizes)))

    def _resize(self, number: int, size: int) -> None:
        self.held_bytes += size - self._sizes.get(number, 0)
        self._sizes[number] = size

    def _lost(self, number: int) -> None:
        self.held_bytes -= self._sizes.pop(number, 0)
        self._seals.pop(number, None)
        self._dropped.append(number)

    def _encoded(self, record: Record, packed: bytes, offset: int) -> bytes:
        slot, org = record.slot, record.org
        stored = self._seals[self._number].closed(offset, packed, slot, org)
        head = RecordHead(
            KIND_ENTRY, slot, org, record.exchange_id, record.expires_s,
            len(stored), len(record.data), crc32(stored),
        )  # fmt: skip
        return encode_record(head) + stored

    def _append(self, data: bytes | bytearray) -> None:
        if not data:
            return
        try:
            self._disk.write_all(self._descriptor, data)
        except OSError:
            self._abandon()
            raise
        self._resize(self._number, self._sizes[self._number] + len(data))

    def _abandon(self) -> None:
        """A write failed: the piece that it may have left is cut off, or the file goes with it."""
        good = self._sizes[self._number]
        try:
            os.ftruncate(self._descriptor, good)
            usable = good >= HEADER_BYTES
        except OSError:
            usable = False
        self.close()
        if not usable:
            with suppress(OSError):
                self._path(self._number).unlink(missing_ok=True)
            self._lost(self._number)

    def _unpacked(self, packed: bytes, raw_bytes: int) -> bytes:
        # The size in the zstd header is checked first: a crafted one must not choose our memory.
        try:
            if zstandard.frame_content_size(packed) != raw_bytes:
                raise CacheUnreadable("a cached reply of another length")
            return self._own.zstd.decompress(packed)
        except zstandard.ZstdError as error:
            raise CacheUnreadable(str(error)) from None


def _name(path: Path) -> int:
    """The number of a file of ours, or 0."""
    match = _NAME.fullmatch(path.name)
    return int(match[1]) if match else 0


def _records(descriptor: int, size: int) -> Iterator[tuple[int, RecordHead]]:
    """Every record up to the first that is not whole. Each read lets other threads go on."""
    offset = HEADER_BYTES
    while offset < size:
        try:
            head = decode_record(os.pread(descriptor, RECORD_BYTES, offset))
        except CacheUnreadable:
            return
        end = offset + RECORD_BYTES + head.stored_bytes
        if end > size:
            return
        yield offset, head
        offset = end


def _erase_at(descriptor: int, offset: int) -> None:
    try:
        head = decode_record(os.pread(descriptor, RECORD_BYTES, offset))
    except CacheUnreadable:
        return  # cut off meanwhile
    at, end = offset + RECORD_BYTES, offset + RECORD_BYTES + head.stored_bytes
    while at < end:
        at += os.pwrite(descriptor, bytes(min(ZERO_BYTES, end - at)), at)
    os.pwrite(descriptor, encode_record(erased(head)), offset)
