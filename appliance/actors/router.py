"""What is known of routers' targets while we run: latency, health, calls under way.

A plain object with plain methods. Each organisation has a book of its own, and so has each key that
a client brings for itself: a limit, a slow region or a poisoned request of one says nothing about
the others. It knows nothing of requests.
"""

from __future__ import annotations

import random
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from appliance.core.router_health import Health, HealthRules
from appliance.core.router_latency import PeakEwma
from appliance.core.router_plan import RouterPlan
from appliance.core.router_policy import Dice, View, choose

# Of one router; the one that was not used for longest is forgotten, and its targets begin anew.
BOOKS_MAX: Final = 1000

Sample = tuple[str, dict[str, str], int | float]
# How metrics count: the name, then labels.
Count = Callable[..., None]


class Standing:
    """One target in one book."""

    __slots__ = ("_latency", "health", "under_way")

    def __init__(self, rules: HealthRules) -> None:
        self._latency: PeakEwma | None = None  # it was never called
        self.health = Health(rules)
        self.under_way = 0

    def load_s(self, now_s: float) -> float:
        """The expected wait times the calls under way. Nothing for one that was never called: a
        call shows how it is. One call, since from then on it is under way."""
        if self._latency is None:
            return 0.0
        return self._latency.value_s(now_s) * (self.under_way + 1)

    def latency(self, now_s: float) -> PeakEwma:
        """Of one that is called."""
        if self._latency is None:
            self._latency = PeakEwma(now_s)
        return self._latency


class Turn:
    """One exchange at one target, which may be called several times meanwhile. `end` it on every
    way out; calling it twice does nothing more. A probe is decided by the first verdict."""

    __slots__ = ("_ended", "_is_probe", "_latency", "_now_s", "_standing", "index")

    def __init__(self, now_s: Callable[[], float], index: int, standing: Standing) -> None:
        self.index = index
        self._now_s = now_s
        self._standing = standing
        self._is_probe = standing.health.begin()
        self._ended = False
        self._latency = standing.latency(now_s())
        standing.under_way += 1

    def good(self, seconds: float) -> None:
        """A reply has begun after so long."""
        now_s = self._now_s()
        self._latency.add(seconds, now_s)
        self._standing.health.good(now_s, is_probe=self._take_probe())

    def bad(self, seconds: float) -> None:
        """A call has failed after so long."""
        now_s = self._now_s()
        self._latency.add_failed(seconds, now_s)
        self._standing.health.bad(now_s, is_probe=self._take_probe())

    def limited(self, wait_s: float) -> None:
        """It has too much to do for this caller."""
        self._standing.health.limited(self._now_s(), wait_s, is_probe=self._take_probe())

    def slow(self, seconds: float) -> None:
        """It was given up after so long, with no verdict: another was quicker."""
        self._latency.add_failed(seconds, self._now_s())

    def end(self) -> None:
        """The exchange has left the target."""
        if not self._ended:
            self._ended = True
            self._standing.under_way -= 1
            self._standing.health.unknown(is_probe=self._take_probe())

    def _take_probe(self) -> bool:
        is_probe, self._is_probe = self._is_probe, False
        return is_probe


class Book:
    """A router's targets, as one organisation knows them."""

    def __init__(self, plan: RouterPlan, now_s: Callable[[], float], dice: Dice) -> None:
        self.now_s = now_s
        self._plan = plan
        self._dice = dice
        self._standings = [Standing(plan.rules) for _ in plan.targets]

    def pick(
        self,
        candidates: Sequence[int],
        prices: Mapping[int, int | None],
        *,
        forced: bool = False,
    ) -> Turn | None:
        """A turn at one of these targets. None: there is none that may be asked. `forced`: then
        the one that is back soonest.

        Open: with all targets out the client is given what one of them says, not a refusal.
        """
        now_s = self.now_s()
        standings = self._standings
        ready = [index for index in candidates if standings[index].health.is_in(now_s)]
        if ready:
            views = [self._view(index, prices, now_s) for index in ready]
            index = choose(self._plan.strategy, views, self._dice).index
        elif forced and candidates:
            index = min(candidates, key=lambda index: standings[index].health.back_at_s(now_s))
        else:
            return None
        return Turn(self.now_s, index, standings[index])

    def why_out(self, index: int) -> str:
        """One word for a target that is left out; "" for one that is in."""
        return self._standings[index].health.why_out(self.now_s())

    def _view(self, index: int, prices: Mapping[int, int | None], now_s: float) -> View:
        standing = self._standings[index]
        weight = self._plan.targets[index].weight
        return View(index, weight, standing.load_s(now_s), prices.get(index))


class Router:
    """One router with its books."""

    def __init__(
        self,
        plan: RouterPlan,
        count: Count,
        now_s: Callable[[], float] = time.monotonic,
        dice: Dice = random.random,
    ) -> None:
        self.plan = plan
        self._count = count
        self._now_s = now_s
        self._dice = dice
        self._books: OrderedDict[tuple[bytes, bytes], Book] = OrderedDict()

    def book(self, org: bytes, caller: bytes = b"") -> Book:
        """The book of an organisation; of a client of it that brings its own key, where `caller`
        tells whose."""
        key = org, caller
        book = self._books.get(key)
        if book is None:
            if len(self._books) >= BOOKS_MAX:
                self._books.popitem(last=False)
            book = self._books[key] = Book(self.plan, self._now_s, self._dice)
        else:
            self._books.move_to_end(key)
        return book

    def count(self, name: str, index: int, **labels: str) -> None:
        """Something has happened at one of the targets."""
        target = self.plan.targets[index].name
        self._count(name, router=self.plan.name, target=target, **labels)

    def gauges(self) -> list[Sample]:
        """For each target: in how many books it is left out, by reason."""
        found: list[Sample] = []
        for index, target in enumerate(self.plan.targets):
            whys = [book.why_out(index) for book in self._books.values()]
            labels = {"router": self.plan.name, "target": target.name}
            found += [
                ("router_target_out", {**labels, "why": why}, whys.count(why))
                for why in ("errors", "limited", "open")
            ]
        return found
