"""The tables that user SQL sees: views over hot rows and the lake, of one organisation.

`request_response_rmt` has columns and meanings of Helicone's table of that name (backend.md 4.1)
with the names that its documents use beside them; `requests` and `bodies` are our own. Only text is
made here.
"""
# ruff: noqa: S608 - names and paths put into SQL are ours, an id was parsed as a UUID

import uuid
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from storage.rows import TABLES
from storage.schema import STORE, ViewState, create_views, hot

RMT: Final = "request_response_rmt"
SHOWN: Final = frozenset((RMT, "requests", "bodies"))
BODY_COLUMNS: Final = frozenset(("request_body", "response_body"))
# One of these is asked for with the hot rows only where views read them.
HOT_TABLES: Final = ("requests", "edits")


class Column(NamedTuple):
    name: str
    kind: str
    sql: str
    comment: str = ""


_NO_ID: Final = "00000000-0000-0000-0000-000000000000"
_COST: Final = "CAST(round_even(coalesce(r.cost_usd, 0) * 1000000000, 0) AS UBIGINT)"
_COST_NOTE: Final = (
    "USD times 1,000,000,000, rounded; 0 where no price is known. cost_usd is in USD"
)


def _count(name: str) -> Column:
    return Column(name, "BIGINT", f"coalesce(r.{name}, 0)")


# No columns beyond those and the documents' names: a query may give an expression such a name.
# What ClickHouse keeps as an empty text for "none" is so here: saved queries compare with ''.
RMT_COLUMNS: Final = (
    Column("request_id", "UUID", "r.request_id"),
    Column("request_created_at", "TIMESTAMP", "r.request_created_at", "UTC"),
    Column("response_id", "UUID", "NULL::UUID"),
    Column("response_created_at", "TIMESTAMP", "r.response_created_at", "UTC"),
    Column("updated_at", "TIMESTAMP", "r.recorded_at", "UTC"),
    Column("latency", "BIGINT", "CAST(r.latency_ms AS BIGINT)", "milliseconds"),
    Column("time_to_first_token", "BIGINT", "CAST(r.time_to_first_token_ms AS BIGINT)",
           "milliseconds"),
    Column("status", "BIGINT", "r.status::BIGINT", "HTTP status; -3 is a reply given up"),
    Column("model", "VARCHAR", "coalesce(r.model, '')"),
    Column("request_model", "VARCHAR", "r.request_model", "the model that was asked for"),
    Column("response_model", "VARCHAR", "r.response_model"),
    Column("provider", "VARCHAR", "coalesce(r.provider, '')"),
    Column("user_id", "VARCHAR", "coalesce(r.user_id, '')"),
    Column("prompt_tokens", "BIGINT", "r.prompt_tokens", "without cached and written tokens"),
    Column("completion_tokens", "BIGINT", "r.completion_tokens", "without reasoning tokens"),
    _count("prompt_cache_write_tokens"),
    _count("prompt_cache_read_tokens"),
    _count("prompt_audio_tokens"),
    _count("completion_audio_tokens"),
    _count("reasoning_tokens"),
    Column("total_tokens", "BIGINT", "r.total_tokens",
           "prompt_tokens + completion_tokens + reasoning_tokens"),
    Column("cost", "UBIGINT", _COST, _COST_NOTE),
    Column("cost_usd", "DECIMAL(38,12)", "r.cost_usd", "USD; NULL where no price is known"),
    Column("provider_total_cost", "DECIMAL(38,12)", "r.cost_usd", "the same as cost_usd"),
    Column("properties", "MAP(VARCHAR, VARCHAR)", "r.properties"),
    Column("scores", "MAP(VARCHAR, DOUBLE)", "r.scores"),
    Column("prompt_id", "VARCHAR", "coalesce(r.prompt_id, '')"),
    Column("prompt_version", "VARCHAR", "coalesce(r.prompt_version, '')"),
    Column("request_path", "VARCHAR", "r.request_path"),
    Column("target_url", "VARCHAR", "r.target_url"),
    Column("request_referrer", "VARCHAR", "coalesce(r.request_referrer, '')"),
    Column("country_code", "VARCHAR", "r.country_code"),
    Column("threat", "BOOLEAN", "r.threat"),
    Column("cache_enabled", "BOOLEAN", "coalesce(r.cache_enabled, false)"),
    Column("cache_reference_id", "UUID", f"coalesce(r.cache_reference_id, '{_NO_ID}'::UUID)",
           "all zeros where the answer is not from the cache"),
    Column("proxy_key_id", "UUID", "NULL::UUID"),
    Column("is_passthrough_billing", "BOOLEAN", "false"),
    Column("ai_gateway_body_mapping", "VARCHAR", "''"),
    Column("gateway_endpoint_version", "VARCHAR", "''"),
    Column("assets", "VARCHAR[]", "[]::VARCHAR[]"),
    Column("storage_location", "VARCHAR", "''"),
    Column("size_bytes", "BIGINT", "coalesce(r.request_bytes, 0) + coalesce(r.response_bytes, 0)"),
    Column("request_body", "VARCHAR", "b.request", "as text"),
    Column("response_body", "VARCHAR", "b.response", "as text"),
)  # fmt: skip


def files_view(table: str, paths: Sequence[str]) -> str:
    """A view in place of the hot table: its rows as they were copied into these files."""
    columns = ", ".join(name for name, _ in TABLES[table])
    if not paths:
        columns = ", ".join(f"NULL::{kind} AS {name}" for name, kind in TABLES[table])
        return f"CREATE VIEW {hot(table)} AS SELECT {columns} WHERE false"
    return f"CREATE VIEW {hot(table)} AS SELECT {columns} FROM {read_parquet(paths)}"


def read_parquet(paths: Sequence[str]) -> str:
    """A source of all rows of these files."""
    names = ", ".join("'" + path.replace("'", "''") + "'" for path in paths)
    return f"read_parquet([{names}])"


def create_tables_of(org: str, state: ViewState, *, bodies: bool) -> Iterator[str]:
    """What is shown to this organisation. `OFFSET 0` changes no row and keeps what a query computes
    above it: an expression of theirs is never evaluated on another organisation's row, where it
    could fail and tell by that what stands there."""
    org = str(uuid.UUID(org))
    yield from create_views(state)
    requests = f"(SELECT * FROM {STORE}.requests WHERE organization_id = '{org}' OFFSET 0)"
    texts = f"(SELECT * FROM {STORE}.bodies WHERE organization_id = '{org}' OFFSET 0)"
    columns = ", ".join(
        f"{column.sql} AS {column.name}"
        for column in RMT_COLUMNS
        if bodies or column.name not in BODY_COLUMNS
    )
    source = f"{requests} AS r"
    if bodies:  # what is on the right is held in memory (`sandbox.prepare`): better rows than texts
        source = f"{texts} AS b RIGHT JOIN {source} USING (exchange_id)"
    yield f"CREATE VIEW {RMT} AS SELECT {columns} FROM {source}"
    yield f"CREATE VIEW requests AS SELECT * EXCLUDE (organization_id) FROM {requests}"
    yield f"CREATE VIEW bodies AS SELECT * EXCLUDE (organization_id) FROM {texts}"
