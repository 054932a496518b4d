"""Which credential a provider sees, request by request, through the whole pipeline in memory."""

from __future__ import annotations

import json
import uuid

import pytest

from appliance.core.keys import DEFAULT_ORGANIZATION, KeyInfo, generate_key, hash_key
from appliance.core.provider_credentials import Found, Secret
from appliance.core.proxy_keys import StandIn, generate_proxy_key, limits_of
from tests.fakes.memory_lane import MemoryLane

ACME = uuid.UUID(int=7).bytes
PROXY_ID = str(uuid.UUID(int=9))
PATH = "/v1/gateway/oai/v1/chat/completions"
BEDROCK = "/v1/gateway/bedrock/v1/{}/model/m/invoke"


def ask(*lines: str, path: str = PATH, body: bytes = b"{}") -> bytes:
    head = "".join(f"{line}\r\n" for line in ("Host: localhost", *lines))
    return f"POST {path} HTTP/1.1\r\n{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def found(text: str = "sk-stored", provider: str = "openai", **more: str) -> Found:
    return Found("key-1", provider, "main", Secret(text), **more)


def sent(lane: MemoryLane) -> dict[bytes, bytes]:
    """The header lines of the newest request that the provider got."""
    head = lane.provider.sent[-1].split(b"\r\n\r\n")[0]
    lines = [line.partition(b": ") for line in head.split(b"\r\n")[1:]]
    return {name.lower(): value for name, _, value in lines}


def bearers(lane: MemoryLane) -> list[bytes]:
    return [line for text in lane.provider.sent for line in text.split(b"\r\n") if b"sk-" in line]


def status(reply: bytes) -> int:
    return int(reply.split(b" ", 2)[1])


def code(reply: bytes) -> str:
    return json.loads(reply.split(b"\r\n\r\n", 1)[1])["error"]["code"]


async def test_the_clients_own_goes_as_it_came():
    lane = MemoryLane()
    lane.provider_keys.keys[DEFAULT_ORGANIZATION, "openai", ""] = found()
    (reply,) = await lane.serve([ask("Authorization: Bearer sk-mine")])
    assert status(reply) == 200
    assert sent(lane)[b"authorization"] == b"Bearer sk-mine"


async def test_without_any_the_stored_one_goes_and_is_looked_up_each_time():
    lane = MemoryLane()
    keys = lane.provider_keys.keys
    where = DEFAULT_ORGANIZATION, "openai", ""
    keys[where] = found("sk-one")
    one, two = await lane.serve([ask("X-Api-Key: "), ask("X-Api-Key: ")])
    assert (status(one), status(two)) == (200, 200)
    assert sent(lane)[b"authorization"] == b"Bearer sk-one"
    assert b"x-api-key" not in sent(lane)
    keys[where] = found("sk-two")
    await lane.serve([ask()])
    assert sent(lane)[b"authorization"] == b"Bearer sk-two"
    assert lane.provider_keys.loads == 0
    keys.clear()
    (reply,) = await lane.serve([ask()])
    assert (status(reply), code(reply)) == (401, "provider_key_missing")
    assert b"helicone-appliance provider-keys add openai" in reply


async def test_a_key_that_changes_between_two_calls_of_one_connection_is_the_new_one():
    lane = MemoryLane()
    where = DEFAULT_ORGANIZATION, "openai", ""
    lane.provider_keys.keys[where] = found("sk-one")
    replied = lane.provider.recv

    async def recv() -> bytes:
        lane.provider_keys.keys[where] = found("sk-two")
        return await replied()

    lane.provider.recv = recv  # type: ignore[method-assign]
    await lane.serve([ask(), ask(), ask("Helicone-User-Id: u")])
    bearers = [
        line for text in lane.provider.sent for line in text.split(b"\r\n") if b"sk-" in line
    ]
    assert bearers == [
        b"Authorization: Bearer sk-one",
        b"Authorization: Bearer sk-two",
        b"Authorization: Bearer sk-two",
    ]


async def test_a_changed_session_and_trace_keep_the_stored_key():
    lane = MemoryLane()
    lane.provider_keys.keys[DEFAULT_ORGANIZATION, "openai", ""] = found()
    await lane.serve([ask("traceparent: 00-1-1-01"), ask("traceparent: 00-2-2-01")])
    assert sent(lane)[b"traceparent"] == b"00-2-2-01"
    assert sent(lane)[b"authorization"] == b"Bearer sk-stored"


