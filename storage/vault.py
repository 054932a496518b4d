"""Keys at rest: the vault key, the epoch keys it wraps, and what is derived from those.

The vault key comes from `master_key` or from the file `vault.key`, and only ever wraps epoch keys;
`vault.epochs` holds them. Knows nothing of segments, rows or providers.
"""

import base64
import binascii
import json
import re
import secrets
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from storage.disk import Disk

KEY_BYTES = 32
NONCE_BYTES = 12
PASSPHRASE_CHARS_MIN = 12
SCRYPT_COST, SCRYPT_BLOCK, SCRYPT_LANES = 2**15, 8, 1  # 32 MiB and about 0.1 s, once per start
FORMAT_VERSION = 1
# Older keys stay: files, backups and the hashes of deleted ids need them.
EPOCHS_MAX = 10_000
_SEALED = b"\x01"

_disk = Disk()


class VaultError(Exception):
    """One line for the operator: a wrong, missing or unusable key."""


@dataclass
class SegmentKeys:
    """Epoch keys in the clear. `current` is the one that new files use; rotation raises it."""

    current: int
    epochs: dict[int, bytes] = field(repr=False)

    def derive(self, epoch: int, purpose: bytes, salt: bytes = b"") -> bytes:
        """A key for one purpose (and one file, by its salt). Raises VaultError."""
        key = self.epochs.get(epoch)
        if key is None:
            raise VaultError(f"there is no key of epoch {epoch} in the vault")
        return _derived(key, purpose, salt)


class Vault:
    """Opened once per root. `segment_keys` is None while the data itself is not encrypted."""

    def __init__(self, folder: Path, wrapper: "_Wrapper", keys: SegmentKeys) -> None:
        self._folder = folder
        self._wrapper = wrapper
        self._keys = keys
        self._turn = threading.Lock()

    @classmethod
    def open(cls, folder: Path, master_key: str | None = None) -> "Vault":
        """Blocking. Makes keys at the first start. Raises VaultError, OSError."""
        stored = _read_epochs(folder)
        if stored is None:
            wrapper = _Wrapper.new(folder, master_key)
            vault = cls(folder, wrapper, SegmentKeys(0, {}))
            vault.rotate()
            return vault
        if stored["source"] == "file" and master_key is not None:
            return cls._taken_over(folder, stored, master_key)
        wrapper = _Wrapper.stored(folder, stored, master_key)
        vault = cls(folder, wrapper, wrapper.unwrap_all(stored))
        if wrapper.source == "master":
            _drop_key_file(folder)  # left by a taking over that was killed half-way
        return vault

    @classmethod
    def _taken_over(cls, folder: Path, stored: dict[str, Any], master_key: str) -> "Vault":
        """`master_key` was set on a directory that had a key file: rewrap, then drop the file."""
        keys = _Wrapper.stored(folder, stored, None).unwrap_all(stored)
        vault = cls(folder, _Wrapper.new(folder, master_key), keys)
        vault.rotate()
        _drop_key_file(folder)
        return vault

    @property
    def segment_keys(self) -> SegmentKeys | None:
        return self._keys if self._wrapper.source == "master" else None

    @property
    def epoch(self) -> int:
        return self._keys.current

    def rotate(self, master_key: str | None = None) -> int:
        """A new epoch, all older keys wrapped again, under a new master key if one is given.

        One file is replaced, so a crash leaves the old state or the new one. Blocking; from any
        thread, while others seal and open. Raises VaultError, OSError.
        """
        if master_key is not None and self._wrapper.source != "master":
            raise VaultError("this directory uses vault.key; set master_key and start again")
        with self._turn:
            if len(self._keys.epochs) >= EPOCHS_MAX:
                raise VaultError(f"the vault has {EPOCHS_MAX} keys, which is the most it keeps")
            wrapper = _Wrapper.new(self._folder, master_key) if master_key else self._wrapper
            epoch = self._keys.current + 1
            epochs = {**self._keys.epochs, epoch: secrets.token_bytes(KEY_BYTES)}
            _disk.replace(self._folder / "vault.epochs", wrapper.wrap_all(epochs))
            # Only now: what was sealed with a key that is not on disk could never be opened.
            self._wrapper = wrapper
            self._keys.epochs = epochs  # another map: somebody may be going through the old one
            self._keys.current = epoch
            return epoch

    def seal(self, plaintext: bytes, associated_data: bytes) -> bytes:
        nonce = secrets.token_bytes(NONCE_BYTES)
        epoch = self._keys.current
        cipher = AESGCM(self._keys.derive(epoch, b"secrets"))
        head = _SEALED + epoch.to_bytes(4, "big")
        return head + nonce + cipher.encrypt(nonce, plaintext, head + associated_data)

    def open_sealed(self, sealed: bytes, associated_data: bytes) -> bytes:
        """Raises VaultError when it was sealed elsewhere, for another use, or changed."""
        head, nonce, rest = sealed[:5], sealed[5 : 5 + NONCE_BYTES], sealed[5 + NONCE_BYTES :]
        if head[:1] != _SEALED or len(rest) < 16:
            raise VaultError("not a sealed secret")
        cipher = AESGCM(self._keys.derive(int.from_bytes(head[1:], "big"), b"secrets"))
        try:
            return cipher.decrypt(nonce, rest, head + associated_data)
        except InvalidTag:
            raise VaultError("a sealed secret does not open: changed or misplaced") from None

    def stable_key(self, purpose: bytes) -> bytes:
        """From the first epoch, so keyed hashes (of deleted ids) outlive every rotation."""
        return self._keys.derive(1, b"stable " + purpose)


