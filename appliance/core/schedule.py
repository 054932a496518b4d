"""When a job is due: moments by the clock on the wall, and what a clock that jumps makes of them.

Pure: time is passed in, as seconds since the epoch. It knows nothing of who runs the job.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Final, Protocol

# A month has its first 28 days for certain; the 29th and later would be skipped now and then.
MONTH_DAY_MAX: Final = 28
_DAYS_LOOKED_AT: Final = 64


class Schedule(Protocol):
    """Moments in order. Both methods are defined for every time."""

    def latest(self, now_s: float) -> int:
        """The last moment that is not after `now_s`."""

    def following(self, after_s: float) -> int:
        """The first moment after `after_s`."""


@dataclass(frozen=True, slots=True)
class Every:
    """Each whole multiple of a period: every minute is `Every(60)`."""

    period_s: int

    def latest(self, now_s: float) -> int:
        """The last moment that is not after `now_s`."""
        return int(now_s // self.period_s) * self.period_s

    def following(self, after_s: float) -> int:
        """The first moment after `after_s`."""
        return self.latest(after_s) + self.period_s


@dataclass(frozen=True, slots=True)
class Calendar:
    """A time of day in a zone: each day, on one `weekday` (Monday is 0), or on one `month_day`.

    A time that a change of clocks leaves out comes as much later; one that it repeats counts once.
    """

    hour: int
    minute: int = 0
    weekday: int | None = None
    month_day: int | None = None
    zone: tzinfo = UTC

    def __post_init__(self) -> None:
        assert self.month_day is None or 1 <= self.month_day <= MONTH_DAY_MAX

    def latest(self, now_s: float) -> int:
        """The last moment that is not after `now_s`."""
        return next(moment for moment in self._moments(now_s, -1) if moment <= now_s)

    def following(self, after_s: float) -> int:
        """The first moment after `after_s`."""
        return next(moment for moment in self._moments(after_s, 1) if moment > after_s)

    def _moments(self, from_s: float, step: int) -> Iterator[int]:
        """From the day beside that of `from_s`, in one direction."""
        day = datetime.fromtimestamp(from_s, self.zone).date() - timedelta(days=step)
        for _ in range(_DAYS_LOOKED_AT):
            if self._has(day):
                at = datetime(day.year, day.month, day.day, self.hour, self.minute, 0, 0, self.zone)
                yield int(at.timestamp())
            day += timedelta(days=step)

    def _has(self, day: date) -> bool:
        if self.weekday is not None:
            return day.weekday() == self.weekday
        return self.month_day is None or day.day == self.month_day


@dataclass(frozen=True, slots=True)
class Turn:
    """What is to be done now. `due_s`: the moment it stands for; `run`: whether the job is run;
    `kept_s`: what has to be remembered as the last moment that was served."""

    due_s: int
    run: bool
    kept_s: int


def turn(schedule: Schedule, served_s: int | None, now_s: float) -> Turn:
    """`served_s` is the last moment that the job was run for; None when it is new.

    A job that is new waits for its next moment: what lies before it was not promised. However many
    moments were missed (the process was down, the clock jumped ahead), it is run once, for the
    last of them. A clock that went back a little runs nothing twice; one that went back by more
    than a moment of the schedule had been wrong before, so it is believed from now on.
    """
    due_s = schedule.latest(now_s)
    if served_s is None:
        return Turn(due_s, False, due_s)
    if due_s > served_s:
        return Turn(due_s, True, due_s)
    if schedule.following(schedule.following(due_s)) <= served_s:
        return Turn(due_s, False, due_s)
    return Turn(due_s, False, served_s)
