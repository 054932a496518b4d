"""What user SQL may be: one SELECT or WITH over the tables that are shown, calling functions that
are allowed. Looks at the tree that DuckDB's own parser made, never at the text.

The process around it has no way to a file anyway; this is the line that answers with a clear word.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import duckdb

from storage.sandbox_functions import ALLOWED, ALLOWED_TABLES

SQL_CHARACTERS_MAX: Final = 100_000
NODES_MAX: Final = 50_000
# A name that a query gives a part of itself. Nothing that could be a file, or one of DuckDB's own.
_OWN_NAME = re.compile(r"(?!duckdb_|pg_|sqlite_|pragma_|information_schema)\w{1,100}", re.I)
_CLASSES: Final = frozenset((
    "BETWEEN", "CASE", "CAST", "COLLATE", "COLUMN_REF", "COMPARISON", "CONJUNCTION", "CONSTANT",
    "FUNCTION", "LAMBDA", "LAMBDA_REF", "OPERATOR", "POSITIONAL_REFERENCE", "STAR", "SUBQUERY",
    "TYPE", "WINDOW",
))  # fmt: skip
_SOURCES: Final = frozenset(
    ("BASE_TABLE", "EMPTY", "EXPRESSION_LIST", "JOIN", "SUBQUERY", "TABLE_FUNCTION")
)
# Their names in the tree are those of the window, not of a function.
_WORDS = re.compile(r"\w+")

Node = dict[str, Any]


class SqlRefused(Exception):  # noqa: N818 - whoever asked is told
    """`code` is one of Helicone's (backend.md 6)."""

    def __init__(self, code: str, details: str) -> None:
        super().__init__(details)
        self.code = code
        self.details = details


@dataclass(frozen=True, slots=True)
class Asked:
    """What a query that may run asks for. `is_limited`: it has a LIMIT of its own. `sql`: with
    positions in GROUP BY where it has the name of an expression: ClickHouse takes that for the
    expression, DuckDB for a column of that name if there is one."""

    tables: frozenset[str]
    functions: frozenset[str]
    bodies: bool
    is_limited: bool
    sql: str


def check(
    connection: duckdb.DuckDBPyConnection,
    sql: str,
    *,
    tables: frozenset[str],
    macros: frozenset[str],
    body_columns: frozenset[str],
) -> Asked:
    """Raises SqlRefused."""
    statement = _statement(connection, sql)
    nodes = list(_nodes(statement))
    own = {name for node in nodes for name in _named_parts(node)}
    for name in own:
        if not _OWN_NAME.fullmatch(name):
            raise SqlRefused("INVALID_STATEMENT", f'WITH cannot be given the name "{name[:100]}"')
    used = set()
    functions = set()
    bodies = False
    for node in nodes:
        if node.get("type") == "SELECT_NODE":
            bodies = bodies or _shows_all(node, tables)
        if "class" in node:
            bodies = bodies or _names_body(node, body_columns)
            functions |= _expression(node, macros)
        elif "alias" in node and "sample" in node:
            table = _source(node)
            if table and table not in own and table not in tables:
                raise SqlRefused("INVALID_TABLE", _no_table(table, tables))
            used |= {table} & tables
    positions = [found for node in nodes for found in _grouped_by_name(node)]
    if positions:
        return check(
            connection, _edited(sql, positions), tables=tables, macros=macros,
            body_columns=body_columns,
        )  # fmt: skip
    return Asked(
        frozenset(used),
        frozenset(functions),
        bodies or "bodies" in used,
        any(m.get("type") in ("LIMIT_MODIFIER", "LIMIT_PERCENT_MODIFIER")
            for m in statement.get("modifiers", ())),
        sql,
    )  # fmt: skip


def _statement(connection: duckdb.DuckDBPyConnection, sql: str) -> Node:
    if len(sql) > SQL_CHARACTERS_MAX:
        raise SqlRefused("INVALID_STATEMENT", f"longer than {SQL_CHARACTERS_MAX} characters")
    if "\0" in sql:
        raise SqlRefused("SYNTAX_ERROR", "it has a NUL character")
    found = connection.execute("SELECT json_serialize_sql($1)", [sql]).fetchone()
    assert found is not None
    try:
        tree = json.loads(found[0])
    except RecursionError:
        raise SqlRefused("INVALID_STATEMENT", "nested too deeply") from None
    if tree["error"]:
        if tree["error_type"] == "not implemented":
            raise SqlRefused("INVALID_STATEMENT", "only SELECT and WITH … SELECT are allowed here")
        raise SqlRefused("SYNTAX_ERROR", str(tree["error_message"]))
    if len(tree["statements"]) != 1:
        raise SqlRefused(
            "INVALID_STATEMENT", f"expected one statement, found {len(tree['statements'])}"
        )
    node: Node = tree["statements"][0]["node"]
    return node


