"""Rows turned into Arrow column buffers in plain Python: what DuckDB takes in one call.

Knows DuckDB type names and bytes; nothing of DuckDB, tables or files. A value that does not fit
its column becomes NULL here: one odd record must not stop the others.
"""

import re
import struct
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import accumulate, chain
from typing import Any, TypeAlias
from uuid import UUID

Values: TypeAlias = Sequence[Any]
# An int is an address: the buffer is kept elsewhere.
Buffer: TypeAlias = "bytes | array[int] | array[float] | int | None"

_EPOCH = datetime(1970, 1, 1)
_MICROSECOND = timedelta(microseconds=1)
_KEY, _EXTENSION = b"ARROW:extension:name", b"arrow.uuid"
_UUID_METADATA = struct.pack(
    f"=ii{len(_KEY)}si{len(_EXTENSION)}s", 1, len(_KEY), _KEY, len(_EXTENSION), _EXTENSION
)


@dataclass(frozen=True, slots=True)
class Column:
    """Buffers in the Arrow layout of its type, validity first; buffer None means all are valid."""

    length: int
    nulls: int
    buffers: tuple[Buffer, ...]
    children: tuple["Column", ...] = ()


@dataclass(frozen=True, slots=True)
class Shape:
    """A column's name, Arrow format and how to build it."""

    name: bytes
    format: bytes
    build: Callable[[Values], Column]
    metadata: bytes | None = None
    children: tuple["Shape", ...] = ()


def table_shape(columns: Sequence[tuple[str, str]]) -> Shape:
    """A table's columns under one nameless root."""
    parts = tuple(shape_of(name, kind) for name, kind in columns)
    return Shape(b"", b"+s", _never, children=parts)


def shape_of(name: str, kind: str) -> Shape:
    """The shape of a column of DuckDB type `kind`."""
    raw = name.encode()
    if kind.startswith("MAP("):
        return _map_shape(raw)
    if kind.endswith("[]"):
        return _list_shape(raw, shape_of("item", kind.removesuffix("[]")))
    if kind.startswith("STRUCT("):
        return _struct_shape(raw, kind)
    form, build = _SIMPLE[kind]
    return Shape(raw, form, build, _UUID_METADATA if kind == "UUID" else None)


def _map_shape(name: bytes) -> Shape:
    parts = (Shape(b"key", b"u", text), Shape(b"value", b"u", text))
    entries = Shape(b"entries", b"+s", _never, children=parts)
    return Shape(name, b"+m", maps, children=(entries,))


def _list_shape(name: bytes, item: Shape) -> Shape:
    return Shape(name, b"+l", lambda values: lists(values, item.build), children=(item,))


def _struct_shape(name: bytes, kind: str) -> Shape:
    fields = re.findall(r"(\w+) (\w+)", kind.removeprefix("STRUCT("))
    parts = tuple(shape_of(field, of) for field, of in fields)
    builders = [(field, part.build) for (field, _), part in zip(fields, parts, strict=True)]

    def build(values: Values) -> Column:
        children = (make([value.get(field) for value in values]) for field, make in builders)
        return Column(len(values), 0, (None,), tuple(children))

    return Shape(name, b"+s", build, children=parts)


def _never(values: Values) -> Column:
    raise AssertionError("built by its parent")


def text(values: Values) -> Column:
    """Offsets and UTF-8. Lone surrogates become `?`, bytes are taken as UTF-8, other types are
    written out."""
    length = len(values)
    if _is_constant(values):
        return _constant_text(values[0], length)
    try:
        joined = "".join(values)
        if joined.isascii():
            return Column(length, 0, (None, _offsets(values), joined.encode()))
    except TypeError:
        pass
    nulls = values.count(None)
    encoded = [_as_utf8(value) for value in values]
    validity = _validity(values) if nulls else None
    return Column(length, nulls, (validity, _offsets(encoded), b"".join(encoded)))


def _constant_text(value: object, length: int) -> Column:
    if value is None:
        return Column(length, length, (_no_bits(length), bytes(4 * length + 4), b""))
    encoded = _as_utf8(value)
    size = len(encoded)
    ends = array("i", range(0, size * length + 1, size)) if size else bytes(4 * length + 4)
    return Column(length, 0, (None, ends, encoded * length))


