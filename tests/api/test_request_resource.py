"""Cursors, totals, several by their ids, signed links to bodies and assets, inputs."""

import base64
import json
import time
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.api.kit import T0_US, House, body_row, request_id, request_row

LIST = "/v1/request/query-clickhouse"
OTHER = ((b"authorization", b"Bearer other"),)
PNG = base64.b64encode(b"\x89PNG not quite").decode()


def path_of(url: str) -> str:
    parts = urlsplit(url)
    assert (parts.scheme, parts.netloc) == ("http", "127.0.0.1:8585")
    return f"{parts.path}?{parts.query}"


async def pages(house: House, body: dict[str, Any]) -> list[list[str]]:
    found: list[list[str]] = []
    cursor = None
    while True:
        reply = await house.post(LIST, body | {"cursor": cursor})
        assert reply.status == 200, reply.body
        found.append([row["request_id"] for row in reply.json["data"]])
        cursor = reply.json["next_cursor"]
        if cursor is None:
            return found


@pytest.mark.parametrize("direction", ["asc", "desc"])
async def test_pages_by_cursor_have_each_row_once(house: House, direction: str) -> None:
    """Three rows share each moment; new ones that come meanwhile do not move a page."""
    house.add(*(request_row(n, request_created_at=T0_US + n // 3) for n in range(20)))
    body = {"filter": "all", "limit": 4, "sort": {"created_at": direction}}
    found = await pages(house, body)
    expected = [request_id(n) for n in range(20)]
    assert [one for page in found for one in page] == (
        expected if direction == "asc" else expected[::-1]
    )
    first = await house.post(LIST, body)
    house.add(request_row(90, request_created_at=T0_US + (99 if direction == "desc" else -9)))
    second = await house.post(LIST, body | {"cursor": first.json["next_cursor"]})
    assert [row["request_id"] for row in second.json["data"]] == found[1]


async def test_total_on_request(house: House) -> None:
    house.add(*(request_row(n) for n in range(7)))
    reply = await house.post(LIST, {"filter": "all", "limit": 2, "total": True})
    assert (len(reply.json["data"]), reply.json["total"]) == (2, 7)
    assert "total" not in (await house.post(LIST, {"filter": "all"})).json


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"cursor": "nonsense"}, "cursor: expected the next_cursor"),
        ({"cursor": 5}, "cursor: expected the next_cursor"),
        ({"cursor": "x" * 5000}, "cursor: expected the next_cursor"),
        ({"cursor": "ü"}, "cursor: expected the next_cursor"),
        ({"cursor": "GOOD", "sort": {"cost": "asc"}}, "cursor: goes with sort.created_at"),
        ({"cursor": "GOOD", "offset": 5}, "offset: a cursor says"),
        ({"total": 1}, "total: expected true or false"),
    ],
)
async def test_bad_cursors_name_the_field(house: House, body: Any, words: str) -> None:
    house.add(request_row(1))
    if body.get("cursor") == "GOOD":
        good = await house.post(LIST, {"filter": "all", "limit": 1})
        body = body | {"cursor": good.json["next_cursor"]}
    reply = await house.post(LIST, {"filter": "all", **body})
    assert (reply.status, reply.json["error"].startswith(words)) == (422, True), reply.body


async def test_several_by_their_ids(house: House) -> None:
    house.add(*(request_row(n) for n in range(5)))
    ids = [request_id(n) for n in (3, 1, 77)]
    reply = await house.post("/v1/request/query-ids", {"requestIds": ids})
    assert [row["request_id"] for row in reply.json["data"]] == [request_id(3), request_id(1)]
    assert reply.json["data"][0]["request_body"] == "question 3"
    reply = await house.post("/v1/request/query-ids", {"requestIds": ids}, headers=OTHER)
    assert reply.json["data"] == []
    for ids, words in (
        (None, "requestIds: expected a list"),
        (["x"], "requestIds.0: expected a UUID"),
        ([request_id(1)] * 1001, "requestIds: more than 1000"),
    ):
        reply = await house.post("/v1/request/query-ids", {"requestIds": ids})
        assert (reply.status, reply.json["error"].startswith(words)) == (422, True)


