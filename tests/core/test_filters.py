"""Filter trees: every operator on every kind of field against real rows, and what is refused."""

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest

from appliance.api.filter_fields import REQUEST_TABLES, WIDE
from appliance.core.filter_values import TEXT_CHARACTERS_MAX
from appliance.core.filters import (
    CONDITIONS_MAX,
    DEPTH_MAX,
    LIST_VALUES_MAX,
    OPERATORS,
    Parameters,
    compile_filter,
)
from appliance.errors import Refusal
from storage.analytics import Analytics
from storage.batch import Batch
from storage.frames import Position
from tests.storage.analytics_rows import T0_US, ask, body_row, edit_row, opened, request_row

TABLE = "request_response_rmt"
HOUR_US = 3_600_000_000
ROWS: dict[int, dict[str, Any]] = {
    1: {
        "model": "gpt-4o", "user_id": "Ada", "status": 200, "latency_ms": 99.6,
        "time_to_first_token_ms": 10.2, "cost_pico": 300_000_000_000, "prompt_tokens": 10,
        "completion_tokens": 5, "reasoning_tokens": 1, "prompt_cache_read_tokens": 3,
        "prompt_cache_write_tokens": 4, "country_code": "DE", "outcome": "complete",
        "properties": {"tenant": "acme", "Helicone-Session-Id": "s-1"},
        "request_created_at": T0_US, "response_created_at": T0_US + 1_000_000,
        "request_model": "gpt-4o-mini", "response_model": "gpt-4o-2024", "prompt_id": "p1",
        "prompt_version": "v1", "target_url": "https://api.openai.com/v1", "request_path": "/v1/a",
        "request_referrer": "ai-gateway", "model_override": "mine", "threat": False,
    },
    2: {
        "model": "claude_sonnet%4", "provider": "ANTHROPIC", "user_id": "", "status": 500,
        "latency_ms": 200.0, "cost_pico": 3_000_000_000_000, "outcome": "cache_hit", "threat": True,
        "properties": {"tenant": "Ümlaut"}, "request_created_at": T0_US + HOUR_US,
    },
    3: {
        "model": None, "user_id": None, "status": -4, "latency_ms": None, "cost_pico": None,
        "prompt_tokens": None, "completion_tokens": None, "reasoning_tokens": None,
        "properties": {}, "request_created_at": T0_US + 2 * HOUR_US,
    },
}  # fmt: skip
BODIES: dict[int, dict[str, Any]] = {
    1: {"request": '{"q": "Straße"}', "response": "yes"},
    2: {"request": "100% _x_", "response": ""},
    3: {"request": None, "response": None},
}
ID = "40000000-0000-0000-0000-00000000000{}"


@pytest.fixture(scope="module")
def analytics() -> Iterator[Analytics]:
    built = opened(None)
    batch = Batch()
    for number, changes in ROWS.items():
        body = body_row(number, **BODIES[number])
        batch.add_exchange(request_row(number, **changes), body, 0)
    batch.edits += (
        edit_row(1, "score", "quality", 0.5),
        edit_row(1, "feedback", "feedback", 1.0),
        edit_row(2, "score", "quality", 2.0),
        edit_row(2, "feedback", "feedback", 0.0),
    )
    built.ingest(batch, Position(1, 900))
    yield built
    built.close()


def found(analytics: Analytics, node: Any) -> list[int]:
    parameters = Parameters()
    where = compile_filter(node, REQUEST_TABLES, parameters)
    sql = f"SELECT right(request_id::VARCHAR, 1) FROM requests AS r WHERE {where} ORDER BY 1"
    return [int(number) for (number,) in ask(analytics, sql, *parameters.values)]


def leaf(field: str, operator: str, value: Any) -> dict[str, Any]:
    """`field` may name one level deeper: properties/tenant."""
    name, _, key = field.partition("/")
    operators = {operator: value}
    return {TABLE: {name: {key: operators} if key else operators}}


