"""What a journal finds when it is opened: the torn tail of the newest segment, the next number.

Runs before the first append, under the root's lock, and writes only to make good: a copy to
quarantine, then the cut.
"""

import os
import re
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from storage.disk import Disk
from storage.manifest import ManifestDamaged, load, named_files
from storage.reader import frames_end
from storage.segment import (
    HEADER_BYTES,
    SegmentUnreadable,
    decode_header,
    segment_numbers,
    segment_path,
    segments,
)

COPY_BYTES = 1024 * 1024


class JournalRefused(Exception):  # noqa: N818 - it is an answer
    """One line that says why this journal is not written to."""


class TornTail(NamedTuple):
    """What was cut from the newest segment, and where the bytes lie now."""

    segment: int
    offset: int
    bytes: int
    copy: Path


def recover(directory: Path, disk: Disk, region: str) -> TornTail | None:
    """Blocking. Raises JournalRefused, OSError."""
    journal = directory / "journal"
    journal.mkdir(mode=0o700, parents=True, exist_ok=True)
    for leftover in journal.glob("*.new"):
        leftover.unlink()
    numbers = segment_numbers(directory)
    if not numbers:
        return None
    _check_region(directory, numbers[-1], region)
    torn = _cut_torn_tail(directory, disk, numbers[-1])
    _sync_unclosed(directory, disk)
    return torn


def highest_number(directory: Path) -> int:
    """The highest number ever used, also when its segment is long gone.

    The file `highest` is not trusted alone: a segment with the number of one that is in the lake
    would be dropped for it.
    """
    found = [0, *segment_numbers(directory)]
    found += [file.last for file in named_files(directory / "lake")]
    for name in (path.name for path in directory.glob("quarantine/*")):
        found += [int(digits) for digits in re.findall(r"^(\d{8,})[-.]", name)]
    with suppress(FileNotFoundError, ValueError):
        found.append(int((directory / "journal" / "highest").read_text()))
    with suppress(ManifestDamaged):
        found.append(load(directory / "lake").upto_segment)
    return max(found)


def _check_region(directory: Path, number: int, region: str) -> None:
    with segment_path(directory, number).open("rb") as file:
        try:
            header = decode_header(file.read(HEADER_BYTES))
        except SegmentUnreadable:
            return  # readers report it
    if header.region != region:
        raise JournalRefused(f"{directory} holds region {header.region}, not {region}")


def _cut_torn_tail(directory: Path, disk: Disk, number: int) -> TornTail | None:
    """Only here, and only behind the last whole frame: damage before one stays for the reader."""
    path = segment_path(directory, number)
    try:
        end, has_footer = frames_end(directory, number)
    except SegmentUnreadable:
        return None
    size = path.stat().st_size
    if has_footer or end >= size:
        return None
    copy = directory / "quarantine" / f"{number:08d}-{end}.torn"
    copy.parent.mkdir(mode=0o700, exist_ok=True)
    descriptor = disk.open(path, os.O_RDWR)
    try:
        _copy_tail(disk, descriptor, end, copy)
        os.ftruncate(descriptor, end)
        disk.fsync(descriptor)
    finally:
        disk.close(descriptor)
    return TornTail(number, end, size - end, copy)


def _copy_tail(disk: Disk, source: int, offset: int, copy: Path) -> None:
    target = disk.open(copy, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    try:
        while block := os.pread(source, COPY_BYTES, offset):
            disk.write_all(target, block)
            offset += len(block)
        disk.fsync(target)
    finally:
        disk.close(target)
    disk.sync_folder(copy.parent)


def _sync_unclosed(directory: Path, disk: Disk) -> None:
    """What a killed process left in the page cache counts as synced from now on."""
    for info in segments(directory):
        with suppress(OSError):  # frames of a file that failed before were written again
            descriptor = disk.open(info.path, os.O_RDONLY)
            try:
                disk.fsync(descriptor)
            finally:
                disk.close(descriptor)
