"""`/router/{name}/…`: one exchange, and the target that answers it (internals.md 8).

Which target is asked, and when the next one is, is decided in `core/router_*.py`; what is known of
them is in `actors/router.py`. Here an exchange is turned to one after the other, and what each has
shown is told.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

import trio

from appliance import fence
from appliance.actors.router import Book, Router, Turn
from appliance.core import headers as names
from appliance.core.credential_header import REPLACED
from appliance.core.credentials import forward_headers
from appliance.core.derive import PriceOf
from appliance.core.provider_credentials import KEY_PARAMETERS, brings_own
from appliance.core.retry import retry_after_s
from appliance.core.router_body import model_of, with_model
from appliance.core.router_plan import RouterPlan
from appliance.core.router_verdict import goes_on, verdict_of
from appliance.core.urls import scrub
from appliance.core.usage_types import Usage
from appliance.errors import Refusal, UpstreamFailed
from appliance.exchange import Attempt, Body, Exchange, Headers
from appliance.wire import Woken

BODY_BYTES_MAX = 32 * 1024 * 1024
RETRY_AFTER_S_MAX = 3600.0
# By which prices are compared.
TYPICAL = Usage(input=1000, output=1000)
ENDED_BY_US = frozenset({"Woken", "Cancelled", "hedge_lost"})
# Properties of the record that are ours.
PROPERTY_ROUTER = "Helicone-Router"
PROPERTY_TARGET = "Helicone-Router-Target"
PROPERTY_MODEL = "Helicone-Router-Model"
KEY_NOT_SENT = "client-key;reason=several-providers"
NO_PRICES = "router-cost;reason=body"

# Gives the door's Route, which lies above, for a path; raises Refusal.
Way = Callable[[bytes], Any]


@dataclass(frozen=True, slots=True)
class RoutedBy:
    """A router with the way to each of its targets. `forward_key`: a client's own key goes along.
    `salt` keeps the books of clients apart without their keys."""

    router: Router
    ways: Sequence[Way]
    providers: Sequence[str]
    forward_key: bool
    salt: bytes = field(default_factory=lambda: secrets.token_bytes(16), repr=False)

    @property
    def plan(self) -> RouterPlan:
        """What the configuration says."""
        return self.router.plan


class Routed:
    """The exchange on its way through a router. `with Routed(…) as routed:`; then `open`, `enter`,
    and on every way out the targets that were entered are left."""

    def __init__(self, x: Exchange, by: RoutedBy, price: PriceOf) -> None:
        self._x = x
        self._by = by
        self._price = price
        self._route = x.route
        self._original = x.body
        self._book: Book | None = None
        self._models: dict[int, str] = {}  # by index of a target: what it is asked for
        self._prices: Mapping[int, int | None] = {}
        self._asked = ""
        self._tried: set[int] = set()
        self._turn: Turn | None = None
        self._next: Turn | None = None
        self._judged = len(x.attempts)
        self._spare: tuple[Turn, Any, Body] | None = None
        self.fields: Headers = []  # that go to each target, but for a key of ours

    def __enter__(self) -> Routed:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        x = self._x
        stalled = isinstance(error, Woken) and x.reply.watch.expired == "gap"
        if self._turn is not None and x.started and (isinstance(error, UpstreamFailed) or stalled):
            self._tell(self._turn, x.attempts[-1], None)  # it broke off in the middle
        self._leave()
        for turn in (self._next, self._spare[0] if self._spare is not None else None):
            if turn is not None:
                turn.end()
        x.hedge = None
        spill = self._original.spill
        if spill is not None and x.body is not self._original:
            spill.close()

    async def open(self) -> None:
        """Read what is asked, and choose the first target. Raises Refusal 400, 413, 415."""
        x, plan = self._x, self._by.plan
        caller = self._read_key()
        # The default organisation has the same id in both regions, which share nothing.
        self._book = self._by.router.book(x.region.encode() + x.org, caller)
        if plan.reads_model and x.body.length:
            self._asked = await self._read_model()
        for index, target in enumerate(plan.targets):
            model = target.model_for(self._asked)
            if model is not None:
                self._models[index] = model
        if not self._models:
            known = sorted({name for target in plan.targets for name in target.models})
            raise Refusal(
                400, "router_model_unknown",
                f"No target of the router {plan.name} serves the model {self._asked[:200]!r}. "
                f"Known here: {', '.join(known)[:1000]}.",
            )  # fmt: skip
        if plan.strategy == "cost":
            self._prices = self._price_all()
        self._next = self._pick(forced=True)
        x.marks = {**(x.marks or {}), PROPERTY_ROUTER: plan.name}

    async def enter(self) -> Headers:
        """Turn the exchange to the target that was chosen: route, body, marks. Gives the header
        lines that go there. Raises Refusal for one that may not be reached."""
        x = self._x
        self._leave()
        self._turn, self._next = self._next, None
        assert self._turn is not None, "chosen before"
        index = self._turn.index
        self._tried.add(index)
        self._mark(index)
        x.hedge = None
        x.route = self._way(index)
        x.dialect = x.route.provider.dialect
        x.body = await self._body_for(self._models[index])
        return self.fields

    def given_up(self, status: int) -> bool:
        """A target's reply has begun, or would have this status where there was none: what it
        says of the target is told. True: another one is asked, which has been chosen."""
        x, watch = self._x, self._x.reply.watch
        if watch.gone or watch.expired == "total":
            return False
        turn = self._turn
        assert turn is not None, "entered before"
        self._tell_of_earlier(turn, len(x.attempts) - 1)
        self._tell(turn, x.attempts[-1], status)
        self._judged = len(x.attempts)
        return goes_on(status) and self._switch(turn, verdict_of(status))

    def passed_over(self, refusal: Refusal) -> bool:
        """A rule of ours kept the target from being called. True: another one is asked."""
        x, turn = self._x, self._turn
        if turn is None or not self._switch(turn, "refused"):
            return False
        provider = self._by.providers[turn.index]
        url = scrub(x.route.base_url) if x.route is not self._route else ""
        passed = Attempt(url, provider, started_at_us=_now_us(), why_next=refusal.code)
        x.attempts.append(passed)
        self._judged = len(x.attempts)
        return True

    # -- a second target beside the one that was entered

    @property
    def hedges(self) -> bool:
        """Whether a second call may be made: another target is left, and the body is in memory."""
        x = self._x
        return (
            self._by.plan.hedge_after_s is not None
            and x.body.spill is None
            and self._original.spill is None
            and len(self._tried) < len(self._models)
        )

    @property
    def hedge_after_s(self) -> float:
        """How long the first may take."""
        after_s = self._by.plan.hedge_after_s
        assert after_s is not None, "it hedges"
        return after_s

    async def spare(self) -> tuple[Any, Body] | None:
        """Another target that is well: the way there, and the body it is sent."""
        turn = self._pick()
        if turn is None:
            return None
        self._tried.add(turn.index)
        try:
            way = self._way(turn.index)
            body = await self._body_for(self._models[turn.index])
        except Refusal:
            turn.end()
            return None
        self._spare = turn, way, body
        return way, body

    def spare_refused(self) -> None:
        """A rule of ours keeps it from being called: the first goes on alone."""
        if self._spare is not None:
            self._spare[0].end()
            self._spare = None

    def raced(self, loser: Attempt | None, *, spare_won: bool) -> None:
        """The race is over: what it has shown of the loser is told, and the exchange is turned to
        the winner."""
        if self._spare is None:
            return
        assert self._turn is not None, "it was entered"
        x = self._x
        turn, way, body = self._spare
        self._spare = None
        lost = self._turn if spare_won else turn
        if loser is not None:
            self._tell_lost(lost, loser)
            result = "won" if spare_won else "lost"
            self._by.router.count("router_hedges_total", turn.index, result=result)
        else:
            self._tried.discard(turn.index)  # it was never called
        lost.end()
        self._judged = len(x.attempts) - 1
        if spare_won:
            self._turn = turn
            x.route, x.dialect, x.body = way, way.provider.dialect, body
            self._mark(turn.index)

    def _tell_lost(self, turn: Turn, attempt: Attempt) -> None:
        if attempt.status is not None or attempt.why_next not in ENDED_BY_US:
            self._tell(turn, attempt, attempt.status)
        elif not self._x.reply.watch.gone:
            attempt.model = self._models[turn.index]
            turn.slow(attempt.latency_us / 1e6)

    # -- what is asked

    def _read_key(self) -> bytes:
        """Whether the client's own key goes along; then what tells it from others'."""
        x, by = self._x, self._by
        fields = forward_headers(x.head.headers, x.found_key)
        own = brings_own(x.facts.credentials, x.head.first, self._route.path)
        if own and by.forward_key:
            self.fields = fields
            keys = [b"%b:%b" % line for line in fields if line[0].lower() in REPLACED]
            found = b"\n".join([by.salt, self._route.path.partition(b"?")[2], *keys])
            return hashlib.sha256(found).digest()
        # Closed: what was meant for one of several is shown to none.
        self.fields = [line for line in fields if line[0].lower() not in REPLACED]
        if own:
            if KEY_PARAMETERS.search(self._route.path):
                raise Refusal(
                    400, "key_misplaced",
                    "This router has several providers: a key in the query would go to all of "
                    "them. Store the providers' keys here, or set forward_key in "
                    f"[routers.{by.plan.name}].",
                )  # fmt: skip
            fence.note(self._x, KEY_NOT_SENT)
        return b""

    async def _read_model(self) -> str:
        """The model that the body asks for. Where it decides which targets there are, a body that
        cannot be read is refused; where it only gives prices, the call goes on without them."""
        x, maps = self._x, self._by.plan.maps_models
        try:
            if x.body.length > BODY_BYTES_MAX:
                raise Refusal(413, "body_too_large", "This router reads bodies up to 32 MiB.")
            if b"content-encoding" in x.head.first:
                raise Refusal(
                    415, "body_coded", "This router reads bodies without Content-Encoding."
                )
            spill = x.body.spill
            if spill is None:
                return model_of(x.body.data)
            length = x.body.length
            return await trio.to_thread.run_sync(lambda: model_of(spill.begin(length)))
        except Refusal:
            if maps:
                raise
            fence.note(self._x, NO_PRICES)
            return ""

    def _mark(self, index: int) -> None:
        """Say in the reply and on the record which target it is."""
        x, name = self._x, self._by.plan.targets[index].name
        reply = names.REPLY_ROUTER_TARGET, name.encode("utf-8")
        x.reply_headers = [line for line in x.reply_headers if line[0] != reply[0]] + [reply]
        x.marks = {**(x.marks or {}), PROPERTY_TARGET: name}
        x.marks.pop(PROPERTY_MODEL, None)
        if self._models[index] != self._asked:
            x.marks[PROPERTY_MODEL] = self._asked

    def _way(self, index: int) -> Any:  # noqa: ANN401 - the door's Route, which lies above
        """The way to a target. Raises Refusal."""
        way, route = self._by.ways[index](self._route.path), self._route
        way.record_path, way.region = route.record_path, route.region
        way.router_name = route.router_name
        return way

    async def _body_for(self, model: str) -> Body:
        """The client's own body, or the same with the target's name for the model."""
        body = self._original
        if model == self._asked:
            return body
        spill = body.spill
        if spill is None:
            edited = with_model(body.data, model)
        else:
            edited = await trio.to_thread.run_sync(
                lambda: with_model(spill.begin(body.length), model)
            )
        return Body(edited, None, len(edited), body.trailers)

    def _price_all(self) -> dict[int, int | None]:
        """Of the same request at each target, in pico-USD."""
        at_us, providers = self._x.created_at_us, self._by.providers
        return {
            index: self._price(providers[index], model, TYPICAL, at_us).cost_pico if model else None
            for index, model in self._models.items()
        }

    # -- which is next, and what the last one has shown

    def _pick(self, *, forced: bool = False) -> Turn | None:
        assert self._book is not None, "opened before"
        left = [index for index in self._models if index not in self._tried]
        return self._book.pick(left, self._prices, forced=forced)

    def _switch(self, turn: Turn, why: str) -> bool:
        if self._next is None:
            self._next = self._pick()
        if self._next is None:
            return False
        self._by.router.count("router_switches_total", turn.index, why=why)
        return True

    def _leave(self) -> None:
        turn, self._turn = self._turn, None
        if turn is not None:
            self._tell_of_earlier(turn, len(self._x.attempts))
            turn.end()

    def _tell_of_earlier(self, turn: Turn, end: int) -> None:
        """Of the calls of this target that were made again, or ended without a word."""
        attempts = self._x.attempts
        while self._judged < end:
            attempt = attempts[self._judged]
            self._judged += 1
            if attempt.status is not None or attempt.why_next not in ENDED_BY_US:
                self._tell(turn, attempt, attempt.status)

    def _tell(self, turn: Turn, attempt: Attempt, status: int | None) -> None:
        """One call of the target, ended or with its reply begun."""
        attempt.model = self._models[turn.index]
        us = attempt.latency_us or max(0, _now_us() - attempt.started_at_us)
        verdict = verdict_of(status)
        if verdict == "good":
            turn.good(us / 1e6)
        elif verdict == "bad":
            turn.bad(us / 1e6)
        elif verdict == "limited":
            turn.limited(self._wait_s(attempt))
        self._by.router.count("router_calls_total", turn.index, result=verdict)

    def _wait_s(self, attempt: Attempt) -> float:
        told = attempt.retry_after
        wait_s = retry_after_s(told, _now_us(), RETRY_AFTER_S_MAX) if told else None
        return self._by.plan.limited_s if wait_s is None else wait_s


def _now_us() -> int:
    return time.time_ns() // 1000
