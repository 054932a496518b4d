"""What happens to a request, in order, on one screen. Features do it; nothing else calls them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from appliance.actors.gateway_load import GatewayLoad
from appliance.actors.metrics import Metrics
from appliance.actors.recorder import Recorder
from appliance.config import Config
from appliance.config import Deadlines as Timing
from appliance.core.derive import PriceOf
from appliance.core.ids import ExchangeIds
from appliance.core.keys import REGION_DEFAULT
from appliance.core.provider_credentials import Found
from appliance.errors import Refusal, UpstreamFailed
from appliance.exchange import CLIENTS_OWN, Aim, Body, Exchange, Headers, Watch, monotonic
from appliance.features.admit import Gate, admit, is_preflight
from appliance.features.aim import aim_along, aim_at
from appliance.features.answer import (
    fail,
    own_reply,
    preflight,
    refuse,
    status_of,
    timeout_failure,
)
from appliance.features.cache import Caches, Caching, of_anybody, wants_cache
from appliance.features.call import Call
from appliance.features.deadlines import Deadlines
from appliance.features.edit_prompt import edit_prompt
from appliance.features.fallback import Fallbacks, RouteTo, fallback_entries
from appliance.features.gateway_turns import Turns
from appliance.features.guard import Guards, guard, wants_guard
from appliance.features.hedge import Race, Spare
from appliance.features.lend import Ring, Rings, keeps_own, lend, lend_along, stand_for, stored_key
from appliance.features.limit import Limits, charge, limit
from appliance.features.mapped import relay_mapped
from appliance.features.mock import JSON_REPLY, mock_body
from appliance.features.pay import Wallets, counts, pay
from appliance.features.realtime import converse
from appliance.features.relay import client_headers, relay
from appliance.features.retry import Retrying
from appliance.features.route_by import Routed, RoutedBy
from appliance.features.stream_usage import ask_for_usage
from appliance.features.tap import Tap
from appliance.log import Log
from appliance.providers.table import Provider
from appliance.upstream.pool import Pool
from appliance.wire import Woken

if TYPE_CHECKING:
    from appliance.core.attempts import Candidate
    from appliance.features.gateway import Gateway, GatewayCall


@dataclass(slots=True)
class House:
    """What the pipeline works with."""

    config: Config
    gate: Gate
    pool: Pool
    recorder: Recorder
    deadlines: Deadlines
    ids: ExchangeIds
    dialling: Callable[[Provider], Hashable]
    route_to: RouteTo
    keys: Rings
    platform: bytes  # the organisation whose keys serve those who pay with credits, or b""
    gateway: Callable[[], Awaitable[Gateway]]
    limits: Limits
    guards: Guards
    wallets: Wallets
    caches: Caches
    price: PriceOf
    routers: Mapping[str, RoutedBy]
    load: GatewayLoad
    log: Log
    metrics: Metrics


def never(_status: int) -> bool:
    """For a target that is the only one."""
    return False


async def handle(x: Exchange, house: House) -> None:
    """One exchange, from its head to its record. Never raises for anything a client or a provider
    does; what escapes is a bug, and is on record too.

    Fails closed: admission (whose request is this?). Fails open: everything that only watches.
    """
    try:
        admit(x, house.gate, house.ids)  # closed: no organisation, no key of ours, no record
        if x.facts.credentials.stand_in and not is_preflight(x):
            await stand_for(x, house.keys)  # closed, as that
    except Refusal as refusal:
        house.log.warning("refused", status=refusal.status, code=refusal.code, id=x.request_id)
        await attempt_reply(x, refuse(x, refusal))
        return
    if is_preflight(x):
        await attempt_reply(x, preflight(x))
        return
    with Tap(x, house.recorder) as tap:
        try:
            await serve(x, house, tap)
            if house.config.access_log:
                log_call(x, house)
        except Refusal as refusal:
            house.log.warning("refused", status=refusal.status, code=refusal.code, id=x.request_id)
            await attempt_reply(x, refuse(x, refusal))
        except UpstreamFailed as failure:
            house.log.warning(
                "failed", outcome=failure.name, reason=failure.message, id=x.request_id
            )
            await attempt_reply(x, fail(x, failure))
        except Woken:
            await woken(x, house)
        except OSError as error:  # the client's side: the provider's errors are UpstreamFailed
            client_gone(x, error)
        if x.payment is not None:
            await x.payment.look(x, tap)
    house.metrics.exchange(x, monotonic() - x.started_s)


async def serve(x: Exchange, house: House, tap: Tap) -> None:
    """The lines of a proxied request, in order."""
    limits = house.deadlines.of(x)
    x.reply.watch.total_s = x.started_s + limits.total_s
    x.reply.watch.drain_s = house.config.drain_s
    house.recorder.budget.admit()  # closed: without memory nothing else would go on
    await x.reply.read_body(x)
    await edit_prompt(x, house.gateway)  # closed: a prompt id asks for a prompt that can be read
    tap.hold_request()
    mocked = x.asks.mock_response
    if x.route.is_gateway and mocked is None:
        through = through_router if x.route.router_name else through_gateway
        await through(x, house, tap)
        await charge(x, tap, house.price)
        return
    await ask_for_usage(x)
    if x.route.falls_back and mocked is None:
        await fall_back(x, house, tap)
        await charge(x, tap, house.price)
        return
    if not (x.route.is_gateway or x.route.falls_back):
        # closed: a key of ours goes where it may, or nothing does
        lent = CLIENTS_OWN if keeps_own(x) else await lend(x, house.keys)
        x.aim = aim_at(x, lent, house.dialling, limits)
    if mocked is not None:
        body = mock_body(mocked)
        x.outcome = "mock"
        await own_reply(x, 200, JSON_REPLY, body)
        return
    await answer(x, house, tap, limits, x.head.headers)
    await charge(x, tap, house.price)


async def fall_back(x: Exchange, house: House, tap: Tap) -> None:
    """Several targets, until one gives a reply that is not to be given up."""
    entries = fallback_entries(x, house.route_to)
    fallbacks = Fallbacks(x)
    try:
        for entry in entries:
            await fallbacks.enter(entry)
            limits = house.deadlines.of(x)
            lent = await lend_along(x, entry.way, entry.fields, house.keys)
            x.aim = aim_along(x, entry.way, lent, house.dialling, limits)
            if await answer(x, house, tap, limits, entry.fields, entry.given_up):
                return
    finally:
        fallbacks.close()


async def through_router(x: Exchange, house: House, tap: Tap) -> None:
    """The targets of a router, until one gives a reply that is not to be given up."""
    await ask_for_usage(x)
    with Routed(x, house.routers[x.route.router_name], house.price) as routed:
        await routed.open()  # closed: what cannot be routed is refused
        while True:
            try:
                fields = await routed.enter()
                lent = await lend_along(x, x.route, fields, house.keys)
            except Refusal as refusal:
                if not routed.passed_over(refusal):
                    raise
                continue
            limits = house.deadlines.of(x)
            x.aim = aim_along(x, x.route, lent, house.dialling, limits)
            if routed.hedges and not wants_cache(x):  # whose entry has one target's name on it
                x.hedge = partial(hedged, x, house, routed)
            if await answer(x, house, tap, limits, fields, routed.given_up):
                return


def hedged(x: Exchange, house: House, routed: Routed) -> Race:
    """A call of the target that x is at, and of another if that takes long."""

    async def find_spare() -> Spare | None:
        found = await routed.spare()
        if found is None:
            return None
        way, body = found
        try:
            lent = await lend_along(x, way, routed.fields, house.keys, body=body)
            aim = aim_along(x, way, lent, house.dialling, house.deadlines.of(x))
        except Refusal:  # open: the first call goes on alone
            routed.spare_refused()
            return None
        return Spare(aim, body)

    def make_call(aim: Aim, body: Body | None, watch: Watch) -> Call:
        return Call(x, aim, house.pool, body, watch)

    return Race(x, make_call, routed.hedge_after_s, find_spare, routed)


async def through_gateway(x: Exchange, house: House, tap: Tap) -> None:
    """The calls that may answer, one after the other, until one does; else one reply for all."""
    ring = house.keys[x.region]
    loaded = await house.gateway()
    platform = await ring.plan_keys(house.platform) if house.platform else {}
    gateway = await loaded.call(x, ring, platform)  # closed: what cannot be read is refused
    cached = wants_cache(x)
    if not cached:
        limit(x, house.limits)
    # An answer is kept with the provider that gave it: whoever seeks one asks in one order.
    with Turns(x, house.load, gateway.planned, by_load=not cached) as turns:
        gateway.planned = turns.candidates
        await call_in_turn(x, house, tap, gateway, turns)


async def call_in_turn(
    x: Exchange, house: House, tap: Tap, gateway: GatewayCall, turns: Turns
) -> None:
    """The gateway's candidates, one after the other."""
    ring, cached = house.keys[x.region], wants_cache(x)
    for candidate in gateway.candidates():
        key_id = candidate.key.key_id
        lender = house.platform if candidate.kind == "ptb" else x.org
        try:
            found = await stored_key(lender, candidate.endpoint.provider, key_id, ring)
            fields = gateway.enter(candidate, found, ring)
            lent = await lend_along(x, x.route, fields, house.keys, key_id, lender)
            limits = house.deadlines.of(x)
            x.aim = aim_along(x, x.route, lent, house.dialling, limits)
            turns.enter(candidate)
        except Refusal as refusal:
            gateway.forbidden(candidate, refusal)
            continue
        if not cached:
            if await call_candidate(x, house, tap, limits, gateway, candidate):
                return
            forget_denied(x, found, ring)
            continue
        with Caching(x, tap, gateway.variant) as caching:
            hit = await caching.hit(house.caches, of_anybody(x.head.headers))
            if gateway.is_plain:
                if await caching.answered(hit):
                    return
            elif hit is not None:
                assert gateway.reply_map is not None, "entered before"
                kept = caching.stored(hit)
                await relay_mapped(x, kept, tap, limits.gap_s, gateway.reply_map)
                return
            else:
                caching.missed()
            limit(x, house.limits)
            if await call_candidate(x, house, caching, limits, gateway, candidate):
                return
        forget_denied(x, found, ring)
    status, body, headers = gateway.last_word()
    x.outcome = x.outcome or gateway.outcome
    await own_reply(x, status, headers, body)


