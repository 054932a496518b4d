"""Users: a table of them, how they are spread, what they have spent (`backend.md 1.2, 2.3`)."""
# ruff: noqa: S608 - text is put together from constants of ours; what was sent is a parameter

from __future__ import annotations

from typing import Any, Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from appliance.api import openapi_sessions as openapi
from appliance.api.ask import Ask, maps
from appliance.api.fields import choice, known, texts
from appliance.api.group_filter import compile_groups, split_filter
from appliance.api.histograms import histogram_sql, histograms
from appliance.api.reply import reply
from appliance.api.request_query import source_of
from appliance.api.scope import iso, node_of, page, time_filter, where
from appliance.core import metric_definitions as defined
from appliance.core.filters import Field, Parameters

TABLE: Final = "users_view"
USER_IDS_MAX: Final = 1000
USERS_MAX: Final = 10_000
NAMES: Final = (
    "user_id", "active_for", "first_active", "last_active", "total_requests",
    "average_requests_per_day_active", "average_tokens_per_request", "total_completion_tokens",
    "total_prompt_tokens", "cost", "rate_limited_count", "errors",
)  # fmt: skip
_USER: Final = (
    f"r.user_id AS user_id, {defined.ACTIVE_DAYS} AS active_for,"
    " min(r.request_created_at) AS first_active, max(r.request_created_at) AS last_active,"
    f" {defined.REQUESTS} AS total_requests,"
    f" count(*) / {defined.ACTIVE_DAYS} AS average_requests_per_day_active,"
    f" {defined.AVERAGE_TOTAL_TOKENS} AS average_tokens_per_request,"
    f" {defined.COMPLETION_TOKENS} AS total_completion_tokens,"
    f" {defined.PROMPT_TOKENS} AS total_prompt_tokens, {defined.COST} AS cost,"
    f" count(*) FILTER ({defined.IS_RATE_LIMITED}) AS rate_limited_count,"
    f" {defined.ERRORS} AS errors"
)
_FIELDS: Final[dict[str, Field]] = {
    "user_user_id": Field("text", "u.user_id"),
    "user_active_for": Field("number", "u.active_for"),
    "user_first_active": Field("time", "u.first_active"),
    "user_last_active": Field("time", "u.last_active"),
    "user_total_requests": Field("number", "u.total_requests"),
    "user_average_requests_per_day_active": Field("number", "u.average_requests_per_day_active"),
    "user_average_tokens_per_request": Field("number", "u.average_tokens_per_request"),
    "user_total_completion_tokens": Field("number", "u.total_completion_tokens"),
    "user_total_prompt_tokens": Field("number", "u.total_prompt_tokens"),
    "user_cost": Field("usd", "u.cost"),
}
HISTOGRAMS: Final = ("request_count", "user_cost")

router = APIRouter(tags=["users"], default_response_class=Response)


@router.post("/v1/user/metrics/query", **openapi.USERS)
async def query_users(request: Request) -> Response:
    """Users with their figures, those active last first unless `sort` names a figure and asc or
    desc. `count` is of all that are found; `hasUsers` says whether there is any at all."""
    ask = Ask(request)
    body = await ask.body()
    order = _order(body)
    parameters = Parameters()
    relation = users_relation(body, ask.org, parameters)
    sql = (
        f"SELECT {', '.join(NAMES)}, count(*) OVER () FROM ({relation}) ORDER BY {order}"
        f"{page(body)}"
    )
    rows = await ask.rows(sql, parameters.values)
    users = [_shown(row) for row in maps(NAMES, [row[:-1] for row in rows])]
    count = rows[0][-1] if rows else await _count(ask, relation, parameters)
    data = {"users": users, "count": count, "hasUsers": bool(count) or await _has_users(ask)}
    return reply(data, stale_by_ms=ask.stale_by_ms)


@router.post("/v1/user/metrics-overview/query", **openapi.USER_HISTOGRAMS)
async def query_overview(request: Request) -> Response:
    """How calls and costs are spread over users."""
    ask = Ask(request)
    body = await ask.body()
    parameters = Parameters()
    relation = users_relation(body, ask.org, parameters)
    values = f"SELECT total_requests AS request_count, cost AS user_cost FROM ({relation})"
    rows = await ask.rows(histogram_sql(body, values, HISTOGRAMS), parameters.values)
    return reply(histograms(rows, HISTOGRAMS), stale_by_ms=ask.stale_by_ms)


@router.post("/v1/user/query", **openapi.SPENT)
async def query_spending(request: Request) -> Response:
    """Calls, tokens and cost of the users that are named, or of all."""
    ask = Ask(request)
    body = await ask.body()
    parameters = Parameters()
    more = [defined.HAS_USER]
    ids = texts(body, "userIds", values_max=USER_IDS_MAX)
    if ids is not None:
        more.append(f"r.user_id IN {parameters.add(ids)}::VARCHAR[]")
    condition = where(ask.org, time_filter(body), parameters, more=more)
    sql = (
        f"SELECT r.user_id, {defined.PROMPT_TOKENS}, {defined.COMPLETION_TOKENS},"
        f" {defined.REQUESTS}, {defined.COST} FROM {source_of(condition)} WHERE {condition}"
        f" GROUP BY 1 ORDER BY 5 DESC, 1 LIMIT {USERS_MAX}"
    )
    names = ("user_id", "prompt_tokens", "completion_tokens", "count", "cost")
    return reply(maps(names, await ask.rows(sql, parameters.values)), stale_by_ms=ask.stale_by_ms)


def users_relation(body: dict[str, Any], org: bytes, parameters: Parameters) -> str:
    """All users that the body asks for, as a relation of `NAMES`. Raises Refusal 422."""
    rows, groups = split_filter(node_of(body), (TABLE,))
    condition = where(org, time_filter(body), parameters, node=rows, more=[defined.HAS_USER])
    having = compile_groups(groups, TABLE, _FIELDS, parameters)
    return (
        f"SELECT * FROM (SELECT {_USER} FROM {source_of(condition)} WHERE {condition}"
        f" GROUP BY r.user_id) AS u WHERE {having}"
    )


def _order(body: dict[str, Any]) -> str:
    given = known(body, "sort")
    for name, direction in given.items():
        column = name.removeprefix("user_") if name != "user_id" else name
        found = choice(column, "sort", NAMES)
        way = choice(direction, f"sort.{name[:64]}", ("asc", "desc"))
        return f"{found} {way} NULLS LAST, user_id"
    return "last_active DESC, user_id"


async def _count(ask: Ask, relation: str, parameters: Parameters) -> int:
    """Of a page beyond the end."""
    return int((await ask.one(f"SELECT count(*) FROM ({relation})", parameters.values))[0])


async def _has_users(ask: Ask) -> bool:
    sql = (
        "SELECT 1 FROM unedited_requests AS r WHERE r.organization_id = CAST($1 AS UUID)"
        f" AND {defined.HAS_USER} LIMIT 1"
    )
    return bool(await ask.rows(sql, [ask.org.hex()]))


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    for name in ("first_active", "last_active"):
        row[name] = iso(row[name])
    return row
