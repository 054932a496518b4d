"""Filter trees of the REST API become one SQL condition over the views `requests` and `bodies`.

Pure. Both of Helicone's shapes are read (`backend.md 2.1`, `2.4`), with the leaves of both dialects
(`2.2`, `2.5`). Values become parameters, never text; what is not understood is a Refusal 422 that
names the field, because a filter that is ignored gives a list that lies.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Context, Decimal
from typing import Any, Final, Literal

from appliance.core.filter_values import Json, check_number, check_text, refuse
from appliance.core.text_search import any_case, rare_piece

DEPTH_MAX: Final = 50
CONDITIONS_MAX: Final = 500
LIST_VALUES_MAX: Final = 200
USD_MAX: Final = Decimal(10) ** 20
PICO: Final = Decimal("0.000000000001")
PICO_DIGITS: Final = Context(prec=60)
DEFAULT_TABLE: Final = "request_response_rmt"
UUID = re.compile(r"[0-9a-fA-F]{8}-?(?:[0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}")

# Operators of the n-ary shape by their names in the binary one.
EXPRESSION_OPERATORS: Final = {
    "eq": "equals", "is": "equals", "neq": "not-equals",
    **{name: name for name in ("gt", "gte", "lt", "lte", "like", "ilike", "contains",
                               "not-contains", "in")},
}  # fmt: skip
ORDER: Final = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
EQUALITY: Final = ("equals", "not-equals")
TEXTUAL: Final = (*EQUALITY, "like", "ilike", "contains", "not-contains")
NEGATIVE: Final = {"not-equals": "equals", "not-contains": "contains"}
OPERATORS: Final[dict[str, tuple[str, ...]]] = {
    "text": TEXTUAL,
    "uuid": TEXTUAL,
    "body": TEXTUAL,
    "key": TEXTUAL,
    "number": (*EQUALITY, *ORDER),
    "usd": (*EQUALITY, *ORDER),
    "score": (*TEXTUAL, *ORDER),
    "time": ("equals", *ORDER),
    "flag": ("equals",),
}

Kind = Literal["text", "uuid", "body", "key", "number", "usd", "score", "time", "flag"]


@dataclass(frozen=True, slots=True)
class Field:
    """One name of a leaf: what it is in SQL, with `{key}` for the name one level deeper where it is
    `nested`. `empty` is what "__empty__" asks where that is not the empty text."""

    kind: Kind
    sql: str
    nested: bool = False
    empty: str = ""


Tables = Mapping[str, Mapping[str, Field]]


class Parameters:
    """Values of a statement under construction; `add` gives what stands for one in its text."""

    def __init__(self) -> None:
        self.values: list[Any] = []

    def add(self, value: object) -> str:
        self.values.append(value)
        return f"${len(self.values)}"


def compile_filter(
    node: Json,
    tables: Tables,
    parameters: Parameters,
    *,
    path: str = "filter",
    bodies: bool = True,
) -> str:
    """A condition of SQL over what `tables` name. Without `bodies`, what is asked of them is taken
    for true: all that can be found is among what that finds. Raises Refusal 422."""
    return _Compiler(tables, parameters, bodies).node(node, path, 0)


@dataclass
class _Compiler:
    tables: Tables
    parameters: Parameters
    bodies: bool = True
    conditions: int = 0

    def node(self, node: Json, path: str, depth: int) -> str:
        """Any node of either shape; "all" and {} are true."""
        if node == "all":
            return "TRUE"
        if not isinstance(node, dict):
            refuse(path, 'expected an object or "all"')
        if depth > DEPTH_MAX:
            refuse(path, f"nested deeper than {DEPTH_MAX} levels")
        if isinstance(node.get("type"), str):
            return self._expression(node, path, depth)
        if _is_branch(node):
            return self._branch(node, path, depth)
        return self._all(self._leaf(node, path))

    def _branch(self, node: dict[str, Any], path: str, depth: int) -> str:
        """A chain of the same operator is one list: filters made by folding are deep, not large."""
        operator = node.get("operator")
        if operator not in ("and", "or"):
            refuse(f"{path}.operator", 'expected "and" or "or"')
        parts: list[str] = []
        waiting: list[tuple[Any, str]] = [(node, path)]
        while waiting:
            current, where = waiting.pop()
            if not (_is_branch(current) and current.get("operator") == operator):
                parts.append(self.node(current, where, depth + 1))
                continue
            if current.keys() != {"left", "operator", "right"}:
                refuse(where, "a branch has left, operator and right, and nothing else")
            waiting += (current["right"], f"{where}.right"), (current["left"], f"{where}.left")
        return f"({f' {operator.upper()} '.join(parts)})"

    def _expression(self, node: dict[str, Any], path: str, depth: int) -> str:
        kind = node["type"]
        if kind == "all":
            return "TRUE"
        if kind == "condition":
            return self._all(self._leaf_of_condition(node, path))
        if kind not in ("and", "or"):
            refuse(f"{path}.type", 'expected "all", "and", "or" or "condition"')
        parts = node.get("expressions")
        if not isinstance(parts, list):
            refuse(f"{path}.expressions", "expected a list")
        compiled = [
            self.node(part, f"{path}.expressions.{index}", depth + 1)
            for index, part in enumerate(parts)
        ]
        return f"({f' {kind.upper()} '.join(compiled)})" if compiled else "TRUE"

    def _leaf_of_condition(self, node: dict[str, Any], path: str) -> Iterator[str]:
        field, name = node.get("field"), node.get("operator")
        if not isinstance(field, dict) or not isinstance(field.get("column"), str):
            refuse(f"{path}.field", "expected an object with a column")
        operator = EXPRESSION_OPERATORS.get(name) if isinstance(name, str) else None
        if operator is None:
            refuse(f"{path}.operator", f"expected one of {', '.join(EXPRESSION_OPERATORS)}")
        if "value" not in node:
            refuse(f"{path}.value", "is required")
        column, key = field["column"], field.get("key")
        fields = self._fields(field.get("table") or DEFAULT_TABLE, f"{path}.field.table")
        if column == "ai_gateway":
            column, operator = "request_referrer", "equals"
            node = {"value": "ai-gateway" if str(node["value"]).lower() == "true" else ""}
        nested = field.get("subtype")
        if nested not in ("property", "score"):
            nested = "property" if "-" in column and column not in fields else None
        if nested and field.get("valueMode") == "key":
            column, key = f"search_{'properties' if nested == 'property' else 'scores'}", "*"
        elif nested:
            column, key = ("properties" if nested == "property" else "scores"), key or column
        value: Any = {operator: node["value"]}
        if column in fields and fields[column].nested:
            if not isinstance(key, str):
                refuse(f"{path}.field.key", "expected the name of a property or score")
            value = {key: value}
        yield from self._field(fields, column, value, f"{path}.field.column", f"{path}.value")

    def _leaf(self, node: dict[str, Any], path: str) -> Iterator[str]:
        """Several tables, fields and operators in one leaf are ANDed."""
        for table, content in node.items():
            where = f"{path}.{_shown(table)}"
            fields = self._fields(table, where)
            if not isinstance(content, dict):
                refuse(where, "expected an object of fields")
            if table == "properties":
                content, fields = {"properties": content}, self.tables[DEFAULT_TABLE]
                where = path
            for name, value in content.items():
                yield from self._field(fields, name, value, f"{where}.{_shown(name)}")

    def _fields(self, table: Json, where: str) -> Mapping[str, Field]:
        fields = self.tables.get(table) if isinstance(table, str) else None
        if fields is None:
            refuse(where, f"there is no such table here; expected one of {', '.join(self.tables)}")
        return fields

    def _field(
        self,
        fields: Mapping[str, Field],
        name: str,
        value: Json,
        path: str,
        value_path: str | None = None,
    ) -> Iterator[str]:
        field = fields.get(name)
        if field is None:
            refuse(path, f"there is no such field; expected one of {', '.join(fields)}")
        if not isinstance(value, dict):
            refuse(path, "expected an object")
        if not field.nested:
            yield from self._operators(field, "", value, path, value_path)
            return
        for key, operators in value.items():
            where = f"{path}.{_shown(key)}"
            check_text(key, where)
            if not isinstance(operators, dict):
                refuse(where, "expected an object of operators")
            yield from self._operators(field, key, operators, where, value_path)

    def _operators(
        self, field: Field, key: str, operators: dict[str, Any], path: str, value_path: str | None
    ) -> Iterator[str]:
        if not operators:
            refuse(path, "expected an operator")
        for operator, value in operators.items():
            where = value_path or f"{path}.{_shown(operator)}"
            if operator == "in" and value_path is not None:
                yield self._in(field, key, value, where)
                continue
            if operator not in OPERATORS[field.kind]:
                refuse(where, f"this field takes {', '.join(OPERATORS[field.kind])}")
            yield self._condition(field, key, operator, value, where)

    def _in(self, field: Field, key: str, value: Json, path: str) -> str:
        values = value if isinstance(value, list) else [value]
        if not 0 < len(values) <= LIST_VALUES_MAX:
            refuse(path, f"expected 1 to {LIST_VALUES_MAX} values")
        return f"({' OR '.join(self._condition(field, key, 'equals', v, path) for v in values)})"

    def _condition(self, field: Field, key: str, operator: str, value: Json, path: str) -> str:
        self.conditions += 1
        if self.conditions > CONDITIONS_MAX:
            refuse(path, f"more than {CONDITIONS_MAX} conditions")
        sql = field.sql
        if field.kind == "body" and not self.bodies:
            return "TRUE"
        if "{key}" in sql:
            check_text(key, path)
            sql = sql.replace("{key}", self.parameters.add(key))
        if value == "null" and operator in EQUALITY and field.kind not in ("body", "key"):
            return f"({sql}) IS {'NOT ' if operator == 'not-equals' else ''}NULL"
        if value == "__empty__" and operator in EQUALITY and field.empty:
            return f"{'NOT ' if operator == 'not-equals' else ''}({field.empty})"
        return _COMPARE[field.kind](self.parameters, sql, operator, value, path)

    @staticmethod
    def _all(parts: Iterator[str]) -> str:
        compiled = list(parts)
        return f"({' AND '.join(compiled)})" if compiled else "TRUE"


def _is_branch(node: Json) -> bool:
    return isinstance(node, dict) and not node.keys().isdisjoint(("left", "operator", "right"))


# -- comparisons: one function per kind of field


def _text(parameters: Parameters, sql: str, operator: str, value: Json, path: str) -> str:
    """A text that is missing is empty, as in Helicone's tables: `not-equals` finds it."""
    value = check_text(value, path)
    if value == "__empty__" and operator in EQUALITY:
        value = ""
    if operator == "equals" and value:
        return f"{sql} = {parameters.add(value)}"
    return _textual(parameters, f"coalesce({sql}, '')", operator, value, path)


