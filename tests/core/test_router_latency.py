"""PeakEWMA: up at once, down over time."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.core.router_latency import DECAY_S, UNKNOWN_S, PeakEwma

SECONDS = st.floats(0.0001, 600)
MOMENTS = st.lists(st.tuples(st.floats(0, 100), SECONDS), min_size=1, max_size=50)


def test_before_the_first_reply() -> None:
    assert PeakEwma(5.0).value_s(5.0) == UNKNOWN_S


def test_the_first_reply_replaces_the_guess() -> None:
    latency = PeakEwma(0.0)
    latency.add(0.004, 0.5)
    assert latency.value_s(0.5) == 0.004


def test_a_quick_failure_leaves_the_guess() -> None:
    latency = PeakEwma(0.0)
    latency.add_failed(0.001, 0.0)
    assert latency.value_s(0.0) == UNKNOWN_S
    latency.add(0.004, 0.0)
    assert latency.value_s(0.0) == 0.004


def test_a_slow_reply_counts_in_full_at_once() -> None:
    latency = PeakEwma(0.0)
    latency.add(0.1, 1.0)
    latency.add(4.0, 2.0)
    assert latency.value_s(2.0) == 4.0


def test_quick_replies_bring_it_down_over_time() -> None:
    latency = PeakEwma(0.0)
    latency.add(4.0, 0.0)
    latency.add(0.1, 0.0)
    assert latency.value_s(0.0) == 4.0  # no time has passed
    latency.add(0.1, DECAY_S)
    assert latency.value_s(DECAY_S) == pytest.approx(4.0 / math.e + 0.1 * (1 - 1 / math.e))


def test_silence_lets_it_fall() -> None:
    latency = PeakEwma(0.0)
    latency.add(4.0, 0.0)
    assert latency.value_s(DECAY_S) == pytest.approx(4.0 / math.e)


def test_a_quick_failure_is_no_quick_reply() -> None:
    latency = PeakEwma(0.0)
    latency.add(1.0, 0.0)
    latency.add_failed(0.001, 1.0)
    assert latency.value_s(0.0) == 1.0
    latency.add_failed(9.0, 1.0)
    assert latency.value_s(1.0) == 9.0


@given(MOMENTS)
def test_it_stays_between_nothing_and_the_slowest(moments: list[tuple[float, float]]) -> None:
    latency, now_s, slowest_s = PeakEwma(0.0), 0.0, UNKNOWN_S
    for pause_s, seconds in moments:
        now_s += pause_s
        slowest_s = max(slowest_s, seconds)
        latency.add(seconds, now_s)
        assert 0 <= latency.value_s(now_s) <= slowest_s * 1.000001
        assert latency.value_s(now_s + 1) < latency.value_s(now_s)


@given(st.floats(0, 1000), SECONDS)
def test_a_clock_that_stands_still_or_goes_back_does_no_harm(at_s: float, seconds: float) -> None:
    latency = PeakEwma(at_s)
    latency.add(seconds, at_s - 1)
    assert 0 <= latency.value_s(at_s - 2) <= max(seconds, UNKNOWN_S)
