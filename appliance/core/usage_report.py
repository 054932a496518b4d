"""What a month cost, by user, key, model, provider or property, and beside what a provider says.

Pure. Money is Decimal in USD; a month is one of UTC, as providers bill it. The figures are those of
`metric_definitions.py`, so that report, dashboard and HQL say the same to the last digit.
"""
# ruff: noqa: S608 - what goes into SQL is a constant of ours, a parsed time, or quoted

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Final

from appliance.core import metric_definitions as metric
from appliance.core.money import decimal_of
from appliance.errors import Refusal

BY: Final = {
    "user": "r.user_id",
    "key": "r.api_key_id",
    "model": "r.model",
    "provider": "r.provider",
}
NOTHING: Final = "(none)"
TOTAL: Final = "(total)"
NAME_CHARACTERS_MAX: Final = 200
NAME_SHOWN: Final = 40
FIGURES: Final = {
    "requests": metric.REQUESTS,
    "errors": metric.ERRORS,
    "prompt_tokens": metric.PROMPT_TOKENS,
    "completion_tokens": metric.COMPLETION_TOKENS,
    "reasoning_tokens": metric.REASONING_TOKENS,
    "cache_read_tokens": metric.CACHE_READ_TOKENS,
    "cache_write_tokens": metric.CACHE_WRITE_TOKENS,
    "unpriced": metric.UNPRICED,
    "cost_usd": metric.COST,
}
USD: Final = "DECIMAL(38,12)"
COLUMNS: Final = [
    ("name", "VARCHAR"),
    *((name, USD if name == "cost_usd" else "BIGINT") for name in FIGURES),
]
COMPARED: Final = [("provider_usd", USD), ("difference_usd", USD)]

# What providers call these columns in the files that they hand out, in lower case.
NAME_COLUMNS: Final = {
    "model": ("model", "model_id", "model_name", "line_item", "sku", "name"),
    "key": ("api_key", "api_key_id", "key", "name"),
    "user": ("user", "user_id", "end_user", "name"),
    "provider": ("provider", "service", "name"),
    "property": ("name", "workspace", "project", "project_name", "tag"),
}
COST_COLUMNS: Final = (
    "cost_usd", "amount_value", "cost", "amount", "usd", "total_cost", "spend", "cost_in_usd",
)  # fmt: skip
# "-$1,234.50", "1.5e-05". A comma parts thousands: "1,50" is none of theirs, and would be 150.
AMOUNT: Final = re.compile(
    r"([-+]?)\$?([-+]?(?:\d{1,3}(?:,\d{3})+|\d+)?(?:\.\d*)?(?:[eE][-+]?\d+)?)"
)
TIME_COLUMNS: Final = ("usage_date_utc", "start_time_iso", "date", "day", "usage_date", "timestamp")


@dataclass(frozen=True, slots=True)
class Month:
    """From its first moment to that of the next one."""

    name: str
    start: datetime
    end: datetime


