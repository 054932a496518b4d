"""Models and prices as Helicone's public pages give them, and how providers are doing.

`/api/llm-costs` and the registry say what this program knows of prices, not what anybody pays.
"""
# ruff: noqa: S608 - text is put together from constants of ours; what was sent is a parameter

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from appliance.api import openapi_metrics as openapi
from appliance.api.ask import Ask, maps
from appliance.api.fields import bounded, choice, path_text
from appliance.api.metrics import series
from appliance.api.reply import NO_STORE, bare, reply
from appliance.api.request_query import source_of
from appliance.api.scope import Chart, Span, where
from appliance.api.services import Services
from appliance.core import metric_definitions as defined
from appliance.core.filters import Parameters
from appliance.errors import Refusal

COST_FIELDS: Final = (
    "provider", "model", "operator", "input_cost_per_1m", "output_cost_per_1m",
    "prompt_cache_write_per_1m", "prompt_cache_read_per_1m", "prompt_audio_per_1m",
    "completion_audio_per_1m", "per_image", "per_call",
)  # fmt: skip
FRAMES: Final = {
    "24h": (timedelta(hours=24), "hour"),
    "7d": (timedelta(days=7), "hour"),
    "30d": (timedelta(days=30), "day"),
}
STATUS: Final = {
    "requests": defined.REQUESTS,
    "errors": defined.ERRORS,
    "average_latency_ms": defined.LATENCY_MS,
    "average_time_to_first_token_ms": defined.TTFT_MS,
}

router = APIRouter(tags=["models"], default_response_class=Response)


@router.get("/api/llm-costs", **openapi.LLM_COSTS)
async def llm_costs(request: Request) -> Response:
    """Prices of models in USD for a million tokens; `provider` and `model` narrow it (`model`
    contains), `format` is json or csv. A rate that is not known is left out."""
    services: Services = request.app.state.services
    query = request.query_params
    form = choice(query.get("format", "json"), "format", ("json", "csv"))
    provider = bounded(query.get("provider", ""), "provider").lower()
    model = bounded(query.get("model", ""), "model").lower()
    rows = [
        row
        for row in await services.models.prices()
        if (not provider or row["provider"].lower() == provider) and model in row["model"].lower()
    ]
    if form == "csv":
        sheet = io.StringIO()
        writer = csv.DictWriter(sheet, COST_FIELDS, lineterminator="\r\n")
        writer.writeheader()
        writer.writerows(rows)
        return Response(sheet.getvalue().encode(), 200, NO_STORE, "text/csv; charset=utf-8")
    return bare({"metadata": {"total_models": len(rows)}, "data": rows})


@router.get("/v1/public/model-registry/models", **openapi.REGISTRY)
async def model_registry(request: Request) -> Response:
    """The gateway's models with their providers, limits and prices, and what lists of them can be
    narrowed by."""
    services: Services = request.app.state.services
    models = await services.models.registry()
    filters = {
        "providers": sorted({one["provider"] for row in models for one in row["endpoints"]}),
        "authors": sorted({row["author"] for row in models}),
        "capabilities": sorted({kind for row in models for kind in row["inputModalities"]}),
    }
    return reply({"models": models, "total": len(models), "filters": filters})


@router.get("/v1/public/status/provider", **openapi.STATUSES_OF)
async def provider_statuses(request: Request) -> Response:
    """How every provider that the organisation has called is doing: errors and latency of the last
    24 hours beside those of the 24 before. By its own calls alone, so a key is asked for where keys
    are in use, though Helicone's path says public."""
    return await _statuses(request, "", "24h")


@router.get("/v1/public/status/provider/{provider}", **openapi.STATUS_OF)
async def provider_status(request: Request) -> Response:
    """The same of one provider with its course over time; `timeFrame` is 24h, 7d or 30d. 404 where
    it was not called in that time."""
    provider = path_text(request, "provider", 200)
    frame = choice(request.query_params.get("timeFrame", "24h"), "timeFrame", tuple(FRAMES))
    return await _statuses(request, provider, frame)


async def _statuses(request: Request, provider: str, frame: str) -> Response:
    ask = Ask(request)
    length, increment = FRAMES[frame]
    end = datetime.now(UTC).replace(tzinfo=None)
    span = Span(end - length, end)
    parameters = Parameters()
    since = parameters.add(span.start)
    more = ["r.provider <> ''"]
    if provider:
        more.append(f"lower(r.provider) = lower({parameters.add(provider)})")
    both = Span(end - 2 * length, end)
    condition = where(ask.org, both, parameters, more=more)
    sql = (
        f"SELECT r.provider, r.request_created_at >= CAST({since} AS TIMESTAMP),"
        f" {', '.join(STATUS.values())} FROM {source_of(condition)} WHERE {condition} GROUP BY 1, 2"
    )
    found: dict[str, dict[bool, dict[str, Any]]] = {}
    for name, is_recent, *figures in await ask.rows(sql, parameters.values):
        (row,) = maps(tuple(STATUS), [tuple(figures)])
        found.setdefault(name, {})[is_recent] = row
    shown = [_status(name, parts) for name, parts in sorted(found.items())]
    if not provider:
        return reply(shown, stale_by_ms=ask.stale_by_ms)
    if not shown:
        raise Refusal(404, "provider_unknown", f"{provider[:100]} was not called in this time.")
    node = {"request_response_rmt": {"provider": {"equals": shown[0]["providerName"]}}}
    chart = Chart(span, increment, 0)
    shown[0]["timeSeries"] = await series(ask, {"filter": node}, chart, STATUS)
    return reply(shown[0], stale_by_ms=ask.stale_by_ms)


def _status(name: str, parts: dict[bool, dict[str, Any]]) -> dict[str, Any]:
    nothing = dict.fromkeys(STATUS, 0)
    recent, before = parts.get(True, nothing), parts.get(False, nothing)
    return {
        "providerName": name,
        "metrics": {
            **recent,
            "errorRate": _rate(recent),
            "errorRateChange": _rate(recent) - _rate(before),
            "latencyChangeMs": recent["average_latency_ms"] - before["average_latency_ms"],
        },
    }


def _rate(row: dict[str, Any]) -> float:
    return float(row["errors"] / row["requests"]) if row["requests"] else 0.0
