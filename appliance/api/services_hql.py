"""What the HQL endpoints ask of the process."""

from collections.abc import AsyncIterator, Sequence
from typing import Any, NamedTuple, Protocol

from appliance.core.access import Identity


class Result(NamedTuple):
    """`rows`: JSON objects with commas between, without brackets, in pieces. `columns`: name and
    DuckDB type of each, also where there are no rows."""

    rows: Sequence[bytes]
    columns: Sequence[Sequence[str]]
    row_count: int
    bytes: int
    elapsed_ms: float
    truncated: bool
    stale_by_ms: float | None


class Export(NamedTuple):
    """A result that is kept for a while."""

    id: str
    rows: int
    lives_s: int


class ExportFile(Protocol):
    @property
    def form(self) -> str: ...
    @property
    def size(self) -> int:
        """In bytes."""

    def read(self) -> AsyncIterator[bytes]: ...


class Hql(Protocol):
    """User SQL. All raise Refusal with one of the codes of `core.hql_errors`."""

    def schema(self) -> list[dict[str, Any]]:
        """The tables and their columns."""

    async def execute(self, identity: Identity, sql: str) -> Result:
        """At most 10,000 rows; without a LIMIT of its own the first 100. Cancelling the caller
        kills the query."""

    async def export(self, identity: Identity, sql: str, form: str) -> Export:
        """At most 300,000 rows into a file: csv, json or parquet."""

    def export_file(self, region: str, export_id: str) -> ExportFile:
        """One that is still kept."""
