"""The shape of what is stored: the columns of every derived table, in the order rows are built.

Read by name everywhere; a new column is appended and SCHEMA_VERSION raised. Names follow Helicone's
table where it has one (`backend.md 4.1`). Values in a row: a UUID is 16 bytes, a TIMESTAMP an
integer of microseconds since the epoch, a MAP a dict, a STRUCT a dict; other forms cost more.
"""

SCHEMA_VERSION = 3
# Columns that files of an earlier version lack: since which they are there.
ADDED_IN: dict[tuple[str, str], int] = {
    ("requests", "threat"): 2,
    ("bodies", "prompt_template"): 2,
    ("requests", "source"): 3,
    ("requests", "step"): 3,
    ("requests", "trace_id"): 3,
    ("requests", "span_id"): 3,
    ("requests", "parent_span_id"): 3,
}

ATTEMPT_TYPE = (
    "STRUCT(target VARCHAR, provider VARCHAR, model VARCHAR, status INTEGER, "
    "started_at TIMESTAMP, latency_ms DOUBLE, cost_pico BIGINT, why_next VARCHAR)[]"
)

# Times are UTC. Tokens follow `backend.md 5.2`: prompt_tokens is net of cached and written tokens,
# completion_tokens net of reasoning. cost_pico is integer pico-USD, NULL when no price is known.
REQUEST_COLUMNS: tuple[tuple[str, str], ...] = (
    ("exchange_id", "UUID"),
    ("request_id", "UUID"),
    ("organization_id", "UUID"),
    ("request_created_at", "TIMESTAMP"),
    ("response_created_at", "TIMESTAMP"),
    ("recorded_at", "TIMESTAMP"),
    ("provider", "VARCHAR"),
    ("gateway_provider", "VARCHAR"),
    ("model", "VARCHAR"),
    ("request_model", "VARCHAR"),
    ("response_model", "VARCHAR"),
    ("model_override", "VARCHAR"),
    ("status", "INTEGER"),
    ("http_status", "INTEGER"),
    ("outcome", "VARCHAR"),
    ("error", "VARCHAR"),
    ("latency_ms", "DOUBLE"),
    ("time_to_first_token_ms", "DOUBLE"),
    ("prompt_tokens", "BIGINT"),
    ("completion_tokens", "BIGINT"),
    ("prompt_cache_read_tokens", "BIGINT"),
    ("prompt_cache_write_tokens", "BIGINT"),
    ("prompt_cache_write_1h_tokens", "BIGINT"),
    ("prompt_audio_tokens", "BIGINT"),
    ("completion_audio_tokens", "BIGINT"),
    ("reasoning_tokens", "BIGINT"),
    ("usage_detail", "VARCHAR"),
    ("usage_source", "VARCHAR"),
    ("cost_pico", "BIGINT"),
    ("price_source", "VARCHAR"),
    ("price_version", "VARCHAR"),
    ("user_id", "VARCHAR"),
    ("session_id", "VARCHAR"),
    ("session_path", "VARCHAR"),
    ("session_name", "VARCHAR"),
    ("properties", "MAP(VARCHAR, VARCHAR)"),
    ("prompt_id", "VARCHAR"),
    ("prompt_version", "VARCHAR"),
    ("method", "VARCHAR"),
    ("request_path", "VARCHAR"),
    ("target_url", "VARCHAR"),
    ("request_referrer", "VARCHAR"),
    ("country_code", "VARCHAR"),
    ("api_key_id", "VARCHAR"),
    ("is_stream", "BOOLEAN"),
    ("truncated", "BOOLEAN"),
    ("request_bytes", "BIGINT"),
    ("response_bytes", "BIGINT"),
    ("attempts", ATTEMPT_TYPE),
    ("not_applied", "VARCHAR[]"),
    # Of an answer from the cache: whose it was, and what the call that it saved took.
    ("cache_enabled", "BOOLEAN"),
    ("cache_reference_id", "UUID"),
    ("cached_exchange_id", "UUID"),
    ("saved_latency_ms", "DOUBLE"),
    ("saved_cost_pico", "BIGINT"),
    # Whether the guard took the prompt for an attack; NULL where it was not asked.
    ("threat", "BOOLEAN"),
    # How it came: `log`, `otlp` or `import`, NULL for what passed through the proxy; and what it
    # was, if no model's call (`tool`, `vector_db`, `data`, …; NULL for one).
    ("source", "VARCHAR"),
    ("step", "VARCHAR"),
    # Of OpenTelemetry, in lower-case hexadecimal.
    ("trace_id", "VARCHAR"),
    ("span_id", "VARCHAR"),
    ("parent_span_id", "VARCHAR"),
    ("derive_error", "VARCHAR"),
    ("segment", "INTEGER"),
    ("frame_offset", "BIGINT"),
)

# Text where the decoded body is UTF-8, else base64 (the type column then ends in `;base64`).
BODY_COLUMNS: tuple[tuple[str, str], ...] = (
    ("exchange_id", "UUID"),
    ("request_id", "UUID"),
    ("organization_id", "UUID"),
    ("request", "VARCHAR"),
    ("response", "VARCHAR"),
    ("request_type", "VARCHAR"),
    ("response_type", "VARCHAR"),
    # Of a prompt with tags in it: template, inputs and autoInputs as JSON (proxy.md 7.5).
    ("prompt_template", "VARCHAR"),
    ("segment", "INTEGER"),
    ("frame_offset", "BIGINT"),
)

# kind is `score`, `feedback`, `property` or `cost`; a score's value is in number, a property's in
# text. The text of a score that was given as true or false is `boolean`. That of a cost is what a
# call costs by another price list, as pico-USD, price_source and price_version with a blank between
# them: a DOUBLE would not hold it exactly.
EDIT_COLUMNS: tuple[tuple[str, str], ...] = (
    ("organization_id", "UUID"),
    ("exchange_id", "UUID"),
    ("request_id", "UUID"),
    ("kind", "VARCHAR"),
    ("name", "VARCHAR"),
    ("text", "VARCHAR"),
    ("number", "DOUBLE"),
    ("edited_at", "TIMESTAMP"),
    ("segment", "INTEGER"),
    ("frame_offset", "BIGINT"),
)

# What was deleted, by keyed hash of its id: the id itself is gone (ARCHITECTURE 5, Deletion).
DELETION_COLUMNS: tuple[tuple[str, str], ...] = (
    ("organization_id", "UUID"),
    ("exchange_hash", "BLOB"),
    ("deleted_at", "TIMESTAMP"),
    ("segment", "INTEGER"),
    ("frame_offset", "BIGINT"),
)

TABLES: dict[str, tuple[tuple[str, str], ...]] = {
    "requests": REQUEST_COLUMNS,
    "bodies": BODY_COLUMNS,
    "edits": EDIT_COLUMNS,
    "deletions": DELETION_COLUMNS,
}

# Of each table that has them: when it was created, and when it was recorded (what retention asks).
TIMES = {
    "requests": ("request_created_at", "recorded_at"),
    "edits": ("edited_at", "edited_at"),
    "deletions": ("deleted_at", "deleted_at"),
}
