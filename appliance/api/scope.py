"""Which calls a figure is about: the organisation, a filter, a span of time; and its charts' spans.

Pure. Both of Helicone's ways to name a span are read: ISO times, and Unix seconds or milliseconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

from appliance.api.fields import choice, known, moment
from appliance.api.filter_fields import REQUEST_TABLES
from appliance.api.incoming import integer, invalid
from appliance.core.filter_values import Json
from appliance.core.filters import Parameters, compile_filter
from appliance.core.metric_definitions import IS_CALL
from appliance.core.time_buckets import BUCKETS_MAX, INCREMENTS, bucket_sql, buckets, count_at_most

ROWS_MAX: Final = 1000
OFFSET_MAX: Final = 1_000_000_000
ZONE_MINUTES_MAX: Final = 1440
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
UNIX_MS_MAX: Final = 253_402_300_799_999
YEARS: Final = (1900, 9998)


class Span(NamedTuple):
    """In UTC, the end not included; None where nothing is said."""

    start: datetime | None
    end: datetime | None


class Chart(NamedTuple):
    """The spans of a series."""

    span: Span
    increment: str
    offset_minutes: int

    @property
    def sql(self) -> str:
        """A row's span, by its local begin."""
        return bucket_sql("r.request_created_at", self.increment, self.offset_minutes)

    def times(self) -> list[datetime]:
        """All begins."""
        assert self.span.start is not None
        assert self.span.end is not None
        last = self.span.end - timedelta(microseconds=1)
        return list(buckets(self.span.start, last, self.increment, self.offset_minutes))

    def shown(self, begin: datetime) -> str:
        """The moment at which a span begins, in UTC."""
        return iso(begin + timedelta(minutes=self.offset_minutes))


def iso(value: datetime) -> str:
    """ISO 8601 in UTC, as JavaScript writes it."""
    return value.isoformat(timespec="milliseconds") + "Z"


def time_filter(body: dict[str, Any], *, required: bool = False) -> Span:
    """`timeFilter` in any of its forms; its end is now where only a begin is given."""
    given = known(body, "timeFilter")
    if not given and required:
        invalid("timeFilter", "is required: an object with start and end in ISO 8601")
    span = Span(
        _time(given, ("start", "startTimeUnixMs", "startTimeUnixSeconds")),
        _time(given, ("end", "endTimeUnixMs", "endTimeUnixSeconds")),
    )
    if required and span.start is None:
        invalid("timeFilter.start", "is required")
    if span.end is None and required:
        span = Span(span.start, datetime.now(UTC).replace(tzinfo=None))
    for name, value in zip(span._fields, span, strict=True):
        if value is not None and not YEARS[0] <= value.year <= YEARS[1]:
            # A zone away from the first or the last moment there is, no time can be told.
            invalid(f"timeFilter.{name}", f"expected a year from {YEARS[0]} to {YEARS[1]}")
    if span.start is not None and span.end is not None and span.start > span.end:
        invalid("timeFilter.end", "lies before the start")
    return span


def _time(given: dict[str, Any], names: Sequence[str]) -> datetime | None:
    for name in names:
        value = given.get(name)
        if value is None:
            continue
        field = f"timeFilter.{name}"
        if name in ("start", "end"):
            return moment(value, field)
        unit_ms = 1 if name.endswith("Ms") else 1000
        count = integer(given, name, 0, UNIX_MS_MAX // unit_ms)
        return (EPOCH + timedelta(milliseconds=count * unit_ms)).replace(tzinfo=None)
    return None


def chart_of(body: dict[str, Any]) -> Chart:
    """`timeFilter`, `dbIncrement` and `timeZoneDifference` of a series. Raises Refusal 422."""
    span = time_filter(body, required=True)
    assert span.start is not None
    assert span.end is not None
    increment = choice(body.get("dbIncrement") or "hour", "dbIncrement", INCREMENTS)
    if count_at_most(span.start, span.end, increment) > BUCKETS_MAX:
        invalid("dbIncrement", f"more than {BUCKETS_MAX} spans: take a longer one")
    return Chart(span, increment, zone_minutes(body))


def zone_minutes(body: dict[str, Any]) -> int:
    """Minutes from local time to UTC, by either of its names."""
    for field in ("timeZoneDifference", "timezoneDifference", "timeZoneDifferenceMinutes"):
        value = body.get(field)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int) or abs(value) > ZONE_MINUTES_MAX:
            invalid(field, f"expected whole minutes from -{ZONE_MINUTES_MAX} to {ZONE_MINUTES_MAX}")
        return value
    return 0


def where(
    org: bytes,
    span: Span,
    parameters: Parameters,
    *,
    node: Json = "all",
    steps: bool = False,
    more: Iterable[str] = (),
) -> str:
    """The condition on rows `r`. `steps`: also what is no call."""
    parts = [f"r.organization_id = CAST({parameters.add(org.hex())} AS UUID)"]
    if span.start is not None:
        parts.append(f"r.request_created_at >= CAST({parameters.add(span.start)} AS TIMESTAMP)")
    if span.end is not None:
        parts.append(f"r.request_created_at < CAST({parameters.add(span.end)} AS TIMESTAMP)")
    condition = compile_filter(node, REQUEST_TABLES, parameters)
    if condition != "TRUE":
        parts.append(condition)
    if not steps:
        parts.append(IS_CALL)
    return " AND ".join([*parts, *more])


def node_of(body: dict[str, Any], field: str = "filter") -> Json:
    """The filter; everything where none is sent."""
    value: Json = body.get(field)
    return "all" if value is None else value


def page(body: dict[str, Any], default: int = 50) -> str:
    """LIMIT and OFFSET."""
    limit = integer(body, "limit", default, ROWS_MAX)
    offset = integer(body, "offset", 0, OFFSET_MAX)
    return f" LIMIT {limit:d} OFFSET {offset:d}"
