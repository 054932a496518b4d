"""How much memory the process keeps: what only the start or a rare request needed is given back.

Libraries are mapped files: a page of them counts as ours once it was touched. Linux and glibc only;
elsewhere nothing happens.
"""

from __future__ import annotations

import ctypes
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import trio

SMAPS = Path("/proc/self/smaps")
FIRST_S = 2.0  # the stores are open by then
EVERY_S = 60.0
SLICE_LINES = 100  # 0.2 ms
# glibc gives each thread a heap of its own, where what it frees stays. It also keeps buffers of up
# to 32 MiB on its heaps once it has seen such a one go: a batch is larger than all that lies there.
ARENAS_MAX = 2
MAPPED_FROM_BYTES = 2**20
KEPT_FREE_BYTES = 2 * 2**20

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8  # <malloc.h>
MADV_DONTNEED = 4  # <sys/mman.h>

_MAPPING = re.compile(r"([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ \d+ *(.*)")
_LIBRARY = re.compile(r"/.*\.so(\.[0-9.]+)?")

Advise = Callable[[int, int, int], int]


def tame_heap() -> None:
    """Before there are threads."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_ARENA_MAX, ARENAS_MAX)
        mallopt(M_MMAP_THRESHOLD, MAPPED_FROM_BYTES)
        mallopt(M_TRIM_THRESHOLD, KEPT_FREE_BYTES)


async def keep_small() -> None:
    """Until cancelled."""
    if sys.platform != "linux":
        return
    await trio.sleep(FIRST_S)
    while True:
        await give_back()
        await trio.sleep(EVERY_S)


async def give_back(path: Path = SMAPS) -> None:
    """Lets go of the pages of libraries. Those in use come back from the page cache, each time
    sixteen together: a millisecond in all. 60 MB after the start, of which 35 come back."""
    advise = _madvise()
    with path.open(encoding="utf-8", errors="replace") as lines:
        for start, size in unchanged(lines):
            if size:
                advise(start, size, MADV_DONTNEED)
            else:
                await trio.lowlevel.checkpoint()


def unchanged(smaps: Iterable[str]) -> Iterator[tuple[int, int]]:
    """Address and size of what can be read again from its file; between them (0, 0), to let others
    run. Shared libraries alone: nobody unmaps those between our look and what follows from it."""
    start = size = 0
    for number, line in enumerate(smaps, 1):
        if line.startswith("Anonymous:"):
            # Pages that relocation or a debugger wrote to are in no file.
            if size and line.split()[1] == "0":
                yield start, size
        elif found := _MAPPING.match(line):
            first, last, rights, name = found.groups()
            start, size = int(first, 16), 0
            if rights in ("r-xp", "r--p") and _LIBRARY.fullmatch(name):
                size = int(last, 16) - start
        if number % SLICE_LINES == 0:
            yield 0, 0


def _madvise() -> Advise:
    call = ctypes.CDLL(None).madvise
    call.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    advise: Advise = call
    return advise
