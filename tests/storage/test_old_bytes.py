"""What DuckDB's memory held before does not get into its files."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
# Text that is gone, then less than fills a segment of 256 KiB: what lies between a segment's
# offsets and its strings was never written to. Without storage's setting a run finds 16 to 300.
PROGRAM = """
import random, sys
import storage
import duckdb, pyarrow

def put(table, tag, count):
    texts = [tag * choose.randrange(10, 400) for _ in range(count)]
    rows = pyarrow.table({"text": texts})
    connection.register("rows", rows)
    connection.execute(f"INSERT INTO {table} SELECT text FROM rows")
    connection.unregister("rows")

choose = random.Random(1)
connection = duckdb.connect(":memory:")
connection.execute(f"ATTACH '{sys.argv[1]}' AS store (ROW_GROUP_SIZE 2048)")
connection.execute("CREATE TABLE store.kept (text VARCHAR USING COMPRESSION uncompressed)")
for round in range(10):
    connection.execute("CREATE TEMP TABLE gone (text VARCHAR)")
    put("gone", "deleted-", 600)
    connection.execute("SELECT count(DISTINCT text) FROM gone").fetchall()
    connection.execute("DROP TABLE gone")
    put("store.kept", "recorded-", choose.randrange(60, 160))
    if round % 3 == 2:
        connection.execute("CHECKPOINT store")
connection.close()
"""


def test_a_file_holds_nothing_of_what_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "made.duckdb"
    subprocess.run([sys.executable, "-c", PROGRAM, str(path)], cwd=ROOT, check=True, timeout=120)
    data = path.read_bytes()
    assert b"recorded-" in data
    assert data.count(b"deleted-") == 0
