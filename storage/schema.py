"""The SQL of the analytics database: its tables, and the views that span hot rows and the lake.

Only text is made here; nothing is executed. Catalog `store` is written to; with read-only media
`base` is the file and `store` an overlay in memory.
"""
# ruff: noqa: S608 - every name put into SQL here is a constant of ours

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from storage.manifest import LakeView, Span
from storage.rows import TABLES

STORE, BASE = "store", "base"

# Where a frame lies is ours to know; cost_pico shows as cost_usd.
INTERNAL = frozenset(("segment", "frame_offset", "cost_pico", "saved_cost_pico"))

# `superseded`: rows of the lake (or of `base`) older than this place were replaced by a hot one.
# `hidden`: deleted ids whose rows the lake still holds until it is rewritten.
_OWN_TABLES = {
    "ingest_state": "segment INTEGER, frame_offset BIGINT, lake_generation BIGINT",
    "superseded": "exchange_id UUID, segment INTEGER, frame_offset BIGINT",
    "hidden": "exchange_id UUID",
}

# Hot bodies stay for an hour or so: compressing them at each checkpoint would double what a row
# costs (37 µs against 17 for two bodies of 1 KB), and the lake compresses them for good.
_STORED_AS = dict.fromkeys(
    (("bodies", "request"), ("bodies", "response")), " USING COMPRESSION uncompressed"
)


def hot(table: str, catalog: str = STORE) -> str:
    return f"{catalog}.hot_{table}"


def create_tables(catalog: str = STORE) -> Iterator[str]:
    for table, columns in TABLES.items():
        shape = ", ".join(
            f"{name} {kind}{_STORED_AS.get((table, name), '')}" for name, kind in columns
        )
        yield f"CREATE TABLE IF NOT EXISTS {hot(table, catalog)} ({shape})"
        for name, kind in columns:
            yield f"ALTER TABLE {hot(table, catalog)} ADD COLUMN IF NOT EXISTS {name} {kind}"
    for name, shape in _OWN_TABLES.items():
        yield f"CREATE TABLE IF NOT EXISTS {catalog}.{name} ({shape})"


@dataclass(frozen=True)
class ViewState:
    """What the views depend on. Joins stay out of them until there is something to join:
    a group-by over a million rows should not pay for scores that nobody gave."""

    lake: LakeView | None = None
    overlay: bool = False
    edited: bool = False  # scores, feedback, properties
    repriced: bool = False  # costs
    superseded: bool = False
    hidden: bool = False
    oldest_first: bool = False


def create_views(state: ViewState) -> Iterator[str]:
    for name, select in _VIEWS.items():
        yield f"CREATE OR REPLACE VIEW {STORE}.{name} AS {select(state)}"


def narrowed(state: ViewState, sql: str, created: Span) -> str:
    """The same statement over those files alone whose exchanges may have been created in a span:
    what it selects from a view it selects from the view's own words. Most of what a statement for a
    page costs is to look into each file, and planning for all of them. In place of the name, since
    DuckDB takes twice as long to plan what a CTE says. What names a view as `store.…`, or one that
    it defines itself, reads all files."""
    if state.lake is None:
        return sql
    few = replace(state, lake=state.lake.within(created))

    def said(found: re.Match[str]) -> str:
        select = _VIEWS.get(found["name"])
        if select is None or sql.startswith(f"WITH {found['name']} AS "):
            return found[0]
        return f"FROM ({select(few)}) AS {found['alias'] or found['name']}"

    return _FROM.sub(said, sql)


_FROM: Final = re.compile(r"\bFROM (?P<name>[a-z_]+)\b(?!\.)(?: AS (?P<alias>[a-z_]+))?")


