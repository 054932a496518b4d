"""`upgrade-check`: whether this version can go on from a data directory that an older one made, and
what it would change. All of it is tried on copies; a server of the older version may run meanwhile.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, Literal, NamedTuple

from appliance import __version__, assembly
from appliance.config import Config
from appliance.config_kinds import show_size
from appliance.control_client import ControlClient, ControlError
from storage.analytics_failure import AnalyticsFailed
from storage.directory import FORMAT_VERSION
from storage.state import StateBroken
from storage.trial import (
    COLUMNS_OF,
    DATABASE,
    STATE,
    Shape,
    TrialFailed,
    copy_state,
    format_of,
    shape_of,
    shape_of_file,
    try_database,
    try_state,
)

# What a start writes besides: a journal segment, the database's log, the lock.
ROOM_BYTES: Final = 64 * 2**20
SHOWN_MAX: Final = 8
PAGE_ROWS: Final = 10_000
ANEW: Final = "is made anew from journal and lake at the start"
Outcome = Literal["ok", "changes", "failed"]


class Tried(NamedTuple):
    """What was tried, what came of it, and how long it took."""

    part: str
    outcome: Outcome
    detail: str
    seconds: float = 0.0


def examine(config: Config) -> Iterator[Tried]:
    """Everything, in the order in which a start would come to it. Raises ConfigError."""
    began_s = time.monotonic()
    assembly.parts_of(config, [])
    yield Tried(
        "configuration", "ok", f"version {__version__} takes it", time.monotonic() - began_s
    )
    for name in assembly.regions_of(config):
        tail = "" if name == "us" else f" ({name})"
        for tried in _region(config, name):
            yield tried._replace(part=tried.part + tail)


def _region(config: Config, name: str) -> Iterator[Tried]:
    root = config.root(name)
    try:
        found = format_of(root)
    except TrialFailed as why:
        yield Tried("directory", "failed", str(why))
        return
    known = "as this version has it" if found == FORMAT_VERSION else f"becomes {FORMAT_VERSION}"
    changes: Outcome = "ok" if found == FORMAT_VERSION else "changes"
    yield Tried("directory", changes, f"{root} has format {found}, {known}")
    needed = ROOM_BYTES
    with tempfile.TemporaryDirectory(prefix="helicone-upgrade-") as folder:
        room = _room_for_copy(root, Path(folder))
        if room is not None:
            yield room
            return
        tried, grown = _state(root, Path(folder), name)
        yield tried
        needed += grown
        # An encrypted directory has none: its rows are in memory.
        if (root / DATABASE).exists():
            tried = _database(config, name, Path(folder))
            yield tried
            if tried.detail.startswith(ANEW):
                needed += (root / DATABASE).stat().st_size
    yield _disk(root, needed)


def _room_for_copy(root: Path, folder: Path) -> Tried | None:
    """None: there is enough. The copy grows while it is changed."""
    files = (root / STATE, root / f"{STATE}-wal")
    wanted = 3 * sum(file.stat().st_size for file in files if file.exists())
    free = shutil.disk_usage(folder).free
    if free > wanted:
        return None
    return Tried(
        "copy", "failed",
        f"{size(wanted)} are needed for a copy of {STATE} in {folder.parent}, where {size(free)} "
        "are free: name another folder in TMPDIR",
    )  # fmt: skip


def _state(root: Path, folder: Path, region: str) -> tuple[Tried, int]:
    """And how many bytes more it took while it was changed."""
    if not (root / STATE).exists():
        return Tried("state", "changes", f"there is no {STATE}: it is made"), 0
    copy = folder / STATE
    try:
        copy_state(root, copy)
        bytes_of = copy.stat().st_size
        trial = try_state(copy, region)
    except (StateBroken, TrialFailed, OSError, ValueError) as why:
        return Tried("state", "failed", str(why).replace(str(copy), str(root / STATE))), 0
    if not trial.steps:
        detail = f"{size(bytes_of)}, nothing to change"
        return Tried("state", "ok", detail, trial.seconds), trial.grown_bytes
    steps = shortened([f"{name} ({seconds:.2f} s)" for name, seconds in trial.steps])
    detail = f"{size(bytes_of)}, {len(trial.steps)} steps: {steps}"
    if trial.added:
        detail += f"; new: {shortened(trial.added)}"
    return Tried("state", "changes", detail, trial.seconds), trial.grown_bytes


def _database(config: Config, name: str, folder: Path) -> Tried:
    """A database that cannot be brought forward is no failure: it holds nothing of its own."""
    began_s = time.monotonic()
    try:
        shape, whose = _shape(config, name)
        trial = try_database(shape, folder / DATABASE)
    except (TrialFailed, AnalyticsFailed, ControlError) as why:
        took_s = time.monotonic() - began_s
        return Tried("database", "changes", f"{ANEW}, which takes a while: {why}", took_s)
    tried = f"tried on an empty one of the same shape ({whose})"
    if not trial.added:
        return Tried("database", "ok", f"nothing to change; {tried}", trial.seconds)
    detail = f"new: {shortened(trial.added)}; {tried}"
    return Tried("database", "changes", detail, trial.seconds)


def _shape(config: Config, name: str) -> tuple[Shape, str]:
    """A server has the file to itself: it is asked."""
    roots = dict.fromkeys((config.root(name), config.data_dir))
    clients = (ControlClient.connect(root) for root in roots)
    client = next((client for client in clients if client is not None), None)
    if client is None:
        return shape_of_file(config.root(name) / DATABASE), "from the file"
    with client:
        sql = COLUMNS_OF.format("store", "store")
        result = client.rows("query", {"sql": sql, "region": name})
        rows = []
        while page := result.fetch(PAGE_ROWS):
            rows += page
    return shape_of(rows), "from the running server"


def _disk(root: Path, needed: int) -> Tried:
    free = shutil.disk_usage(root).free
    said = f"{size(free)} free, {size(needed)} needed"
    if free < needed:
        return Tried("disk", "failed", f"{said}: make room on the disk of {root}")
    return Tried("disk", "ok", said)


def shortened(words: Sequence[str]) -> str:
    """A few of them; the rest as a number."""
    rest = len(words) - SHOWN_MAX
    return ", ".join(words[:SHOWN_MAX]) + (f" and {rest} more" if rest > 0 else "")


def size(bytes_: int) -> str:
    """For a person: rounded to MiB where it is more than one."""
    return f"{bytes_ / 2**20:,.0f} MiB" if bytes_ >= 2**20 else show_size(bytes_)