async def test_of_the_next_tier_it_is_loaded():
    lane = MemoryLane()
    lane.provider_keys.slow[DEFAULT_ORGANIZATION, "openai", ""] = found("sk-slow")
    await lane.serve([ask()])
    assert sent(lane)[b"authorization"] == b"Bearer sk-slow"


async def test_the_environments_serves_the_default_organisation_alone():
    lane = MemoryLane()
    lane.provider_keys.environment["openai"] = Secret("sk-env")
    await lane.serve([ask()])
    assert sent(lane)[b"authorization"] == b"Bearer sk-env"
    key = generate_key()
    lane.keys[hash_key(key)] = KeyInfo(ACME, "k1", "rw")
    (reply,) = await lane.serve([ask(f"Helicone-Auth: Bearer {key}")])
    assert (status(reply), code(reply)) == (401, "provider_key_missing")
    lane.provider_keys.keys[ACME, "openai", ""] = found("sk-acme")
    (reply,) = await lane.serve([ask(f"Authorization: Bearer {key}")])
    assert status(reply) == 200
    assert sent(lane)[b"authorization"] == b"Bearer sk-acme"
    assert key.encode() not in lane.provider.sent[-1]


@pytest.mark.parametrize(
    "lines",
    [
        ("Helicone-Target-URL: https://openai.evil.example",),
        ("Helicone-Target-URL: https://api.openai.com.evil.example",),
        ("Helicone-OpenAI-Api-Base: https://203.0.113.9",),
    ],
)
async def test_none_of_ours_goes_where_a_client_points(lines):
    lane = MemoryLane(allow_targets=("*.example", "203.0.113.9"))
    lane.provider_keys.environment["openai"] = Secret("sk-env")
    lane.provider_keys.keys[DEFAULT_ORGANIZATION, "openai", ""] = found()
    await lane.serve([ask(*lines, path="/v1/chat/completions")])
    assert not any(b"sk-" in text for text in lane.provider.sent)


async def test_each_style_of_authentication():
    lane = MemoryLane()
    environment = lane.provider_keys.environment
    for name in ("anthropic", "google-ai-studio", "bedrock"):
        environment[name] = Secret("k-1")
    await lane.serve([ask(path="/v1/gateway/anthropic/v1/messages")])
    assert sent(lane)[b"x-api-key"] == b"k-1"
    await lane.serve([ask(path="/v1/gateway/google/v1beta/models/m:generateContent")])
    assert lane.provider.sent[-1].startswith(b"POST /v1beta/models/m:generateContent?key=k-1 HTTP")
    assert not any("k-1" in str(record) for record in lane.store.records)
    await lane.serve([ask(path=BEDROCK.format("eu-west-1"))])
    assert sent(lane)[b"authorization"] == b"Bearer k-1"
    environment["bedrock"] = Secret("AKIA1", "second", "token")
    for body in (b"{}", b'{"a":1}'):
        await lane.serve([ask(path=BEDROCK.format("eu-west-1"), body=body)])
    one, two = (text.split(b"\r\n\r\n")[0] for text in lane.provider.sent[-2:])
    assert b"Credential=AKIA1/" in one
    assert b"/eu-west-1/bedrock/aws4_request" in one
    assert b"X-Amz-Security-Token: token" in one
    assert one.split(b"Signature=")[1] != two.split(b"Signature=")[1]


async def test_a_client_that_hands_over_a_pair_has_its_request_signed():
    lane = MemoryLane()
    lines = ("aws-access-key: AKIA2", "aws-secret-key: theirs", "X-Other: 1")
    (reply,) = await lane.serve(
        [ask(*lines, path="/v1/gateway/bedrock/v1/us-east-1/model/m/invoke")]
    )
    assert status(reply) == 200
    assert b"Credential=AKIA2/" in sent(lane)[b"authorization"]
    assert b"theirs" not in b"".join(lane.provider.sent)


async def test_a_mocked_reply_asks_for_no_key():
    lane = MemoryLane()
    (reply,) = await lane.serve([ask('__helicone-mock-response: {"a": 1}')])
    assert status(reply) == 200
    assert lane.provider.sent == []


