"""A lost or damaged manifest: the files say it all again, and nothing is lost, doubled or swept."""

import itertools
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from storage import deletion, retention
from storage.blobs import Blobs
from storage.frames import KIND_DELETION, KIND_SCORE
from storage.lake import Lake, intent
from storage.manifest import LakeFile, Manifest, ManifestDamaged
from storage.roll import roll
from storage.segment import segment_numbers
from storage.vault import SegmentKeys, VaultError
from tests.storage.lake_kit import (
    DAY_US,
    DELETION_KEY,
    KEYS,
    START_US,
    Derive,
    all_bytes,
    exchange,
    exchange_id,
    journal,
    lake_rows,
    open_lake,
    score,
    write_segment,
)

ENCRYPTED = pytest.mark.parametrize("keys", [None, KEYS], ids=["plain", "encrypted"])
SOME = 6


def a_lake(root: Path, keys: SegmentKeys | None = None) -> Lake:
    """Four rolls of two days, the first day merged, the first exchanges gone by age."""
    lake = open_lake(root, keys)
    for part in range(4):
        numbers = range(part * SOME, (part + 1) * SOME)
        payloads = [exchange(n, START_US + n * DAY_US // (2 * SOME)) for n in numbers]
        edit = (KIND_SCORE, 0, score(part, 0.5, START_US + numbers[0] * DAY_US // (2 * SOME)))
        write_segment(root, [*payloads, edit], keys=keys)
        roll(lake, Derive(root, keys), upto=part + 1)
        lake.tidy(lake.manifest.generation)
    now_us = START_US + 2 * DAY_US
    retention.retain(lake, now_us=now_us, days=1.9, slack_us=0)
    assert retention.merge_days(lake, now_us=now_us) == 4
    lake.tidy(lake.manifest.generation)
    return lake


def manifest_of(root: Path) -> Path:
    return root / "lake" / "manifest.json"


HARMS: dict[str, Callable[[Path], object]] = {
    "missing": lambda path: path.unlink(),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-9]),
    "changed": lambda path: path.write_text(path.read_text().replace("requests/", "quests/")),
    "empty": lambda path: path.write_bytes(b""),
}


@ENCRYPTED
@pytest.mark.parametrize("harm", HARMS)
def test_the_files_say_all_of_it_again(tmp_path: Path, harm: str, keys: SegmentKeys | None):
    before = a_lake(tmp_path, keys)
    rows = {table: lake_rows(before, table, "*") for table in ("requests", "bodies", "edits")}
    HARMS[harm](manifest_of(tmp_path))
    lake = open_lake(tmp_path, keys)
    assert "manifest.json" in lake.recovered
    assert lake.sweep_orphans() == 0
    assert {table: lake_rows(lake, table, "*") for table in rows} == rows
    assert {_said(file) for file in lake.manifest.files} == {
        _said(file) for file in before.manifest.files
    }
    for file in lake.manifest.of("bodies"):
        same = next(r for r in lake.manifest.of("requests") if r.span == file.span)
        assert (file.recorded_min_us, file.created_max_us) == (
            same.recorded_min_us,
            same.created_max_us,
        )
        assert file.recorded_min_us > START_US
    assert lake.manifest.upto_segment == 4
    assert lake.manifest.generation >= before.manifest.generation - 1
    again = open_lake(tmp_path, keys)
    assert (again.recovered, again.manifest) == ("", lake.manifest)
    assert (tmp_path / "quarantine" / "manifest.json.0").exists() is (harm != "missing")


def _said(file: LakeFile) -> tuple[object, ...]:
    return file.name, file.span, file.rows, file.bytes, file.sha256, file.key_epoch


@ENCRYPTED
def test_lost_at_any_step_of_a_roll(tmp_path: Path, keys: SegmentKeys | None):
    class Died(Exception):  # noqa: N818
        pass

    for number in itertools.count():
        root = tmp_path / str(number)
        for part in (range(1, 3), range(3, 5), range(5, 7)):
            write_segment(root, [exchange(n) for n in part], keys=keys)
        wanted = sorted(exchange_id(n, START_US + n * 1_000_000) for n in range(1, 7))
        lake = open_lake(root, keys)
        roll(lake, Derive(root, keys), upto=1)
        lake.tidy(1)
        count = itertools.count()

        def step(name: str, count: itertools.count = count, number: int = number) -> None:
            if next(count) == number:
                raise Died(name)

        try:
            roll(lake, Derive(root, keys), upto=3, step=step)
            lake.tidy(lake.manifest.generation, step)
            finished = True
        except Died:
            finished = False
        manifest_of(root).unlink()

        lake = open_lake(root, keys)
        assert everything(lake) == wanted
        lake.sweep_orphans()
        lake.tidy(lake.manifest.generation)
        assert everything(lake) == wanted
        roll(lake, Derive(root, keys), upto=3)
        lake.tidy(lake.manifest.generation)
        assert everything(lake) == wanted
        assert segment_numbers(root) == []
        if finished:
            break
    assert number > 10


def everything(lake: Lake) -> list[bytes]:
    """Ids in the lake, and in the segments that are not in it."""
    cold = [row[0].bytes for row in lake_rows(lake, "requests", "exchange_id")]
    assert cold == [row[0].bytes for row in lake_rows(lake, "bodies", "exchange_id")]
    derive = Derive(lake.root, lake.keys)
    rows = [
        derive(frame).request
        for frame in journal(lake.root, lake.keys)
        if frame.position.segment > lake.manifest.upto_segment
    ]
    return sorted(cold + [row[0] for row in rows if row is not None])


def test_replaced_files_that_still_lie_there_do_not_count(tmp_path: Path):
    lake = open_lake(tmp_path)
    for part in range(3):
        write_segment(tmp_path, [exchange(part)])
        roll(lake, Derive(tmp_path), upto=part + 1)
        lake.tidy(part)  # a reader keeps the files of each generation
    assert retention.merge_days(lake, now_us=START_US + 9 * DAY_US) == 3
    names = {file.name for file in lake.manifest.files}
    assert len(list((tmp_path / "lake" / "bodies").iterdir())) == 4
    manifest_of(tmp_path).unlink()
    lake = open_lake(tmp_path)
    assert {file.name for file in lake.manifest.files} == names
    assert lake.sweep_orphans() == 6


def test_what_was_deleted_does_not_come_back(tmp_path: Path):
    """All rows of a file were deleted, so no later one takes its place; a reader still had it."""
    write_segment(tmp_path, [exchange(1, request="zanzibar")])
    lake = open_lake(tmp_path)
    roll(lake, Derive(tmp_path), upto=1)
    lake.tidy(1)
    gone = exchange_id(1, START_US + 1_000_000)
    write_segment(tmp_path, [(KIND_DELETION, 0, intent(DELETION_KEY, gone, START_US))])
    deletion.apply(lake)
    lake.end_deletion()
    assert lake.manifest.of("requests") == []
    roll(lake, Derive(tmp_path), upto=2)
    lake.tidy(1)
    manifest_of(tmp_path).unlink()

    lake = open_lake(tmp_path)
    assert lake_rows(lake, "requests", "count(*)") == [(1,)]
    assert lake.deletion_is_unfinished
    assert deletion.reapply(lake).exchange_ids == {gone}
    lake.tidy(lake.manifest.generation)
    assert b"zanzibar" not in all_bytes(tmp_path)


def test_a_file_that_cannot_be_read_is_kept_aside(tmp_path: Path):
    lake = a_lake(tmp_path)
    manifest_of(tmp_path).unlink()
    broken = lake.path(lake.manifest.of("bodies")[-1])
    broken.write_bytes(b"PAR1 and no more")
    lake = open_lake(tmp_path)
    assert len(lake.manifest.of("bodies")) == len(lake.manifest.of("requests")) - 1
    assert (tmp_path / "quarantine" / f"{broken.name}.0").exists()
    assert not broken.exists()


def test_without_the_key_nothing_is_touched(tmp_path: Path):
    a_lake(tmp_path, KEYS)
    manifest_of(tmp_path).unlink()
    files = sorted(tmp_path.rglob("*"))
    with pytest.raises(VaultError, match="master_key"):
        open_lake(tmp_path)
    assert sorted(tmp_path.rglob("*")) == files


def test_on_a_read_only_medium_it_is_only_read(tmp_path: Path):
    before = a_lake(tmp_path)
    shutil.copytree(tmp_path, tmp_path / "copy", ignore=shutil.ignore_patterns("manifest.json"))
    root = tmp_path / "copy"
    files = sorted(root.rglob("*"))
    lake = Lake.open(root, read_only=True)
    assert lake_rows(lake, "requests", "*") == lake_rows(before, "requests", "*")
    assert sorted(root.rglob("*")) == files


def test_a_helper_refuses_what_its_server_can_mend(tmp_path: Path):
    server = a_lake(tmp_path)
    for harm in HARMS.values():
        harm(manifest_of(tmp_path))
        with pytest.raises(ManifestDamaged):
            Lake.open(tmp_path, recover=False)
        assert server.mend()
        assert not server.mend()
        assert Lake.open(tmp_path, recover=False).manifest == server.manifest


def test_an_empty_lake_says_so_itself(tmp_path: Path):
    assert open_lake(tmp_path).manifest == Manifest()
    assert manifest_of(tmp_path).exists()
    assert list(Blobs(tmp_path).names()) == []
