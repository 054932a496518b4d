"""Figures over all calls that a filter finds, and their course over time (`backend.md 1.3`).

What each figure means is said in `core/metric_definitions.py`. Amounts are USD, times milliseconds.
"""
# ruff: noqa: S608 - text is put together from constants of ours; what was sent is a parameter

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from appliance.api import openapi_metrics as openapi
from appliance.api.ask import Ask, maps
from appliance.api.fields import choice
from appliance.api.reply import reply
from appliance.api.request_query import source_of
from appliance.api.scope import Chart, chart_of, node_of, page, time_filter, where
from appliance.core import metric_definitions as defined
from appliance.core.filters import Parameters

SUMS: Final[Mapping[str, str]] = {
    "totalRequests": defined.REQUESTS,
    "requestCount": defined.REQUESTS,
    "totalCost": defined.COST,
    "averageLatency": defined.LATENCY_MS,
    "averageTimeToFirstToken": defined.TTFT_MS,
    "totalThreats": defined.THREATS,
    "activeUsers": defined.USERS,
}
SERIES: Final[Mapping[str, Mapping[str, str]]] = {
    "requestOverTime": {"count": defined.REQUESTS},
    "costOverTime": {"cost": defined.COST},
    "tokensOverTime": {
        "prompt_tokens": defined.PROMPT_TOKENS,
        "completion_tokens": defined.COMPLETION_TOKENS,
    },
    "latencyOverTime": {"duration": defined.LATENCY_MS},
    "timeToFirstToken": {"ttft": defined.TTFT_MS},
    "usersOverTime": {"count": defined.USERS},
    "threatsOverTime": {"count": defined.THREATS},
    "errorOverTime": {"count": defined.ERRORS},
}
MODELS: Final = {
    "total_requests": defined.REQUESTS,
    "total_completion_tokens": defined.COMPLETION_TOKENS,
    "total_prompt_token": defined.PROMPT_TOKENS,  # Helicone's spelling
    "total_tokens": defined.TOTAL_TOKENS,
    "cost": defined.COST,
}
GROUPS_MAX: Final = 1000

router = APIRouter(tags=["metrics"], default_response_class=Response)


async def series(
    ask: Ask, body: dict[str, Any], chart: Chart, figures: Mapping[str, str]
) -> list[dict[str, Any]]:
    """A row for each span of the chart, those without a call among them."""
    parameters = Parameters()
    condition = where(ask.org, chart.span, parameters, node=node_of(body))
    sql = (
        f"SELECT {chart.sql} AS time, {_listed(figures)} FROM {source_of(condition)}"
        f" WHERE {condition} GROUP BY 1"
    )
    found = {row[0]: row[1:] for row in await ask.rows(sql, parameters.values)}
    nothing = (0,) * len(figures)
    return [
        {"time": chart.shown(begin), **dict(zip(figures, found.get(begin, nothing), strict=True))}
        for begin in chart.times()
    ]


async def split_series(
    ask: Ask, chart: Chart, key: str, name: str, condition: str, parameters: Parameters
) -> list[dict[str, Any]]:
    """A count for each span and each value of `key`, filled with zeros for the values there are."""
    sql = (
        f"SELECT {chart.sql} AS time, {key} AS key, {defined.REQUESTS} FROM {source_of(condition)}"
        f" WHERE {condition} GROUP BY 1, 2"
    )
    rows = await ask.rows(sql, parameters.values)
    found: dict[tuple[datetime, Any], int] = {(row[0], row[1]): row[2] for row in rows}
    keys = sorted({row[1] for row in rows}, key=str)
    return [
        {"time": chart.shown(begin), name: one, "count": found.get((begin, one), 0)}
        for begin in chart.times()
        for one in keys
    ]


async def grouped(
    ask: Ask, body: dict[str, Any], key: str, figures: Mapping[str, str], *, default: int = 50
) -> list[dict[str, Any]]:
    """Figures by a key, those with the most calls first."""
    parameters = Parameters()
    condition = where(ask.org, time_filter(body), parameters, node=node_of(body))
    names = list(figures)
    sql = (
        f"SELECT {key} AS key, {_listed(figures)} FROM {source_of(condition)} WHERE {condition}"
        f" GROUP BY 1 ORDER BY {names[0]} DESC, key{page(body, default)}"
    )
    return maps(["key", *names], await ask.rows(sql, parameters.values))


def _listed(figures: Mapping[str, str]) -> str:
    return ", ".join(f"{sql} AS {name}" for name, sql in figures.items())


@router.post("/v1/metrics/averageTokensPerRequest", **openapi.TOKENS)
async def average_tokens(request: Request) -> Response:
    """Mean tokens of the calls whose tokens are known."""
    ask = Ask(request)
    figures = {
        "average_prompt_tokens_per_response": defined.AVERAGE_PROMPT_TOKENS,
        "average_completion_tokens_per_response": defined.AVERAGE_COMPLETION_TOKENS,
        "average_total_tokens_per_response": defined.AVERAGE_TOTAL_TOKENS,
    }
    row = await _figures(ask, await ask.body(), figures)
    return reply(row, stale_by_ms=ask.stale_by_ms)


