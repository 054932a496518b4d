"""Identical misses that run at once: the first asks the provider, the rest wait for what it gets.

An option (`proxy.md 4` knows nothing of it). Fails open: a leader whose reply is not kept, or who
takes too long, lets its followers go on alone.
"""

from __future__ import annotations

from types import TracebackType

import trio

from appliance.core.cache_entry import Entry

FLIGHTS_MAX = 10_000
FOLLOWERS_MAX = 1_000  # of one flight
WAIT_S = 60.0


class Lead:
    """The one that asks. `with flight:` tells the followers on every way out."""

    __slots__ = ("_flights", "_followers", "_key")

    def __init__(self, flights: Flights, key: bytes) -> None:
        self._flights = flights
        self._key = key
        self._followers: list[Follower] = []

    def __enter__(self) -> Lead:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.land(None)

    def land(self, entry: Entry | None) -> None:
        """Give it to all who wait; None: there is nothing to give. Only the first call counts."""
        if self._flights.over(self._key, self):
            for follower in self._followers:
                follower.receive(entry)
            self._followers.clear()

    def take(self) -> Follower | None:
        """One more who waits; None when there are too many."""
        if len(self._followers) >= FOLLOWERS_MAX:
            return None
        follower = Follower(self)
        self._followers.append(follower)
        return follower

    def leave(self, follower: Follower) -> None:
        """It waits no more."""
        if follower in self._followers:
            self._followers.remove(follower)


class Follower:
    """One that waits. `wake` ends that from outside: a deadline has passed, or its client is gone
    (see `exchange.Wakeable`)."""

    __slots__ = ("_entry", "_event", "_lead")

    def __init__(self, lead: Lead) -> None:
        self._lead = lead
        self._event = trio.Event()
        self._entry: Entry | None = None

    async def wait(self, limit_s: float = WAIT_S) -> Entry | None:
        """What the leader got; None: go on alone."""
        try:
            with trio.move_on_after(limit_s):
                await self._event.wait()
        finally:
            if not self._event.is_set():
                self._lead.leave(self)
        return self._entry

    def receive(self, entry: Entry | None) -> None:
        """The leader's call."""
        self._entry = entry
        self._event.set()

    def wake(self) -> None:
        """Wait no more. What came before counts still."""
        if not self._event.is_set():
            self._lead.leave(self)
            self._event.set()


class Flights:
    """All misses that are under way, by key."""

    __slots__ = ("_leads", "followed")

    def __init__(self) -> None:
        self._leads: dict[bytes, Lead] = {}
        self.followed = 0

    def __len__(self) -> int:
        return len(self._leads)

    def join(self, key: bytes) -> Lead | Follower | None:
        """Lead, or follow whoever does. None when there are too many of either: go on alone."""
        lead = self._leads.get(key)
        if lead is not None:
            follower = lead.take()
            self.followed += follower is not None
            return follower
        if len(self._leads) >= FLIGHTS_MAX:
            return None
        lead = self._leads[key] = Lead(self, key)
        return lead

    def over(self, key: bytes, lead: Lead) -> bool:
        """The leader's call: nobody joins any more. False when it was over already."""
        if self._leads.get(key) is not lead:
            return False
        del self._leads[key]
        return True
