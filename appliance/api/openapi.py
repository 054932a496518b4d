"""What the schema at /download/swagger.json says of bodies and answers.

Written down here because the endpoints read and write JSON themselves: no model is built at import.
"""

from typing import Any, Final

from appliance.api.openapi_parts import INTEGER, TEXT, UUID, route

_TEXT: Final = {"type": "string", "nullable": True}
_NUMBER: Final = {"type": "number", "nullable": True}
_ANY: Final[dict[str, Any]] = {"description": "JSON where the body is JSON, else text"}

_ROW: Final = {
    "type": "object",
    "title": "HeliconeRequest",
    "properties": {
        "request_id": {"type": "string", "format": "uuid"},
        "request_created_at": {"type": "string", "format": "date-time"},
        "request_body": _ANY,
        "response_created_at": {"type": "string", "format": "date-time", "nullable": True},
        "response_body": _ANY,
        "response_status": {"type": "integer"},
        "properties": {"type": "object", "additionalProperties": {"type": "string"}},
        "scores": {"type": "object", "additionalProperties": {"type": "number"}},
        "feedback_rating": {"type": "boolean", "nullable": True},
        "asset_ids": {"type": "array", "items": {"type": "string", "format": "uuid"}},
        "asset_urls": {"type": "object", "additionalProperties": {"type": "string"}},
        **dict.fromkeys(
            ("request_path", "request_user_id", "request_model", "model", "response_model",
             "provider", "prompt_id", "prompt_version", "country_code", "target_url", "outcome",
             "usage_source", "signed_body_url", "feedback_created_at"),
            _TEXT,
        ),
        **dict.fromkeys(
            ("delay_ms", "time_to_first_token", "total_tokens", "prompt_tokens",
             "completion_tokens", "reasoning_tokens", "prompt_cache_read_tokens",
             "prompt_cache_write_tokens", "cost"),
            _NUMBER,
        ),
    },
    "additionalProperties": True,
}  # fmt: skip

_BY_IDS: Final = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["requestIds"],
                "properties": {
                    "requestIds": {
                        "type": "array",
                        "maxItems": 1000,
                        "items": {"type": "string", "format": "uuid"},
                    }
                },
            }
        }
    },
}
_QUERY: Final = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["filter"],
                "properties": {
                    "filter": {
                        "description": '"all", {}, a leaf {table: {field: {operator: value}}}, or '
                        '{left, operator: "and" | "or", right}'
                    },
                    "offset": {"type": "integer", "minimum": 0, "default": 0},
                    "limit": {"type": "integer", "minimum": 0, "maximum": 1000, "default": 10},
                    "sort": {
                        "type": "object",
                        "description": 'one key with "asc" or "desc", or {random: true}, or '
                        "{properties: {name: direction}}",
                    },
                    "isScored": {"type": "boolean"},
                    "isCached": {"type": "boolean"},
                    "cursor": {
                        "type": "string",
                        "nullable": True,
                        "description": "next_cursor of an earlier answer, in place of offset",
                    },
                    "total": {"type": "boolean", "description": "count all that are found"},
                },
            }
        }
    },
}


def _answer(data: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["data", "error"],
        "properties": {
            "data": data,
            "error": _TEXT,
            "next_cursor": {
                "type": "string",
                "nullable": True,
                "description": "of a list in the order of time: where the next page begins",
            },
            "total": {"type": "integer", "description": "where it was asked for"},
            "stale_by_ms": {
                "type": "number",
                "description": "there when the newest exchanges may be missing",
            },
        },
    }


def _route(data: dict[str, Any], **extra: Any) -> dict[str, Any]:  # noqa: ANN401 - schema parts
    error = {"content": {"application/json": {"schema": _answer({"nullable": True})}}}
    return {
        "responses": {
            200: {"description": "OK", "content": {"application/json": {"schema": _answer(data)}}},
            422: {"description": "A field is not what it should be", **error},
        },
        "openapi_extra": extra,
    }


LIST: Final = _route({"type": "array", "items": _ROW}, requestBody=_QUERY)
BY_IDS: Final = _route({"type": "array", "items": _ROW}, requestBody=_BY_IDS)
COUNT: Final = _route({"type": "integer"}, requestBody=_QUERY)
ONE: Final = _route(
    _ROW,
    parameters=[
        {
            "name": "request_id",
            "in": "path",
            "required": True,
            "schema": {"type": "string", "format": "uuid"},
        },
        {"name": "includeBody", "in": "query", "schema": {"type": "boolean", "default": False}},
    ],
)
BODIES: Final = route(
    {"type": "object", "required": ["request", "response"],
     "properties": {"request": _ANY, "response": _ANY}},
    path={"region": TEXT, "exchange_id": UUID},
    query={"expires": INTEGER, "signature": TEXT},
    bare=True,
    errors=(403, 404, 410, 422, 503),
)  # fmt: skip