def _as_utf8(value: object) -> bytes:
    if isinstance(value, bytes):
        return value
    return b"" if value is None else str(value).encode("utf-8", "replace")


def blobs(values: Values) -> Column:
    nulls = values.count(None)
    raw = [value or b"" for value in values]
    validity = _validity(values) if nulls else None
    return Column(len(values), nulls, (validity, _offsets(raw), b"".join(raw)))


def ids(values: Values) -> Column:
    """16 bytes each; uuid.UUID and text are taken too."""
    try:
        joined = b"".join(values)
    except TypeError:
        joined = b""
    length = len(values)
    if len(joined) == 16 * length and set(map(len, values)) <= {16}:
        return Column(length, 0, (None, joined))
    values = [_as_id(value) for value in values]
    joined = b"".join([value or bytes(16) for value in values])
    return Column(length, values.count(None), (_validity(values), joined))


def _as_id(value: object) -> bytes | None:
    try:
        raw = value if isinstance(value, bytes) else UUID(str(value)).bytes if value else None
    except ValueError:
        return None
    return raw if raw is None or len(raw) == 16 else None


def _number(code: str) -> Callable[[Values], Column]:
    def build(values: Values) -> Column:
        length = len(values)
        try:
            return Column(length, 0, (None, array(code, values)))
        except (TypeError, OverflowError):
            pass
        if values[0] is None and values.count(None) == length:
            return Column(length, length, (_no_bits(length), bytes(8 * length)))
        values = [_as_number(value, code) for value in values]
        filled = array(code, [0 if value is None else value for value in values])
        return Column(length, values.count(None), (_validity(values), filled))

    return build


def _as_number(value: object, code: str) -> int | float | None:
    if isinstance(value, datetime):
        value = value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
        value = (value - _EPOCH) // _MICROSECOND
    if not isinstance(value, int | float):
        return None
    try:
        array(code, (value,))
    except (TypeError, OverflowError):
        return None
    return value


def booleans(values: Values) -> Column:
    length, nulls = len(values), values.count(None)
    bits = _bits("".join(["1" if value else "0" for value in reversed(values)]))
    return Column(length, nulls, (_validity(values) if nulls else None, bits))


def lists(values: Values, items: Callable[[Values], Column]) -> Column:
    nulls = values.count(None)
    validity = _validity(values) if nulls else None
    filled = [value or () for value in values] if nulls else values
    inner = items(list(chain.from_iterable(filled)))
    return Column(len(values), nulls, (validity, _offsets(filled)), (inner,))


def maps(values: Values) -> Column:
    nulls = values.count(None)
    validity = _validity(values) if nulls else None
    filled = [value or {} for value in values] if nulls else values
    keys = text([_as_utf8(key) for key in chain.from_iterable(filled)])
    inner = text(list(chain.from_iterable([value.values() for value in filled])))
    entries = Column(keys.length, 0, (None,), (keys, inner))
    return Column(len(values), nulls, (validity, _offsets(filled)), (entries,))


def _is_constant(values: Values) -> bool:
    # Most text columns hold one value over a batch: found out in 10 ns a row, it saves 80.
    return bool(values) and values[0] == values[-1] and values.count(values[0]) == len(values)


def _offsets(values: Values) -> "array[int]":
    return array("i", accumulate(map(len, values), initial=0))


def _validity(values: Values) -> bytes:
    return _bits("".join(["0" if value is None else "1" for value in reversed(values)]))


def _bits(digits: str) -> bytes:
    return int(digits or "0", 2).to_bytes((len(digits) + 7) // 8, "little")


def _no_bits(length: int) -> bytes:
    return bytes((length + 7) // 8)


_SIMPLE: dict[str, tuple[bytes, Callable[[Values], Column]]] = {
    "UUID": (b"w:16", ids),
    "VARCHAR": (b"u", text),
    "BLOB": (b"z", blobs),
    "TIMESTAMP": (b"tsu:", _number("q")),
    "BIGINT": (b"l", _number("q")),
    "INTEGER": (b"i", _number("i")),
    "DOUBLE": (b"g", _number("d")),
    "BOOLEAN": (b"b", booleans),
}
