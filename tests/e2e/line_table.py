"""Every line of the pipeline, and what is to come of it when it breaks.

A row: the line as it stands in `pipeline.py`, the call that comes by it, where it is broken, the
feature that is named, and what the client gets.

open     the provider's bytes, as if the feature were not there
closed   a refusal of ours, 5xx; the provider is not called
told     a refusal of ours, 5xx; the provider may have been called
as-is    the reply that it would have been anyway, which had left already
cut      no whole reply: what breaks is the very last that a reply of ours goes through
"""

from __future__ import annotations

from typing import NamedTuple

SYNC = ("raise", "rubbish")
RAISE = ("raise",)
WAITS = ("raise", "hang")  # gives nothing back, so there is no rubbish
ALL = ("raise", "hang", "rubbish")


class Line(NamedTuple):
    """`at`: `module:name` or `module:Class.name`; several are broken together. `recorded` false:
    there is no record, or it is over by then."""

    name: str
    scene: str
    feature: str
    gets: str
    at: str = ""
    ways: tuple[str, ...] = SYNC
    recorded: bool = True
    counted: bool = True

    @property
    def places(self) -> list[str]:
        part = "pipeline_gateway" if self.scene.startswith(("gateway", "claude")) else "pipeline"
        return (self.at or f"appliance.{part}:{self.name}").split()


F = "appliance.features."
A = "appliance.actors."

