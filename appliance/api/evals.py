"""Scores: their names, means and spread, over time, and one more for a request (`backend.md 1.2`).

Names are shown as lists of requests show them: with Helicone's suffix where a score was given as
true or false, and feedback under the name that Helicone gives it.
"""
# ruff: noqa: S608 - text is put together from constants of ours; what was sent is a parameter

from __future__ import annotations

from typing import Any, Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from appliance.api import openapi_metrics as openapi
from appliance.api.ask import Ask
from appliance.api.fields import text
from appliance.api.incoming import integer, invalid, path_uuid
from appliance.api.permissions import identity_of
from appliance.api.reply import reply
from appliance.api.request_edits import edited, score_edit
from appliance.api.request_rows import BOOLEAN_SUFFIX, FEEDBACK_SCORE
from appliance.api.scope import (
    Chart,
    Span,
    chart_of,
    iso,
    node_of,
    time_filter,
    where,
    zone_minutes,
)
from appliance.core.filters import Parameters
from appliance.core.time_buckets import bucket_sql

NAMES_MAX: Final = 1000
RANGES: Final = 10
_NAME: Final = (
    f"CASE WHEN list_contains(boolean_scores, s.key) THEN s.key || '{BOOLEAN_SUFFIX}'"
    " ELSE s.key END"
)

router = APIRouter(tags=["scores"], default_response_class=Response)


def scores_relation(
    body: dict[str, Any], org: bytes, span: Span, parameters: Parameters
) -> str:  # fmt: skip
    """Every score of every request that is asked for: `moment`, `name`, `value`."""
    condition = where(org, span, parameters, node=node_of(body), steps=True)
    return (
        f"SELECT moment, {_NAME} AS name, s.value AS value FROM (SELECT"
        " request_created_at AS moment, boolean_scores, unnest(map_entries(r.scores)) AS s"
        " FROM requests AS r"
        f" WHERE {condition} AND cardinality(r.scores) > 0)"
        f" UNION ALL SELECT r.request_created_at, '{FEEDBACK_SCORE}', CAST(r.feedback AS DOUBLE)"
        f" FROM requests AS r WHERE {condition} AND r.feedback IS NOT NULL"
    )


@router.post("/v1/evals/query", **openapi.EVALS)
async def query_evals(request: Request) -> Response:
    """Each score's mean, least, greatest and number, and their course by day."""
    ask = Ask(request)
    body = await ask.body()
    limit, offset = integer(body, "limit", 100, NAMES_MAX), integer(body, "offset", 0, 10**9)
    parameters = Parameters()
    relation = scores_relation(body, ask.org, time_filter(body), parameters)
    day = bucket_sql("moment", "day", zone_minutes(body))
    sql = (
        f"WITH v AS ({relation}), days AS (SELECT name, {day} AS day, count(*) AS n,"
        " avg(value) AS mean FROM v GROUP BY 1, 2), kept AS (SELECT name, avg(value) AS mean,"
        " min(value) AS least, max(value) AS most, count(*) AS n FROM v GROUP BY 1"
        f" ORDER BY 1 LIMIT {limit:d} OFFSET {offset:d})"
        " SELECT kept.name, kept.mean, kept.least, kept.most, kept.n, list(struct_pack("
        "day := days.day, n := days.n, mean := days.mean) ORDER BY days.day)"
        " FROM kept JOIN days ON days.name = kept.name GROUP BY ALL ORDER BY 1"
    )
    shown = [
        {
            "name": name,
            "averageScore": mean,
            "minScore": least,
            "maxScore": most,
            "count": count,
            "overTime": [{"date": iso(one["day"]), "count": one["n"]} for one in days],
            "averageOverTime": [{"date": iso(one["day"]), "value": one["mean"]} for one in days],
        }
        for name, mean, least, most, count, days in await ask.rows(sql, parameters.values)
    ]
    return reply(shown, stale_by_ms=ask.stale_by_ms)


