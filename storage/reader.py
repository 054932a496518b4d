"""Reads frames back: quickly when they are whole, tolerantly when they are not, and erases one.

Never writes but for `erase_frame`. A frame that does not check is reported and skipped; what
follows it is read.
"""

import os
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from zlib import crc32

from cryptography.exceptions import InvalidTag

from storage.frames import KIND_ERASED, Frame, Position
from storage.segment import (
    CRC_MASK,
    FOOTER_BYTES,
    FOOTER_MAGIC,
    FRAME,
    FRAME_BYTES,
    FRAME_MAGIC,
    FRAME_WORD,
    HEADER_BYTES,
    IDENTITY,
    Footer,
    FrameCodec,
    SegmentHeader,
    SegmentUnreadable,
    decode_footer,
    decode_header,
    plausible,
    segment_numbers,
    segment_path,
)
from storage.vault import SegmentKeys

BLOCK_BYTES = 1024 * 1024
# A search for the next whole frame checks at most this much: planted headers must not stall it.
SEARCH_BYTES_MAX = 1024 * 1024 * 1024


@dataclass(frozen=True)
class Damage:
    """`bytes` from `offset` on hold no readable frame. Reasons are fixed words."""

    segment: int
    offset: int
    bytes: int
    reason: str  # header, frame, tail, sealed, unreadable


OnDamage = Callable[[Damage], None]


class FrameUnreadable(LookupError):  # noqa: N818
    """There is no whole frame at that position (any more)."""


def read_frames(
    directory: Path,
    start: Position,
    *,
    upto: Position | None = None,
    keys: SegmentKeys | None = None,
    on_damage: OnDamage | None = None,
) -> Iterator[Frame]:
    """Frames from `start` on, in order, before `upto` or to the end.

    A torn tail of the newest segment is no damage: it may be a write under way. Segments that are
    gone are passed over. Raises VaultError when a sealed segment has no key.
    """
    numbers = segment_numbers(directory)
    for number in numbers:
        if number < start.segment or (upto is not None and number > upto.segment):
            continue
        offset = start.offset if number == start.segment else 0
        end = upto.offset if upto is not None and number == upto.segment else None
        open_ended = end is None and number == numbers[-1]
        reader = _SegmentReader(number, keys, on_damage or _ignore, tail_may_be_torn=open_ended)
        yield from reader.read(segment_path(directory, number), offset, end)


def read_frame(directory: Path, position: Position, keys: SegmentKeys | None = None) -> Frame:
    """One frame by `pread`. Raises FrameUnreadable, VaultError."""
    with _opened(segment_path(directory, position.segment), os.O_RDONLY) as descriptor:
        codec = FrameCodec(_header_of(descriptor), keys)
        stored = _whole_frame(descriptor, codec, position.offset)
    word, _, _, counter, org = FRAME.unpack_from(stored)
    kind = word >> 16 & 0xFF
    end = Position(position.segment, position.offset + len(stored))
    payload = b"" if kind == KIND_ERASED else stored[FRAME_BYTES:]
    if payload and codec.cipher is not None:
        try:
            payload = codec.open_sealed(counter, kind, org, payload)
        except InvalidTag:
            raise FrameUnreadable(f"{position} does not open with its key") from None
    return Frame(position, end, kind, word >> 24, counter, org, payload)


def erase_frame(directory: Path, position: Position, keys: SegmentKeys | None = None) -> None:
    """Overwrites a frame in place and fsyncs. Blocking; repeated after a crash it finishes.

    `keys` is not needed (the check is over sealed bytes) and taken for symmetry. Raises
    FrameUnreadable, OSError.
    """
    with _opened(segment_path(directory, position.segment), os.O_RDWR) as descriptor:
        codec = _plain_codec(_header_of(descriptor))
        head = os.pread(descriptor, FRAME_BYTES, position.offset)
        # A half-done erasure has its new header already, over a payload that does not fit yet.
        if not _is_erased(head):
            head = _whole_frame(descriptor, codec, position.offset)
        _, _, length, counter, org = FRAME.unpack_from(head)
        header, zeros = codec.erased(counter, org, length)
        _overwrite(descriptor, position.offset, header)
        _overwrite(descriptor, position.offset + FRAME_BYTES, zeros)


def blank_damage(directory: Path, damage: Damage) -> None:
    """Overwrites bytes that decode as no frame; a piece of one may lie in them. Blocking."""
    with _opened(segment_path(directory, damage.segment), os.O_RDWR) as descriptor:
        for offset in range(damage.offset, damage.offset + damage.bytes, BLOCK_BYTES):
            size = min(BLOCK_BYTES, damage.offset + damage.bytes - offset)
            _overwrite(descriptor, offset, bytes(size))


