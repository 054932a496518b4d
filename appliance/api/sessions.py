"""Sessions: lists, sums, names, histograms, one as a tree, tags and thumbs (`backend.md 1.2`).

Amounts are USD, durations milliseconds. What a session is, is said in `sessions_query.py`.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from fastapi import APIRouter, Request
from starlette.responses import Response

from appliance.api import openapi_sessions as openapi
from appliance.api.ask import Ask, maps
from appliance.api.fields import path_text, text
from appliance.api.histograms import histogram_sql, histograms
from appliance.api.incoming import invalid
from appliance.api.permissions import identity_of
from appliance.api.reply import reply
from appliance.api.request_edits import rating_of
from appliance.api.request_find import id_bytes
from appliance.api.request_rows import id_text
from appliance.api.scope import Span, iso, time_filter
from appliance.api.services import Services, Tables
from appliance.api.services_edits import Edit
from appliance.api.sessions_query import (
    HISTOGRAMS,
    NAMES,
    Tags,
    asks_for_tags,
    count_statement,
    list_statement,
    names_statement,
    tree_statement,
    values_relation,
)
from appliance.core.filters import Parameters
from appliance.core.ids import uuid_text
from appliance.core.session_tree import build_tree, shown
from appliance.errors import Refusal
from storage.analysis_tables import put_tag, read_tag, read_tags

NAMES_SPAN: Final = timedelta(days=150)
TREE_ROWS_MAX: Final = 25_000
TAG_CHARACTERS_MAX: Final = 200
FEEDBACK_PROPERTY: Final = "Helicone-Session-Feedback"
TREE: Final = (
    "request_id", "exchange_id", "created_at", "ended_at", "latency_ms", "status", "model",
    "provider", "cost", "total_tokens", "path", "session_name", "user_id", "step", "error",
    "feedback", "properties",
)  # fmt: skip

router = APIRouter(tags=["sessions"], default_response_class=Response)


@router.post("/v1/session/query", **openapi.LIST)
async def query_sessions(request: Request) -> Response:
    """Sessions, those begun last first: id, name, first and last request, cost, calls, tokens."""
    ask = Ask(request)
    body = await ask.body()
    rows = await ask.rows(*list_statement(body, ask.org, await _tags(request, body)))
    return reply([_session(row) for row in maps(NAMES, rows)], stale_by_ms=ask.stale_by_ms)


@router.post("/v1/session/count", **openapi.COUNT)
async def count_sessions(request: Request) -> Response:
    """How many sessions the same body finds, their cost, and their means."""
    ask = Ask(request)
    body = await ask.body()
    row = await ask.one(*count_statement(body, ask.org, await _tags(request, body)))
    names = ("count", "total_cost", "avg_cost", "avg_latency", "avg_requests")
    return reply(dict(zip(names, row, strict=True)), stale_by_ms=ask.stale_by_ms)


@router.post("/v1/session/name/query", **openapi.NAMES)
async def query_names(request: Request) -> Response:
    """Names of sessions, those used last first; of the last 150 days where no time is given."""
    ask = Ask(request)
    body = await ask.body()
    span = time_filter(body)
    if span.start is None:
        span = Span(datetime.now(UTC).replace(tzinfo=None) - NAMES_SPAN, span.end)
    rows = await ask.rows(*names_statement(body, ask.org, span, await _tags(request, body)))
    names = ("name", "created_at", "last_used", "first_used", "session_count", "avg_latency")
    found = maps(names, rows)
    for one in found:
        for name in ("created_at", "last_used", "first_used"):
            one[name] = iso(one[name])
    return reply(found, stale_by_ms=ask.stale_by_ms)


@router.post("/v1/session/metrics/query", **openapi.METRICS)
async def query_metrics(request: Request) -> Response:
    """How calls, durations and costs of sessions are spread, and their means."""
    ask = Ask(request)
    body = await ask.body()
    parameters = Parameters()
    relation = values_relation(body, ask.org, parameters, await _tags(request, body))
    rows = await ask.rows(histogram_sql(body, relation, HISTOGRAMS), parameters.values)
    return reply(histograms(rows, HISTOGRAMS), stale_by_ms=ask.stale_by_ms)


@router.get("/v1/session/{session_id}/tree", **openapi.TREE)
async def read_tree(request: Request) -> Response:
    """A session as the tree of its paths, its first 25,000 requests at most (`truncated` says so).
    Sums of a node are of all that lies below it too, errors among them. 404 for an unknown one."""
    ask = Ask(request)
    session_id = path_text(request, "session_id")
    found = maps(TREE, await ask.rows(*tree_statement(session_id, ask.org, TREE_ROWS_MAX + 1)))
    if not found:
        raise _unknown(session_id)
    rows = [_tree_row(row) for row in found[:TREE_ROWS_MAX]]
    tree = shown(build_tree(rows))
    began, ended = (
        found[0]["created_at"],
        max(row["ended_at"] or row["created_at"] for row in found),
    )
    data = {
        "session_id": session_id,
        "session_name": found[0]["session_name"] or "",
        "created_at": tree["created_at"],
        "ended_at": tree["ended_at"],
        "duration_ms": (ended - began) / timedelta(milliseconds=1),
        "total_cost": tree["cost"],
        "total_requests": tree["request_count"],
        "errors": tree["errors"],
        "truncated": len(found) > TREE_ROWS_MAX,
        "tree": tree,
    }
    return reply(data, stale_by_ms=ask.stale_by_ms)


@router.post("/v1/session/{session_id}/feedback", **openapi.FEEDBACK)
async def give_feedback(request: Request) -> Response:
    """Thumbs for a whole session: the property `Helicone-Session-Feedback`, 1 or 0, of its first
    request. 404 for an unknown session."""
    ask = Ask(request)
    session_id = path_text(request, "session_id")
    rating = rating_of(await ask.body(), "rating")
    rows = maps(TREE, await ask.rows(*tree_statement(session_id, ask.org, 1)))
    if not rows:
        raise _unknown(session_id)
    first = rows[0]
    edit = Edit(
        "property", id_bytes(first["exchange_id"]), UUID(id_text(first["request_id"])).bytes,
        FEEDBACK_PROPERTY, "1" if rating else "0",
    )  # fmt: skip
    services: Services = request.app.state.services
    identity = ask.identity
    return reply(None, stale_by_ms=await services.edits.add(identity.region, identity.org, [edit]))


@router.get("/v1/session/{session_id}/tag", **openapi.TAG)
async def get_tag(request: Request) -> Response:
    """The session's tag, or null."""
    session_id, org = path_text(request, "session_id"), _org(request)
    return reply(await _tables(request).read(lambda state: read_tag(state, org, session_id)))


