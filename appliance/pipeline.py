"""What happens to a request, in order, on one screen. Features do it; nothing else calls them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import NoneType

import trio

from appliance.config import Deadlines as Timing
from appliance.core.ids import uuid_text
from appliance.errors import Refusal, UpstreamFailed
from appliance.exchange import CLIENTS_OWN, Aim, Body, Exchange, Headers, Watch, monotonic
from appliance.features.admit import admit, is_preflight
from appliance.features.aim import aim_along, aim_at
from appliance.features.answer import (
    attempt_reply,
    client_gone,
    fail,
    last_words,
    log_call,
    own_reply,
    preflight,
    refuse,
    status_of,
    too_late,
    woken,
)
from appliance.features.cache import Caching, caching_of, wants_cache
from appliance.features.call import Call
from appliance.features.cut_off import bill_cut_off
from appliance.features.edit_prompt import edit_prompt, wants_edit
from appliance.features.fallback import Fallbacks, fallback_entries
from appliance.features.guard import checked
from appliance.features.hedge import Race, Spare
from appliance.features.lend import (
    keeps_own,
    lend,
    lend_along,
    lent_before,
    stand_for,
)
from appliance.features.limit import charge, limit, owes, unlimited
from appliance.features.mock import JSON_REPLY, mock_body, passed_over
from appliance.features.pay import counts, paid
from appliance.features.realtime import converse
from appliance.features.relay import relay
from appliance.features.retry import again, pause, retrying_of
from appliance.features.route_by import Routed
from appliance.features.stream_usage import ask_for_usage, wants_usage
from appliance.features.tap import Tap, Untapped
from appliance.fence import (
    CLOSED_S,
    OPEN_S,
    Within,
    broke,
    closed,
    note,
    open_now,
    open_within,
    tell,
)
from appliance.house import House
from appliance.pipeline_gateway import through_gateway
from appliance.pipeline_intake import take_in
from appliance.wire import Woken

BUDGETS = "budgets"
CACHE = "cache-enabled"
USAGE = "stream-usage"
PROMPT = "prompt"
# From the request's end to the first call: more than all that may be waited for in between.
PREPARE_S = 60.0
LAST_WORDS_S = 2.0


def never(_status: int) -> bool:
    """For a target that is the only one."""
    return False


async def handle(x: Exchange, house: House) -> None:
    """One exchange, from its head to its record. Never raises for anything a client or a provider
    does; what escapes is a bug, and is on record too.

    Closed unless a line says otherwise: what breaks is refused, and named on record. Open, by
    `open_now` and `open_within`: all that the provider's answer can do without (`fence.py`).
    """
    if x.route.takes_in:
        await take_in(x, house)
        return
    x.reply.watch.enter("prepare", PREPARE_S)
    try:
        preflighted = await admitted(x, house)
    except Exception as error:  # closed: no organisation, no key of ours, no record
        await answer_no(x, house, closed(x, "admission", error))
        house.metrics.missed(x)
        return
    if preflighted:
        await attempt_reply(x, preflight(x))
        house.metrics.missed(x)
        return
    try:
        tap = Tap(x, house.recorder)
        assert isinstance(tap, Tap), "it keeps what is seen"
    except Exception as error:  # open: the reply goes on without a record
        broke(x, "record", error)
        tap = Untapped(x)
    with tap:
        try:
            await served(x, house, tap)
        except OSError as error:  # the client's side: the provider's errors are UpstreamFailed
            client_gone(x, error)
        except Exception as error:  # a refusal, or a bug
            await answer_no(x, house, closed(x, "pipeline", error))
        except BaseException:
            if x.reply.watch.unheard:  # it hung where no deadline is heard
                with trio.move_on_after(LAST_WORDS_S, shield=True):
                    await last_words(x, closed(x, "pipeline", trio.TooSlowError()))
                house.metrics.missed(x)
            raise
        if x.payment is not None:
            await open_within(x, BUDGETS, OPEN_S, None, NoneType, x.payment.look(x, tap))
    if x.asks.posthog_key:
        open_now(x, "posthog", None, NoneType, capture, x, house)
    try:
        house.metrics.exchange(x, monotonic() - x.started_s)
    except Exception as error:
        tell("metrics", error)
        house.metrics.count("feature_failures_total", feature="metrics")


def capture(x: Exchange, house: House) -> None:
    """PostHog is told of this call once its row is in."""
    asks = x.asks
    house.posthog.note(x.region, uuid_text(x.exchange_id), asks.posthog_key, asks.posthog_host)


async def admitted(x: Exchange, house: House) -> bool:
    """Whose request is this? True: a browser's question before it, which is answered at once."""
    admit(x, house.gate, house.ids)
    preflighted = is_preflight(x)
    assert isinstance(preflighted, bool), "it is one, or not"
    if preflighted:
        return True
    if x.facts.credentials.stand_in:
        with Within(CLOSED_S):
            await stand_for(x, house.keys)
        assert x.stand_in is not None, "or it was refused"
    assert x.identity is not None, "or it was refused"
    return False