def forget_denied(x: Exchange, found: Found | None, ring: Ring) -> None:
    """A token that a provider did not take, if one was bought: the next call buys another."""
    denied = bool(x.attempts) and x.attempts[-1].status == 401
    if denied and found is not None and found.secret is not None:
        ring.tokens.forget(found.secret)


async def call_candidate(
    x: Exchange,
    house: House,
    tap: Tap | Caching,
    limits: Timing,
    gateway: GatewayCall,
    candidate: Candidate,
) -> bool:
    """One candidate of the gateway, called until its reply is final. False: it was none that a
    client is given, and how it ended is kept."""
    if wants_guard(x):
        await guard(x, house.guards)
    endpoint = candidate.endpoint
    try:  # closed: credits are held before they can be spent, or the call is not made
        await pay(
            x, house.wallets, endpoint.provider, endpoint.provider_model_id,
            pass_through=candidate.kind == "ptb",
        )  # fmt: skip
    except Refusal as refusal:
        gateway.forbidden(candidate, refusal)
        return False
    assert x.aim is not None, "aimed before"
    retrying = Retrying(x)
    while True:
        try:
            one = Call(x, x.aim, house.pool)
            one.attempt.model = gateway.sent_model
            async with one as reply:
                if not retrying.after(reply):
                    if not 200 <= reply.status <= 299:
                        await gateway.refused_by(reply)
                        x.attempts[-1].why_next = f"status_{reply.status}"
                        return False
                    if gateway.is_passed_on(reply):
                        await relay(x, reply, tap, limits.gap_s)
                    else:
                        assert gateway.reply_map is not None, "entered before"
                        await relay_mapped(x, reply, tap, limits.gap_s, gateway.reply_map)
                    if isinstance(tap, Caching):
                        tap.keep(reply.status, reply.reason, reply.end_to_end(), [])
                    return True
        except UpstreamFailed as failure:
            if x.started:
                raise
            if not retrying.after_failure(failure):
                gateway.failed(failure, status_of(failure))
                return False
        except Woken:
            phase = x.reply.watch.expired
            if x.started or not too_late(x):
                raise
            gateway.failed(timeout_failure(phase, limits), 504)
            return False
        await retrying.wait()


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
    if not wants_cache(x):
        limit(x, house.limits)
        if wants_guard(x):
            await guard(x, house.guards)
        if counts(x, house.wallets):
            await pay(x, house.wallets, x.route.provider.id)  # closed where a budget is strict
        return await call(x, house, tap, limits, given_up)
    with Caching(x, tap) as caching:
        if await caching.answered(await caching.hit(house.caches, fields)):
            return True
        limit(x, house.limits)
        if wants_guard(x):
            await guard(x, house.guards)
        if counts(x, house.wallets):
            await pay(x, house.wallets, x.route.provider.id)
        return await call(x, house, caching, limits, given_up)


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
    retrying = Retrying(x)
    while True:
        try:
            one = Call(x, x.aim, house.pool) if x.hedge is None else x.hedge()
            async with one as reply:
                if not retrying.after(reply):
                    if given_up(reply.status):
                        x.attempts[-1].why_next = f"status_{reply.status}"
                        return False
                    if reply.switched:
                        assert isinstance(tap, Tap), "no cache keeps a session"
                        await converse(
                            x, reply, tap, house.recorder, house.config.message_bytes_max
                        )
                        return True
                    await relay(x, reply, tap, limits.gap_s)
                    if isinstance(tap, Caching):
                        sent = client_headers(reply, x)
                        tap.keep(reply.status, reply.reason, sent, reply.trailers)
                    return True
        except UpstreamFailed as failure:
            if x.started:
                raise
            if not retrying.after_failure(failure):
                if given_up(status_of(failure)):
                    return False
                raise
        except Woken:
            if x.started or not given_up(504) or not too_late(x):
                raise
            return False
        await retrying.wait()


