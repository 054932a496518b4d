"""DuckDB's memory limit, moved: it keeps every block it wrote or read until the limit is reached.

Writing needs little. The limit is raised for readers and lowered, which frees what they left, once
none has asked for a while: 150 MB of process where a fixed limit of 256 MiB makes 370.
"""

import contextlib
import math
import threading
import time

import duckdb

WRITING_BYTES_MAX = 16 * 2**20
# DuckDB holds a text in blocks of its own of 256 KiB, for a time twice, once more at a checkpoint:
# 14 rows with two of 140 KiB do not fit. A batch with a row of more than this needs more room.
WRITING_ROW_BYTES_MAX = 128 * 2**10
KEEP_FOR_READERS_S = 10.0
# What DuckDB keeps of Parquet files' footers. It counts 120 KB a file where that of a file of large
# bodies, 11 KB for each 12 MB of them, takes more than a megabyte: beyond this all of them go.
FOOTERS_BYTES_MAX = 2 * 2**20
FOOTERS = "SELECT memory_usage_bytes FROM duckdb_memory() WHERE tag = 'OBJECT_CACHE'"
LEAST_BYTES = 2**20


class MemoryLimit:
    """Starts raised. `fixed` for rows that live in memory: they need the room themselves."""

    def __init__(self, bytes_max: int, *, fixed: bool) -> None:
        self._bytes_max = bytes_max
        self._fixed = fixed
        self._lock = threading.Lock()
        self._is_raised = True
        self._asked_at_s = -math.inf

    def make_room(self, cursor: duckdb.DuckDBPyConnection, *, reader: bool = True) -> None:
        """Before anything that sorts, joins or deletes much. By any cursor that is not at work.
        A reader often comes again; what is written meanwhile would fill the room kept for it."""
        with self._lock:
            if reader:
                self._asked_at_s = time.monotonic()
            if not self._is_raised:
                _set(cursor, self._bytes_max)
                self._is_raised = True

    def save(self, cursor: duckdb.DuckDBPyConnection) -> None:
        """When nobody reads. Does nothing soon after a reader's `make_room`."""
        if self._fixed or not self._is_raised:
            return
        with self._lock, contextlib.suppress(duckdb.Error):  # more is in use just now: later
            if time.monotonic() >= self._asked_at_s + KEEP_FOR_READERS_S:
                _forget_footers(cursor)
                _set(cursor, min(WRITING_BYTES_MAX, self._bytes_max))
                self._is_raised = False


def _forget_footers(cursor: duckdb.DuckDBPyConnection) -> None:
    """A limit that is too low for them. What is in use stays, and DuckDB may say so."""
    found = cursor.execute(FOOTERS).fetchone()
    if found is not None and found[0] > FOOTERS_BYTES_MAX:
        with contextlib.suppress(duckdb.Error):
            _set(cursor, LEAST_BYTES)


def _set(cursor: duckdb.DuckDBPyConnection, limit_bytes: int) -> None:
    cursor.execute(f"SET GLOBAL memory_limit = '{limit_bytes}B'")
