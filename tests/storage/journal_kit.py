"""A journal in a folder, a disk that fails on demand, and short ways to look at both."""

import errno
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import trio

from storage.disk import Disk
from storage.frames import Frame, Position
from storage.journal import Journal, JournalOptions, read_frames
from storage.reader import Damage
from storage.vault import SegmentKeys

ORG = bytes(range(16))
START = Position(0, 0)
KEYS = SegmentKeys(2, {1: b"1" * 32, 2: b"2" * 32})
OPTIONS = JournalOptions(reserve_bytes=0, sync_interval_s=0.001)
NO_SPACE = OSError(errno.ENOSPC, "no space")
BROKEN = OSError(errno.EIO, "broken")


class FaultyDisk(Disk):
    """`fail_write` and `fail_fsync` get the file's name and say what to raise, if anything.

    An int from `fail_write` makes the write that short. `hold` keeps fsyncs from returning.
    """

    def __init__(self) -> None:
        self.fail_write: Callable[[str], OSError | int | None] = lambda name: None
        self.fail_fsync: Callable[[str], OSError | None] = lambda name: None
        self.fail_open: Callable[[str], OSError | None] = lambda name: None
        self.hold = threading.Event()
        self.hold.set()
        self.hold_write = threading.Event()
        self.hold_write.set()
        self.free = 1 << 40
        self.calls: list[tuple[str, str]] = []
        self._names: dict[int, str] = {}

    def open(self, path: Path, flags: int) -> int:
        if error := self.fail_open(path.name):
            raise error
        descriptor = super().open(path, flags)
        self._names[descriptor] = path.name
        return descriptor

    def rename(self, source: Path, target: Path) -> None:
        super().rename(source, target)
        for descriptor, name in self._names.items():
            if name == source.name:
                self._names[descriptor] = target.name

    def write(self, descriptor: int, data: bytes | bytearray) -> int:
        name = self._names[descriptor]
        self.calls.append(("write", name))
        assert self.hold_write.wait(30)
        fault = self.fail_write(name)
        if isinstance(fault, OSError):
            raise fault
        return super().write(descriptor, data if fault is None else data[:fault])

    def fsync(self, descriptor: int) -> None:
        name = self._names[descriptor]
        self.calls.append(("fsync", name))
        assert self.hold.wait(30)
        if error := self.fail_fsync(name):
            raise error
        super().fsync(descriptor)

    def free_bytes(self, folder: Path) -> int:
        return self.free

    def touched(self, name: str) -> list[str]:
        return [call for call, on in self.calls if on == name]


class Clock:
    """Stands still until told."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def opened(directory: Path, disk: Disk | None = None, **changes: object) -> Journal:
    keys = changes.pop("keyring", None)
    clock = changes.pop("clock", None)
    extra = {} if clock is None else {"clock": clock}
    options = replace(OPTIONS, **changes)
    return Journal.open(directory, region="us", options=options, keyring=keys, disk=disk, **extra)


@asynccontextmanager
async def running(directory: Path, disk: Disk | None = None, **changes: object) -> AsyncIterator:
    journal = opened(directory, disk, **changes)
    async with trio.open_nursery() as nursery:
        await nursery.start(journal.run)
        yield journal
        await journal.close()


async def until(condition: Callable[[], object]) -> None:
    with trio.fail_after(30):
        while not condition():  # noqa: ASYNC110 - looks at what threads do
            await trio.sleep(0.0005)


async def synced(journal: Journal) -> None:
    """Everything that was appended is on disk."""
    await until(lambda: journal._is_synced(journal._sequence))


def frames(
    directory: Path, keys: SegmentKeys | None = None, damages: list[Damage] | None = None
) -> list[Frame]:
    on_damage = None if damages is None else damages.append
    return list(read_frames(directory, START, keys=keys, on_damage=on_damage))


def payloads(directory: Path, keys: SegmentKeys | None = None) -> list[bytes]:
    return [frame.payload for frame in frames(directory, keys)]


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in (directory / "journal").glob("*.seg"))
