"""Feedback, properties and scores: seen at once, sent again without harm, erasing nothing."""

from typing import Any
from uuid import UUID

import pytest

from tests.api.kit import House, request_id, request_row
from tests.storage.analytics_rows import exchange_id

LIST = "/v1/request/query-clickhouse"
OTHER = ((b"authorization", b"Bearer other"),)
EDITS: tuple[tuple[str, str, Any], ...] = (
    ("POST", "feedback", {"rating": True}),
    ("PUT", "property", {"key": "Environment", "value": "dev"}),
    ("POST", "score", {"scores": {"quality": 0.25, "good": True}}),
)
IDS = [
    "00000000-0000-0000-0000-000000000000",
    "c232ab00-9414-11ec-b3c8-9f6bdeced846",  # v1
    "5df41881-3aed-3515-88a7-2f4a814cf09e",  # v3
    "919108f7-52d1-4320-9bac-f847db4148a8",  # v4
    "017f22e2-79b0-7cc3-98c4-dc0c0c07398f",  # v7
    "ffffffff-ffff-ffff-ffff-ffffffffffff",
]


async def edit(
    house: House, method: str, what: str, body: Any, number: int = 1, **more: Any
) -> Any:
    import json

    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return await house.ask(method, f"/v1/request/{request_id(number)}/{what}", data, **more)


async def row_of(house: House, number: int = 1) -> dict[str, Any]:
    row: dict[str, Any] = (await house.get(f"/v1/request/{request_id(number)}")).json["data"]
    return row


async def test_each_edit_is_seen_and_nothing_else_changes(house: House) -> None:
    house.add(request_row(1, prompt_id="p1", user_id="ada"), request_row(2))
    before = await row_of(house)
    for method, what, body in EDITS * 2:  # twice: the same again changes nothing
        reply = await edit(house, method, what, body)
        assert (reply.status, reply.json) == (200, {"data": None, "error": None})
    after = await row_of(house)
    changed = {name for name in before if before[name] != after[name]} - {"signed_body_url"}
    assert changed == {
        "scores", "properties", "request_properties", "feedback_rating", "feedback_created_at",
    }  # fmt: skip
    assert after["scores"] == {
        "quality": 0.25, "good-hcone-bool": 1, "helicone-score-feedback": 1,
    }  # fmt: skip
    assert after["properties"] == {"Environment": "dev", "N": "1"}
    assert after["feedback_rating"] is True
    assert after["feedback_created_at"].startswith("2026-01-01T00:00:00.0000")
    assert (await house.post("/v1/request/count/query", {"filter": "all"})).json["data"] == 2
    untouched = await row_of(house, 2)
    assert (untouched["scores"], untouched["feedback_rating"]) == ({}, None)


async def test_the_last_word_counts_and_null_takes_away(house: House) -> None:
    house.add(request_row(1))
    for value in (True, 3, False):
        await edit(house, "POST", "score", {"scores": {"s": value}})
    assert (await row_of(house))["scores"] == {"s-hcone-bool": 0}
    await edit(house, "POST", "score", {"scores": {"s-hcone-bool": 1}})
    assert (await row_of(house))["scores"] == {"s-hcone-bool": 1}
    await edit(house, "POST", "score", {"scores": {"s": None, "n": -2.5}})
    assert (await row_of(house))["scores"] == {"n": -2.5}
    await edit(house, "PUT", "property", {"key": "N", "value": None})
    assert (await row_of(house))["properties"] == {"Environment": "prod"}
    await edit(house, "POST", "feedback", {"rating": True})
    await edit(house, "POST", "score", {"scores": {"helicone-score-feedback": False}})
    assert (await row_of(house))["feedback_rating"] is False


@pytest.mark.parametrize("wanted", IDS)
async def test_ids_of_any_version(house: House, wanted: str) -> None:
    house.add(request_row(1, request_id=UUID(wanted).bytes))
    for method, what, body in EDITS:
        import json

        data = json.dumps(body).encode()
        reply = await house.ask(method, f"/v1/request/{wanted.upper()}/{what}", data)
        assert reply.status == 200, reply.body
    filters = (
        {"feedback": {"rating": {"equals": True}}},
        {"properties": {"Environment": {"equals": "dev"}}},
    )
    for leaf in filters:
        assert (await house.post("/v1/request/count/query", {"filter": leaf})).json["data"] == 1