@router.post("/v1/session/{session_id}/tag", **openapi.SET_TAG)
async def set_tag(request: Request) -> Response:
    """One tag per session; an empty one takes it away. 404 for an unknown session."""
    ask = Ask(request)
    session_id, org = path_text(request, "session_id"), _org(request)
    body = await ask.body()
    if "tag" not in body:
        invalid("tag", "is required; an empty text takes it away")
    tag = text(body, "tag", characters_max=TAG_CHARACTERS_MAX)
    if not await ask.rows(*tree_statement(session_id, ask.org, 1)):
        raise _unknown(session_id)
    now_us = time.time_ns() // 1000
    try:
        await _tables(request).write(lambda state: put_tag(state, org, session_id, tag, now_us))
    except ValueError as error:
        raise Refusal(422, "tags_full", str(error)) from None
    return reply(None)


async def _tags(request: Request, body: dict[str, Any]) -> Tags:
    if not asks_for_tags(body):
        return ()
    org = _org(request)
    return await _tables(request).read(lambda state: read_tags(state, org))


def _tables(request: Request) -> Tables:
    services: Services = request.app.state.services
    return services.tables[identity_of(request).region]


def _org(request: Request) -> str:
    return uuid_text(identity_of(request).org)


def _unknown(session_id: str) -> Refusal:
    return Refusal(404, "session_unknown", f"There is no session with the id {session_id[:100]}.")


def _session(row: dict[str, Any]) -> dict[str, Any]:
    for name in ("created_at", "latest_request_created_at"):
        row[name] = iso(row[name])
    row["user_ids"] = sorted(row["user_ids"] or ())
    return row


def _tree_row(row: dict[str, Any]) -> dict[str, Any]:
    created, cost = row["created_at"], row["cost"]
    return {
        **{name: value for name, value in row.items() if name != "exchange_id"},
        "request_id": id_text(row["request_id"]),
        "created_at": iso(created),
        "ended_at": iso(row["ended_at"] or created),
        "cost": None if cost is None else Decimal(cost).normalize(),
        "error": bool(row["error"]),
    }
