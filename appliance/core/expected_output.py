"""How long a model's answers to a user are: the 95th percentile of what was seen lately.

Pure, in memory, bounded. Nothing is said of a model until enough of its answers were seen.
"""

from __future__ import annotations

from array import array
from typing import Final

SAMPLES_MIN: Final = 20
# When so many were counted, all counts are halved: what is old fades.
SAMPLES_MAX: Final = 1_000
# Answers of a user, and of everybody, per model. An entry takes 0.4 KB.
ENTRIES_MAX: Final = 20_000
# Names come from clients: of longer ones the beginning counts.
NAME_CHARACTERS_MAX: Final = 128
# Four steps per doubling: the answer is at most a quarter too high.
STEPS: Final = 4
BUCKETS: Final = 4 * 28


class _Lengths:
    """A histogram of lengths."""

    __slots__ = ("counts", "expected", "total")

    def __init__(self) -> None:
        self.counts = array("H", bytes(2 * BUCKETS))
        self.total = 0
        self.expected = 0

    def add(self, tokens: int) -> None:
        self.counts[_bucket(tokens)] += 1
        self.total += 1
        if self.total >= SAMPLES_MAX:
            self.counts = array("H", [count // 2 for count in self.counts])
            self.total = sum(self.counts)
        if self.total <= 2 * SAMPLES_MIN or self.total % SAMPLES_MIN == 0:
            self.expected = self._percentile()

    def _percentile(self) -> int:
        """The upper end of the bucket that the 95th of a hundred answers lies in."""
        beyond = self.total // 20
        for bucket in range(BUCKETS - 1, -1, -1):
            beyond -= self.counts[bucket]
            if beyond < 0:
                return _upper(bucket)
        return 0


class ExpectedOutput:
    """Lengths by model and user, and by model. The longest unused goes when there is no room."""

    __slots__ = ("_by_name", "_entries_max")

    def __init__(self, entries_max: int = ENTRIES_MAX) -> None:
        self._entries_max = entries_max
        self._by_name: dict[tuple[str, str], _Lengths] = {}

    def note(self, model: str, user: str, tokens: int) -> None:
        """An answer was this long."""
        self._entry(model, "").add(tokens)
        if user:
            self._entry(model, user).add(tokens)

    def tokens(self, model: str, user: str = "") -> int | None:
        """What an answer is expected to take; None when too few were seen."""
        for name in (_name(model, user), _name(model, "")):
            lengths = self._by_name.get(name)
            if lengths is not None and lengths.total >= SAMPLES_MIN:
                return lengths.expected
        return None

    def __len__(self) -> int:
        return len(self._by_name)

    def _entry(self, model: str, user: str) -> _Lengths:
        name = _name(model, user)
        lengths = self._by_name.pop(name, None)
        if lengths is None:
            lengths = _Lengths()
            if len(self._by_name) >= self._entries_max:
                del self._by_name[next(iter(self._by_name))]
        self._by_name[name] = lengths  # to the end: the first is the longest unused
        return lengths


def _name(model: str, user: str) -> tuple[str, str]:
    return model[:NAME_CHARACTERS_MAX], user[:NAME_CHARACTERS_MAX]


def _bucket(tokens: int) -> int:
    """0, 1, 2, 3, then four to each doubling."""
    if tokens < STEPS:
        return max(0, tokens)
    octave = tokens.bit_length() - 1
    return min(BUCKETS - 1, STEPS * (octave - 1) + (tokens >> (octave - 2)) - STEPS)


def _upper(bucket: int) -> int:
    """The largest length that falls into the bucket."""
    if bucket < STEPS:
        return bucket
    octave, step = bucket // STEPS + 1, bucket % STEPS
    return ((STEPS + step + 1) << (octave - 2)) - 1
