"""A directory becomes a root, whole or not at all, and from within itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from storage.backup_pieces import BackupRefused
from storage.directory import RESTORING, Root, RootBusy, RootRefused
from storage.disk import Disk
from storage.restore import restore


def unpacked(folder: Path) -> str:
    """In the place of a backup."""
    (folder / "journal").mkdir(parents=True)
    (folder / "journal" / "00000001.seg").write_bytes(b"frames")
    (folder / "FORMAT").write_text("1\n")
    (folder / "vault.key").write_text("key")
    return "done"


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_it_is_a_root_afterwards(tmp_path: Path) -> None:
    target = tmp_path / "new" / "data"
    assert restore(target, unpacked) == "done"
    assert names(target) == {"journal", "FORMAT", "vault.key", "lock"}
    assert target.stat().st_mode & 0o077 == 0
    assert names(target.parent) == {"data"}
    with Root.open(target):
        pass


def test_what_lies_there_stays(tmp_path: Path) -> None:
    (tmp_path / "lost+found").mkdir()  # of a file system that was just made
    (tmp_path / "run.lock").touch()  # of a `run` that found no server to start
    (tmp_path / "run.turn").touch()
    (tmp_path / "eu").mkdir()
    (tmp_path / "notes").write_text("mine")

    def never(_: Path) -> None:
        raise AssertionError("nothing is to be unpacked")

    with pytest.raises(BackupRefused, match="is not empty"):
        restore(tmp_path, never, beside=["eu"])
    (tmp_path / "notes").unlink()
    with pytest.raises(BackupRefused, match="is not empty"):
        restore(tmp_path, never)
    restore(tmp_path, unpacked, beside=["eu"])
    assert names(tmp_path) >= {"lost+found", "eu", "FORMAT"}


def test_one_at_a_time(tmp_path: Path) -> None:
    def meanwhile(folder: Path) -> None:
        with pytest.raises(RootBusy):
            restore(tmp_path, unpacked)
        with pytest.raises(RootBusy):
            Root.open(tmp_path, wait_s=0)
        unpacked(folder)

    restore(tmp_path, meanwhile)
    assert (tmp_path / "FORMAT").exists()


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    def damaged(folder: Path) -> None:
        unpacked(folder)
        raise BackupRefused("damaged")

    with pytest.raises(BackupRefused, match="damaged"):
        restore(tmp_path, damaged)
    assert names(tmp_path) == {"lock"}  # what holds it is never taken from a folder of others'
    with pytest.raises(BackupRefused, match="damaged"):
        restore(tmp_path / "new", damaged)
    assert not (tmp_path / "new").exists()


def test_one_that_was_killed_is_no_root_and_is_made_again(tmp_path: Path) -> None:
    unpacked(tmp_path / RESTORING)
    (tmp_path / RESTORING / "left").write_text("over")
    with pytest.raises(RootRefused, match="a restore was cut off"):
        Root.open(tmp_path)
    assert names(tmp_path) == {RESTORING, "lock"}
    restore(tmp_path, unpacked)
    assert names(tmp_path) == {"journal", "FORMAT", "vault.key", "lock"}


def test_killed_on_the_way_into_place_it_is_no_root_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = Disk.rename

    def last_fails(self: Disk, source: Path, target: Path) -> None:
        if source.name == "FORMAT":
            raise OSError("the disk is gone")
        rename(self, source, target)

    monkeypatch.setattr(Disk, "rename", last_fails)
    with pytest.raises(OSError, match="gone"):
        restore(tmp_path, unpacked)
    with pytest.raises(RootRefused, match="was cut off"):
        Root.open(tmp_path)
