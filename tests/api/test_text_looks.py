"""Texts in bodies are looked for in one span of time after the other: no row may be found twice,
none left out, and no look reads bodies that another has read."""

import time
from datetime import datetime, timedelta
from typing import Any

import pytest

from appliance.api import requests
from appliance.api.look_back import FAR_S, FILTERS_MAX, LookBack, look_key
from appliance.api.request_query import EVER, Look, list_statement, text_looks
from appliance.core.access import Identity
from tests.api.kit import ORG, OTHER_ORG, House, body_row, request_id, request_row

LIST = "/v1/request/query-clickhouse"
DAY_US = 86_400_000_000
# By number: how many days ago. None is a row without a time, which is behind all others; one of the
# future was given by a client's clock.
AGES: dict[int, float | None] = {1: None, 2: 400, 3: 30, 4: 7.5, 5: 3, 6: 0.5, 7: 0.1, 8: -2}
NEWEST_FIRST = [8, 7, 6, 5, 4, 3, 2, 1]
ODD = {"request_response_rmt": {"request_body": {"contains": "ODD one"}}}
NOT_ODD = {"request_response_rmt": {"request_body": {"not-contains": "odd ONE"}}}
FIVE = {"request_response_rmt": {"response_body": {"contains": "answer 5"}}}
CLAUDE = {"request_response_rmt": {"model": {"contains": "claude"}}}


@pytest.fixture
def days(house: House) -> House:
    now_us = time.time_ns() // 1000
    rows = [
        request_row(
            number,
            request_created_at=None if age is None else now_us - int(age * DAY_US),
            organization_id=ORG if number < 9 else OTHER_ORG,
        )
        for number, age in (*AGES.items(), (9, 0.2))
    ]
    bodies = (body_row(n, request=f"an {'odd' if n % 2 else 'even'} one") for n in (*AGES, 9))
    house.add(*rows, bodies=tuple(bodies))
    return house


async def found(house: House, node: Any, **more: Any) -> list[int]:
    reply = await house.post(LIST, {"filter": node, **more})
    assert reply.status == 200, reply.json
    numbers = {request_id(number): number for number in (*AGES, 9)}
    return [numbers[row["request_id"]] for row in reply.json["data"]]


FOUND = [
    (ODD, {7, 5, 3, 1}),
    (NOT_ODD, {8, 6, 4, 2}),
    (FIVE, {5}),
    ({"left": ODD, "operator": "or", "right": FIVE}, {7, 5, 3, 1}),
    ({"left": ODD, "operator": "and", "right": CLAUDE}, {7, 5, 3, 1}),
    ({"left": NOT_ODD, "operator": "and", "right": CLAUDE}, set()),
    ({"left": NOT_ODD, "operator": "or", "right": CLAUDE}, set(AGES)),
]


@pytest.mark.parametrize(("node", "expected"), FOUND)
@pytest.mark.parametrize("limit", [1, 2, 3, 100])
async def test_pages_are_whole_and_in_order(
    days: House, node: Any, expected: set[int], limit: int
) -> None:
    ordered = [number for number in NEWEST_FIRST if number in expected]
    assert await found(days, node, limit=limit) == ordered[:limit]
    assert await found(days, node, limit=limit, offset=1) == ordered[1:][:limit]
    oldest = await found(days, node, limit=limit, sort={"created_at": "asc"})
    timed = [number for number in reversed(ordered) if AGES[number] is not None]
    assert oldest[: len(timed)] == timed[:limit]


async def test_a_cursor_goes_on_where_a_page_ended(days: House) -> None:
    seen: list[str] = []
    cursor = None
    for _ in range(4):
        body = {"filter": ODD, "limit": 1, **({"cursor": cursor} if cursor else {})}
        reply = await days.post(LIST, body)
        seen += [row["request_id"] for row in reply.json["data"]]
        cursor = reply.json["next_cursor"]
    assert seen[:3] == [request_id(number) for number in (7, 5, 3)]


async def test_bodies_of_other_times_are_not_read(days: House) -> None:
    asked = days.records.asked
    assert await found(days, ODD, limit=1) == [7]
    looks = [sql for sql in asked if "FROM bodies AS b" in sql]
    assert len(looks) == 1
    assert all("BETWEEN" in sql for sql in looks)


def test_looks_do_not_overlap() -> None:
    now = datetime(2026, 9, 30)
    first, second, last = text_looks({"filter": ODD}, now)
    assert first == Look(now - timedelta(days=1), None)
    assert second == Look(now - timedelta(days=8), first.since)
    assert last == Look(None, second.since)
    day_us = 24 * 3600 * 1_000_000
    now_us = 1_790_726_400_000_000
    assert first.created == (now_us - day_us, 2**63 - 1)
    assert second.created == (now_us - 8 * day_us, now_us - day_us)
    assert last.created is EVER.created is None  # rows without a time may be in any file
    assert list(text_looks({"filter": ODD, "offset": 5}, now)) == [Look()]
    assert list(text_looks({"filter": ODD, "sort": {"cost": "desc"}}, now)) == [Look()]


async def test_a_look_begins_where_the_newest_are(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a store at rest the first look finds a page; what comes later stands before it."""
    asked: list[Look] = []

    def noted(body: Any, org: bytes, look: Look = EVER, **more: Any) -> Any:
        asked.append(look)
        return list_statement(body, org, look, **more)

    old_us = time.time_ns() // 1000 - 60 * DAY_US
    house.add(*(request_row(n, request_created_at=old_us + n) for n in (1, 2, 3)))
    monkeypatch.setattr(requests, "list_statement", noted)
    assert await found(house, "all", limit=2) == [3, 2]
    assert len(asked) == 3  # one to check it, a look at the last day, one at all
    asked.clear()
    assert await found(house, "all", limit=2) == [3, 2]
    assert len(asked) == 2
    asked.clear()
    house.app.state.look_back.note_far(look_key(Identity(ORG), {"filter": "all", "limit": 9}))
    assert await found(house, "all", limit=9) == [3, 2, 1]
    assert asked[1:] == [EVER]  # a short look was not enough a moment ago
    house.add(request_row(4, request_created_at=old_us + 59 * DAY_US), request_row(5))
    assert await found(house, "all", limit=2) == [4, 3]
    assert await found(house, "all", limit=9) == [4, 3, 2, 1, 5][: len(NEWEST_FIRST)]


def test_what_was_far_is_looked_for_again_after_a_while() -> None:
    clock = [0.0]
    memory = LookBack(lambda: clock[0])
    assert not memory.is_far(1)
    memory.note_far(1)
    clock[0] = FAR_S - 1
    assert memory.is_far(1)
    clock[0] = FAR_S
    assert not memory.is_far(1)
    for key in range(FILTERS_MAX + 1):
        memory.note_far(key)
    assert not memory.is_far(0)
    assert memory.is_far(1)


def test_the_newest_that_was_shown_never_goes_back() -> None:
    now, memory = datetime(2026, 9, 9), LookBack()
    assert memory.begin("us", now) == now
    for day in (3, 1):
        memory.note_shown("us", [datetime(2026, 9, day), None])
    memory.note_shown("us", [])
    assert memory.begin("us", now) == datetime(2026, 9, 3)
    memory.note_shown("us", [datetime(2027, 1, 1)])  # a client's clock
    assert memory.begin("us", now) == now
    assert memory.begin("eu", now) == now
