"""The order of a gateway's calls between equals, and what these calls show of the endpoints: told
to `actors/gateway_load.py`, and on the record where there was a choice.

Judged by the attempts that are on record already, so that each call counts once, whoever made it
and however it ended.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import NoneType, TracebackType

from appliance import fence
from appliance.actors.gateway_load import LIMITED_S, GatewayLoad
from appliance.actors.router import Turn
from appliance.core.attempts import Candidate, equals_among
from appliance.core.retry import retry_after_s
from appliance.core.router_verdict import verdict_of
from appliance.errors import UpstreamFailed
from appliance.exchange import Attempt, Exchange
from appliance.wire import Woken

RETRY_AFTER_S_MAX = 3600.0
# Ends of a call that say nothing of the endpoint.
ENDED_BY_US = frozenset({"Woken", "Cancelled"})
# Properties of the record that are ours.
PROPERTY_EQUALS = "Helicone-Gateway-Equals"
PROPERTY_PROVIDER = "Helicone-Gateway-Provider"
EQUALS_SHOWN_MAX = 8
ORDER = "gateway-order"


def turns_of(
    x: Exchange, load: GatewayLoad, candidates: Sequence[Candidate], by_load: bool
) -> Turns:
    """The way of this request."""
    return Turns(x, load, candidates, by_load=by_load)


class Unordered:
    """In the place of `Turns` where nothing can be asked: one after the other, as they are."""

    def __init__(self, candidates: Sequence[Candidate]) -> None:
        self.candidates = candidates

    def __enter__(self) -> Unordered:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def enter(self, candidate: Candidate) -> None:
        """The next one is called: nobody keeps count."""


class Turns:
    """One request's way along its candidates: `with Turns(…) as turns:`."""

    def __init__(
        self,
        x: Exchange,
        load: GatewayLoad,
        candidates: Sequence[Candidate],
        *,
        by_load: bool = True,
    ) -> None:
        self.candidates = load.order(x.region, x.org, candidates, by_load=by_load)
        self._x = x
        self._load = load
        self._equals = {
            index: [self.candidates[other].endpoint.provider for other in group]
            for group in equals_among(self.candidates)
            for index in group
        }
        self._candidate: Candidate | None = None
        self._turn: Turn | None = None
        self._judged = len(x.attempts)

    def __enter__(self) -> Turns:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        fence.open_now(self._x, ORDER, None, NoneType, self._leave, error)

    def enter(self, candidate: Candidate) -> None:
        """The next one is called. Open: what its calls show may stay untold."""
        fence.open_now(self._x, ORDER, None, NoneType, self._enter, candidate)

    def _enter(self, candidate: Candidate) -> None:
        self._leave(None)
        x = self._x
        self._candidate = candidate
        # One that only the client's word names is not kept: there may be any number of them.
        if candidate.endpoint.registered:
            self._turn = self._load.begin(x.region, x.org, candidate)
        marks = {name: text for name, text in (x.marks or {}).items() if name != PROPERTY_PROVIDER}
        equals = self._equals.get(self.candidates.index(candidate))
        if equals is not None:
            marks[PROPERTY_EQUALS] = ", ".join(equals[:EQUALS_SHOWN_MAX])
            marks[PROPERTY_PROVIDER] = candidate.endpoint.provider
        if marks or x.marks:
            x.marks = marks

    def _leave(self, error: BaseException | None) -> None:
        """The candidate is done with: what its calls have shown is told."""
        turn, self._turn = self._turn, None
        if turn is None:
            return
        x = self._x
        made = x.attempts[self._judged :]
        self._judged = len(x.attempts)
        for attempt in made:
            self._tell(turn, attempt)
        stalled = isinstance(error, Woken) and x.reply.watch.expired == "gap"
        if made and x.started and (isinstance(error, UpstreamFailed) or stalled):
            turn.bad(made[-1].latency_us / 1e6)  # it broke off in the middle
        turn.end()

    def _tell(self, turn: Turn, attempt: Attempt) -> None:
        if attempt.status is None and attempt.why_next in ENDED_BY_US:
            return
        assert self._candidate is not None, "entered"
        verdict = verdict_of(attempt.status)
        now_us = time.time_ns() // 1000
        seconds = (attempt.latency_us or max(0, now_us - attempt.started_at_us)) / 1e6
        if verdict == "good":
            turn.good(seconds)
        elif verdict == "bad":
            turn.bad(seconds)
        elif verdict == "limited":
            told = attempt.retry_after
            wait_s = retry_after_s(told, now_us, RETRY_AFTER_S_MAX) if told else None
            turn.limited(LIMITED_S if wait_s is None else wait_s)
        provider = self._candidate.endpoint.provider
        self._load.count("gateway_calls_total", provider=provider, result=verdict)
