"""What `status` tells: of a server that runs, by itself; else of its directories, as they lie.

For whoever owns the data directory: paths and errors are told. No key, no text of a call.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from appliance import __version__
from appliance.assembly import regions_of
from appliance.config import Config
from appliance.services import reports_of
from appliance.services_notices import NO_LINKS, NO_MAIL
from storage.directory import lock_holder
from storage.segment import segment_numbers

if TYPE_CHECKING:
    from appliance.actors.region import Region
    from appliance.process import Server

FILES_MAX = 100_000  # looked at for the size of a folder; beyond it the sum is a lower bound
STATE_FILES = ("state.sqlite", "state.sqlite-wal")
HOT_FILES = ("analytics.duckdb", "analytics.duckdb.wal")


def live_status(server: Server) -> dict[str, Any]:
    """Of a server, by itself. Looks at no file but for the space that is left."""
    health = server.operations.health()
    door, memory = server.door, server.config.memory
    return {
        "ok": health.status == "healthy" and server.ready,
        "running": True,
        "status": health.status if server.ready else "draining",
        "version": __version__,
        "pid": os.getpid(),
        "url": server.url(),
        "budget_mode": server.config.budget_mode,
        "uptime_s": round(time.monotonic() - server.began_s),
        "connections": door.connections,
        "connections_max": server.config.connections_max,
        "calls_under_way": door.sweeper.under_way(),
        "connections_refused": door.refused,
        "memory_bytes": resident_bytes(),
        "memory_bytes_max": memory.total,
        "captured_bytes": server.house.recorder.budget.held_bytes,
        "captured_bytes_max": memory.capture,
        "degraded": [
            {"part": part, "detail": detail, "since": since}
            for part, since, detail in health.reasons
        ],
        "hints": hints_of(server.config),
        "actors": [report._asdict() for report in reports_of(server)],
        "regions": [_region(name, region) for name, region in server.regions.items()],
    }


def hints_of(config: Config) -> list[str]:
    """What is not configured, and what does not work for want of it."""
    return [
        *([NO_MAIL] if config.smtp is None else []),
        *([NO_LINKS] if not config.public_url else []),
    ]


def _region(name: str, region: Region) -> dict[str, Any]:
    written, stats = region.journal.written, region.journal.stats
    return {
        "region": name,
        "directory": str(region.directory),
        "journal_segment": written.segment,
        "journal_offset": written.offset,
        "journal_frames": stats.frames,
        "unsynced_bytes": stats.unsynced_bytes,
        "backlog_bytes": stats.backlog_bytes,
        "ingest_lag_frames": region.ingest.lag_frames,
        "ingest_lag_s": round(region.ingest.lag_s, 3),
        "rate_limit_buckets": len(region.limiter),
        "disk_free_bytes": shutil.disk_usage(region.directory).free,
    }


def offline_status(config: Config) -> dict[str, Any]:
    """What the directories tell when no server answers. Takes no lock, changes nothing."""
    return {
        "ok": False,
        "running": False,
        "status": "no server is running on this directory",
        "version": __version__,
        "regions": [_directory(name, config.root(name)) for name in regions_of(config)],
    }


def _directory(name: str, root: Path) -> dict[str, Any]:
    found: dict[str, Any] = {"region": name, "directory": str(root)}
    if not (root / "FORMAT").exists():
        return found | {"state": "there is no data directory"}
    numbers = segment_numbers(root)
    return found | {
        "state": _lock_state(root),
        "journal_segments": len(numbers),
        "journal_last": max(numbers, default=0),
        "journal_bytes": folder_bytes(root / "journal"),
        "lake_bytes": folder_bytes(root / "lake"),
        "blobs_bytes": folder_bytes(root / "blobs"),
        "quarantine_bytes": folder_bytes(root / "quarantine"),
        "state_bytes": sum(_size(root / file) for file in STATE_FILES),
        "database_bytes": sum(_size(root / file) for file in HOT_FILES),
        "disk_free_bytes": shutil.disk_usage(root).free,
    }


def _lock_state(root: Path) -> str:
    """Whoever holds the lock without answering is a command, or a server that starts or ends."""
    with suppress(OSError):
        descriptor = os.open(root / "lock", os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return f"in use by process {lock_holder(root) or 'unknown'}, which does not answer"
        finally:
            os.close(descriptor)
    return "closed"


def folder_bytes(folder: Path) -> int:
    """The sizes of the files below, as far as they can be seen."""
    return sum(size for size, _ in zip(_sizes(folder), range(FILES_MAX), strict=False))


def _sizes(folder: Path) -> Iterator[int]:
    for base, _, names in os.walk(folder):
        for name in names:
            yield _size(Path(base, name))


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except OSError:
        return 0  # it has just gone


def resident_bytes() -> int:
    """What the process has in memory; 0 where the kernel does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
