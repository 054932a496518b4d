"""The body of a request query becomes SQL: filter, sort, offset and limit (`backend.md 2`).

Pure. The organisation is always part of the condition; no other's rows can come out.
"""
# ruff: noqa: S608 - text is put together from constants of ours; what was sent is a parameter

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple
from uuid import UUID

from appliance.api.assets import ASSET_COUNT
from appliance.api.cursors import decode_cursor
from appliance.api.filter_fields import CACHED, REQUEST_TABLES
from appliance.api.incoming import flag, integer, invalid
from appliance.api.request_rows import COLUMNS
from appliance.core.filters import Parameters, compile_filter
from storage.manifest import Span
from storage.schema import STORE

LIMIT_DEFAULT: Final = 10
LIMIT_MAX: Final = 1000
OFFSET_MAX: Final = 1_000_000_000
PROPERTY_NAME_CHARACTERS_MAX: Final = 1000
SORT_TEXT_CHARACTERS: Final = 1000

# The first of these that is there wins, in this order.
SORT_KEYS: Final = {
    "created_at": "r.request_created_at",
    "latency": "r.latency_ms",
    "total_tokens": "r.total_tokens",
    "completion_tokens": "r.completion_tokens",
    "prompt_tokens": "r.prompt_tokens",
    "time_to_first_token": "r.time_to_first_token_ms",
    "cost": "r.cost_usd",
    "user_id": "r.user_id",
    "body_model": "r.model",
    "is_cached": CACHED,
    "request_prompt": "t.request",
    "response_text": "t.response",
}
# Rows are read from the newest back: a short look and one for ever do. Of bodies each look reads
# what none before it has read.
LOOK_DAYS: Final = 1
TEXT_LOOK_DAYS: Final = (1, 8)
NEWEST_FIRST: Final = "r.request_created_at DESC, r.exchange_id DESC"
OLDEST_FIRST: Final = "r.request_created_at ASC, r.exchange_id ASC"
TEXTS: Final = (
    f" LEFT JOIN (SELECT exchange_id, left(request, {SORT_TEXT_CHARACTERS}) AS request,"
    f" left(response, {SORT_TEXT_CHARACTERS}) AS response FROM bodies) AS t"
    " ON t.exchange_id = r.exchange_id"
)

# Before a statement: what it calls `bodies` are those with such ids. Row groups without any are
# skipped: of the whole lake a look of a day is a small part.
BODIES_WITHIN: Final = (
    f"WITH bodies AS NOT MATERIALIZED (SELECT * FROM {STORE}.bodies"
    " WHERE exchange_id BETWEEN {first} AND {last}) "
)

# Columns that edits change.
COST: Final = "r.cost_usd"
EDITED: Final = ("r.properties", "r.scores", "r.boolean_scores", "r.feedback")

Statement = tuple[str, list[Any]]
Ids = tuple[UUID, UUID]
EPOCH: Final = datetime(1970, 1, 1)  # as the store has its times: UTC, without saying so
FAR_OFF_US: Final = 2**63 - 1


class Look(NamedTuple):
    """From when on, and before when, to look for rows of a page; None is open."""

    since: datetime | None = None
    until: datetime | None = None

    @property
    def created(self) -> Span | None:
        """The same in µs, for the store; None where it is about all there is. So is one without a
        begin: rows without a time are found by it, and may be in any file."""
        if self.since is None:
            return None
        return _us(self.since), FAR_OFF_US if self.until is None else _us(self.until)


EVER: Final = Look()