@router.post("/v1/evals/score-distributions/query", **openapi.DISTRIBUTIONS)
async def query_distributions(request: Request) -> Response:
    """How the values of each score are spread: ten ranges between the least and the greatest."""
    ask = Ask(request)
    body = await ask.body()
    parameters = Parameters()
    relation = scores_relation(body, ask.org, time_filter(body), parameters)
    sql = (
        f"WITH v AS ({relation}), b AS (SELECT name, min(value) AS low, max(value) AS high FROM v"
        f" GROUP BY 1 ORDER BY 1 LIMIT {NAMES_MAX}) SELECT name, any_value(low), any_value(high),"
        " CASE WHEN high > low THEN least(CAST(floor((value - low) / (high - low)"
        f" * {RANGES}) AS INTEGER), {RANGES - 1}) ELSE 0 END AS part, count(*)"
        " FROM v JOIN b USING (name) GROUP BY name, part ORDER BY 1, 4"
    )
    found: dict[str, dict[int, int]] = {}
    bounds: dict[str, tuple[float, float]] = {}
    for name, low, high, part, count in await ask.rows(sql, parameters.values):
        found.setdefault(name, {})[part] = count
        bounds[name] = low, high
    shown = [{"name": name, "distribution": _spread(bounds[name], found[name])} for name in found]
    return reply(shown, stale_by_ms=ask.stale_by_ms)


@router.get("/v1/evals/scores", **openapi.SCORE_NAMES)
async def list_scores(request: Request) -> Response:
    """The names of all scores, in their order."""
    ask = Ask(request)
    parameters = Parameters()
    relation = scores_relation({}, ask.org, Span(None, None), parameters)
    sql = f"SELECT DISTINCT name FROM ({relation}) ORDER BY 1 LIMIT {NAMES_MAX}"
    rows = await ask.rows(sql, parameters.values)
    return reply([row[0] for row in rows], stale_by_ms=ask.stale_by_ms)


@router.post("/v1/dashboard/scores/query", **openapi.SCORES_OVER_TIME)
async def scores_over_time(request: Request) -> Response:
    """The sum of each score's values by span; every span has a row for each score."""
    ask = Ask(request)
    body = await ask.body()
    chart: Chart = chart_of(body)
    parameters = Parameters()
    relation = scores_relation(body, ask.org, chart.span, parameters)
    span = bucket_sql("moment", chart.increment, chart.offset_minutes)
    rows = await ask.rows(
        f"SELECT {span}, name, sum(value) FROM ({relation}) GROUP BY 1, 2", parameters.values
    )
    found = {(row[0], row[1]): row[2] for row in rows}
    names = sorted({row[1] for row in rows})[:NAMES_MAX]
    shown = [
        {
            "score_key": name,
            "score_sum": found.get((begin, name), 0),
            "created_at_trunc": chart.shown(begin),
        }
        for begin in chart.times()
        for name in names
    ]
    return reply(shown, stale_by_ms=ask.stale_by_ms)


# Behind those with a path of their own.
@router.post("/v1/evals/{request_id}", **openapi.ADD_EVAL)
async def add_eval(request: Request) -> Response:
    """One score for a request: `name` and `score`, a number. Seen at once; given again, the last
    one counts. 404 for an id that is not this organisation's."""
    identity_of(request)
    request_id = path_uuid(request, "request_id")
    body = await Ask(request).body()
    name = text(body, "name", required=True)
    if body.get("score") is None:
        invalid("score", "is required: a number")
    return await edited(request, request_id, [score_edit(request_id, name, body["score"], "score")])


def _spread(bounds: tuple[float, float], counts: dict[int, int]) -> list[dict[str, float]]:
    low, high = bounds
    width = (high - low) / RANGES
    return [
        {
            "lower": low + part * width,
            "upper": low + (part + 1) * width,
            "value": counts.get(part, 0),
        }
        for part in range(RANGES if width else 1)
    ]
