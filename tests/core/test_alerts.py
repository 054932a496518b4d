"""Alerts: what they ask of a real database, and how they stand in the course of time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from appliance.api.filter_fields import REQUEST_TABLES
from appliance.core import alerts
from appliance.core.alert_input import read_alert, read_name
from appliance.core.alerts import Alert, Reached, Standing, statement, step
from appliance.errors import Refusal
from storage.analytics import Analytics
from storage.batch import Batch
from storage.frames import Position
from tests.storage.analytics_rows import ORG, T0_US, body_row, opened, request_row

MINUTE_US = 60_000_000
NOW_US = T0_US + 60 * MINUTE_US


@pytest.fixture
def database() -> Iterator[Analytics]:
    """Ten requests, a minute apart, the last one now; cost 1 to 10 cents, two of them failed."""
    analytics = opened(None)
    batch = Batch()
    for number in range(1, 11):
        row = request_row(
            number,
            request_created_at=NOW_US - (10 - number) * MINUTE_US,
            status=500 if number in (9, 10) else 200,
            latency_ms=float(number * 100),
            cost_pico=number * 10**10,
            user_id="" if number == 1 else f"u-{number % 2}",
            model="big" if number > 5 else "small",
            properties={"team": "a" if number < 4 else "b"} if number != 10 else {},
            prompt_tokens=100,
            completion_tokens=10,
            prompt_cache_read_tokens=5,
            prompt_cache_write_tokens=None,
        )
        batch.add_exchange(row, body_row(number), 0)
    tool = request_row(98, request_created_at=NOW_US, status=500, step="tool", source="otlp")
    batch.add_exchange(tool, body_row(98), 0)
    other = request_row(99, organization_id=bytes(16), request_created_at=NOW_US, status=500)
    batch.add_exchange(other, body_row(99), 0)
    analytics.ingest(batch, Position(1, 1))
    yield analytics
    analytics.close()


def alert(**more: Any) -> Alert:
    known = {"metric": "count", "threshold": Decimal(0), "window_ms": 3_600_000, **more}
    return Alert(ORG, **known)


def ask(database: Analytics, one: Alert) -> list[tuple[Any, float, int]]:
    with database.query(*statement(one, REQUEST_TABLES, NOW_US)) as query:
        return [(group, round(float(value), 6), count) for group, value, count in query.fetch()]


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({}, [(None, 10, 10)]),
        ({"window_ms": 120_000}, [(None, 3, 3)]),
        ({"metric": "response.status"}, [(None, 20, 10)]),
        ({"metric": "response.status", "window_ms": 90_000}, [(None, 100, 2)]),
        ({"metric": "cost"}, [(None, 0.55, 10)]),
        ({"metric": "cost", "threshold": Decimal("0.55")}, [(None, 0.55, 10)]),
        ({"metric": "cost", "threshold": Decimal("0.550000000001")}, []),
        ({"metric": "cost", "aggregation": "max"}, [(None, 0.1, 10)]),
        ({"metric": "cost", "aggregation": "avg"}, [(None, 0.055, 10)]),
        ({"metric": "latency", "aggregation": "min"}, [(None, 100, 10)]),
        ({"metric": "latency", "aggregation": "avg"}, [(None, 550, 10)]),
        ({"metric": "latency", "aggregation": "percentile", "percentile": Decimal(50)},
         [(None, 550, 10)]),
        ({"metric": "latency", "aggregation": "percentile", "percentile": Decimal(90)},
         [(None, 910, 10)]),
        ({"metric": "total_tokens"}, [(None, 1150, 10)]),
        ({"metric": "prompt_tokens"}, [(None, 1000, 10)]),
        ({"metric": "completion_tokens", "aggregation": "avg"}, [(None, 10, 10)]),
        ({"metric": "prompt_cache_read_tokens"}, [(None, 50, 10)]),
        ({"metric": "prompt_cache_write_tokens"}, []),  # nobody said how many
        ({"requests_min": 11}, []),
        ({"requests_min": 10}, [(None, 10, 10)]),
        ({"threshold": Decimal(11)}, []),
        ({"grouping": "model", "metric": "cost"}, [("big", 0.4, 5), ("small", 0.15, 5)]),
        ({"grouping": "model", "metric": "cost", "threshold": Decimal("0.2")}, [("big", 0.4, 5)]),
        ({"grouping": "user"}, [("u-0", 5, 5), ("u-1", 4, 4)]),
        ({"grouping": "provider"}, [("OPENAI", 10, 10)]),
        ({"grouping": "team", "grouping_is_property": True}, [("b", 6, 6), ("a", 3, 3)]),
        ({"grouping": "team", "grouping_is_property": True, "requests_min": 4}, [("b", 6, 6)]),
        ({"grouping": "model", "grouping_is_property": True}, []),
        ({"filter": {"type": "condition", "field": {"table": "request_response_rmt",
          "column": "model"}, "operator": "eq", "value": "big"}}, [(None, 5, 5)]),
        ({"filter": {"properties": {"team": {"equals": "a"}}}}, [(None, 3, 3)]),
    ],
)  # fmt: skip
def test_what_is_found(database: Analytics, given: dict[str, Any], found: list[Any]):
    assert ask(database, alert(**given)) == found


def test_only_so_many_groups_and_the_worst_first(database: Analytics):
    batch = Batch()
    for number in range(100, 160):
        row = request_row(
            number, request_created_at=NOW_US, user_id=f"v-{number}", cost_pico=number * 10**12
        )
        batch.add_exchange(row, body_row(number), 0)
    database.ingest(batch, Position(1, 2))
    found = ask(database, alert(metric="cost", grouping="user"))
    assert len(found) == alerts.GROUPS_MAX
    assert found[0][:2] == ("v-159", 159.0)


def test_five_minutes_without_a_break():
    now, minute = 1_000_000_000, MINUTE_US
    standing = Standing("resolved")
    assert step(standing, False, now) == standing
    standing = step(standing, True, now)
    assert standing == Standing("triggered")
    for passed in range(1, 5):  # four minutes below, and then above: they begin anew
        standing = step(standing, False, now + passed * minute)
        assert standing == Standing("triggered", now + minute)
    standing = step(standing, True, now + 5 * minute)
    assert standing == Standing("triggered", None)
    for passed in range(6, 11):
        standing = step(standing, False, now + passed * minute)
        assert standing.status == "triggered"
    assert step(standing, False, now + 11 * minute) == Standing("resolved")


def test_a_cooldown_of_its_own():
    now = 1_000_000_000
    standing = step(Standing("triggered"), False, now, 90_000)
    assert standing == Standing("triggered", now)
    assert step(standing, False, now + MINUTE_US, 90_000) == standing
    assert step(standing, False, now + 90_000_000, 90_000) == Standing("resolved")
    assert step(Standing("triggered"), False, now, 0) == Standing("resolved"), "at once"
    for cooldown_ms, told in ((3_600_000, "for 1 hours."), (0, "below 0 again.")):
        words = alerts.words_at_the_end("Spend", alert(cooldown_ms=cooldown_ms))
        assert words.endswith(told)


def test_a_clock_that_goes_back_begins_them_anew():
    standing = Standing("triggered", 10 * MINUTE_US)
    assert step(standing, False, MINUTE_US) == Standing("triggered", MINUTE_US)


def test_words():
    one = alert(metric="cost", threshold=Decimal("0.5"), window_ms=300_000, grouping="user")
    said = alerts.words("Spend", one, [Reached("u-1", Decimal("1.234"), 7)], "https://h/alerts")
    assert said.splitlines() == [
        "Spend: cost has reached 0.5 USD within 5 minutes.", "",
        "user u-1: 1.23 USD over 7 requests", "", "https://h/alerts",
    ]  # fmt: skip
    assert alerts.triggered_value([Reached(None, Decimal("12.345"), 1)]) == "12.34"
    assert alerts.triggered_value([Reached("u-1", Decimal(1), 1)]) == ""
    spans = [alerts.span(ms) for ms in (30_000, 3_600_000, 86_400_000, 90_000)]
    assert spans == ["30 seconds", "1 hours", "1 days", "90 seconds"]


GOOD: dict[str, Any] = {"metric": "cost", "threshold": Decimal("0.5"), "time_window": "300000"}


def read(**more: Any) -> Alert:
    return read_alert({**GOOD, **more}, Alert(ORG, "count", Decimal(1), 60_000), REQUEST_TABLES)


def test_what_is_read():
    found = read(
        aggregation="percentile", percentile=Decimal("99.5"), grouping="team",
        grouping_is_property=True, minimum_request_count=5, filter={"type": "all"},
    )  # fmt: skip
    assert found == Alert(
        ORG, "cost", Decimal("0.5"), 300_000, "percentile", Decimal("99.5"), "team", True, 5,
        {"type": "all"},
    )  # fmt: skip
    again = read_alert({"aggregation": None, "percentile": None}, found, REQUEST_TABLES)
    assert (again.aggregation, again.percentile, again.grouping) == (None, None, "team")
    assert read(time_window=60_000).window_ms == 60_000
    assert read(filter=None).filter == "all"
    assert [read(cooldown=given).cooldown_ms for given in ("0", 60_000, None)] == [
        0,
        60_000,
        300_000,
    ]
    slow = read(cooldown="86400000")
    assert read_alert({"threshold": 1}, slow, REQUEST_TABLES).cooldown_ms == 86_400_000


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"metric": "nothing"}, "metric"),
        ({"metric": None}, "metric"),
        ({"metric": ["cost"]}, "metric"),
        ({"threshold": 0}, "threshold"),
        ({"threshold": -1}, "threshold"),
        ({"threshold": "1"}, "threshold"),
        ({"threshold": True}, "threshold"),
        ({"threshold": Decimal("1e400")}, "threshold"),
        ({"threshold": Decimal("0.001")}, "threshold"),
        ({"metric": "response.status", "threshold": 101}, "threshold"),
        ({"time_window": "29999"}, "time_window"),
        ({"time_window": "2592000001"}, "time_window"),
        ({"time_window": "5m"}, "time_window"),
        ({"time_window": Decimal("60000.5")}, "time_window"),
        ({"time_window": None}, "time_window"),
        ({"time_window": "٣٠٠٠٠٠"}, "time_window"),
        ({"cooldown": "86400001"}, "cooldown"),
        ({"cooldown": "-1"}, "cooldown"),
        ({"cooldown": True}, "cooldown"),
        ({"aggregation": "median"}, "aggregation"),
        ({"aggregation": ["sum"]}, "aggregation"),
        ({"metric": "count", "threshold": 1, "aggregation": "avg"}, "aggregation"),
        ({"aggregation": "percentile"}, "percentile"),
        ({"percentile": 95}, "percentile"),
        ({"aggregation": "percentile", "percentile": 100}, "percentile"),
        ({"aggregation": "percentile", "percentile": 0}, "percentile"),
        ({"grouping": "team"}, "grouping"),
        ({"grouping": ""}, "grouping"),
        ({"grouping": 7}, "grouping"),
        ({"grouping_is_property": True}, "grouping"),
        ({"grouping_is_property": "yes"}, "grouping_is_property"),
        ({"minimum_request_count": -1}, "minimum_request_count"),
        ({"minimum_request_count": Decimal("1.5")}, "minimum_request_count"),
        ({"filter": {"type": "nothing"}}, "filter.type"),
        ({"filter": {"request_response_rmt": {"secret": {"equals": 1}}}},
         "filter.request_response_rmt.secret"),
        ({"filter": "x" * 200_000}, "filter"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(given: dict[str, Any], field: str):
    with pytest.raises(Refusal) as caught:
        read(**given)
    assert caught.value.status == 422
    assert caught.value.message.startswith(f"{field}: "), caught.value.message


@pytest.mark.parametrize("name", ["", "  ", "x" * 201, 7, None, "a\nBcc: b@c.example", "a\x00"])
def test_a_name_is_one_line(name: Any):
    with pytest.raises(Refusal, match="name"):
        read_name({"name": name}, "")
    assert read_name({"name": " Spend ü "}, "") == "Spend ü"
    assert read_name({}, "before") == "before"


def test_a_stored_filter_is_the_same_filter():
    from appliance.core.alert_input import filter_text

    given = {"request_response_rmt": {"cost": {"gte": Decimal("0.1")}}}
    stored = json.loads(filter_text(given))
    first = statement(read(filter=given), REQUEST_TABLES, NOW_US)
    assert statement(read(filter=stored), REQUEST_TABLES, NOW_US) == first
