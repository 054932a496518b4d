"""How long a target takes to begin its reply, as an estimate that forgets (internals.md 8.3).

PeakEWMA: a slow reply counts in full at once, quick ones bring the estimate down over time. Pure:
time is passed in, in seconds of any clock that never goes back.
"""

from math import exp
from typing import Final

DECAY_S: Final = 30.0
# Of a target that was called and has not answered yet. A guess: the first answer replaces it.
UNKNOWN_S: Final = 0.25


class PeakEwma:
    """The estimate of one target, in seconds. Made when the target is called for the first time:
    the guess falls from then on, as an estimate does."""

    __slots__ = ("_at_s", "_estimate_s", "_is_guess")

    def __init__(self, now_s: float) -> None:
        self._estimate_s = UNKNOWN_S
        self._at_s = now_s
        self._is_guess = True

    def value_s(self, now_s: float) -> float:
        """The estimate now. It falls while nothing is heard, so that a target which was slow once
        is asked again."""
        return self._estimate_s * self._left(now_s)

    def add(self, seconds: float, now_s: float) -> None:
        """A reply has begun after so many seconds."""
        if self._is_guess or seconds >= self.value_s(now_s):
            self._is_guess = False
            self._estimate_s = seconds
        else:
            left = self._left(now_s)
            self._estimate_s = self._estimate_s * left + seconds * (1 - left)
        self._at_s = max(self._at_s, now_s)

    def add_failed(self, seconds: float, now_s: float) -> None:
        """A call has failed after so many seconds: a failure makes no target look quick."""
        if seconds > self.value_s(now_s):
            self.add(seconds, now_s)

    def _left(self, now_s: float) -> float:
        """What is left of the estimate, from 1 to 0."""
        return exp(-max(0.0, now_s - self._at_s) / DECAY_S)
