"""Where exchanges lie in the journal that have no row yet, by organisation and request id.

One more with every exchange that is proxied, tens of thousands while ingest is behind: 200 bytes
each as plain bytes and numbers, 450 as tuples.
"""

from __future__ import annotations

from collections import deque

from storage.frames import Position

OFFSET_BITS = 40
OFFSET_MASK = (1 << OFFSET_BITS) - 1


class Recent:
    """The newest exchange of each id. Beyond `entries_max` the oldest are forgotten: for the time
    ingest stands still."""

    def __init__(self, entries_max: int) -> None:
        self._entries_max = entries_max
        self._places: dict[bytes, int] = {}
        # In the order of the journal; an id that came twice is here twice.
        self._keys: deque[bytes] = deque()
        self._order: deque[int] = deque()

    def __len__(self) -> int:
        return len(self._places)

    def note(self, org: bytes, request_id: str, position: Position, ingested: Position) -> None:
        """There is a new one; what lies before `ingested` has rows."""
        self.forget(ingested)
        if len(self._order) >= self._entries_max:
            self._forget_first()
        key = _key(org, request_id)
        self._places[key] = place = position.segment << OFFSET_BITS | position.offset
        self._keys.append(key)
        self._order.append(place)

    def find(self, org: bytes, request_id: str) -> Position | None:
        place = self._places.get(_key(org, request_id))
        return None if place is None else Position(place >> OFFSET_BITS, place & OFFSET_MASK)

    def forget(self, ingested: Position) -> None:
        """What lies before `ingested`."""
        order = self._order
        first = ingested.segment << OFFSET_BITS | ingested.offset
        while order and order[0] < first:
            self._forget_first()

    def _forget_first(self) -> None:
        key, place = self._keys.popleft(), self._order.popleft()
        if self._places.get(key) == place:
            del self._places[key]


def _key(org: bytes, request_id: str) -> bytes:
    return org + request_id.encode("utf-8", "surrogatepass")
