"""What the schema says of edits, parts, the live stream and the export of requests."""

from typing import Final

from appliance.api.openapi_parts import (
    FLAG,
    INTEGER,
    NOTHING,
    TEXT,
    TEXT_OR_NULL,
    TIME,
    UUID,
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
        "format": {"type": "string", "enum": ["ndjson", "csv", "parquet"]},
        "bodies": FLAG,
        "cursor": _CURSOR,
    },
    media="application/x-ndjson",
    also=("text/csv", "application/vnd.apache.parquet"),
)
