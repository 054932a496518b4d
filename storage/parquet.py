"""Parquet files: rows to row groups, and files rewritten row group by row group.

Runs in the helper process only: importing this module costs 50 MB of PyArrow. Knows columns and
bytes; which files count is the manifest's business.

DuckDB 2.0 reads what PyArrow encrypts only under four conditions, all kept here: one data page
per column chunk (its page counter differs), no dictionaries (a filter on one miscounts pages),
the first version of data pages, and no nested columns (its column counter differs): maps and
lists of encrypted files are JSON text.
"""

import datetime
import hashlib
import json
import os
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow.parquet import encryption

from storage.manifest import Step, is_nested, no_step
from storage.rows import ATTEMPT_TYPE, SCHEMA_VERSION, TABLES, TIMES

# `bodies` keeps the untouched metadata of the frame too: with it rows can be derived again.
META_COLUMN = ("meta", "BLOB")
COLUMNS: dict[str, tuple[tuple[str, str], ...]] = {
    **TABLES,
    "bodies": (*TABLES["bodies"], META_COLUMN),
}

# A text search decompresses whole row groups: larger ones run out of DuckDB's memory.
GROUP_BYTES_MAX = 12 * 2**20
GROUP_ROWS_MAX = 122_880
BATCH_ROWS = 4_096
ZSTD_LEVEL = 3
ONE_PAGE = 2**30
# Columns that repeat: a dictionary pays. Ids, texts and sizes do not, and get none.
REPEATING = frozenset((
    "organization_id", "provider", "gateway_provider", "model", "request_model", "response_model",
    "model_override", "outcome", "error", "usage_source", "price_source", "price_version",
    "user_id", "session_id", "session_path", "session_name", "prompt_id", "prompt_version",
    "method", "request_path", "target_url", "request_referrer", "country_code", "api_key_id",
    "derive_error", "request_type", "response_type", "kind", "name", "properties", "attempts",
    "not_applied",
))  # fmt: skip
UNORDERED = frozenset(("request", "response", "meta", "usage_detail", "text"))

Rows = Sequence[tuple[Any, ...]]
Mask: TypeAlias = Any  # a boolean array, one value per row
Keep = Callable[[pa.Table], Mask]


@dataclass(frozen=True, slots=True)
class Written:
    """A finished file, still under its temporary name. Times are None where a table has none."""

    path: Path
    table: str
    rows: int
    bytes: int
    sha256: str
    created_us: tuple[int, int] | None
    recorded_us: tuple[int, int] | None


def arrow_type(kind: str) -> pa.DataType:
    simple = {
        "UUID": pa.uuid(),
        "VARCHAR": pa.string(),
        "TIMESTAMP": pa.timestamp("us"),
        "INTEGER": pa.int32(),
        "BIGINT": pa.int64(),
        "DOUBLE": pa.float64(),
        "BOOLEAN": pa.bool_(),
        "BLOB": pa.binary(),
        "MAP(VARCHAR, VARCHAR)": pa.map_(pa.string(), pa.string()),
    }
    if kind == ATTEMPT_TYPE:
        inner = kind.removeprefix("STRUCT(").removesuffix(")[]")
        parts = (part.strip().split(" ", 1) for part in inner.split(","))
        return pa.list_(pa.struct([(name, arrow_type(of)) for name, of in parts]))
    if kind.endswith("[]"):
        return pa.list_(arrow_type(kind.removesuffix("[]")))
    return simple[kind]


def schema_of(table: str, *, encrypted: bool) -> pa.Schema:
    """The stored schema; names only, so that readers go by name."""
    fields = [
        (name, pa.string() if encrypted and is_nested(kind) else arrow_type(kind))
        for name, kind in COLUMNS[table]
    ]
    return pa.schema(fields, metadata={"schema_version": str(SCHEMA_VERSION), "table": table})


