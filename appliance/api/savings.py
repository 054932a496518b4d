"""What was answered from the cache and what that saved, and what rate limits stopped. Helicone's
web app asks such questions past its API; here they are endpoints (1.3)."""
# ruff: noqa: S608 - text is put together from constants of ours; what was sent is a parameter

from __future__ import annotations

from typing import Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from appliance.api import openapi_metrics as openapi
from appliance.api.ask import Ask, maps
from appliance.api.metrics import series
from appliance.api.reply import reply
from appliance.api.request_query import source_of
from appliance.api.request_rows import id_text
from appliance.api.scope import chart_of, iso, node_of, page, time_filter, where
from appliance.core import metric_definitions as defined
from appliance.core.filters import Parameters

CACHE: Final = {
    "total_requests": defined.REQUESTS,
    "total_hits": defined.CACHE_HITS,
    "hit_rate": f"coalesce({defined.CACHE_HITS} * 1.0 / nullif(count(*), 0), 0)",
    "time_saved_ms": defined.TIME_SAVED_MS,
    "cost_saved": defined.COST_SAVED,
}
CACHE_SERIES: Final = {
    "count": defined.CACHE_HITS,
    "time_saved_ms": defined.TIME_SAVED_MS,
    "cost_saved": defined.COST_SAVED,
}
TOP: Final = (
    "request_id", "model", "provider", "hits", "first_used", "last_used", "cost_saved",
    "time_saved_ms",
)  # fmt: skip

router = APIRouter(tags=["cache and limits"], default_response_class=Response)


@router.post("/v1/cache/metrics", **openapi.CACHE)
async def cache_metrics(request: Request) -> Response:
    """Calls, hits, their share, and what they saved: milliseconds, and USD at the price that the
    saved call would have had when it was answered."""
    ask = Ask(request)
    body = await ask.body()
    parameters = Parameters()
    condition = where(ask.org, time_filter(body), parameters, node=node_of(body))
    sql = f"SELECT {', '.join(CACHE.values())} FROM {source_of(condition)} WHERE {condition}"
    (row,) = maps(tuple(CACHE), await ask.rows(sql, parameters.values))
    return reply(row, stale_by_ms=ask.stale_by_ms)


@router.post("/v1/cache/over-time", **openapi.CACHE_SERIES)
async def cache_over_time(request: Request) -> Response:
    """Hits and savings by span."""
    ask = Ask(request)
    body = await ask.body()
    rows = await series(ask, body, chart_of(body), CACHE_SERIES)
    return reply(rows, stale_by_ms=ask.stale_by_ms)


@router.post("/v1/cache/top-requests", **openapi.CACHE_TOP)
async def cache_top_requests(request: Request) -> Response:
    """Which requests' answers were given again most often; `request_id` is the original's."""
    ask = Ask(request)
    body = await ask.body()
    parameters = Parameters()
    more = [defined.IS_CACHED, "r.cache_reference_id IS NOT NULL"]
    condition = where(ask.org, time_filter(body), parameters, node=node_of(body), more=more)
    sql = (
        "SELECT r.cache_reference_id, any_value(r.model), any_value(r.provider), count(*) AS hits,"
        f" min(r.request_created_at), max(r.request_created_at), {defined.COST_SAVED},"
        f" {defined.TIME_SAVED_MS} FROM {source_of(condition)} WHERE {condition}"
        f" GROUP BY 1 ORDER BY hits DESC, 1{page(body)}"
    )
    rows = maps(TOP, await ask.rows(sql, parameters.values))
    for row in rows:
        row["request_id"] = id_text(row["request_id"])
        row["first_used"], row["last_used"] = iso(row["first_used"]), iso(row["last_used"])
    return reply(rows, stale_by_ms=ask.stale_by_ms)


@router.post("/v1/rate-limits/blocked", **openapi.BLOCKED)
async def rate_limits_blocked(request: Request) -> Response:
    """Calls that a rate limit stopped: how many, of how many users, by span, and by user (the 50
    that were stopped most often; the empty name is calls without one)."""
    ask = Ask(request)
    body = await ask.body()
    chart = chart_of(body)
    parameters = Parameters()
    condition = where(
        ask.org, chart.span, parameters, node=node_of(body), more=[defined.IS_RATE_LIMITED]
    )
    sql = (
        f"SELECT {chart.sql} AS time, coalesce(r.user_id, '') AS user, count(*)"
        f" FROM {source_of(condition)} WHERE {condition} GROUP BY GROUPING SETS ((time), (user))"
    )
    rows = await ask.rows(sql, parameters.values)
    times = {row[0]: row[2] for row in rows if row[0] is not None}
    users = sorted(((row[1], row[2]) for row in rows if row[0] is None), key=lambda one: -one[1])
    data = {
        "total": sum(times.values()),
        "users": sum(1 for name, _ in users if name),
        "over_time": [
            {"time": chart.shown(begin), "count": times.get(begin, 0)} for begin in chart.times()
        ],
        "by_user": [{"user_id": name, "count": count} for name, count in users[:50]],
    }
    return reply(data, stale_by_ms=ask.stale_by_ms)
