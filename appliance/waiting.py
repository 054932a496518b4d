"""A progress bar for what takes longer than a second, if it does. Whoever is done sooner does not
load what draws it."""

import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from rich.progress import Progress

SHOWN_AFTER_S: Final = 1.0


class LateBar:
    """Shown from another thread when it is time."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._lock = threading.Lock()
        self._told: Mapping[str, Any] = {}
        self._bar: Progress | None = None
        self._ended = False

    def advance(self, told: Mapping[str, Any]) -> None:
        """How far it is: `done` of `total`, either of which may be missing."""
        with self._lock:
            self._told = told
            self._draw()

    def show(self) -> None:
        """On stderr, if a person reads it."""
        bar = progress_bar()
        with self._lock:
            if self._ended:
                return
            bar.add_task(self._what, total=None)
            bar.start()
            self._bar = bar
            self._draw()

    def end(self) -> None:
        """It goes, and does not come any more."""
        with self._lock:
            self._ended = True
            if self._bar is not None:
                self._bar.stop()

    def _draw(self) -> None:
        if self._bar is not None:
            done, total = self._told.get("done"), self._told.get("total")
            self._bar.update(self._bar.task_ids[0], completed=done, total=total)


@contextmanager
def waiting(what: str) -> Iterator[LateBar]:
    """Until the work is done. Nothing is shown where stderr is no terminal."""
    bar = LateBar(what)
    timer = threading.Timer(SHOWN_AFTER_S, bar.show)
    timer.daemon = True
    if sys.stderr.isatty():
        timer.start()
    try:
        yield bar
    finally:
        timer.cancel()
        bar.end()


def progress_bar() -> "Progress":
    """On stderr, only for a person, gone when done."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
    )  # fmt: skip
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
