"""The token bucket (proxy.md 5.3): exact, also over policy changes and clocks that go backwards."""

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.core.bucket import (
    COST_MAX_PICO,
    DEBT_MAX_PICO,
    Bucket,
    charge,
    full_at_us,
    full_bucket,
    has_any,
    heed_clock,
    is_idle,
    refill,
    remaining,
    reset_s,
    take,
)
from appliance.core.rate_policy import Policy, parse_policy

S = 1_000_000
T0 = 1_800_000_000 * S
HOURLY = parse_policy("100;w=3600")
MINUTELY = parse_policy("100;w=60")
CENTS = parse_policy("10;w=60;u=cents")
CENT = 10**10


def state(bucket: Bucket) -> tuple[int, ...]:
    return bucket.level, bucket.rest, bucket.capacity, bucket.window_us, bucket.at_us


def take_many(bucket: Bucket, policy: Policy, calls: int, now_us: int) -> int:
    return sum(take(bucket, policy, policy.one, now_us) for _ in range(calls))


def test_a_new_bucket_is_full() -> None:
    bucket = full_bucket(HOURLY, T0)
    assert remaining(bucket, HOURLY) == 100
    assert reset_s(bucket) == 0


def test_a_burst_of_the_whole_quota_then_refusals_that_take_nothing() -> None:
    bucket = full_bucket(HOURLY, T0)
    assert take_many(bucket, HOURLY, 100, T0) == 100
    before = state(bucket)
    assert take_many(bucket, HOURLY, 900, T0) == 0
    assert state(bucket) == before
    assert (remaining(bucket, HOURLY), reset_s(bucket)) == (0, 3600)


@pytest.mark.parametrize(
    ("after_s", "allowed"), [(0, 0), (35.999999, 0), (36, 1), (71.9, 1), (1800, 50), (3600, 100)]
)
def test_refill_is_proportional_to_time(after_s: float, allowed: int) -> None:
    """36 s of an hour are 1 %."""
    bucket = full_bucket(HOURLY, T0)
    take_many(bucket, HOURLY, 100, T0)
    assert take_many(bucket, HOURLY, 200, T0 + int(after_s * S)) == allowed


def test_never_more_than_the_capacity() -> None:
    bucket = full_bucket(HOURLY, T0)
    take_many(bucket, HOURLY, 1, T0)
    refill(bucket, HOURLY, T0 + 10**9 * S)
    assert (remaining(bucket, HOURLY), bucket.rest) == (100, 0)


def test_zero_cost_is_always_allowed() -> None:
    bucket = full_bucket(HOURLY, T0)
    take_many(bucket, HOURLY, 100, T0)
    assert take(bucket, HOURLY, 0, T0)


@pytest.mark.parametrize(
    ("quota", "taken", "reset"),
    [("100;w=3600", 0, 0), ("100;w=3600", 1, 36), ("100;w=3600", 50, 1800),
     ("100;w=3600", 100, 3600), ("7;w=60", 1, 9), ("1000000;w=60", 1, 1)],
)  # fmt: skip
def test_reset_is_the_time_to_full_rounded_up(quota: str, taken: int, reset: int) -> None:
    policy = parse_policy(quota)
    bucket = full_bucket(policy, T0)
    take_many(bucket, policy, taken, T0)
    assert reset_s(bucket) == reset


def test_slow_policies_refill_however_often_they_are_asked() -> None:
    """One in a year: a millionth comes every 31 s, and asking each second must not lose it."""
    policy = parse_policy("1;w=31536000")
    bucket = full_bucket(policy, T0)
    assert take(bucket, policy, policy.one, T0)
    for second in range(1, 1001):
        assert not take(bucket, policy, policy.one, T0 + second * S)
    assert Fraction(bucket.rest, bucket.window_us) + bucket.level == Fraction(
        1000 * 10**6, 31536000
    )
    assert not take(bucket, policy, policy.one, T0 + 31536000 * S - 1)
    assert take(bucket, policy, policy.one, T0 + 31536000 * S)


@pytest.mark.parametrize(("quota", "allowed"), [("0.5;w=60", 0), ("1.5;w=60", 1), ("2.9;w=60", 2)])
def test_quotas_with_fractions(quota: str, allowed: int) -> None:
    policy = parse_policy(quota)
    assert take_many(full_bucket(policy, T0), policy, 10, T0) == allowed


# -- cents


