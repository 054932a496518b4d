"""Files of the lake that were written before a column was added: read with NULL in its place, found
again without a manifest, and given it when they are rewritten."""

import hashlib
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from storage import manifest as manifests
from storage.lake import Lake
from storage.manifest_recovery import recovered
from storage.rewrite import Edition
from storage.roll import roll
from storage.rows import ADDED_IN, SCHEMA_VERSION
from tests.storage.lake_kit import Derive, exchange, lake_rows, open_lake, write_segment

ADDED = [
    ("requests", "threat"),
    ("bodies", "prompt_template"),
    *(("requests", name) for name in ("source", "step", "trace_id", "span_id", "parent_span_id")),
]


def older_lake(root: Path) -> Lake:
    """As the first version left it."""
    write_segment(root, [exchange(n) for n in (1, 2, 3)])
    lake = open_lake(root)
    assert roll(lake, Derive(root, None), upto=1) is not None
    files = []
    for file in lake.manifest.files:
        path = lake.path(file)
        new = [name for table, name in ADDED_IN if table == file.table]
        pq.write_table(pq.read_table(path).drop_columns(new), path)
        data = path.read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        files.append(replace(file, bytes=len(data), sha256=digest, schema_version=1))
    manifests.store(lake.directory, replace(lake.manifest, files=tuple(files)))
    return open_lake(root)


def test_every_added_column_is_known() -> None:
    assert set(ADDED_IN) == set(ADDED)
    assert max(ADDED_IN.values()) == SCHEMA_VERSION


@pytest.mark.parametrize(("table", "column"), ADDED)
def test_they_are_read_beside_newer_ones(tmp_path: Path, table: str, column: str) -> None:
    lake = older_lake(tmp_path)
    assert lake_rows(lake, table, column) == [(None,)] * 3
    write_segment(tmp_path, [exchange(4)])
    assert roll(lake, Derive(tmp_path, None), upto=2) is not None
    assert {file.schema_version for file in lake.manifest.of(table)} == {1, SCHEMA_VERSION}
    assert lake_rows(lake, table, f"count(*), count({column})") == [(4, 0)]


def test_they_are_found_again_without_a_manifest(tmp_path: Path) -> None:
    lake = older_lake(tmp_path)
    for path in tmp_path.rglob("*.seg"):
        path.unlink()
    found = recovered(tmp_path, {})
    assert found.unreadable == []
    assert {file.schema_version for file in found.manifest.of("requests")} == {1}
    assert [file.rows for file in found.manifest.of("bodies")] == [3]
    assert lake.manifest.of("bodies")[0].name == found.manifest.of("bodies")[0].name


def test_a_file_that_is_rewritten_has_all_columns(tmp_path: Path) -> None:
    lake = older_lake(tmp_path)
    edition = Edition(lake)
    edition.join(lake.manifest.of("bodies"))
    edition.commit()
    (file,) = lake.manifest.of("bodies")
    assert file.schema_version == SCHEMA_VERSION
    assert "prompt_template" in pq.read_schema(lake.path(file)).names
    assert lake_rows(lake, "bodies", "prompt_template") == [(None,)] * 3
