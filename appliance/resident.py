"""How much memory the process keeps: what only the start or a rare request needed is given back.

Libraries are mapped files: a page of them counts as ours once it was touched. Linux and glibc only;
elsewhere nothing happens.
"""

from __future__ import annotations

import ctypes
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from io import BytesIO
from pathlib import Path

import trio

SMAPS = Path("/proc/self/smaps")
FIRST_S = 1.0  # the stores are open soon after
EVERY_S = 15.0
SLICE_LINES = 100  # 0.1 ms
PIECE_BYTES = 4 * 2**20  # as long
# glibc gives each thread a heap of its own, where what it frees stays. It also keeps buffers of up
# to 32 MiB on its heaps once it has seen such a one go: a batch is larger than all that lies there.
ARENAS_MAX = 2
MAPPED_FROM_BYTES = 2**20
KEPT_FREE_BYTES = 2 * 2**20

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8  # <malloc.h>
MADV_DONTNEED = 4  # <sys/mman.h>

_MAPPING = re.compile(rb"([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ \d+ *(.*)\n?")
_LIBRARY = re.compile(rb"/.*\.so(\.[0-9.]+)?")

Place = tuple[int, int]  # address and size
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
    seen = await give_back(frozenset())
    await trio.sleep(FIRST_S)
    while True:
        seen = await give_back(seen)
        await trio.sleep(EVERY_S)


async def give_back(seen: frozenset[Place], path: Path = SMAPS) -> frozenset[Place]:
    """Lets go of the pages of libraries that were there already when `seen` was found; what is
    found now. Those in use come back from the page cache, each time sixteen together: a
    millisecond in all. 60 MB after the start, of which 35 come back.

    The last look counts because while a library is loaded its begin is for a moment mapped over
    all of it, data too, which is in no file once it has been written to.
    """
    advise = _madvise()
    # The kernel looks at every page for it: milliseconds, without the interpreter's lock.
    smaps = await trio.to_thread.run_sync(path.read_bytes)
    found = set()
    for place in unchanged(BytesIO(smaps)):
        if place is not None:
            found.add(place)
        if place in seen:
            await _let_go(*place, advise)
        else:
            await trio.lowlevel.checkpoint()
    return frozenset(found)


async def _let_go(start: int, size: int, advise: Advise) -> None:
    for piece in range(start, start + size, PIECE_BYTES):
        advise(piece, min(PIECE_BYTES, start + size - piece), MADV_DONTNEED)
        await trio.lowlevel.checkpoint()


def unchanged(smaps: Iterable[bytes]) -> Iterator[Place | None]:
    """What can be read again from its file; None between, to let others run. Shared libraries
    alone: nobody unmaps those between our look and what follows from it."""
    start = size = 0
    for number, line in enumerate(smaps, 1):
        if line.startswith(b"Anonymous:"):
            # Pages that relocation or a debugger wrote to are in no file.
            if size and line.split()[1] == b"0":
                yield start, size
        elif found := _MAPPING.match(line):
            first, last, rights, name = found.groups()
            start, size = int(first, 16), 0
            if rights in (b"r-xp", b"r--p") and _LIBRARY.fullmatch(name):
                size = int(last, 16) - start
        if number % SLICE_LINES == 0:
            yield None


def _madvise() -> Advise:
    call = ctypes.CDLL(None).madvise
    call.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    advise: Advise = call
    return advise
