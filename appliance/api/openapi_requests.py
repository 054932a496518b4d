"""What the schema says of edits, parts, the live stream and the export of requests."""

from typing import Final

from appliance.api.openapi_parts import (
    FLAG,
    INTEGER,
    NOTHING,
    NUMBER_OR_NULL,
    TEXT,
    TEXT_OR_NULL,
    TIME,
    TIME_OR_NULL,
    UUID,
    listed,
    obj,
    route,
)

_ID: Final = {"request_id": UUID}
_SIGNED: Final = {"expires": INTEGER, "signature": TEXT}
_SIGNED_ERRORS: Final = (403, 404, 410, 422, 503)
_CURSOR: Final = {
    **TEXT,
    "description": "the exchange_id of the last row that was received: go on behind it",
}

_INTEGER_OR_NULL: Final = {**INTEGER, "nullable": True}
_ATTEMPT: Final = obj(
    {
        "target": TEXT_OR_NULL,
        "provider": TEXT_OR_NULL,
        "model": TEXT_OR_NULL,
        "status": _INTEGER_OR_NULL,
        "started_at": TIME_OR_NULL,
        "latency_ms": NUMBER_OR_NULL,
        "cost_usd": TEXT_OR_NULL,
        "why_next": TEXT_OR_NULL,
    }
)
DETAILS: Final = route(
    obj(
        {
            "attempts": listed(_ATTEMPT),
            "not_applied": listed(TEXT),
            "http_status": _INTEGER_OR_NULL,
            "outcome": TEXT_OR_NULL,
            "error": TEXT_OR_NULL,
            "cost_usd": TEXT_OR_NULL,
            "price_source": TEXT_OR_NULL,
            "price_version": TEXT_OR_NULL,
            "usage_detail": TEXT_OR_NULL,
            "session_id": TEXT_OR_NULL,
            "trace_id": TEXT_OR_NULL,
        },
        ["attempts", "not_applied"],
        open_=True,
    ),
    path=_ID,
)
FEEDBACK: Final = route(NOTHING, body=obj({"rating": FLAG}, ["rating"]), path=_ID)
WORKER_FEEDBACK: Final = route(
    obj({"message": TEXT, "helicone_id": UUID}, ["message", "helicone_id"]),
    body=obj({"helicone-id": UUID, "rating": FLAG}, ["helicone-id", "rating"]),
    bare=True,
)
PROPERTY: Final = route(
    NOTHING,
    body=obj({"key": {**TEXT, "minLength": 1}, "value": TEXT_OR_NULL}, ["key", "value"]),
    path=_ID,
)
SCORES: Final = route(
    NOTHING,
    body=obj(
        {
            "scores": {
                "type": "object",
                "minProperties": 1,
                "additionalProperties": {
                    "oneOf": [{"type": "number"}, {"type": "boolean"}],
                    "nullable": True,
                },
            }
        },
        ["scores"],
    ),
    path=_ID,
)
INPUTS: Final = route(
    {
        **obj(
            {
                "inputs": {"type": "object"},
                "prompt_id": TEXT_OR_NULL,
                "version_id": TEXT_OR_NULL,
                "environment": TEXT_OR_NULL,
            }
        ),
        "nullable": True,
    },
    path=_ID,
)
ASSET: Final = route(obj({"assetUrl": TEXT}, ["assetUrl"]), path={**_ID, "asset_id": UUID})
ASSET_FILE: Final = route(
    {"type": "string", "format": "binary"},
    path={"region": TEXT, "exchange_id": UUID, "number": INTEGER},
    query=_SIGNED,
    media="application/octet-stream",
    errors=_SIGNED_ERRORS,
)
LIVE: Final = route(
    {
        **TEXT,
        "description": "server-sent events: `request` with a HeliconeRequest without bodies, "
        "`skipped` and `dropped` with the reason",
    },
    query={"user": TEXT, "session": TEXT},
    media="text/event-stream",
)
EXPORT: Final = route(
    {**TEXT, "description": "one row a line, or a Parquet file"},
    query={
        "since": TIME,
        "until": TIME,
        "user": TEXT,
        "session": TEXT,
        "filter": {"type": "string", "maxLength": 16384, "description": "a filter tree as JSON"},
        "format": {"type": "string", "enum": ["ndjson", "csv", "parquet"]},
        "bodies": FLAG,
        "cursor": _CURSOR,
    },
    media="application/x-ndjson",
    also=("text/csv", "application/vnd.apache.parquet"),
    errors=(400, 401, 403, 404, 413, 414, 415, 422, 503),
)
