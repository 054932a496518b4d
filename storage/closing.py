"""Closing a DuckDB connection with which others may be at work.

DuckDB closes none that is, and a file that stays open can be opened by nobody else in this process:
"already attached", until the old connection happens to be collected.
"""

import threading
import time
from collections.abc import Callable

import duckdb

from storage.query import END_POLL_S, END_WAIT_S

# A writer that works for longer is interrupted.
WRITER_WAIT_S = 5.0


def close_connection(
    connection: duckdb.DuckDBPyConnection,
    writing: threading.Lock,
    end_readers: Callable[[], None],
) -> None:
    """Blocking, for a few seconds at most. `writing` is held by whoever writes or rests."""
    held = writing.acquire(timeout=WRITER_WAIT_S)
    until_s = time.monotonic() + END_WAIT_S
    try:
        while not _closed(connection, end_readers) and time.monotonic() < until_s:
            connection.interrupt()
            time.sleep(END_POLL_S)
    finally:
        if held:
            writing.release()


def _closed(connection: duckdb.DuckDBPyConnection, end_readers: Callable[[], None]) -> bool:
    end_readers()
    try:
        connection.close()
    except duckdb.Error:
        return False
    return True
