"""When a failed call is made again, and after how long (proxy.md 6.1). Pure: no clock, no dice.

Attempts within one target; what follows when a target is given up is decided in fallbacks.py and
attempts.py.
"""

from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

from appliance.core import headers as names
from appliance.core.ask_types import Asks
from appliance.errors import Refusal

RETRIES_MAX: Final = 50
RETRY_AFTER_S_MAX: Final = 60.0
RETRY_AFTER_CHARACTERS_MAX: Final = 64
WAIT_MS_MAX: Final = 3_600_000
TOO_MANY_REQUESTS: Final = 429


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """`retries` are the attempts after the first (proxy.md 12), and so the most calls less one."""

    retries: int
    factor: float
    wait_min_ms: int
    wait_max_ms: int


def policy_of(asks: Asks) -> RetryPolicy | None:
    """The policy that the headers ask for; None where they ask for none.

    Raises Refusal for a pair of waits that no delay could satisfy.
    """
    if not asks.retry_enabled:
        return None
    if asks.retry_min_timeout_ms > asks.retry_max_timeout_ms:
        low, high = names.RETRY_MIN_TIMEOUT.decode(), names.RETRY_MAX_TIMEOUT.decode()
        raise Refusal(
            400,
            "retry_timeouts_invalid",
            f"{low} is {asks.retry_min_timeout_ms} ms, more than the {asks.retry_max_timeout_ms} ms"
            f" of {high}: lower the one or raise the other.",
        )
    return RetryPolicy(
        min(asks.retry_num, RETRIES_MAX),
        asks.retry_factor,
        asks.retry_min_timeout_ms,
        min(asks.retry_max_timeout_ms, WAIT_MS_MAX),
    )


def is_retried(status: int | None) -> bool:
    """Whether another call could end better. None stands for a call that brought no reply."""
    return status is None or status == TOO_MANY_REQUESTS or 500 <= status <= 599


def next_wait_s(
    policy: RetryPolicy,
    attempt: int,
    status: int | None,
    *,
    dice: float,
    now_us: int,
    retry_after: bytes = b"",
    byte_sent: bool = False,
) -> float | None:
    """How long to wait before calling again, after `attempt` calls (1 is the first) of which the
    last ended with `status`; None: its result is final.

    `dice` is a random number in [0, 1). `byte_sent`: the client has seen a part of a reply, so
    nothing can be begun again.
    """
    if byte_sent or attempt > policy.retries or not is_retried(status):
        return None
    if status == TOO_MANY_REQUESTS and retry_after:
        told_s = retry_after_s(retry_after, now_us)
        if told_s is not None:
            return told_s
    return wait_ms(policy, attempt, dice) / 1000


def wait_ms(policy: RetryPolicy, attempt: int, dice: float) -> int:
    """Growing by the factor, spread over one to two times itself, never above the largest wait.

    A factor below 1 shrinks: then the waits are taken from the shortest up, as the original sorts
    its list of them.
    """
    step = attempt - 1 if policy.factor >= 1 else policy.retries - attempt
    try:
        wait = (1 + dice) * max(policy.wait_min_ms, 1) * policy.factor**step
    except OverflowError:
        return policy.wait_max_ms
    return min(policy.wait_max_ms, round(min(wait, WAIT_MS_MAX)))


def retry_after_s(value: bytes, now_us: int, most_s: float = RETRY_AFTER_S_MAX) -> float | None:
    """What a provider asks us to wait, in whole seconds or until a date, at most `most_s`.

    None for anything else: a fraction, a negative number, a date that has passed.
    """
    text = value[: RETRY_AFTER_CHARACTERS_MAX + 1].decode("latin-1").strip()
    if not text or len(text) > RETRY_AFTER_CHARACTERS_MAX:
        return None
    if text.isascii() and text.isdigit():
        return min(float(text), most_s)
    if not text[0].isalpha():  # every form of a date begins with the day's name (RFC 9110 5.6.7)
        return None
    try:
        moment = parsedate_to_datetime(text)
        at_s = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (TypeError, ValueError, OverflowError, IndexError):
        return None
    wait_s = at_s - now_us / 1_000_000
    return min(wait_s, most_s) if wait_s > 0 else None