@pytest.mark.parametrize(
    "leaf",
    [
        {"scores": {"good-hcone-bool": {"equals": "1"}}},
        {"scores": {"good": {"equals": 1}}},
        {"scores": {"quality": {"lt": 0.5}}},
        {"helicone-score-feedback": {"equals": True}},
        {"scores": {"helicone-score-feedback": {"equals": 1}}},
    ],
)
async def test_filters_find_edits(house: House, leaf: Any) -> None:
    house.add(request_row(1), request_row(2))
    for method, what, body in EDITS:
        await edit(house, method, what, body)
    body = {"filter": {"request_response_rmt": leaf}}
    assert (await house.post("/v1/request/count/query", body)).json["data"] == 1


async def test_an_id_used_twice_is_its_newest_exchange(house: House) -> None:
    same = UUID(request_id(1)).bytes
    house.add(request_row(1, request_id=same), request_row(2, request_id=same))
    await edit(house, "POST", "feedback", {"rating": True})
    found = house.analytics.query("SELECT exchange_id FROM requests WHERE feedback")
    with found:
        assert [row[0].bytes for row in found.fetch()] == [exchange_id(2)]


async def test_edits_of_what_is_not_ours_are_404_and_change_nothing(house: House) -> None:
    house.add(request_row(1))
    for method, what, body in EDITS:
        reply = await edit(house, method, what, body, headers=OTHER)
        assert (reply.status, reply.json["data"]) == (404, None)
        assert (await edit(house, method, what, body, number=9)).status == 404
    assert (await row_of(house))["scores"] == {}


@pytest.mark.parametrize(
    ("method", "what", "body", "words"),
    [
        ("POST", "feedback", {}, "rating: is required"),
        ("POST", "feedback", {"rating": 1}, "rating: expected true or false"),
        ("PUT", "property", {"value": "x"}, "key: expected a text"),
        ("PUT", "property", {"key": "", "value": "x"}, "key: expected a text"),
        ("PUT", "property", {"key": "k"}, "value: is required"),
        ("PUT", "property", {"key": "k", "value": 1}, "value: expected a text"),
        ("PUT", "property", {"key": "k" * 1001, "value": ""}, "key: longer than"),
        ("PUT", "property", {"key": "k\0", "value": ""}, "key: expected a text in Unicode"),
        ("PUT", "property", b'{"key": "k", "value": "\\ud800"}', "value: "),
        ("POST", "score", {}, "scores: expected an object"),
        ("POST", "score", {"scores": {}}, "scores: expected an object"),
        ("POST", "score", {"scores": {"s": "1"}}, "scores.s: expected a number"),
        ("POST", "score", b'{"scores": {"s": 1e400}}', "scores.s: expected a number within"),
        ("POST", "score", {"scores": {"s-hcone-bool": 0.5}}, "scores.s-hcone-bool: expected true"),
        ("POST", "score", {"scores": {"-hcone-bool": 1}}, "scores.-hcone-bool: expected a name"),
        ("POST", "score", {"scores": {f"s{n}": 1 for n in range(201)}}, "scores: more than 200"),
    ],
)
async def test_bad_edits_name_the_field(
    house: House, method: str, what: str, body: Any, words: str
) -> None:
    house.add(request_row(1))
    reply = await edit(house, method, what, body)
    assert reply.status in (400, 422)
    assert reply.json["error"].startswith(words) or reply.status == 400
    assert house.edits.times == 0


async def test_a_key_that_only_reads_edits_nothing(house: House) -> None:
    house.access.open = False
    house.add(request_row(1))
    for method, what, body in EDITS:
        reader = ((b"authorization", b"Bearer reader"),)
        assert (await edit(house, method, what, body, headers=reader)).status == 403


async def test_feedback_as_the_worker_takes_it(house: House) -> None:
    house.add(request_row(1))
    body = {"helicone-id": request_id(1), "rating": False}
    reply = await house.post("/v1/feedback", body)
    assert (reply.status, reply.json["helicone_id"]) == (200, request_id(1))
    assert set(reply.json) == {"message", "helicone_id"}
    assert (await row_of(house))["feedback_rating"] is False
    assert (await house.post("/v1/feedback", body, headers=OTHER)).status == 404
    reply = await house.post("/v1/feedback", {"helicone-id": "x", "rating": True})
    assert reply.json["error"].startswith("helicone-id: expected a UUID")