class TableWriter:
    """Writes one Parquet file: batches gather until a row group is full."""

    def __init__(self, path: Path, table: str, key: bytes | None) -> None:
        self.rows = 0
        self._path = path
        self._table = table
        self._encrypted = key is not None
        self._schema = schema_of(table, encrypted=self._encrypted)
        self._pending: list[pa.Table] = []
        self._pending_rows = 0
        self._pending_bytes = 0
        self._ranges: dict[str, tuple[int, int]] = {}
        self._writer = pq.ParquetWriter(path, self._schema, **_options(table, key))

    def write_rows(self, rows: Rows) -> None:
        columns = zip(*rows, strict=True)
        arrays = [
            _array(values, kind)
            for values, (_, kind) in zip(columns, COLUMNS[self._table], strict=True)
        ]
        plain = schema_of(self._table, encrypted=False)
        self.write(pa.Table.from_arrays(arrays, schema=plain), encrypted=False)

    def write(self, table: pa.Table, *, encrypted: bool) -> None:
        """Add rows of another file; `encrypted` says how that one kept its nested columns."""
        table = _recoded(table, self._table, self._schema, encrypted, self._encrypted)
        for piece in _pieces(table):
            if self._pending and (
                self._pending_rows + piece.num_rows > GROUP_ROWS_MAX
                or self._pending_bytes + piece.nbytes > GROUP_BYTES_MAX
            ):
                self._flush()
            self._pending.append(piece)
            self._pending_rows += piece.num_rows
            self._pending_bytes += piece.nbytes
        for name in set(TIMES.get(self._table, ())):
            self._widen(name, table.column(name))

    @property
    def rows_written(self) -> int:
        """Those still gathered included."""
        return self.rows + self._pending_rows

    def close(self, step: Step = no_step) -> Written:
        """Finish, fsync, and say what is in it."""
        self._flush()
        self._writer.close()
        step(f"{self._table} written")
        digest, size = _sync_and_hash(self._path)
        step(f"{self._table} synced")
        created, recorded = TIMES.get(self._table, ("", ""))
        return Written(
            self._path, self._table, self.rows, size, digest,
            self._ranges.get(created), self._ranges.get(recorded),
        )  # fmt: skip

    def abandon(self) -> None:
        """Close the descriptor of a file that will not be used."""
        self._writer.close()

    def _flush(self) -> None:
        if not self._pending:
            return
        group = pa.concat_tables(self._pending)
        self._writer.write_table(group, row_group_size=group.num_rows)
        self.rows += group.num_rows
        self._pending, self._pending_rows, self._pending_bytes = [], 0, 0

    def _widen(self, name: str, column: pa.ChunkedArray) -> None:
        found = pc.min_max(column.cast(pa.int64())).as_py()
        if found["min"] is not None:
            low, high = self._ranges.get(name, (found["min"], found["max"]))
            self._ranges[name] = min(low, found["min"]), max(high, found["max"])


class TableReader:
    """Reads one Parquet file by row group, plain or encrypted."""

    def __init__(self, path: Path, table: str, key: bytes | None) -> None:
        self.table = table
        self.encrypted = key is not None
        secret = encryption.create_decryption_properties(footer_key=key) if key else None
        self._file = pq.ParquetFile(path, decryption_properties=secret)

    @property
    def rows(self) -> int:
        return int(self._file.metadata.num_rows)

    def groups(self, columns: list[str] | None = None) -> Iterator[pa.Table]:
        for number in range(self._file.metadata.num_row_groups):
            yield self._file.read_row_group(number, columns=columns, use_threads=False)

    def close(self) -> None:
        self._file.close()


def copy(source: TableReader, target: TableWriter, keep: Keep | None = None) -> int:
    """Copy the rows for which the mask of `keep` is true; how many were left out."""
    dropped = 0
    for group in source.groups():
        kept = group if keep is None else group.filter(keep(group))
        dropped += group.num_rows - kept.num_rows
        if kept.num_rows:
            target.write(kept, encrypted=source.encrypted)
    return dropped


def ids_of(group: pa.Table) -> pa.ChunkedArray:
    """exchange_id as 16 raw bytes."""
    return _storage(group.column("exchange_id"))


def without_ids(ids: Iterable[bytes]) -> Keep:
    gone = pa.array(list(ids), pa.binary(16))
    return lambda group: pc.invert(pc.is_in(ids_of(group), value_set=gone))


def from_position(segment: int, offset: int) -> Keep:
    """Rows whose frame begins at or after this place in the journal."""

    def keep(group: pa.Table) -> Mask:
        at, within = group.column("segment"), group.column("frame_offset")
        same = pc.and_(pc.equal(at, segment), pc.greater_equal(within, offset))
        return pc.or_(pc.greater(at, segment), same)

    return keep


def _options(table: str, key: bytes | None) -> dict[str, Any]:
    leaves: list[str] = []
    for name, kind in COLUMNS[table]:
        leaves += _leaves(name, kind) if is_nested(kind) and not key else [name]
    options: dict[str, Any] = {
        "version": "2.6",
        "compression": "zstd",
        "compression_level": ZSTD_LEVEL,
        "data_page_version": "1.0",
        "write_page_index": False,
        "store_schema": False,
        "use_dictionary": [leaf for leaf in leaves if leaf.split(".")[0] in REPEATING],
        "write_statistics": [leaf for leaf in leaves if leaf not in UNORDERED],
    }
    if key:
        options |= {
            "use_dictionary": False,
            "data_page_size": ONE_PAGE,
            "max_rows_per_page": ONE_PAGE,
            "encryption_properties": encryption.create_encryption_properties(footer_key=key),
        }
    return options


