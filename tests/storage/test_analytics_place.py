"""Who answers questions goes behind who serves calls."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from storage.analytics_place import NICE, Place, connect, go_behind


def threads() -> dict[int, int]:
    """Of this process, with their niceness."""
    found = {}
    for name in os.listdir("/proc/self/task"):
        try:
            found[int(name)] = os.getpriority(os.PRIO_PROCESS, int(name))
        except ProcessLookupError:
            continue
    return found


def test_a_database_works_behind_the_thread_that_opened_it(tmp_path: Path) -> None:
    before, usual = threads(), os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    connection = connect(Place(None, False, 64 * 2**20, 2, tmp_path, None))
    try:
        connection.execute("SELECT sum(range) FROM range(3000000)").fetchall()
        made = {tid: nice for tid, nice in threads().items() if tid not in before}
        assert set(made.values()) == {usual + NICE}
        assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == usual
    finally:
        connection.close()


def test_a_thread_that_goes_behind_goes_alone() -> None:
    usual = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    with ThreadPoolExecutor(1, initializer=go_behind) as thread:
        assert thread.submit(os.getpriority, os.PRIO_PROCESS, 0).result() == usual + NICE
    assert os.getpriority(os.PRIO_PROCESS, 0) == usual
