"""The gateway's part of the pipeline: the calls that may answer a request, in order. What holds for
every line of `pipeline.py` holds for these."""

from __future__ import annotations

from types import NoneType
from typing import TYPE_CHECKING

from appliance.config import Deadlines as Timing
from appliance.errors import UpstreamFailed
from appliance.exchange import Aim, Exchange
from appliance.features.aim import aim_along
from appliance.features.answer import own_reply, status_of, timeout_failure, too_late
from appliance.features.cache import Caching, caching_of, wants_cache
from appliance.features.call import Call
from appliance.features.cut_off import bill_cut_off
from appliance.features.gateway_turns import ORDER, Turns, Unordered, turns_of
from appliance.features.guard import checked
from appliance.features.lend import lend_along, stored_key
from appliance.features.limit import limit
from appliance.features.mapped import relay_mapped
from appliance.features.pay import paid
from appliance.features.relay import relay
from appliance.features.retry import again, pause, retrying_of
from appliance.features.tap import Tap
from appliance.fence import CLOSED_S, Within, closed, open_now
from appliance.house import House
from appliance.wire import Woken

if TYPE_CHECKING:
    from appliance.core.attempts import Candidate
    from appliance.features.gateway import GatewayCall

CACHE = "cache-enabled"
LIMIT = "ratelimit-policy"


async def through_gateway(x: Exchange, house: House, tap: Tap) -> None:
    """The calls that may answer, one after the other, until one does; else one reply for all."""
    ring = house.keys[x.region]
    try:
        with Within(CLOSED_S):
            loaded = await house.gateway()
            platform = await ring.plan_keys(house.platform) if house.platform else {}
            gateway = await loaded.call(x, ring, platform, house.prompts[x.region])
    except Exception as error:  # closed: what cannot be read is refused
        raise closed(x, "gateway", error) from error
    cached = open_now(x, CACHE, False, bool, wants_cache, x)
    if not cached:
        open_now(x, LIMIT, True, bool, limit, x, house.limits)
    # An answer is kept with the provider that gave it: whoever seeks one asks in one order.
    planned = gateway.planned
    ordered = open_now(x, ORDER, None, Turns, turns_of, x, house.load, planned, not cached)
    with ordered or Unordered(planned) as turns:
        gateway.planned = turns.candidates
        for candidate in gateway.candidates():
            if await entered(x, house, tap, gateway, candidate, turns):
                return
    status, body, headers = gateway.last_word()
    x.outcome = x.outcome or gateway.outcome
    await own_reply(x, status, headers, body)


async def entered(
    x: Exchange,
    house: House,
    tap: Tap,
    gateway: GatewayCall,
    candidate: Candidate,
    turns: Turns | Unordered,
) -> bool:
    """One candidate's answer: the cache's, which costs no token, else a call's. False: it gave none
    that a client is given, and why is kept."""
    ring, key_id = house.keys[x.region], candidate.key.key_id
    lender = house.platform if candidate.kind == "ptb" else x.org
    try:
        with Within(CLOSED_S):
            found = await stored_key(lender, candidate.endpoint.provider, key_id, ring)
            fields = gateway.enter(candidate, found, ring)
            lent = await lend_along(x, x.route, fields, house.keys, key_id, lender)
        limits = house.deadlines.of(x)
        aim = aim_along(x, x.route, lent, house.dialling, limits)
        assert isinstance(aim, Aim), "it is where the call goes"
        x.aim = aim
    except Woken:
        raise
    except Exception as error:
        gateway.forbidden(candidate, closed(x, "gateway", error))
        return False
    turns.enter(candidate)
    caching = open_now(x, CACHE, None, (Caching, NoneType), caching_for, x, tap, gateway)
    if caching is None:
        answered = await call_candidate(x, house, tap, limits, gateway, candidate)
    else:
        with caching:
            answered = await from_cache(x, house, tap, limits, gateway, caching)
            if not answered:
                answered = await call_candidate(x, house, caching, limits, gateway, candidate)
    return answered


def caching_for(x: Exchange, tap: Tap, gateway: GatewayCall) -> Caching | None:
    """The cache around the candidate that was entered, where it is wanted."""
    return caching_of(x, tap, gateway.variant()) if wants_cache(x) else None


async def from_cache(
    x: Exchange, house: House, tap: Tap, limits: Timing, gateway: GatewayCall, caching: Caching
) -> bool:
    """An answer that was kept, in this client's words."""
    if gateway.is_plain:
        return await caching.answers(house.caches)
    kept = await caching.kept(house.caches)
    if kept is None:
        return False
    assert gateway.reply_map is not None, "entered before"
    await relay_mapped(x, kept, tap, limits.gap_s, gateway.reply_map)
    return True


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
    open_now(x, LIMIT, True, bool, limit, x, house.limits)
    await checked(x, house.guards)
    endpoint, by_credits = candidate.endpoint, candidate.kind == "ptb"
    try:
        model = endpoint.provider_model_id
        await paid(x, house.wallets, endpoint.provider, model, pass_through=by_credits)
    except Woken:
        raise
    except Exception as error:  # closed: credits are held before they can be spent
        gateway.forbidden(candidate, closed(x, "gateway", error))
        return False
    assert x.aim is not None, "aimed before"
    retrying = retrying_of(x)
    while True:
        try:
            one = Call(x, x.aim, house.pool)
            one.attempt.model = gateway.sent_model
            async with one as reply:
                if not again(x, retrying, reply):
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
                        tap.keep_reply(reply)
                    return True
        except UpstreamFailed as failure:
            if x.started:
                raise
            await bill_cut_off(x, house.price, failure.name)
            if not again(x, retrying, failure):
                gateway.failed(failure, status_of(failure))
                return False
        except Woken:
            phase = x.reply.watch.expired
            late = not x.started and too_late(x)
            await bill_cut_off(x, house.price, "cut")  # noqa: ASYNC120 - a cancel ends it either way
            if not late:
                raise
            gateway.failed(timeout_failure(phase, limits), 504)
            return False
        await pause(x, retrying)
