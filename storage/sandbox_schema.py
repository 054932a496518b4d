"""What is said of the tables that user SQL may ask: their columns with types, and what they are.

The tables themselves are made in `storage.sandbox_tables`; a test holds the two together.
"""

from typing import Final, NamedTuple

from storage.rows import ATTEMPT_TYPE, TABLES
from storage.sandbox_tables import RMT, RMT_COLUMNS
from storage.schema import INTERNAL


class Shown(NamedTuple):
    """A column: its DuckDB type, and a word where the name does not say it all."""

    name: str
    kind: str
    comment: str = ""


class ShownTable(NamedTuple):
    name: str
    description: str
    columns: tuple[Shown, ...]


_COMMENTS: Final = {
    "exchange_id": "the appliance's own id of the call: joins requests and bodies",
    "request_id": "as the client said it, or made here; need not be unique",
    "request_created_at": "UTC",
    "response_created_at": "UTC",
    "recorded_at": "UTC; when it was recorded here",
    "provider": "as Helicone names it: OPENAI",
    "gateway_provider": "the provider's id in the gateway",
    "model": "the model that counts: overridden, answered or asked for",
    "request_model": "the model that was asked for",
    "response_model": "the model that the answer names",
    "status": "HTTP status; -3 is a reply given up",
    "http_status": "as the provider sent it",
    "outcome": "how it ended: complete, client_gone, cut, stalled, malformed, …",
    "latency_ms": "milliseconds",
    "time_to_first_token_ms": "milliseconds; of streams",
    "prompt_tokens": "without cached and written tokens",
    "completion_tokens": "without reasoning tokens",
    "usage_source": "who counted the tokens",
    "usage_detail": "all that was said of usage, as JSON",
    "price_source": "whose price it was",
    "properties": "properties['team']",
    "api_key_id": "the id of the Helicone key",
    "truncated": "whether more was said than is kept",
    "request_bytes": "bytes",
    "response_bytes": "bytes",
    "attempts": "what was called, in order; unnest(attempts) gives a row each",
    "not_applied": "what was asked for and not done",
    "cache_enabled": "whether an answer from the cache was wanted",
    "cache_reference_id": "the request whose answer it was",
    "cached_exchange_id": "the call whose answer it was",
    "saved_latency_ms": "milliseconds that the cache saved",
    "threat": "what the guard said; NULL where it was not asked",
    "source": "how it came: log, otlp or import; NULL through the proxy",
    "step": "what it was, if no model's call: tool, vector_db, …",
    "trace_id": "of OpenTelemetry, hexadecimal",
    "span_id": "of OpenTelemetry, hexadecimal",
    "parent_span_id": "of OpenTelemetry, hexadecimal",
    "derive_error": "why it could not be read as what it is",
    "cost_usd": "USD; NULL where no price is known",
    "saved_cost_usd": "USD that the cache saved",
    "total_tokens": "prompt_tokens + completion_tokens + reasoning_tokens",
    "scores": "scores['accuracy']",
    "feedback": "true is a thumb up",
    "feedback_at": "UTC",
    "boolean_scores": "names of scores that were given as true or false",
    "recorded_cost_usd": "USD as first recorded; another than cost_usd where it was corrected",
    "repriced_at": "UTC; when reprice corrected the cost last",
    "request": "the body as text; base64 where its type ends with ;base64",
    "response": "the body as text; base64 where its type ends with ;base64",
    "request_type": "Content-Type of the body",
    "response_type": "Content-Type of the body",
    "prompt_template": "template, inputs and autoInputs of a prompt with tags, as JSON",
}
# What the view makes of the stored columns.
_MADE: Final = (
    ("cost_usd", "DECIMAL(38,12)"),
    ("saved_cost_usd", "DECIMAL(38,12)"),
    ("total_tokens", "BIGINT"),
    ("scores", "MAP(VARCHAR, DOUBLE)"),
    ("feedback", "BOOLEAN"),
    ("feedback_at", "TIMESTAMP"),
    ("boolean_scores", "VARCHAR[]"),
    ("recorded_cost_usd", "DECIMAL(38,12)"),
    ("repriced_at", "TIMESTAMP"),
)
_CHANGED: Final = {
    "attempts": ATTEMPT_TYPE.replace("cost_pico BIGINT", "cost_usd DECIMAL(38,12)"),
}


def _shown(table: str, made: tuple[tuple[str, str], ...] = ()) -> tuple[Shown, ...]:
    columns = (*TABLES[table], *made)
    return tuple(
        Shown(name, _CHANGED.get(name, kind), _COMMENTS.get(name, ""))
        for name, kind in columns
        if name not in INTERNAL and name != "organization_id"
    )


SHOWN_TABLES: Final = (
    ShownTable(
        RMT,
        "Helicone's table: a row for each call, with its bodies",
        tuple(Shown(column.name, column.kind, column.comment) for column in RMT_COLUMNS),
    ),
    ShownTable("requests", "A row for each call and step, with all that is known of it",
               _shown("requests", _MADE)),
    ShownTable("bodies", "What was said: a row for each call, by exchange_id", _shown("bodies")),
)  # fmt: skip
