"""Spans of a chart: the hour, day, week … in which a moment lies, and all of them between two.

Pure. Days begin at midnight of the reader's zone, weeks on Monday; the zone is an offset in minutes
as JavaScript's getTimezoneOffset gives it: what has to be added to local time to have UTC.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

INCREMENTS: Final = ("min", "hour", "day", "week", "month", "year")
TRUNC: Final = {"min": "minute"}
STEPS: Final = {
    "min": timedelta(minutes=1),
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
    "week": timedelta(weeks=1),
}
BUCKETS_MAX: Final = 5000
SMALLEST: Final = {"month": timedelta(days=28), "year": timedelta(days=365)}


def bucket_sql(column: str, increment: str, offset_minutes: int) -> str:
    """The local begin of the span that a time in UTC lies in; both words come from here."""
    assert increment in INCREMENTS
    local = f"{column} - INTERVAL ({offset_minutes:d}) MINUTE" if offset_minutes else column
    return f"date_trunc('{TRUNC.get(increment, increment)}', {local})"


def count_at_most(start: datetime, end: datetime, increment: str) -> int:
    """How many spans there are between two moments, at most."""
    step = STEPS.get(increment) or SMALLEST[increment]
    return int((end - start) / step) + 2


def buckets(
    start: datetime, end: datetime, increment: str, offset_minutes: int
) -> Iterator[datetime]:
    """The local begins of all spans from that of `start` to that of `end`, both in UTC."""
    shift = timedelta(minutes=offset_minutes)
    found, last = begin_of(start - shift, increment), end - shift
    while found <= last:
        yield found
        found = _next(found, increment)


def begin_of(moment: datetime, increment: str) -> datetime:
    """As date_trunc does it."""
    day = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    match increment:
        case "min":
            return moment.replace(second=0, microsecond=0)
        case "hour":
            return moment.replace(minute=0, second=0, microsecond=0)
        case "week":
            return day - timedelta(days=day.weekday())
        case "month":
            return day.replace(day=1)
        case "year":
            return day.replace(month=1, day=1)
        case _:
            return day


def _next(begin: datetime, increment: str) -> datetime:
    if increment == "month":
        return begin.replace(year=begin.year + begin.month // 12, month=begin.month % 12 + 1)
    if increment == "year":
        return begin.replace(year=begin.year + 1)
    return begin + STEPS[increment]
