"""When a target is left out, and when it comes back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.core.router_health import BUCKETS, Health, HealthRules, Window

RULES = HealthRules(
    errors_percent_max=10, window_s=60, requests_min=20, failures_max=3, open_s=30
)  # fmt: skip
CALM = HealthRules(failures_max=1000)


def end(health: Health, now_s: float, verdict: str) -> None:
    """One call that begins and ends at once."""
    is_probe = health.begin()
    if verdict == "good":
        health.good(now_s, is_probe=is_probe)
    elif verdict == "bad":
        health.bad(now_s, is_probe=is_probe)
    elif verdict == "limited":
        health.limited(now_s, 7, is_probe=is_probe)
    else:
        health.unknown(is_probe=is_probe)


# -- the window


def test_the_window_slides() -> None:
    window = Window(60)
    for second in range(0, 120, 6):
        window.add(float(second), is_error=second < 60)
    assert window.counts(119) == (10, 0)
    assert window.counts(120) == (9, 0)  # one part has left
    assert window.counts(500) == (0, 0)


@given(st.lists(st.tuples(st.floats(0, 20), st.booleans()), max_size=60))
def test_the_window_counts_what_is_in_it(steps: list[tuple[float, bool]]) -> None:
    window, now_s, seen = Window(60.0), 0.0, []
    for pause_s, is_error in steps:
        now_s += pause_s
        window.add(now_s, is_error=is_error)
        seen.append((int(now_s / (60.0 / BUCKETS)), is_error))
    living = [error for part, error in seen if part > int(now_s / (60.0 / BUCKETS)) - BUCKETS]
    assert window.counts(now_s) == (len(living), sum(living))


@pytest.mark.parametrize(
    ("good", "bad", "is_in"),
    [(18, 2, True), (17, 3, False), (0, 19, True), (0, 20, False), (90, 10, True), (89, 11, False)],
)
def test_a_share_of_errors_leaves_it_out(good: int, bad: int, is_in: bool) -> None:
    health = Health(CALM)
    for verdict in ["good"] * good + ["bad"] * bad:
        end(health, 5.0, verdict)
    assert health.is_in(5.0) is is_in
    assert health.why_out(5.0) == ("" if is_in else "errors")


def test_it_comes_back_when_the_errors_are_old() -> None:
    health = Health(CALM)
    for _ in range(20):
        end(health, 5.0, "bad")
    assert not health.is_in(59.0)
    assert health.back_at_s(59.0) == 65.0
    assert health.is_in(66.0)


# -- the breaker


def test_the_breaker_opens_after_failures_in_a_row() -> None:
    health = Health(RULES)
    for verdict in ("bad", "bad", "good", "bad", "bad"):
        end(health, 1.0, verdict)
        assert health.is_in(1.0)
    end(health, 2.0, "bad")
    assert (health.is_in(2.0), health.why_out(2.0), health.back_at_s(2.0)) == (False, "open", 32.0)


def opened() -> Health:
    health = Health(RULES)
    for _ in range(3):
        end(health, 0.0, "bad")
    assert not health.is_in(29.9)
    return health


def test_one_probe_at_a_time_closes_it() -> None:
    health = opened()
    assert health.is_in(30.0)
    assert health.begin()
    assert not health.is_in(30.0)
    assert not health.begin()  # one more that was forced is no probe
    health.good(31.0, is_probe=True)
    assert health.is_in(31.0)
    end(health, 31.0, "bad")
    assert health.is_in(31.0)  # it counts from none again


def test_a_failed_probe_opens_it_again() -> None:
    health = opened()
    end(health, 30.0, "bad")
    assert not health.is_in(59.9)
    assert health.is_in(60.0)


def test_a_probe_that_says_nothing_lets_another_try() -> None:
    health = opened()
    end(health, 30.0, "unknown")
    assert health.is_in(30.0)
    assert health.begin()


def test_calls_from_before_change_nothing() -> None:
    health = Health(RULES)
    late = [health.begin() for _ in range(3)]
    for _ in range(3):
        end(health, 0.0, "bad")
    health.good(5.0, is_probe=late[0])
    health.bad(20.0, is_probe=late[1])
    assert not health.is_in(29.9)
    assert health.is_in(30.0)
    health.unknown(is_probe=late[2])
    assert health.begin()


# -- 429


def test_a_limit_leaves_it_out_for_as_long_as_it_says() -> None:
    health = Health(RULES)
    end(health, 10.0, "limited")
    assert (health.is_in(16.9), health.why_out(16.9), health.is_in(17.0)) == (
        False,
        "limited",
        True,
    )
    health.limited(20.0, 60, is_probe=False)
    health.limited(21.0, 1, is_probe=False)  # does not shorten it
    assert not health.is_in(79.0)
    assert health.is_in(80.0)


def test_limits_are_no_errors() -> None:
    health = Health(RULES)
    for second in range(100):
        end(health, second / 100, "limited")
    assert health.is_in(9.0)


def test_a_limited_probe_shows_that_it_lives() -> None:
    health = opened()
    end(health, 30.0, "limited")
    assert health.why_out(31.0) == "limited"
    assert health.is_in(37.0)


VERDICTS = st.sampled_from(["good", "bad", "limited", "unknown"])


@given(st.lists(st.tuples(st.floats(0, 50), VERDICTS), max_size=80))
def test_whatever_happens_it_comes_back(steps: list[tuple[float, str]]) -> None:
    health, now_s = Health(RULES), 0.0
    for pause_s, verdict in steps:
        now_s += pause_s
        end(health, now_s, verdict)
        assert health.is_in(now_s) == (health.why_out(now_s) == "")
        assert health.is_in(now_s) == (health.back_at_s(now_s) <= now_s)
    assert health.is_in(now_s + 67)
    end(health, now_s + 67, "good")
    assert health.is_in(now_s + 67)