LINES = [
    # admission
    Line("admit", "plain", "admission", "closed", recorded=False),
    Line("is_preflight", "plain", "admission", "closed", recorded=False),
    Line("stand_for", "proxy", "admission", "closed", ways=ALL, recorded=False),
    Line("preflight", "preflight", "answer", "told", ways=RAISE, recorded=False),
    # the record
    Line("Tap", "plain", "record", "open", recorded=False),
    Line("tap.hold_request", "plain", "record", "open", f"{A}recorder:Capture.hold", RAISE),
    Line("Tap", "plain", "record", "open", f"{A}recorder:Recorder.capture"),
    Line("Tap", "plain", "record", "open", f"{A}recorder:Capture.add", RAISE),
    Line("Tap", "big", "record", "open", f"{A}recorder:Capture.unload", WAITS),
    Line("Tap", "plain", "record", "open", f"{A}recorder:Capture.parts", RAISE),
    Line("Tap", "plain", "record", "open", f"{A}recorder:Recorder.record", RAISE, recorded=False),
    Line("Tap", "plain", "record", "open", f"{A}recorder:Capture.release", RAISE, False, False),
    # what is asked for
    Line("house.deadlines.of", "plain", "pipeline", "closed", f"{F}deadlines:Deadlines.of"),
    Line("house.recorder.budget.admit", "plain", "pipeline", "closed",
         f"{A}recorder:CaptureBudget.admit", RAISE),
    Line("x.reply.read_body", "plain", "pipeline", "closed",
         "appliance.door.http1:FastConnection.read_body", WAITS),
    Line("mock_body", "mock", "pipeline", "closed"),
    Line("own_reply", "mock", "pipeline", "closed", ways=ALL),
    Line("unlimited", "mock-limited", "ratelimit-policy", "as-is"),
    Line("passed_over", "mock-limited", "mock-response", "as-is"),
    Line("wants_usage", "usage", "stream-usage", "open"),
    Line("ask_for_usage", "usage", "stream-usage", "open", ways=ALL),
    Line("wants_edit", "prompt", "prompt", "open"),
    Line("edit_prompt", "prompt", "prompt", "open", ways=ALL),
    # the checks of a prompt
    Line("checked", "guarded", "guard", "open", f"{F}guard:wants_guard", RAISE),
    Line("checked", "guarded", "guard", "open", f"{F}guard:guard", WAITS),
    Line("checked", "guarded-closed", "guard", "closed", f"{F}guard:guard", WAITS),
    Line("checked", "gateway-guarded", "guard", "open", f"{F}guard:guard", WAITS),
    # the way to the one target
    Line("keeps_own", "stored", "keys", "closed"),
    Line("lent_before", "stored", "keys", "closed"),
    Line("lend", "stored", "keys", "closed", ways=ALL),
    Line("lend", "stored", "keys", "closed", f"{A}provider_keys:ProviderKeys.load", ALL),
    Line("aim_at", "plain", "keys", "closed"),
    # the cache
    Line("caching_of", "cached", "cache-enabled", "open"),
    Line("caching.answers", "cached", "cache-enabled", "open", f"{F}cache:key_of", RAISE),
    Line("caching.answers", "cached", "cache-enabled", "open",
         f"{A}response_cache:ResponseCache.lookup", RAISE),
    Line("caching.answers", "on-disk", "cache-enabled", "open",
         f"{A}response_cache:ResponseCache.fetch", ALL),
    Line("caching.answers", "cached", "cache-enabled", "open", f"{F}cache:Caching.answered"),
    Line("caching.answers", "cached", "cache-enabled", "open",
         f"{A}cache_collect:Collecting.add", RAISE),
    Line("tap.keep_reply", "cached", "cache-enabled", "open", f"{F}cache:Caching.keep"),
    # limits and money
    Line("limit", "limited", "ratelimit-policy", "open"),
    Line("owes", "cents", "ratelimit-policy", "open"),
    Line("charge", "cents", "ratelimit-policy", "open", ways=ALL),
    Line("counts", "budget", "budgets", "open"),
    Line("paid", "budget", "budgets", "open", f"{F}pay:pay", ALL),
    Line("paid", "strict", "budgets", "closed", f"{F}pay:pay", ALL),
    Line("paid", "strict", "budgets", "closed", f"{A}wallet:Wallet.hold", WAITS),
    Line("paid", "credits", "budgets", "closed", f"{F}pay:pay", ALL),
    Line("x.payment.look", "budget", "budgets", "open", f"{F}pay:Payment.look", ALL),
    Line("x.payment.look", "budget", "budgets", "open", f"{F}pay:Payment.settle"),
    # the call
    Line("Call", "plain", "pipeline", "told"),
    Line("Call", "plain", "pipeline", "told", f"{F}call:Call.__aenter__", ALL),
    Line("relay", "plain", "pipeline", "told", ways=ALL),
    Line("converse", "websocket", "pipeline", "told", ways=RAISE),
    Line("retrying_of", "retry", "retries", "open", f"{F}retry:Retrying.__init__", RAISE),
    Line("retrying_of", "retry", "retries", "open", f"{F}retry:Retrying"),
    Line("again", "retry", "retries", "open", f"{F}retry:Retrying.after"),
    Line("pause", "retry-once", "retries", "open", f"{F}retry:Retrying.wait", ALL),
    Line("log_call", "plain", "access-log", "open"),
    # Helicone-Fallbacks
    Line("fallback_entries", "fallbacks", "pipeline", "closed"),
    Line("Fallbacks", "fallbacks", "pipeline", "closed"),
    Line("fallbacks.enter", "fallbacks", "fallbacks", "closed", f"{F}fallback:Fallbacks.enter",
         WAITS),
    Line("lend_along", "fallbacks", "fallbacks", "closed", ways=ALL),
    Line("aim_along", "fallbacks", "fallbacks", "closed"),
    Line("entry.given_up", "fallbacks", "targets", "open", f"{F}fallback:Entry.given_up"),
    Line("fallbacks.close", "fallbacks", "fallbacks", "open", f"{F}fallback:Fallbacks.close"),
    # routers
    Line("Routed", "router", "pipeline", "closed"),
    Line("routed.open", "router", "router", "closed", f"{F}route_by:Routed.open", WAITS),
    Line("routed.enter", "router", "router", "closed", f"{F}route_by:Routed.enter", ALL),
    Line("lend_along", "router", "router", "closed", ways=ALL),
    Line("aim_along", "router", "router", "closed"),
    Line("routed.passed_over", "router", "pipeline", "closed",
         f"{F}route_by:Routed.enter {F}route_by:Routed.passed_over", RAISE),
    Line("routed.given_up", "router", "targets", "open", f"{F}route_by:Routed.given_up"),
    Line("wants_cache", "hedge", "hedging", "open", ways=RAISE),
    Line("Race", "hedge", "hedging", "open"),
    Line("routed.spare", "slow", "hedging", "open", f"{F}route_by:Routed.spare", ALL),
    Line("routed.spare_refused", "slow", "hedging", "open",
         f"{F}route_by:Routed.spare {F}route_by:Routed.spare_refused", RAISE),
    Line("Spare", "slow", "hedging", "open"),
    # the gateway
    Line("house.gateway", "gateway", "gateway", "closed", "house:gateway", ALL),
    Line("ring.plan_keys", "gateway", "gateway", "closed",
         f"{A}provider_keys:ProviderKeys.plan_keys", ALL),
    Line("loaded.call", "gateway", "gateway", "closed", f"{F}gateway:Gateway.call", WAITS),
    Line("stored_key", "gateway", "gateway", "closed", ways=("raise", "hang")),
    Line("gateway.enter", "gateway", "gateway", "closed", f"{F}gateway:GatewayCall.enter"),
    Line("lend_along", "gateway", "gateway", "closed", ways=ALL),
    Line("aim_along", "gateway", "gateway", "closed"),
    Line("gateway.candidates", "gateway", "pipeline", "closed",
         f"{F}gateway:GatewayCall.candidates"),
    Line("turns_of", "gateway", "gateway-order", "open"),
    Line("turns.enter", "gateway", "gateway-order", "open", f"{F}gateway_turns:Turns._enter"),
    Line("turns.enter", "gateway", "gateway-order", "open", f"{F}gateway_turns:Turns._leave"),
    Line("wants_cache", "gateway-cached", "cache-enabled", "open"),
    Line("caching_of", "gateway-cached", "cache-enabled", "open"),
    Line("gateway.variant", "gateway-cached", "cache-enabled", "open",
         f"{F}gateway:GatewayCall.variant"),
    Line("caching.kept", "gateway-cached", "cache-enabled", "open", f"{F}cache:key_of", RAISE),
    Line("caching.kept", "gateway-cached", "cache-enabled", "open", f"{F}cache:of_anybody"),
    Line("caching.kept", "gateway-cached", "cache-enabled", "open", f"{F}cache:Caching.missed",
         RAISE),
    Line("gateway.is_passed_on", "gateway", "pipeline", "told",
         f"{F}gateway:GatewayCall.is_passed_on", RAISE),
    Line("Call", "vertex-401", "keys", "as-is", f"{A}google_tokens:GoogleTokens.forget"),
    Line("gateway.forbidden", "gateway", "pipeline", "closed",
         f"appliance.pipeline_gateway:stored_key {F}gateway:GatewayCall.forbidden", RAISE),
    Line("limit", "gateway-limited", "ratelimit-policy", "open"),
    Line("relay_mapped", "gateway", "pipeline", "told", ways=ALL),
    Line("relay_mapped", "claude", "gateway-mapping", "mapping",
         "appliance.providers.dialects.mapping:ReplyMap.whole "
         "appliance.providers.dialects.mapping:ReplyMap.feed", RAISE),
    Line("gateway.refused_by", "gateway-500", "pipeline", "told",
         f"{F}gateway:GatewayCall.refused_by", ("raise", "hang")),
    Line("gateway.last_word", "gateway-500", "pipeline", "told",
         f"{F}gateway:GatewayCall.last_word"),
    Line("own_reply", "gateway-500", "pipeline", "told", ways=ALL),
    Line("gateway.failed", "gateway-reset", "pipeline", "told",
         f"{F}gateway:GatewayCall.failed", RAISE),
    Line("status_of", "gateway-reset", "pipeline", "told", ways=RAISE),
    Line("bill_cut_off", "gateway-stall", "pipeline", "told", ways=RAISE),
    Line("timeout_failure", "gateway-stall", "pipeline", "told", ways=RAISE),
    # replies of ours
    Line("fail", "reset", "answer", "told", ways=RAISE),
    Line("fail", "reset", "pipeline", "told", ways=("hang",)),
    Line("refuse", "bad-mock", "answer", "told", ways=RAISE, recorded=False),
    Line("refuse", "bad-mock", "", "cut", ways=("hang",), recorded=False, counted=False),
    Line("woken", "stall", "pipeline", "told", ways=RAISE),
    Line("too_late", "fallback-stall", "pipeline", "told", ways=RAISE),
    Line("house.log.warning", "bad-mock", "", "as-is", "appliance.log:Log.warning", RAISE,
         recorded=False, counted=False),
    Line("house.metrics.exchange", "plain", "metrics", "open", f"{A}metrics:Metrics.exchange",
         RAISE, recorded=False),
    Line("house.metrics.missed", "no-key", "", "as-is", f"{A}metrics:Metrics.missed", RAISE,
         recorded=False, counted=False),
]  # fmt: skip

# Names of the pipeline that are no lines: values, and what is there for a line that broke already
# (the rows above go through it), or for a client who has left and sees nothing.
NO_LINES = {
    "JSON_REPLY", "Caching", "entry.fields", "entry.way", "gateway.outcome",
    "gateway.reply_map", "routed.fields", "routed.hedge_after_s", "routed.hedges",
    "Untapped", "attempt_reply", "last_words", "client_gone", "house.metrics.count",
    "x.reply.watch.enter", "house.dialling", "house.route_to",
    "ORDER", "Turns", "Unordered", "turns.candidates", "gateway.planned", "gateway.is_plain",
    "gateway.sent_model", "house.posthog.note",
}  # fmt: skip