MATCHES: list[tuple[str, str, Any, list[int]]] = [
    # text
    ("model", "equals", "gpt-4o", [1]),
    ("model", "not-equals", "gpt-4o", [2, 3]),
    ("model", "like", "gpt%", [1]),
    ("model", "like", "GPT%", []),
    ("model", "ilike", "GPT%", [1]),
    ("model", "like", "%\\%4", [2]),
    ("model", "like", "%\\_s%", [2]),
    ("model", "like", "%", [1, 2, 3]),
    ("model", "contains", "PT-4", [1]),
    ("model", "contains", "_sonnet%", [2]),
    ("model", "contains", "%", [2]),
    ("model", "not-contains", "gpt", [2, 3]),
    ("model", "equals", "null", [3]),
    ("model", "not-equals", "null", [1, 2]),
    ("user_id", "equals", "__empty__", [2, 3]),
    ("user_id", "not-equals", "__empty__", [1]),
    ("user_id", "equals", "", [2, 3]),
    ("user_id", "equals", "ada", []),
    ("provider", "equals", "ANTHROPIC", [2]),
    ("country_code", "equals", "DE", [1]),
    ("target_url", "contains", "OPENAI", [1]),
    ("prompt_id", "equals", "p1", [1]),
    ("prompt_version", "equals", "v1", [1]),
    ("request_referrer", "equals", "ai-gateway", [1]),
    ("scores_column", "equals", "__empty__", [3]),
    ("scores_column", "not-equals", "{}", [1, 2]),
    ("assets", "equals", "__empty__", [1, 2, 3]),
    ("model", "equals", "x'; DROP TABLE store.hot_requests; --", []),
    # ids
    ("request_id", "equals", ID.format(1), [1]),
    ("request_id", "equals", ID.format(1).replace("-", ""), [1]),
    ("request_id", "not-equals", ID.format(1), [2, 3]),
    ("request_id", "contains", "-00000000000", [1, 2, 3]),
    ("request_id", "like", "%2", [2]),
    ("request_id", "ilike", "4%3", [3]),
    ("request_id", "not-contains", "0002", [1, 3]),
    ("organization_id", "equals", "00000000-0000-0000-0000-000000000001", [1, 2, 3]),
    ("cache_reference_id", "equals", "00000000-0000-0000-0000-000000000000", [1, 2, 3]),
    # bodies
    ("request_body", "contains", "STRASSE", []),
    ("request_body", "contains", "straße", [1]),
    ("request_body", "contains", "STRA\u1e9eE", [1]),
    ("request_body", "contains", "_X_", [2]),
    ("request_body", "contains", "", [1, 2, 3]),
    ("request_body", "contains", 0, [2]),
    ("request_body", "not-contains", 100, [1, 3]),
    ("request_body", "not-contains", "straße", [2, 3]),
    ("request_body", "like", "100\\%%", [2]),
    ("request_body", "ilike", '%"Q"%', [1]),
    ("request_body", "equals", "100% _x_", [2]),
    ("request_body", "not-equals", "100% _x_", [1, 3]),
    ("response_body", "equals", "null", [3]),
    ("response_body", "not-equals", "null", [1, 2]),
    ("response_body", "equals", "__empty__", [2, 3]),
    # numbers: latencies are compared as they are shown, in whole milliseconds
    ("latency", "equals", 100, [1]),
    ("latency", "not-equals", 100, [2]),
    ("latency", "gte", 100, [1, 2]),
    ("latency", "gt", 100, [2]),
    ("latency", "lte", "100", [1]),
    ("latency", "lt", 100.5, [1]),
    ("latency", "equals", "null", [3]),
    ("latency", "not-equals", "null", [1, 2]),
    ("time_to_first_token", "equals", 10, [1]),
    ("status", "gte", 500, [2]),
    ("status", "equals", Decimal("200.0"), [1]),
    ("status", "lt", -3, [3]),
    ("status", "lt", 10**30, [1, 2, 3]),
    ("prompt_tokens", "gt", 9.5, [1, 2]),
    ("completion_tokens", "equals", 5, [1, 2]),
    ("prompt_cache_read_tokens", "gt", 0, [1]),
    ("prompt_cache_write_tokens", "equals", 4, [1]),
    ("total_tokens", "equals", 16, [1, 2]),
    # money, in USD: exact, and not bounded by an integer
    ("cost", "equals", 0.3, [1]),
    ("cost", "equals", Decimal("0.30000000000000004"), [1]),
    ("cost", "gt", 2.5, [2]),
    ("cost", "gte", 3, [2]),
    ("cost", "not-equals", 3, [1]),
    ("cost", "lte", "0.3", [1]),
    ("cost", "lt", 10**6, [1, 2]),
    ("cost", "gt", 1e-300, [1, 2]),
    ("cost", "equals", "null", [3]),
    # time
    ("request_created_at", "gte", "2026-01-01T01:00:00Z", [2, 3]),
    ("request_created_at", "gt", "2026-01-01T01:00:00.000Z", [3]),
    ("request_created_at", "lt", "2026-01-01T02:00:00+01:00", [1]),
    ("request_created_at", "lte", "2026-01-01 01:00:00", [1, 2]),
    ("request_created_at", "equals", "2026-01-01", [1]),
    ("response_created_at", "equals", "null", [2, 3]),
    # flags
    ("cached", "equals", True, [2]),
    ("cached", "equals", "false", [1, 3]),
    ("threat", "equals", True, [2, 3]),
    ("threat", "equals", False, [1]),
    ("cache_enabled", "equals", False, [1, 2, 3]),
    ("is_passthrough_billing", "equals", "true", []),
    ("helicone-score-feedback", "equals", True, [1]),
    ("helicone-score-feedback", "equals", False, [2]),
    ("helicone-score-feedback", "equals", "null", [3]),
    # properties: a missing one is empty
    ("properties/tenant", "equals", "acme", [1]),
    ("properties/tenant", "not-equals", "acme", [2, 3]),
    ("properties/tenant", "contains", "üML", [2]),
    ("properties/tenant", "not-contains", "acme", [2, 3]),
    ("properties/tenant", "like", "a%", [1]),
    ("properties/tenant", "equals", "null", [3]),
    ("properties/tenant", "equals", "__empty__", [3]),
    ("properties/no'such", "equals", "", [1, 2, 3]),
    ("search_properties/*", "contains", "SESSION", [1]),
    ("property_key", "equals", "tenant", [1, 2]),
    ("property_key", "not-equals", "tenant", [3]),
    ("property_key", "like", "Helicone-%", [1]),
    ("property_key", "ilike", "helicone-%", [1]),
    ("property_key", "not-contains", "session", [2, 3]),
    # scores: one that was not given matches nothing
    ("scores/quality", "equals", 0.5, [1]),
    ("scores/quality", "not-equals", "0.5", [2]),
    ("scores/quality", "gt", 0.5, [2]),
    ("scores/quality", "lte", 2, [1, 2]),
    ("scores/quality", "contains", "0.", [1]),
    ("scores/quality", "not-contains", "0.", [2]),
    ("scores/quality", "like", "2%", [2]),
    ("scores/quality", "ilike", "0%", [1]),
    ("scores/quality", "lt", 2, [1]),
    ("scores/quality", "equals", True, []),
    ("scores/quality", "equals", "null", [3]),
    ("scores/none", "gte", 0, []),
]


