"""Pieces of the schema at /download/swagger.json that several resources share."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

Schema = dict[str, Any]

TEXT: Final[Schema] = {"type": "string"}
TEXT_OR_NULL: Final[Schema] = {"type": "string", "nullable": True}
WHOLE: Final[Schema] = {"type": "integer"}
FLAG: Final[Schema] = {"type": "boolean"}
UUID: Final[Schema] = {"type": "string", "format": "uuid"}
TIME: Final[Schema] = {"type": "string", "format": "date-time"}
TIME_OR_NULL: Final[Schema] = {"type": "string", "format": "date-time", "nullable": True}
NOTHING: Final[Schema] = {"type": "object", "nullable": True, "description": "null"}
REGION: Final[Schema] = {"type": "string", "enum": ["us", "eu"]}


def one_of(*values: str) -> Schema:
    return {"type": "string", "enum": list(values)}


def thing(properties: Mapping[str, Schema], *, required: Sequence[str] | None = None) -> Schema:
    """An object; every property is required unless it is said which are."""
    found: Schema = {"type": "object", "properties": dict(properties)}
    names = list(properties) if required is None else list(required)
    return {**found, "required": names} if names else found


def listing(item: Schema) -> Schema:
    return {"type": "array", "items": item}


def body(schema: Schema, *, required: bool = True) -> Schema:
    return {"required": required, "content": {"application/json": {"schema": schema}}}


def in_path(name: str, schema: Schema = UUID) -> Schema:
    return {"name": name, "in": "path", "required": True, "schema": schema}


def in_query(name: str, schema: Schema, description: str = "") -> Schema:
    return {"name": name, "in": "query", "schema": schema, "description": description}


def envelope(data: Schema) -> Schema:
    return thing({"data": data, "error": TEXT_OR_NULL})


def route(
    data: Schema,
    *,
    request: Schema | None = None,
    parameters: Sequence[Schema] = (),
    enveloped: bool = True,
    status: int = 200,
) -> dict[str, Any]:
    """What a route's decorator is given: the answer, the body, the parameters."""
    schema = envelope(data) if enveloped else data
    extra: Schema = {}
    if request is not None:
        extra["requestBody"] = body(request)
    if parameters:
        extra["parameters"] = list(parameters)
    answer = {"description": "OK", "content": {"application/json": {"schema": schema}}}
    return {"responses": {status: answer}, "status_code": status, "openapi_extra": extra}
