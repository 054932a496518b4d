"""How long tests wait for what must come, and how a time that is promised is measured.

The machine may do other things too. Waiting is long, since it ends early where all is well; of what
is to come soon the shortest of some tries counts.
"""

from __future__ import annotations

from collections.abc import Callable

PATIENCE_S = 30.0
TRIES = 6


def soonest(attempt: Callable[[], float], within_s: float) -> None:
    """`attempt` does it once and says how long it took."""
    took_s = []
    for _ in range(TRIES):
        took_s.append(attempt())
        if took_s[-1] <= within_s:
            return
    raise AssertionError(f"at best {min(took_s):.3f} s, and {within_s} s are promised")