def _leaves(name: str, kind: str) -> list[str]:
    """The names of a nested column's leaves as Parquet sees them."""
    if kind.startswith("MAP"):
        return [f"{name}.key_value.key", f"{name}.key_value.value"]
    if kind == ATTEMPT_TYPE:
        inner = arrow_type(kind).value_type
        return [f"{name}.list.element.{field.name}" for field in inner]
    return [f"{name}.list.element"]


def _array(values: tuple[Any, ...], kind: str) -> pa.Array:
    """One column. A value that does not fit becomes NULL: no row may stop a roll."""
    try:
        return _exact(values, kind)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        return _exact(tuple(_fitting(value, kind) for value in values), kind)


def _exact(values: tuple[Any, ...], kind: str) -> pa.Array:
    if kind == "UUID":
        raw = [None if value is None else raw_id(value) for value in values]
        return pa.ExtensionArray.from_storage(pa.uuid(), pa.array(raw, pa.binary(16)))
    return pa.array(values, arrow_type(kind))


def _fitting(value: Any, kind: str) -> Any:  # noqa: ANN401 - whatever a row holds
    if kind == "VARCHAR" and value is not None:
        value = str(value).encode("utf-8", "replace").decode()
    try:
        _exact((value,), kind)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        return None
    return value


def raw_id(value: object) -> bytes:
    """A UUID as 16 bytes, from bytes, uuid.UUID or text."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return bytes.fromhex(value.replace("-", ""))
    assert isinstance(value, uuid.UUID)
    return value.bytes


def _storage(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if not isinstance(column.type, pa.BaseExtensionType):
        return column
    chunks = [chunk.storage for chunk in column.chunks]
    return pa.chunked_array(chunks, column.type.storage_type)


def _pieces(table: pa.Table) -> Iterator[pa.Table]:
    """Slices of at most a row group: halved until they fit, or one row is left."""
    if table.num_rows <= 1 or (
        table.num_rows <= GROUP_ROWS_MAX and table.nbytes <= GROUP_BYTES_MAX
    ):
        yield table
        return
    half = table.num_rows // 2
    yield from _pieces(table.slice(0, half))
    yield from _pieces(table.slice(half))


def _recoded(
    table: pa.Table, name: str, schema: pa.Schema, was_encrypted: bool, encrypted: bool
) -> pa.Table:
    """The table's columns by name and in order; missing ones NULL, nested ones in our form."""
    arrays = []
    for (column, kind), field in zip(COLUMNS[name], schema, strict=True):
        if column not in table.column_names:
            arrays.append(pa.nulls(table.num_rows, field.type))
            continue
        values = table.column(column)
        if is_nested(kind) and was_encrypted != encrypted:
            values = _to_text(values, kind) if encrypted else _from_text(values, kind)
        arrays.append(values if values.type == field.type else _cast(values, field.type))
    return pa.Table.from_arrays(arrays, schema=schema)


def _cast(values: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    if isinstance(kind, pa.BaseExtensionType):
        chunks = [pa.ExtensionArray.from_storage(kind, chunk) for chunk in values.chunks]
        return pa.chunked_array(chunks, kind)
    return values.cast(kind)


def _to_text(values: pa.ChunkedArray, kind: str) -> pa.Array:
    is_map = kind.startswith("MAP")
    return pa.array(
        [
            None
            if value is None
            else json.dumps(dict(value) if is_map else value, default=str, ensure_ascii=False)
            for value in values.to_pylist()
        ],
        pa.string(),
    )


def _from_text(values: pa.ChunkedArray, kind: str) -> pa.Array:
    rows = [None if value is None else json.loads(value) for value in values.to_pylist()]
    if kind == ATTEMPT_TYPE:
        for row in rows:
            for attempt in row or ():
                attempt["started_at"] = _timestamp(attempt.get("started_at"))
    return pa.array(rows, arrow_type(kind))


def _timestamp(text: str | None) -> datetime.datetime | None:
    return None if text is None else datetime.datetime.fromisoformat(text)


def _sync_and_hash(path: Path) -> tuple[str, int]:
    with open(path, "rb") as stream:
        os.fsync(stream.fileno())
        digest = hashlib.file_digest(stream, "sha256")
        return digest.hexdigest(), stream.tell()
