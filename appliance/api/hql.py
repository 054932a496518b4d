"""HQL: SQL over what was recorded, of the organisation that asks (backend.md 6).

Errors are texts of the form `[HQL_CODE] message: details`.
"""

from typing import Any, Final

import msgspec
from fastapi import APIRouter, Request
from starlette.responses import Response, StreamingResponse

from appliance.api import openapi_hql as openapi
from appliance.api.fields import choice
from appliance.api.incoming import invalid, read_object
from appliance.api.leaving import while_client_waits
from appliance.api.links import check_link, signed_link
from appliance.api.permissions import identity_of
from appliance.api.reply import NO_STORE, reply
from appliance.api.services_hql import Hql
from appliance.core.hql_errors import hql_error

MEDIA_TYPES: Final = {
    "csv": "text/csv; charset=utf-8",
    "json": "application/json",
    "parquet": "application/vnd.apache.parquet",
}

router = APIRouter(tags=["hql"], default_response_class=Response)


def _hql(request: Request) -> Hql:
    hql: Hql = request.app.state.services.hql
    return hql


def sql_of(body: dict[str, Any]) -> str:
    """Raises Refusal 400, 422."""
    sql = body.get("sql")
    if sql is None or sql == "":
        raise hql_error("MISSING_QUERY_SQL")
    if not isinstance(sql, str):
        invalid("sql", "expected a text")
    return sql


@router.get("/v1/helicone-sql/schema", **openapi.SCHEMA)
async def schema(request: Request) -> Response:
    """The tables that can be asked, with their columns: Helicone's first."""
    return reply(_hql(request).schema())


@router.post("/v1/helicone-sql/execute", **openapi.EXECUTE)
async def execute(request: Request) -> Response:
    """Rows of one SELECT or WITH: at most 10,000, the first 100 where it has no LIMIT. `columns`
    tells names and DuckDB's types, also where there are no rows; `size` is in bytes. 30 s, 512 MB
    and 100 queries a minute are the limits; a client that leaves ends it."""
    identity = identity_of(request)
    sql = sql_of(await read_object(request))
    found = await while_client_waits(request, lambda: _hql(request).execute(identity, sql))
    data = {
        "rows": msgspec.Raw(b"".join((b"[", *found.rows, b"]"))),
        "columns": [{"name": name, "type": kind} for name, kind in found.columns],
        "rowCount": found.row_count,
        "elapsedMilliseconds": found.elapsed_ms,
        "size": found.bytes,
        "truncated": found.truncated,
    }
    return reply(data, stale_by_ms=found.stale_by_ms)


@router.post("/v1/helicone-sql/download", **openapi.DOWNLOAD)
async def download(request: Request) -> Response:
    """The URL of a file with at most 300,000 rows: `format` is csv, json or parquet. Whoever has
    the URL can read it, for an hour. 10 a minute."""
    identity = identity_of(request)
    body = await read_object(request)
    sql = sql_of(body)
    form = choice(body.get("format") or "csv", "format", tuple(MEDIA_TYPES))
    found = await while_client_waits(request, lambda: _hql(request).export(identity, sql, form))
    path = f"/hql/{found.id}"
    return reply(signed_link(request, identity.region, path, lives_s=found.lives_s))


@router.get("/v1/signed/{region}/hql/{export_id}", **openapi.FILE)
async def read_export(request: Request) -> Response:
    """The file of a download, by its signed URL."""
    region = check_link(request)
    file = _hql(request).export_file(region, request.path_params["export_id"])
    headers = {
        **NO_STORE,
        "Content-Length": str(file.size),
        "Content-Disposition": f'attachment; filename="hql-export.{file.form}"',
    }
    return StreamingResponse(file.read(), 200, headers, MEDIA_TYPES[file.form])