@pytest.mark.parametrize(("field", "operator", "value", "expected"), MATCHES)
def test_every_operator_on_every_kind_of_field(
    analytics: Analytics, field: str, operator: str, value: Any, expected: list[int]
) -> None:
    assert found(analytics, leaf(field, operator, value)) == expected


def test_the_table_above_leaves_no_kind_and_no_field_out() -> None:
    tried = {(WIDE[field.partition("/")[0]].kind, operator) for field, operator, *_ in MATCHES}
    fields = {field.partition("/")[0] for field, *_ in MATCHES}
    assert fields | {"search_scores"} == set(WIDE)
    for kind, operators in OPERATORS.items():
        assert [name for name in operators if (kind, name) not in tried] == [], kind


def and_(left: Any, right: Any) -> dict[str, Any]:
    return {"left": left, "operator": "and", "right": right}


def or_(left: Any, right: Any) -> dict[str, Any]:
    return {"left": left, "operator": "or", "right": right}


GPT, ERROR, ACME = (
    leaf("model", "contains", "gpt"),
    leaf("status", "gte", 500),
    leaf("properties/tenant", "equals", "acme"),
)


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        ("all", [1, 2, 3]),
        ({}, [1, 2, 3]),
        ({TABLE: {}}, [1, 2, 3]),
        (and_(GPT, ERROR), []),
        (or_(GPT, ERROR), [1, 2]),
        (and_("all", GPT), [1]),
        (or_({}, GPT), [1, 2, 3]),
        (and_(or_(GPT, ERROR), leaf("status", "gt", 0)), [1, 2]),
        (or_(and_(GPT, ACME), and_(ERROR, "all")), [1, 2]),
        # precedence is that of the tree
        (and_(or_(GPT, ERROR), ERROR), [2]),
        (or_(GPT, and_(ERROR, ERROR)), [1, 2]),
        # more than one field, operator or table in a leaf: all of them must hold
        ({TABLE: {"status": {"gte": 200, "lt": 500}}}, [1]),
        ({TABLE: {"status": {"gte": 200}, "model": {"contains": "claude"}}}, [2]),
        ({TABLE: {"properties": {"tenant": {"equals": "acme"}, "x": {"equals": ""}}}}, [1]),
        ({TABLE: {"status": {"gte": 200}}, "properties": {"tenant": {"equals": "acme"}}}, [1]),
        # the older dialect (`backend.md 2.5`)
        ({"request": {"id": {"equals": ID.format(2)}}}, [2]),
        ({"request": {"model": {"contains": "mini"}}}, [1]),
        ({"request": {"user_id": {"equals": "Ada"}}}, [1]),
        ({"request": {"created_at": {"gt": "2026-01-01T00:00:01Z"}}}, [2, 3]),
        ({"request": {"path": {"like": "/v1/%"}}}, [1]),
        ({"request": {"prompt_id": {"equals": "p1"}}}, [1]),
        ({"request": {"country_code": {"equals": "DE"}}}, [1]),
        ({"request": {"modelOverride": {"equals": "mine"}}}, [1]),
        ({"request": {"prompt": {"contains": "straße"}}}, [1]),
        ({"response": {"status": {"equals": 500}}}, [2]),
        ({"response": {"model": {"equals": "gpt-4o-2024"}}}, [1]),
        ({"response": {"body_model": {"equals": "gpt-4o"}}}, [1]),
        ({"response": {"body_tokens": {"gte": 15}}}, [1, 2]),
        ({"response": {"body_completion": {"contains": "yes"}}}, [1]),
        ({"properties": {"tenant": {"equals": "acme"}}}, [1]),
        ({"feedback": {"rating": {"equals": True}}}, [1]),
        (and_({"request": {"model": {"contains": "gpt"}}}, ACME), [1]),
    ],
)
def test_trees_and_dialects(analytics: Analytics, node: Any, expected: list[int]) -> None:
    assert found(analytics, node) == expected


