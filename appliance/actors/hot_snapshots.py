"""One region's hot rows for user SQL, as the loop sees them: copied in a thread, one at a time."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import trio

from storage.analytics import Analytics
from storage.analytics_place import go_behind
from storage.query import QueryCancelled, QueryFailed
from storage.snapshot import HotSnapshot, SnapshotTooLarge, Taken

FAILURES: Final = (QueryFailed, QueryCancelled, SnapshotTooLarge, OSError)


class SnapshotFailed(Exception):  # noqa: N818
    """The hot rows could not be copied; the text is for the log."""


class HotSnapshots:
    """Kept while queries come."""

    def __init__(
        self,
        analytics: Callable[[], Analytics | None],
        directory: Path | None,
    ) -> None:
        """`directory`: where they lie; None for memory."""
        self._analytics = analytics
        self._snapshot = HotSnapshot(directory)
        self._one = trio.Lock()
        self._is_kept = False
        # Whoever calls goes first: while queries come, what they call is copied all the time.
        self._thread = ThreadPoolExecutor(1, "hot rows", initializer=go_behind)

    async def take(self, *, bodies: bool) -> Taken:
        """The lake and the hot rows as of now; to be let go. Raises SnapshotFailed."""
        async with self._one:
            analytics = self._analytics()
            if analytics is None:
                raise SnapshotFailed("the analytics store is being opened")
            self._is_kept = True
            try:
                return await trio.to_thread.run_sync(
                    lambda: self._thread.submit(
                        self._snapshot.take, analytics, bodies=bodies
                    ).result()
                )
            except FAILURES as error:
                raise SnapshotFailed(f"{type(error).__name__}: {error}") from error

    async def rest(self) -> None:
        """Give the copies back."""
        if self._is_kept:
            async with self._one:
                self._is_kept = False
                self._snapshot.drop()
