"""The memory tier of the response cache: so many bytes, so many entries, the least used goes first.

Plain methods that never wait. It knows nothing of keys, disks and requests.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Container

from appliance.core.cache_entry import Entry

ENTRIES_MAX = 100_000
# No single entry takes more of the tier than this part; larger ones live on disk alone.
ENTRY_SHARE = 8

# Exchanges that are meant. A deletion that is resumed knows only keyed hashes of them, so that it
# is asked of each: anything with `in` will do. None: all.
Wanted = Container[bytes] | None


class MemoryTier:
    """Entries by slot."""

    __slots__ = ("_entries", "bytes_max", "entries_max", "evicted", "held_bytes")

    def __init__(self, bytes_max: int, entries_max: int = ENTRIES_MAX) -> None:
        self._entries: OrderedDict[bytes, Entry] = OrderedDict()
        self.bytes_max = bytes_max
        self.entries_max = entries_max
        self.held_bytes = 0
        self.evicted = 0

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, slot: bytes, now_us: int) -> Entry | None:
        """The entry, now the one used last. One that is over goes."""
        entry = self._entries.get(slot)
        if entry is None:
            return None
        if entry.expires_at_us <= now_us:
            self.drop(slot)
            return None
        self._entries.move_to_end(slot)
        return entry

    def put(self, slot: bytes, entry: Entry) -> bool:
        """Keep it, at the cost of those used least. False when it is too large for the tier."""
        if entry.held_bytes > self.bytes_max // ENTRY_SHARE:
            return False
        self.drop(slot)
        self._entries[slot] = entry
        self.held_bytes += entry.held_bytes
        while self.held_bytes > self.bytes_max or len(self._entries) > self.entries_max:
            _, oldest = self._entries.popitem(last=False)
            self.held_bytes -= oldest.held_bytes
            self.evicted += 1
        return True

    def drop(self, slot: bytes) -> bool:
        """Forget one. False when it was not there."""
        entry = self._entries.pop(slot, None)
        if entry is None:
            return False
        self.held_bytes -= entry.held_bytes
        return True

    def slots(self) -> list[bytes]:
        """All of them, as they are now."""
        return list(self._entries)

    def drop_if(self, slot: bytes, org: bytes | None, exchange_ids: Wanted) -> bool:
        """Forget it where it is an entry of this organisation, and of one of these exchanges."""
        entry = self._entries.get(slot)
        return entry is not None and is_of(entry, org, exchange_ids) and self.drop(slot)


def is_of(entry: Entry, org: bytes | None, exchange_ids: Wanted) -> bool:
    """Whether an entry is meant; None means all organisations, or all exchanges."""
    return org in (None, entry.org) and (exchange_ids is None or entry.exchange_id in exchange_ids)
