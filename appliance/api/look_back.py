"""What lists of requests have found so far, so that the next one looks where there is something.

A short look back costs a list the price of planning one more statement, and spares it a look at
everything. What is kept here only says where to look first: what is found does not depend on it.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, Final

from appliance.core.access import Identity

FILTERS_MAX: Final = 256
FAR_S: Final = 60.0


def look_key(identity: Identity, body: dict[str, Any]) -> int:
    """The same for the same question; two questions with one key look further than they need to."""
    return hash((identity.region, identity.org, body.get("limit"), repr(body.get("filter"))))


class LookBack:
    """Of all regions of one server."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._newest: dict[str, datetime] = {}
        self._far: OrderedDict[int, float] = OrderedDict()

    def begin(self, region: str, now: datetime) -> datetime:
        """From where to look back: now, or the newest that was shown where nothing came since."""
        return min(now, self._newest.get(region, now))

    def note_shown(self, region: str, times: Iterable[datetime | None]) -> None:
        """When the rows of a page were created."""
        known = [time for time in (*times, self._newest.get(region)) if time is not None]
        if known:
            self._newest[region] = max(known)

    def is_far(self, key: int) -> bool:
        """Whether a short look for this was not enough, a moment ago."""
        return self._clock() - self._far.get(key, -FAR_S) < FAR_S

    def note_far(self, key: int) -> None:
        """A short look for this was not enough."""
        self._far[key] = self._clock()
        self._far.move_to_end(key)
        if len(self._far) > FILTERS_MAX:
            self._far.popitem(last=False)
