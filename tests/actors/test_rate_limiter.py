"""The rate limiter while it runs: exact under concurrency, and bounded."""

import gc
import random
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
import trio

from appliance.actors.rate_limiter import (
    BUCKET_BYTES,
    BUCKETS_MAX,
    FILE_NAME,
    SWEEP_TICKS,
    RateLimiter,
)
from appliance.config import RATE_LIMITS_BYTES_MAX
from appliance.core.rate_policy import Policy
from appliance.core.rate_segment import bucket_key
from appliance.core.rate_snapshot import BLOCK_ROWS_MAX
from tests.actors.rate_limiter_kit import (
    ALL,
    CENT,
    CENTS,
    ORG,
    PER_USER,
    T0,
    Clock,
    S,
    key_of,
    left,
    maker,
    passed,
)  # fmt: skip


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def make(tmp_path: Path, clock: Clock) -> Callable[..., RateLimiter]:
    return maker(tmp_path, clock)


# -- checks


async def test_exactly_the_quota_passes_under_concurrency(make: Callable[..., RateLimiter]) -> None:
    """Quota 100, 1,000 simultaneous requests: 100 pass."""
    limiter = make()
    turns = random.Random(5)
    verdicts = []

    async def request() -> None:
        for _ in range(turns.randrange(3)):
            await trio.lowlevel.checkpoint()
        verdicts.append(limiter.check(key_of(limiter, PER_USER, "ann"), PER_USER, T0))

    async with trio.open_nursery() as nursery:
        for _ in range(1000):
            nursery.start_soon(request)
    allowed = [verdict for verdict in verdicts if not verdict.limited]
    assert len(verdicts) == 1000
    assert sorted(verdict.remaining for verdict in allowed) == list(range(100))
    assert {verdict.remaining for verdict in verdicts if verdict.limited} == {0}
    assert limiter.stats.refused == 900


def test_a_verdict_tells_limit_remaining_reset_and_policy(make: Callable[..., RateLimiter]) -> None:
    limiter = make()
    verdict = limiter.check(key_of(limiter, PER_USER, "ann"), PER_USER, T0)
    assert (verdict.limited, verdict.limit, verdict.remaining, verdict.reset_s) == (
        False, "100", 99, 36,
    )  # fmt: skip
    assert verdict.policy_text == "100;w=3600;s=user"


def test_buckets_are_apart(make: Callable[..., RateLimiter]) -> None:
    limiter = make()
    assert passed(limiter, PER_USER, 150, "ann") == 100
    assert passed(limiter, PER_USER, 1, "bob") == 1
    assert passed(limiter, ALL, 1) == 1
    other = limiter.key(b"p" * 16, PER_USER, "ann", {})
    assert other is not None
    assert not limiter.check(other, PER_USER, T0).limited
    assert len(limiter) == 4


def test_no_value_no_key(make: Callable[..., RateLimiter]) -> None:
    assert make().key(ORG, PER_USER, "", {}) is None


def test_cents_are_asked_before_and_charged_after(make: Callable[..., RateLimiter]) -> None:
    limiter = make()
    key = key_of(limiter, CENTS)
    first = limiter.check(key, CENTS, T0)
    assert (first.limited, first.remaining, first.reset_s) == (False, 10, 0)
    limiter.charge_cents(key, CENTS, 3 * CENT + 1, T0)
    assert limiter.check(key, CENTS, T0).remaining == 6
    limiter.charge_cents(key, CENTS, 9 * CENT, T0)
    verdict = limiter.check(key, CENTS, T0)
    assert (verdict.limited, verdict.remaining) == (True, 0)
    assert not limiter.check(key, CENTS, T0 + 3600 * S).limited


def test_a_charge_finds_its_bucket_forgotten(make: Callable[..., RateLimiter]) -> None:
    limiter = make()
    limiter.charge_cents(key_of(limiter, CENTS), CENTS, 4 * CENT, T0)
    assert left(limiter, CENTS) == 6


def test_what_is_counted_by_requests_is_not_charged(make: Callable[..., RateLimiter]) -> None:
    limiter = make()
    passed(limiter, ALL, 1)
    limiter.charge_cents(key_of(limiter, ALL), ALL, CENT, T0)
    assert left(limiter, ALL) == 99


@pytest.mark.parametrize(("policy", "calls"), [(ALL, 0), (ALL, 1), (ALL, 100), (CENTS, 1)])
def test_looking_takes_nothing_and_keeps_nothing(
    make: Callable[..., RateLimiter], policy: Policy, calls: int
) -> None:
    limiter = make()
    key = key_of(limiter, policy)
    passed(limiter, policy, calls)
    before = limiter.snapshot()
    for later_s in (0, 18, 1800):  # in 18 s comes half a request
        looked = limiter.look(key, policy, T0 + later_s * S)
        assert looked.limited is (calls == 100 and later_s < 36)
    assert limiter.snapshot() == before
    assert limiter.check(key, policy, T0 + 1800 * S).limited is looked.limited


# -- bounds


