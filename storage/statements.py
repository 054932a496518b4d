"""Statements that were parsed, by their words."""

import threading
from collections import OrderedDict
from typing import Final

import duckdb

from storage.query import reading_statement

# What is parsed takes 11 bytes for each of its characters: 4 MB at most, half of that for pages.
KEPT_MAX: Final = 32
KEPT_CHARACTERS_MAX: Final = 12_000


class Statements:
    """DuckDB takes 0.7 ms to parse a thousand characters: for a page, which asks the same things
    with other parameters, that is as much as to plan them. Any thread may ask."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, duckdb.Statement] = OrderedDict()

    def reading(self, connection: duckdb.DuckDBPyConnection, sql: str) -> duckdb.Statement:
        """The one statement of `sql` if it only reads, else QueryFailed."""
        with self._lock:
            known = self._kept.get(sql)
            if known is not None:
                self._kept.move_to_end(sql)
                return known
        statement = reading_statement(connection, sql)
        if len(sql) <= KEPT_CHARACTERS_MAX:
            with self._lock:
                self._kept[sql] = statement
                if len(self._kept) > KEPT_MAX:
                    self._kept.popitem(last=False)
        return statement

    def __len__(self) -> int:
        return len(self._kept)