def _nodes(root: Node) -> Iterator[Node]:
    """Every object of the tree, in no order."""
    left: list[Any] = [root]
    count = 0
    while left:
        value = left.pop()
        if isinstance(value, list):
            left.extend(value)
        elif isinstance(value, dict):
            count += 1
            if count > NODES_MAX:
                raise SqlRefused("INVALID_STATEMENT", "it has too many parts")
            left.extend(value.values())
            yield value


def _named_parts(node: Node) -> list[str]:
    """The names of a WITH, in small letters."""
    parts = node.get("cte_map")
    return [part["key"].lower() for part in parts["map"]] if isinstance(parts, dict) else []


def _expression(node: Node, macros: frozenset[str]) -> set[str]:
    """The function that it calls, if it is one."""
    kind = node["class"]
    if kind == "PARAMETER":
        raise SqlRefused("INVALID_STATEMENT", "parameters ($1, ?) have no value here")
    if kind not in _CLASSES:
        raise SqlRefused("INVALID_STATEMENT", f"this kind of expression is not allowed: {kind}")
    if kind not in ("FUNCTION", "WINDOW"):
        return set()
    path = node.get("qualified_name", {}).get("path") or [node["function_name"]]
    name = str(path[-1]).lower()
    if not _WORDS.fullmatch(name):
        return set()  # an operator
    if len(path) != 1 or (name not in ALLOWED and name not in macros):
        raise SqlRefused(
            "INVALID_STATEMENT", f"the function {'.'.join(path)[:100]} is not allowed here"
        )
    return {name}


def _names_body(node: Node, body_columns: frozenset[str]) -> bool:
    names = node.get("column_names") or ()
    return node["class"] == "COLUMN_REF" and any(name.lower() in body_columns for name in names)


def _shows_all(select: Node, tables: frozenset[str]) -> bool:
    """Whether it says `*` of one of the tables."""
    sources, left = [], [select["from_table"]]
    while left:
        source = left.pop()
        if source.get("type") == "JOIN":
            left += [source["left"], source["right"]]
        else:
            sources.append(str(source.get("table_name", "")).lower())
    if tables.isdisjoint(sources):
        return False
    parts = {name: part for name, part in select.items() if name != "from_table"}
    return any(node.get("class") == "STAR" for node in _nodes(parts))


def _source(node: Node) -> str:
    """The table that it names, in small letters; empty for other parts of FROM."""
    kind = node["type"]
    if kind == "TABLE_FUNCTION":
        name = str(node["function"].get("function_name", "")).lower()
        if name not in ALLOWED_TABLES:
            raise SqlRefused("INVALID_TABLE", f"the table function {name[:100]} is not allowed")
        return ""
    if kind not in _SOURCES:
        what = "DESCRIBE, SHOW and SUMMARIZE" if kind == "SHOW_REF" else kind
        raise SqlRefused("INVALID_STATEMENT", f"{what} cannot be used here")
    if kind != "BASE_TABLE":
        return ""
    if node.get("at_clause"):
        raise SqlRefused("INVALID_STATEMENT", "AT cannot be used here")
    path = node.get("qualified_name", {}).get("path") or [node["table_name"]]
    return ".".join(path).lower()


def _no_table(table: str, tables: frozenset[str]) -> str:
    return f'there is no table "{table[:100]}"; tables: {", ".join(sorted(tables))}'


def _grouped_by_name(node: Node) -> Iterator[tuple[int, int, int]]:
    """Place and length of a name in GROUP BY, in bytes, and the position of what is called so."""
    if node.get("type") != "SELECT_NODE":
        return
    named = {
        part["alias"].lower(): number
        for number, part in enumerate(node["select_list"], 1)
        if part.get("alias") and part.get("column_names", [""])[-1:] != [part["alias"]]
    }
    if any(part.get("class") == "STAR" for part in node["select_list"]):
        return  # positions are not known
    for part in node.get("group_expressions", ()):
        names = part.get("column_names", ())
        if part["class"] == "COLUMN_REF" and len(names) == 1 and names[0].lower() in named:
            yield part["query_location"], part["query_location_length"], named[names[0].lower()]


def _edited(sql: str, positions: list[tuple[int, int, int]]) -> str:
    data = sql.encode()
    for place, length, number in sorted(positions, reverse=True):
        data = data[:place] + b"%d" % number + data[place + length :]
    return data.decode("utf-8", "replace")
