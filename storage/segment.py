"""The bytes of a segment file: header, frames with their check (and seal), footer, file names.

Little-endian throughout. Pure but for the two functions that list a folder; reading frames is
`reader.py`, writing them `writer.py`.
"""

import os
from pathlib import Path
from struct import Struct
from typing import NamedTuple
from zlib import crc32

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from storage.frames import KIND_ERASED, KIND_EXCHANGE, KIND_LAST, PAYLOAD_BYTES_MAX
from storage.vault import SegmentKeys, VaultError

FORMAT_VERSION = 1
SEGMENT_MAGIC = b"HAJ\x00SEG\n"
FOOTER_MAGIC = b"HAJ\x00END\n"
# magic, format version, -, number, created_at_us, key epoch (0 = plain), region, salt; then a CRC
_HEADER = Struct("<8sHHIQI16s16s")
# magic, format version, -, number, frames, bytes of frames, digest; then a CRC
_FOOTER = Struct("<8sHHIQQ32s")
_CRC = Struct("<I")
HEADER_BYTES = _HEADER.size + _CRC.size
FOOTER_BYTES = _FOOTER.size + _CRC.size

# Word: magic, version, kind, flags (a byte each). Then CRC, payload length, counter, organisation.
FRAME = Struct("<IIIQ16s")
FRAME_BYTES = FRAME.size
FRAME_MAGIC = b"\xa7\x01"
FRAME_WORD = int.from_bytes(FRAME_MAGIC, "little")
IDENTITY = slice(8, FRAME_BYTES)  # length, counter, organisation: what erasing does not change
_IDENTITY = Struct("<IQ16s")
CRC_MASK = 0x5EEDFACE  # an empty page has a fitting CRC of zero; xored, it has not
SEAL_BYTES = 16
STORED_BYTES_MAX = PAYLOAD_BYTES_MAX + SEAL_BYTES
_ASSOCIATED = Struct(">IQB16s")


class SegmentUnreadable(Exception):  # noqa: N818
    """A header that is damaged or of a newer format."""


class SegmentHeader(NamedTuple):
    number: int
    region: str
    created_at_us: int
    key_epoch: int
    salt: bytes


class Footer(NamedTuple):
    number: int
    frames: int
    frame_bytes: int
    digest: bytes


class SegmentInfo(NamedTuple):
    """`closed`: no frame will be added any more, with a footer or (after a crash) without."""

    number: int
    path: Path
    bytes: int
    closed: bool
    created_at_us: int
    key_epoch: int


def encode_header(header: SegmentHeader) -> bytes:
    data = _HEADER.pack(
        SEGMENT_MAGIC, FORMAT_VERSION, 0, header.number, header.created_at_us,
        header.key_epoch, header.region.encode(), header.salt,
    )  # fmt: skip
    return data + _CRC.pack(crc32(data) ^ CRC_MASK)


def decode_header(data: bytes) -> SegmentHeader:
    """Raises SegmentUnreadable."""
    if not _checked(data, _HEADER, SEGMENT_MAGIC):
        raise SegmentUnreadable("no valid segment header")
    _, version, _, number, created_at_us, epoch, region, salt = _HEADER.unpack_from(data)
    if version > FORMAT_VERSION:
        raise SegmentUnreadable(f"segment format {version}; this version knows {FORMAT_VERSION}")
    return SegmentHeader(number, region.rstrip(b"\0").decode(), created_at_us, epoch, salt)


def encode_footer(footer: Footer, seed: int) -> bytes:
    """`seed` is the segment's (FrameCodec): a footer planted in a body must not end a segment."""
    data = _FOOTER.pack(
        FOOTER_MAGIC,
        FORMAT_VERSION,
        0,
        footer.number,
        footer.frames,
        footer.frame_bytes,
        footer.digest,
    )
    return data + _CRC.pack(crc32(data, seed) ^ CRC_MASK)


def decode_footer(data: bytes, seed: int) -> Footer | None:
    if not _checked(data, _FOOTER, FOOTER_MAGIC, seed):
        return None
    _, _, _, number, frames, frame_bytes, digest = _FOOTER.unpack_from(data)
    return Footer(number, frames, frame_bytes, digest)


def _checked(data: bytes, layout: Struct, magic: bytes, seed: int = 0) -> bool:
    if len(data) < layout.size + _CRC.size or not data.startswith(magic):
        return False
    stored: int = _CRC.unpack_from(data, layout.size)[0]
    return crc32(data[: layout.size], seed) ^ CRC_MASK == stored