def _textual(parameters: Parameters, sql: str, operator: str, value: str, path: str) -> str:
    if operator in EQUALITY:
        return f"{sql} {'=' if operator == 'equals' else '<>'} {parameters.add(value)}"
    if operator in ("like", "ilike"):
        if (len(value) - len(value.rstrip("\\"))) % 2:
            refuse(path, "a pattern must not end with its escape character")
        return f"{sql} {operator.upper()} {parameters.add(value)} ESCAPE '\\'"
    found = f"contains(lower({sql}), lower({parameters.add(value)}))"
    return found if operator == "contains" else f"NOT {found}"


def _uuid(parameters: Parameters, sql: str, operator: str, value: Json, path: str) -> str:
    if operator not in EQUALITY:
        return _text(parameters, f"CAST({sql} AS VARCHAR)", operator, value, path)
    if not isinstance(value, str) or not UUID.fullmatch(value):
        refuse(path, "expected a UUID")
    sign = "=" if operator == "equals" else "<>"
    return f"{sql} {sign} CAST({parameters.add(value)} AS UUID)"


def _body(parameters: Parameters, sql: str, operator: str, value: Json, path: str) -> str:
    """Bodies are read only for such a condition, and only ids come out of it."""
    if value == "null" and operator in EQUALITY:
        found, negative = f"{sql} IS NOT NULL", operator == "equals"
    else:
        negative, operator = operator in NEGATIVE, NEGATIVE.get(operator, operator)
        found = _text(parameters, sql, operator, value, path)
        if operator == "contains" and value:
            perhaps = _perhaps(parameters, sql, check_text(value, path))
            found = f"CASE WHEN {perhaps} THEN {found} ELSE FALSE END"
    within = f"r.exchange_id IN (SELECT b.exchange_id FROM bodies AS b WHERE {found})"  # noqa: S608
    return f"NOT {within}" if negative else within


