"""Sessions as rows: requests by session id and name (`backend.md 4.2`), narrowed by either.

Pure. A session under two names is two rows, as in Helicone. Steps that call no model belong to a
session and to its duration; they are not among its requests (`core/metric_definitions.py`).
"""
# ruff: noqa: S608 - text is put together from constants of ours; what was sent is a parameter

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from appliance.api.fields import text
from appliance.api.group_filter import compile_groups, split_filter
from appliance.api.request_query import Statement, source_of
from appliance.api.scope import Span, node_of, page, time_filter, where
from appliance.core import metric_definitions as defined
from appliance.core.filters import Field, Parameters

TABLE: Final = "sessions_request_response_rmt"
NAMES: Final = (
    "session_id", "session_name", "created_at", "latest_request_created_at", "avg_latency",
    "total_cost", "total_requests", "prompt_tokens", "completion_tokens", "total_tokens",
    "duration_ms", "errors", "user_ids",
)  # fmt: skip
USERS_MAX: Final = 20
_NAME = "coalesce(r.session_name, '')"
_CALLS = f"FILTER ({defined.IS_CALL})"
_SESSION: Final = (
    f"r.session_id AS session_id, {_NAME} AS session_name,"
    " min(r.request_created_at) AS created_at,"
    " max(r.request_created_at) AS latest_request_created_at,"
    f" coalesce(avg(r.latency_ms) {_CALLS}, 0) AS avg_latency, {defined.COST} AS total_cost,"
    f" count(*) {_CALLS} AS total_requests,"
    f" {defined.PROMPT_TOKENS} AS prompt_tokens, {defined.COMPLETION_TOKENS} AS completion_tokens,"
    f" {defined.TOTAL_TOKENS} AS total_tokens, {defined.SESSION_DURATION_MS} AS duration_ms,"
    f" {defined.ERRORS} AS errors,"
    f" list_slice(list(DISTINCT r.user_id) FILTER ({defined.HAS_USER}), 1, {USERS_MAX}) AS user_ids"
)
_FIELDS: Final[dict[str, Field]] = {
    "session_session_id": Field("text", "s.session_id"),
    "session_session_name": Field("text", "s.session_name"),
    "session_total_cost": Field("usd", "s.total_cost"),
    "session_total_tokens": Field("number", "s.total_tokens"),
    "session_prompt_tokens": Field("number", "s.prompt_tokens"),
    "session_completion_tokens": Field("number", "s.completion_tokens"),
    "session_total_requests": Field("number", "s.total_requests"),
    "session_created_at": Field("time", "s.created_at"),
    "session_latest_request_created_at": Field("time", "s.latest_request_created_at"),
}
HISTOGRAMS: Final = ("session_count", "session_duration", "session_cost")

Tags = Sequence[tuple[str, str]]


def asks_for_tags(body: dict[str, Any]) -> bool:
    """Whether the filter names a tag: only then are tags read."""
    return "session_tag" in str(body.get("filter"))


def sessions_relation(
    body: dict[str, Any],
    org: bytes,
    parameters: Parameters,
    tags: Tags = (),
    *,
    span: Span | None = None,
) -> str:
    """All sessions that the body asks for, as a relation of `NAMES`. Raises Refusal 422."""
    condition, having = conditions(body, org, parameters, tags, span=span)
    return f"SELECT * FROM ({_grouped(condition)}) AS s WHERE {having}"


def conditions(
    body: dict[str, Any],
    org: bytes,
    parameters: Parameters,
    tags: Tags,
    *,
    span: Span | None = None,
) -> tuple[str, str]:
    """On requests, and on sessions. Raises Refusal 422."""
    rows, groups = split_filter(node_of(body), (TABLE,))
    more = ["r.session_id IS NOT NULL", "r.session_id <> ''"]
    name = body.get("nameEquals")
    if name is not None:
        more.append(f"coalesce(r.session_name, '') = {parameters.add(text(body, 'nameEquals'))}")
    for field, column in (("search", "both"), ("nameContains", "name")):
        wanted = text(body, field)
        if wanted:
            sought = f"lower({parameters.add(wanted)})"
            found = f"contains(lower(coalesce(r.session_name, '')), {sought})"
            if column == "both":
                found = f"({found} OR contains(lower(r.session_id), {sought}))"
            more.append(found)
    condition = where(
        org, span or time_filter(body), parameters, node=rows, steps=True, more=more
    )  # fmt: skip
    if "session_tag" not in str(groups):
        return condition, compile_groups(groups, TABLE, _FIELDS, parameters)
    # Tags lie in another store: they come as two lists, which must be used once they are sent.
    ids, words = parameters.add([one for one, _ in tags]), parameters.add([tag for _, tag in tags])
    ids, words = f"CAST({ids} AS VARCHAR[])", f"CAST({words} AS VARCHAR[])"
    tag = Field("text", f"map_extract_value(MAP({ids}, {words}), s.session_id)")
    having = compile_groups(groups, TABLE, {**_FIELDS, "session_tag": tag}, parameters)
    return condition, f"{having} AND len({ids}) = len({words})"


