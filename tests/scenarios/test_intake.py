"""The wire contract of log intake (backend.md 3.1, 3.2): what is answered, what is on record, and
what must not be."""

from __future__ import annotations

import gzip
import json
import re
from types import SimpleNamespace
from typing import Any

import pytest

from appliance.core.keys import KeyInfo, hash_key
from tests.fakes.memory_lane import MemoryLane

KEY = "sk-helicone-" + "-".join(["abcdefg"] * 4)
WRITE_KEY = "pk-helicone-" + "-".join(["hijklmn"] * 4)
READ_KEY = "sk-helicone-" + "-".join(["opqrstu"] * 4)
ORG = b"o" * 16
ID = "0190a5b0-1111-4222-8333-123456789abc"
LOG: dict[str, Any] = {
    "providerRequest": {
        "url": "custom-model-nopath",
        "json": {"model": "m-1"},
        "meta": {"Helicone-Request-Id": ID, "Helicone-Property-Team": "blue"},
    },
    "providerResponse": {"status": 200, "headers": {}, "json": {"ok": 1}},
}


def lane(**config: Any) -> MemoryLane:
    made = MemoryLane(**config)
    for text, permission in ((KEY, "rw"), (WRITE_KEY, "w"), (READ_KEY, "r")):
        info: Any = KeyInfo(ORG, f"id-{permission}", permission, "us")
        made.keys[hash_key(text)] = info
    return made


def post(path: str, body: bytes, *lines: str, key: str = KEY) -> bytes:
    head = [f"POST {path} HTTP/1.1", "Host: localhost", *lines]
    if key:
        head.append(f"Authorization: Bearer {key}")
    text = "".join(f"{line}\r\n" for line in head)
    return text.encode() + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


class Answer(SimpleNamespace):
    status: int
    headers: dict[str, str]
    body: bytes


async def send(made: MemoryLane, *pieces: bytes) -> list[Answer]:
    wire = b"".join(await made.serve(list(pieces)))
    found = []
    while wire:
        head, _, rest = wire.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, value in (li.split(": ", 1) for li in lines)}
        length = int(headers["content-length"])
        found.append(Answer(status=int(first.split()[1]), headers=headers, body=rest[:length]))
        wire = rest[length:]
    return found


def log(**changes: Any) -> bytes:
    return json.dumps({**LOG, **changes}).encode()


@pytest.mark.parametrize(
    ("path", "provider", "gateway"),
    [
        ("/custom/v1/log", "CUSTOM", None),
        ("/oai/v1/log", "OPENAI", "openai"),
        ("/anthropic/v1/log", "ANTHROPIC", "anthropic"),
        ("/googleapis/v1/log", "GOOGLE", "google-ai-studio"),
        ("/v1/trace/oai/v1/log", "OPENAI", "openai"),
        ("/v1/gateway/oai/v1/log", "OPENAI", "openai"),
        ("/v1/gateway/custom/v1/log", "CUSTOM", None),
        ("/v1/trace/custom/v1/log", "OPENAI", "openai"),
        ("/v1/trace/custom/log", "OPENAI", "openai"),
        ("/v1/trace/custom/log/typed", "OPENAI", "openai"),
    ],
)
async def test_a_log_is_acknowledged_and_on_record(
    path: str, provider: str, gateway: str | None
) -> None:
    made = lane(access="keys")
    (answer,) = await send(made, post(path, log()))
    assert (answer.status, answer.body) == (200, b"ok")
    assert answer.headers["helicone-id"] == ID
    assert answer.headers["content-type"].startswith("text/plain")
    (record,) = made.store.records
    assert made.store.orgs == [ORG]
    assert (record["provider"], record.get("gateway_provider")) == (provider, gateway)
    assert (record["source"], record["request_id"]) == ("log", ID)
    assert record["key_id"] == "id-rw"
    assert record["properties"] == {"team": "blue"}
    assert json.loads(record["request"]) == {"model": "m-1"}
    assert json.loads(record["response"]) == {"ok": 1}
    assert KEY not in str(made.store.payloads)


async def test_many_over_one_connection_each_with_its_id() -> None:
    made = lane(access="keys")
    without = {**LOG["providerRequest"], "meta": {}}
    body = log(providerRequest=without)
    answers = await send(made, *[post("/oai/v1/log", body) for _ in range(5)])
    ids = [answer.headers["helicone-id"] for answer in answers]
    assert len(set(ids)) == 5
    assert [record["request_id"] for record in made.store.records] == ids
    assert all(re.fullmatch("[0-9a-f-]{36}", text) for text in ids)


@pytest.mark.parametrize(
    ("key", "status", "words"),
    [
        ("", 401, "asks for a Helicone key"),
        ("sk-helicone-" + "-".join(["zzzzzzz"] * 4), 401, "not on file"),
        ("sk-helicone-cp-" + "-".join(["abcdefg"] * 4), 401, ""),
        ("sk-openai-key", 401, "asks for a Helicone key"),
        (READ_KEY, 403, "may only read"),
        (WRITE_KEY, 200, ""),
        (KEY, 200, ""),
    ],
)
async def test_who_may_log(key: str, status: int, words: str) -> None:
    made = lane(access="keys")
    (answer,) = await send(made, post("/custom/v1/log", log(), key=key))
    assert answer.status == status
    assert len(made.store.records) == (status == 200)
    if status != 200:
        assert words in json.loads(answer.body)["error"]
        assert not key or key not in answer.body.decode()