def condition(column: str, operator: str, value: Any, **field: Any) -> dict[str, Any]:
    spec = {"table": TABLE, "column": column, **field}
    return {"type": "condition", "field": spec, "operator": operator, "value": value}


PROPERTY = {"subtype": "property", "valueMode": "value"}


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        ({"type": "all"}, [1, 2, 3]),
        ({"type": "and", "expressions": []}, [1, 2, 3]),
        ({"type": "or", "expressions": []}, [1, 2, 3]),
        (condition("status", "eq", 200), [1]),
        (condition("status", "neq", 200), [2, 3]),
        (condition("status", "in", [200, 500]), [1, 2]),
        (condition("model", "in", "gpt-4o"), [1]),
        (condition("cached", "is", True), [2]),
        (condition("model", "not-contains", "gpt"), [2, 3]),
        (condition("cost", "gt", 1), [2]),
        (condition("properties", "eq", "acme", key="tenant", **PROPERTY), [1]),
        (condition("tenant", "eq", "acme", **PROPERTY), [1]),
        (condition("Helicone-Session-Id", "eq", "s-1"), [1]),
        (condition("properties", "eq", "acme", key="tenant"), [1]),
        (condition("helicone-score-feedback", "is", True), [1]),
        (condition("properties", "like", "ten%", subtype="property", valueMode="key"), [1, 2]),
        (condition("scores", "eq", "quality", subtype="score", valueMode="key"), [1, 2]),
        (condition("scores", "gt", 1, subtype="score", valueMode="value", key="quality"), [2]),
        (condition("ai_gateway", "eq", "true"), [1]),
        (condition("ai_gateway", "is", False), [2, 3]),
        (condition("user_id", "eq", "Ada", subtype="user"), [1]),
        (
            {
                "type": "or",
                "expressions": [
                    condition("status", "eq", 500),
                    {"type": "and", "expressions": [condition("model", "like", "gpt%"), GPT]},
                ],
            },
            [1, 2],
        ),
        (and_(condition("status", "gt", 0), GPT), [1]),
    ],
)
def test_expressions_of_the_interface(analytics: Analytics, node: Any, expected: list[int]) -> None:
    assert found(analytics, node) == expected