def _grouped(condition: str) -> str:
    return (
        f"SELECT {_SESSION} FROM {source_of(condition)} WHERE {condition}"
        f" GROUP BY r.session_id, {_NAME}"
    )


def list_statement(body: dict[str, Any], org: bytes, tags: Tags) -> Statement:
    """A page of sessions, those begun last first. Where no sum chooses among them, the page is
    found by its begins, and sums are made for its sessions alone: a third of the work."""
    parameters = Parameters()
    condition, having = conditions(body, org, parameters, tags)
    order = f" ORDER BY created_at DESC, session_id, session_name{page(body)}"
    names = ", ".join(NAMES)
    if having != "TRUE":
        whole = _grouped(condition)
        return f"SELECT {names} FROM ({whole}) AS s WHERE {having}{order}", parameters.values
    begun = (
        f"SELECT r.session_id, {_NAME} AS session_name, min(r.request_created_at) AS created_at"
        f" FROM {source_of(condition)} WHERE {condition} GROUP BY 1, 2{order}"
    )
    some = f"{condition} AND r.session_id IN (SELECT session_id FROM page)"
    return (
        f"WITH page AS MATERIALIZED ({begun}) SELECT {names} FROM ({_grouped(some)}) AS s"
        " SEMI JOIN page USING (session_id, session_name)"
        " ORDER BY created_at DESC, session_id, session_name",
        parameters.values,
    )


def count_statement(body: dict[str, Any], org: bytes, tags: Tags) -> Statement:
    """The sums of all of them."""
    parameters = Parameters()
    relation = sessions_relation(body, org, parameters, tags)
    return (
        "SELECT count(*), coalesce(sum(total_cost), 0), coalesce(avg(total_cost), 0),"
        " coalesce(avg(avg_latency), 0), coalesce(avg(total_requests), 0)"
        f" FROM ({relation})",
        parameters.values,
    )


def names_statement(body: dict[str, Any], org: bytes, span: Span, tags: Tags) -> Statement:
    """The names of sessions, those used last first."""
    parameters = Parameters()
    relation = sessions_relation(body, org, parameters, tags, span=span)
    return (
        "SELECT session_name, min(created_at), max(latest_request_created_at), min(created_at),"
        f" count(DISTINCT session_id), avg(avg_latency) FROM ({relation})"
        f" GROUP BY 1 ORDER BY 3 DESC, 1{page(body)}",
        parameters.values,
    )


def values_relation(
    body: dict[str, Any], org: bytes, parameters: Parameters, tags: Tags
) -> str:  # fmt: skip
    """Of each session its requests, duration in ms and cost, for histograms."""
    relation = sessions_relation(body, org, parameters, tags)
    return (
        "SELECT total_requests AS session_count, duration_ms AS session_duration,"
        f" total_cost AS session_cost FROM ({relation})"
    )


def tree_statement(session_id: str, org: bytes, rows_max: int) -> Statement:
    """Everything of one session in the order of time."""
    return (
        "SELECT r.request_id, r.exchange_id, r.request_created_at, r.response_created_at,"
        " r.latency_ms, r.status, r.model, r.provider, r.cost_usd, r.total_tokens, r.session_path,"
        f" r.session_name, r.user_id, {defined.IS_STEP} AS step, {defined.IS_ERROR} AS error,"
        " r.feedback, r.properties"
        " FROM requests AS r WHERE r.organization_id = CAST($1 AS UUID) AND r.session_id = $2"
        f" ORDER BY r.request_created_at, r.exchange_id LIMIT {rows_max:d}",
        [org.hex(), session_id],
    )
