import base64
import json
from pathlib import Path

import pytest

from storage.vault import SegmentKeys, Vault, VaultError, parse_master_key

KEY = bytes(range(32))
HEX, BASE64 = KEY.hex(), base64.b64encode(KEY).decode()
PASSPHRASE = "correct horse battery"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (HEX, (KEY, False)),
        (HEX.upper() + "\n", (KEY, False)),
        (BASE64, (KEY, False)),
        (BASE64.rstrip("="), (KEY, False)),
        (base64.urlsafe_b64encode(b"\xff" * 32).decode(), (b"\xff" * 32, False)),
        (PASSPHRASE, (PASSPHRASE.encode(), True)),
        ("x" * 64, (b"x" * 64, True)),
        ("pässwörter gehen", ("pässwörter gehen".encode(), True)),
    ],
)
def test_forms_of_a_master_key(text: str, expected: tuple[bytes, bool]) -> None:
    assert parse_master_key(text) == expected


@pytest.mark.parametrize("text", ["", "short", " eleven char "])
def test_too_little_for_a_key(text: str) -> None:
    with pytest.raises(VaultError, match="master_key: 32 bytes"):
        parse_master_key(text)


def test_without_a_master_key_a_file_is_made_for_the_owner_alone(tmp_path: Path) -> None:
    vault = Vault.open(tmp_path)
    assert (tmp_path / "vault.key").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "vault.epochs").stat().st_mode & 0o777 == 0o600
    assert vault.segment_keys is None
    sealed = vault.seal(b"sk-secret", b"provider key 1")
    assert Vault.open(tmp_path).open_sealed(sealed, b"provider key 1") == b"sk-secret"
    files = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"sk-secret" not in files + sealed


@pytest.mark.parametrize("master", [HEX, PASSPHRASE])
def test_with_a_master_key_the_data_has_keys_too(tmp_path: Path, master: str) -> None:
    vault = Vault.open(tmp_path, master)
    keys = vault.segment_keys
    assert keys is not None
    again = Vault.open(tmp_path, master).segment_keys
    assert again == keys
    assert not (tmp_path / "vault.key").exists()
    assert repr(keys) == "SegmentKeys(current=1)"


@pytest.mark.parametrize(
    ("made_with", "opened_with", "message"),
    [
        (HEX, "00" * 32, "master_key is not the key"),
        (PASSPHRASE, PASSPHRASE + "!", "master_key is not the key"),
        (HEX, None, "is encrypted: master_key is needed"),
    ],
)
def test_a_wrong_key_is_refused_in_one_line(
    tmp_path: Path, made_with: str, opened_with: str | None, message: str
) -> None:
    Vault.open(tmp_path, made_with)
    before = (tmp_path / "vault.epochs").read_bytes()
    with pytest.raises(VaultError, match=message) as raised:
        Vault.open(tmp_path, opened_with)
    assert "\n" not in str(raised.value)
    assert (tmp_path / "vault.epochs").read_bytes() == before


def test_another_key_file_is_refused_and_a_lost_one_not_made_again(tmp_path: Path) -> None:
    Vault.open(tmp_path)
    (tmp_path / "vault.key").write_bytes(base64.b64encode(bytes(32)))
    with pytest.raises(VaultError, match=r"vault\.key is not the key"):
        Vault.open(tmp_path)
    (tmp_path / "vault.key").write_bytes(b"rubbish")
    with pytest.raises(VaultError, match="does not hold a key"):
        Vault.open(tmp_path)
    (tmp_path / "vault.key").unlink()
    with pytest.raises(VaultError, match="is missing"):
        Vault.open(tmp_path)
    assert not (tmp_path / "vault.key").exists()


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"version": 1, "source": "file", "epochs": []}']
)
def test_a_damaged_epochs_file_is_said(tmp_path: Path, content: bytes) -> None:
    Vault.open(tmp_path)
    (tmp_path / "vault.epochs").write_bytes(content)
    with pytest.raises(VaultError, match="damaged"):
        Vault.open(tmp_path)
    (tmp_path / "vault.epochs").write_bytes(json.dumps({"version": 2}).encode())
    with pytest.raises(VaultError, match="newer"):
        Vault.open(tmp_path)