async def attempt_reply(x: Exchange, reply: Awaitable[None]) -> None:
    """Send a reply of ours to a client who may have gone meanwhile."""
    try:
        await reply
    except (Woken, OSError) as error:
        client_gone(x, error)


async def woken(x: Exchange, house: House) -> None:
    """A wait was ended from outside: a deadline passed, or the client is gone."""
    watch = x.reply.watch
    phase, watch.expired = watch.expired, ""
    if watch.gone or phase in ("", "drain"):
        client_gone(x, None)
    elif phase == "client_write":
        x.outcome = x.outcome or "client_stalled"
        x.reply.abandon()
    else:
        watch.total_s = float("inf")
        watch.rest()
        failure = timeout_failure(phase, house.deadlines.of(x))
        if x.started and failure.name == "timeout_gap" and "event-stream" in x.response_type:
            failure.name = "stalled"
        house.log.warning("failed", outcome=failure.name, reason=failure.message, id=x.request_id)
        await attempt_reply(x, fail(x, failure))


def too_late(x: Exchange) -> bool:
    """Whether a target was too slow to connect or to begin its reply, with time left for another.
    The wait is over then, and the next target has deadlines of its own."""
    watch = x.reply.watch
    phase = watch.expired
    if watch.gone or phase not in ("connect", "first_byte"):
        return False
    watch.expired = ""
    watch.rest()
    x.attempts[-1].why_next = f"timeout_{phase}"
    return True


def log_call(x: Exchange, house: House) -> None:
    """One line for a call that ended well (`access_log`). The log is no region's: a path, in which
    clients write what they like, is told of the default region's calls alone."""
    path = x.aim.record_path if x.aim is not None else ""
    house.log.info(
        "call",
        method=x.head.method.decode("latin-1"),
        **({"path": path} if x.region == REGION_DEFAULT else {"region": x.region}),
        provider=x.aim.provider.id if x.aim is not None else "",
        status=x.http_status,
        outcome=x.outcome,
        ms=round((monotonic() - x.started_s) * 1000, 1),
        id=x.request_id,
    )


def client_gone(x: Exchange, error: BaseException | None) -> None:
    """The client hung up: what was streamed is on record, and the connection ends here."""
    x.outcome = x.outcome or "client_gone"
    if error is not None:
        x.error = x.error or type(error).__name__
    x.reply.watch.gone = True
    x.reply.abandon()
