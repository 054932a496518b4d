"""What the schema says of figures, scores, the cache, prices and providers."""

from typing import Any, Final

from appliance.api.openapi_parts import (
    FILTER,
    FLAG,
    INTEGER,
    NOTHING,
    NUMBER,
    TEXT,
    TEXT_OR_NULL,
    TIME,
    UUID,
    listed,
    obj,
    route,
    rows,
)

PARTS: Final[dict[str, Any]] = {
    "filter": FILTER,
    "timeFilter": obj({"start": TIME, "end": TIME}),
}
ZONE: Final = {
    "type": "integer",
    "minimum": -1440,
    "maximum": 1440,
    "description": "minutes from local time to UTC",
}
CHART: Final[dict[str, Any]] = {
    **PARTS,
    "dbIncrement": {"type": "string", "enum": ["min", "hour", "day", "week", "month", "year"]},
    "timeZoneDifference": ZONE,
}
PAGE: Final[dict[str, Any]] = {
    "limit": {"type": "integer", "minimum": 0, "maximum": 1000},
    "offset": {"type": "integer", "minimum": 0},
}
BODY: Final = obj(PARTS)
CHART_BODY: Final = obj(CHART, ["timeFilter"])

METRIC: Final = route(
    {"description": "a number, or rows {time, …}"}, body=obj(CHART), path={"metric": TEXT}
)
TOKENS: Final = route(obj({}, open_=True), body=BODY)
SUMMARY: Final = route(obj({}, open_=True), body=BODY)
STATUSES: Final = route(
    rows({"time": TIME, "status": {"type": "integer", "nullable": True}, "count": INTEGER}),
    body=CHART_BODY,
)
QUANTILES: Final = route(
    rows({"time": TIME, "p50": NUMBER, "p75": NUMBER, "p90": NUMBER, "p95": NUMBER, "p99": NUMBER}),
    body=obj({**CHART, "metric": TEXT}, ["timeFilter"]),
)
MODELS: Final = route(
    rows(
        {
            "model": TEXT,
            "total_requests": INTEGER,
            "total_completion_tokens": INTEGER,
            "total_prompt_token": INTEGER,
            "total_tokens": INTEGER,
            "cost": NUMBER,
        }
    ),
    body=obj({**PARTS, **PAGE}),
)
COUNTRIES: Final = route(
    rows({"country": TEXT, "total_requests": INTEGER}), body=obj({**PARTS, **PAGE})
)
PROVIDERS: Final = route(
    rows({"provider": TEXT, "total_requests": INTEGER}), body=obj({**PARTS, **PAGE})
)

_DAYS: Final = {"date": TIME, "count": INTEGER}
EVALS: Final = route(
    rows(
        {
            "name": TEXT,
            "averageScore": NUMBER,
            "minScore": NUMBER,
            "maxScore": NUMBER,
            "count": INTEGER,
            "overTime": rows(_DAYS),
            "averageOverTime": rows({"date": TIME, "value": NUMBER}),
        }
    ),
    body=obj({**PARTS, **PAGE, "timeZoneDifference": ZONE}),
)
DISTRIBUTIONS: Final = route(
    rows(
        {
            "name": TEXT,
            "distribution": rows({"lower": NUMBER, "upper": NUMBER, "value": INTEGER}),
        }
    ),
    body=BODY,
)
SCORE_NAMES: Final = route(listed(TEXT))
SCORES_OVER_TIME: Final = route(
    rows({"score_key": TEXT, "score_sum": NUMBER, "created_at_trunc": TIME}), body=CHART_BODY
)
ADD_EVAL: Final = route(
    NOTHING,
    body=obj({"name": {**TEXT, "minLength": 1}, "score": NUMBER}, ["name", "score"]),
    path={"request_id": UUID},
)

CACHE: Final = route(
    obj(
        {
            "total_requests": INTEGER,
            "total_hits": INTEGER,
            "hit_rate": NUMBER,
            "time_saved_ms": NUMBER,
            "cost_saved": NUMBER,
        }
    ),
    body=BODY,
)
CACHE_SERIES: Final = route(
    rows({"time": TIME, "count": INTEGER, "time_saved_ms": NUMBER, "cost_saved": NUMBER}),
    body=CHART_BODY,
)
CACHE_TOP: Final = route(
    rows(
        {
            "request_id": UUID,
            "model": TEXT_OR_NULL,
            "provider": TEXT_OR_NULL,
            "hits": INTEGER,
            "first_used": TIME,
            "last_used": TIME,
            "cost_saved": NUMBER,
            "time_saved_ms": NUMBER,
        }
    ),
    body=obj({**PARTS, **PAGE}),
)
BLOCKED: Final = route(
    obj(
        {
            "total": INTEGER,
            "users": INTEGER,
            "over_time": rows({"time": TIME, "count": INTEGER}),
            "by_user": rows({"user_id": TEXT, "count": INTEGER}),
        }
    ),
    body=CHART_BODY,
)

_COST: Final = obj(
    {
        "provider": TEXT,
        "model": TEXT,
        "operator": TEXT,
        "input_cost_per_1m": NUMBER,
        "output_cost_per_1m": NUMBER,
    },
    ["provider", "model", "operator", "input_cost_per_1m", "output_cost_per_1m"],
    open_=True,
)
LLM_COSTS: Final = route(
    obj({"metadata": obj({"total_models": INTEGER}), "data": listed(_COST)}, ["metadata", "data"]),
    query={
        "provider": TEXT,
        "model": TEXT,
        "format": {"type": "string", "enum": ["json", "csv"]},
    },
    bare=True,
    also=("text/csv",),
    errors=(403, 422),
)
REGISTRY: Final = route(
    obj(
        {
            "models": listed(obj({"id": TEXT, "name": TEXT, "author": TEXT}, open_=True)),
            "total": INTEGER,
            "filters": obj({}, open_=True),
        }
    ),
    errors=(403,),
)
_STATUS: Final = obj(
    {
        "providerName": TEXT,
        "metrics": obj({"errorRate": NUMBER, "requests": INTEGER}, open_=True),
        "timeSeries": listed(obj({"time": TIME, "requests": INTEGER}, open_=True)),
    },
    ["providerName", "metrics"],
)
STATUSES_OF: Final = route(listed(_STATUS))
STATUS_OF: Final = route(
    _STATUS,
    path={"provider": TEXT},
    query={"timeFrame": {"type": "string", "enum": ["24h", "7d", "30d"]}},
)
SECURITY: Final = route(
    obj(
        {"unsafe": FLAG, "score": INTEGER, "rules": listed(TEXT), "warnings": listed(TEXT)},
        ["unsafe", "score", "rules", "warnings"],
    ),
    body=obj({"text": TEXT, "advanced": FLAG}, ["text"]),
)
