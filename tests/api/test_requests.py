"""Recorded requests over REST: lists, counts, one by id, and what a row says."""

from typing import Any

import pytest

from appliance.api import requests
from appliance.core.derive import derive
from appliance.core.usage_types import Priced
from storage.frames import Position
from tests.api.kit import ORG, OTHER_ORG, T0_US, House, body_row, request_id, request_row
from tests.storage.analytics_rows import edit_row, edits_of

LIST = "/v1/request/query-clickhouse"
LISTS = (LIST, "/v1/request/query")
COUNT = "/v1/request/count/query"
OTHER = ((b"authorization", b"Bearer other"),)

# `backend.md 1.6`, without what the contract has as optional and we do not know.
CONTRACT = {
    "request_id", "request_created_at", "request_body", "request_path", "request_user_id",
    "request_properties", "request_model", "model_override", "model", "helicone_user",
    "response_id", "response_created_at", "response_body", "response_status", "response_model",
    "provider", "delay_ms", "time_to_first_token", "total_tokens", "prompt_tokens",
    "completion_tokens", "reasoning_tokens", "prompt_cache_write_tokens",
    "prompt_cache_read_tokens", "prompt_audio_tokens", "completion_audio_tokens", "cost", "costUSD",
    "prompt_id", "prompt_version", "feedback_created_at", "feedback_id", "feedback_rating",
    "llmSchema", "country_code", "asset_ids", "asset_urls", "assets", "scores", "properties",
    "target_url", "cache_reference_id", "cache_enabled", "updated_at", "request_referrer",
    "ai_gateway_body_mapping", "storage_location", "size_bytes",
}  # fmt: skip


def full_row(number: int, **changes: Any) -> tuple[Any, ...]:
    return request_row(
        number,
        request_created_at=T0_US,
        response_created_at=T0_US + 2_000_000,
        recorded_at=T0_US + 2_100_000,
        request_model="gpt-4o",
        response_model="gpt-4o-2024-11-20",
        latency_ms=1234.5,
        time_to_first_token_ms=56.4,
        prompt_cache_read_tokens=7,
        cost_pico=12_500_000,
        user_id="ada",
        request_path="/v1/chat/completions",
        target_url="https://api.openai.com/v1/chat/completions",
        request_bytes=100,
        response_bytes=20,
        usage_source="provider",
        **changes,
    )


async def test_a_row_has_every_field_of_the_contract(house: House) -> None:
    body = body_row(1, request='{"model": "gpt-4o"}', response="data: [DONE]\n\n")
    house.add(full_row(1), bodies=(body,))
    for path in LISTS:
        reply = await house.post(path, {"filter": "all"})
        assert reply.status == 200
        assert reply.json["error"] is None
        assert "stale_by_ms" not in reply.json
        (row,) = reply.json["data"]
        assert set(row) == CONTRACT | {"usage_source", "outcome", "signed_body_url"}
        expected = {
            "request_id": request_id(1),
            "request_created_at": "2026-01-01T00:00:00.000000Z",
            "response_created_at": "2026-01-01T00:00:02.000000Z",
            "updated_at": "2026-01-01T00:00:02.100000Z",
            "request_body": {"model": "gpt-4o"},
            "response_body": "data: [DONE]\n\n",
            "response_status": 200,
            "delay_ms": 1235,
            "time_to_first_token": 56,
            "total_tokens": 16,
            "prompt_cache_read_tokens": 7,
            "prompt_cache_write_tokens": None,
            "cost": 0.0000125,
            "costUSD": 0.0000125,
            "request_user_id": "ada",
            "properties": {"Environment": "prod", "N": "1"},
            "scores": {},
            "cache_reference_id": "00000000-0000-0000-0000-000000000000",
            "size_bytes": 120,
            "usage_source": "provider",
        }
        assert {name: row[name] for name in expected} == expected
        assert reply.headers[b"cache-control"] == b"no-store"


async def test_unknown_price_and_usage_are_null_not_zero(house: House) -> None:
    nothing: dict[str, Any] = {
        "prompt_tokens": None,
        "completion_tokens": None,
        "reasoning_tokens": None,
    }
    house.add(request_row(1, cost_pico=None, model=None, **nothing))
    (row,) = (await house.post(LIST, {"filter": "all"})).json["data"]
    assert row["cost"] is None
    assert row["total_tokens"] is None
    assert row["model"] == "unknown"


