"""Which price lists a region's calls were charged by: `prices.json` in its directory.

Rows are made of the journal's frames more than once: when they are recorded, when their segment
goes into the lake, when the database is made anew. What was recorded keeps its price, so a list
that is no longer configured is kept here for as long as a frame of its time is only in the journal.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from storage.disk import Disk
from storage.frames import Position

NAME = "prices.json"
VERSION = 1
# More are no use of a reload within an hour; the oldest goes, and its calls are priced by the next.
ERAS_MAX = 100

Prices = list[dict[str, Any]]


class ErasUnreadable(Exception):  # noqa: N818 - it is an answer
    """One line that says what to do."""


@dataclass(frozen=True, slots=True)
class Era:
    """From `start` on these price rows hold; of calls that the server began itself, for those that
    came at `since_us` or later (microseconds since 1970; 0: for all)."""

    start: Position
    since_us: int
    prices: Prices


def read(root: Path) -> list[Era]:
    """Oldest first; none of a directory that no server of this kind has served. Raises OSError,
    ErasUnreadable."""
    path = root / NAME
    try:
        told = json.loads(path.read_bytes())
        if told["version"] != VERSION:
            raise ValueError(f"version {told['version']}")
        return [
            Era(Position(int(one["segment"]), int(one["offset"])), int(one["since_us"]),
                [dict(row) for row in one["prices"]])
            for one in told["eras"]
        ]  # fmt: skip
    except FileNotFoundError:
        return []
    except (ValueError, KeyError, TypeError) as error:
        raise ErasUnreadable(
            f"{path} cannot be read ({type(error).__name__}: {error}): move it away, then what is "
            "not in the lake yet is priced by the prices of now"
        ) from None


def write(root: Path, eras: Sequence[Era], disk: Disk | None = None) -> None:
    """All of them, durably, or none. Blocking. Raises OSError."""
    told = [
        {"segment": era.start.segment, "offset": era.start.offset, "since_us": era.since_us,
         "prices": era.prices}
        for era in eras
    ]  # fmt: skip
    data = json.dumps({"version": VERSION, "eras": told}).encode()
    (disk or Disk()).replace(root / NAME, data)


def with_era(eras: Sequence[Era], era: Era, rolled_upto: int) -> list[Era]:
    """`era` after the others, without those whose last frame is in the lake; the same where it
    brings no other prices. The first of all holds from the journal's begin."""
    kept = [
        one for one, after in pairwise(eras)
        if after.start > Position(rolled_upto + 1, 0)
    ]  # fmt: skip
    kept += eras[-1:]
    if not kept:
        return [Era(Position(0, 0), 0, era.prices)]
    if kept[-1].prices != era.prices:
        kept.append(era)
    return kept[-ERAS_MAX:]


def take_up(root: Path, prices: Prices, at: Position, rolled_upto: int) -> list[Era]:
    """Those that hold when something goes on to write at `at`, with `prices` from there on; kept.
    Blocking. Raises OSError, ErasUnreadable."""
    known = read(root)
    eras = with_era(known, Era(at, 0, prices), rolled_upto)
    if eras != known:
        write(root, eras)
    return eras


def as_job(eras: Sequence[Era]) -> dict[str, Any]:
    """As a helper process is told, and `appliance.providers.price_eras` takes it."""
    told = [[era.start.segment, era.start.offset, era.since_us, era.prices] for era in eras]
    return {"eras": told}
