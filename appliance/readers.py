"""The threads in which DuckDB answers readers."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

import trio

from storage.analytics_place import go_behind

T = TypeVar("T")

READERS: Final = 4
_threads = trio.CapacityLimiter(READERS)
# A thread that went behind others cannot come back, so these are apart from trio's.
_readers = ThreadPoolExecutor(READERS, "reader", initializer=go_behind)


async def in_thread(work: Callable[..., T], *arguments: object) -> T:
    """DuckDB's calls of readers: a few threads, apart from those of ingest, and behind the loop:
    who asks must not hold up who calls."""

    def wait() -> T:
        return _readers.submit(work, *arguments).result()

    return await trio.to_thread.run_sync(wait, limiter=_threads)
