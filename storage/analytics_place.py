"""Where an analytics database lives, what it may use, and the settings that follow from it."""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import duckdb

CHECKPOINT_BYTES = 5 * 2**20
# Of threads that answer questions: half the share of those that serve calls.
NICE: Final = 3


@dataclass(frozen=True)
class Place:
    """Where it lives and what it may use."""

    path: Path | None
    read_only: bool
    memory_bytes_max: int
    threads: int
    temporary: Path | None
    deletion_key: bytes | None

    @property
    def in_memory(self) -> bool:
        return self.path is None or self.read_only


def config_of(place: Place) -> dict[str, str | bool | int | float | list[str]]:
    """What DuckDB is opened with."""
    return {
        "memory_limit": f"{place.memory_bytes_max}B",
        "threads": str(place.threads),
        "temp_directory": str(place.temporary or ""),
        "checkpoint_threshold": f"{CHECKPOINT_BYTES}B",
        # A checkpoint would join the small row groups that earlier ones wrote, and read their text
        # 2,048 rows at a time: 20 bodies of 1 MiB did not fit the writer's memory, and what is read
        # like that later does not fit a reader's. Groups without rows are dropped all the same.
        "max_vacuum_tasks": "0",
        # To choose an order of joins DuckDB first adds up what row groups say of each column of a
        # view: a third of what a page's statement takes. The views here are joined as written.
        "disabled_optimizers": "join_order",
        # Files are on this machine's disk: handing each read to another thread costs more.
        "async_threads": "0",
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
        # Python variables must not be readable by name from SQL
        "python_enable_replacements": "false",
    }


def go_behind() -> None:
    """This thread, and those that it starts, give way to the others of the process, for good."""
    os.nice(NICE)  # on Linux of the calling thread alone


def connect(place: Place) -> duckdb.DuckDBPyConnection:
    """DuckDB's own threads have the priority of the one that starts them."""
    with ThreadPoolExecutor(1, initializer=go_behind) as thread:
        return thread.submit(duckdb.connect, ":memory:", config=config_of(place)).result()