def list_statement(
    body: dict[str, Any], org: bytes, look: Look = EVER, *, within: Ids | None = None
) -> Statement:
    """The exchanges of one page and when they were created, in its order; of those of a look, where
    one is given. Whole rows are read for these alone: to sort a million of them with all their
    columns takes more memory than a reader has. `within`: the first and the last id of which bodies
    are read. Raises Refusal 422."""
    parameters = Parameters()
    where = _where(body, org, parameters)
    order = _order(body.get("sort"), parameters)
    where += _place(body, order, look, parameters)
    limit = limit_of(body)
    offset = integer(body, "offset", 0, OFFSET_MAX)
    join = TEXTS if order.startswith("t.") else ""
    few = ""
    if within is not None:
        first, last = (f"CAST({parameters.add(str(one))} AS UUID)" for one in within)
        # Also of rows: of one that came meanwhile the bodies would not be read.
        where += f" AND r.exchange_id BETWEEN {first} AND {last}"
        few = BODIES_WITHIN.format(first=first, last=last)
    return (
        f"{few}SELECT r.exchange_id, r.request_created_at"
        f" FROM {ids_source_of(where, order)}{join} WHERE {where}"
        f" ORDER BY {order} LIMIT {limit:d} OFFSET {offset:d}",
        parameters.values,
    )


def within_statement(body: dict[str, Any], org: bytes, look: Look) -> Statement:
    """The first and the last id of all that `list_statement` can find in a look, whatever is in
    their bodies. Raises Refusal 422."""
    parameters = Parameters()
    where = _where(body, org, parameters, bodies=False)
    where += _place(body, _order(body.get("sort"), Parameters()), look, parameters)
    return (
        f"SELECT min(r.exchange_id), max(r.exchange_id) FROM {ids_source_of(where)} WHERE {where}",
        parameters.values,
    )


def created_of(ids: Iterable[Sequence[Any]]) -> Span | None:
    """When rows of `list_statement` were created, in µs. None: of some nobody knows."""
    times = [created for _, created in ids]
    return None if None in times or not times else (_us(min(times)), _us(max(times)))


def _us(time: datetime) -> int:
    return (time - EPOCH) // timedelta(microseconds=1)


def asks_for_bodies(body: dict[str, Any], org: bytes) -> bool:
    """Whether its filter can only be answered by reading them. Raises Refusal 422."""
    return "FROM bodies" in _where(body, org, Parameters())


def limit_of(body: dict[str, Any]) -> int:
    """How many rows a page has. Raises Refusal 422."""
    return integer(body, "limit", LIMIT_DEFAULT, LIMIT_MAX)


def looks(body: dict[str, Any], now: datetime) -> Iterator[Look]:
    """Where to look for a page, one look after the other until one fills it. Where
    the newest come first, what a short look finds is what comes first of all, and most pages are
    full of what is new: that is a thirtieth of a month's rows to read."""
    if not body.get("cursor") and _order(body.get("sort"), Parameters()) == NEWEST_FIRST:
        yield Look(now - timedelta(days=LOOK_DAYS))
    yield EVER


def text_looks(body: dict[str, Any], now: datetime) -> Iterator[Look]:
    """Where to look for the rows of a page whose bodies are to be read, one look after the other
    until it is full. None goes over the ground of another: bodies are what takes the time."""
    if body.get("offset") or _order(body.get("sort"), Parameters()) != NEWEST_FIRST:
        yield EVER
        return
    until = None
    newest = decode_cursor(body["cursor"]).created_at if body.get("cursor") else now
    for days in TEXT_LOOK_DAYS:
        with suppress(OverflowError):  # a cursor of the year 1
            since = newest - timedelta(days=days)
            yield Look(since, until)
            until = since
    yield Look(None, until)


def rows_statement(exchange_ids: list[str], columns: Sequence[str] = COLUMNS) -> Statement:
    """Their rows, in no order; the bounds let row groups without any of them be skipped."""
    return (
        f"SELECT {', '.join(f'r.{name}' for name in columns)} FROM requests AS r"
        " WHERE r.exchange_id IN $1::UUID[]"
        " AND r.exchange_id BETWEEN CAST($2 AS UUID) AND CAST($3 AS UUID)",
        [exchange_ids, min(exchange_ids), max(exchange_ids)],
    )