@pytest.mark.parametrize(
    ("text", "kind", "expected"),
    [
        ('{"a": [1, 2.50]}', "application/json", {"a": [1, 2.5]}),
        ("[]", None, []),
        ("not json", "text/plain", "not json"),
        ('{"a": 1', "application/json", '{"a": 1'),
        ('{"a": NaN}', "application/json", '{"a": NaN}'),
        ("1234", "image/png;base64", "1234"),
        ('"ü"', "application/json", "ü"),
        ("[" * 3000 + "]" * 3000, "application/json", "[" * 3000 + "]" * 3000),
        ("", None, ""),
        (None, None, None),
    ],
)
async def test_bodies_are_json_where_they_are_json(
    house: House, text: str | None, kind: str | None, expected: Any
) -> None:
    body = body_row(1, request=text, request_type=kind, response=text, response_type=kind)
    house.add(full_row(1), bodies=(body,))
    one = await house.get(f"/v1/request/{request_id(1)}?includeBody=true")
    (row,) = (await house.post(LIST, {"filter": {}})).json["data"]
    for found in (one.json["data"], row):
        assert found["request_body"] == expected
        assert found["response_body"] == expected


async def test_bodies_of_a_page_are_bounded(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "PAGE_BODY_BYTES_MAX", 60)
    bodies = [body_row(n, request="q" * 20, response="r" * 8) for n in range(1, 5)]
    house.add(*(request_row(n) for n in range(1, 5)), bodies=tuple(bodies))
    rows = (await house.post(LIST, {"filter": "all"})).json["data"]
    kept = [row["request_body"] for row in rows]
    assert kept[:2] == ["q" * 20] * 2
    assert all("too large" in body["helicone_message"] for body in kept[2:])
    one = await house.get(f"/v1/request/{request_id(1)}?includeBody=true")
    assert one.json["data"]["request_body"] == "q" * 20


async def test_edits_show(house: House) -> None:
    house.add(request_row(1), request_row(2))
    edits = edits_of(
        edit_row(1, "score", "quality", 0.5),
        edit_row(1, "property", "tenant", "acme"),
        edit_row(1, "feedback", "feedback", 1.0),
    )
    house.analytics.ingest(edits, Position(1, 9))
    row = (await house.get(f"/v1/request/{request_id(1)}")).json["data"]
    assert row["scores"] == {"quality": 0.5, "helicone-score-feedback": 1}
    assert row["properties"]["tenant"] == "acme"
    assert row["feedback_rating"] is True
    for flag, numbers in ((True, [1]), (False, [2])):
        rows = (await house.post(LIST, {"filter": "all", "isScored": flag})).json["data"]
        assert [row["request_id"] for row in rows] == [request_id(n) for n in numbers]


# -- pages


async def listed(house: House, **body: Any) -> list[int]:
    reply = await house.post(LIST, {"filter": "all", **body})
    assert reply.status == 200, reply.json
    return [int(row["properties"]["N"]) for row in reply.json["data"]]


async def test_limit_and_offset(house: House) -> None:
    house.add(*(request_row(n) for n in range(1, 16)))
    assert await listed(house) == list(range(15, 5, -1))
    assert await listed(house, limit=3, offset=2) == [13, 12, 11]
    assert await listed(house, limit=1000) == list(range(15, 0, -1))
    assert await listed(house, limit=0) == []
    assert await listed(house, offset=50) == []


