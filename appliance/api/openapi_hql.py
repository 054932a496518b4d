"""What the schema at /download/swagger.json says of HQL."""

from typing import Any, Final

from appliance.api.openapi_parts import (
    NOTHING,
    REGION,
    TEXT,
    TEXT_OR_NULL,
    TIME,
    UUID,
    Schema,
    listed,
    obj,
    route,
    usual,
)

_SQL: Final = {"type": "string", "minLength": 1, "maxLength": 100_000}
_ID: Final = {"query_id": UUID}
_TABLE: Final = {
    "type": "object",
    "properties": {
        "table_name": TEXT,
        "description": TEXT,
        "columns": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "name": TEXT,
                    "type": TEXT,
                    **dict.fromkeys(
                        ("default_type", "default_expression", "comment", "codec_expression",
                         "ttl_expression"),
                        TEXT_OR_NULL,
                    ),
                },
            },
        },
    },
}  # fmt: skip
_ROWS: Final = {
    "type": "object",
    "properties": {
        "rows": {"type": "array", "items": {"type": "object"}},
        "columns": {
            "type": "array",
            "description": "in their order, also where there are no rows",
            "items": {
                "type": "object",
                "required": ["name", "type"],
                "properties": {
                    "name": {"type": "string", "description": "as the rows have it"},
                    "type": {"type": "string", "description": "DuckDB's, like BIGINT or VARCHAR"},
                },
            },
        },
        "rowCount": {"type": "integer"},
        "elapsedMilliseconds": {"type": "number"},
        "size": {"type": "integer", "description": "bytes of the rows as JSON"},
        "truncated": {
            "type": "boolean",
            "description": "there are more rows, and the query has no LIMIT of its own",
        },
    },
}
_SAVED: Final = {
    "type": "object",
    "properties": {
        "id": UUID,
        **dict.fromkeys(("organization_id", "name", "sql"), TEXT),
        **{name: dict(TIME) for name in ("created_at", "updated_at")},
    },
}


def _route(
    data: Schema,
    *codes: int,
    status: int = 200,
    body: dict[str, Any] | None = None,
    path: dict[str, Schema] | None = None,
) -> dict[str, Any]:
    """`codes`: errors of its own. Fields of the body are required where they may not be null."""
    required = tuple(name for name, part in (body or {}).items() if not part.get("nullable"))
    schema = None if body is None else obj(body, required)
    return usual(data, *codes, status=status, body=schema, path=path)


_NAMED: Final = {"name": {"type": "string", "minLength": 1, "maxLength": 255}, "sql": _SQL}
_FORMAT: Final = {"type": "string", "enum": ["csv", "json", "parquet"], "nullable": True}

SCHEMA: Final = _route(listed(_TABLE))
EXECUTE: Final = _route(_ROWS, 429, body={"sql": _SQL})
DOWNLOAD: Final = _route(
    {"type": "string", "format": "uri"}, 404, 429, body={"sql": _SQL, "format": _FORMAT}
)
for _asked in (EXECUTE, DOWNLOAD):
    for _code, _why in (
        (400, "The body is not JSON, or the SQL cannot be run: [HQL_CODE] message: details"),
        (503, "Too slow, too large, or too much at once"),
    ):
        _asked["responses"][_code]["description"] = _why
SAVED_LIST: Final = _route(listed(_SAVED))
SAVED_ONE: Final = _route(_SAVED, 404, path=_ID)
SAVED_NEW: Final = _route(listed(_SAVED), 409, status=201, body=_NAMED)
SAVED_CHANGED: Final = _route(_SAVED, 404, 409, body=_NAMED, path=_ID)
SAVED_GONE: Final = _route(NOTHING, 404, path=_ID)
SAVED_ALL_GONE: Final = _route(
    NOTHING, body={"ids": {"type": "array", "items": TEXT, "maxItems": 1000}}
)
FILE: Final = route(
    {"type": "string", "format": "binary", "description": "the file"},
    path={"region": REGION, "export_id": TEXT},
    query={"expires": TEXT, "signature": TEXT},
    media="text/csv",
    also=("application/json", "application/vnd.apache.parquet"),
    errors=(403, 404, 410),
)