async def test_each_of_several_targets_gets_its_own():
    lane = MemoryLane(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n")
    lane.provider_keys.environment["openai"] = Secret("sk-env")
    targets = [
        {"target-url": "https://api.openai.com", "headers": {}, "onCodes": [500]},
        {"target-url": "https://api.openai.com", "headers": {"Authorization": "Bearer sk-2"},
         "onCodes": [500]},
    ]  # fmt: skip
    fallbacks = f"Helicone-Fallbacks: {json.dumps(targets)}"
    await lane.serve([ask(fallbacks, "Authorization: Bearer sk-top", path="/v1/chat/completions")])
    bearers = [
        line for text in lane.provider.sent for line in text.split(b"\r\n") if b"sk-" in line
    ]
    assert bearers == [b"Authorization: Bearer sk-env", b"Authorization: Bearer sk-2"]


def stand_in(lane: MemoryLane, *limits: str, org: bytes = ACME) -> str:
    text = generate_proxy_key(PROXY_ID, region="us")
    ring = lane.provider_keys
    ring.stand_ins[text] = StandIn(org, PROXY_ID, "key-1", "openai", limits_of(limits))
    ring.keys[org, "openai", "key-1"] = found("sk-behind")
    return text


@pytest.mark.parametrize("access", ["open", "keys"])
async def test_a_proxy_key_is_swapped_and_its_calls_are_its_organisations(access):
    lane = MemoryLane(access=access)
    text = stand_in(lane)
    (reply,) = await lane.serve([ask(f"Authorization: Bearer {text}")])
    assert status(reply) == 200
    assert sent(lane)[b"authorization"] == b"Bearer sk-behind"
    assert text.encode() not in b"".join(lane.provider.sent)
    assert lane.store.orgs == [ACME]


async def test_a_preflight_is_answered_before_any_key_is_looked_up():
    lane = MemoryLane()
    text = stand_in(lane)
    lines = ("Access-Control-Request-Method: POST", f"Authorization: Bearer {text}")
    (reply,) = await lane.serve([ask(*lines).replace(b"POST ", b"OPTIONS ", 1)])
    assert status(reply) == 204


async def test_its_limits_hold_beside_the_requests_own():
    lane = MemoryLane()
    text = stand_in(lane, "2;w=60")
    asked = ask(f"Authorization: Bearer {text}", "Helicone-RateLimit-Policy: 100;w=60")
    replies = await lane.serve([asked] * 3)
    assert [status(reply) for reply in replies] == [200, 200, 429]


async def test_what_a_proxy_key_does_not_open():
    lane = MemoryLane(access="keys")
    text = stand_in(lane)
    bearer = f"Authorization: Bearer {text}"
    (reply,) = await lane.serve([ask(bearer, path="/v1/gateway/groq/v1/chat/completions")])
    assert (status(reply), code(reply)) == (401, "stand_in_elsewhere")
    key = generate_key()
    lane.keys[hash_key(key)] = KeyInfo(uuid.UUID(int=8).bytes, "k1", "rw")
    (reply,) = await lane.serve([ask(bearer, f"Helicone-Auth: Bearer {key}")])
    assert (status(reply), code(reply)) == (401, "stand_in_unknown")
    lane.provider_keys.keys.clear()
    (reply,) = await lane.serve([ask(bearer)])
    assert (status(reply), code(reply)) == (401, "stand_in_unknown")
    lane.provider_keys.stand_ins.clear()
    (reply,) = await lane.serve([ask(bearer)])
    assert (status(reply), code(reply)) == (401, "stand_in_unknown")
    assert lane.provider.sent == []


@pytest.mark.parametrize("name", ["aws-access-key", "aws-secret-key", "aws-session-token"])
async def test_a_pair_that_could_not_be_one_is_refused_and_not_repeated(name: str):
    lane = MemoryLane()
    pair = {"aws-access-key": "AKIA2", "aws-secret-key": "theirs"}
    pair[name] = "two words\u00e9"
    lines = [f"{one}: {value}" for one, value in pair.items()]
    request = ask(*lines, path=BEDROCK.format("us-east-1")).decode().encode("latin-1")
    (reply,) = await lane.serve([request])
    assert (status(reply), code(reply)) == (400, "aws_key_invalid")
    assert name.encode() in reply
    assert b"two words" not in reply
    assert lane.provider.sent == []


async def test_a_session_token_goes_as_a_bearer():
    lane = MemoryLane()
    keys = lane.provider_keys.keys
    where = DEFAULT_ORGANIZATION, "anthropic", ""
    keys[where] = found("k-1", "anthropic")
    path = "/v1/gateway/anthropic/v1/messages"
    for _ in range(2):
        await lane.serve([ask(path=path)])
        assert sent(lane)[b"x-api-key"] == b"k-1"
    keys[where] = found("k-2", "anthropic", auth_type="session_token")
    for _ in range(2):
        await lane.serve([ask(path=path)])
        assert sent(lane)[b"authorization"] == b"Bearer k-2"
        assert b"x-api-key" not in sent(lane)
