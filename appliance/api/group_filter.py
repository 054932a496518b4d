"""A filter that speaks of groups (sessions, users) and of the requests in them is taken apart: what
concerns requests chooses rows, what concerns groups chooses among the groups (`backend.md 2.3`).

Pure. The two are joined by "and" alone: whether a group is found must not depend on which of its
requests was looked at, so an "or" across them is refused.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from typing import Any, Final

from appliance.core.filter_values import Json, refuse
from appliance.core.filters import DEFAULT_TABLE, Field, Parameters, compile_filter

PARTS_MAX: Final = 500


def split_filter(node: Json, groups: Container[str]) -> tuple[Json, Json]:
    """(of requests, of groups), each a filter tree. `groups`: the tables that are of groups."""
    rows: list[Json] = []
    found: list[Json] = []
    for part in _conjuncts(node, 0):
        kinds = {table in groups for table in _tables(part, 0)}
        if kinds == {True, False}:
            refuse("filter", 'conditions on requests and on groups may be joined by "and" alone')
        (found if True in kinds else rows).append(part)
    return _joined(rows), _joined(found)


def compile_groups(
    node: Json, table: str, fields: Mapping[str, Field], parameters: Parameters
) -> str:
    """The condition on groups."""
    return compile_filter(node, {table: fields, DEFAULT_TABLE: {}}, parameters)


def _joined(parts: list[Json]) -> Json:
    return {"type": "and", "expressions": parts} if parts else "all"


def _conjuncts(node: Json, depth: int) -> Iterator[Json]:
    if depth > PARTS_MAX:
        refuse("filter", f"nested deeper than {PARTS_MAX} levels")
    if isinstance(node, dict) and node.get("operator") == "and" and "left" in node:
        yield from _conjuncts(node.get("left"), depth + 1)
        yield from _conjuncts(node.get("right"), depth + 1)
    elif isinstance(node, dict) and node.get("type") == "and":
        parts = node.get("expressions")
        for part in parts if isinstance(parts, list) else [node]:
            yield from _conjuncts(part, depth + 1) if part is not node else iter((node,))
    elif isinstance(node, dict) and len(node) > 1 and not {"left", "right", "type"} & node.keys():
        for table, content in node.items():  # several tables in one leaf are joined by "and"
            yield {table: content}
    else:
        yield node


def _tables(node: Any, depth: int) -> Iterator[str]:  # noqa: ANN401 - JSON of a stranger
    """The tables that a part names; what is no filter is left to the compiler to refuse."""
    if not isinstance(node, dict):
        return
    if depth > PARTS_MAX:
        refuse("filter", f"nested deeper than {PARTS_MAX} levels")
    if node.get("type") == "condition":
        field = node.get("field")
        yield str(field.get("table") or DEFAULT_TABLE) if isinstance(field, dict) else DEFAULT_TABLE
    elif isinstance(node.get("type"), str):
        parts = node.get("expressions")
        for part in parts if isinstance(parts, list) else ():
            yield from _tables(part, depth + 1)
    elif {"left", "right"} & node.keys():
        yield from _tables(node.get("left"), depth + 1)
        yield from _tables(node.get("right"), depth + 1)
    else:
        yield from (str(table) for table in node)