def _perhaps(parameters: Parameters, sql: str, text: str) -> str:
    """Cheap, and true wherever the text is contained in any case. `regexp_matches` would say the
    same as `regexp_extract`, but is not asked within the scan, and takes twice as long there."""
    piece = " OR ".join(f"contains({sql}, {parameters.add(one)})" for one in rare_piece(text))
    return f"({piece}) AND regexp_extract({sql}, {parameters.add(any_case(text))}) <> ''"


def _key(parameters: Parameters, sql: str, operator: str, value: Json, path: str) -> str:
    """Some name in the map satisfies it; with the negative operators, none is or holds that."""
    positive = NEGATIVE.get(operator, operator)
    found = _textual(parameters, "k", positive, check_text(value, path), path)
    some = f"len(list_filter(map_keys({sql}), lambda k: {found})) > 0"
    return f"NOT ({some})" if operator in NEGATIVE else some


def _number(parameters: Parameters, sql: str, operator: str, value: Json, path: str) -> str:
    number = check_number(value, path)
    bound: int | float = float(number)
    if number == number.to_integral_value() and abs(number) < 2**63:
        bound = int(number)
    return f"({sql}) {_sign(operator)} {parameters.add(bound)}"


def _usd(parameters: Parameters, sql: str, operator: str, value: Json, path: str) -> str:
    number = check_number(value, path)
    if abs(number) > USD_MAX:
        refuse(path, f"expected a number of at most {USD_MAX}")
    exact = parameters.add(str(number.quantize(PICO, context=PICO_DIGITS)))
    return f"{sql} {_sign(operator)} CAST({exact} AS DECIMAL(38,12))"