async def test_in_open_access_no_key_is_needed() -> None:
    made = lane(access="open")
    (answer,) = await send(made, post("/custom/v1/log", log(), key=""))
    assert answer.status == 200
    assert len(made.store.records) == 1


async def test_web_pages_may_not_log_in_open_access() -> None:
    made = lane(access="open")
    (answer,) = await send(made, post("/custom/v1/log", log(), "Origin: https://evil.example"))
    assert (answer.status, made.store.records) == (403, [])


async def test_headers_of_the_request_win() -> None:
    made = lane(access="keys")
    lines = ("Helicone-Property-Team: red", "Helicone-User-Id: ada", "Helicone-Session-Id: s")
    await send(made, post("/custom/v1/log", log(), *lines))
    (record,) = made.store.records
    assert record["properties"] == {"team": "red", "Helicone-Session-Id": "s"}
    assert (record["user_id"], record["session_id"]) == ("ada", "s")


async def test_what_is_to_be_left_out_is() -> None:
    made = lane(access="keys")
    lines = ("Helicone-Omit-Request: true", "Helicone-Omit-Response: true")
    reply = {"model": "m-9", "usage": {"prompt_tokens": 3, "completion_tokens": 4}}
    body = log(providerResponse={"status": 200, "json": {**reply, "secret": "hush"}})
    await send(made, post("/oai/v1/log", body, *lines))
    (record,) = made.store.records
    assert (record["request"], record["response"]) == (b"", b"")
    assert (record["usage"]["input"], record["usage"]["output"]) == (3, 4)
    assert record["model"] == "m-9"
    assert b"hush" not in b"".join(made.store.payloads)


async def test_a_packed_log() -> None:
    made = lane(access="keys")
    packed = gzip.compress(log())
    (answer,) = await send(made, post("/oai/v1/log", packed, "Content-Encoding: gzip"))
    assert answer.status == 200
    assert len(made.store.records) == 1
    for data, coding, status in (
        (b"nonsense", "gzip", 415),
        (gzip.compress(bytes(11 * 2**20)), "gzip", 413),
        (log(), "sdch", 415),
    ):
        (answer,) = await send(made, post("/oai/v1/log", data, f"Content-Encoding: {coding}"))
        assert answer.status == status
    assert len(made.store.records) == 1


async def test_a_log_that_is_too_large_is_not_read() -> None:
    made = lane(access="keys", intake_bytes_max=100_000)
    body = log(providerResponse={"status": 200, "textBody": "x" * 500_000})
    (answer,) = await send(made, post("/oai/v1/log", body))
    assert answer.status == 413
    assert "intake_bytes_max (100000 bytes)" in json.loads(answer.body)["error"]
    assert made.store.records == []
    assert made.house.recorder.budget.held_bytes == 0


async def test_without_memory_it_is_to_come_again() -> None:
    made = lane(access="keys")
    made.house.recorder.budget.held_bytes = made.house.recorder.budget.bytes_max
    (answer,) = await send(made, post("/oai/v1/log", log()))
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    assert made.store.records == []


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"{}", log(providerRequest={"json": []})])
async def test_what_is_wrong_is_named(body: bytes) -> None:
    made = lane(access="keys")
    (answer,) = await send(made, post("/custom/v1/log", body))
    assert answer.status == 400
    assert answer.headers["content-type"] == "application/json"
    assert re.match(r"(body|providerRe[a-z.]+): ", json.loads(answer.body)["error"])
    assert made.store.records == []


async def test_the_typed_endpoint_names_every_field() -> None:
    made = lane(access="keys")
    body = json.dumps({"providerRequest": {}, "providerResponse": {"status": "x"}}).encode()
    (answer,) = await send(made, post("/v1/trace/custom/log/typed", body))
    told = json.loads(answer.body)
    assert (answer.status, told["isValid"]) == (400, False)
    fields = [problem["field"] for problem in told["errors"]]
    assert fields == ["providerRequest.json", "providerResponse.status"]
    assert made.store.records == []


async def test_a_message_without_bodies() -> None:
    made = lane(access="keys")
    message = {
        "heliconeMeta": {},
        "log": {"request": {"id": ID, "provider": "ANTHROPIC"}, "response": {"status": 200}},
    }
    (answer,) = await send(made, post("/v1/log/request", json.dumps(message).encode()))
    assert (answer.status, answer.headers["helicone-id"]) == (200, ID)
    (record,) = made.store.records
    assert (record["provider"], record["gateway_provider"]) == ("ANTHROPIC", "anthropic")


async def test_a_store_that_fails_acknowledges_nothing() -> None:
    made = lane(access="keys")

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    made.store.append = full  # type: ignore[method-assign,assignment]
    answers = await send(made, post("/custom/v1/log", log()))
    assert [answer.status for answer in answers] != [200]


async def test_it_is_counted() -> None:
    made = lane(access="keys")
    await send(made, post("/oai/v1/log", log()), post("/custom/v1/log", b"{}"))
    text = made.house.metrics.render()
    assert 'intake_total{kind="oai",status="2xx"} 1' in text
    assert 'intake_total{kind="custom",status="4xx"} 1' in text
