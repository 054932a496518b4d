"""Column types as DuckDB writes them, parsed, and what they say about a value: how it travels over
the control socket and how it is written as JSON. Pure; knows no DuckDB.
"""

import base64
import json
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Literal
from uuid import UUID

Kind = Literal[
    "integer", "exact", "float", "boolean", "binary", "time", "json", "text", "list", "struct",
    "map", "any",
]  # fmt: skip
DEPTH_MAX = 32
INTEGERS = {
    "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT",
}  # fmt: skip
EXACT = {"DECIMAL", "HUGEINT", "UHUGEINT", "BIGNUM"}  # may have more digits than a machine word
# Characters that a terminal may obey, or that turn the order of text: never written raw.
UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
UNSAFE_IN_JSON = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


@dataclass(frozen=True, slots=True)
class ColumnType:
    """`parts` are the item of a list, key and value of a map, or the fields of a struct."""

    kind: Kind
    parts: tuple[tuple[str, "ColumnType"], ...] = ()


@lru_cache(maxsize=1024)
def parse_type(name: str, depth: int = 0) -> ColumnType:
    """Whatever is not understood is "any": its values are handled by what they are."""
    if depth > DEPTH_MAX:
        return ColumnType("any")
    if name.endswith("]"):
        item = parse_type(name[: name.rindex("[")], depth + 1)
        return ColumnType("list", (("", item),))
    word, bracket, inside = name.partition("(")
    if bracket and word in ("STRUCT", "MAP"):
        arguments = list(_split(inside.removesuffix(")")))
        if word == "MAP":
            parts = tuple(("", parse_type(part, depth + 1)) for part in arguments)
            return ColumnType("map", parts) if len(parts) == 2 else ColumnType("any")
        return ColumnType("struct", tuple(_field(part, depth) for part in arguments))
    return ColumnType(_kind_of(word))


def _kind_of(word: str) -> Kind:
    kinds: dict[str, Kind] = {
        "DOUBLE": "float", "FLOAT": "float", "BOOLEAN": "boolean", "BLOB": "binary",
        "JSON": "json", "VARCHAR": "text", "ENUM": "text", "BIT": "text",
    }  # fmt: skip
    if word in INTEGERS:
        return "integer"
    if word in EXACT:
        return "exact"
    if word.startswith("TIMESTAMP"):
        return "time"
    return kinds.get(word, "any")


def _split(text: str) -> Iterator[str]:
    """Parts between commas that stand in no bracket and no quotes."""
    depth, quote, start = 0, "", 0
    for index, character in enumerate(text):
        if quote:
            quote = "" if character == quote else quote
        elif character in "\"'":
            quote = character
        elif character in "([":
            depth += 1
        elif character in ")]":
            depth -= 1
        elif character == "," and depth == 0:
            yield text[start:index].strip()
            start = index + 1
    if text[start:].strip():
        yield text[start:].strip()


def _field(text: str, depth: int) -> tuple[str, ColumnType]:
    quoted = re.match(r'"((?:[^"]|"")*)"\s+', text)
    if quoted:
        return quoted[1].replace('""', '"'), parse_type(text[quoted.end() :], depth + 1)
    name, _, rest = text.partition(" ")
    return name, parse_type(rest, depth + 1)


# To the wire: None means that the value travels as it is.


def wire_converter(kind: ColumnType) -> Callable[[object], object] | None:
    """What makes a value of this type fit for MessagePack; None where it is fit already."""
    if kind.kind in ("integer", "float", "boolean", "binary", "json", "text"):
        return None
    if kind.kind == "time":
        return wire_time
    if kind.kind in ("list", "struct", "map") and _travels(kind):
        return None
    return wire_value


def _travels(kind: ColumnType) -> bool:
    if kind.kind == "map":
        return all(part.kind in ("json", "text") for _, part in kind.parts)
    return all(wire_converter(part) is None for _, part in kind.parts)


def wire_time(value: object) -> object:
    if not isinstance(value, datetime):
        return wire_value(value)
    if value.tzinfo is not None:
        value = value.astimezone(UTC).replace(tzinfo=None)
    return value.isoformat() + "Z"


def wire_value(value: object) -> object:
    """Any value, by what it is. Exact numbers become text, times ISO-8601, identifiers text."""
    if value is None or isinstance(value, str | bool | float | bytes):
        return value
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, int):
        return value if -(1 << 63) <= value < 1 << 63 else str(value)
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, datetime):
        return wire_time(value)
    if isinstance(value, dict):
        return {_wire_key(key): wire_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [wire_value(item) for item in value]
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return f"{value.days} days {value.seconds}.{value.microseconds:06d} seconds"
    if isinstance(value, bytearray | memoryview):
        return bytes(value)
    return str(value)


def _wire_key(key: object) -> str:
    """Maps become objects, so their keys become text."""
    value = wire_value(key)
    return value if isinstance(value, str) else write_json(ColumnType("any"), value)


# JSON from wire values, by type: exact numbers keep every digit.


def write_json(kind: ColumnType, value: object) -> str:
    if value is None:
        return "null"
    if kind.kind == "exact" and isinstance(value, str):
        return value
    if kind.kind == "json" and isinstance(value, str):
        # Line ends stand only between tokens: a string cannot hold them raw.
        return _shield(value.replace("\n", " ").replace("\r", " "))
    if isinstance(value, dict):
        parts = dict(kind.parts) if kind.kind == "struct" else {}
        other = kind.parts[1][1] if kind.kind == "map" else ColumnType("any")
        pairs = (
            f"{_string(str(name))}: {write_json(parts.get(name, other), item)}"
            for name, item in value.items()
        )
        return "{" + ", ".join(pairs) + "}"
    if isinstance(value, list | tuple):
        item = kind.parts[0][1] if kind.kind == "list" else ColumnType("any")
        return "[" + ", ".join(write_json(item, part) for part in value) + "]"
    return _scalar(value)


def _scalar(value: object) -> str:
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else "null"
    if isinstance(value, bytes):
        return f'"{base64.b64encode(value).decode()}"'
    return str(value) if isinstance(value, int) else _string(str(value))


def _string(value: str) -> str:
    return _shield(json.dumps(value, ensure_ascii=False))


def _shield(text: str) -> str:
    return UNSAFE_IN_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def visible(text: str) -> str:
    """Text for a terminal: what it would obey is written out (`\\x1b`, `\\n`, `\\u202e`)."""
    return UNSAFE.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    short = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
    code = ord(found[0])
    return short.get(found[0]) or (f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}")
