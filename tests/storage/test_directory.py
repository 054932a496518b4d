import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from storage.directory import (
    FOLDERS,
    FORMAT_VERSION,
    Reserve,
    Root,
    RootBusy,
    RootRefused,
    lock_holder,
)

HOLDER = """
import sys, time
from pathlib import Path
from storage.directory import Root
root = Root.open(Path(sys.argv[1]))
print("locked", flush=True)
time.sleep(60)
"""


def test_a_new_root_has_its_folders_for_the_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "root"
    with Root.open(path) as root:
        assert root.path == path
        assert all((path / name).is_dir() for name in FOLDERS)
        assert (path / "FORMAT").read_text() == f"{FORMAT_VERSION}\n"
        assert path.stat().st_mode & 0o777 == 0o700
        assert lock_holder(path) == os.getpid()


def test_files_are_the_owners_in_a_directory_that_others_may_enter(tmp_path: Path) -> None:
    """A directory that was there before keeps its mode (a volume, a unit's StateDirectory)."""
    before = os.umask(0o022)
    try:
        tmp_path.chmod(0o755)
        with Root.open(tmp_path):
            (tmp_path / "analytics.duckdb").touch()
            (tmp_path / "lake" / "requests").mkdir()
        assert tmp_path.stat().st_mode & 0o777 == 0o755
        assert [path.name for path in tmp_path.rglob("*") if path.stat().st_mode & 0o077] == []
        assert os.umask(0o022) == 0o077
    finally:
        os.umask(before)


def test_tmp_is_emptied_and_nothing_else(tmp_path: Path) -> None:
    Root.open(tmp_path).close()
    (tmp_path / "tmp" / "left" / "over").mkdir(parents=True)
    (tmp_path / "tmp" / "spill").write_bytes(b"x")
    (tmp_path / "tmp" / "link").symlink_to(tmp_path / "quarantine")
    (tmp_path / "quarantine" / "kept").write_bytes(b"x")
    Root.open(tmp_path).close()
    assert list((tmp_path / "tmp").iterdir()) == []
    assert (tmp_path / "quarantine" / "kept").exists()


def test_a_second_one_waits_as_long_as_told_and_names_the_holder(tmp_path: Path) -> None:
    waits: list[float] = []
    with Root.open(tmp_path), pytest.raises(RootBusy) as raised:
        Root.open(tmp_path, wait_s=2.0, sleep=waits.append)
    assert sum(waits) == pytest.approx(2.0)
    assert str(raised.value) == f"{tmp_path} is in use by process {os.getpid()} (waited 2 s)"
    Root.open(tmp_path, wait_s=0).close()


def test_it_gets_the_lock_when_the_holder_leaves(tmp_path: Path) -> None:
    first = Root.open(tmp_path)
    second = Root.open(tmp_path, wait_s=1.0, sleep=lambda _: first.close())
    with second, pytest.raises(RootBusy):
        Root.open(tmp_path, wait_s=0)


def test_a_killed_process_holds_nothing(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout.readline() == "locked\n"
        with pytest.raises(RootBusy, match=f"process {process.pid} "):
            Root.open(tmp_path, wait_s=0)
        process.send_signal(signal.SIGKILL)
    Root.open(tmp_path, wait_s=0).close()


def test_upgrades_run_in_order_once_and_are_noted_step_by_step(tmp_path: Path) -> None:
    Root.open(tmp_path, version=1).close()
    ran = []

    def step(number: int):
        return lambda path: ran.append((number, (path / "FORMAT").read_text()))

    def broken(path: Path) -> None:
        raise OSError("interrupted")

    with pytest.raises(OSError, match="interrupted"):
        Root.open(tmp_path, version=3, upgrades=(step(1), broken))
    Root.open(tmp_path, version=3, upgrades=(step(1), step(2))).close()
    Root.open(tmp_path, version=3, upgrades=(step(1), step(2))).close()
    assert ran == [(1, "1\n"), (2, "2\n")]


def test_a_downgrade_is_refused_in_one_line_and_touches_nothing(tmp_path: Path) -> None:
    Root.open(tmp_path, version=1).close()
    (tmp_path / "FORMAT").write_text("7\n")
    (tmp_path / "tmp" / "kept").write_text("x")
    with pytest.raises(RootRefused) as raised:
        Root.open(tmp_path)
    assert str(raised.value) == (
        f"{tmp_path} has format 7, made by a newer version; this one knows {FORMAT_VERSION}"
    )
    assert (tmp_path / "tmp" / "kept").exists()
    (tmp_path / "FORMAT").write_text("1\n")
    Root.open(tmp_path, wait_s=0).close()  # the refusal gave the lock back


@pytest.mark.parametrize("content", ["", "x", "0", "-1", None])
def test_a_journal_without_a_format_is_not_guessed_at(tmp_path: Path, content: str | None) -> None:
    Root.open(tmp_path).close()
    (tmp_path / "journal" / "00000001.seg").write_bytes(b"")
    (tmp_path / "FORMAT").unlink() if content is None else (tmp_path / "FORMAT").write_text(content)
    with pytest.raises(RootRefused, match="FORMAT"):
        Root.open(tmp_path)


def test_a_lake_without_a_format_is_refused_too(tmp_path: Path) -> None:
    (tmp_path / "lake" / "bodies").mkdir(parents=True)
    (tmp_path / "lake" / "bodies" / "00000001-00000001-00000001.parquet").touch()
    with pytest.raises(RootRefused, match="FORMAT"):
        Root.open(tmp_path)


def test_the_reserve_takes_real_space_and_gives_it_back(tmp_path: Path) -> None:
    reserve = Reserve(tmp_path / "reserve", 1 << 20)
    assert not reserve.present
    assert reserve.make(free_bytes=1 << 30)
    assert (tmp_path / "reserve").stat().st_blocks * 512 >= 1 << 20
    assert reserve.make(free_bytes=0)
    assert (reserve.release(), reserve.release()) == (True, False)
    assert not reserve.make(free_bytes=(2 << 20) - 1)


def test_no_reserve_wanted(tmp_path: Path) -> None:
    reserve = Reserve(tmp_path / "reserve", 0)
    assert reserve.present
    assert reserve.make(free_bytes=0)
    assert not reserve.release()
    assert list(tmp_path.iterdir()) == []


def test_a_reserve_that_does_not_fit_leaves_nothing(tmp_path: Path, monkeypatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "no space")

    monkeypatch.setattr(os, "posix_fallocate", full)
    assert not Reserve(tmp_path / "reserve", 1 << 20).make(free_bytes=1 << 30)
    assert list(tmp_path.iterdir()) == []