async def served(x: Exchange, house: House, tap: Tap) -> None:
    """The request; in its place what went wrong at the provider's, or took too long. Raises
    Refusal, OSError of the client's side."""
    try:
        await serve(x, house, tap)
        assert x.started or x.reply.watch.gone, "somebody has answered"
        if house.config.access_log:
            open_now(x, "access-log", None, NoneType, log_call, x, house.proxies, house.log)
    except UpstreamFailed as failure:
        await attempt_reply(x, fail(x, failure))
        house.log.warning("failed", outcome=failure.name, reason=failure.message, id=x.request_id)
    except Woken:
        await woken(x, house.deadlines.of(x), house.log)


async def answer_no(x: Exchange, house: House, refusal: Refusal) -> None:
    """A refusal: to the client, then in the log."""
    await attempt_reply(x, refuse(x, refusal))
    house.log.warning("refused", status=refusal.status, code=refusal.code, id=x.request_id)


async def serve(x: Exchange, house: House, tap: Tap) -> None:
    """The lines of a proxied request, in order."""
    limits = house.deadlines.of(x)
    x.reply.watch.total_s = x.started_s + limits.total_s
    x.reply.watch.drain_s = house.config.drain_s
    house.recorder.budget.admit()  # closed: without memory nothing else would go on
    await x.reply.read_body(x)
    x.reply.watch.enter("prepare", PREPARE_S)
    if open_now(x, PROMPT, False, bool, wants_edit, x):
        await open_within(x, PROMPT, OPEN_S, None, NoneType, edit_prompt(x, house.gateway))
    tap.hold_request()
    mocked = x.asks.mock_response
    if x.route.is_gateway and mocked is None:
        through = through_router if x.route.router_name else through_gateway
        await through(x, house, tap)
    else:
        await want_usage(x)
        if x.route.falls_back and mocked is None:
            await fall_back(x, house, tap)
        else:
            await to_one(x, house, tap, limits)
    if len(x.taken) and open_now(x, "ratelimit-policy", False, bool, owes, x):
        due = charge(x, tap, house.price)
        await open_within(x, "ratelimit-policy", OPEN_S, True, bool, due)


async def want_usage(x: Exchange) -> None:
    """Ask for counts at the stream's end, where that is wanted."""
    if x.asks_usage and open_now(x, USAGE, False, bool, wants_usage, x):
        await open_within(x, USAGE, OPEN_S, True, bool, ask_for_usage(x))


async def to_one(x: Exchange, house: House, tap: Tap, limits: Timing) -> None:
    """The one target that the request names, or what it says in that one's place."""
    if not (x.route.is_gateway or x.route.falls_back):
        try:
            # closed: a key of ours goes where it may, or nothing does
            own = keeps_own(x)
            assert isinstance(own, bool), "it is kept, or not"
            lent = CLIENTS_OWN if own else lent_before(x, house.keys)
            if lent is None:
                with Within(CLOSED_S):
                    lent = await lend(x, house.keys)
            aim = aim_at(x, lent, house.dialling, limits)
            assert isinstance(aim, Aim), "it is where the call goes"
            x.aim = aim
        except Exception as error:
            raise closed(x, "keys", error) from error
    mocked = x.asks.mock_response
    if mocked is not None:
        body = mock_body(mocked)
        assert isinstance(body, bytes), "it is what is sent"
        open_now(x, "ratelimit-policy", True, bool, unlimited, x, house.limits)
        open_now(x, "mock-response", True, bool, passed_over, x)
        x.outcome = "mock"
        await own_reply(x, 200, JSON_REPLY, body)
        return
    await answer(x, house, tap, limits, x.head.headers)


async def fall_back(x: Exchange, house: House, tap: Tap) -> None:
    """Several targets, until one gives a reply that is not to be given up."""
    entries = fallback_entries(x, house.route_to)
    fallbacks = Fallbacks(x)
    try:
        for entry in entries:
            try:
                with Within(CLOSED_S):
                    await fallbacks.enter(entry)
                    limits = house.deadlines.of(x)
                    lent = await lend_along(x, entry.way, entry.fields, house.keys)
                aim = aim_along(x, entry.way, lent, house.dialling, limits)
                assert isinstance(aim, Aim), "it is where the call goes"
                x.aim = aim
            except Exception as error:
                raise closed(x, "fallbacks", error) from error
            if await answer(x, house, tap, limits, entry.fields, entry.given_up):
                return
    finally:
        open_now(x, "fallbacks", None, NoneType, fallbacks.close)


