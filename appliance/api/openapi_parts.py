"""Building blocks of the schema: an object, a list, an answer in the envelope, a route."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

Schema = dict[str, Any]

TEXT: Final[Schema] = {"type": "string"}
TEXT_OR_NULL: Final[Schema] = {"type": "string", "nullable": True}
NUMBER: Final[Schema] = {"type": "number"}
NUMBER_OR_NULL: Final[Schema] = {"type": "number", "nullable": True}
INTEGER: Final[Schema] = {"type": "integer"}
FLAG: Final[Schema] = {"type": "boolean"}
UUID: Final[Schema] = {"type": "string", "format": "uuid"}
TIME: Final[Schema] = {"type": "string", "format": "date-time"}
NOTHING: Final[Schema] = {"nullable": True, "description": "null"}
FILTER: Final[Schema] = {
    "description": '"all", {}, a leaf {table: {field: {operator: value}}}, or '
    '{left, operator: "and" | "or", right}'
}
TIME_OR_NULL: Final[Schema] = {"type": "string", "format": "date-time", "nullable": True}
REGION: Final[Schema] = {"type": "string", "enum": ["us", "eu"]}
WRONG: Final = {
    400: "The body is not JSON",
    401: "The key is missing or unknown",
    403: "The key may not do this",
    404: "There is no such thing in this organisation",
    409: "Not as things are now: the name is taken, there is no more room, or it changed meanwhile",
    410: "The link's time is over",
    413: "The body is too large",
    414: "A field of the address is too long",
    415: "The coding of the body cannot be taken off",
    422: "A field is not what it should be; the message names it",
    429: "Over a limit; Retry-After says for how long",
    501: "Not part of this program; the message says what is instead",
    502: "The provider did not answer, or not with a completion",
    503: "A store cannot answer now",
}

OF_ALL: Final = (401, 403, 422, 503)
OF_BODIES: Final = (400, 413, 415)


def obj(
    properties: Mapping[str, Schema], required: Sequence[str] = (), *, open_: bool = False
) -> Schema:
    """An object; `open_` when it may have fields that are not named."""
    found: Schema = {"type": "object", "properties": dict(properties)}
    if required:
        found["required"] = list(required)
    if open_:
        found["additionalProperties"] = True
    return found


def rows(properties: Mapping[str, Schema]) -> Schema:
    """A list of objects that have all of these."""
    return listed(obj(properties, tuple(properties)))


def listed(item: Schema) -> Schema:
    """A list."""
    return {"type": "array", "items": item}


def envelope(data: Schema, beside: Mapping[str, Schema] | None = None) -> Schema:
    """`{data, error}`; `beside`: more fields that may be there."""
    return obj(
        {
            "data": data,
            "error": TEXT_OR_NULL,
            **(beside or {}),
            "stale_by_ms": {
                "type": "number",
                "description": "there when the newest exchanges may be missing",
            },
        },
        ("data", "error"),
        open_=True,
    )


def route(
    data: Schema,
    *,
    body: Schema | None = None,
    path: Mapping[str, Schema] | None = None,
    query: Mapping[str, Schema] | None = None,
    bare: bool = False,
    media: str = "application/json",
    status: int = 200,
    also: Sequence[str] = (),
    errors: Sequence[int] = (400, 401, 403, 404, 413, 415, 422, 503),
    beside: Mapping[str, Schema] | None = None,
) -> dict[str, Any]:
    """Arguments of a router's decorator. `bare`: the answer has no envelope. `also`: media that a
    caller may ask for in place of `media`. `beside`: more fields of the envelope."""
    error = {"application/json": {"schema": envelope({"nullable": True})}}
    shown = data if bare or media != "application/json" else envelope(data, beside)
    content = {media: {"schema": shown}} | {key: {"schema": TEXT} for key in also}
    extra: dict[str, Any] = {}
    parameters = [_parameter("path", name, kind) for name, kind in (path or {}).items()]
    parameters += [_parameter("query", name, kind) for name, kind in (query or {}).items()]
    if parameters:
        extra["parameters"] = parameters
    if body is not None:
        extra["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": body}},
        }
    return {
        "responses": {
            status: {"description": "OK", "content": content},
            **{code: {"description": WRONG[code], "content": error} for code in errors},
        },
        "status_code": status,
        "openapi_extra": extra,
    }


def usual(data: Schema, *codes: int, body: Schema | None = None, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - as route
    """`route` with the errors that any endpoint may answer, those of a body where there is one, and
    its own: `codes`."""
    errors = (*OF_ALL, *(OF_BODIES if body is not None else ()), *codes)
    return route(data, body=body, errors=errors, **more)


def _parameter(place: str, name: str, schema: Schema) -> Schema:
    told = {key: value for key, value in schema.items() if key != "description"}
    found: Schema = {"name": name, "in": place, "required": place == "path", "schema": told}
    if "description" in schema:
        found["description"] = schema["description"]
    return found


def one_of(*values: str) -> Schema:
    return {"type": "string", "enum": list(values)}


def thing(properties: Mapping[str, Schema], *, required: Sequence[str] | None = None) -> Schema:
    """An object; every property is required unless it is said which are."""
    return obj(properties, tuple(properties) if required is None else required)


def titled(title: str, properties: Mapping[str, Schema]) -> Schema:
    """An object with all of these fields, under a name of its own."""
    return {"title": title, **thing(properties)}


def maybe(schema: Schema) -> Schema:
    """Or null."""
    return {**schema, "nullable": True}


def whole(least: int, most: int, default: int) -> Schema:
    """A whole number."""
    return {"type": "integer", "minimum": least, "maximum": most, "default": default}