SORTED: dict[int, dict[str, Any]] = {
    1: {"cost_pico": 30, "user_id": "b", "model": "m2", "properties": {"N": "1", "a-b": "y"}},
    2: {"cost_pico": None, "user_id": None, "outcome": "cache_hit"},
    3: {"cost_pico": 10, "user_id": "a", "model": "m3", "properties": {"N": "3", "a-b": "x"}},
    4: {"cost_pico": 20, "user_id": "c", "model": "m1"},
}


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        (None, [4, 3, 2, 1]),
        ({}, [4, 3, 2, 1]),
        ({"created_at": "asc"}, [1, 2, 3, 4]),
        ({"latency": "asc"}, [1, 2, 3, 4]),
        ({"cost": "asc"}, [3, 4, 1, 2]),
        ({"cost": "desc"}, [1, 4, 3, 2]),
        ({"user_id": "desc"}, [4, 1, 3, 2]),
        ({"body_model": "asc"}, [2, 4, 1, 3]),
        ({"is_cached": "desc"}, [2, 4, 3, 1]),
        ({"total_tokens": "asc"}, [4, 3, 2, 1]),
        ({"request_prompt": "asc"}, [1, 2, 3, 4]),
        ({"response_text": "desc"}, [4, 3, 2, 1]),
        ({"properties": {"a-b": "asc"}}, [3, 1, 4, 2]),
        ({"unheard_of": "asc"}, [4, 3, 2, 1]),
        ({"last_active": "asc"}, [4, 3, 2, 1]),
        ({"cost": "asc", "latency": "desc"}, [4, 3, 2, 1]),
        ({"random": False, "created_at": "asc"}, [1, 2, 3, 4]),
    ],
)
async def test_sort(house: House, sort: Any, expected: list[int]) -> None:
    house.add(*(request_row(n, **changes) for n, changes in SORTED.items()))
    assert await listed(house, sort=sort) == expected


async def test_random_gives_every_row_once(house: House) -> None:
    house.add(*(request_row(n) for n in range(1, 9)))
    assert sorted(await listed(house, sort={"random": True})) == list(range(1, 9))


async def test_long_pages_are_encoded_whole(house: House) -> None:
    house.add(*(request_row(n) for n in range(1, 301)))
    assert await listed(house, limit=1000) == list(range(300, 0, -1))


async def test_count_takes_the_same_filter(house: House) -> None:
    house.add(*(request_row(n) for n in range(1, 8)))
    tree = {"request_response_rmt": {"properties": {"N": {"not-equals": "3"}}}}
    bodies: list[tuple[dict[str, Any], int]] = [
        ({"filter": "all"}, 7),
        ({"filter": tree, "limit": 1, "offset": 3}, 6),
    ]
    for body, expected in bodies:
        reply = await house.post(COUNT, body)
        assert reply.json == {"data": expected, "error": None}
    assert (await house.post(COUNT, {"filter": "all", "isCached": True})).json["data"] == 0


# -- whose rows, and how fresh


async def test_other_organisations_see_nothing(house: House) -> None:
    house.add(request_row(1), request_row(2, organization_id=OTHER_ORG))
    assert await listed(house) == [1]
    rows = (await house.post(LIST, {"filter": "all"}, headers=OTHER)).json["data"]
    assert [row["request_id"] for row in rows] == [request_id(2)]
    assert (await house.post(COUNT, {"filter": "all"})).json["data"] == 1
    assert (await house.get(f"/v1/request/{request_id(2)}")).status == 404
    assert (await house.get(f"/v1/request/{request_id(1)}", headers=OTHER)).status == 404
    everything = {
        "left": {"request_response_rmt": {"organization_id": {"not-equals": request_id(0)}}},
        "operator": "or",
        "right": "all",
    }
    assert await listed(house, filter=everything) == [1]
    bodies = {"request_response_rmt": {"request_body": {"contains": "question 2"}}}
    assert await listed(house, filter=bodies) == []


async def test_a_stale_answer_says_so(house: House) -> None:
    house.add(request_row(1))
    house.records.stale_by_ms = 1234.56
    assert (await house.post(LIST, {"filter": "all"})).json["stale_by_ms"] == 1234.6
    assert (await house.post(COUNT, {"filter": "all"})).json["stale_by_ms"] == 1234.6
    assert house.records.asked[0] == "caught up us"


async def test_absent_is_404_in_the_envelope(house: House) -> None:
    reply = await house.get(f"/v1/request/{request_id(9)}?includeBody=true")
    assert reply.status == 404
    assert reply.json["data"] is None
    assert request_id(9) in reply.json["error"]


async def test_absent_is_not_said_of_a_database_that_is_being_made_anew(house: House) -> None:
    house.add(request_row(1))
    house.records.restoring = True
    assert (await house.get(f"/v1/request/{request_id(1)}")).status == 200
    for path in (f"/v1/request/{request_id(9)}", "/v1/export"):
        reply = await house.get(path)
        assert (reply.status, reply.headers[b"retry-after"]) == (503, b"1")
    feedback = f"/v1/request/{request_id(9)}/feedback"
    assert (await house.post(feedback, {"rating": True})).status == 503


