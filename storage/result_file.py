"""A query's result as one Parquet file, written as it arrives: memory stays at one row group.

Cells come as text (`bytes` for binary, None for NULL), nested values as JSON; DuckDB casts them to
the types they had. PyArrow hands the rows over.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from storage.rows import SCHEMA_VERSION

ROW_GROUP_BYTES = "16MB"
BATCH_ROWS_MAX = 1000
BATCH_BYTES_MAX = 4 << 20
MEMORY_LIMIT = "256MB"
# Parquet has no type for these; HUGEINT would be written as a float and lose digits.
AS_TEXT = ("UHUGEINT", "BIGNUM", "BIT", "UNION", "VARIANT", "INTERVAL", '"NULL"')
Cell = str | bytes | None


def write_parquet(
    path: Path, columns: Sequence[tuple[str, str]], rows: Iterable[Sequence[Cell]]
) -> int:
    """Write all rows; the number of rows written. `path` must not exist or is overwritten."""
    import duckdb
    import pyarrow

    kinds = [pyarrow.binary() if kind == "BLOB" else pyarrow.string() for _, kind in columns]
    schema = pyarrow.schema([(f"c{index}", kind) for index, kind in enumerate(kinds)])
    count = 0

    def batches() -> Iterator[object]:
        nonlocal count
        for batch in _batched(rows):
            count += len(batch)
            arrays = [
                pyarrow.array([row[index] for row in batch], type=kind)
                for index, kind in enumerate(kinds)
            ]
            yield pyarrow.record_batch(arrays, schema=schema)

    # DuckDB finds the reader by its name.
    arriving = pyarrow.RecordBatchReader.from_batches(schema, batches())  # noqa: F841
    settings: dict[str, str | bool | int | float | list[str]] = {
        "threads": 1,
        "memory_limit": MEMORY_LIMIT,
        "preserve_insertion_order": False,  # one thread keeps the order; this frees the memory
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
    }
    with duckdb.connect(config=settings) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(_copy(path, columns))
    return count


def _copy(path: Path, columns: Sequence[tuple[str, str]]) -> str:
    names = distinct_names([name for name, _ in columns])
    selected = ", ".join(
        f"{_cast(f'c{index}', kind)} AS {_quoted(names[index])}"
        for index, (_, kind) in enumerate(columns)
    )
    target = str(path).replace("'", "''")
    return (
        f"COPY (SELECT {selected} FROM arriving) TO '{target}' (FORMAT parquet, COMPRESSION zstd,"  # noqa: S608
        f" ROW_GROUP_SIZE_BYTES '{ROW_GROUP_BYTES}',"
        f" KV_METADATA {{schema_version: '{SCHEMA_VERSION}'}})"
    )


def _cast(cell: str, kind: str) -> str:
    if kind == "BLOB":
        return cell
    if kind.startswith(AS_TEXT):
        return f"CAST({cell} AS VARCHAR)"
    if kind == "HUGEINT":
        return f"CAST({cell} AS DECIMAL(38, 0))"
    if kind.endswith("]") or kind.startswith(("STRUCT(", "MAP(")):
        return f"CAST(CAST({cell} AS JSON) AS {kind})"
    return f"CAST({cell} AS {kind})"


def distinct_names(names: Sequence[str]) -> list[str]:
    """Names as given; a repeated one (case does not count) gets a number."""
    taken: set[str] = set()
    found = []
    for name in names:
        candidate, number = name, 1
        while candidate.lower() in taken:
            candidate, number = f"{name}_{number}", number + 1
        taken.add(candidate.lower())
        found.append(candidate)
    return found


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _batched(rows: Iterable[Sequence[Cell]]) -> Iterator[list[Sequence[Cell]]]:
    batch: list[Sequence[Cell]] = []
    size = 0
    for row in rows:
        batch.append(row)
        size += sum(len(cell) for cell in row if cell is not None)
        if len(batch) >= BATCH_ROWS_MAX or size >= BATCH_BYTES_MAX:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
