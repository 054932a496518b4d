"""Which batches need as much memory as a reader to be taken in, rather than what a writer has.

What is here was measured; what it says of a batch's text is mended by what `Analytics` learns.
"""

from storage.batch import Batch
from storage.memory_limit import WRITING_ROW_BYTES_MAX

# DuckDB's smallest. A batch of as many rows goes to the file at once, compressed; a smaller one
# goes into the log, and there once more at a checkpoint: twice the time, twice the bytes.
ROW_GROUP_ROWS = 2048
# Less text than this fits whatever it is.
ROOM_BYTES_MIN = 512 * 1024
# And of so much it is known that it does not: where whole row groups go to the file at once, and
# where smaller ones gather in the log.
ROOM_BYTES_USUAL = 4608 * 1024
ROOM_BYTES_IN_LOG = 2560 * 1024
# A row group of rows that each have three ids of their own does not fit either, whatever its text.
ROOM_SPANS = ROW_GROUP_ROWS // 4


def needs_room(batch: Batch, text_bytes: int) -> bool:
    """`text_bytes`: so much text did not fit before."""
    large = batch.largest_bytes > WRITING_ROW_BYTES_MAX
    compared = bool(batch.rewritten or batch.superseding or batch.deletions)
    gathers = len(batch) < ROW_GROUP_ROWS and batch.text_bytes >= ROOM_BYTES_IN_LOG
    much = len(batch) > ROW_GROUP_ROWS or batch.text_bytes >= text_bytes
    return large or compared or gathers or much or batch.spans >= ROOM_SPANS


def room_after(batch: Batch) -> int:
    """From how many bytes of text on others need room, after this one did not fit without."""
    return max(batch.text_bytes // 2, ROOM_BYTES_MIN)
