import hashlib
import os
from pathlib import Path

import pytest

from storage.blobs import CHUNK_BYTES, OPEN_DESCRIPTORS_MAX, Blobs, BlobUnreadable
from storage.vault import SegmentKeys, VaultError
from tests.storage.journal_kit import KEYS

both = pytest.mark.parametrize("keys", [None, KEYS], ids=["plain", "sealed"])


def folder(path: Path, keys: SegmentKeys | None = None) -> Blobs:
    (path / "tmp").mkdir(exist_ok=True)
    return Blobs(path, keys)


@both
@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 200_000])
def test_a_blob_comes_back(tmp_path: Path, keys: SegmentKeys | None, size: int) -> None:
    data = os.urandom(size)
    blobs = folder(tmp_path, keys)
    writer = blobs.create()
    for at in range(0, size, 30_000):
        writer.write(data[at : at + 30_000])
    for offset, length in [(0, size), (size // 2, size - size // 2), (size, 0)]:
        assert writer.read(offset, length) == data[offset : offset + length]
    blob = writer.finish()
    assert (blob.length, blob.sha256) == (size, hashlib.sha256(data).digest())
    assert blobs.path(blob.name).parent.name == blob.name[:2]
    assert list((tmp_path / "tmp").iterdir()) == []
    assert list(blobs.names()) == [blob.name]
    assert blobs.read(blob.name) == data
    for offset in {0, size // 3, max(0, size - 1)}:
        assert blobs.read(blob.name, offset, size - offset) == data[offset:]
    blobs.sync()


@both
def test_ranges_across_chunks(tmp_path: Path, keys: SegmentKeys | None) -> None:
    data = os.urandom(3 * CHUNK_BYTES + 100)
    blobs = folder(tmp_path, keys)
    writer = blobs.create()
    writer.write(data)
    edges = [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES, len(data)]
    ranges = [(a, b - a) for a in edges for b in edges if a <= b]
    assert all(writer.read(at, n) == data[at : at + n] for at, n in ranges)
    name = writer.finish().name
    assert all(blobs.read(name, at, n) == data[at : at + n] for at, n in ranges)
    for at, n in [(0, len(data) + 1), (len(data), 1), (len(data) + 1, 0), (5, -1)]:
        with pytest.raises(BlobUnreadable):
            blobs.read(name, at, n)
    blobs.sync()


@both
def test_reading_past_the_end_of_a_growing_one(tmp_path: Path, keys: SegmentKeys | None) -> None:
    writer = folder(tmp_path, keys).create()
    writer.write(b"abc")
    with pytest.raises(BlobUnreadable):
        writer.read(1, 3)
    writer.discard()


@both
def test_a_discarded_spill_leaves_nothing(tmp_path: Path, keys: SegmentKeys | None) -> None:
    writer = folder(tmp_path, keys).create()
    writer.write(b"abc")
    writer.discard()
    writer.discard()
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []


@both
def test_a_plain_spill_is_adopted(tmp_path: Path, keys: SegmentKeys | None) -> None:
    blobs = folder(tmp_path, keys)
    spill = tmp_path / "tmp" / "spill"
    spill.write_bytes(b"planted text " * 9)
    blob = blobs.adopt(spill)
    assert not spill.exists()
    assert blobs.read(blob.name) == b"planted text " * 9
    assert blob.sha256 == hashlib.sha256(b"planted text " * 9).digest()
    assert (b"planted" in blobs.path(blob.name).read_bytes()) is (keys is None)
    blobs.sync()


def test_unlinking_may_be_repeated(tmp_path: Path) -> None:
    blobs = folder(tmp_path)
    name = blobs.create().finish().name
    assert (blobs.unlink(name), blobs.unlink(name)) == (True, False)
    with pytest.raises(BlobUnreadable, match="gone"):
        blobs.read(name)
    blobs.sync()


@pytest.mark.parametrize("name", ["", "..", "../../etc/passwd", "ab", "A" * 32, "a" * 32 + ".x"])
def test_a_name_never_leads_out_of_the_folder(tmp_path: Path, name: str) -> None:
    blobs = folder(tmp_path)
    for use in (blobs.read, blobs.unlink, blobs.path):
        with pytest.raises(BlobUnreadable, match="not the name"):
            use(name)


def test_a_sealed_blob_shows_every_change(tmp_path: Path) -> None:
    blobs = folder(tmp_path, KEYS)
    writer = blobs.create()
    writer.write(os.urandom(2 * CHUNK_BYTES))
    name = writer.finish().name
    blobs.sync()
    path = blobs.path(name)
    whole = path.read_bytes()
    step = CHUNK_BYTES + 16
    changes = {
        "header": b"X" + whole[1:],
        "flipped": whole[:-1] + bytes([whole[-1] ^ 1]),
        "cut at a chunk": whole[: 32 + step],
        "cut": whole[:-100],
        "empty": b"",
    }
    for change, content in changes.items():
        path.write_bytes(content)
        with pytest.raises(BlobUnreadable):
            print(change, len(blobs.read(name)))
    path.write_bytes(whole)
    other = blobs.path("f" * 32 + ".sealed")
    other.parent.mkdir(exist_ok=True)
    path.rename(other)
    with pytest.raises(BlobUnreadable):
        blobs.read(other.name)


def test_a_sealed_blob_needs_its_key(tmp_path: Path) -> None:
    blobs = folder(tmp_path, KEYS)
    writer = blobs.create()
    writer.write(b"x")
    name = writer.finish().name
    with pytest.raises(VaultError, match="master_key"):
        Blobs(tmp_path).read(name)
    with pytest.raises(BlobUnreadable, match="does not open"):
        Blobs(tmp_path, SegmentKeys(2, {2: b"x" * 32})).read(name)
    blobs.sync()


def test_a_body_that_looks_sealed_is_plain_by_its_name(tmp_path: Path) -> None:
    blobs = folder(tmp_path)
    writer = blobs.create()
    writer.write(b"HAJ\x00BLB\n and more")
    assert blobs.read(writer.finish().name) == b"HAJ\x00BLB\n and more"
    blobs.sync()


def test_a_failed_fsync_is_counted_and_the_blob_stays(tmp_path: Path, monkeypatch) -> None:
    blobs = folder(tmp_path)
    name = blobs.create().finish().name

    def fail(_: int) -> None:
        raise OSError(5, "broken")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        blobs.sync()
    assert blobs.sync_failures == 3  # the file, its folder, the folder of folders
    assert blobs.read(name) == b""


def test_a_blob_whose_fsync_failed_is_written_anew(tmp_path: Path, monkeypatch) -> None:
    """A second fsync of the same file would say nothing of the bytes that the first one lost."""
    blobs = folder(tmp_path)
    writer = blobs.create()
    writer.write(b"a body")
    name = writer.finish().name
    before = blobs.path(name).stat().st_ino
    synced: list[int] = []
    fsync = os.fsync

    def fail_once(descriptor: int) -> None:
        synced.append(os.fstat(descriptor).st_ino)
        if len(synced) == 1:
            raise OSError(5, "broken")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", fail_once)
    blobs.sync()
    assert blobs.sync_failures == 0
    assert blobs.path(name).stat().st_ino == synced[1] != before == synced[0]
    assert blobs.read(name) == b"a body"
    assert list((tmp_path / "tmp").iterdir()) == []


def test_many_that_await_a_sync_hold_up_nobody(tmp_path: Path, monkeypatch) -> None:
    """No fsync but in `sync`, and a bounded number of descriptors."""
    blobs = folder(tmp_path)
    synced: set[int] = set()
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.add(os.fstat(descriptor).st_ino))
    before = len(os.listdir("/proc/self/fd"))
    names = [blobs.create().finish().name for _ in range(OPEN_DESCRIPTORS_MAX + 20)]
    assert synced == set()
    assert len(os.listdir("/proc/self/fd")) == before + OPEN_DESCRIPTORS_MAX
    blobs.unlink(names[-1])
    blobs.sync()
    assert len(os.listdir("/proc/self/fd")) == before
    assert {blobs.path(name).stat().st_ino for name in names[:-1]} <= synced
    assert blobs.sync_failures == 0
