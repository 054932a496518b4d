from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from appliance.core import reports
from appliance.core.reports import Figures, change, event, figures, spans, words
from storage.batch import Batch
from storage.frames import Position
from tests.storage.analytics_rows import ORG, T0_US, body_row, opened, request_row

BERLIN = ZoneInfo("Europe/Berlin")
DAY_S = 24 * 3600
NOW = Figures(Decimal("12.34"), 1200, Decimal("2.5"), 7, 1, 10, Decimal("1.2"))
BEFORE = Figures(Decimal("10"), 600, Decimal("5"), 7, 0, 0, None)
NOTHING = Figures(Decimal(0), 0, None, 0, 0, 0, None)


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp())


@pytest.mark.parametrize(
    ("frequency", "due", "begin", "before"),
    [
        ("daily", "2026-11-24T09:00:00+00:00", "2026-11-23T09:00:00+00:00",
         "2026-11-22T09:00:00+00:00"),
        ("weekly", "2026-11-23T09:00:00+00:00", "2026-11-16T09:00:00+00:00",
         "2026-11-09T09:00:00+00:00"),
        # Over the end of summer time: a week and an hour.
        ("weekly", "2026-10-26T09:00:00+00:00", "2026-10-19T08:00:00+00:00",
         "2026-10-12T08:00:00+00:00"),
        ("monthly", "2026-03-01T09:00:00+00:00", "2026-02-01T09:00:00+00:00",
         "2026-01-01T09:00:00+00:00"),
        # On trial, in the middle of a week: since the last Monday.
        ("weekly", "2026-11-25T12:00:00+00:00", "2026-11-23T09:00:00+00:00",
         "2026-11-16T09:00:00+00:00"),
    ],
)  # fmt: skip
def test_the_time_and_the_time_before(frequency: str, due: str, begin: str, before: str):
    assert spans(frequency, at(due), BERLIN) == ((at(begin), at(due)), (at(before), at(begin)))


def test_figures_of_a_database():
    analytics = opened(None)
    start_s = T0_US // 10**6
    batch = Batch()
    for number in range(1, 9):
        row = request_row(
            number, request_created_at=T0_US + number * 10**6, cost_pico=number * 10**12,
            status=429 if number == 8 else 200, user_id="" if number < 3 else f"u-{number % 2}",
            session_id="s-1" if number in (3, 4) else "s-2" if number == 5 else None,
            threat=True if number == 6 else None,
        )  # fmt: skip
        batch.add_exchange(row, body_row(number), 0)
    for number, more in ((20, {"step": "tool"}), (21, {"organization_id": bytes(16)}),
                         (22, {"request_created_at": T0_US + 60 * 10**6})):  # fmt: skip
        given: dict[str, Any] = {"request_created_at": T0_US + 10**6, **more}
        batch.add_exchange(request_row(number, **given), body_row(number), 0)
    analytics.ingest(batch, Position(1, 1))
    with analytics.query(reports.SQL, reports.parameters(ORG, (start_s, start_s + 60))) as query:
        (row,) = query.fetch()
    with analytics.query(reports.SQL, reports.parameters(ORG, (0, 10))) as query:
        (nothing,) = query.fetch()
    analytics.close()
    assert figures(row) == Figures(Decimal(36), 8, Decimal("12.5"), 2, 1, 2, Decimal(6))
    assert figures(nothing) == NOTHING


def test_changes():
    assert change(Decimal(15), Decimal(10)) == Decimal("50.0")
    assert change(5, 10) == Decimal("-50.0")
    assert change(7, 7) == Decimal("0.0")
    assert change(None, 7) is None
    assert change(7, None) is None
    assert change(7, 0) is None


def test_words_and_event():
    span = (at("2026-11-16T09:00:00+00:00"), at("2026-11-23T09:00:00+00:00"))
    said = words("weekly", span, NOW, BEFORE, BERLIN, "https://h/dashboard").splitlines()
    assert said == [
        "2026-11-16 10:00 CET to 2026-11-23 10:00 CET, beside the week before:", "",
        "Cost: $12.3400  (+23.4 %)", "Requests: 1,200  (+100.0 %)", "Errors: 2.50 %  (-50.0 %)",
        "Active users: 7  (+0.0 %)", "Threats: 1", "Sessions: 10", "Cost per session: $1.2000", "",
        "https://h/dashboard",
    ]  # fmt: skip
    assert "Errors: -" in words("daily", span, NOTHING, NOTHING, BERLIN, None)
    told = event("id", "weekly", span, NOW, BEFORE, None)
    assert told["type"] == "report.weekly"
    assert (told["begin"], told["end"]) == ("2026-11-16T09:00:00Z", "2026-11-23T09:00:00Z")
    assert told["cost"] == {"value": "12.34", "before": "10", "change_percent": "23.4"}
    assert told["requests"] == {"value": 1200, "before": 600, "change_percent": "100"}
    assert told["cost_per_session"] == {"value": "1.2", "before": None, "change_percent": None}
    assert "url" not in told