def _score(parameters: Parameters, sql: str, operator: str, value: Json, path: str) -> str:
    """Only where the score is given at all."""
    if operator in ORDER or operator in EQUALITY:
        if value in ("true", "false"):
            value = value == "true"
        if isinstance(value, bool):
            value = int(value)
        return _number(parameters, sql, operator, value, path)
    return _textual(parameters, f"CAST({sql} AS VARCHAR)", operator, check_text(value, path), path)


def _time(parameters: Parameters, sql: str, operator: str, value: Json, path: str) -> str:
    if not isinstance(value, str):
        refuse(path, "expected a time in ISO 8601")
    try:
        time = datetime.fromisoformat(value.strip())
        if time.tzinfo is not None:
            time = time.astimezone(UTC).replace(tzinfo=None)
    except (ValueError, OverflowError):
        refuse(path, "expected a time in ISO 8601, as 2026-09-01T00:00:00Z")
    return f"{sql} {_sign(operator)} {parameters.add(time)}"


def _flag(parameters: Parameters, sql: str, operator: str, value: Json, path: str) -> str:
    if value in ("true", "false"):
        value = value == "true"
    if not isinstance(value, bool):
        refuse(path, "expected true or false")
    return f"({sql}) = {'TRUE' if value else 'FALSE'}"


_COMPARE: Final[dict[str, Callable[[Parameters, str, str, Json, str], str]]] = {
    "text": _text, "uuid": _uuid, "body": _body, "key": _key,
    "number": _number, "usd": _usd, "score": _score, "time": _time, "flag": _flag,
}  # fmt: skip


def _sign(operator: str) -> str:
    return {"equals": "=", "not-equals": "<>", **ORDER}[operator]


def _shown(name: str) -> str:
    return name if len(name) <= 64 else name[:64] + "…"