def test_rotation_starts_an_epoch_and_keeps_the_old_ones(tmp_path: Path) -> None:
    vault = Vault.open(tmp_path, HEX)
    keys = vault.segment_keys
    assert keys is not None
    old, sealed, stable = (
        keys.derive(1, b"segment", b"s"),
        vault.seal(b"x", b""),
        vault.stable_key(b"p"),
    )
    assert vault.rotate() == 2
    assert keys.current == 2  # who holds the keys sees it at once
    vault.rotate(PASSPHRASE)
    with pytest.raises(VaultError):
        Vault.open(tmp_path, HEX)
    again = Vault.open(tmp_path, PASSPHRASE)
    assert again.segment_keys == keys
    assert again.epoch == 3
    assert again.segment_keys.derive(1, b"segment", b"s") == old
    assert again.open_sealed(sealed, b"") == b"x"
    assert again.stable_key(b"p") == stable


def test_a_rotation_that_fails_changes_nothing(tmp_path: Path, monkeypatch) -> None:
    vault = Vault.open(tmp_path, HEX)

    def full(*_: object) -> None:
        raise OSError(28, "no space")

    with monkeypatch.context() as patch:
        patch.setattr("storage.vault._disk.replace", full)
        with pytest.raises(OSError, match="no space"):
            vault.rotate(PASSPHRASE)
    assert vault.epoch == 1
    assert Vault.open(tmp_path, HEX).segment_keys == vault.segment_keys


def test_a_master_key_set_later_takes_over(tmp_path: Path) -> None:
    sealed = Vault.open(tmp_path).seal(b"x", b"")
    vault = Vault.open(tmp_path, HEX)
    assert vault.open_sealed(sealed, b"") == b"x"
    assert vault.epoch == 2  # what the file protected so far stays apart
    assert not (tmp_path / "vault.key").exists()
    with pytest.raises(VaultError, match="master_key is needed"):
        Vault.open(tmp_path)


def test_a_key_file_has_no_master_key_to_change(tmp_path: Path) -> None:
    with pytest.raises(VaultError, match=r"uses vault\.key"):
        Vault.open(tmp_path).rotate(HEX)


def test_a_sealed_secret_is_bound_to_its_use(tmp_path: Path) -> None:
    vault = Vault.open(tmp_path)
    sealed = vault.seal(b"secret", b"here")
    assert vault.seal(b"secret", b"here") != sealed
    for changed, use in [
        (sealed, b"there"),
        (sealed[:-1] + bytes([sealed[-1] ^ 1]), b"here"),
        (sealed[:20], b"here"),
        (b"", b"here"),
        (b"\x01\x00\x00\x00\x09" + sealed[5:], b"here"),
    ]:
        with pytest.raises(VaultError):
            vault.open_sealed(changed, use)


def test_keys_differ_by_epoch_purpose_and_salt() -> None:
    keys = SegmentKeys(2, {1: b"1" * 32, 2: b"2" * 32})
    derived = {
        keys.derive(epoch, purpose, salt)
        for epoch in (1, 2)
        for purpose in (b"segment", b"blob")
        for salt in (b"", b"a", b"b")
    }
    assert len(derived) == 12
    with pytest.raises(VaultError, match="epoch 3"):
        keys.derive(3, b"segment")


def test_a_taking_over_that_was_killed_half_way_is_ended_by_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old key opens what lies in backups: it does not stay beside the data."""
    sealed = Vault.open(tmp_path).seal(b"x", b"")
    with monkeypatch.context() as patch:
        patch.setattr("storage.vault._drop_key_file", lambda _: None)
        Vault.open(tmp_path, HEX)
    assert (tmp_path / "vault.key").exists()
    with pytest.raises(VaultError):
        Vault.open(tmp_path, PASSPHRASE)
    assert (tmp_path / "vault.key").exists()  # a wrong key takes nothing away
    assert Vault.open(tmp_path, HEX).open_sealed(sealed, b"") == b"x"
    assert not (tmp_path / "vault.key").exists()
