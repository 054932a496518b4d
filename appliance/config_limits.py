"""What this machine allows the process: memory by its control group, open files by its limits.

Each reading is a hint for a default, so whatever cannot be read counts as "no limit known".
"""

import resource
from pathlib import Path

FILES_MAX = 1 << 20  # where the hard limit says "infinity"
UNLIMITED_FROM = 1 << 60  # version 1 writes a huge number for "no limit"


def cgroup_memory_limit(
    proc: Path = Path("/proc/self/cgroup"), mount: Path = Path("/sys/fs/cgroup")
) -> int | None:
    """The smallest memory limit over our control group and its parents, versions 1 and 2."""
    try:
        lines = proc.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return None
    found: list[int] = []
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, group = rest.partition(":")
        if not controllers:
            found += _limits_upwards(mount, group, "memory.max")
        elif "memory" in controllers.split(","):
            found += _limits_upwards(mount / "memory", group, "memory.limit_in_bytes")
    return min(found, default=None)


def _limits_upwards(mount: Path, group: str, file: str) -> list[int]:
    found = []
    parts = [part for part in group.split("/") if part and part != ".."]
    for depth in range(len(parts), -1, -1):
        limit = _read_limit(mount.joinpath(*parts[:depth], file))
        if limit is not None:
            found.append(limit)
    return found


def _read_limit(file: Path) -> int | None:
    try:
        word = file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None
    if not word.isdecimal() or int(word) >= UNLIMITED_FROM:
        return None
    return int(word)


def file_limit() -> int:
    """How many files may be open once the soft limit has been raised to the hard one."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return FILES_MAX if hard == resource.RLIM_INFINITY else min(hard, FILES_MAX)


def raise_file_limit() -> int:
    """Raise the soft limit of open files to the hard one; return what holds now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = file_limit()
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return wanted if soft == resource.RLIM_INFINITY else soft
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (OSError, ValueError):
        return soft
    return wanted