@pytest.mark.parametrize(
    ("costs_pico", "left", "any_left", "reset"),
    [
        ([], 10, True, 0),
        ([1], 9, True, 1),
        ([CENT // 2], 9, True, 3),
        ([10 * CENT - 1], 0, True, 60),
        ([10 * CENT], 0, False, 60),
        ([9 * CENT, 6 * CENT], 0, False, 90),
        ([-CENT], 10, True, 0),
        ([COST_MAX_PICO + 10**15], 0, False, COST_MAX_PICO // CENT * 6),
    ],
)  # fmt: skip
def test_cents_are_charged_after_the_call_into_debt(
    costs_pico: list[int], left: int, any_left: bool, reset: int
) -> None:
    bucket = full_bucket(CENTS, T0)
    for cost in costs_pico:
        charge(bucket, CENTS, cost, T0)
    assert remaining(bucket, CENTS) == left
    assert has_any(bucket, CENTS, T0) is any_left
    assert reset_s(bucket) == reset


def test_debt_is_paid_by_time_and_ends_somewhere() -> None:
    bucket = full_bucket(CENTS, T0)
    charge(bucket, CENTS, 15 * CENT, T0)
    assert not has_any(bucket, CENTS, T0 + 30 * S)
    assert has_any(bucket, CENTS, T0 + 30 * S + 1)
    for _ in range(1100):
        charge(bucket, CENTS, COST_MAX_PICO, T0 + 31 * S)
    assert bucket.level == -DEBT_MAX_PICO


# -- another policy on the same bucket


def test_time_is_granted_under_the_policy_it_passed_under() -> None:
    """Refill before the change: half a minute of 100 a minute is 50, whatever comes after."""
    bucket = full_bucket(MINUTELY, T0)
    take_many(bucket, MINUTELY, 100, T0)
    slow = parse_policy("100;w=31536000")
    refill(bucket, slow, T0 + 30 * S)
    assert remaining(bucket, slow) == 50


@pytest.mark.parametrize(
    ("first", "second", "left"),
    [("100;w=60", "10;w=60", 10), ("10;w=60", "100;w=60", 10), ("100;w=60", "100;w=3600", 100)],
)
def test_a_change_clamps_down_and_never_up(first: str, second: str, left: int) -> None:
    old, new = parse_policy(first), parse_policy(second)
    bucket = full_bucket(old, T0)
    assert take(bucket, new, 0, T0)
    assert remaining(bucket, new) == left
    assert (bucket.capacity, bucket.window_us) == (new.capacity, new.window_us)


def test_policies_in_turn_do_not_starve_the_bucket() -> None:
    """Forgetting what was earned at each change, as the original did, refuses for ever."""
    one, other = parse_policy("10;w=3600"), parse_policy("11;w=3600")
    bucket = full_bucket(one, T0)
    take_many(bucket, one, 10, T0)
    allowed = 0
    for second in range(1, 3601):
        policy = other if second % 2 else one
        allowed += take(bucket, policy, policy.one, T0 + second * S)
    assert allowed == 10


# -- the clock


def test_time_that_went_backwards_refills_nothing() -> None:
    bucket = full_bucket(MINUTELY, T0)
    take_many(bucket, MINUTELY, 100, T0)
    before = state(bucket)
    assert not take(bucket, MINUTELY, MINUTELY.one, T0 - 59 * S)
    assert not take(bucket, MINUTELY, MINUTELY.one, T0), "nor does the same time passing again"
    assert state(bucket) == before
    assert take(bucket, MINUTELY, MINUTELY.one, T0 + S)


def test_a_clock_that_was_far_ahead_is_corrected() -> None:
    """Else a machine that once thought it was 2099 would refuse until then."""
    bucket = full_bucket(MINUTELY, T0 + 10**9 * S)
    take_many(bucket, MINUTELY, 100, T0 + 10**9 * S)
    assert not take(bucket, MINUTELY, MINUTELY.one, T0)
    assert not take(bucket, MINUTELY, MINUTELY.one, T0 + S // 2)
    assert take(bucket, MINUTELY, MINUTELY.one, T0 + S)


# -- forgetting


@pytest.mark.parametrize(
    ("taken", "after_s", "idle"),
    [(0, 0, False), (0, 59, False), (0, 60, True), (50, 60, True), (100, 59.9, False),
     (100, 60, True), (0, -100, False)],
)  # fmt: skip
def test_idle_is_full_and_not_asked_for_a_window(taken: int, after_s: float, idle: bool) -> None:
    bucket = full_bucket(MINUTELY, T0)
    take_many(bucket, MINUTELY, taken, T0)
    assert is_idle(bucket, T0 + int(after_s * S)) is idle


def test_a_bucket_in_debt_is_not_idle_before_it_is_full() -> None:
    bucket = full_bucket(CENTS, T0)
    charge(bucket, CENTS, 20 * CENT, T0)
    assert full_at_us(bucket) == T0 + 120 * S
    assert not is_idle(bucket, T0 + 120 * S - 1)
    assert is_idle(bucket, T0 + 120 * S)


def test_heeding_the_clock_leaves_small_steps_alone() -> None:
    bucket = full_bucket(MINUTELY, T0)
    heed_clock(bucket, T0 - 60 * S)
    assert bucket.at_us == T0
    heed_clock(bucket, T0 - 60 * S - 1)
    assert bucket.at_us == T0 - 60 * S - 1


# -- properties

QUOTAS = st.sampled_from(["1;w=60", "7;w=61", "100;w=3600", "3.7;w=86400", "2;w=31536000"])
STEPS = st.lists(
    st.tuples(st.integers(0, 40_000 * S), st.integers(0, 3)), min_size=1, max_size=60
)  # fmt: skip


@given(QUOTAS, STEPS)
def test_nothing_is_ever_rounded_away(quota: str, steps: list[Any]) -> None:
    """Beside a bucket of fractions: level and rest are the same to the last digit."""
    policy = parse_policy(quota)
    bucket, level, now_us = full_bucket(policy, T0), Fraction(policy.capacity), T0
    for elapsed_us, calls in steps:
        now_us += elapsed_us
        gained = Fraction(policy.capacity * elapsed_us, policy.window_us)
        level = min(Fraction(policy.capacity), level + gained)
        for _ in range(calls):
            allowed = level >= policy.one
            level -= policy.one if allowed else 0
            assert take(bucket, policy, policy.one, now_us) is allowed
        refill(bucket, policy, now_us)
        assert bucket.level + Fraction(bucket.rest, bucket.window_us) == level
        assert 0 <= bucket.rest < bucket.window_us
        full_in_us = (policy.capacity - level) * policy.window_us / policy.capacity
        assert 0 <= full_at_us(bucket) - now_us - full_in_us < 1
        assert 0 <= reset_s(bucket) - full_in_us / S < 1


@given(
    st.sampled_from(["5;w=60;u=cents", "500;w=3600;u=cents"]),
    st.lists(st.tuples(st.integers(0, 100 * S), st.integers(0, 3 * CENT)), max_size=40),
)
def test_what_is_spent_is_at_most_the_quota_and_one_call(quota: str, calls: list[Any]) -> None:
    """Calls in turn: the bucket's debt is never more than the last call's cost."""
    policy = parse_policy(quota)
    bucket, now_us, spent = full_bucket(policy, T0), T0, 0
    for elapsed_us, cost in calls:
        now_us += elapsed_us
        if has_any(bucket, policy, now_us):
            charge(bucket, policy, cost, now_us)
            spent += cost
            granted = policy.capacity + policy.capacity * (now_us - T0) // policy.window_us
            assert spent <= granted + cost


@given(
    st.lists(
        st.tuples(QUOTAS, st.integers(-100 * S, 4000 * S), st.integers(0, 3)),
        min_size=1, max_size=60,
    )
)  # fmt: skip
def test_no_change_and_no_clock_ever_fills_a_bucket(steps: list[Any]) -> None:
    """With nothing but changes and steps backwards in between, a level never rises."""
    bucket, now_us = full_bucket(parse_policy("100;w=3600"), T0), T0
    for quota, elapsed_us, calls in steps:
        policy = parse_policy(quota)
        now_us += elapsed_us
        old, was = bucket.capacity, Fraction(bucket.rest, bucket.window_us) + bucket.level
        window_us, forward_us = bucket.window_us, max(0, now_us - bucket.at_us)
        refill(bucket, policy, now_us)
        is_now = Fraction(bucket.rest, bucket.window_us) + bucket.level
        assert is_now <= policy.capacity
        assert is_now <= was + Fraction(old * forward_us, window_us)
        assert 0 <= bucket.rest < bucket.window_us
        take_many(bucket, policy, calls, now_us)