def everything(state: ViewState, table: str, columns: Sequence[str]) -> str:
    """Hot and cold rows of `table` as one SELECT, the replaced and deleted ones left out."""
    names = ", ".join(columns)
    parts = [f"SELECT {names} FROM {hot(table)}"]
    conditions = _conditions(state) if table in ("requests", "bodies") else []
    if state.overlay:
        # A roll may not have been shown to a database that nobody can write to now.
        rolled = state.lake.upto_segment if state.lake is not None else 0
        where = _where([f"cold.segment > {rolled:d}", *conditions])
        parts.append(f"SELECT {names} FROM {hot(table, BASE)} AS cold{where}")
    if state.lake is not None and state.lake.files.get(table):
        where = _where(conditions)
        source = state.lake.source(table, oldest_first=state.oldest_first)
        parts.append(f"SELECT {names} FROM ({source}) AS cold{where}")
    return " UNION ALL ".join(parts)


# HMAC-SHA256 of exchange_id as hexadecimal text, of the two pads that `hmac_pads` gives.
KEYED_HASH = (
    "sha256($2::BLOB || unhex(sha256($1::BLOB || unhex(replace(exchange_id::VARCHAR, '-', '')))))"
)


def hmac_pads(key: bytes) -> tuple[bytes, bytes]:
    """The inner and the outer block of HMAC (RFC 2104): DuckDB has the hash but not the HMAC."""
    assert len(key) <= 64
    padded = key.ljust(64, b"\0")
    return bytes(byte ^ 0x36 for byte in padded), bytes(byte ^ 0x5C for byte in padded)


def _where(conditions: Sequence[str]) -> str:
    return " WHERE " + " AND ".join(conditions) if conditions else ""


def _conditions(state: ViewState) -> list[str]:
    found = []
    if state.superseded:
        found.append(
            f"NOT EXISTS (FROM {STORE}.superseded AS newer"
            " WHERE newer.exchange_id = cold.exchange_id AND (cold.segment < newer.segment"
            " OR cold.segment = newer.segment AND cold.frame_offset < newer.frame_offset))"
        )
    if state.hidden:
        found.append(f"cold.exchange_id NOT IN (SELECT exchange_id FROM {STORE}.hidden)")
    return found


def _names(table: str) -> list[str]:
    return [name for name, _ in TABLES[table]]


# BIGINT * 10^-12 within 38 digits: exact, never a float.
_USD = "CAST({} AS DECIMAL(26,0)) * CAST('0.000000000001' AS DECIMAL(12,12))"

_ATTEMPTS = (
    "list_transform(r.attempts, lambda a: struct_pack(target := a.target, provider := a.provider,"
    " model := a.model, status := a.status, started_at := a.started_at,"
    f" latency_ms := a.latency_ms, cost_usd := {_USD.format('a.cost_pico')},"
    " why_next := a.why_next))"
)

# Of a correction's text (`storage.rows`). One that cannot be read changes no cost.
_PRICED = "CASE WHEN p.cost_pico IS NULL THEN r.{1} ELSE split_part(p.price, ' ', {0}) END"

_MERGED_PROPERTIES = (
    "CASE WHEN e.properties IS NULL AND e.removed IS NULL THEN r.properties ELSE"
    " map_from_entries(list_filter(map_entries(map_concat(r.properties, e.properties)),"
    " lambda p: NOT coalesce(list_contains(e.removed, p.key), false))) END"
)

_TOTAL = (
    "coalesce(r.prompt_tokens, 0) + coalesce(r.completion_tokens, 0)"
    " + coalesce(r.reasoning_tokens, 0)"
)


def _requests(state: ViewState) -> str:
    changed = {
        "attempts": _ATTEMPTS,
        "properties": _MERGED_PROPERTIES if state.edited else "r.properties",
        **({"price_source": _PRICED.format(2, "price_source"),
            "price_version": _PRICED.format(3, "price_version")} if state.repriced else {}),
    }  # fmt: skip
    cost = "coalesce(p.cost_pico, r.cost_pico)" if state.repriced else "r.cost_pico"
    shown = [
        f"{changed.get(name, 'r.' + name)} AS {name}"
        for name in _names("requests")
        if name not in INTERNAL
    ]
    shown += [
        f"{_USD.format(cost)} AS cost_usd",
        f"{_USD.format('r.saved_cost_pico')} AS saved_cost_usd",
        f"{_TOTAL} AS total_tokens",
        ("coalesce(e.scores, MAP {})" if state.edited else "MAP {}")
        + "::MAP(VARCHAR, DOUBLE) AS scores",
        ("e.feedback" if state.edited else "NULL::BOOLEAN") + " AS feedback",
        ("e.feedback_at" if state.edited else "NULL::TIMESTAMP") + " AS feedback_at",
        ("e.boolean_scores" if state.edited else "NULL::VARCHAR[]") + " AS boolean_scores",
        f"{_USD.format('r.cost_pico')} AS recorded_cost_usd",
        ("p.repriced_at" if state.repriced else "NULL::TIMESTAMP") + " AS repriced_at",
    ]
    rows = everything(state, "requests", _names("requests"))
    join = f" LEFT JOIN ({_edited(state)}) AS e USING (exchange_id)" if state.edited else ""
    if state.repriced:
        join += f" LEFT JOIN ({_corrected(state)}) AS p USING (exchange_id)"
    return f"SELECT {', '.join(shown)} FROM ({rows}) AS r{join}"


