"""What the schema at /download/swagger.json says of stored prompts."""

from typing import Any, Final

from appliance.api.openapi_parts import REGION, TEXT, UUID, Schema, obj, route, usual

_TEXT: Final = {"type": "string", "minLength": 1, "maxLength": 255}
_TIME: Final = {"type": "string", "format": "date-time"}
_BODY: Final = {"type": "object", "description": "a body of /v1/chat/completions"}
_TAGS: Final = {"type": "array", "items": _TEXT, "maxItems": 50, "nullable": True}
_NAME: Final = {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$"}
_NULL: Final = {"nullable": True}
_PROMPT: Final = {
    "type": "object",
    "title": "Prompt2025",
    "properties": {"id": _TEXT, "name": _TEXT, "tags": _TAGS, "created_at": _TIME},
}
_VERSION: Final = {
    "type": "object",
    "title": "Prompt2025Version",
    "properties": {
        "id": _TEXT, "model": {"type": "string"}, "prompt_id": _TEXT,
        "major_version": {"type": "integer"}, "minor_version": {"type": "integer"},
        "commit_message": {"type": "string"},
        "environments": {"type": "array", "items": {"type": "string"}}, "created_at": _TIME,
        "s3_url": {"type": "string", "description": "GET it without a key: the bare body"},
        "prompt_body": _BODY,
    },
}  # fmt: skip


def _route(
    data: Schema,
    *codes: int,
    body: dict[str, Any] | None = None,
    optional: tuple[str, ...] = (),
    path: tuple[str, ...] = (),
    beside: dict[str, Schema] | None = None,
) -> dict[str, Any]:
    """`codes`: errors of its own. Fields of the body are required but for the optional ones."""
    required = tuple(name for name in body or () if name not in optional)
    schema = None if body is None else obj(body, required)
    return usual(data, *codes, body=schema, path=dict.fromkeys(path, TEXT), beside=beside)


_IDS: Final = {"promptId": _TEXT, "promptVersionId": _TEXT}

CREATE: Final = _route(
    {"type": "object", "properties": {"id": _TEXT, "versionId": _TEXT}}, 409,
    body={"name": _TEXT, "tags": _TAGS, "promptBody": _BODY}, optional=("tags",),
)  # fmt: skip
UPDATE: Final = _route(
    {"type": "object", "properties": {"id": _TEXT}}, 404, 409,
    body={
        **_IDS, "newMajorVersion": {"type": "boolean"}, "promptBody": _BODY,
        "commitMessage": {"type": "string", "maxLength": 10_000, "nullable": True},
        "environment": {**_NAME, "nullable": True},
    },
    optional=("newMajorVersion", "commitMessage", "environment"),
)  # fmt: skip
ENVIRONMENT: Final = _route(_NULL, 404, body={**_IDS, "environment": _NAME})
PROMPT: Final = _route(_PROMPT, 404, path=("prompt_id",))
RENAME: Final = _route(_NULL, 404, body={"name": _TEXT}, path=("prompt_id",))
TAGS: Final = _route(_TAGS, 404, body={"tags": _TAGS}, optional=("tags",), path=("prompt_id",))
_PAGE: Final = {"type": "integer", "minimum": 0, "maximum": 1000, "nullable": True}
QUERY: Final = _route(
    {"type": "array", "items": _PROMPT},
    body={
        "search": {"type": "string", "maxLength": 255, "nullable": True}, "tagsFilter": _TAGS,
        "page": {**_PAGE, "default": 0}, "pageSize": {**_PAGE, "default": 100},
        "total": {"type": "boolean", "description": "count all that fit", "nullable": True},
    },
    optional=("search", "tagsFilter", "page", "pageSize", "total"),
    beside={"total": {"type": "integer", "description": "there when it was asked for"}},
)  # fmt: skip
VERSIONS: Final = _route(
    {"type": "array", "items": _VERSION},
    body={"promptId": _TEXT, "majorVersion": _PAGE}, optional=("majorVersion",),
)  # fmt: skip
TOTAL: Final = _route(
    {
        "type": "object",
        "properties": {
            "totalVersions": {"type": "integer"}, "majorVersions": {"type": "integer"},
        },
    },
    body={"promptId": _TEXT},
)  # fmt: skip
VERSION_BY_ID: Final = _route(_VERSION, 404, body={"promptVersionId": _TEXT})
VERSION_OF: Final = _route(_VERSION, 404, body={"promptId": _TEXT})
VERSION_IN: Final = _route(_VERSION, 404, body={"promptId": _TEXT, "environment": _NAME})
DIFF: Final = _route({"type": "string"}, 404, body={"fromVersionId": _TEXT, "toVersionId": _TEXT})
BODY: Final = _route(_BODY, 404, path=("version_id",))
INPUTS: Final = usual(
    {"type": "object", "nullable": True},
    path={"prompt_id": TEXT, "version_id": TEXT},
    query={"requestId": UUID},
)
INPUTS["openapi_extra"]["parameters"][-1]["required"] = True
NAMES: Final = _route({"type": "array", "items": {"type": "string"}})
COUNT: Final = _route({"type": "integer"})
DELETE_PROMPT: Final = _route(_NULL, 404, path=("prompt_id",))
DELETE_VERSION: Final = _route(_NULL, 404, 409, path=("prompt_id", "version_id"))
SIGNED: Final = route(
    {**_BODY, "description": "the bare body"},
    path={"region": REGION, "version_id": UUID},
    query={"expires": TEXT, "signature": TEXT},
    bare=True,
    errors=(403, 404, 410, 503),
)