async def test_bodies_by_their_signed_link(house: House) -> None:
    """As the export tool fetches them: without a key, the bare document (`backend.md 1.6`)."""
    house.access.open = False
    key = ((b"authorization", b"Bearer both"),)
    house.add(request_row(1), bodies=(body_row(1, request='{"a": [1, 2.50]}'),))
    (row,) = (await house.post(LIST, {"filter": "all"}, headers=key)).json["data"]
    one = (await house.get(f"/v1/request/{request_id(1)}", headers=key)).json["data"]
    assert one["signed_body_url"] == row["signed_body_url"]
    target = path_of(row["signed_body_url"])
    reply = await house.get(target)
    assert reply.status == 200
    assert reply.body == b'{"request":{"a": [1, 2.50]},"response":"answer 1 \xc3\xbc"}'
    assert (await house.get(target.replace("signature=", "signature=0"))).status == 403
    assert (await house.get(target.partition("?")[0])).status == 403
    assert (await house.get(target.replace("bodies/0", "bodies/1"))).status in (403, 422)
    house.links.now_s += 86_401
    assert (await house.get(target)).status == 410


async def test_assets_of_a_body(house: House) -> None:
    openai = {"content": [{"image_url": {"url": f"data:image/png;base64,{PNG}"}}]}
    anthropic = {"source": {"type": "base64", "media_type": "image/svg+xml", "data": PNG}}
    gemini = {"inlineData": {"mimeType": "audio/wav", "data": PNG}}
    text = json.dumps([openai, anthropic, gemini, {"text": "base64 is a word"}])
    house.add(request_row(1), request_row(2), bodies=(body_row(1, request=text),))
    (none, row) = (await house.post(LIST, {"filter": "all"})).json["data"]
    assert (none["asset_ids"], none["asset_urls"]) == ([], {})
    assert len(row["asset_ids"]) == 3
    assert list(row["asset_urls"]) == row["asset_ids"]
    kinds = []
    for asset_id, url in row["asset_urls"].items():
        asked = f"/v1/request/{request_id(1)}/assets/{asset_id}"
        reply = await house.post(asked, {})
        assert reply.json["data"]["assetUrl"] == url
        assert (await house.post(asked, {}, headers=OTHER)).status == 404
        reply = await house.get(path_of(url))
        assert reply.body == base64.b64decode(PNG)
        assert reply.headers[b"x-content-type-options"] == b"nosniff"
        kinds.append(reply.headers[b"content-type"])
    # What a browser would run as a document of ours is no image to it.
    assert kinds == [b"image/png", b"application/octet-stream", b"audio/wav"]
    wrong = f"/v1/request/{request_id(1)}/assets/{request_id(5)}"
    assert (await house.post(wrong, {})).status == 404


async def test_inputs_of_a_prompt(house: House) -> None:
    template = json.dumps({"template": {}, "inputs": {"name": "Ada"}, "autoInputs": []})
    house.add(
        request_row(1, prompt_id="greet", prompt_version="2.1"),
        request_row(2),
        request_row(3, prompt_id="bare"),
        bodies=(body_row(1, prompt_template=template),),
    )
    asked = "/v1/request/{}/inputs"
    reply = await house.get(asked.format(request_id(1)))
    assert reply.json["data"] == {
        "inputs": {"name": "Ada"}, "prompt_id": "greet", "version_id": "2.1", "environment": None,
    }  # fmt: skip
    assert (await house.get(asked.format(request_id(2)))).json == {"data": None, "error": None}
    assert (await house.get(asked.format(request_id(3)))).json["data"]["inputs"] == {}
    assert (await house.get(asked.format(request_id(1)), headers=OTHER)).status == 404


@pytest.mark.parametrize("limit", [1, 3, 4, 7, 8, 20])
@pytest.mark.parametrize("offset", [0, 2])
async def test_a_short_look_back_finds_what_a_long_one_does(
    house: House, limit: int, offset: int
) -> None:
    """Rows of today, of this week, of long ago, and one of tomorrow; full pages and others."""
    now_us, day_us = time.time_ns() // 1000, 86_400_000_000
    days = (-1, 0.1, 0.5, 2, 5, 7, 9, 300)
    house.add(
        *(request_row(n, request_created_at=now_us - int(d * day_us)) for n, d in enumerate(days))
    )
    body = {"filter": "all", "limit": limit, "offset": offset}
    found = [row["request_id"] for row in (await house.post(LIST, body)).json["data"]]
    assert found == [request_id(n) for n in range(len(days))][offset : offset + limit]
    oldest = await house.post(LIST, body | {"sort": {"created_at": "asc"}})
    assert [row["request_id"] for row in oldest.json["data"]] == [
        request_id(n) for n in reversed(range(len(days)))
    ][offset : offset + limit]