def _edited(state: ViewState) -> str:
    """One row per edited exchange: the newest edit of each name counts, NULL takes it away. The
    newest is the last in the journal: the clock may have stepped back between two starts."""
    edits = everything(state, "edits", _names("edits"))
    newest = (
        "SELECT exchange_id, kind, name,"
        " arg_max(struct_pack(t := text, n := number, at := edited_at),"
        " struct_pack(b := segment, c := frame_offset)) AS value"
        f" FROM ({edits}) WHERE exchange_id IS NOT NULL AND kind <> 'cost' GROUP BY ALL"
    )
    return (
        "SELECT exchange_id,"
        " map_from_entries(list(struct_pack(k := name, v := value.n))"
        " FILTER (kind = 'score' AND value.n IS NOT NULL)) AS scores,"
        " map_from_entries(list(struct_pack(k := name, v := value.t))"
        " FILTER (kind = 'property' AND value.t IS NOT NULL)) AS properties,"
        " list(name) FILTER (kind = 'property' AND value.t IS NULL) AS removed,"
        " any_value(value.n <> 0) FILTER (kind = 'feedback') AS feedback,"
        " any_value(value.at) FILTER (kind = 'feedback') AS feedback_at,"
        " list(name) FILTER (kind = 'score' AND value.t = 'boolean') AS boolean_scores"
        f" FROM ({newest}) GROUP BY exchange_id"
    )


def _corrected(state: ViewState) -> str:
    """One row per exchange whose cost was corrected: the newest correction counts. Apart from
    `_edited`, as there may be one for every call: a sum over a million corrected calls takes 0.6 s,
    and twice as long where the order is a struct. No two of one call have the same time."""
    edits = everything(state, "edits", _names("edits"))
    return (
        "SELECT exchange_id, max(edited_at) AS repriced_at, arg_max(text, edited_at) AS price,"
        " arg_max(try_cast(split_part(text, ' ', 1) AS BIGINT), edited_at) AS cost_pico"
        f" FROM ({edits}) WHERE kind = 'cost' AND exchange_id IS NOT NULL GROUP BY exchange_id"
    )


def _bodies(state: ViewState) -> str:
    rows = everything(state, "bodies", _names("bodies"))
    return (
        "SELECT request_id, request, response, request_type, response_type, prompt_template,"
        " exchange_id,"
        f" organization_id FROM ({rows})"
    )


def _frames(state: ViewState) -> str:
    """Where each exchange lies in the journal, for reads of one and for deletion."""
    names = "exchange_id", "request_id", "organization_id", "segment", "frame_offset"
    return everything(state, "requests", names)


_VIEWS: Final[dict[str, Callable[[ViewState], str]]] = {
    "requests": _requests,
    # For whoever asks for nothing that an edit could have changed, and is not to pay for it.
    "unedited_requests": lambda state: _requests(replace(state, edited=False, repriced=False)),
    # The same, for whoever asks for the oldest first.
    "oldest_requests": lambda state: _requests(
        replace(state, edited=False, repriced=False, oldest_first=True)
    ),
    # For whoever asks for costs, but for nothing else that is edited.
    "costed_requests": lambda state: _requests(replace(state, edited=False)),
    "bodies": _bodies,
    "frames": _frames,
}
