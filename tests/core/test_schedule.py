from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.core.schedule import Calendar, Every, Turn, turn

BERLIN = ZoneInfo("Europe/Berlin")
MONDAY_TEN = Calendar(10, weekday=0, zone=BERLIN)
MINUTE = Every(60)
WEEK_S = 7 * 24 * 3600


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp())


@pytest.mark.parametrize(
    ("now", "latest", "following"),
    [
        # 23 November 2026 is a Monday; Berlin is an hour ahead in winter, two in summer.
        ("2026-11-23T08:59:59+00:00", "2026-11-16T09:00:00+00:00", "2026-11-23T09:00:00+00:00"),
        ("2026-11-23T09:00:00+00:00", "2026-11-23T09:00:00+00:00", "2026-11-30T09:00:00+00:00"),
        ("2026-11-25T00:00:00+00:00", "2026-11-23T09:00:00+00:00", "2026-11-30T09:00:00+00:00"),
        ("2026-10-23T00:00:00+00:00", "2026-10-19T08:00:00+00:00", "2026-10-26T09:00:00+00:00"),
    ],
)
def test_monday_at_ten_in_a_zone(now: str, latest: str, following: str):
    assert MONDAY_TEN.latest(at(now)) == at(latest)
    assert MONDAY_TEN.following(at(now)) == at(following)


def test_each_day_and_each_month():
    daily, monthly = Calendar(7, 30), Calendar(10, month_day=1)
    now = at("2026-03-01T07:29:00+00:00")
    assert daily.latest(now) == at("2026-02-28T07:30:00+00:00")
    assert daily.following(now) == at("2026-03-01T07:30:00+00:00")
    assert monthly.latest(now) == at("2026-02-01T10:00:00+00:00")
    assert monthly.following(now) == at("2026-03-01T10:00:00+00:00")


def test_an_hour_that_is_left_out_comes_later_and_one_that_is_repeated_comes_once():
    at_half_past_two = Calendar(2, 30, zone=BERLIN)
    spring, autumn = at("2026-03-29T00:00:00+00:00"), at("2026-10-24T22:00:00+00:00")
    assert at_half_past_two.following(spring) == at("2026-03-29T01:30:00+00:00")
    first = at_half_past_two.following(autumn)
    assert first == at("2026-10-25T00:30:00+00:00")
    assert at_half_past_two.following(first) == at("2026-10-26T01:30:00+00:00")


SCHEDULES = st.sampled_from(
    [MINUTE, Every(300), MONDAY_TEN, Calendar(2, 30, zone=BERLIN), Calendar(0, month_day=28)]
)
TIMES = st.integers(min_value=0, max_value=4_000_000_000)


@given(SCHEDULES, TIMES)
def test_moments_are_in_order(schedule: Calendar | Every, now: int):
    latest, following = schedule.latest(now), schedule.following(now)
    assert latest <= now < following
    assert schedule.following(latest) == following
    assert schedule.latest(following) == following
    assert schedule.latest(following - 1) == latest


@given(SCHEDULES, TIMES, TIMES)
def test_what_was_missed_is_run_once(schedule: Calendar | Every, served: int, now: int):
    served = schedule.latest(served)
    first = turn(schedule, served, now)
    again = turn(schedule, first.kept_s, now)
    assert first.run == (schedule.latest(now) > served)
    assert not again.run
    assert again.kept_s == first.kept_s


def test_a_new_job_waits_for_its_next_moment():
    now = at("2026-11-25T00:00:00+00:00")
    monday = at("2026-11-23T09:00:00+00:00")
    assert turn(MONDAY_TEN, None, now) == Turn(monday, False, monday)
    assert turn(MONDAY_TEN, monday, monday + WEEK_S).run


def test_a_clock_that_goes_back_a_little_repeats_nothing():
    monday = at("2026-11-23T09:00:00+00:00")
    before = turn(MONDAY_TEN, monday, monday - 2 * 3600)
    assert (before.run, before.kept_s) == (False, monday)
    assert not turn(MONDAY_TEN, before.kept_s, monday + 60).run
    assert turn(MONDAY_TEN, before.kept_s, monday + WEEK_S).run


def test_a_clock_that_was_a_year_ahead_does_not_stop_a_job_for_a_year():
    now = at("2026-11-25T00:00:00+00:00")
    wrong = MONDAY_TEN.latest(now + 52 * WEEK_S)
    put_right = turn(MONDAY_TEN, wrong, now)
    assert (put_right.run, put_right.kept_s) == (False, MONDAY_TEN.latest(now))
    assert turn(MONDAY_TEN, put_right.kept_s, now + WEEK_S).run
    assert turn(MINUTE, turn(MINUTE, 7200, 3600).kept_s, 3660).run
