"""A query of a directory that this process holds, which Ctrl-C ends: DuckDB, at work in the thread
that gets signals, may not look at them before it is done. Blocking.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from storage.query import PAGE_ROWS_MAX, Query

T = TypeVar("T")


class OfflineQuery:
    """Worked on by a thread of its own while the caller waits."""

    def __init__(self, query: Query) -> None:
        self._query = query

    @property
    def columns(self) -> list[tuple[str, str]]:
        """Name and DuckDB type of each column. Runs the query."""
        return self._waited_for(lambda: self._query.columns)

    def fetch(self, rows_max: int = PAGE_ROWS_MAX) -> list[tuple[Any, ...]]:
        """The next rows; an empty list is the end."""
        return self._waited_for(lambda: self._query.fetch(rows_max))

    def close(self) -> None:
        """Gives its cursor back."""
        self._query.close()

    def _waited_for(self, work: Callable[[], T]) -> T:
        with ThreadPoolExecutor(1) as threads:
            try:
                return threads.submit(work).result()
            except KeyboardInterrupt:
                self._query.interrupt()  # the thread is waited for, and ends at once
                raise
