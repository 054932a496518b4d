"""The manifest: the old or the new after a crash, never trusted when it was changed."""

import itertools
import json
from dataclasses import replace
from pathlib import Path

import pytest

from storage import manifest as manifests
from storage.manifest import Applied, LakeFile, LakeView, Manifest, ManifestDamaged
from storage.rows import TABLES

FILE = LakeFile("requests/a.parquet", "requests", 1, 2, 3, 4, "00" * 32, 5, 6, 7, 8, 2)
FULL = Manifest(7, 2, (FILE, replace(FILE, name="edits/b.parquet", table="edits")), Applied(2, 9),
                ("blob",), (1,))  # fmt: skip


def test_what_is_stored_is_what_is_loaded(tmp_path: Path):
    assert manifests.load(tmp_path) == Manifest()
    manifests.store(tmp_path, FULL)
    assert manifests.load(tmp_path) == FULL


def test_a_crash_while_storing_leaves_the_old_or_the_new(tmp_path: Path):
    class Died(Exception):  # noqa: N818
        pass

    new = replace(FULL, generation=8)
    seen = []
    for number in itertools.count():
        manifests.store(tmp_path, FULL)
        count = itertools.count()

        def step(name: str, count: itertools.count = count, number: int = number) -> None:
            if next(count) == number:
                raise Died(name)

        try:
            manifests.store(tmp_path, new, step)
            break
        except Died:
            seen.append(manifests.load(tmp_path))
    assert set(seen) == {FULL, new}
    assert manifests.load(tmp_path) == new


CHANGES = [
    lambda text: text.replace('"rows": 3', '"rows": 30'),
    lambda text: text.replace("a.parquet", "c.parquet"),
    lambda text: text[:-20],
    lambda text: "",
    lambda text: "[]",
    lambda text: json.dumps({**json.loads(text), "format": 2}),
    lambda text: json.dumps({"checksum": "x"}),
]


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_manifest_is_refused_by_name(tmp_path: Path, change):
    manifests.store(tmp_path, FULL)
    path = tmp_path / manifests.NAME
    path.write_text(change(path.read_text()))
    with pytest.raises(ManifestDamaged, match=r"manifest\.json"):
        manifests.load(tmp_path)


def test_the_next_generation_replaces_files():
    new = replace(FILE, name="requests/c.parquet", segment_first=0)
    after = FULL.replaced([FILE], [new])
    assert after.generation == 8
    assert [file.name for file in after.of("requests")] == ["requests/c.parquet"]
    assert len(after.of("edits")) == 1


def test_files_are_listed_oldest_first():
    files = tuple(replace(FILE, name=str(n), segment_first=n) for n in (3, 1, 2))
    assert [file.name for file in Manifest(files=files).of("requests")] == ["1", "2", "3"]


@pytest.mark.parametrize("table", TABLES)
def test_a_table_without_files_has_its_columns_still(table: str):
    import duckdb

    source = LakeView(0, {}, 0).source(table)
    with duckdb.connect() as connection:
        described = connection.execute(f"DESCRIBE {source}").fetchall()
        names = [row[0] for row in described]
        assert names == [name for name, _ in TABLES[table]]
        assert connection.execute(source).fetchall() == []


def test_keys_are_named_by_epoch_and_never_shown():
    path = Path("/lake/it's.parquet")
    view = LakeView(1, {"bodies": [path]}, 1, {path: 3}, {3: b"s" * 32})
    (statement,) = view.key_statements()
    assert statement.startswith("PRAGMA add_parquet_key('epoch_3', '")
    assert "it''s.parquet" in view.source("bodies")
    assert "epoch_3" in view.source("bodies")
    assert "sss" not in repr(view)


@pytest.mark.parametrize("oldest_first", [False, True])
def test_files_are_read_in_the_order_in_which_rows_are_asked_for(oldest_first: bool):
    """The newest may be encrypted and of a later version: they are a part of their own."""
    paths = [Path(f"/lake/{n}.parquet") for n in range(4)]
    view = LakeView(
        1, {"requests": paths}, 1, {paths[3]: 3}, {3: b"s" * 32},
        {paths[0]: 1, paths[1]: 2, paths[2]: 2},
    )  # fmt: skip
    source = view.source("requests", oldest_first=oldest_first)
    places = [source.index(str(path)) for path in paths]
    assert places == sorted(places, reverse=not oldest_first)


def test_json_of_encrypted_files_is_parsed_above_the_filters():
    """Beside them it would be parsed of every row, whatever is asked for."""
    path = Path("/lake/a.parquet")
    source = LakeView(1, {"requests": [path]}, 1, {path: 3}, {3: b"s" * 32}).source("requests")
    shown, _, read = source.partition(" FROM (SELECT ")
    assert "from_json(properties" in shown
    assert "from_json" not in read
    assert read.rstrip(")").endswith("OFFSET 0")
