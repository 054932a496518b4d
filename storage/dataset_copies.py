"""What a dataset's row holds, as it lies in the state store: packed, and sealed with the vault's
key, so that a directory with a master key tells nothing of it. Blocking.
"""

import hmac
from typing import Final

import zstandard

from storage.vault import Vault, VaultError

LEVEL: Final = 3
PURPOSE: Final = b"dataset row "
MARKS: Final = b"subjects of copies"
DOCUMENT_BYTES_MAX: Final = 16 * 2**20  # request and response of a row, together, as JSON


class CopyDamaged(Exception):  # noqa: N818 - a condition that callers handle
    """It does not open, or is not what was packed."""


def pack(vault: Vault, row_id: str, document: bytes) -> bytes:
    """For this row alone."""
    packed = zstandard.ZstdCompressor(level=LEVEL).compress(document)
    return vault.seal(packed, PURPOSE + row_id.encode())


def unpack(vault: Vault, row_id: str, sealed: bytes) -> bytes:
    """Raises CopyDamaged."""
    try:
        packed = vault.open_sealed(sealed, PURPOSE + row_id.encode())
        if not 0 <= zstandard.frame_content_size(packed) <= DOCUMENT_BYTES_MAX:
            raise CopyDamaged("its size is not one that is ever packed")
        return zstandard.ZstdDecompressor().decompress(packed)
    except (VaultError, zstandard.ZstdError) as error:
        raise CopyDamaged(str(error)) from None


def subject_key(vault: Vault) -> bytes:
    """With which subjects are hashed, for as long as the directory lives."""
    return vault.stable_key(MARKS)


def subject_mark(key: bytes, organization_id: str, kind: str, subject: str) -> bytes | None:
    """By which the copies of a user or a session are found; nothing can be read from it. None for
    nobody."""
    if not subject:
        return None
    text = f"{kind}\0{organization_id}\0{subject}".encode("utf-8", "surrogatepass")
    return hmac.digest(key, text, "sha256")
