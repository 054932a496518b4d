"""Saved queries of HQL: SQL under names, kept for the organisation (backend.md 6)."""

from typing import Any, Final
from uuid import UUID

from fastapi import APIRouter, Request
from starlette.responses import Response

from appliance.api import openapi_hql as openapi
from appliance.api.hql import sql_of
from appliance.api.incoming import invalid, read_object
from appliance.api.permissions import identity_of
from appliance.api.reply import bare, iso_time, reply
from appliance.api.services import Tables
from appliance.core.access import Identity
from appliance.core.hql_errors import hql_error
from appliance.errors import Refusal
from storage import hql_tables as tables_of

NAME_CHARACTERS_MAX: Final = 255
SQL_CHARACTERS_MAX: Final = 100_000
IDS_MAX: Final = 1000

router = APIRouter(tags=["hql"], default_response_class=Response)


def _tables(request: Request, identity: Identity) -> Tables:
    tables: Tables = request.app.state.services.tables[identity.region]
    return tables


@router.get("/v1/helicone-sql/saved-queries", **openapi.SAVED_LIST)
async def list_saved(request: Request) -> Response:
    """All of them, the newest change first."""
    identity = identity_of(request)
    org = str(UUID(bytes=identity.org))
    rows = await _tables(request, identity).read(
        lambda connection: tables_of.saved_queries(connection, org)
    )
    return reply([_shown(row) for row in rows])


@router.get("/v1/helicone-sql/saved-query/{query_id}", **openapi.SAVED_ONE)
async def read_saved(request: Request) -> Response:
    """One of them. 404 for an id that is not the organisation's."""
    identity, query_id = identity_of(request), _query_id(request)
    org = str(UUID(bytes=identity.org))
    row = await _tables(request, identity).read(
        lambda connection: tables_of.saved_query(connection, org, query_id)
    )
    if row is None:
        raise hql_error("QUERY_NOT_FOUND")
    return reply(_shown(row))


@router.post("/v1/helicone-sql/saved-query", **openapi.SAVED_NEW)
async def add_saved(request: Request) -> Response:
    """A new one, as a list of one. 409 when its name is taken."""
    identity = identity_of(request)
    name, sql = _named(await read_object(request))
    org = str(UUID(bytes=identity.org))
    try:
        row = await _tables(request, identity).write(
            lambda connection: tables_of.add_query(connection, org, name, sql)
        )
    except tables_of.NameTaken:
        raise hql_error("QUERY_NAME_EXISTS", name) from None
    except tables_of.TooManySaved as error:
        raise Refusal(409, "hql_saved_max", f"[HQL_TOO_MANY_QUERIES] {error}") from None
    return bare({"data": [_shown(row)], "error": None}, 201)


@router.put("/v1/helicone-sql/saved-query/{query_id}", **openapi.SAVED_CHANGED)
async def change_saved(request: Request) -> Response:
    """Name and SQL anew. 404, 409."""
    identity, query_id = identity_of(request), _query_id(request)
    name, sql = _named(await read_object(request))
    org = str(UUID(bytes=identity.org))
    try:
        row = await _tables(request, identity).write(
            lambda connection: tables_of.change_query(connection, org, query_id, name, sql)
        )
    except tables_of.NameTaken:
        raise hql_error("QUERY_NAME_EXISTS", name) from None
    if row is None:
        raise hql_error("QUERY_NOT_FOUND")
    return reply(_shown(row))


@router.delete("/v1/helicone-sql/saved-query/{query_id}", **openapi.SAVED_GONE)
async def drop_saved(request: Request) -> Response:
    """Remove one. 404 when there is none such."""
    identity, query_id = identity_of(request), _query_id(request)
    org = str(UUID(bytes=identity.org))
    count = await _tables(request, identity).write(
        lambda connection: tables_of.drop_queries(connection, org, [query_id])
    )
    if not count:
        raise hql_error("QUERY_NOT_FOUND")
    return reply(None)


@router.post("/v1/helicone-sql/saved-queries/bulk-delete", **openapi.SAVED_ALL_GONE)
async def drop_several(request: Request) -> Response:
    """Remove those of these ids that there are."""
    identity = identity_of(request)
    body = await read_object(request)
    ids = body.get("ids")
    if not isinstance(ids, list) or not all(isinstance(value, str) for value in ids):
        invalid("ids", "expected a list of ids")
    if len(ids) > IDS_MAX:
        invalid("ids", f"at most {IDS_MAX}")
    org = str(UUID(bytes=identity.org))
    await _tables(request, identity).write(
        lambda connection: tables_of.drop_queries(connection, org, ids)
    )
    return reply(None)


def _query_id(request: Request) -> str:
    """An id that is no UUID is nobody's."""
    try:
        return str(UUID(request.path_params["query_id"]))
    except ValueError:
        raise hql_error("QUERY_NOT_FOUND") from None


def _named(body: dict[str, Any]) -> tuple[str, str]:
    name = body.get("name")
    if name is None or name == "":
        raise hql_error("MISSING_QUERY_NAME")
    if not isinstance(name, str):
        invalid("name", "expected a text")
    if len(name) > NAME_CHARACTERS_MAX:
        raise hql_error("QUERY_NAME_TOO_LONG")
    sql = sql_of(body)
    if len(sql) > SQL_CHARACTERS_MAX:
        invalid("sql", f"at most {SQL_CHARACTERS_MAX} characters")
    return name, sql


def _shown(row: tables_of.SavedQuery) -> dict[str, Any]:
    return {
        "id": row.id,
        "organization_id": row.organization_id,
        "name": row.name,
        "sql": row.sql,
        "created_at": iso_time(row.created_at_us),
        "updated_at": iso_time(row.updated_at_us),
    }
