"""A master key that is set later covers what is there already."""

import itertools
from collections.abc import Iterator
from pathlib import Path

from storage.roll import roll
from storage.sealing import seal_plain
from tests.storage.lake_kit import (
    KEYS,
    Derive,
    all_bytes,
    exchange,
    lake_rows,
    open_lake,
    write_segment,
)


class Died(Exception):  # noqa: N818
    """Stands for the process ending at that step."""


def a_plain_root(root: Path) -> dict[str, list[tuple[object, ...]]]:
    """A lake of two rolls and a database file; what the lake says."""
    for part in (range(3), range(3, 6)):
        lake = open_lake(root)
        upto = write_segment(root, [exchange(n, user_id="zanzibar") for n in part])
        roll(lake, Derive(root), upto=upto)
        lake.tidy(lake.manifest.generation)
    (root / "analytics.duckdb").write_text("zanzibar")
    (root / "analytics.duckdb.wal").write_text("zanzibar")
    assert b"zanzibar" in all_bytes(root / "lake")
    return {table: lake_rows(lake, table, "*") for table in ("requests", "bodies")}


def test_plain_files_are_sealed_once(tmp_path: Path) -> None:
    before = a_plain_root(tmp_path)
    lake = open_lake(tmp_path, KEYS)
    assert seal_plain(lake) == 4
    lake.tidy(lake.manifest.generation)
    assert b"zanzibar" not in all_bytes(tmp_path)
    assert {table: lake_rows(lake, table, "*") for table in before} == before
    assert {file.key_epoch for file in lake.manifest.files} == {2}
    assert seal_plain(lake) == 0


def test_without_a_master_key_nothing_is_done(tmp_path: Path) -> None:
    a_plain_root(tmp_path)
    lake = open_lake(tmp_path)
    assert seal_plain(lake) == 0
    assert (tmp_path / "analytics.duckdb").exists()


def test_a_crash_at_any_step_is_gone_on_from(tmp_path: Path) -> None:
    for number in itertools.count():
        root = tmp_path / str(number)
        before = a_plain_root(root)
        count = itertools.count()

        def step(name: str, steps: Iterator[int] = count, number: int = number) -> None:
            if next(steps) == number:
                raise Died(name)

        try:
            seal_plain(open_lake(root, KEYS), step)
            finished = True
        except Died:
            finished = False
        lake = open_lake(root, KEYS)
        lake.sweep_orphans()
        seal_plain(lake)
        lake.tidy(lake.manifest.generation)
        assert b"zanzibar" not in all_bytes(root)
        assert {table: lake_rows(lake, table, "*") for table in before} == before
        if finished:
            break
    assert number > 10
