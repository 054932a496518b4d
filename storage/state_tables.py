"""The small tables beside the keys (accounts, saved queries, prompts, webhooks, …): reads, and
changes that are all or nothing, over a connection of their own to the state store's file.

Blocking; one caller at a time. Which tables there are is said by the migrations of `state.py`.
"""

import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from storage.state import State, prepare, translated

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]


class StateTables:
    """The open file. Every method may raise StateBroken, and ValueError for a rule of the tables
    that was broken. Methods may be called from any thread and wait for one another."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        self.path = path

    @classmethod
    def open(cls, path: Path, *, region: str = "us") -> "StateTables":
        """Open the file, made and migrated first where it must be."""
        State.open(path, region=region).close()
        with translated(path):
            connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            try:
                prepare(connection)
            except BaseException:
                connection.close()
                raise
        return cls(connection, path)

    def close(self) -> None:
        """Safe to call twice."""
        with self._lock:
            self._connection.close()

    def read(self, work: Work[T]) -> T:
        """What `work` reads, as of one moment."""
        with self._lock, translated(self.path):
            self._connection.execute("BEGIN")
            try:
                return work(self._connection)
            finally:
                self._end("ROLLBACK")

    def write(self, work: Work[T]) -> T:
        """What `work` changes is on the disk when this returns, or nothing of it is there."""
        with self._lock, translated(self.path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                result = work(self._connection)
                self._connection.execute("COMMIT")
            except BaseException:
                self._end("ROLLBACK")
                raise
            return result

    def _end(self, how: str) -> None:
        if self._connection.in_transaction:
            self._connection.execute(how)