@router.post("/v1/metrics/summary", **openapi.SUMMARY)
async def summary(request: Request) -> Response:
    """All figures of the dashboard in one look: what the single endpoints give, each by its name,
    and errors, their share, tokens, hits of the cache and calls without a price."""
    ask = Ask(request)
    figures = {
        **{name: sql for name, sql in SUMS.items() if name != "requestCount"},
        "totalErrors": defined.ERRORS,
        "errorRate": defined.ERROR_RATE,
        "cancelled": defined.CANCELLED,
        "promptTokens": defined.PROMPT_TOKENS,
        "completionTokens": defined.COMPLETION_TOKENS,
        "reasoningTokens": defined.REASONING_TOKENS,
        "totalTokens": defined.TOTAL_TOKENS,
        "cacheHits": defined.CACHE_HITS,
        "costSaved": defined.COST_SAVED,
        "unpriced": defined.UNPRICED,
    }
    row = await _figures(ask, await ask.body(), figures)
    return reply(row, stale_by_ms=ask.stale_by_ms)


@router.post("/v1/metrics/requestStatusOverTime", **openapi.STATUSES)
async def statuses_over_time(request: Request) -> Response:
    """Calls by span and status."""
    ask = Ask(request)
    body = await ask.body()
    chart = chart_of(body)
    parameters = Parameters()
    condition = where(ask.org, chart.span, parameters, node=node_of(body))
    rows = await split_series(ask, chart, "r.status", "status", condition, parameters)
    return reply(rows, stale_by_ms=ask.stale_by_ms)


@router.post("/v1/metrics/quantiles", **openapi.QUANTILES)
async def quantiles(request: Request) -> Response:
    """The 75th, 90th, 95th and 99th percentile of `metric` by span."""
    ask = Ask(request)
    body = await ask.body()
    metric = choice(body.get("metric") or "latency", "metric", tuple(defined.QUANTILE_OF))
    column = defined.QUANTILE_OF[metric]
    figures = {
        name: f"coalesce(quantile_cont({column}, {share}), 0)"
        for name, share in defined.QUANTILES.items()
    }
    rows = await series(ask, body, chart_of(body), figures)
    return reply(rows, stale_by_ms=ask.stale_by_ms)


@router.post("/v1/metrics/models", **openapi.MODELS)
async def models(request: Request) -> Response:
    """Calls, tokens and cost by model."""
    return await _by(request, "coalesce(r.model, 'unknown')", "model", MODELS)


@router.post("/v1/metrics/country", **openapi.COUNTRIES)
async def countries(request: Request) -> Response:
    """Calls by the country that the client told."""
    figures = {"total_requests": defined.REQUESTS}
    return await _by(request, "coalesce(r.country_code, '')", "country", figures)


@router.post("/v1/providers", **openapi.PROVIDERS)
async def providers(request: Request) -> Response:
    """Calls by provider."""
    figures = {"total_requests": defined.REQUESTS}
    return await _by(request, "coalesce(r.provider, '')", "provider", figures)


# Behind those with a path of their own.
@router.post("/v1/metrics/{metric}", **openapi.METRIC)
async def metric(request: Request) -> Response:
    """One figure as a number, or its course over time as rows `{time, …}`: every span of the time
    that is asked for has its row. `dbIncrement` is hour where it is not said; `timeZoneDifference`
    is minutes from local time to UTC."""
    ask = Ask(request)
    name = choice(request.path_params["metric"], "metric", (*SUMS, *SERIES))
    body = await ask.body()
    if name in SUMS:
        found: Any = (await _figures(ask, body, {"value": SUMS[name]}))["value"]
    else:
        found = await series(ask, body, chart_of(body), SERIES[name])
    return reply(found, stale_by_ms=ask.stale_by_ms)


async def _figures(ask: Ask, body: dict[str, Any], figures: Mapping[str, str]) -> dict[str, Any]:
    parameters = Parameters()
    condition = where(ask.org, time_filter(body), parameters, node=node_of(body))
    sql = f"SELECT {_listed(figures)} FROM {source_of(condition)} WHERE {condition}"
    row: Sequence[Any] = await ask.one(sql, parameters.values)
    return dict(zip(figures, row, strict=True))


async def _by(request: Request, key: str, name: str, figures: Mapping[str, str]) -> Response:
    ask = Ask(request)
    rows = await grouped(ask, await ask.body(), key, figures, default=GROUPS_MAX)
    shown = [{name: row.pop("key"), **row} for row in rows]
    return reply(shown, stale_by_ms=ask.stale_by_ms)
