"""`export`: all exchanges of a span of time, in pages by key, so that memory stays flat and no
query runs long. Knows no format; gives columns and rows for `output.py`.
"""
# ruff: noqa: S608 - what goes into SQL here was parsed to a time or comes from our own rows

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from appliance.commands import Source
from appliance.control_wire import Columns
from appliance.errors import Refusal
from appliance.output import all_rows

PAGE_ROWS = 2000
PAGE_ROWS_WITH_BODIES = 200
BODY_COLUMNS: Columns = [
    ("request", "VARCHAR"), ("response", "VARCHAR"),
    ("request_type", "VARCHAR"), ("response_type", "VARCHAR"),
]  # fmt: skip


class Export:
    """Exchanges in the order of their ids, which is the order in which they began."""

    def __init__(
        self, source: Source, since: str | None, until: str | None, *, with_bodies: bool
    ) -> None:
        self._source = source
        # Bounded at the start: what arrives while we read would never end.
        start, end = parse_span(since or "", until or "")
        self._where = f"request_created_at < TIMESTAMP '{_sql_time(end)}'"
        if start is not None:
            self._where += f" AND request_created_at >= TIMESTAMP '{_sql_time(start)}'"
        self._with_bodies = with_bodies
        self.columns = self._own_columns() + (BODY_COLUMNS if with_bodies else [])

    def count(self) -> int:
        with self._source.query(f"SELECT count(*) FROM requests WHERE {self._where}") as result:
            ((count,),) = all_rows(result)  # to the end: then the connection is free again
        return int(count)

    def rows(self, advanced: Callable[[int], None]) -> Iterator[list[Any]]:
        """All rows; `advanced` hears of each page's size."""
        size = PAGE_ROWS_WITH_BODIES if self._with_bodies else PAGE_ROWS
        after = ""
        while True:
            page = self._page(after, size)
            yield from self._joined(page) if self._with_bodies and page else page
            advanced(len(page))
            if len(page) < size:
                return
            after = f" AND exchange_id > UUID '{page[-1][self._id]}'"

    def _own_columns(self) -> Columns:
        with self._source.query("SELECT * FROM requests LIMIT 0") as result:
            columns = list(result.columns)
            for _ in all_rows(result):  # to the end, so that the connection is free again
                pass
        self._id = [name for name, _ in columns].index("exchange_id")
        return columns

    def _page(self, after: str, size: int) -> list[list[Any]]:
        sql = f"SELECT * FROM requests WHERE {self._where}{after} ORDER BY exchange_id LIMIT {size}"
        with self._source.query(sql) as result:
            return list(all_rows(result))

    def _joined(self, page: list[list[Any]]) -> Iterator[list[Any]]:
        """Bodies by the range of ids: Parquet's statistics lead straight to them."""
        first, last = page[0][self._id], page[-1][self._id]
        sql = (
            "SELECT exchange_id, request, response, request_type, response_type FROM bodies "
            f"WHERE exchange_id BETWEEN UUID '{first}' AND UUID '{last}'"
        )
        with self._source.query(sql) as result:
            bodies = {row[0]: row[1:] for row in all_rows(result)}
        nothing = [None] * len(BODY_COLUMNS)
        for row in page:
            yield row + bodies.get(row[self._id], nothing)


SPANS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def parse_span(since: str, until: str) -> tuple[datetime | None, datetime]:
    """Of `--since` and `--until`; nothing is without a beginning, and up to now. Raises Refusal 400
    for what is no time, and for an end that lies before the beginning."""
    now = datetime.now(UTC)
    start = parse_moment(since, now) if since else None
    end = parse_moment(until, now) if until else now
    if start is not None and start > end:
        raise Refusal(
            400, "bad_time", f'--since "{since}" lies behind --until "{until or "now"}": nothing '
            "can be between them",
        )  # fmt: skip
    return start, end


def parse_moment(text: str, now: datetime | None = None) -> datetime:
    """`2026-11-01`, `2026-11-01T12:00:00Z`, or a span back from now: `90m`, `24h`, `7d`."""
    words = text.strip()
    try:
        if words[-1:] in SPANS and words[:-1].isdecimal():
            span = timedelta(**{SPANS[words[-1]]: int(words[:-1])})
            return (now or datetime.now(UTC)) - span
        moment = datetime.fromisoformat(words)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        allowed = "2026-11-01, 2026-11-01T12:00:00Z or a span such as 24h"
        raise Refusal(400, "bad_time", f'"{text}" is no time: allowed is {allowed}') from None


def _sql_time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
