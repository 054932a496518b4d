"""Columns handed to DuckDB through Arrow's C data interface, without PyArrow (which costs 50 MB).

DuckDB then copies the buffers with the GIL released. Every C structure here is an array of 64-bit
words, built in one go: as ctypes structures the same costs 2 ms a batch.
"""

import ctypes
from array import array
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Any, TypeVar

from storage.columns import Buffer, Column, Shape, table_shape
from storage.rows import TABLES

# Word numbers within ArrowSchema and ArrowArray (Arrow's C data interface).
_SCHEMA_WORDS, _SCHEMA_RELEASE = 9, 7
_ARRAY_WORDS, _ARRAY_RELEASE = 10, 8
_NULLABLE = 2

_TURNED_ROWS = 500  # rows turned into columns at one go: 0.2 ms

_Node = TypeVar("_Node", Shape, Column)

_capsule = ctypes.pythonapi.PyCapsule_New
_capsule.restype = ctypes.py_object
_capsule.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]


# The memory belongs to the block and goes with it: releasing only marks the structure.
def _mark_schema(address: int) -> None:
    ctypes.c_void_p.from_address(address + 8 * _SCHEMA_RELEASE).value = None


def _mark_array(address: int) -> None:
    ctypes.c_void_p.from_address(address + 8 * _ARRAY_RELEASE).value = None


_Release = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
_release_schema, _release_array = _Release(_mark_schema), _Release(_mark_array)
_RELEASE_SCHEMA = ctypes.cast(_release_schema, ctypes.c_void_p).value or 0
_RELEASE_ARRAY = ctypes.cast(_release_array, ctypes.c_void_p).value or 0

_SHAPES = {table: table_shape(columns) for table, columns in TABLES.items()}


class Block:
    """Rows of one table as columns. Run `steps` to the end before DuckDB reads it."""

    def __init__(self, table: str, rows: Sequence[tuple[Any, ...]]) -> None:
        self.length = len(rows)
        self.columns: list[Column] = []
        self._shape = _SHAPES[table]
        self._rows = rows
        self._kept: list[Any] = []

    @classmethod
    def of_columns(cls, table: str, length: int, columns: list[Column], memory: object) -> "Block":
        """One whose columns are there already. `memory` is what their addresses point into."""
        block = cls(table, ())
        block.length, block.columns = length, columns
        block._kept.append(memory)
        return block

    def steps(self) -> Iterator[None]:
        """Builds one column between yields: the caller decides when to let others run."""
        turned = []
        for start in range(0, self.length, _TURNED_ROWS):
            turned.append(list(zip(*self._rows[start : start + _TURNED_ROWS], strict=True)))
            yield
        for number, shape in enumerate(self._shape.children):
            values = tuple(chain.from_iterable([part[number] for part in turned]))
            self.columns.append(shape.build(values))
            yield

    def __arrow_c_schema__(self) -> object:
        words = _words(_SCHEMA_WORDS, self._shape, self._schema_words, self._kept)
        return _capsule(words.buffer_info()[0], b"arrow_schema", None)

    def __arrow_c_array__(self, requested_schema: object = None) -> tuple[object, object]:
        root = Column(self.length, 0, (None,), tuple(self.columns))
        words = _words(_ARRAY_WORDS, root, self._array_words, self._kept)
        array_capsule = _capsule(words.buffer_info()[0], b"arrow_array", None)
        return self.__arrow_c_schema__(), array_capsule

    def _schema_words(self, shape: Shape, children: int) -> tuple[int, ...]:
        return (
            _address(shape.format), _address(shape.name), _address(shape.metadata), _NULLABLE,
            len(shape.children), children, 0, _RELEASE_SCHEMA, 0,
        )  # fmt: skip

    def _array_words(self, column: Column, children: int) -> tuple[int, ...]:
        buffers = array("q", [_address(buffer) for buffer in column.buffers])
        self._kept.append(buffers)
        return (
            column.length, column.nulls, 0, len(buffers), len(column.children),
            buffers.buffer_info()[0], children, 0, _RELEASE_ARRAY, 0,
        )  # fmt: skip


def _words(
    size: int, root: _Node, describe: Callable[[_Node, int], tuple[int, ...]], kept: list[Any]
) -> "array[int]":
    """One structure per node of the tree, parents before children, pointers between them set."""
    nodes: list[Any] = [root]
    first_child: list[int] = []
    for node in nodes:  # grows while it runs: breadth first
        first_child.append(len(nodes))
        nodes.extend(node.children)
    words = array("q", bytes(8 * size * len(nodes)))
    base = words.buffer_info()[0]
    pointers = array("q", range(base, base + 8 * size * len(nodes), 8 * size))
    pointers_base = pointers.buffer_info()[0]
    flat: list[int] = []
    for node, child in zip(nodes, first_child, strict=True):
        flat.extend(describe(node, pointers_base + 8 * child))
    words[:] = array("q", flat)
    kept += [words, pointers]
    return words


def _address(buffer: Buffer) -> int:
    if buffer is None:
        return 0
    if isinstance(buffer, array):
        return buffer.buffer_info()[0]
    if isinstance(buffer, int):
        return buffer
    return ctypes.cast(ctypes.c_char_p(buffer), ctypes.c_void_p).value or 0
