"""Properties: their names, their values, what each value cost, and names that lists leave out."""
# ruff: noqa: S608 - text is put together from constants of ours; what was sent is a parameter

from __future__ import annotations

import time
from typing import Any, Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from appliance.api import openapi_sessions as openapi
from appliance.api.ask import Ask
from appliance.api.fields import path_text, text
from appliance.api.permissions import identity_of
from appliance.api.reply import reply
from appliance.api.scope import chart_of, node_of, time_filter, where
from appliance.api.services import Services, Tables
from appliance.core import metric_definitions as defined
from appliance.core.filters import Parameters
from appliance.core.ids import uuid_text
from appliance.errors import Refusal
from storage.analysis_tables import hide, read_hidden, restore

KEYS_MAX: Final = 1000
FOUND_MAX: Final = 25
TOP: Final = 10
OTHER: Final = "other"

router = APIRouter(tags=["properties"], default_response_class=Response)


@router.post("/v1/property/query", **openapi.PROPERTIES)
async def query_properties(request: Request) -> Response:
    """The names of all properties but the hidden ones, in their order; `timeFilter` narrows it."""
    ask = Ask(request)
    body = await ask.body()
    org = _org(request)
    hidden = frozenset(await _tables(request).read(lambda state: read_hidden(state, org)))
    parameters = Parameters()
    condition = where(ask.org, time_filter(body), parameters, node=node_of(body), steps=True)
    sql = (
        "SELECT DISTINCT unnest(keys) AS key FROM (SELECT DISTINCT map_keys(r.properties) AS keys"
        f" FROM requests AS r WHERE {condition}) ORDER BY key LIMIT {KEYS_MAX + len(hidden)}"
    )
    rows = await ask.rows(sql, parameters.values)
    shown = [{"property": key} for (key,) in rows if key not in hidden]
    return reply(shown[:KEYS_MAX], stale_by_ms=ask.stale_by_ms)


@router.post("/v1/property/hidden/query", **openapi.PROPERTIES)
async def query_hidden(request: Request) -> Response:
    """The names that lists leave out."""
    await Ask(request).body()
    org = _org(request)
    keys = await _tables(request).read(lambda state: read_hidden(state, org))
    return reply([{"property": key} for key in keys])


@router.post("/v1/property/hide", **openapi.HIDE)
async def hide_property(request: Request) -> Response:
    """Leave a name out of lists. Nothing is changed in what was recorded."""
    key, org, now_us = await _key(request), _org(request), time.time_ns() // 1000
    try:
        await _tables(request).write(lambda state: hide(state, org, key, now_us))
    except ValueError as error:
        raise Refusal(422, "hidden_full", str(error)) from None
    return reply("ok")


@router.post("/v1/property/restore", **openapi.HIDE)
async def restore_property(request: Request) -> Response:
    """Show a hidden name again."""
    key, org = await _key(request), _org(request)
    await _tables(request).write(lambda state: restore(state, org, key))
    return reply("ok")


@router.post("/v1/property/properties/over-time", **openapi.PROPERTY_SERIES)
async def properties_over_time(request: Request) -> Response:
    """Calls and cost by span and value of the property `propertyKey`: the ten values with the most
    calls, and the others together. Every span has a row for each of them."""
    ask = Ask(request)
    body = await ask.body()
    chart = chart_of(body)
    parameters = Parameters()
    value = _value(text(body, "propertyKey", required=True), parameters)
    condition = where(ask.org, chart.span, parameters, node=node_of(body))
    sql = (
        f"WITH f AS (SELECT {chart.sql} AS time, {value} AS value, r.cost_usd FROM requests AS r"
        f" WHERE {condition} AND {value} IS NOT NULL),"
        f" top AS (SELECT value FROM f GROUP BY 1 ORDER BY count(*) DESC, value LIMIT {TOP})"
        f" SELECT time, CASE WHEN value IN (FROM top) THEN value ELSE '{OTHER}' END, count(*),"
        " coalesce(sum(cost_usd), 0) FROM f GROUP BY 1, 2"
    )
    rows = await ask.rows(sql, parameters.values)
    found = {(row[0], row[1]): row[2:] for row in rows}
    values = sorted({row[1] for row in rows})
    shown = [
        {"time": chart.shown(begin), "value": one, "count": count, "cost": cost}
        for begin in chart.times()
        for one in values
        for count, cost in (found.get((begin, one), (0, 0)),)
    ]
    return reply(shown, stale_by_ms=ask.stale_by_ms)


@router.post("/v1/property/{key}/search", **openapi.SEARCH)
async def search_values(request: Request) -> Response:
    """Values of a property that contain `searchTerm`, whatever their case; 25 at most."""
    ask = Ask(request)
    wanted = text(await ask.body(), "searchTerm")
    parameters = Parameters()
    value = _value(path_text(request, "key"), parameters)
    condition = where(ask.org, time_filter({}), parameters, steps=True)
    sql = (
        f"SELECT value FROM (SELECT {value} AS value FROM requests AS r WHERE {condition})"
        f" WHERE contains(lower(value), lower({parameters.add(wanted)})) GROUP BY 1"
        f" ORDER BY count(*) DESC, 1 LIMIT {FOUND_MAX}"
    )
    rows = await ask.rows(sql, parameters.values)
    return reply([row[0] for row in rows], stale_by_ms=ask.stale_by_ms)


@router.post("/v1/property/{key}/top-costs/query", **openapi.TOP_COSTS)
async def top_costs(request: Request) -> Response:
    """The ten values that cost most, and what all others cost together."""
    return await _top(request, "cost", defined.COST)


@router.post("/v1/property/{key}/top-requests/query", **openapi.TOP_REQUESTS)
async def top_requests(request: Request) -> Response:
    """The ten values with the most calls, and how many all others have together."""
    return await _top(request, "count", defined.REQUESTS)


async def _top(request: Request, name: str, figure: str) -> Response:
    ask = Ask(request)
    body = await ask.body()
    parameters = Parameters()
    value = _value(path_text(request, "key"), parameters)
    condition = where(ask.org, time_filter(body), parameters, node=node_of(body))
    sql = (
        f"WITH f AS (SELECT {value} AS value, {figure} AS figure FROM requests AS r"
        f" WHERE {condition} AND {value} IS NOT NULL GROUP BY 1),"
        " ranked AS (SELECT *, row_number() OVER (ORDER BY figure DESC, value) AS place FROM f)"
        f" SELECT CASE WHEN place <= {TOP} THEN value ELSE '{OTHER}' END, sum(figure), min(place)"
        f" FROM ranked GROUP BY CASE WHEN place <= {TOP} THEN value ELSE '{OTHER}' END,"
        f" place <= {TOP} ORDER BY 3"
    )
    rows = await ask.rows(sql, parameters.values)
    shown = [{"value": row[0], name: int(row[1]) if name == "count" else row[1]} for row in rows]
    return reply(shown, stale_by_ms=ask.stale_by_ms)


def _value(key: str, parameters: Parameters) -> str:
    return f"map_extract_value(r.properties, {parameters.add(key)})"


async def _key(request: Request) -> str:
    body: dict[str, Any] = await Ask(request).body()
    return text(body, "key", required=True)


def _tables(request: Request) -> Tables:
    services: Services = request.app.state.services
    return services.tables[identity_of(request).region]


def _org(request: Request) -> str:
    return uuid_text(identity_of(request).org)