async def test_what_no_place_is_known_of_is_waited_for(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def caught_up(region: str) -> None:
        house.add(request_row(1))

    monkeypatch.setattr(house.records, "caught_up", caught_up)
    reply = await house.get(f"/v1/request/{request_id(1)}")
    assert reply.json["data"]["request_id"] == request_id(1)


async def test_an_id_used_twice_gives_the_newest(house: House) -> None:
    same = b"\x40" + bytes(15)
    house.add(*(request_row(n, request_id=same) for n in (2, 3, 1)))
    row = (await house.get("/v1/request/40000000-0000-0000-0000-000000000000")).json["data"]
    assert row["properties"]["N"] == "3"


async def test_bodies_come_when_asked_for(house: House) -> None:
    house.add(full_row(1))
    path = f"/v1/request/{request_id(1).upper()}"
    for query in ("", "?includeBody=false"):
        row = (await house.get(path + query)).json["data"]
        assert "includeBody=true" in row["request_body"]["helicone_message"]
    assert not any("FROM bodies" in sql for sql in house.records.asked)
    assert (await house.get(path + "?includeBody=true")).json["data"]["request_body"]


def put_recent(house: House, row: tuple[Any, ...], number: int) -> Position:
    position = Position(1, 500)
    house.records.recent[row[2], request_id(number)] = position
    body = body_row(number, request='{"now": true}')
    house.records.frames[position] = (row, body)
    return position


async def test_an_exchange_is_there_before_it_is_ingested(house: House) -> None:
    put_recent(house, full_row(1), 1)
    row = (await house.get(f"/v1/request/{request_id(1)}?includeBody=true")).json["data"]
    assert row["request_body"] == {"now": True}
    assert house.records.asked == []
    house.add(full_row(1), bodies=(body_row(1, request='{"now": true}'),))
    house.records.recent.clear()
    assert (await house.get(f"/v1/request/{request_id(1)}?includeBody=true")).json["data"] == row
    assert (await house.get(f"/v1/request/{request_id(1)}", headers=OTHER)).status == 404


async def test_the_recent_one_is_newer_than_the_ingested_one(house: House) -> None:
    house.add(request_row(1))
    put_recent(house, request_row(1, user_id="again"), 1)
    row = (await house.get(f"/v1/request/{request_id(1)}")).json["data"]
    assert row["request_user_id"] == "again"


async def test_a_frame_that_has_gone_is_looked_up_in_the_database(house: House) -> None:
    house.add(request_row(1))
    house.records.frames.pop(put_recent(house, request_row(1), 1))
    assert (await house.get(f"/v1/request/{request_id(1)}")).status == 200


META: dict[str, Any] = {
    "exchange_id": b"\x01" * 16, "request_id": request_id(7), "created_at_us": T0_US,
    "duration_us": 1_234_500, "recorded_at_us": T0_US + 9, "provider": "OPENAI",
    "gateway_provider": "openai", "dialect": "openai", "http_status": 200, "outcome": "complete",
    "request_type": "application/json", "response_type": "application/json",
    "properties": {"tenant": "acme"}, "request_bytes": 60, "response_bytes": 80,
}  # fmt: skip


async def test_the_same_answer_from_the_journal_and_from_the_database(house: House) -> None:
    derived = derive(
        META,
        b'{"model":"gpt-4o","messages":[]}',
        b'{"model":"gpt-4o-2024","usage":{"prompt_tokens":10,"completion_tokens":4}}',
        org=ORG,
        position=(1, 500),
        price=lambda *_: Priced(12_345_678, "test", "1"),
    )
    house.records.recent[ORG, request_id(7)] = Position(1, 500)
    house.records.frames[Position(1, 500)] = tuple(derived)
    target = f"/v1/request/{request_id(7)}?includeBody=true"
    before = await house.get(target)
    assert house.records.asked == []
    assert before.json["data"]["cost"] == 0.000012345678
    assert before.json["data"]["total_tokens"] == 14
    house.records.recent.clear()
    house.add(derived.request, bodies=(derived.body,))
    assert (await house.get(target)).body == before.body
