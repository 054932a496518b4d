"""What the REST API asks of the process for answers that are too large for memory: a query's result
as a file, and a sign that something new has come."""

from typing import Any, BinaryIO, Protocol


class Exports(Protocol):
    """Large answers of one region's store. Raise Refusal 503 when it cannot answer now."""

    async def parquet(
        self, region: str, sql: str, parameters: list[Any], *, bytes_expected: int
    ) -> BinaryIO:
        """The rows of one reading statement as a Parquet file, open at its begin; gone when the
        caller closes it. Raises Refusal 422 where files are encrypted, 507 where the disk has no
        room for it."""

    async def changed(self, region: str, wait_s: float) -> bool:
        """Returns once something new is in the database, and after so many seconds at last; False
        when the server is about to end."""