def source_of(*parts: str) -> str:
    """What to select from where these parts of a statement say all that it asks of a row but for
    its cost: the join with edits costs every query that has no use for it."""
    if any(name in part for part in parts for name in EDITED):
        return "requests AS r"
    return "costed_requests AS r"


def ids_source_of(*parts: str) -> str:
    """The same for whoever asks for nothing beside these parts: costs too may have been corrected,
    all of them."""
    if any(name in part for part in parts for name in (*EDITED, COST)):
        return source_of(*parts)
    return "oldest_requests AS r" if OLDEST_FIRST in parts else "unedited_requests AS r"


def has_cursor(body: dict[str, Any]) -> bool:
    """Whether the list is in an order that a cursor can go on in: that of time."""
    order = _order(body.get("sort"), Parameters())
    return order in (NEWEST_FIRST, OLDEST_FIRST)


def _after(body: dict[str, Any], order: str, parameters: Parameters) -> str:
    """Rows behind the cursor's. The bound on the time alone lets whole row groups be skipped."""
    if order not in (NEWEST_FIRST, OLDEST_FIRST):
        invalid("cursor", "goes with sort.created_at alone; use offset with other orders")
    if body.get("offset"):
        invalid("offset", "a cursor says where to go on; leave it out")
    place = decode_cursor(body["cursor"])
    sign = "<" if order == NEWEST_FIRST else ">"
    at = f"CAST({parameters.add(place.created_at)} AS TIMESTAMP)"
    behind = f"CAST({parameters.add(place.exchange_id.hex())} AS UUID)"
    return (
        f"r.request_created_at {sign}= {at}"
        f" AND (r.request_created_at {sign} {at} OR r.exchange_id {sign} {behind})"
    )


def count_statement(body: dict[str, Any], org: bytes) -> Statement:
    """How many rows the same filter finds. Raises Refusal 422."""
    parameters = Parameters()
    where = _where(body, org, parameters)
    return f"SELECT count(*) FROM {ids_source_of(where)} WHERE {where}", parameters.values


def one_statement(request_id: str, org: bytes) -> Statement:
    """The newest exchange that was given this id."""
    return (
        f"SELECT {_columns()} FROM requests AS r WHERE r.organization_id = CAST($1 AS UUID)"
        f" AND r.request_id = CAST($2 AS UUID) ORDER BY {NEWEST_FIRST} LIMIT 1",
        [org.hex(), request_id],
    )


def many_statement(request_ids: list[str], org: bytes) -> Statement:
    """The newest exchange of each of these ids, the newest first."""
    return (
        f"SELECT {_columns()} FROM requests AS r WHERE r.organization_id = CAST($1 AS UUID)"
        " AND r.request_id IN $2::UUID[] QUALIFY row_number() OVER"
        f" (PARTITION BY r.request_id ORDER BY {NEWEST_FIRST}) = 1 ORDER BY {NEWEST_FIRST}",
        [org.hex(), request_ids],
    )


