"""Frames that are held in memory: not written yet, or written and not covered by an fsync yet.

When memory is short full bodies go first, oldest first, then records; the caller counts both.
"""

from collections import deque
from collections.abc import Iterable

import msgspec

from storage.frames import FLAG_REWRITTEN, FLAG_SUPERSEDES, KIND_EXCHANGE, without_bodies

ENTRY_OVERHEAD_BYTES = 200  # tuple, bytes object and deque slot, roughly

# sequence within this process, kind, flags, organisation, payload in the clear
Entry = tuple[int, int, int, bytes, bytes]


def entry_bytes(entry: Entry) -> int:
    return len(entry[4]) + ENTRY_OVERHEAD_BYTES


def rewritten(entry: Entry) -> Entry:
    """Marked so that readers drop it where the first writing survived.

    One that supersedes a row says the same twice and keeps only that flag.
    """
    sequence, kind, flags, org, payload = entry
    if not flags & FLAG_SUPERSEDES:
        flags |= FLAG_REWRITTEN
    return (sequence, kind, flags, org, payload)


class Held:
    """Entries in order. `bare` ones have lost their bodies, or never had any."""

    __slots__ = ("bare", "bodies_dropped", "bytes", "full", "records_dropped")

    def __init__(self) -> None:
        self.full: deque[Entry] = deque()
        self.bare: deque[Entry] = deque()
        self.bytes = 0
        self.bodies_dropped = 0
        self.records_dropped = 0

    def __len__(self) -> int:
        return len(self.full) + len(self.bare)

    def add(self, entry: Entry) -> None:
        self.full.append(entry)
        self.bytes += entry_bytes(entry)

    def first_sequence(self) -> int | None:
        heads = [side[0][0] for side in (self.bare, self.full) if side]
        return min(heads, default=None)

    def take(self, bytes_max: int) -> list[Entry]:
        """The oldest entries up to a size, at least one if there is any."""
        taken: list[Entry] = []
        size = 0
        while (side := self._older_side()) and (not taken or size < bytes_max):
            entry = side.popleft()
            size += entry_bytes(entry)
            taken.append(entry)
        self.bytes -= size
        return taken

    def take_all(self) -> list[Entry]:
        return self.take(self.bytes + 1)

    def put_back(self, entries: Iterable[Entry]) -> None:
        """Sorted in where their sequence belongs; rare, after a failure."""
        entries = list(entries)
        self.full = deque(sorted((*entries, *self.full)))
        self.bytes += sum(map(entry_bytes, entries))

    def absorb(self, other: "Held") -> None:
        """Everything of `other`, with what it had to drop."""
        self.put_back(other.take_all())
        self.bodies_dropped += other.bodies_dropped
        self.records_dropped += other.records_dropped

    def strip_oldest(self) -> bool:
        """Takes the bodies from the oldest full entry. False when there is none left."""
        if not self.full:
            return False
        entry = self.full.popleft()
        bare = _stripped(entry)
        if bare is not None:
            self.bodies_dropped += 1
            self.bytes -= len(entry[4]) - len(bare[4])
        self.bare.append(bare or entry)
        return True

    def drop_oldest(self) -> bool:
        side = self._older_side()
        if not side:
            return False
        self.bytes -= entry_bytes(side.popleft())
        self.records_dropped += 1
        return True

    def _older_side(self) -> deque[Entry] | None:
        if self.bare and self.full:
            return self.bare if self.bare[0][0] < self.full[0][0] else self.full
        return self.bare or self.full or None


def trim(helds: list[Held], bytes_max: int) -> None:
    """Brings the sum under the limit: list by list, bodies first, then records."""
    excess = sum(held.bytes for held in helds) - bytes_max
    for held in helds:
        for shrink in (Held.strip_oldest, Held.drop_oldest):
            while excess > 0:
                before = held.bytes
                if not shrink(held):
                    break
                excess -= before - held.bytes


def _stripped(entry: Entry) -> Entry | None:
    """None where there is nothing to take out."""
    sequence, kind, flags, org, payload = entry
    if kind != KIND_EXCHANGE:
        return None
    try:
        bare = without_bodies(payload)
    except (msgspec.MsgspecError, LookupError, TypeError):
        return None  # not ours to read; it can still be dropped whole
    return None if bare is payload else (sequence, kind, flags, org, bare)
