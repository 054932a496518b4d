"""The bytes of the response cache's files: a header, then records, each with its check and seal.

Nothing in them is dear: whatever does not check is dropped. Knows nothing of folders and replies.
"""

from struct import Struct
from typing import NamedTuple
from zlib import crc32

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from storage.vault import SegmentKeys, VaultError

FORMAT_VERSION = 1
MAGIC = b"HAC\x00SEG\n"
PURPOSE = b"cache"
SALT_BYTES = 16
SEAL_BYTES = 16
CRC_MASK = 0x5EEDFACE  # an empty page has a fitting CRC of zero; xored, it has not
KIND_ENTRY, KIND_ERASED = 1, 2
SLOT_BYTES = 16
# magic, format version, -, number, key epoch (0 = plain), salt; then a CRC
_HEADER = Struct("<8sHHII16s")
_CRC = Struct("<I")
HEADER_BYTES = _HEADER.size + _CRC.size
# mark, kind, bucket, bytes stored, bytes of its content, CRC of what is stored, when it is over
# (seconds), slot, organisation, exchange; then a CRC
_RECORD = Struct("<HBBIIIQ16s16s16s")
RECORD_BYTES = _RECORD.size + _CRC.size
MARK = 0xC4CE
_NONCE = Struct(">4xII")
_OFFSET_BITS = _NUMBER_BITS = 32
_MASK = (1 << 32) - 1


class CacheUnreadable(LookupError):  # noqa: N818
    """Gone, damaged, or not to be opened with our keys."""


class Header(NamedTuple):
    number: int
    epoch: int
    salt: bytes


class RecordHead(NamedTuple):
    kind: int
    slot: bytes
    org: bytes
    exchange_id: bytes
    expires_s: int
    stored_bytes: int
    raw_bytes: int
    crc: int


def place_of(number: int, offset: int, expires_s: int) -> int:
    """Where a record lies and when it is over, as one number: there are a great many of them."""
    return expires_s << (_NUMBER_BITS + _OFFSET_BITS) | number << _OFFSET_BITS | offset


def number_of(place: int) -> int:
    return place >> _OFFSET_BITS & _MASK


def offset_of(place: int) -> int:
    return place & _MASK


def expires_of(place: int) -> int:
    return place >> (_NUMBER_BITS + _OFFSET_BITS)


def encode_header(header: Header) -> bytes:
    data = _HEADER.pack(MAGIC, FORMAT_VERSION, 0, header.number, header.epoch, header.salt)
    return data + _CRC.pack(crc32(data) ^ CRC_MASK)


def decode_header(data: bytes, name: int) -> Header:
    """The header of the file of this number. Raises CacheUnreadable."""
    if len(data) < HEADER_BYTES:
        raise CacheUnreadable("no header")
    magic, version, _, number, epoch, salt = _HEADER.unpack_from(data)
    if magic != MAGIC or version != FORMAT_VERSION or not _checks(data, _HEADER.size):
        raise CacheUnreadable("no header of this format")
    if number != name:
        raise CacheUnreadable("another file's header")
    return Header(number, epoch, salt)


def encode_record(head: RecordHead) -> bytes:
    slot, bucket = head.slot[:SLOT_BYTES], head.slot[SLOT_BYTES:]
    data = _RECORD.pack(
        MARK, head.kind, bucket[0] if bucket else 0, head.stored_bytes, head.raw_bytes, head.crc,
        head.expires_s, slot, head.org, head.exchange_id,
    )  # fmt: skip
    return data + _CRC.pack(crc32(data) ^ CRC_MASK)


def decode_record(data: bytes) -> RecordHead:
    """Raises CacheUnreadable."""
    if len(data) < RECORD_BYTES or not _checks(data, _RECORD.size):
        raise CacheUnreadable("no record")
    mark, kind, bucket, stored, raw, crc, expires_s, slot, org, exchange = _RECORD.unpack_from(data)
    if mark != MARK:
        raise CacheUnreadable("no record")
    slot += bytes((bucket,)) if bucket else b""
    return RecordHead(kind, slot, org, exchange, expires_s, stored, raw, crc)


def erased(head: RecordHead) -> RecordHead:
    """What stands for a record that was forgotten: its length alone."""
    nothing = bytes(SLOT_BYTES)
    return RecordHead(KIND_ERASED, nothing, nothing, nothing, 0, head.stored_bytes, 0, 0)


def _checks(data: bytes, end: int) -> bool:
    (crc,) = _CRC.unpack_from(data, end)
    return bool(crc32(data[:end]) ^ CRC_MASK == crc)


class Seal:
    """What a file's records go through on their way to disk: AES-256-GCM with the file's own key,
    or nothing. An offset is written once in the life of a file, so it is the nonce."""

    def __init__(self, header: Header, keys: SegmentKeys | None) -> None:
        """Raises CacheUnreadable for a file that is plain and should not be, or the reverse."""
        if (keys is None) != (header.epoch == 0):
            raise CacheUnreadable("plain and encrypted files do not go together")
        self._number = header.number
        self._cipher: AESGCM | None = None
        if keys is not None:
            try:
                self._cipher = AESGCM(keys.derive(header.epoch, PURPOSE, header.salt))
            except VaultError as error:
                raise CacheUnreadable(str(error)) from None
        self.bytes = SEAL_BYTES if self._cipher is not None else 0

    def closed(self, offset: int, data: bytes, slot: bytes, org: bytes) -> bytes:
        if self._cipher is None:
            return data
        return self._cipher.encrypt(_NONCE.pack(self._number, offset), data, slot + org)

    def opened(self, offset: int, stored: bytes, slot: bytes, org: bytes) -> bytes:
        """Raises CacheUnreadable."""
        if self._cipher is None:
            return stored
        try:
            return self._cipher.decrypt(_NONCE.pack(self._number, offset), stored, slot + org)
        except (InvalidTag, ValueError):
            raise CacheUnreadable("a cached reply does not open with its key") from None
