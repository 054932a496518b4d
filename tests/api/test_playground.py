"""The playground: a call on the account of whoever asks, and what comes of it."""

import json
from typing import Any

import pytest
import trio

from appliance.api import playground_reply
from appliance.exchange import ReplySide
from tests.api.kit import ORG, OTHER_ORG, House
from tests.api.people_kit import People

GENERATE = "/v1/playground/generate"
SETTING = "/v1/playground/requests-through-helicone"
SAY: dict[str, Any] = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Say hello."}]}
JSON = (b"content-type", b"application/json")
EVENTS = (b"Content-Type", b"text/event-stream; charset=utf-8")


def by(who: str) -> tuple[tuple[bytes, bytes], ...]:
    return ((b"authorization", f"Bearer {who}".encode()),)


def says(document: Any, status: int = 200, *more: tuple[bytes, bytes]) -> Any:
    """A script that answers at once."""

    async def script(reply: ReplySide) -> None:
        data = document if isinstance(document, bytes) else json.dumps(document).encode()
        await reply.start(status, b"", [JSON, *more], None, data, last=True)

    return script


async def test_the_answer_is_the_completion_and_what_it_says(house: House) -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    message = {"content": None, "reasoning": "Because.", "tool_calls": [call]}
    said = {"id": "chat-1", "choices": [{"message": message}], "usage": {"total_tokens": 3}}
    house.playground.script = says(said, 200, (b"helicone-id", b"r-9"))
    reply = await house.post(GENERATE, {**SAY, "useAIGateway": True, "logRequest": True})
    assert reply.status == 200, reply.body
    data = reply.json["data"]
    assert (data["content"], data["reasoning"], data["calls"]) == ("", "Because.", [call])
    assert (data["id"], data["usage"]) == ("chat-1", {"total_tokens": 3})
    assert reply.headers[b"helicone-id"] == b"r-9"
    [(identity, asked, headers)] = house.playground.asked
    assert asked == SAY
    assert identity.org == ORG
    assert headers == {b"helicone-user-id": b"helicone_playground"}


async def test_events_are_passed_on_as_they_come(house: House) -> None:
    async def script(reply: ReplySide) -> None:
        await reply.start(200, b"", [EVENTS, (b"x-provider", b"1")], None, b"data: {}\n\n")
        assert house.last.body == b"data: {}\n\n"
        await reply.write(b"data: 2\n\n")
        await reply.finish(b"data: [DONE]\n\n", [])

    house.playground.script = script
    reply = await house.post(GENERATE, {**SAY, "stream": True})
    assert reply.body == b"data: {}\n\ndata: 2\n\ndata: [DONE]\n\n"
    assert reply.headers[b"content-type"] == EVENTS[1]
    assert reply.headers[b"cache-control"] == b"no-store"
    assert b"x-provider" not in reply.headers


async def test_an_error_keeps_its_status_and_its_words(house: House) -> None:
    error = {"success": False, "error": {"message": "Slow down.", "code": "rate_limited"}}
    house.playground.script = says(error, 429, (b"retry-after", b"7"))
    reply = await house.post(GENERATE, {**SAY, "stream": True})
    assert (reply.status, reply.json) == (429, {"data": None, "error": "Slow down."})
    assert reply.headers[b"retry-after"] == b"7"


@pytest.mark.parametrize("answer", [b"no JSON", b"[1]", b""])
async def test_what_is_no_completion_is_told(house: House, answer: bytes) -> None:
    house.playground.script = says(answer)
    reply = await house.post(GENERATE, SAY)
    assert (reply.status, reply.json["error"]) == (502, playground_reply.NO_COMPLETION)


async def test_an_answer_that_breaks_off_is_none(house: House) -> None:
    async def script(reply: ReplySide) -> None:
        await reply.start(200, b"", [JSON], None, b'{"choices": []}')
        reply.abandon()

    house.playground.script = script
    assert (await house.post(GENERATE, SAY)).status == 502


async def test_an_answer_is_gathered_up_to_a_size(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(playground_reply, "GATHERED_BYTES_MAX", 10)
    house.playground.script = says({"choices": []})
    reply = await house.post(GENERATE, SAY)
    assert (reply.status, reply.json["error"]) == (502, playground_reply.TOO_LARGE)


async def test_a_call_hears_that_its_client_has_gone(house: House) -> None:
    heard: list[bool] = []

    async def script(reply: ReplySide) -> None:
        while not reply.watch.gone:
            await trio.lowlevel.checkpoint()
        heard.append(True)
        reply.abandon()

    house.playground.script, house.leaves = script, True
    await house.post(GENERATE, SAY)
    assert heard == [True]
    assert house.app.state.playground_streams.open == 0


async def test_so_many_at_once(house: House) -> None:
    house.app.state.playground_streams.open = playground_reply.CALLS_MAX
    reply = await house.post(GENERATE, SAY)
    assert reply.status == 503
    assert house.playground.asked == []


@pytest.mark.parametrize(
    ("body", "field"),
    [({**SAY, "logRequest": 1}, "logRequest"), ({**SAY, "useAIGateway": "no"}, "useAIGateway")],
)
async def test_a_wrong_field_is_named(house: House, body: Any, field: str) -> None:
    reply = await house.post(GENERATE, body)
    assert (reply.status, reply.json["error"].startswith(f"{field}: ")) == (422, True)


# -- who may, and whether it is recorded


async def test_no_relay_for_whoever_may_only_read(house: House, people: People) -> None:
    await people.sign_in("vera", "viewer")
    await people.sign_in("mia", "member")
    data = json.dumps(SAY).encode()
    assert (await house.post(GENERATE, SAY, headers=by("nobody"))).status == 401
    assert (await house.post(GENERATE, SAY, headers=by("reader"))).status == 403
    viewer = await house.ask("POST", GENERATE, data, headers=people.headers("vera"))
    assert viewer.status == 403
    without = people.headers("mia", csrf=False)
    assert (await house.ask("POST", GENERATE, data, headers=without)).status == 403
    assert house.playground.asked == []
    member = await house.ask("POST", GENERATE, data, headers=people.headers("mia"))
    assert member.status == 200, member.body
    [(identity, _, _)] = house.playground.asked
    assert (identity.org, identity.user) == (ORG, people.ids["mia"])


async def test_the_setting_is_each_organisations_own(house: House, people: People) -> None:
    await people.organizations()
    both, other = by("both"), by("other")
    assert (await house.get(SETTING, headers=both)).json["data"] is True
    off = {"requestsThroughHelicone": False}
    assert (await house.post(SETTING, off, headers=by("writer"))).status == 403
    assert (await house.post(SETTING, {}, headers=both)).status == 422
    assert (await house.post(SETTING, off, headers=both)).status == 200
    assert (await house.get(SETTING, headers=both)).json["data"] is False
    assert (await house.get(SETTING, headers=other)).json["data"] is True
    for headers, body in (both, SAY), (both, {**SAY, "logRequest": True}), (other, SAY):
        await house.post(GENERATE, body, headers=headers)
    omitted = [b"helicone-omit-request" in headers for _, _, headers in house.playground.asked]
    assert omitted == [True, False, False]
    assert [identity.org for identity, _, _ in house.playground.asked] == [ORG, ORG, OTHER_ORG]
    on = {"requestsThroughHelicone": True}
    assert (await house.post(SETTING, on, headers=both)).status == 200
    assert (await house.get(SETTING, headers=both)).json["data"] is True
