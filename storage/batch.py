"""A batch of derived rows on its way into DuckDB: doubles within it sorted out, columns built.

No DuckDB here: building is plain Python, done in steps so that an event loop can do it in slices.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from storage.arrow_block import Block
from storage.frames import FLAG_REWRITTEN, FLAG_SUPERSEDES, Position
from storage.rows import BODY_COLUMNS, EDIT_COLUMNS, REQUEST_COLUMNS

Row = tuple[Any, ...]

_NAMES = [name for name, _ in REQUEST_COLUMNS]
_ID, _SEGMENT, _OFFSET = (_NAMES.index(name) for name in ("exchange_id", "segment", "frame_offset"))
_REQUEST, _RESPONSE = (
    [name for name, _ in BODY_COLUMNS].index(name) for name in ("request", "response")
)
assert _RESPONSE == _REQUEST + 1
_TRACE = _NAMES.index("trace_id")
_KIND = [name for name, _ in EDIT_COLUMNS].index("kind")
_ERROR = _NAMES.index("derive_error")
ROW_BYTES_MAX = 2**30
TOO_LARGE = "MemoryError: the bodies are too large for the database's memory"


class FrameRows(NamedTuple):
    """What one frame became. `unreadable`: it was whole, but says nothing that has a row."""

    request: Row | None = None
    body: Row | None = None
    edits: Sequence[Row] = ()
    deletions: Sequence[Row] = ()
    unreadable: bool = False


class Batch:
    """Rows in the order of their frames. `rewritten` and `superseding` are the ids that the store
    has to compare with what it holds; all others are new."""

    def __init__(self, row_bytes_max: int = ROW_BYTES_MAX) -> None:
        """`row_bytes_max`: a row with more text than this goes in without it, and says so."""
        self.row_bytes_max = row_bytes_max
        self.edits: list[Row] = []
        self.deletions: list[Row] = []
        self.rewritten: set[bytes] = set()
        self.superseding: dict[bytes, Position] = {}
        self.text_bytes = 0
        self.largest_bytes = 0  # of text in one row
        self.spans = 0  # rows with ids of OpenTelemetry, which no other row has
        self.blocks: dict[str, Block] = {}
        self.restored_rows = 0  # of one that was built in another process
        self.restored_costs = 0
        self._exchanges: dict[bytes, tuple[Row, Row]] = {}

    def __len__(self) -> int:
        return self.restored_rows or len(self._exchanges) + len(self.edits) + len(self.deletions)

    @property
    def costs(self) -> int:
        """How many of the edits correct a cost."""
        return self.restored_costs or sum(bool(row) and row[_KIND] == "cost" for row in self.edits)

    def add(self, rows: FrameRows, flags: int) -> None:
        if rows.request is not None and rows.body is not None:
            self.add_exchange(rows.request, rows.body, flags)
        self.edits.extend(rows.edits)
        self.deletions.extend(rows.deletions)

    def add_exchange(self, request: Row, body: Row, flags: int) -> None:
        exchange_id = request[_ID]
        assert len(exchange_id) == 16, "row ids are raw bytes (storage.rows)"
        if flags & FLAG_SUPERSEDES:
            # also when written twice: the same replacement again changes nothing
            self.superseding[exchange_id] = Position(request[_SEGMENT], request[_OFFSET])
            self.rewritten.discard(exchange_id)
        elif exchange_id in self._exchanges:
            return
        elif flags & FLAG_REWRITTEN:
            self.rewritten.add(exchange_id)
        # Encoded one by one: all of a batch at once would hold up an event loop.
        texts = _utf8(body[_REQUEST]), _utf8(body[_RESPONSE])
        size = len(texts[0] or b"") + len(texts[1] or b"")
        if size > self.row_bytes_max:
            texts, size = (b"", b""), 0
            request = (*request[:_ERROR], TOO_LARGE, *request[_ERROR + 1 :])
        self._exchanges[exchange_id] = (
            request,
            (*body[:_REQUEST], *texts, *body[_RESPONSE + 1 :]),
        )
        self.text_bytes += size
        if request[_TRACE] is not None:
            self.spans += 1
        if size > self.largest_bytes:
            self.largest_bytes = size

    def pack(self) -> Iterator[None]:
        """Builds the columns, a few dozen microseconds between yields for rows of usual size."""
        tables = {
            "requests": [request for request, _ in self._exchanges.values()],
            "bodies": [body for _, body in self._exchanges.values()],
            "edits": self.edits,
            "deletions": self.deletions,
        }
        for table, rows in tables.items():
            if rows:
                block = Block(table, rows)
                yield from block.steps()
                self.blocks[table] = block


def _utf8(text: str | bytes | None) -> bytes | None:
    """Large ones come as UTF-8 already."""
    return text.encode("utf-8", "replace") if isinstance(text, str) else text
