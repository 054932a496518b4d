"""What is known of the endpoints that the gateway calls, while we run: latency, health, calls under
way. Between equals the one with less to do is tried first, and one that fails behind the others.

A plain object with plain methods. What an organisation's own key meets says nothing about the keys
of others, nor about those of the platform; regions share nothing. It knows nothing of requests.
"""

from __future__ import annotations

import random
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final

from appliance.actors.router import Count, Sample, Standing, Turn
from appliance.core.attempts import Candidate, equals_among
from appliance.core.router_health import HealthRules
from appliance.core.router_policy import Dice, View, order_by_load

# Over all organisations; the one that was not called for longest begins anew.
ENDPOINTS_MAX: Final = 10_000
# An endpoint that goes behind its equals is still called when they fail: it may go sooner than a
# router's target, which is left out.
RULES: Final = HealthRules(failures_max=2, open_s=10.0)
# How long an endpoint is left behind its equals after a 429 that names no time.
LIMITED_S: Final = 10.0
WHYS: Final = ("errors", "limited", "open")

# Region, whose key (an organisation, or b"" for the platform), provider, the provider's model.
Place = tuple[str, bytes, str, str]


class GatewayLoad:
    """All endpoints that were called of late."""

    def __init__(
        self,
        count: Count,
        now_s: Callable[[], float] = time.monotonic,
        dice: Dice = random.random,
    ) -> None:
        self.count = count
        self._now_s = now_s
        self._dice = dice
        self._standings: OrderedDict[Place, Standing] = OrderedDict()

    def order(
        self, region: str, org: bytes, candidates: Sequence[Candidate], *, by_load: bool = True
    ) -> list[Candidate]:
        """The same calls; equals trade places with each other alone. Without `by_load` only those
        that are out do."""
        found = list(candidates)
        for positions in equals_among(candidates):
            places = [place_of(region, org, candidates[index]) for index in positions]
            ranks = self._ranks(places) if by_load else self._ranks_kept(places)
            for position, rank in zip(positions, ranks, strict=True):
                found[position] = candidates[positions[rank]]
        return found

    def begin(self, region: str, org: bytes, candidate: Candidate) -> Turn:
        """A call is made. A probe of one that was out is decided by its first verdict."""
        place = place_of(region, org, candidate)
        standing = self._standings.get(place)
        if standing is None:
            if len(self._standings) >= ENDPOINTS_MAX:
                self._standings.popitem(last=False)
            standing = self._standings[place] = Standing(RULES)
        else:
            self._standings.move_to_end(place)
        return Turn(self._now_s, 0, standing)

    def gauges(self) -> list[Sample]:
        """By provider and reason: how many endpoints are out."""
        now_s = self._now_s()
        counts: dict[tuple[str, str], int] = {}
        for (_, _, provider, _), standing in self._standings.items():
            why = standing.health.why_out(now_s)
            if why:
                counts[provider, why] = counts.get((provider, why), 0) + 1
        return [
            ("gateway_endpoint_out", {"provider": provider, "why": why}, count)
            for (provider, why), count in sorted(counts.items())
        ]

    def _ranks(self, places: Sequence[Place]) -> list[int]:
        """Those that are in by load, then the others as they come back."""
        now_s = self._now_s()
        ready, out = self._apart(places, now_s)
        views = []
        for index in ready:
            standing = self._standings.get(places[index])
            load_s = standing.load_s(now_s) if standing is not None else 0.0
            views.append(View(index, load_s=load_s))
        return [*(view.index for view in order_by_load(views, self._dice)), *out]

    def _ranks_kept(self, places: Sequence[Place]) -> list[int]:
        ready, out = self._apart(places, self._now_s())
        return ready + out

    def _apart(self, places: Sequence[Place], now_s: float) -> tuple[list[int], list[int]]:
        ready: list[int] = []
        out: list[tuple[float, int]] = []
        for index, place in enumerate(places):
            standing = self._standings.get(place)
            if standing is None or standing.health.is_in(now_s):
                ready.append(index)
            else:
                out.append((standing.health.back_at_s(now_s), index))
        return ready, [index for _, index in sorted(out)]


def place_of(region: str, org: bytes, candidate: Candidate) -> Place:
    """Where what is known of a candidate's endpoint lies."""
    endpoint = candidate.endpoint
    holder = b"" if candidate.kind == "ptb" else org
    return region, holder, endpoint.provider, endpoint.provider_model_id
