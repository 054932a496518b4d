"""A token bucket in whole numbers (proxy.md 5.3). Pure: time is handed in, nothing is rounded away.

Counts in grains (`core.rate_policy`). Knows nothing of keys, segments or replies.
"""

from typing import Final

from appliance.core.rate_policy import GRAINS_PER_CENT, US_PER_S, Policy

# What one call may cost at most, as far as the limiter is concerned: a million cents.
COST_MAX_PICO: Final = 1_000_000 * GRAINS_PER_CENT
# Calls under way at the same time may all be charged: debt ends somewhere, too.
DEBT_MAX_PICO: Final = 1000 * COST_MAX_PICO


class Bucket:
    """What is left (`level` and `rest` / `window_us` of a grain), as of `at_us`, earned under a
    policy of this capacity and window. In debt the level is below zero.
    """

    __slots__ = ("at_us", "capacity", "level", "rest", "window_us")

    def __init__(self, level: int, rest: int, capacity: int, window_us: int, at_us: int) -> None:
        assert level <= capacity, "a bucket holds no more than its capacity"
        self.level = level
        self.rest = rest
        self.capacity = capacity
        self.window_us = window_us
        self.at_us = at_us


def full_bucket(policy: Policy, now_us: int) -> Bucket:
    """A new bucket, which starts full."""
    return Bucket(policy.capacity, 0, policy.capacity, policy.window_us, now_us)


def take(bucket: Bucket, policy: Policy, cost: int, now_us: int) -> bool:
    """Take `cost` grains if they are there; a refused call takes nothing."""
    refill(bucket, policy, now_us)
    if bucket.level < cost:
        return False
    bucket.level -= cost
    return True


def has_any(bucket: Bucket, policy: Policy, now_us: int) -> bool:
    """Whether anything is left: all that `cents` asks before a call."""
    refill(bucket, policy, now_us)
    return bucket.level > 0


def charge(bucket: Bucket, policy: Policy, cost_pico: int, now_us: int) -> None:
    """Take what a call has cost, into debt if need be: later calls wait until it is refilled."""
    refill(bucket, policy, now_us)
    cost = min(max(cost_pico, 0), COST_MAX_PICO)
    bucket.level = max(bucket.level - cost, -DEBT_MAX_PICO)


def refill(bucket: Bucket, policy: Policy, now_us: int) -> None:
    """Grant what the time since has earned, under the policy it passed under; only then let
    `policy` apply, which can lower the level and never raises it."""
    _let_time_pass(bucket, now_us)
    capacity, window_us = policy.capacity, policy.window_us
    if bucket.capacity != capacity or bucket.window_us != window_us:
        bucket.rest = bucket.rest * window_us // bucket.window_us
        bucket.capacity = capacity
        bucket.window_us = window_us
        if bucket.level >= capacity:
            bucket.level = capacity
            bucket.rest = 0


def _let_time_pass(bucket: Bucket, now_us: int) -> None:
    elapsed_us = now_us - bucket.at_us
    if elapsed_us <= 0:
        heed_clock(bucket, now_us)
        return
    bucket.at_us = now_us
    capacity = bucket.capacity
    if bucket.level < capacity:
        gained, rest = divmod(capacity * elapsed_us + bucket.rest, bucket.window_us)
        level = bucket.level + gained
        if level >= capacity:
            level, rest = capacity, 0
        bucket.level = level
        bucket.rest = rest


def heed_clock(bucket: Bucket, now_us: int) -> None:
    """Time that went backwards refills nothing, nor does the same time passing again. Only a clock
    that had been ahead by more than a window is believed: the bucket would wait for it for ever."""
    if bucket.at_us - now_us > bucket.window_us:
        bucket.at_us = now_us


def remaining(bucket: Bucket, policy: Policy) -> int:
    """Whole requests or cents left, as of the last refill; never below 0."""
    level = bucket.level
    return level // policy.one if level > 0 else 0


def reset_s(bucket: Bucket) -> int:
    """Seconds until the bucket is full, rounded up, as of the last refill; 0 when it is."""
    missing = bucket.capacity - bucket.level
    if not missing:
        return 0
    return -((bucket.rest - missing * bucket.window_us) // (bucket.capacity * US_PER_S))


def full_at_us(bucket: Bucket) -> int:
    """When it will be full, or has been, untouched until then."""
    missing = bucket.capacity - bucket.level
    return bucket.at_us - (bucket.rest - missing * bucket.window_us) // bucket.capacity


def is_idle(bucket: Bucket, now_us: int) -> bool:
    """Whether nobody would notice if it were forgotten: full, and not asked for a whole window. A
    full one that is still in use stays, or a larger policy would find a new and fuller bucket."""
    return now_us - bucket.at_us >= bucket.window_us and now_us >= full_at_us(bucket)
