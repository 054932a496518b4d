"""The statements of the export and of the live stream: rows by their place, a page at a time.

Pure. An exchange's id begins with the time at which it began: the order of ids is that of time, it
never changes, and a page that begins behind an id needs no sorting of what lies before.
"""
# ruff: noqa: S608 - text is put together from constants of ours; what was sent is a parameter

from __future__ import annotations

from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

from appliance.api.filter_fields import REQUEST_TABLES
from appliance.api.request_query import (
    BODIES_WITHIN,
    OLDEST_FIRST,
    Statement,
    ids_source_of,
    source_of,
)
from appliance.api.request_rows import COLUMNS
from appliance.core.filter_values import Json
from appliance.core.filters import Parameters, compile_filter

EXPORT_COLUMNS: Final = (*COLUMNS, "session_id", "session_path", "session_name")
_LIVE_COLUMNS: Final = ", ".join(f"r.{name}" for name in COLUMNS)
LIVE_START_SQL: Final = (
    "SELECT recorded_at, exchange_id FROM unedited_requests"
    " WHERE organization_id = CAST($1 AS UUID)"
    " ORDER BY recorded_at DESC, exchange_id DESC LIMIT 1"
)
_FIRST: Final = (datetime(1970, 1, 1), UUID(int=0))


class Span(NamedTuple):
    """Which exchanges; "" and None where nothing is asked."""

    org: bytes
    since: datetime | None
    until: datetime
    user: str = ""
    session: str = ""
    after: str = ""  # an exchange's id
    filter: Json = "all"


def by_windows(span: Span) -> bool:
    """Whether its filter is answered from bodies or edits: a page of it would read all that lie
    behind, and the next page again. Raises Refusal 422."""
    where = _where(span, Parameters())
    return "FROM bodies" in where or source_of(where) == "requests AS r"


def page_statement(span: Span, rows_max: int) -> Statement:
    """The next exchanges behind `after`; their rows are read by `rows_statement`."""
    parameters = Parameters()
    return (
        f"SELECT r.exchange_id FROM oldest_requests AS r WHERE {_where(span, parameters)}"
        f" ORDER BY r.exchange_id LIMIT {rows_max:d}",
        parameters.values,
    )


def window_statement(span: Span, rows_max: int) -> Statement:
    """How many of the next exchanges behind `after` there are, and the last of them, whatever the
    filter says."""
    sql, parameters = page_statement(span._replace(filter="all"), rows_max)
    return f"SELECT count(*), max(exchange_id) FROM ({sql})", parameters


def found_statement(span: Span, last: str) -> Statement:
    """Those that the filter finds behind `after` up to `last`: of nothing else bodies or edits are
    read."""
    parameters = Parameters()
    where = _where(span, parameters)
    end = f"CAST({parameters.add(last)} AS UUID)"
    few = ""
    if "FROM bodies" in where:
        first = f"CAST({parameters.add(span.after or str(_FIRST[1]))} AS UUID)"
        few = BODIES_WITHIN.format(first=first, last=end)
    return (
        f"{few}SELECT r.exchange_id FROM {ids_source_of(where, OLDEST_FIRST)} WHERE {where}"
        f" AND r.exchange_id <= {end} ORDER BY r.exchange_id",
        parameters.values,
    )


def whole_statement(span: Span, *, bodies: bool) -> Statement:
    """All rows with all columns that people see, for a file that is made in one go."""
    parameters = Parameters()
    where = _where(span, parameters)
    if not bodies:
        return f"SELECT r.* FROM requests AS r WHERE {where}", parameters.values
    return (
        "SELECT r.*, b.request, b.response, b.request_type, b.response_type FROM requests AS r"
        f" LEFT JOIN bodies AS b ON b.exchange_id = r.exchange_id WHERE {where}",
        parameters.values,
    )


def size_statement(span: Span) -> Statement:
    """How many rows, and how many bytes of bodies."""
    parameters = Parameters()
    where = _where(span, parameters)
    return (
        "SELECT count(*), CAST(coalesce(sum(coalesce(r.request_bytes, 0)"
        f" + coalesce(r.response_bytes, 0)), 0) AS BIGINT) FROM {ids_source_of(where)}"
        f" WHERE {where}",
        parameters.values,
    )


def live_statement(
    org: bytes,
    after: tuple[datetime | None, UUID | None],
    user: str,
    session: str,
    rows_max: int,
) -> Statement:
    """What was recorded behind a place; `recorded_at` never goes back."""
    parameters = Parameters()
    at = parameters.add(after[0] or _FIRST[0])
    behind = parameters.add(str(after[1] or _FIRST[1]))
    where = (
        f"r.organization_id = CAST({parameters.add(org.hex())} AS UUID)"
        f" AND r.recorded_at >= CAST({at} AS TIMESTAMP)"
        f" AND (r.recorded_at > CAST({at} AS TIMESTAMP)"
        f" OR r.exchange_id > CAST({behind} AS UUID))"
    ) + _whose(user, session, parameters)
    return (
        f"SELECT {_LIVE_COLUMNS} FROM requests AS r WHERE {where}"
        f" ORDER BY r.recorded_at, r.exchange_id LIMIT {rows_max:d}",
        parameters.values,
    )


def _where(span: Span, parameters: Parameters) -> str:
    parts = f"r.organization_id = CAST({parameters.add(span.org.hex())} AS UUID)"
    parts += f" AND r.request_created_at < CAST({parameters.add(span.until)} AS TIMESTAMP)"
    if span.since is not None:
        parts += f" AND r.request_created_at >= CAST({parameters.add(span.since)} AS TIMESTAMP)"
    if span.after:
        parts += f" AND r.exchange_id > CAST({parameters.add(span.after)} AS UUID)"
    parts += _whose(span.user, span.session, parameters)
    if span.filter == "all":
        return parts
    return f"{parts} AND {compile_filter(span.filter, REQUEST_TABLES, parameters)}"


def _whose(user: str, session: str, parameters: Parameters) -> str:
    parts = ""
    if user:
        parts += f" AND r.user_id = {parameters.add(user)}"
    if session:
        parts += f" AND r.session_id = {parameters.add(session)}"
    return parts
