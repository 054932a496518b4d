"""A batch whose columns were built in another process: what goes through the pipe, and back.

The description is plain values; the buffers lie one behind another in one piece of memory, which
DuckDB then reads where it lies.
"""

import ctypes
from collections.abc import Iterator, Mapping
from typing import Any

from storage.arrow_block import Block
from storage.batch import Batch
from storage.columns import Column
from storage.frames import Position

ALIGN_BYTES = 8

Description = dict[str, Any]


def describe(batch: Batch, buffers: list[memoryview]) -> Description:
    """What `restore` needs beside the buffers, which are appended to `buffers` in their order.
    The batch must be packed."""
    places = _Places(buffers)
    return {
        "rows": len(batch),
        "text_bytes": batch.text_bytes,
        "largest_bytes": batch.largest_bytes,
        "spans": batch.spans,
        "edits": len(batch.edits),
        "costs": batch.costs,
        "deletions": batch.deletions,
        "rewritten": list(batch.rewritten),
        "superseding": [(key, *position) for key, position in batch.superseding.items()],
        "blocks": {
            table: [block.length, [places.column(column) for column in block.columns]]
            for table, block in batch.blocks.items()
        },
    }


def restore(description: Mapping[str, Any], memory: bytearray) -> Batch:
    """The batch as it was described. `memory` holds its buffers and stays as it is."""
    whole = (ctypes.c_char * len(memory)).from_buffer(memory)
    base = ctypes.addressof(whole)
    batch = Batch()
    batch.restored_rows = description["rows"]
    batch.text_bytes = description["text_bytes"]
    batch.largest_bytes = description["largest_bytes"]
    batch.spans = description["spans"]
    batch.edits = [()] * description["edits"]
    batch.restored_costs = description["costs"]
    batch.deletions = [tuple(row) for row in description["deletions"]]
    batch.rewritten = set(description["rewritten"])
    batch.superseding = {
        key: Position(segment, offset) for key, segment, offset in description["superseding"]
    }
    batch.blocks = {
        table: Block.of_columns(table, length, [_column(part, base) for part in columns], whole)
        for table, (length, columns) in description["blocks"].items()
    }
    return batch


class _Places:
    """Where each buffer comes to lie."""

    def __init__(self, buffers: list[memoryview]) -> None:
        self._buffers = buffers
        self._end = 0

    def column(self, column: Column) -> list[Any]:
        places = [self._place(buffer) for buffer in column.buffers]
        return [column.length, column.nulls, places, [self.column(c) for c in column.children]]

    def _place(self, buffer: Any) -> int | None:  # noqa: ANN401 - whatever has bytes
        if buffer is None:
            return None
        view = memoryview(buffer).cast("B")
        place = self._end
        self._buffers.append(view)
        padding = -len(view) % ALIGN_BYTES
        if padding:
            self._buffers.append(memoryview(bytes(padding)))
        self._end += len(view) + padding
        return place


def _column(part: list[Any], base: int) -> Column:
    length, nulls, places, children = part
    return Column(
        length,
        nulls,
        tuple(None if place is None else base + place for place in places),
        tuple(_column(child, base) for child in children),
    )


def joined(buffers: list[memoryview]) -> Iterator[bytes | memoryview]:
    """The buffers in few pieces: large ones as they are, small ones together."""
    small = bytearray()
    for buffer in buffers:
        if len(buffer) > 64 * 1024:
            if small:
                yield bytes(small)
                small.clear()
            yield buffer
        else:
            small += buffer
    if small:
        yield bytes(small)