def _is_erased(head: bytes) -> bool:
    return len(head) == FRAME_BYTES and plausible(head) and head[2] == KIND_ERASED


def _overwrite(descriptor: int, offset: int, data: bytes) -> None:
    if os.pwrite(descriptor, data, offset) != len(data):
        raise OSError("an erasure was written short")
    os.fsync(descriptor)


@dataclass(frozen=True)
class SegmentCheck:
    """`footer` is None for a segment that was never closed."""

    frames: int
    damages: tuple[Damage, ...]
    footer: Footer | None
    whole: bool  # no damage, and frames and digest are those of the footer


def check_segment(directory: Path, number: int) -> SegmentCheck:
    """Reads a segment through and compares it with its footer; needs no keys."""
    damages: list[Damage] = []
    reader = _SegmentReader(number, None, damages.append, tail_may_be_torn=False, sealed=True)
    path = segment_path(directory, number)
    digest, frames = sha256(), 0
    for frame in reader.read(path, 0, None):
        length = frame.end.offset - frame.position.offset - FRAME_BYTES
        digest.update(length.to_bytes(4, "little") + frame.counter.to_bytes(8, "little"))
        digest.update(frame.org)
        frames += 1
    footer = reader.footer
    fits = footer is None or (footer.frames == frames and footer.digest == digest.digest())
    return SegmentCheck(frames, tuple(damages), footer, fits and not damages)


def frames_end(directory: Path, number: int) -> tuple[int, bool]:
    """Offset after the last whole frame, and whether a footer follows. Needs no keys.

    Raises SegmentUnreadable when the header is gone: then nothing can be said of the frames.
    """
    path = segment_path(directory, number)
    with _opened(path, os.O_RDONLY) as descriptor:
        _header_of(descriptor)
    reader = _SegmentReader(number, None, _ignore, tail_may_be_torn=True, sealed=True)
    end = HEADER_BYTES
    for frame in reader.read(path, 0, None):
        end = frame.end.offset
    return end, reader.footer is not None


class _Opened:
    """A descriptor that is closed when nobody holds it any more. `finally` would not do: readers
    may be left in the middle, and of a compiled generator nothing runs then."""

    __slots__ = ("descriptor",)

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def __del__(self) -> None:
        os.close(self.descriptor)


