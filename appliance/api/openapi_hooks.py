"""Parts of the schema that webhooks, alerts and reports have in common."""

from typing import Any, Final

Schema = dict[str, Any]

TEXT: Final[Schema] = {"type": "string"}
MAYBE_TEXT: Final[Schema] = {"type": "string", "nullable": True}
TIME: Final[Schema] = {"type": "string", "format": "date-time"}
MAYBE_TIME: Final[Schema] = {**TIME, "nullable": True}
UUID: Final[Schema] = {"type": "string", "format": "uuid"}
FLAG: Final[Schema] = {"type": "boolean"}
NOTHING: Final[Schema] = {"nullable": True}

_WHY: Final = {
    400: "The body is not JSON",
    401: "No key, or none that is known",
    403: "This key may not",
    404: "There is none of this id",
    409: "Not as things are now",
    413: "The body is too large",
    415: "A coding of the body that is not known",
    422: "A field is not what it should be",
    503: "A store cannot be used now",
}
_ALWAYS: Final = (401, 403, 422, 503)
_OF_BODIES: Final = (400, 413, 415)


def route(data: Schema, *statuses: int, **extra: Any) -> dict[str, Any]:  # noqa: ANN401 - schemas
    """What a route's decorator takes: the envelope of `data`, and the errors that may come."""
    if "requestBody" in extra:
        statuses = (*statuses, *_OF_BODIES)
    told = {status: _answer(_WHY[status], NOTHING) for status in (*statuses, *_ALWAYS)}
    return {"responses": {200: _answer("OK", data), **told}, "openapi_extra": extra}


def _answer(description: str, data: Schema) -> Schema:
    envelope = {
        "type": "object",
        "required": ["data", "error"],
        "properties": {"data": data, "error": MAYBE_TEXT},
    }
    return {"description": description, "content": {"application/json": {"schema": envelope}}}


def json_body(properties: Schema, *required: str) -> Schema:
    """An object, of which these fields are looked at."""
    schema: Schema = {"type": "object", "properties": properties}
    if required:
        schema["required"] = list(required)
    return {"required": True, "content": {"application/json": {"schema": schema}}}


def in_path(name: str) -> Schema:
    """A UUID in the path."""
    return {"name": name, "in": "path", "required": True, "schema": UUID}


def in_query(name: str, schema: Schema) -> Schema:
    """A parameter that may be left out."""
    return {"name": name, "in": "query", "schema": schema}


def count(least: int, most: int, default: int) -> Schema:
    """A whole number."""
    return {"type": "integer", "minimum": least, "maximum": most, "default": default}


def words(*allowed: str) -> Schema:
    """One of these."""
    return {"type": "string", "enum": list(allowed)}


def thing(title: str, properties: Schema) -> Schema:
    """An object with all of these fields."""
    return {
        "type": "object", "title": title, "required": list(properties), "properties": properties,
    }  # fmt: skip


def maybe(schema: Schema) -> Schema:
    """Or null."""
    return {**schema, "nullable": True}


def rows(schema: Schema) -> Schema:
    """A list of these."""
    return {"type": "array", "items": schema}