def seed_of(header: SegmentHeader) -> int:
    return crc32(header.salt)


class FrameCodec:
    """Encodes and opens the frames of one segment.

    The CRC starts from the segment's salt, so neither an old file's blocks nor a frame that a
    client planted in its body passes for a frame of this segment.
    """

    __slots__ = ("cipher", "number", "seed")

    def __init__(self, header: SegmentHeader, keys: SegmentKeys | None) -> None:
        """Raises VaultError when the segment is sealed and `keys` cannot open it."""
        self.number = header.number
        self.seed = seed_of(header)
        self.cipher: AESGCM | None = None
        if header.key_epoch:
            if keys is None:
                raise VaultError(f"segment {header.number} is encrypted: master_key is needed")
            self.cipher = AESGCM(keys.derive(header.key_epoch, b"segment", header.salt))

    def encode(self, counter: int, kind: int, flags: int, org: bytes, payload: bytes) -> bytes:
        if self.cipher is not None:
            payload = self.cipher.encrypt(*self._seal(counter, payload, kind, org))
        return self._framed(counter, kind, flags, org, payload)

    def erased(self, counter: int, org: bytes, stored_length: int) -> tuple[bytes, bytes]:
        """Header and zeros that take the place of a frame; not sealed, there is nothing left."""
        zeros = bytes(stored_length)
        frame = self._framed(counter, KIND_ERASED, 0, org, zeros)
        return frame[:FRAME_BYTES], zeros

    def open_sealed(self, counter: int, kind: int, org: bytes, stored: bytes) -> bytes:
        """Raises cryptography's InvalidTag."""
        assert self.cipher is not None
        return self.cipher.decrypt(*self._seal(counter, stored, kind, org))

    def intact(self, frame: bytes) -> bool:
        """Whether the bytes are exactly one frame of this segment."""
        if len(frame) <= FRAME_BYTES or not plausible(frame):
            return False
        word, crc, length, _, _ = FRAME.unpack_from(frame)
        check: int = crc32(frame[IDENTITY.start :], word ^ self.seed) ^ CRC_MASK
        return length == len(frame) - FRAME_BYTES and check == int(crc)

    def _framed(self, counter: int, kind: int, flags: int, org: bytes, stored: bytes) -> bytes:
        length = len(stored)
        word = FRAME_WORD | kind << 16 | flags << 24
        crc = crc32(stored, crc32(_IDENTITY.pack(length, counter, org), word ^ self.seed))
        return FRAME.pack(word, crc ^ CRC_MASK, length, counter, org) + stored

    def _seal(self, counter: int, data: bytes, kind: int, org: bytes) -> tuple[bytes, bytes, bytes]:
        # The counter never repeats within a segment, and each segment has its own key.
        associated = _ASSOCIATED.pack(self.number, counter, kind, org)
        return counter.to_bytes(12, "big"), data, associated


def plausible(head: bytes) -> bool:
    """Whether a frame header could be one; says nothing of its payload."""
    word: int
    length: int
    word, _, length, _, _ = FRAME.unpack_from(head)
    kind = word >> 16 & 0xFF
    known = KIND_EXCHANGE <= kind <= KIND_LAST
    return word & 0xFFFF == FRAME_WORD and known and 0 < length <= STORED_BYTES_MAX


def segment_path(directory: Path, number: int) -> Path:
    return directory / "journal" / f"{number:08d}.seg"


def segment_numbers(directory: Path) -> list[int]:
    """Numbers of the files that are there, ascending; none when there is no journal yet."""
    try:
        names = [path.name for path in (directory / "journal").iterdir()]
    except FileNotFoundError:
        return []
    return sorted(int(name[:-4]) for name in names if name.endswith(".seg") and name[:-4].isdigit())


def segments(directory: Path) -> list[SegmentInfo]:
    """All segments with a readable header, ascending. One that is dropped meanwhile is left out."""
    numbers = segment_numbers(directory)
    found = []
    for number in numbers:
        path = segment_path(directory, number)
        try:
            with path.open("rb") as file:
                header = decode_header(file.read(HEADER_BYTES))
                size = file.seek(0, os.SEEK_END)
                file.seek(max(HEADER_BYTES, size - FOOTER_BYTES))
                footer = decode_footer(file.read(), seed_of(header))
                closed = number != numbers[-1] or footer is not None
        except (FileNotFoundError, SegmentUnreadable):
            continue
        found.append(
            SegmentInfo(number, path, size, closed, header.created_at_us, header.key_epoch)
        )
    return found