class _SegmentReader:
    """One pass over one file. `sealed` leaves payloads as they are stored."""

    def __init__(
        self,
        number: int,
        keys: SegmentKeys | None,
        on_damage: OnDamage,
        *,
        tail_may_be_torn: bool,
        sealed: bool = False,
    ) -> None:
        self._number = number
        self._keys = keys
        self._on_damage = on_damage
        self._tail_may_be_torn = tail_may_be_torn
        self._sealed = sealed
        self.footer: Footer | None = None
        self._opened: _Opened | None = None

    def read(self, path: Path, offset: int, end: int | None) -> Iterator[Frame]:
        try:
            opened = _Opened(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
        except FileNotFoundError:
            return  # rolled into the lake since the folder was listed
        # Held by us: a compiled function lets go of what it does not use again.
        self._opened, descriptor = opened, opened.descriptor
        try:
            size = os.fstat(descriptor).st_size
            end = size if end is None else min(end, size)
            try:
                header = decode_header(os.pread(descriptor, HEADER_BYTES, 0))
            except SegmentUnreadable:
                if size > 0 or not self._tail_may_be_torn:
                    self._report(0, size, "header")
                return
            codec = _plain_codec(header) if self._sealed else FrameCodec(header, self._keys)
            yield from self._frames(descriptor, codec, max(offset, HEADER_BYTES), end)
        except OSError:
            # Pages lost after a failed fsync read as errors; their frames were written again.
            self._report(offset, 0, "unreadable")

    def _frames(self, descriptor: int, codec: FrameCodec, offset: int, end: int) -> Iterator[Frame]:
        wanted = BLOCK_BYTES
        while offset < end:
            block = os.pread(descriptor, min(wanted, end - offset), offset)
            used = yield from self._block(codec, block, offset)
            offset += used
            wanted = BLOCK_BYTES
            if used:
                continue
            needed = _bytes_of_frame(block)
            if len(block) < needed <= end - offset:
                wanted = needed
                continue
            self.footer = decode_footer(block, codec.seed)
            if self.footer is not None:
                return
            found = _Search(descriptor, codec, offset, end).next_frame()
            if found < end or not self._tail_may_be_torn:
                self._report(offset, found - offset, "frame" if found < end else "tail")
            offset = found

    def _block(self, codec: FrameCodec, block: bytes, base: int) -> Generator[Frame, None, int]:
        """Yields the whole frames at the start of a block; returns how many bytes they took."""
        number, seed, cipher = self._number, codec.seed, codec.cipher
        unpack_from, new, view = FRAME.unpack_from, tuple.__new__, memoryview(block)
        size, at = len(block), 0
        position = Position(number, base)
        while at + FRAME_BYTES < size:
            word, crc, length, counter, org = unpack_from(block, at)
            stop = at + FRAME_BYTES + length
            if word & 0xFFFF != FRAME_WORD or stop > size or not length:
                break
            if crc32(view[at + 8 : stop], word ^ seed) ^ CRC_MASK != crc:
                break
            kind = word >> 16 & 0xFF
            end: Position = new(Position, (number, base + stop))
            payload = block[at + FRAME_BYTES : stop]
            if kind == KIND_ERASED:
                payload = b""
            elif cipher is not None:
                try:
                    payload = codec.open_sealed(counter, kind, org, payload)
                except InvalidTag:
                    self._report(base + at, stop - at, "sealed")
                    at, position = stop, end
                    continue
            yield new(Frame, (position, end, kind, word >> 24, counter, org, payload))
            at, position = stop, end
        return at

    def _report(self, offset: int, length: int, reason: str) -> None:
        self._on_damage(Damage(self._number, offset, length, reason))


class _Search:
    """Looks for the next whole frame or the footer after a place that does not decode."""

    def __init__(self, descriptor: int, codec: FrameCodec, offset: int, end: int) -> None:
        self._descriptor = descriptor
        self._codec = codec
        self._offset = offset
        self._end = end
        self._checked_bytes = 0

    def next_frame(self) -> int:
        """Its offset, or the end of the file."""
        head = os.pread(self._descriptor, FRAME_BYTES, self._offset)
        # A rotten payload under a sound header: its length leads to the next frame, and nothing
        # inside the payload is taken for one.
        if len(head) == FRAME_BYTES and plausible(head):
            follower = self._offset + _bytes_of_frame(head)
            if follower <= self._end and self._begins(follower):
                return follower
        return self._searched()

    def _searched(self) -> int:
        at = self._offset + 1
        while at < self._end and self._checked_bytes < SEARCH_BYTES_MAX:
            block = os.pread(self._descriptor, min(BLOCK_BYTES, self._end - at), at)
            if not block:
                break
            for candidate in _candidates(block):
                if self._begins(at + candidate):
                    return at + candidate
            at += max(1, len(block) - len(FOOTER_MAGIC) + 1)  # a magic may lie across two blocks
        return self._end

    def _begins(self, offset: int) -> bool:
        """Whether a whole frame, the footer or the end of the file is there."""
        if offset == self._end:
            return True
        head = os.pread(self._descriptor, max(FRAME_BYTES, FOOTER_BYTES), offset)
        if head.startswith(FOOTER_MAGIC):
            return decode_footer(head, self._codec.seed) is not None
        if len(head) < FRAME_BYTES or not plausible(head):
            return False
        length = _bytes_of_frame(head)
        if offset + length > self._end or self._checked_bytes >= SEARCH_BYTES_MAX:
            return False
        self._checked_bytes += length
        return self._codec.intact(os.pread(self._descriptor, length, offset))


def _candidates(block: bytes) -> Iterator[int]:
    at = -1
    footer = block.find(FOOTER_MAGIC)
    while (at := block.find(FRAME_MAGIC, at + 1)) >= 0:
        if 0 <= footer < at:
            yield footer
            footer = -1
        yield at
    if footer >= 0:
        yield footer


def _bytes_of_frame(head: bytes) -> int:
    """What the header asks for; nothing when it is none."""
    if len(head) < FRAME_BYTES or not plausible(head):
        return 0
    length: int = FRAME.unpack_from(head)[2]
    return FRAME_BYTES + length


def _whole_frame(descriptor: int, codec: FrameCodec, offset: int) -> bytes:
    head = os.pread(descriptor, FRAME_BYTES, offset)
    if len(head) == FRAME_BYTES and plausible(head):
        frame = os.pread(descriptor, _bytes_of_frame(head), offset)
        if codec.intact(frame):
            return frame
    raise FrameUnreadable(f"no whole frame at {Position(codec.number, offset)}")


def _header_of(descriptor: int) -> SegmentHeader:
    return decode_header(os.pread(descriptor, HEADER_BYTES, 0))


def _plain_codec(header: SegmentHeader) -> FrameCodec:
    return FrameCodec(header._replace(key_epoch=0), None)


@contextmanager
def _opened(path: Path, flags: int) -> Iterator[int]:
    try:
        descriptor = os.open(path, flags | os.O_CLOEXEC)
    except FileNotFoundError:
        raise FrameUnreadable(f"{path.name} is gone") from None
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _ignore(_damage: Damage) -> None:
    return None


assert IDENTITY.start == 8  # `_block` and the digest rely on it
