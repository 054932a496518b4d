"""One file out of a root and back: whole, or said to be damaged."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import random
import sqlite3
import tarfile
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
import zstandard

from storage import backup, backup_pieces
from storage.backup_pieces import BackupRefused, Pieces
from storage.frames import Position

WORDS = b"a passphrase of some length"
TOLD = {"region": "us", "made_at": "2026-11-22T12:00:00Z", "version": "1"}
SEGMENT = "00000001.seg"


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backup_pieces, "SCRYPT_LOG2_N", 4)
    monkeypatch.setattr(backup, "PIECE_BYTES", 4096)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """What lies in one, in small; with what is not to be taken."""
    rng, found = random.Random(7), tmp_path / "root"
    for name in ("journal", "lake/requests", "blobs/ab", "quarantine", "tmp", "cache"):
        (found / name).mkdir(parents=True)
    for name, size in {
        "FORMAT": 2, "vault.key": 45, "vault.epochs": 261, "journal/" + SEGMENT: 9_000,
        "journal/00000002.seg": 5_000, "lake/manifest.json": 300,
        "lake/requests/00000001-00000001-00000001.parquet": 20_000, "blobs/ab/" + "ab" * 16: 70_000,
        "quarantine/00000009.seg": 10, "analytics.duckdb": 50, "lock": 5, "cache/x": 9, "tmp/y": 9,
    }.items():  # fmt: skip
        (found / name).write_bytes(rng.randbytes(size))
    with sqlite3.connect(found / "state.sqlite") as state:
        state.execute("PRAGMA journal_mode = WAL")
        state.execute("CREATE TABLE t (n)")
        state.execute("INSERT INTO t VALUES (1)")
    state.close()
    return found


def made(root: Path, folder: Path, passphrase: bytes | None = WORDS) -> bytes:
    entries = backup.hold(root, folder, lambda: Position(2, 4_000))
    stream = io.BytesIO()
    backup.write(entries, stream, passphrase=passphrase, told=TOLD)
    return stream.getvalue()


def files(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()
    }


@pytest.mark.parametrize("passphrase", [WORDS, None], ids=["sealed", "plain"])
def test_there_and_back(root: Path, tmp_path: Path, passphrase: bytes | None) -> None:
    data = made(root, tmp_path / "held", passphrase)
    facts = backup.read(io.BytesIO(data), tmp_path / "new", passphrase=passphrase)
    expected, found = files(root), files(tmp_path / "new")
    left = {"analytics.duckdb", "lock", "cache/x", "tmp/y"}
    assert found.keys() == {
        name for name in expected if name not in left and "sqlite" not in name
    } | {"state.sqlite"}
    state = found.pop("state.sqlite")
    expected["journal/00000002.seg"] = expected["journal/00000002.seg"][:4_000]
    assert found == {name: expected[name] for name in found}
    (tmp_path / "state").write_bytes(state)
    with sqlite3.connect(tmp_path / "state") as again:
        assert again.execute("SELECT n FROM t").fetchall() == [(1,)]
    again.close()
    assert (facts.region, facts.files) == ("us", len(found) + 1)
    assert {
        oct(path.stat().st_mode & 0o777) for path in (tmp_path / "new").rglob("*") if path.is_file()
    } == {"0o600"}


def test_words_vouch_for_no_file_that_is_not_sealed(root: Path, tmp_path: Path) -> None:
    """Else whoever can write to where backups lie puts another one in the place of a sealed one."""
    data = made(root, tmp_path / "held", None)
    with pytest.raises(BackupRefused, match="--unencrypted"):
        backup.read(io.BytesIO(data), tmp_path / "new", passphrase=WORDS)


def test_a_key_that_is_begun_meanwhile_is_in_it(root: Path, tmp_path: Path) -> None:
    def rotated() -> Position:
        (root / "vault.epochs").write_bytes(b"one more")
        return Position(2, 4_000)

    backup.hold(root, tmp_path / "held", rotated)
    assert (tmp_path / "held" / "vault.epochs").read_bytes() == b"one more"


def test_a_disk_without_room_is_left_to_those_who_write_to_it(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backup, "RESERVE_BYTES", 1 << 60)
    with pytest.raises(BackupRefused, match="MiB are needed on the disk of"):
        backup.hold(root, tmp_path / "held", lambda: None)
    assert not (tmp_path / "held").exists()


def test_what_is_held_does_not_change(root: Path, tmp_path: Path) -> None:
    entries = backup.hold(root, tmp_path / "held", lambda: None)
    before = {entry.name: entry.path.read_bytes() for entry in entries}
    (root / "journal" / SEGMENT).write_bytes(b"erased in place")
    for folder in ("lake", "blobs"):
        for path in (root / folder).rglob("*"):
            if path.is_file():
                path.unlink()
    with sqlite3.connect(root / "state.sqlite") as state:
        state.execute("DELETE FROM t")
    state.close()
    assert {entry.name: entry.path.read_bytes() for entry in entries} == before


def damages(data: bytes) -> Iterator[tuple[str, bytes]]:
    rng = random.Random(11)
    for length in {0, 3, 31, 32, 40, len(data) - 1, *(rng.randrange(len(data)) for _ in range(25))}:
        yield f"cut at {length}", data[:length]
    for at in (*range(48), *(rng.randrange(len(data)) for _ in range(60))):
        yield (
            f"bit of byte {at}",
            data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :],
        )
    yield "more behind", data + b"x"


@pytest.mark.parametrize("passphrase", [WORDS, None], ids=["sealed", "plain"])
def test_no_damage_passes(root: Path, tmp_path: Path, passphrase: bytes | None) -> None:
    data = made(root, tmp_path / "held", passphrase)
    passed = []
    for number, (what, damaged) in enumerate(damages(data)):
        try:
            backup.read(io.BytesIO(damaged), tmp_path / f"new{number}", passphrase=passphrase)
        except BackupRefused:
            continue
        passed.append(what)
    assert passed == []


def test_the_passphrase(root: Path, tmp_path: Path) -> None:
    data = made(root, tmp_path / "held")
    for passphrase, said in ((None, "give its passphrase"), (b"another one", "another one")):
        with pytest.raises(BackupRefused, match=said):
            backup.read(io.BytesIO(data), tmp_path / f"new {said}", passphrase=passphrase)
    assert WORDS not in data
    assert (root / "vault.key").read_bytes() not in data


def packed(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    stream = io.BytesIO()
    sink = Pieces(stream, None)
    text = io.BytesIO()
    with tarfile.open(fileobj=text, mode="w|") as tar:
        for info, data in members:
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    sink.write(zstandard.compress(text.getvalue()))
    sink.end()
    return stream.getvalue()


@pytest.mark.parametrize(
    "name",
    [
        "../FORMAT", "/etc/passwd", "journal/../../x", "lock", "journal/.hidden",
        "blobs/a/b/c/d/e", "state.sqlite-wal", "",
    ],
)  # fmt: skip
def test_a_strange_name_leads_nowhere(tmp_path: Path, name: str) -> None:
    data = packed((tarfile.TarInfo(name), b"x"))
    with pytest.raises(BackupRefused):
        backup.read(io.BytesIO(data), tmp_path / "new", passphrase=None)
    assert files(tmp_path) == {}


def test_a_link_is_refused(tmp_path: Path) -> None:
    link = tarfile.TarInfo("journal/x.seg")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    with pytest.raises(BackupRefused):
        backup.read(io.BytesIO(packed((link, b""))), tmp_path / "new", passphrase=None)


@pytest.mark.parametrize(
    "told",
    [
        {"contents": []}, {"contents": "x"}, {"contents": [{"name": "FORMAT"}]}, {"contents": None},
        {"contents": [{"name": 5, "bytes": 2, "sha256": "x"}]}, {"format": "1"}, {"version": None},
        {"files": [[[[]]]]},
    ],
    ids=str,
)  # fmt: skip
def test_a_list_of_contents_that_is_none(tmp_path: Path, told: dict[str, object]) -> None:
    whole = [{"name": "FORMAT", "bytes": 2, "sha256": hashlib.sha256(b"1\n").hexdigest()}]
    facts = {**TOLD, "format": 1, "files": 1, "bytes": 1, "contents": whole}
    last = json.dumps({**facts, **told}).encode()
    data = packed((tarfile.TarInfo("FORMAT"), b"1\n"), (tarfile.TarInfo(backup.CONTENTS), last))
    with pytest.raises(BackupRefused, match="damaged"):
        backup.read(io.BytesIO(data), tmp_path / "new", passphrase=None)


def test_of_a_newer_version(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = made(root, tmp_path / "held")
    monkeypatch.setattr(backup, "FORMAT_VERSION", 0)
    with pytest.raises(BackupRefused, match="this one knows 0"):
        backup.read(io.BytesIO(data), tmp_path / "new", passphrase=WORDS)


def test_what_was_held_is_gone_with_the_server(root: Path, tmp_path: Path) -> None:
    entries = backup.hold(root, tmp_path / "held", lambda: None)
    entries[1].path.unlink()
    with pytest.raises(BackupRefused, match=r"journal/00000001\.seg cannot be read: No such file"):
        backup.write(entries, io.BytesIO(), passphrase=None, told=TOLD)


def test_a_file_that_shrinks_is_no_backup(root: Path, tmp_path: Path) -> None:
    entries = backup.hold(root, tmp_path / "held", lambda: None)
    entries[0].path.write_bytes(b"")
    with pytest.raises(BackupRefused, match="shorter"):
        backup.write(entries, io.BytesIO(), passphrase=None, told=TOLD)


@pytest.mark.parametrize("shares", [True, False])
def test_a_copy_is_whole_with_and_without_the_systems_help(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, shares: bool
) -> None:
    def refuses(*_: object) -> int:
        raise OSError(errno.EOPNOTSUPP, "not here")

    monkeypatch.setattr(backup, "CALM_BYTES", 1_000)
    if not shares:
        monkeypatch.setattr(os, "copy_file_range", refuses)
    for size in (0, 999, 1_000, 4_321):
        old, new = tmp_path / f"old{size}", tmp_path / f"new{size}"
        old.write_bytes(random.Random(size).randbytes(size))
        backup._copy_calmly(old, new, size)
        assert new.read_bytes() == old.read_bytes()


def test_a_file_that_grows_is_not_run_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The segment that is being written, on a disk that is slower than those who write to it."""
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_bytes(b"a" * 2_500)
    plain = os.fdatasync

    def grows(descriptor: int) -> None:
        plain(descriptor)
        with old.open("ab") as file:
            file.write(b"b" * 1_000)

    monkeypatch.setattr(backup, "CALM_BYTES", 1_000)
    monkeypatch.setattr(os, "fdatasync", grows)
    backup._copy_calmly(old, new, old.stat().st_size)
    assert new.read_bytes() == b"a" * 2_500