def small_bodies_statement(exchange_ids: list[str], bytes_max: int) -> Statement:
    """Bodies of those of these exchanges that have no more than their share of what fits."""
    return (
        f"SELECT exchange_id, request, response, request_type, response_type, {ASSET_COUNT}"
        " FROM bodies WHERE exchange_id IN $1::UUID[] AND exchange_id BETWEEN CAST($2 AS UUID)"
        " AND CAST($3 AS UUID)"
        " AND coalesce(strlen(request), 0) + coalesce(strlen(response), 0) <= $4",
        [exchange_ids, min(exchange_ids), max(exchange_ids), bytes_max // len(exchange_ids)],
    )


def bodies_statement(exchange_ids: list[str], bytes_max: int) -> Statement:
    """Bodies of these exchanges, the newest first, as many as fit. Sizes are added up first: what
    does not fit is never read as a whole."""
    return (
        "WITH sizes AS (SELECT exchange_id, coalesce(strlen(request), 0)"
        " + coalesce(strlen(response), 0) AS bytes FROM bodies"
        " WHERE exchange_id IN $1::UUID[] AND exchange_id BETWEEN CAST($2 AS UUID)"
        " AND CAST($3 AS UUID)),"
        " fitting AS (SELECT exchange_id FROM (SELECT exchange_id,"
        " sum(bytes) OVER (ORDER BY exchange_id DESC) AS bytes FROM sizes) WHERE bytes <= $4)"
        f" SELECT exchange_id, request, response, request_type, response_type, {ASSET_COUNT}"
        " FROM bodies WHERE exchange_id IN (FROM fitting) AND exchange_id BETWEEN CAST($2 AS UUID)"
        " AND CAST($3 AS UUID)",
        [exchange_ids, min(exchange_ids), max(exchange_ids), bytes_max],
    )


def _place(body: dict[str, Any], order: str, look: Look, parameters: Parameters) -> str:
    """Conditions on the time: of the cursor, and of the look. A row without a time is behind all
    others, so in the look that has no begin."""
    found = ""
    if body.get("cursor"):
        found += f" AND {_after(body, order, parameters)}"
    if look.since is not None:
        found += f" AND r.request_created_at >= CAST({parameters.add(look.since)} AS TIMESTAMP)"
    if look.until is not None:
        until = f"r.request_created_at < CAST({parameters.add(look.until)} AS TIMESTAMP)"
        timeless = "" if look.since else " OR r.request_created_at IS NULL"
        found += f" AND ({until}{timeless})"
    return found


def _columns() -> str:
    return ", ".join(f"r.{name}" for name in COLUMNS)


def _where(body: dict[str, Any], org: bytes, parameters: Parameters, *, bodies: bool = True) -> str:
    if "filter" not in body:
        invalid("filter", 'is required; "all" finds every request')
    parts = [
        f"r.organization_id = CAST({parameters.add(org.hex())} AS UUID)",
        compile_filter(body["filter"], REQUEST_TABLES, parameters, bodies=bodies),
    ]
    scored = flag(body, "isScored")
    if scored is not None:
        parts.append(f"cardinality(r.scores) {'>' if scored else '='} 0")
    # false is what clients send when they mean nothing by it
    if flag(body, "isCached"):
        parts.append(CACHED)
    return " AND ".join(parts)


def _order(sort: Any, parameters: Parameters) -> str:  # noqa: ANN401 - JSON of a stranger
    """Keys that are unknown here leave the newest first (`backend.md 2.6`)."""
    if sort is None:
        return NEWEST_FIRST
    if not isinstance(sort, dict):
        invalid("sort", "expected an object")
    if sort.get("random") is True:
        return "random()"
    for key, sql in SORT_KEYS.items():
        if key in sort:
            direction = _direction(sort[key], f"sort.{key}")
            if key == "created_at":
                return OLDEST_FIRST if direction == "ASC" else NEWEST_FIRST
            return f"{sql} {direction} NULLS LAST, {NEWEST_FIRST}"
    properties = sort.get("properties")
    if properties is None:
        return NEWEST_FIRST
    if not isinstance(properties, dict) or len(properties) != 1:
        invalid("sort.properties", "expected an object with one name")
    (name, value), *_ = properties.items()
    if len(name) > PROPERTY_NAME_CHARACTERS_MAX:
        invalid("sort.properties", f"a name longer than {PROPERTY_NAME_CHARACTERS_MAX} characters")
    direction = _direction(value, "sort.properties")
    column = f"map_extract_value(r.properties, {parameters.add(name)})"
    return f"{column} {direction} NULLS LAST, {NEWEST_FIRST}"


def _direction(value: Any, field: str) -> str:  # noqa: ANN401 - JSON of a stranger
    if value not in ("asc", "desc"):
        invalid(field, 'expected "asc" or "desc"')
    return str(value).upper()
