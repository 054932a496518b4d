"""How much of the processors a helper process takes: what nobody else wants, unless it must get on.

On a busy machine that is some more requests a second than a low priority alone. A thread that was
made idle may not come back without privileges, so what hurries has a thread of its own.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")


def at_once(work: Callable[[], T], *, hurry: bool) -> T:
    """Without any pace: in this thread, as it is."""
    del hurry
    return work()


class Pace:
    """Makes the thread that makes it idle, for good."""

    def __init__(self) -> None:
        self._usual = ThreadPoolExecutor(1)
        self._usual.submit(os.getpid).result()  # a thread begins at the priority of its maker
        with suppress(OSError, AttributeError):  # where there is no such scheduler
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))

    def run(self, work: Callable[[], T], *, hurry: bool) -> T:
        """The work's result, or what it raises; one piece at a time. What does not hurry is done
        in this thread, whose memory is the cheaper one."""
        return self._usual.submit(work).result() if hurry else work()