async def through_router(x: Exchange, house: House, tap: Tap) -> None:
    """The targets of a router, until one gives a reply that is not to be given up."""
    await want_usage(x)
    with Routed(x, house.routers[x.route.router_name], house.price) as routed:
        try:
            with Within(CLOSED_S):
                await routed.open()
        except Exception as error:  # closed: what cannot be routed is refused
            raise closed(x, "router", error) from error
        while True:
            try:
                with Within(CLOSED_S):
                    fields = await routed.enter()
                    lent = await lend_along(x, x.route, fields, house.keys)
                limits = house.deadlines.of(x)
                aim = aim_along(x, x.route, lent, house.dialling, limits)
                assert isinstance(aim, Aim), "it is where the call goes"
                x.aim = aim
            except Exception as error:
                refusal = closed(x, "router", error)
                if not routed.passed_over(refusal):
                    raise refusal from error
                continue
            if open_now(x, "hedging", False, bool, hedges, x, routed):
                x.hedge = partial(hedged, x, house, routed)
            if await answer(x, house, tap, limits, fields, routed.given_up):
                return


def hedges(x: Exchange, routed: Routed) -> bool:
    """Whether a second target may be asked. The cache's entry has one target's name on it."""
    return routed.hedges and not wants_cache(x)


def hedged(x: Exchange, house: House, routed: Routed) -> Race:
    """A call of the target that x is at, and of another if that takes long."""

    async def find_spare() -> Spare | None:
        if x.payment is not None and house.wallets.by_region[x.region].strict:
            # What is held is the worst that one call may cost: two at once could cost more.
            note(x, "hedging;reason=budget-strict")
            return None
        try:
            with Within(OPEN_S):
                found = await routed.spare()
                if found is None:
                    return None
                way, body = found
                lent = await lend_along(x, way, routed.fields, house.keys, body=body)
            aim = aim_along(x, way, lent, house.dialling, house.deadlines.of(x))
        except Exception as error:  # open: the first call goes on alone
            closed(x, "hedging", error)
            routed.spare_refused()
            return None
        return Spare(aim, body)

    def make_call(aim: Aim, body: Body | None, watch: Watch) -> Call:
        return Call(x, aim, house.pool, body, watch)

    return Race(x, make_call, routed.hedge_after_s, find_spare, routed)


async def answer(
    x: Exchange,
    house: House,
    tap: Tap,
    limits: Timing,
    fields: Headers,
    given_up: Callable[[int], bool] = never,
) -> bool:
    """One target's answer: the cache's, which costs no token, else a call's. `fields` name the
    caller to the target. False: the target was `given_up`."""
    caching = open_now(x, CACHE, None, (Caching, NoneType), caching_of, x, tap)
    if caching is None:
        await allowed(x, house)
        return await call(x, house, tap, limits, given_up)
    with caching:
        if await caching.answers(house.caches, fields):
            return True
        await allowed(x, house)
        return await call(x, house, caching, limits, given_up)


async def allowed(x: Exchange, house: House) -> None:
    """One token per client request, the checks of its prompt, and what the call may cost from the
    budgets. Raises Refusal."""
    open_now(x, "ratelimit-policy", True, bool, limit, x, house.limits)
    await checked(x, house.guards)
    if open_now(x, BUDGETS, True, bool, counts, x, house.wallets):
        await paid(x, house.wallets, x.route.provider.id)


async def call(
    x: Exchange,
    house: House,
    tap: Tap | Caching,
    limits: Timing,
    given_up: Callable[[int], bool] = never,
) -> bool:
    """One target, called until a reply is final, which is relayed as it comes. False: that reply,
    or the failure, was one for which the target is `given_up`, and nothing of it was passed on."""
    assert x.aim is not None, "aimed before"
    retrying = retrying_of(x)
    while True:
        try:
            one = Call(x, x.aim, house.pool) if x.hedge is None else x.hedge()
            async with one as reply:
                if not again(x, retrying, reply):
                    if gives_up(x, given_up, reply.status):
                        x.attempts[-1].why_next = f"status_{reply.status}"
                        if 200 <= reply.status <= 299:  # its provider has answered all the same
                            x.cut_off = reply.status, b""
                            await bill_cut_off(x, house.price, "cut")
                        return False
                    if reply.switched:
                        most = house.config.message_bytes_max
                        assert not isinstance(tap, Caching), "no cache keeps a session"
                        await converse(x, reply, tap, house.recorder, most)
                        return True
                    await relay(x, reply, tap, limits.gap_s)
                    if isinstance(tap, Caching):
                        tap.keep_reply(reply)
                    return True
        except UpstreamFailed as failure:
            if x.started:
                raise
            if not again(x, retrying, failure):
                if gives_up(x, given_up, status_of(failure)):
                    return False
                raise
        except Woken:
            if x.started or not gives_up(x, given_up, 504) or not too_late(x):
                raise
            return False
        except (Refusal, OSError):
            raise
        except Exception as error:
            if x.hedge is None or x.started:
                raise
            broke(x, "hedging", error)  # open: the call is made alone
            x.hedge = None
            continue
        await pause(x, retrying)


def gives_up(x: Exchange, given_up: Callable[[int], bool], status: int) -> bool:
    """Whether another target is tried after this result. Open: it is the client's then."""
    return given_up is not never and open_now(x, "targets", False, bool, given_up, status)