def test_at_the_bound_a_full_bucket_goes_first(make: Callable[..., RateLimiter]) -> None:
    limiter = make(buckets_max=4)
    for user, calls in [("ann", 100), ("bob", 60), ("cyd", 1), ("dan", 30)]:
        passed(limiter, PER_USER, calls, user)
    passed(limiter, PER_USER, 1, "eve", T0 + 36 * S)  # cyd's is full by now
    assert (len(limiter), limiter.stats.evicted) == (4, 1)
    assert [left(limiter, PER_USER, user) for user in ("ann", "bob", "cyd", "dan")] == [
        0, 40, 100, 70,
    ]  # fmt: skip


@pytest.mark.parametrize("first", range(3))
def test_where_none_is_full_the_one_that_is_full_soonest_goes(
    make: Callable[..., RateLimiter], first: int
) -> None:
    limiter = make(buckets_max=3)
    calls = {"ann": 100, "bob": 40, "cyd": 60}
    names = list(calls)
    for user in names[first:] + names[:first]:
        passed(limiter, PER_USER, calls[user], user)
    passed(limiter, PER_USER, 50, "dan")
    assert [left(limiter, PER_USER, user) for user in (*names, "dan")] == [0, 100, 40, 50]


@pytest.mark.parametrize("most", [1, 2, 7, 50])
def test_there_are_never_more_than_the_most(make: Callable[..., RateLimiter], most: int) -> None:
    limiter = make(buckets_max=most)
    users = random.Random(6)
    for number in range(500):
        passed(limiter, PER_USER, 1, f"user-{users.randrange(100)}", T0 + number * S)
        assert len(limiter) <= most
        assert sorted(limiter._order) == sorted(limiter._buckets)
    assert len(limiter) == most


async def test_idle_and_full_buckets_are_swept(
    make: Callable[..., RateLimiter], clock: Clock
) -> None:
    limiter = make()
    for number in range(200):
        passed(limiter, PER_USER, 1, f"idle-{number}")
    passed(limiter, PER_USER, 1, "asked again", T0 + 1800 * S)
    key = key_of(limiter, CENTS)
    limiter.charge_cents(key, CENTS, 30 * CENT, T0)
    clock.now_us = T0 + 3600 * S
    for _ in range(3 * SWEEP_TICKS):
        await limiter.sweep()
    assert (len(limiter), limiter.stats.swept) == (2, 200)
    clock.now_us = T0 + 3 * 3600 * S
    for _ in range(2):
        await limiter.sweep()
    assert (len(limiter), limiter.stats.swept) == (0, 202)
    await limiter.sweep()


async def test_a_clock_that_was_ahead_keeps_no_bucket(
    make: Callable[..., RateLimiter], clock: Clock
) -> None:
    limiter = make()
    passed(limiter, PER_USER, 1, "ann", T0 + 31_536_000 * S)
    await limiter.sweep()
    clock.now_us = T0 + 3600 * S
    await limiter.sweep()
    assert len(limiter) == 0


async def test_a_sweep_looks_at_a_share_of_the_buckets(
    make: Callable[..., RateLimiter], clock: Clock
) -> None:
    limiter = make()
    for number in range(600):
        passed(limiter, PER_USER, 1, f"idle-{number}")
    clock.now_us = T0 + 7200 * S
    await limiter.sweep()
    assert limiter.stats.swept == 600 // SWEEP_TICKS


async def test_sweeping_and_saving_let_others_on(
    make: Callable[..., RateLimiter], clock: Clock, tmp_path: Path
) -> None:
    """Both go on in slices; what requests do between two of them is not lost."""
    limiter = make(buckets_max=40_000)
    for number in range(40_000):
        passed(limiter, PER_USER, 1, f"user-{number}")
    turns = 0

    async def requests(task_status: trio.TaskStatus[None]) -> None:
        nonlocal turns
        task_status.started()
        while True:
            passed(limiter, PER_USER, 1, "ann")
            passed(limiter, PER_USER, 1, f"new-{turns}")  # another one goes
            turns += 1
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        await nursery.start(requests)
        await limiter.save()
        during_save, turns = turns, 0
        for _ in range(SWEEP_TICKS):
            await limiter.sweep()
        during_sweeps = turns
        await limiter.save()
        nursery.cancel_scope.cancel()
    await limiter.save()
    assert during_save > 40_000 // BLOCK_ROWS_MAX // 2
    assert during_sweeps > SWEEP_TICKS // 2
    again = make(buckets_max=40_000)
    again.load((tmp_path / FILE_NAME).read_bytes())
    ann = key_of(limiter, PER_USER, "ann")
    assert again.look(ann, PER_USER, T0) == limiter.look(ann, PER_USER, T0)


async def test_a_bucket_takes_no_more_memory_than_is_reckoned(
    make: Callable[..., RateLimiter],
) -> None:
    """With everything that belongs to it, while all of them wait to be saved."""
    limiter = make()
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        bucket_key.cache_clear()
        for number in range(30_000):
            passed(limiter, PER_USER, 1, user=f"user-{number}", at_us=T0 + number)
        bucket_key.cache_clear()
        held = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert len(limiter) == limiter.inbox == 30_000
    assert held / len(limiter) < BUCKET_BYTES
    assert BUCKET_BYTES * BUCKETS_MAX <= RATE_LIMITS_BYTES_MAX