def chain(count: int, *, operator: str = "and", leftwards: bool = True) -> Any:
    node: Any = GPT
    for _ in range(count - 1):
        pair = {"left": node, "right": GPT} if leftwards else {"left": GPT, "right": node}
        node = {**pair, "operator": operator}
    return node


def alternating(depth: int) -> Any:
    node: Any = GPT
    for level in range(depth):
        node = (and_ if level % 2 else or_)(node, GPT)
    return node


def test_long_chains_and_deep_trees_within_the_bounds(analytics: Analytics) -> None:
    for leftwards in (True, False):
        assert found(analytics, chain(CONDITIONS_MAX, leftwards=leftwards)) == [1]
    assert found(analytics, alternating(DEPTH_MAX)) == [1]


REFUSED: list[tuple[Any, str]] = [
    (None, "filter: expected an object"),
    (7, "filter: expected an object"),
    ("everything", "filter: expected an object"),
    ([], "filter: expected an object"),
    (and_(GPT, None), "filter.right: expected an object"),
    ({"left": GPT, "operator": "and"}, "filter: a branch has left, operator and right"),
    ({**and_(GPT, GPT), "x": 1}, "filter: a branch has left, operator and right"),
    ({"left": GPT, "operator": "xor", "right": GPT}, "filter.operator: "),
    ({"left": GPT, "right": GPT}, "filter.operator: "),
    ({"nowhere": {}}, "filter.nowhere: there is no such table here"),
    ({"users_view": {"user_cost": {"gt": 1}}}, "filter.users_view: there is no such table here"),
    ({TABLE: "all"}, f"filter.{TABLE}: expected an object"),
    ({TABLE: {"node_id": {"equals": "x"}}}, f"filter.{TABLE}.node_id: there is no such field"),
    ({TABLE: {"model": "x"}}, f"filter.{TABLE}.model: expected an object"),
    ({TABLE: {"model": {}}}, f"filter.{TABLE}.model: expected an operator"),
    ({TABLE: {"properties": {"a": "b"}}}, f"filter.{TABLE}.properties.a: expected an object"),
    ({"properties": {"a": "b"}}, "filter.properties.a: expected an object of operators"),
    (leaf("model", "gt", "a"), f"filter.{TABLE}.model.gt: this field takes equals"),
    (leaf("model", "in", ["a"]), f"filter.{TABLE}.model.in: this field takes"),
    (leaf("latency", "like", "1%"), f"filter.{TABLE}.latency.like: this field takes"),
    (leaf("request_created_at", "not-equals", "2026-01-01"), "filter.request_response_rmt.request"),
    (leaf("cached", "not-equals", True), f"filter.{TABLE}.cached.not-equals: this field takes"),
    (leaf("cached", "equals", 1), f"filter.{TABLE}.cached.equals: expected true or false"),
    (leaf("model", "equals", None), f"filter.{TABLE}.model.equals: expected a text"),
    (leaf("model", "equals", ["a"]), f"filter.{TABLE}.model.equals: expected a text"),
    (leaf("model", "like", "a\\"), f"filter.{TABLE}.model.like: a pattern must not end"),
    (
        leaf("model", "equals", "a" * (TEXT_CHARACTERS_MAX + 1)),
        f"filter.{TABLE}.model.equals: long",
    ),
    (leaf("latency", "gt", True), f"filter.{TABLE}.latency.gt: expected a number"),
    (leaf("latency", "gt", "__empty__"), f"filter.{TABLE}.latency.gt: expected a number"),
    (leaf("latency", "gt", "NaN"), f"filter.{TABLE}.latency.gt: expected a number within"),
    (leaf("latency", "gt", Decimal("1E+400")), f"filter.{TABLE}.latency.gt: expected a number"),
    (leaf("latency", "gt", 10**100), f"filter.{TABLE}.latency.gt: a number of more than"),
    (leaf("cost", "gt", Decimal("1E+30")), f"filter.{TABLE}.cost.gt: expected a number of at most"),
    (leaf("scores/q", "equals", "good"), f"filter.{TABLE}.scores.q.equals: expected a number"),
    (leaf("request_id", "equals", "no-uuid"), f"filter.{TABLE}.request_id.equals: expected a UUID"),
    (leaf("request_created_at", "gt", "soon"), "filter.request_response_rmt.request_created_at.gt"),
    (leaf("request_created_at", "gt", 1788000000), "filter.request_response_rmt.request_created"),
    (leaf("request_created_at", "gt", "0001-01-01T00:00:00+14:00"), "filter.request_response_rmt"),
    ({"type": "none"}, 'filter.type: expected "all"'),
    ({"type": "and"}, "filter.expressions: expected a list"),
    ({"type": "and", "expressions": [1]}, "filter.expressions.0: expected an object"),
    ({"type": "condition"}, "filter.field: expected an object"),
    (condition("model", "equals", "x"), "filter.operator: expected one of eq, is"),
    (condition("nothing", "eq", "x"), "filter.field.column: there is no such field"),
    (condition("model", "eq", "x", table="users_view"), "filter.field.table: there is no such"),
    (condition("properties", "eq", "x", key=5), "filter.field.key: expected the name"),
    (condition("status", "in", []), "filter.value: expected 1 to"),
    (condition("status", "in", [1] * (LIST_VALUES_MAX + 1)), "filter.value: expected 1 to"),
    (condition("status", "like", "2%"), "filter.value: this field takes"),
    ({"type": "condition", "field": {"column": "model"}, "operator": "eq"}, "filter.value: is req"),
    (chain(CONDITIONS_MAX + 1), "filter.right"),
    (alternating(DEPTH_MAX + 1), "…"),
]


@pytest.mark.parametrize(("node", "words"), REFUSED)
def test_what_is_not_understood_is_refused_by_its_field(node: Any, words: str) -> None:
    with pytest.raises(Refusal) as caught:
        compile_filter(node, REQUEST_TABLES, Parameters())
    assert caught.value.status == 422
    assert caught.value.message.startswith(words)
    assert len(caught.value.message) < 1200


def test_nothing_that_was_sent_is_in_the_text() -> None:
    parameters = Parameters()
    node = and_(
        leaf("properties/planted'key", "contains", "planted'value"),
        or_(leaf("request_body", "like", "planted'%"), leaf("property_key", "equals", "planted'")),
    )
    assert "planted" not in compile_filter(node, REQUEST_TABLES, parameters)
    assert parameters.values == ["planted'key", "planted'value", "planted'%", "planted'"]


def test_times_become_utc_without_a_zone() -> None:
    parameters = Parameters()
    compile_filter(
        leaf("request_created_at", "gte", "2026-09-01T02:00:00+02:00"), REQUEST_TABLES, parameters
    )
    assert parameters.values == [datetime(2026, 9, 1)]
