"""So many in any 60 seconds, for each of many. Pure: the time is passed in."""

import math
from collections import OrderedDict, deque
from typing import Final

WINDOW_S: Final = 60.0
KEPT_MAX: Final = 10_000


class MinuteLimit:
    """Beyond `KEPT_MAX` callers, those that have called least lately start anew."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._times: OrderedDict[object, deque[float]] = OrderedDict()

    def take(self, who: object, now_s: float) -> int:
        """0, or in how many whole seconds there is room again; then nothing is taken."""
        times = self._times.setdefault(who, deque())
        self._times.move_to_end(who)
        while times and times[0] <= now_s - WINDOW_S:
            times.popleft()
        if len(times) >= self.most:
            return max(1, math.ceil(times[0] + WINDOW_S - now_s))
        times.append(now_s)
        if len(self._times) > KEPT_MAX:
            self._times.popitem(last=False)
        return 0
