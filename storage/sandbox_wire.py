"""What the server and a sandbox process say to each other over their socket.

A job is a length and JSON, with the descriptors of the files that it may read; an answer is frames
of a kind, a length and bytes. Nothing here blocks or knows of SQL.
"""

import json
import struct
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal

Form = Literal["rows", "csv", "json", "parquet"]

HEAD: Final = struct.Struct(">cI")
LENGTH: Final = struct.Struct(">I")
JOB_BYTES_MAX: Final = 16 * 2**20
FRAME_BYTES_MAX: Final = 4 * 2**20
# The kernel passes 253 at once.
FILES_MAX: Final = 240

DATA: Final = b"D"  # a piece of the result
DONE: Final = b"E"  # Done
REFUSED: Final = b"F"  # {"code", "details"}
NEEDS_BODIES: Final = b"N"  # the same job is to come again with bodies
READY: Final = b"R"  # the process has started and its limits hold


@dataclass(frozen=True, slots=True)
class LakeFiles:
    """`storage.manifest.LakeView` as JSON can carry it; keys are base64."""

    generation: int = 0
    upto_segment: int = 0
    files: dict[str, list[str]] = field(default_factory=dict)
    epochs: dict[str, int] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Hot:
    """Which of the files that came along hold the rows that are not in the lake yet, by table."""

    files: dict[str, list[int]] = field(default_factory=dict)
    edited: bool = False
    repriced: bool = False
    superseded: bool = False
    hidden: bool = False
    has_bodies: bool = False


@dataclass(frozen=True, slots=True)
class Job:
    """`rows_max`: more is an error. `rows_usual`: as many come where the query has no LIMIT."""

    sql: str
    organization: str
    form: Form
    rows_max: int
    bytes_max: int
    rows_usual: int | None = None
    lake: LakeFiles | None = None
    hot: Hot = field(default_factory=Hot)
    root: str = ""  # left out of messages

    def encoded(self) -> bytes:
        """As it travels."""
        data = json.dumps(asdict(self)).encode()
        return LENGTH.pack(len(data)) + data


def decode_job(data: bytes) -> Job:
    """What `Job.encoded` made, without the length."""
    values: dict[str, Any] = json.loads(data)
    lake = values.pop("lake")
    hot = values.pop("hot")
    return Job(lake=LakeFiles(**lake) if lake else None, hot=Hot(**hot), **values)


@dataclass(frozen=True, slots=True)
class Done:
    """`truncated`: there was more than `rows_usual`. `columns`: name, as rows have it, and type."""

    rows: int
    bytes: int
    columns: list[list[str]]
    truncated: bool = False
