"""Which failed calls are made again, when, and how often (proxy.md 6.1; internals.md 7)."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.core.ask_types import Asks
from appliance.core.asks import parse_asks
from appliance.core.retry import (
    RETRIES_MAX,
    WAIT_MS_MAX,
    RetryPolicy,
    is_retried,
    next_wait_s,
    policy_of,
    retry_after_s,
    wait_ms,
)
from appliance.errors import Refusal

NOW_US = int(datetime(2015, 10, 21, 7, 27, 30, tzinfo=UTC).timestamp()) * 1_000_000
POLICY = RetryPolicy(retries=5, factor=2.0, wait_min_ms=1000, wait_max_ms=10_000)


def asked(**headers: str) -> Asks:
    named = {f"helicone-retry-{name.replace('_', '-')}": value for name, value in headers.items()}
    return parse_asks({name.encode(): value.encode() for name, value in named.items()})


@pytest.mark.parametrize(
    ("headers", "policy"),
    [
        ({"enabled": "true"}, POLICY),
        ({"enabled": "yes"}, POLICY),
        ({"enabled": "false"}, None),
        ({"num": "3"}, None),
        ({"enabled": "true", "num": "3"}, RetryPolicy(3, 2.0, 1000, 10_000)),
        ({"enabled": "true", "num": "0"}, RetryPolicy(0, 2.0, 1000, 10_000)),
        ({"enabled": "true", "num": "900000"}, RetryPolicy(RETRIES_MAX, 2.0, 1000, 10_000)),
        (
            {"enabled": "true", "factor": "1.5", "min_timeout": "10", "max_timeout": "20"},
            RetryPolicy(5, 1.5, 10, 20),
        ),
        (
            {"enabled": "true", "max_timeout": "999999999"},
            RetryPolicy(5, 2.0, 1000, WAIT_MS_MAX),
        ),
    ],
)
def test_the_policy_of_a_request(headers: dict[str, str], policy: RetryPolicy | None) -> None:
    assert policy_of(asked(**headers)) == policy


def test_waits_that_exclude_each_other_are_refused_by_name() -> None:
    with pytest.raises(Refusal, match="helicone-retry-min-timeout is 20 ms, more than the 10 ms"):
        policy_of(asked(enabled="true", min_timeout="20", max_timeout="10"))
    assert policy_of(asked(min_timeout="20", max_timeout="10")) is None


@pytest.mark.parametrize(
    ("status", "again"),
    [
        (None, True), (429, True), (500, True), (503, True), (522, True), (599, True),
        (200, False), (301, False), (400, False), (401, False), (404, False), (408, False),
        (428, False), (430, False), (499, False), (600, False),
    ],
)  # fmt: skip
def test_what_is_tried_again(status: int | None, again: bool) -> None:
    assert is_retried(status) is again
    assert (next_wait_s(POLICY, 1, status, dice=0.0, now_us=0) is not None) is again


def test_num_counts_the_attempts_after_the_first() -> None:
    policy = RetryPolicy(2, 2.0, 1, 1)
    waits = [next_wait_s(policy, attempt, 503, dice=0.0, now_us=0) for attempt in (1, 2, 3, 4)]
    assert waits == [0.001, 0.001, None, None]
    assert next_wait_s(RetryPolicy(0, 2.0, 1, 1), 1, 503, dice=0.0, now_us=0) is None


def test_never_after_a_byte_has_reached_the_client() -> None:
    assert next_wait_s(POLICY, 1, None, dice=0.0, now_us=0, byte_sent=True) is None
    assert next_wait_s(POLICY, 1, 429, dice=0.0, now_us=0, retry_after=b"1", byte_sent=True) is None


@pytest.mark.parametrize(
    ("dice", "waits_ms"),
    [
        (0.0, [1000, 2000, 4000, 8000, 10_000]),
        (0.5, [1500, 3000, 6000, 10_000, 10_000]),
        (0.2504, [1250, 2501, 5002, 10_000, 10_000]),
    ],
)
def test_waits_grow_up_to_the_largest(dice: float, waits_ms: list[int]) -> None:
    assert [wait_ms(POLICY, attempt, dice) for attempt in range(1, 6)] == waits_ms


@pytest.mark.parametrize(
    ("policy", "waits_ms"),
    [
        (RetryPolicy(3, 1.0, 100, 1000), [100, 100, 100]),
        (RetryPolicy(3, 0.5, 100, 1000), [25, 50, 100]),
        (RetryPolicy(3, 0.0, 100, 1000), [0, 0, 100]),
        (RetryPolicy(3, 3.0, 0, 1000), [1, 3, 9]),
        (RetryPolicy(3, 1e9, 100, 1000), [100, 1000, 1000]),
        (RetryPolicy(RETRIES_MAX, 1e9, 100, 1000), [100, 1000, 1000]),
    ],
)
def test_unusual_factors(policy: RetryPolicy, waits_ms: list[int]) -> None:
    assert [wait_ms(policy, attempt, 0.0) for attempt in (1, 2, 3)] == waits_ms


@given(
    st.builds(
        RetryPolicy,
        st.integers(0, RETRIES_MAX),
        st.floats(0, 1e9),
        st.integers(0, 10**9),
        st.integers(0, WAIT_MS_MAX),
    ),
    st.integers(1, RETRIES_MAX),
    st.floats(0, 1, exclude_max=True),
)
def test_no_wait_leaves_its_bounds(policy: RetryPolicy, attempt: int, dice: float) -> None:
    if attempt <= policy.retries:
        assert 0 <= wait_ms(policy, attempt, dice) <= policy.wait_max_ms


@pytest.mark.parametrize(
    ("value", "wait_s"),
    [
        ("5", 5.0), ("0", 0.0), ("  7  ", 7.0), ("60", 60.0), ("61", 60.0), ("9" * 40, 60.0),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 30.0),
        ("  Wed, 21 Oct 2015 07:28:00 GMT ", 30.0),
        ("Wednesday, 21-Oct-15 07:28:00 GMT", 30.0),
        ("Wed Oct 21 07:28:00 2015", 30.0),
        ("Wed, 21 Oct 2015 09:28:00 GMT", 60.0),
        ("Wed, 21 Oct 2015 07:27:30 GMT", None),
        ("Wed, 21 Oct 2015 07:27:00 GMT", None),
        ("", None), (" ", None), ("-5", None), ("+5", None), ("1.5", None), ("1e3", None),
        ("soon", None), ("5 s", None), ("٥", None), ("2015-10-21T07:28:00Z", None),
        ("Wed, 99 Oct 2015 07:28:00 GMT", None), ("Wed, 21 Oct 99999 07:28:00 GMT", None),
        ("9" * 65, None), ("Wed, " * 1000, None),
    ],
)  # fmt: skip
def test_retry_after(value: str, wait_s: float | None) -> None:
    assert retry_after_s(value.encode(), NOW_US) == wait_s


@pytest.mark.parametrize(
    ("status", "retry_after", "wait_s"),
    [
        (429, b"3", 3.0), (429, b"300", 60.0), (429, b"", 1.0), (429, b"soon", 1.0),
        (503, b"3", 1.0), (500, b"3", 1.0), (None, b"3", 1.0),
    ],
)  # fmt: skip
def test_retry_after_counts_for_429_alone(
    status: int | None, retry_after: bytes, wait_s: float
) -> None:
    found = next_wait_s(POLICY, 1, status, dice=0.0, now_us=NOW_US, retry_after=retry_after)
    assert found == wait_s


@given(st.binary(max_size=80))
def test_no_header_breaks_it(value: bytes) -> None:
    found: Any = retry_after_s(value, NOW_US)
    assert found is None or 0 <= found <= 60