def month_of(text: str, now: datetime) -> Month:
    """`2026-10`; nothing is the month that runs. Raises Refusal 400."""
    wanted = text or now.astimezone(UTC).strftime("%Y-%m")
    try:
        start = datetime.strptime(wanted, "%Y-%m").replace(tzinfo=UTC)
        end = start.replace(year=start.year + start.month // 12, month=start.month % 12 + 1)
    except ValueError:
        raise Refusal(
            400, "bad_month", f'--month "{text}" is no month: write it as 2026-10'
        ) from None
    return Month(start.strftime("%Y-%m"), start, end)


def statement(month: Month, by: str, organization_id: str = "") -> str:
    """Rows of COLUMNS, the most costly first. Raises Refusal 400 for another `by`."""
    figures = ", ".join(f"{sql} AS {name}" for name, sql in FIGURES.items())
    where = [
        metric.IS_CALL,
        f"r.request_created_at >= TIMESTAMP '{month.start:%Y-%m-%d}'",
        f"r.request_created_at < TIMESTAMP '{month.end:%Y-%m-%d}'",
    ]
    if organization_id:
        where.append(f"r.organization_id = UUID {_quoted(organization_id)}")
    return (
        f"SELECT coalesce(nullif({_group(by)}, ''), '{NOTHING}') AS name, {figures}"
        f" FROM requests AS r WHERE {' AND '.join(where)} GROUP BY 1 ORDER BY cost_usd DESC, name"
    )


def _group(by: str) -> str:
    kind, _, name = by.partition(":")
    if kind == "property" and 0 < len(name) <= NAME_CHARACTERS_MAX and name.isprintable():
        # Header names arrive in lower case (proxy.md 2.2); logs keep theirs.
        spellings = dict.fromkeys((name, name.lower()))
        found = (f"map_extract_value(r.properties, {_quoted(one)})" for one in spellings)
        return f"coalesce({', '.join(found)})"
    if by in BY:
        return BY[by]
    allowed = ", ".join([*BY, "property:NAME"])
    raise Refusal(400, "bad_group", f'--by "{by}" is not known: allowed is {allowed}')


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def row_of(values: Sequence[Any]) -> list[Any]:
    """As `statement` gave it, whole numbers and Decimal."""
    name, *counts, cost = values
    return [str(name), *(int(count) for count in counts), Decimal(str(cost))]


def total(rows: Iterable[Sequence[Any]], name: str = TOTAL) -> list[Any]:
    """The sum of all."""
    sums: list[Any] = [0] * (len(COLUMNS) - 1)
    sums[-1] = Decimal(0)
    for row in rows:
        sums = [one + more for one, more in zip(sums, row[1 : len(COLUMNS)], strict=True)]
    return [name, *sums]


@dataclass(slots=True)
class Billed:
    """USD by name, and how many lines were counted though their time cannot be read."""

    usd: dict[str, Decimal] = field(default_factory=dict)
    undated: int = 0


def billed(
    rows: Iterable[Mapping[str, str | None]], by: str, month: Month, name: str, cost: str
) -> Billed:
    """The lines of a provider's file that are of this month. `name` and `cost` say which columns
    these are; "" finds them. Names that differ in case alone are one. Raises Refusal 400."""
    found = Billed()
    spelt: dict[str, str] = {}
    columns: tuple[str, str, str] | None = None
    for number, row in enumerate(rows, start=2):  # as an editor counts, behind the heading
        columns = columns or _columns(list(row), by, name, cost)
        name_column, cost_column, time_column = columns
        within = _is_within(row.get(time_column), month) if time_column else True
        if within is False:
            continue
        found.undated += within is None
        amount = _amount(row.get(cost_column), number, cost_column)
        group = row.get(name_column) or ""
        if by == "model":  # OpenAI's lines read "gpt-4o-2024-08-06, input"
            group = group.partition(", ")[0]
        group = group.strip() or NOTHING
        group = spelt.setdefault(group.lower(), group)
        found.usd[group] = found.usd.get(group, Decimal(0)) + amount
    if columns is None:
        raise Refusal(400, "bad_file", "--compare: there is no line behind the heading")
    return found


def _columns(given: list[str], by: str, name: str, cost: str) -> tuple[str, str, str]:
    known = {(one or "").strip().lower().replace(" ", "_"): one for one in given}

    def pick(option: str, wanted: str, usual: Iterable[str]) -> str:
        for one in (wanted,) if wanted else usual:
            if (column := known.get(one.strip().lower().replace(" ", "_"))) is not None:
                return column
        there = ", ".join(str(one)[:NAME_SHOWN] for one in given[:20])
        raise Refusal(
            400, "bad_file", f"--compare: say with {option} which column it is; there are: {there}"
        )

    kind = by.partition(":")[0]
    return (
        pick("--name-column", name, NAME_COLUMNS[kind]),
        pick("--cost-column", cost, COST_COLUMNS),
        next((known[one] for one in TIME_COLUMNS if one in known), ""),
    )


def _is_within(text: str | None, month: Month) -> bool | None:
    """None for a time that cannot be read: its line counts, leaving it out would hide money."""
    words = (text or "").strip()
    try:
        if words.isdecimal() and len(words) in (10, 13):  # seconds or milliseconds since 1970
            moment = datetime.fromtimestamp(int(words[:10]), UTC)
        elif len(words) == len("2026-10"):
            moment = datetime.strptime(words, "%Y-%m")
        else:
            moment = datetime.fromisoformat(words)
    except ValueError:
        return None
    return month.start <= moment.replace(tzinfo=moment.tzinfo or UTC) < month.end


def _amount(text: str | None, line: int, column: str) -> Decimal:
    """Nothing is 0. Raises Refusal 400."""
    words = (text or "").strip()
    found = AMOUNT.fullmatch(words)
    try:
        if found is None:
            raise ValueError("no amount")
        return decimal_of((found[1] + found[2].replace(",", "")) if found[2] else "0")
    except ValueError:
        raise Refusal(
            400, "bad_file",
            f'--compare: line {line}: {column} "{words[:NAME_SHOWN]}" is no amount such as 1234.50',
        ) from None  # fmt: skip


def beside(
    rows: Iterable[Sequence[Any]],
    billed: Mapping[str, Decimal],
    also: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> list[list[Any]]:
    """Each row with what the provider says and what we have more than it; then what it alone has.
    Names are compared without regard to case; `also` has further ones of a row."""
    left = dict(billed)
    keys = {name.lower(): name for name in billed}
    found = []
    for row in rows:
        names = (keys.get(name.lower()) for name in (str(row[0]), *also.get(str(row[0]), ())))
        theirs = next((left.pop(name) for name in names if name in left), Decimal(0))
        found.append([*row, theirs, row[-1] - theirs])
    nothing = [0] * (len(COLUMNS) - 2)
    for name, theirs in sorted(left.items(), key=lambda item: (-item[1], item[0])):
        found.append([name, *nothing, Decimal(0), theirs, -theirs])
    return found
