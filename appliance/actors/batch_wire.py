"""What the two ends of ingest's helper process say to each other."""

import struct
from typing import Any

import msgspec

# The first argument of a frozen executable, which has no `-m`.
ARGUMENT = "batch-helper"
# Lengths of description and columns.
ANSWER = struct.Struct(">IQ")

Place = tuple[int, int]


class Ask(msgspec.Struct):
    """A batch, please: frames from `start` to `goal`, as many as fit. Records of `large_bytes` and
    more come alone; `bare`: without their bodies, as always above `row_bytes_max`; `hurry`:
    somebody waits, or much has gathered."""

    start: Place
    goal: Place
    rows_max: int
    text_bytes_max: int
    large_bytes: int
    bare: bool
    first_segment: int
    row_bytes_max: int
    hurry: bool = False


class Damaged(msgspec.Struct, array_like=True):
    """`storage.reader.Damage`."""

    segment: int
    offset: int
    bytes: int
    reason: str


class Gathered(msgspec.Struct):
    """The batch. `end`: where the next one begins; `counted`: frames from `first_segment` on;
    `counts`: what to add to the deriver's; `description`: see `storage.packed`."""

    end: Place = (0, 0)
    counted: int = 0
    recorded_at_us: int = 0
    counts: dict[str, int] = {}
    damages: list[Damaged] = []
    description: dict[str, Any] = {}
    failed: str = ""
