"""Rows, batches and lake files for the tests of analytics and ingest."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from storage.analytics import Analytics
from storage.batch import Batch
from storage.manifest import LakeView
from storage.parquet import TableWriter
from storage.rows import BODY_COLUMNS, EDIT_COLUMNS, REQUEST_COLUMNS, TABLES

ORG = bytes(15) + b"\x01"
T0_US = 1_767_225_600_000_000  # 2026-01-01


def exchange_id(number: int) -> bytes:
    return b"\x01\x99" + number.to_bytes(14, "big")


def request_row(number: int, *, segment: int = 1, **changes: Any) -> tuple[Any, ...]:
    values: dict[str, Any] = {
        "exchange_id": exchange_id(number),
        "request_id": b"\x40" + number.to_bytes(15, "big"),
        "organization_id": ORG,
        "request_created_at": T0_US + number,
        "recorded_at": T0_US + number + 1000,
        "provider": "OPENAI",
        "model": ("gpt-4o", "claude-sonnet-4")[number % 2],
        "status": 200,
        "outcome": "complete",
        "latency_ms": number / 8,
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "reasoning_tokens": 1,
        "cost_pico": 1_000_000 + number,
        "properties": {"Environment": "prod", "N": str(number)},
        "attempts": [{"target": "openai", "status": 200, "cost_pico": 7, "started_at": T0_US}],
        "not_applied": [],
        "is_stream": number % 2 == 0,
        "segment": segment,
        "frame_offset": number * 100,
        **changes,
    }
    return tuple(values.get(name) for name, _ in REQUEST_COLUMNS)


def body_row(number: int, *, segment: int = 1, **changes: Any) -> tuple[Any, ...]:
    values: dict[str, Any] = {
        "exchange_id": exchange_id(number),
        "request_id": b"\x40" + number.to_bytes(15, "big"),
        "organization_id": ORG,
        "request": f"question {number}",
        "response": f"answer {number} ü",
        "request_type": "application/json",
        "segment": segment,
        "frame_offset": number * 100,
        **changes,
    }
    return tuple(values.get(name) for name, _ in BODY_COLUMNS)


def edit_row(
    number: int,
    kind: str,
    name: str,
    value: str | float | None,
    *,
    at: int = 0,
    segment: int = 1,
    offset: int = 0,
) -> tuple[Any, ...]:
    values = {
        "organization_id": ORG,
        "exchange_id": exchange_id(number),
        "kind": kind,
        "name": name,
        "text": value if isinstance(value, str) else None,
        "number": None if isinstance(value, str) else value,
        "edited_at": T0_US + at,
        "segment": segment,
        "frame_offset": offset,
    }
    return tuple(values.get(name) for name, _ in EDIT_COLUMNS)


def batch_of(numbers: Iterable[int], *, flags: int = 0, segment: int = 1, **changes: Any) -> Batch:
    batch = Batch()
    for number in numbers:
        batch.add_exchange(
            request_row(number, segment=segment, **changes),
            body_row(number, segment=segment),
            flags,
        )
    return batch


def edits_of(*rows: tuple[Any, ...]) -> Batch:
    batch = Batch()
    batch.edits.extend(rows)
    return batch


def opened(path: Path | None, **options: Any) -> Analytics:
    options = {"memory_bytes_max": 128 * 2**20, "threads": 2, "lake": None, **options}
    return Analytics.open(path, **options)


def ask(analytics: Analytics, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
    rows = []
    with analytics.query(sql, parameters) as query:
        while page := query.fetch():
            rows += page
    return rows


def lake_of(
    folder: Path,
    generation: int,
    upto_segment: int,
    tables: dict[str, Sequence[tuple[Any, ...]]],
    *older: LakeView,
    key: bytes | None = None,
) -> LakeView:
    """Real Parquet files; those of `older` views are kept beside the new ones."""
    folder.mkdir(exist_ok=True)
    files: dict[str, list[Path]] = {table: [] for table in TABLES}
    for view in older:
        for table, paths in view.files.items():
            files[table] += paths
    for table, rows in tables.items():
        path = folder / f"{table}-{generation}.parquet"
        writer = TableWriter(path, table, key)
        writer.write_rows([(*row, b"") if table == "bodies" else row for row in rows])
        writer.close()
        files[table].append(path)
    if key is None:
        return LakeView(generation, files, upto_segment)
    epochs = {path: 1 for paths in files.values() for path in paths}
    return LakeView(generation, files, upto_segment, epochs, {1: key})