def test_headers_within_headers_without_end_are_damage(tmp_path: Path) -> None:
    """A backup that is not sealed may come from anybody."""

    def header(kind: bytes, size: int) -> bytes:
        found = tarfile.TarInfo("x")
        found.type, found.size = kind, size
        return found.tobuf(tarfile.USTAR_FORMAT)

    one = header(tarfile.XHDTYPE, 512) + b"11 path=abc\n".ljust(512, b"\0")
    stream = io.BytesIO()
    pieces = Pieces(stream, None)
    with zstandard.ZstdCompressor().stream_writer(pieces, closefd=False) as packed:  # type: ignore[arg-type]
        packed.write(one * 2_000)
    pieces.end()
    stream.seek(0)
    with pytest.raises(BackupRefused, match="this backup is damaged"):
        backup.read(stream, tmp_path / "restored", passphrase=None)


def test_a_disk_that_fails_while_it_is_copied_is_said(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> int:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "copy_file_range", fails)
    with pytest.raises(OSError, match="Input/output error"):
        backup.hold(root, tmp_path / "held", lambda: None)


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.XGLTYPE])
def test_a_header_may_not_ask_for_all_memory(tmp_path: Path, kind: bytes) -> None:
    """tarfile reads what precedes a member whole: 64 MB here, of 6 KB."""
    head = tarfile.TarInfo("x")
    head.type = kind
    data = packed((head, bytes(64 << 20)))
    assert len(data) < 10_000
    tracemalloc.start()
    try:
        with pytest.raises(BackupRefused, match="holds what no backup does"):
            backup.read(io.BytesIO(data), tmp_path / "new", passphrase=None)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


def test_a_long_name_and_a_large_size_are_no_hostile_header(tmp_path: Path) -> None:
    name = "blobs/" + "a" * 120
    data = b"x" * 5
    whole = [{"name": name, "bytes": 5, "sha256": hashlib.sha256(data).hexdigest()}]
    facts = {**TOLD, "format": 1, "files": 1, "bytes": 5, "contents": whole}
    last = json.dumps(facts).encode()
    made = packed((tarfile.TarInfo(name), data), (tarfile.TarInfo(backup.CONTENTS), last))
    backup.read(io.BytesIO(made), tmp_path / "new", passphrase=None)
    assert (tmp_path / "new" / name).read_bytes() == data
