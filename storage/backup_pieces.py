"""The outside of a backup file: a header, then pieces of up to 1 MiB, each with its length.

Under a passphrase a piece is sealed with AES-GCM (its index and whether it is the last are part of
the nonce: what is cut short or moved shows), else it has a CRC.
"""

import io
import secrets
from struct import Struct
from typing import Any, BinaryIO, Final
from zlib import crc32

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

MAGIC: Final = b"HAJ\x00BKP\n"
VERSION: Final = 1
PLAIN, SEALED = 0, 1
_HEADER: Final = Struct("<8sHHBBH16s")  # magic, version, seal, log2 of scrypt's n, r, p, salt
_CRC: Final = Struct("<I")
_LENGTH: Final = Struct("<I")
_NONCE: Final = Struct(">7xBI")
PIECE_BYTES: Final = 1 << 20
SEAL_BYTES: Final = 16
SCRYPT_LOG2_N: Final = 15
SCRYPT_R: Final = 8
SCRYPT_P: Final = 1
SCRYPT_LOG2_N_MAX: Final = 20  # a file may not make us take gigabytes


class BackupRefused(Exception):  # noqa: N818 - an answer
    """One line that says why it cannot be made, read or put in place."""


class Pieces:
    """Cuts what is written into pieces, and seals them."""

    def __init__(self, stream: BinaryIO, passphrase: bytes | None) -> None:
        salt = secrets.token_bytes(16)
        seal = PLAIN if passphrase is None else SEALED
        self._stream, self._index, self._waiting = stream, 0, bytearray()
        self._key = None if passphrase is None else _key(passphrase, salt, SCRYPT_LOG2_N)
        facts = _HEADER.pack(MAGIC, VERSION, seal, SCRYPT_LOG2_N, SCRYPT_R, SCRYPT_P, salt)
        self._header = facts + _CRC.pack(crc32(facts))
        stream.write(self._header)

    def write(self, data: bytes) -> int:
        """As a file does; pieces leave as they fill."""
        self._waiting += data
        while len(self._waiting) > PIECE_BYTES:  # the last one is kept until it is known to be it
            self._put(bytes(self._waiting[:PIECE_BYTES]), last=False)
            del self._waiting[:PIECE_BYTES]
        return len(data)

    def flush(self) -> None:
        """For whoever takes it for a file."""

    def end(self) -> None:
        """The last piece."""
        self._put(bytes(self._waiting), last=True)

    def _put(self, piece: bytes, *, last: bool) -> None:
        if self._key is not None:
            piece = self._key.encrypt(_NONCE.pack(last, self._index), piece, self._header)
        else:
            piece += _CRC.pack(crc32(piece, self._index))
        self._stream.write(_LENGTH.pack(len(piece) | last << 31) + piece)
        self._index += 1


class Joined(io.RawIOBase):
    """The stream that was cut into pieces."""

    def __init__(self, stream: BinaryIO, passphrase: bytes | None) -> None:
        self._stream, self._index, self._piece, self._ended = stream, 0, b"", False
        self._header = stream.read(_HEADER.size + _CRC.size)
        facts, check = self._header[: _HEADER.size], self._header[_HEADER.size :]
        if not facts.startswith(MAGIC):
            raise BackupRefused("this is no backup")
        if check != _CRC.pack(crc32(facts)):
            raise BackupRefused("this backup is damaged at its beginning")
        _, version, seal, log2_n, r, p, salt = _HEADER.unpack(facts)
        if version > VERSION or seal not in (PLAIN, SEALED):
            raise BackupRefused(f"a newer version made this backup (its format is {version})")
        if (r, p) != (SCRYPT_R, SCRYPT_P) or log2_n > SCRYPT_LOG2_N_MAX:
            raise BackupRefused(f"a newer version made this backup (scrypt of {log2_n}, {r}, {p})")
        if seal == SEALED and passphrase is None:
            raise BackupRefused("this backup is encrypted: give its passphrase")
        if seal == PLAIN and passphrase is not None:  # it would be taken for what the words vouch
            raise BackupRefused(
                "this backup is not encrypted: whoever could write it may have made another of it; "
                "say --unencrypted to take it all the same"
            )
        self._key = None if passphrase is None else _key(passphrase, salt, log2_n)

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 - whatever can be written to
        """The next bytes. Raises BackupRefused."""
        if not self._piece and not self._ended:
            self._piece = self._next()
        taken = self._piece[: len(buffer)]
        buffer[: len(taken)] = taken
        self._piece = self._piece[len(taken) :]
        return len(taken)

    def _next(self) -> bytes:
        head = self._stream.read(_LENGTH.size)
        if len(head) < _LENGTH.size:
            raise BackupRefused("this backup is cut short")
        (word,) = _LENGTH.unpack(head)
        length, last = word & 0x7FFFFFFF, bool(word >> 31)
        if length > PIECE_BYTES + SEAL_BYTES:
            raise BackupRefused("this backup is damaged")
        piece = self._stream.read(length)
        if len(piece) < length:
            raise BackupRefused("this backup is cut short")
        if self._key is not None:
            try:
                piece = self._key.decrypt(_NONCE.pack(last, self._index), piece, self._header)
            except InvalidTag:
                why = "the passphrase is another one" if not self._index else "it is damaged"
                raise BackupRefused(f"this backup does not open: {why}") from None
        else:
            piece, check = piece[: -_CRC.size], piece[-_CRC.size :]
            if check != _CRC.pack(crc32(piece, self._index)):
                raise BackupRefused("this backup is damaged")
        self._index, self._ended = self._index + 1, last
        if last and self._stream.read(1):
            raise BackupRefused("this backup is damaged: there is more behind its end")
        return piece or (b"" if last else self._next())


def _key(passphrase: bytes, salt: bytes, log2_n: int) -> AESGCM:
    derived = Scrypt(salt=salt, length=32, n=1 << log2_n, r=SCRYPT_R, p=SCRYPT_P)
    return AESGCM(derived.derive(passphrase))
