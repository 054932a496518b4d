"""Whether a router's target is asked: its errors of late, its breaker, and what it told us to wait.

Three reasons to leave a target out (internals.md 8.3): too large a share of errors in a sliding
window, several failures in a row (the breaker, which lets one probe through when its time is over),
and a 429, for as long as its Retry-After says. Pure: time is passed in, in seconds.
"""

from collections import deque
from dataclasses import dataclass
from typing import Final

BUCKETS: Final = 10


@dataclass(frozen=True, slots=True)
class HealthRules:
    """When a target is left out. Over `errors_percent_max` of the last `window_s`, if there were
    `requests_min` requests; after `failures_max` failures in a row, for `open_s`."""

    errors_percent_max: int = 10
    window_s: float = 60.0
    requests_min: int = 20
    failures_max: int = 5
    open_s: float = 30.0


class Window:
    """Counts of the last `window_s`, in ten parts: the oldest part leaves as a new one begins."""

    __slots__ = ("_part_s", "_parts")

    def __init__(self, window_s: float) -> None:
        self._part_s = window_s / BUCKETS
        self._parts: deque[list[int]] = deque(maxlen=BUCKETS)  # number, requests, errors

    def add(self, now_s: float, *, is_error: bool) -> None:
        """One more request has ended."""
        number = int(now_s / self._part_s)
        if not self._parts or self._parts[-1][0] < number:
            self._parts.append([number, 0, 0])
        part = self._parts[-1]
        part[1] += 1
        part[2] += is_error

    def counts(self, now_s: float) -> tuple[int, int]:
        """Requests and errors."""
        oldest = int(now_s / self._part_s) - BUCKETS
        living = [part for part in self._parts if part[0] > oldest]
        return sum(part[1] for part in living), sum(part[2] for part in living)

    def clear(self) -> None:
        """Begin anew."""
        self._parts.clear()

    @property
    def part_s(self) -> float:
        """After which the counts may be others, though nothing is added."""
        return self._part_s


class Health:
    """What is known of one target. `begin` a call, then say once how it went: `good`, `bad`,
    `limited`, or `unknown` where it ended without a word about the target."""

    __slots__ = ("_failures", "_limited_until_s", "_open_until_s", "_probing", "_rules", "_window")

    def __init__(self, rules: HealthRules) -> None:
        self._rules = rules
        self._window = Window(rules.window_s)
        self._failures = 0
        self._open_until_s: float | None = None  # None: the breaker is closed
        self._probing = False
        self._limited_until_s = 0.0

    def is_in(self, now_s: float) -> bool:
        """Whether the target may be asked."""
        if self._probing and self._open_until_s is not None:
            return False
        return self.back_at_s(now_s) <= now_s

    def back_at_s(self, now_s: float) -> float:
        """When it may be asked again, as far as that is known; `now_s` or less: now."""
        at_s = max(self._limited_until_s, self._open_until_s or 0.0)
        return max(at_s, now_s + self._window.part_s) if self._is_ill(now_s) else at_s

    def why_out(self, now_s: float) -> str:
        """One word for a target that is left out; "" for one that is in."""
        if self._limited_until_s > now_s:
            return "limited"
        if self._open_until_s is not None and (self._open_until_s > now_s or self._probing):
            return "open"
        return "errors" if self._is_ill(now_s) else ""

    def begin(self) -> bool:
        """A call is made. True: it is the probe that decides about an open breaker; whoever made it
        passes that on to the verdict."""
        if self._open_until_s is None or self._probing:
            return False
        self._probing = True
        return True

    def good(self, now_s: float, *, is_probe: bool) -> None:
        """The target did what it is for."""
        self._window.add(now_s, is_error=False)
        self._alive(is_probe=is_probe)

    def limited(self, now_s: float, wait_s: float, *, is_probe: bool) -> None:
        """It is well, and wants to be left alone for so many seconds. What it said first stands
        until that time is over, unless this is longer."""
        self._limited_until_s = max(self._limited_until_s, now_s + wait_s)
        self._alive(is_probe=is_probe)

    def bad(self, now_s: float, *, is_probe: bool) -> None:
        """It failed. Verdicts of calls that were under way when the breaker opened change nothing
        about it."""
        self._window.add(now_s, is_error=True)
        if is_probe:
            self._probing = False
            self._open_until_s = now_s + self._rules.open_s
            return
        self._failures += 1
        if self._open_until_s is None and self._failures >= self._rules.failures_max:
            self._open_until_s = now_s + self._rules.open_s

    def unknown(self, *, is_probe: bool) -> None:
        """The call was ended from our side: another may probe."""
        if is_probe:
            self._probing = False

    def _alive(self, *, is_probe: bool) -> None:
        if is_probe:
            self._probing = False
            self._open_until_s = None
            self._window.clear()
        if self._open_until_s is None:
            self._failures = 0

    def _is_ill(self, now_s: float) -> bool:
        requests, errors = self._window.counts(now_s)
        rules = self._rules
        return requests >= rules.requests_min and errors * 100 > requests * rules.errors_percent_max