class _Wrapper:
    """The key that wraps epoch keys, with what is needed to derive it again."""

    def __init__(self, source: str, secret: bytes, salt: bytes, *, scrypt: bool) -> None:
        self.source = source
        self._salt = salt
        self._scrypt = scrypt
        if scrypt:
            secret = Scrypt(salt, KEY_BYTES, SCRYPT_COST, SCRYPT_BLOCK, SCRYPT_LANES).derive(secret)
        self._cipher = AESGCM(_derived(secret, b"wrap", salt))

    @classmethod
    def new(cls, folder: Path, master_key: str | None) -> "_Wrapper":
        salt = secrets.token_bytes(16)
        if master_key is None:
            return cls("file", _key_file(folder), salt, scrypt=False)
        secret, is_passphrase = parse_master_key(master_key)
        return cls("master", secret, salt, scrypt=is_passphrase)

    @classmethod
    def stored(cls, folder: Path, stored: dict[str, Any], master_key: str | None) -> "_Wrapper":
        salt = base64.b64decode(stored["salt"])
        if stored["source"] == "file":
            if not (folder / "vault.key").exists():
                raise VaultError(f"{folder / 'vault.key'} is missing: its secrets cannot be opened")
            return cls("file", _key_file(folder), salt, scrypt=False)
        if master_key is None:
            raise VaultError(f"{folder} is encrypted: master_key is needed")
        secret, _ = parse_master_key(master_key)
        return cls("master", secret, salt, scrypt=stored["scrypt"])

    def wrap_all(self, epochs: dict[int, bytes]) -> bytes:
        wrapped = []
        for epoch, key in sorted(epochs.items()):
            nonce = secrets.token_bytes(NONCE_BYTES)
            sealed = nonce + self._cipher.encrypt(nonce, key, _epoch_data(epoch))
            wrapped.append({"epoch": epoch, "key": base64.b64encode(sealed).decode()})
        document = {
            "version": FORMAT_VERSION,
            "source": self.source,
            "scrypt": self._scrypt,
            "salt": base64.b64encode(self._salt).decode(),
            "written_at_us": time.time_ns() // 1000,
            "epochs": wrapped,
        }
        return json.dumps(document, indent=1).encode() + b"\n"

    def unwrap_all(self, stored: dict[str, Any]) -> SegmentKeys:
        epochs = {}
        for row in stored["epochs"]:
            sealed = base64.b64decode(row["key"])
            nonce, rest = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:]
            try:
                epochs[row["epoch"]] = self._cipher.decrypt(nonce, rest, _epoch_data(row["epoch"]))
            except InvalidTag:
                name = "master_key" if self.source == "master" else "vault.key"
                raise VaultError(f"{name} is not the key of this data directory") from None
        return SegmentKeys(max(epochs), epochs)


def parse_master_key(text: str) -> tuple[bytes, bool]:
    """32 bytes as hex or base64 are the key itself; anything else is a passphrase for scrypt.

    Raises VaultError for a passphrase that is too short to be one.
    """
    text = text.strip()
    if re.fullmatch(r"[0-9a-fA-F]{64}", text):
        return bytes.fromhex(text), False
    if re.fullmatch(r"[A-Za-z0-9+/_-]{43}=?", text):
        try:
            key = base64.b64decode(
                text.rstrip("=") + "=", altchars=b"-_" if _is_url(text) else b"+/"
            )
        except binascii.Error:
            key = b""
        if len(key) == KEY_BYTES:
            return key, False
    if len(text) < PASSPHRASE_CHARS_MIN:
        raise VaultError(
            f"master_key: 32 bytes as base64 or hex, or a passphrase of at least "
            f"{PASSPHRASE_CHARS_MIN} characters"
        )
    return text.encode(), True


def _is_url(text: str) -> bool:
    return "-" in text or "_" in text


def _key_file(folder: Path) -> bytes:
    """The key in `vault.key`, made (0600) when there is none."""
    path = folder / "vault.key"
    try:
        key = base64.b64decode(path.read_bytes().strip(), validate=True)
    except FileNotFoundError:
        key = secrets.token_bytes(KEY_BYTES)
        _disk.replace(path, base64.b64encode(key) + b"\n")
    except binascii.Error:
        key = b""
    if len(key) != KEY_BYTES:
        raise VaultError(f"{path} does not hold a key")
    return key


def _drop_key_file(folder: Path) -> None:
    """It opens what older copies of `vault.epochs` hold, in backups for one. Left where nothing can
    be written: whoever may write drops it."""
    path = folder / "vault.key"
    with suppress(OSError):
        path.unlink()
        _disk.sync_folder(folder)


def _read_epochs(folder: Path) -> dict[str, Any] | None:
    path = folder / "vault.epochs"
    try:
        document = json.loads(path.read_bytes())
        if document["version"] > FORMAT_VERSION:
            raise VaultError(f"{path} was written by a newer version")
        if not document["epochs"] or document["source"] not in ("file", "master"):
            raise KeyError("epochs")
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        raise VaultError(f"{path} is damaged: restore it from a backup") from None
    assert isinstance(document, dict)
    return document


def _derived(key: bytes, purpose: bytes, salt: bytes) -> bytes:
    info = b"helicone-appliance " + purpose
    return HKDF(SHA256(), KEY_BYTES, salt or None, info).derive(key)


def _epoch_data(epoch: int) -> bytes:
    return b"epoch" + epoch.to_bytes(4, "big")
