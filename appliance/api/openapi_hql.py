"""What the schema at /download/swagger.json says of HQL."""

from typing import Any, Final

_TEXT: Final = {"type": "string"}
_MAYBE: Final = {"type": "string", "nullable": True}
_TIME: Final = {"type": "string", "format": "date-time"}
_SQL: Final = {"type": "string", "minLength": 1, "maxLength": 100_000}
_ID: Final = {
    "name": "query_id",
    "in": "path",
    "required": True,
    "schema": {"type": "string", "format": "uuid"},
}
_TABLE: Final = {
    "type": "object",
    "properties": {
        "table_name": _TEXT,
        "description": _TEXT,
        "columns": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "name": _TEXT,
                    "type": _TEXT,
                    **dict.fromkeys(
                        ("default_type", "default_expression", "comment", "codec_expression",
                         "ttl_expression"),
                        _MAYBE,
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
        "id": {"type": "string", "format": "uuid"},
        **dict.fromkeys(("organization_id", "name", "sql"), _TEXT),
        **{name: dict(_TIME) for name in ("created_at", "updated_at")},
    },
}


def _answer(data: dict[str, Any]) -> dict[str, Any]:
    properties = {"data": data, "error": _MAYBE, "stale_by_ms": {"type": "number"}}
    return {"type": "object", "required": ["data", "error"], "properties": properties}


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"content": {"application/json": {"schema": schema}}}


_ERROR: Final = _json(_answer({"nullable": True}))
_ERRORS: Final = {
    400: "The SQL cannot be run: [HQL_CODE] message: details",
    404: "There is none such, or nothing was found",
    409: "The name is taken",
    413: "The body is too large",
    415: "The body's coding cannot be taken off",
    422: "A field is not what it should be",
    429: "More queries than a minute may have",
    503: "Too slow, too large, or too much at once",
}


def _route(
    data: dict[str, Any],
    *codes: int,
    status: int = 200,
    body: dict[str, Any] | None = None,
    parameters: tuple[dict[str, Any], ...] = (),
) -> dict[str, Any]:
    extra: dict[str, Any] = {"parameters": list(parameters)} if parameters else {}
    if body is not None:
        required = [name for name, part in body.items() if not part.get("nullable")]
        whole = {"type": "object", "required": required, "properties": body}
        extra["requestBody"] = {"required": True, **_json(whole)}
        codes = (*codes, 413, 415)
    return {
        "status_code": status,
        "responses": {
            status: {"description": "OK", **_json(_answer(data))},
            **{code: {"description": _ERRORS[code], **_ERROR} for code in codes},
        },
        "openapi_extra": extra,
    }


_NAMED: Final = {"name": {"type": "string", "minLength": 1, "maxLength": 255}, "sql": _SQL}
_FORMAT: Final = {"type": "string", "enum": ["csv", "json", "parquet"], "nullable": True}

SCHEMA: Final = _route({"type": "array", "items": _TABLE})
EXECUTE: Final = _route(_ROWS, 400, 422, 429, 503, body={"sql": _SQL})
DOWNLOAD: Final = _route(
    {"type": "string", "format": "uri"}, 400, 404, 422, 429, 503,
    body={"sql": _SQL, "format": _FORMAT},
)  # fmt: skip
SAVED_LIST: Final = _route({"type": "array", "items": _SAVED})
SAVED_ONE: Final = _route(_SAVED, 404, parameters=(_ID,))
SAVED_NEW: Final = _route(
    {"type": "array", "items": _SAVED}, 400, 409, 422, status=201, body=_NAMED
)  # fmt: skip
SAVED_CHANGED: Final = _route(_SAVED, 400, 404, 409, 422, body=_NAMED, parameters=(_ID,))
SAVED_GONE: Final = _route({"nullable": True}, 404, parameters=(_ID,))
SAVED_ALL_GONE: Final = _route(
    {"nullable": True}, 400, 422, body={"ids": {"type": "array", "items": _TEXT, "maxItems": 1000}}
)
FILE: Final[dict[str, Any]] = {
    "responses": {
        200: {
            "description": "The file",
            "content": {
                kind: {"schema": {"type": "string", "format": "binary"}}
                for kind in ("text/csv", "application/json", "application/vnd.apache.parquet")
            },
        },
        403: {"description": "The link was changed, or is not of this server", **_ERROR},
        404: {"description": "It is not kept any more", **_ERROR},
        410: {"description": "The link's time is over", **_ERROR},
    },
    "openapi_extra": {
        "parameters": [
            {"name": name, "in": where, "required": True, "schema": _TEXT}
            for name, where in (
                ("region", "path"), ("export_id", "path"), ("expires", "query"),
                ("signature", "query"),
            )
        ]
    },
}  # fmt: skip
