"""The recipes of Helicone's documentation, request by request, at a running server: requests of a
user, sessions, a session played again, a stream logged by hand. Only the host is another one."""

from __future__ import annotations

import json
import time
import uuid
from typing import Any
from urllib.parse import urlsplit

from tests.fakes.appliance import CHAT, Appliance

QUERY = "/v1/request/query"
CLICKHOUSE = "/v1/request/query-clickhouse"
BEARER = {"Authorization": "Bearer sk-helicone-aaaaaaa-bbbbbbb-ccccccc-ddddddd"}


def ask(words: str) -> dict[str, Any]:
    return {"model": "gpt-4o", "messages": [{"role": "user", "content": words}]}


def posted(appliance: Appliance, path: str, body: dict[str, Any]) -> Any:
    reply = appliance.call(path, body, BEARER)
    assert reply.status == 200, reply.body
    assert reply.json["error"] is None
    return reply.json["data"]


def bodies(appliance: Appliance, row: dict[str, Any]) -> Any:
    """As the export tool and the replay recipe read them: a plain GET without a key."""
    parts = urlsplit(row["signed_body_url"])
    return appliance.call(f"{parts.path}?{parts.query}", method="GET").json


def test_requests_of_a_user(appliance: Appliance) -> None:
    user = f"{uuid.uuid4()}@example.com"
    for number in range(3):
        assert appliance.call(CHAT, ask(f"no {number}"), {"Helicone-User-Id": user}).status == 200
    page = {"limit": 2, "offset": 0, "sort": {"created_at": "desc"}}
    for path, leaf in (
        (QUERY, {"request": {"user_id": {"equals": user}}}),
        (CLICKHOUSE, {"request_response_rmt": {"user_id": {"equals": user}}}),
    ):
        first = posted(appliance, path, {"filter": leaf, **page})
        rest = posted(appliance, path, {"filter": leaf, **page, "offset": 2})
        assert [row["request_body"]["messages"][0]["content"] for row in first + rest] == [
            "no 2", "no 1", "no 0",
        ]  # fmt: skip
        assert {row["request_user_id"] for row in first} == {user}
        assert posted(appliance, "/v1/request/count/query", {"filter": leaf}) == 3


def call_session(appliance: Appliance, session: str) -> None:
    for path in ("/abstract", "/abstract/outline", "/abstract/outline/lesson"):
        headers = {
            "Helicone-Session-Id": session,
            "Helicone-Session-Path": path,
            "Helicone-Session-Name": "Course Plan",
        }
        assert appliance.call(CHAT, ask(f"write {path}"), headers).status == 200


def requests_of(appliance: Appliance, session: str) -> list[dict[str, Any]]:
    leaf = {"properties": {"Helicone-Session-Id": {"equals": session}}}
    rows: list[dict[str, Any]] = posted(
        appliance, QUERY, {"filter": leaf, "limit": 100, "sort": {"created_at": "asc"}}
    )
    return rows


def test_sessions_and_their_requests(appliance: Appliance) -> None:
    session = str(uuid.uuid4())
    began_ms = int(time.time() * 1000) - 60_000
    call_session(appliance, session)
    found = posted(
        appliance,
        "/v1/session/query",
        {
            "search": session,
            "timeFilter": {"startTimeUnixMs": began_ms, "endTimeUnixMs": began_ms + 3_600_000},
            "nameEquals": "Course Plan",
            "timezoneDifference": 0,
            "filter": {},
        },
    )
    (one,) = found
    assert (one["session_id"], one["total_requests"]) == (session, 3)
    rows = requests_of(appliance, session)
    assert [row["properties"]["Helicone-Session-Path"] for row in rows] == [
        "/abstract", "/abstract/outline", "/abstract/outline/lesson",
    ]  # fmt: skip


def test_a_session_is_played_again(appliance: Appliance) -> None:
    """Each recorded request is fetched, changed and sent again under a session of its own."""
    session, again = str(uuid.uuid4()), str(uuid.uuid4())
    call_session(appliance, session)
    for row in requests_of(appliance, session):
        body = bodies(appliance, row)["request"]
        body["messages"][0]["content"] += ", shorter"
        headers = {
            "Helicone-Session-Id": again,
            "Helicone-Session-Path": row["properties"]["Helicone-Session-Path"],
            "Helicone-Session-Name": row["properties"]["Helicone-Session-Name"],
        }
        assert appliance.call(CHAT, body, headers).status == 200
    tree = appliance.call(f"/v1/session/{again}/tree", None, BEARER, method="GET").json["data"]
    assert (tree["session_name"], tree["total_requests"]) == ("Course Plan", 3)
    played = requests_of(appliance, again)
    assert [bodies(appliance, row)["request"]["messages"][0]["content"] for row in played] == [
        f"write {path}, shorter"
        for path in ("/abstract", "/abstract/outline", "/abstract/outline/lesson")
    ]


def test_a_stream_logged_by_hand(appliance: Appliance) -> None:
    """What the manual logger's stream builder sends: one JSON chunk a line, no `data:` before."""
    chunks = [
        {"choices": [{"delta": {"role": "assistant", "content": "po"}}]},
        {"choices": [{"delta": {"content": "ng"}}]},
        {"choices": [], "usage": {"prompt_tokens": 4, "completion_tokens": 2}},
    ]
    now_s = int(time.time())
    log = {
        "providerRequest": {
            "url": "custom-model-nopath",
            "json": {**ask("ping"), "model": "local-qwen", "stream": True},
            "meta": {"Helicone-Session-Id": "by hand", "Helicone-User-Id": "logger"},
        },
        "providerResponse": {
            "status": 200,
            "headers": {},
            "json": {},
            "textBody": "\n".join(json.dumps(chunk) for chunk in chunks),
        },
        "timing": {
            "startTime": {"seconds": now_s, "milliseconds": 120},
            "endTime": {"seconds": now_s + 1, "milliseconds": 20},
            "timeToFirstToken": 180,
        },
    }
    reply = appliance.call("/custom/v1/log", log, BEARER)
    assert (reply.status, reply.body) == (200, b"ok")
    row = appliance.call(f"/v1/request/{reply.id}?includeBody=true", None, BEARER, method="GET")
    data = row.json["data"]
    assert (data["prompt_tokens"], data["completion_tokens"]) == (4, 2)
    assert (data["delay_ms"], data["time_to_first_token"]) == (900, 180)
    assert (data["request_user_id"], data["model"]) == ("logger", "local-qwen")
