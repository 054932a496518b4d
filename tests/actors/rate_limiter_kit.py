"""What tests of the rate limiter share: policies, a clock, and calls in short."""

from collections.abc import Callable
from pathlib import Path

from appliance.actors.rate_limiter import RateLimiter
from appliance.core.rate_policy import Policy, parse_policy
from appliance.core.rate_segment import BucketKey

S = 1_000_000
T0 = 1_800_000_000 * S
ORG = b"o" * 16
SECRET = b"s" * 32
PER_USER = parse_policy("100;w=3600;s=user")
ALL = parse_policy("100;w=3600")
CENTS = parse_policy("10;w=3600;u=cents")
CENT = 10**10


class Clock:
    def __init__(self) -> None:
        self.now_us = T0
        self.broken = False

    def __call__(self) -> int:
        if self.broken:
            raise RuntimeError("a bug")
        return self.now_us


def maker(directory: Path, clock: Clock) -> Callable[..., RateLimiter]:
    """Makes limiters over one directory: each is one start of the process."""

    def made(**options: object) -> RateLimiter:
        return RateLimiter(directory, SECRET, clock_us=clock, **options)  # type: ignore[arg-type]

    return made


def key_of(limiter: RateLimiter, policy: Policy, user: str = "") -> BucketKey:
    key = limiter.key(ORG, policy, user, {})
    assert key is not None
    return key


def passed(
    limiter: RateLimiter, policy: Policy, calls: int, user: str = "", at_us: int = T0
) -> int:
    key = key_of(limiter, policy, user)
    return sum(not limiter.check(key, policy, at_us).limited for _ in range(calls))


def left(limiter: RateLimiter, policy: Policy, user: str = "", at_us: int = T0) -> int:
    return limiter.look(key_of(limiter, policy, user), policy, at_us).remaining
