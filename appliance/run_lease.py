"""Who uses a server that is there for `run`s alone: each of them holds a shared lock on a file of
the data directory while it needs the server, and the server ends once it gets that lock for itself.
The kernel gives back the lock of whoever dies, so nobody is left behind. Knows nothing of programs.
"""

import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Self

import trio

USERS: Final = "run.lock"
TURN: Final = "run.turn"
VARIABLE: Final = "HELICONE_RUN_LEASE"  # tells a server the path of its `run.lock`
POLL_S: Final = 0.02
SERVER_POLL_S: Final = 0.1
FACTS_BYTES_MAX: Final = 4096


class Lease:
    """One `run`'s share in the server of a directory. Closing it (or dying) gives it back."""

    def __init__(self, root: Path) -> None:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path = root / USERS
        self._users = _opened(self.path)
        self._turn = _opened(root / TURN)

    @contextmanager
    def turn(self, wait_s: float) -> Iterator[None]:
        """`run`s begin and end one after another: two that begin together start one server, and
        nobody begins with one that ends. Raises TimeoutError."""
        _wait(self._turn, fcntl.LOCK_EX, wait_s)
        try:
            yield
        finally:
            fcntl.flock(self._turn, fcntl.LOCK_UN)

    def take(self, wait_s: float) -> None:
        """From here on the server stays. One that ends keeps it from us until it has gone. Raises
        TimeoutError."""
        _wait(self._users, fcntl.LOCK_SH, wait_s)

    def give_back(self) -> bool:
        """Whether nobody else has a share: then the server ends. In one's turn."""
        last = _locked(self._users, fcntl.LOCK_EX)
        fcntl.flock(self._users, fcntl.LOCK_UN)
        return last

    def note(self, facts: Mapping[str, Any]) -> None:
        """For the others: what is to be known of the server. In one's turn."""
        os.ftruncate(self._users, 0)
        os.pwrite(self._users, json.dumps(facts).encode(), 0)

    def noted(self) -> dict[str, Any]:
        """Of the server that was started last; it may be dead, its `pid` tells."""
        try:
            found = json.loads(os.pread(self._users, FACTS_BYTES_MAX, 0))
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    def close(self) -> None:
        """The files stay: removing them would let two processes lock two files."""
        os.close(self._turn)
        os.close(self._users)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def in_use(root: Path) -> bool:
    """Whether a process holds the directory: a server, one that starts or ends, or a command."""
    try:
        descriptor = os.open(root / "lock", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return not _locked(descriptor, fcntl.LOCK_SH)
    finally:
        os.close(descriptor)


async def until_unused(path: Path) -> None:
    """Of the server: until nobody has a share. From then on nobody gets one, to the end of the
    process, which is why the file is never closed."""
    descriptor = _opened(path)
    while not _locked(descriptor, fcntl.LOCK_EX):  # noqa: ASYNC110 - it is other processes that end
        await trio.sleep(SERVER_POLL_S)


def _opened(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _wait(descriptor: int, kind: int, wait_s: float) -> None:
    until_s = time.monotonic() + wait_s
    while not _locked(descriptor, kind):
        if time.monotonic() > until_s:
            raise TimeoutError
        time.sleep(POLL_S)


def _locked(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
