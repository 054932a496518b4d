"""What of the response cache lies on disk, and where: slot → place, with a list per file.

Plain methods that never wait, so a miss costs no look at the disk.
"""

from __future__ import annotations

from storage.cache_segment import expires_of, number_of

# A slot, its place, their share of the map and of the list: measured.
INDEX_ENTRY_BYTES = 168


class _File:
    """The slots that were written to a file; of them `live` are still found there."""

    __slots__ = ("expires_s", "live", "slots")

    def __init__(self) -> None:
        self.slots: list[bytes] = []
        self.live = 0
        self.expires_s = 0


class CacheIndex:
    """Places by slot. The bound is kept by whoever drops files."""

    __slots__ = ("_files", "_places")

    def __init__(self) -> None:
        self._places: dict[bytes, int] = {}
        self._files: dict[int, _File] = {}

    def __len__(self) -> int:
        return len(self._places)

    def get(self, slot: bytes, now_us: int) -> int | None:
        """Where it lies, unless it is over."""
        place = self._places.get(slot)
        if place is None or expires_of(place) * 1_000_000 <= now_us:
            return None
        return place

    def holds(self, slot: bytes, place: int) -> bool:
        """Whether it lies there still."""
        return self._places.get(slot) == place

    def add_file(self, number: int) -> None:
        """A file that may hold nothing."""
        self._files.setdefault(number, _File())

    def put(self, slot: bytes, place: int) -> None:
        """It was written there; an older one is as good as gone."""
        old = self._places.get(slot)
        if old is not None:
            self._files[number_of(old)].live -= 1
        self._places[slot] = place
        number = number_of(place)
        file = self._files.get(number)
        if file is None:
            file = self._files[number] = _File()
        file.slots.append(slot)
        file.live += 1
        file.expires_s = max(file.expires_s, expires_of(place))

    def remove(self, slot: bytes, place: int) -> bool:
        """It cannot be read there any more. False when it lies elsewhere by now."""
        if self._places.get(slot) != place:
            return False
        del self._places[slot]
        self._files[number_of(place)].live -= 1
        return True

    def drop_file(self, number: int) -> None:
        """A file went, with all that lay in it."""
        file = self._files.pop(number, None)
        if file is None:
            return
        for slot in file.slots:
            place = self._places.get(slot)
            if place is not None and number_of(place) == number:
                del self._places[slot]

    def idle_files(self, now_s: int) -> list[int]:
        """Files of which nothing will be read any more."""
        return [
            number
            for number, file in self._files.items()
            if file.live <= 0 or file.expires_s <= now_s
        ]

    def oldest_file(self) -> int:
        """The file that goes first when there are too many entries."""
        return min(self._files)

    def clear(self) -> None:
        """Forget all."""
        self._places.clear()
        self._files.clear()
