"""What the schema at /download/swagger.json says of datasets."""

from __future__ import annotations

from typing import Any, Final

from appliance.api.openapi_parts import (
    FLAG,
    INTEGER,
    NOTHING,
    REGION,
    TEXT,
    TEXT_OR_NULL,
    TIME,
    TIME_OR_NULL,
    UUID,
    Schema,
    envelope,
    listed,
    obj,
    one_of,
    route,
    rows,
)

_NAME: Final[Schema] = {"type": "string", "minLength": 1, "maxLength": 255}
_META: Final[Schema] = {"type": "object", "additionalProperties": True}
_IDS: Final[Schema] = {"type": "array", "items": UUID, "maxItems": 1000, "nullable": True}
_PATH: Final = {"dataset_id": UUID}
_ANY: Final[Schema] = {"description": "any JSON; where it is left out, what was there stays"}
_DOCUMENT: Final = obj(
    {"request": {"description": "any JSON"}, "response": {"description": "any JSON"}},
    ("request", "response"),
)
_DATASET: Final = {
    "id": UUID,
    "name": _NAME,
    "meta": _META,
    "dataset_type": one_of("helicone"),
    "organization": UUID,
    "created_at": TIME,
    "requests_count": INTEGER,
}
_ROW: Final = {
    "id": UUID,
    "origin_request_id": UUID,
    "dataset_id": UUID,
    "created_at": TIME,
    "edited_at": TIME_OR_NULL,
    "signed_url": obj({"data": TEXT, "error": TEXT_OR_NULL}, ("data", "error")),
}
_EXPORTED: Final[Schema] = {**TEXT, "description": "one row a line, or a Parquet file"}


def _also(found: dict[str, Any], errors: dict[int, str]) -> dict[str, Any]:
    """With these errors as well."""
    content = {"application/json": {"schema": envelope({"nullable": True})}}
    for code, description in errors.items():
        found["responses"][code] = {"description": description, "content": content}
    return found


def _page(most: int) -> Schema:
    return {"type": "integer", "minimum": 0, "maximum": most, "nullable": True}


_FULL: Final = {409: "There is no more room, or something is deleted at this moment"}
CREATE: Final = _also(
    route(
        obj({"datasetId": UUID}, ("datasetId",)),
        body=obj({"datasetName": _NAME, "requestIds": _IDS, "meta": {**_META, "nullable": True}},
                 ("datasetName",)),
    ),
    _FULL,
)  # fmt: skip
QUERY: Final = route(rows(_DATASET), body=obj({"datasetIds": _IDS}))
CHANGE: Final = route(
    obj(_DATASET, tuple(_DATASET)), body=obj({"datasetName": _NAME, "meta": _META}), path=_PATH
)
_BODIES: Final = {
    **_DOCUMENT,
    "nullable": True,
    "description": "there when it was asked for; null where a page's 16 MiB were used up before",
}
ROWS: Final = route(
    listed(obj({**_ROW, "bodies": _BODIES}, tuple(_ROW))),
    body=obj({
        "offset": _page(10**9),
        "limit": _page(10_000),
        "bodies": {
            **FLAG, "nullable": True, "description": "each row with its bodies, at most 100 rows",
        },
    }),
    path=_PATH,
)  # fmt: skip
COUNT: Final = route(INTEGER, path=_PATH)
MUTATE: Final = _also(
    route(NOTHING, body=obj({"addRequests": _IDS, "removeRequests": _IDS}), path=_PATH), _FULL
)
EDIT: Final = _also(
    route(
        NOTHING,
        body=obj({"requestBody": _ANY, "responseBody": _ANY}),
        path={**_PATH, "row_id": UUID},
    ),
    {409: "Somebody else changed the row meanwhile, or there is no more room"},
)
DELETE: Final = route(NOTHING, path=_PATH)
EXPORT: Final = _also(
    route(
        _EXPORTED,
        path=_PATH,
        query={
            "format": one_of("jsonl", "csv", "parquet"),
            "shape": one_of("raw", "openai", "anthropic"),
            "skip": FLAG,
        },
        media="application/x-ndjson",
        also=("text/csv", "application/vnd.apache.parquet"),
        errors=(401, 403, 404, 413, 422, 503),
    ),
    {507: "The disk has no room for this file"},
)
SIGNED: Final = route(
    _DOCUMENT,
    path={"region": REGION, "row_id": UUID},
    query={"expires": TEXT, "signature": TEXT},
    bare=True,
    errors=(403, 404, 410, 422, 503),
)
