"""Reports of a time (`backend.md 7.3`): what is asked of the records, and what people are told,
each figure beside that of the time before.

Pure. Times in seconds since the epoch; money is Decimal.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from typing import Any, Final

from appliance.core.schedule import Calendar, Schedule

HOUR: Final = 10
FREQUENCIES: Final = ("daily", "weekly", "monthly")
BEFORE: Final = {
    "daily": "the day before",
    "weekly": "the week before",
    "monthly": "the month before",
}

# One row for each of the two times; no steps of traces (tools, databases): they cost nothing and
# are no requests.
SQL: Final = (
    "SELECT count(*), coalesce(sum(r.cost_usd), 0),"
    " count(*) FILTER (r.status BETWEEN 400 AND 599),"
    " count(DISTINCT nullif(r.user_id, '')),"
    " count(*) FILTER (coalesce(r.threat, r.status = -4)),"
    " count(DISTINCT r.session_id),"
    " coalesce(sum(r.cost_usd) FILTER (r.session_id IS NOT NULL), 0)"
    " FROM requests AS r WHERE r.organization_id = CAST($1 AS UUID)"
    " AND r.request_created_at >= $2 AND r.request_created_at < $3 AND r.step IS NULL"
)


def schedule_of(frequency: str, zone: tzinfo) -> Schedule:
    """At ten: each day, on Mondays, on the first of a month."""
    return Calendar(
        HOUR,
        weekday=0 if frequency == "weekly" else None,
        month_day=1 if frequency == "monthly" else None,
        zone=zone,
    )


def spans(frequency: str, due_s: int, zone: tzinfo) -> tuple[tuple[int, int], tuple[int, int]]:
    """The time that ends with this moment, and the one before it, from one moment of the schedule
    to the next: a month is as long as it is."""
    schedule = schedule_of(frequency, zone)
    begin_s = schedule.latest(due_s - 1)
    return (begin_s, due_s), (schedule.latest(begin_s - 1), begin_s)


def parameters(org: bytes, span: tuple[int, int]) -> list[Any]:
    """Of SQL."""
    return [org.hex(), *(datetime.fromtimestamp(at, UTC).replace(tzinfo=None) for at in span)]


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one time. `error_rate` is in per cent of status 400 to 599; None where nothing was."""

    cost: Decimal
    requests: int
    error_rate: Decimal | None
    active_users: int
    threats: int
    sessions: int
    cost_per_session: Decimal | None


def figures(row: Sequence[Any]) -> Figures:
    """Of what SQL gave."""
    requests, cost, errors, users, threats, sessions, session_cost = row
    return Figures(
        Decimal(cost),
        requests,
        Decimal(100 * errors) / requests if requests else None,
        users,
        threats,
        sessions,
        Decimal(session_cost) / sessions if sessions else None,
    )


LABELS: Final[Mapping[str, tuple[str, str]]] = {
    "cost": ("Cost", "${:,.4f}"),
    "requests": ("Requests", "{:,}"),
    "error_rate": ("Errors", "{:.2f} %"),
    "active_users": ("Active users", "{:,}"),
    "threats": ("Threats", "{:,}"),
    "sessions": ("Sessions", "{:,}"),
    "cost_per_session": ("Cost per session", "${:,.4f}"),
}


def change(now: Decimal | int | None, before: Decimal | int | None) -> Decimal | None:
    """By how many per cent; None where there was nothing to compare with."""
    if now is None or not before:
        return None
    return ((Decimal(now) / Decimal(before) - 1) * 100).quantize(Decimal("0.1"))


def words(
    frequency: str, span: tuple[int, int], now: Figures, before: Figures, zone: tzinfo,
    link: str | None,
) -> str:  # fmt: skip
    """The text of a mail."""
    begin, end = (f"{datetime.fromtimestamp(at, zone):%Y-%m-%d %H:%M %Z}" for at in span)
    lines = [f"{begin} to {end}, beside {BEFORE[frequency]}:", ""]
    for name, (label, form) in LABELS.items():
        value, other = getattr(now, name), getattr(before, name)
        by = change(value, other)
        shown = "-" if value is None else form.format(value)
        compared = "" if by is None else f"  ({by:+} %)"
        lines.append(f"{label}: {shown}{compared}")
    if link is not None:
        lines += ["", link]
    return "\n".join(lines)


def event(
    report_id: str, frequency: str, span: tuple[int, int], now: Figures, before: Figures,
    link: str | None,
) -> dict[str, Any]:  # fmt: skip
    """What webhooks get. Numbers beyond whole ones are text, so that none of them is rounded."""
    begin, end = (
        datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        for at in span
    )
    return {
        "type": f"report.{frequency}",
        "report_id": report_id,
        "begin": begin,
        "end": end,
        **{
            name: {
                "value": _plain(getattr(now, name)),
                "before": _plain(getattr(before, name)),
                "change_percent": _plain(change(getattr(now, name), getattr(before, name))),
            }
            for name in (field.name for field in fields(Figures))
        },
        **({"url": link} if link else {}),
    }


def _plain(value: Decimal | int | None) -> int | str | None:
    if isinstance(value, Decimal):
        return f"{value.quantize(Decimal('0.000001')).normalize():f}"
    return value
