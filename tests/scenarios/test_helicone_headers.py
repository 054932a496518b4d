"""The wire contract of `helicone-*` headers: what goes to the provider, what comes back, the row.

One line of the table is one call; what must not be anywhere is as much part of it as what must.
"""

from __future__ import annotations

import gzip
import json
import uuid
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.fakes.appliance import CHAT, MESSAGES, Appliance, Row
from tests.fakes.provider import Provider
from tests.fakes.raw_client import Headers, Reply

ASK: dict[str, Any] = {"model": "gpt-4o", "messages": [{"role": "user", "content": "planted-text"}]}
STREAM: dict[str, Any] = {**ASK, "stream": True}
KEY = "sk-helicone-abcdefg-hijklmn-opqrstu-vwxyz23"
ID = "3f1d1c7e-3b4a-4e7d-9c55-1a2b3c4d5e6f"


@dataclass(frozen=True)
class Scenario:
    """`sent` and `unsent` are looked for in what the provider received; None: it is not called."""

    name: str
    headers: dict[str, str] | Headers = field(default_factory=dict)
    ask: Any = field(default_factory=lambda: ASK)
    path: str = CHAT
    status: int = 200
    reply: dict[str, str] = field(default_factory=dict)
    says: str = ""
    sent: tuple[bytes, ...] | None = ()
    unsent: tuple[bytes, ...] = ()
    row: Row = field(default_factory=dict)


SESSION = {
    "Helicone-Session-Id": "s-1",
    "Helicone-Session-Path": "/a/b",
    "Helicone-Session-Name": "Näme",
}
TABLE = [
    Scenario(
        "nothing asked",
        reply={"Helicone-Status": "success"},
        sent=(b"POST /v1/chat/completions HTTP/1.1\r\n", b"planted-text"),
        row={
            "user_id": None,
            "properties": {},
            "session_id": None,
            "not_applied": [],
            "api_key_id": None,
        },
    ),
    Scenario(
        "a request id that is no UUID is replaced, and that is said",
        {"Helicone-Request-Id": "None"},
        reply={"Helicone-Not-Applied": "request-id;reason=not-a-uuid"},
        row={"not_applied": ["request-id;reason=not-a-uuid"]},
    ),
    Scenario(
        "so is an empty one",
        {"Helicone-Request-Id": ""},
        reply={"Helicone-Not-Applied": "request-id;reason=not-a-uuid"},
    ),
    Scenario(
        "and an enormous one",
        {"Helicone-Request-Id": "a" * 10_000},
        reply={"Helicone-Not-Applied": "request-id;reason=not-a-uuid"},
    ),
    Scenario(
        "user",
        {"Helicone-User-Id": "ann@example.com"},
        unsent=(b"ann@example.com",),
        row={"user_id": "ann@example.com"},
    ),
    Scenario(
        "properties have lower-case names and any value",
        [
            (b"Helicone-Property-Conversation", b"support"),
            (b"helicone-property-APP_Name", "mobile ☕".encode()),
            (b"Helicone-Property-__proto__", b"x"),
            (b"Helicone-Property-Empty", b""),
        ],
        unsent=(b"support", b"mobile"),
        row={
            "properties": {
                "conversation": "support",
                "app_name": "mobile ☕",
                "__proto__": "x",
                "empty": "",
            }
        },
    ),
    Scenario(
        "sessions are columns, and properties under their own names",
        SESSION,
        unsent=(b"s-1", b"/a/b"),
        row={
            "session_id": "s-1",
            "session_path": "/a/b",
            "session_name": "Näme",
            "properties": SESSION,
        },
    ),
    Scenario(
        "prompt id",
        {"Helicone-Prompt-Id": "p-7"},
        row={"prompt_id": "p-7", "properties": {"Helicone-Prompt-Id": "p-7"}},
    ),
    Scenario(
        "an impossible prompt mode",
        {"Helicone-Prompt-Id": "p-7", "Helicone-Prompt-Mode": "often"},
        status=400,
        says="production, testing or deactivated",
        sent=None,
    ),
    Scenario(
        "model override wins for cost and display",
        {"Helicone-Model-Override": "gpt-4o-mini"},
        sent=(b'"gpt-4o"',),
        unsent=(b"gpt-4o-mini",),
        # 19 × $0.15 + 11 × $0.60 per million
        row={"model": "gpt-4o-mini", "request_model": "gpt-4o", "cost_usd": "0.000009450000"},
    ),
    Scenario(
        "a mocked reply calls nobody",
        {"__helicone-mock-response": '{"mocked": [1, 2.0]}'},
        says='{"mocked": [1, 2.0]}',
        reply={"Helicone-Status": "success", "Content-Type": "application/json"},
        sent=None,
        row={"outcome": "mock", "status": 200, "cost_usd": "0.000000000000"},
    ),
    Scenario(
        "a mock that is no JSON",
        {"__helicone-mock-response": "{mocked"},
        status=400,
        says="JSON",
        sent=None,
    ),
    Scenario(
        "a flag that is neither yes nor no is said not to be applied",
        {"Helicone-Omit-Request": "yes"},
        reply={"Helicone-Not-Applied": "omit-request;reason=not-true-or-false"},
        row={"not_applied": ["omit-request;reason=not-true-or-false"]},
    ),
    Scenario(
        "stream usage is asked for",
        {"Helicone-Stream-Usage": "true"},
        STREAM,
        sent=(b'{"stream_options":{"include_usage":true},"model": "gpt-4o"',),
        says='"usage":{"prompt_tokens":19',
        row={"usage_source": "provider", "total_tokens": 30},
    ),
    Scenario(
        "not where the body does not stream",
        {"Helicone-Stream-Usage": "true"},
        unsent=(b"stream_options",),
        row={"usage_source": "provider"},
    ),
    Scenario(
        "nor where the client has said no",
        {"Helicone-Stream-Usage": "true"},
        {**STREAM, "stream_options": {"include_usage": False}},
        sent=(b'"stream_options": {"include_usage": false}}',),
        row={"usage_source": "estimated"},
    ),
    Scenario(
        "beside other options it joins them",
        {"Helicone-Stream-Usage": "true"},
        {**STREAM, "stream_options": {"include_obfuscation": False}},
        sent=(b'{"include_usage":true,"include_obfuscation": false}',),
        row={"total_tokens": 30},
    ),
    Scenario(
        "large bodies too, and what was received is kept",
        {"Helicone-Stream-Usage": "true"},
        {**STREAM, "padding": "x" * 1_500_000},
        sent=(b'{"stream_options":{"include_usage":true},"model": "gpt-4o"',),
        row={"usage_source": "provider", "total_tokens": 30},
    ),
    Scenario(
        "no other API is asked: it would refuse the option",
        {"Helicone-Stream-Usage": "true"},
        {"model": "gpt-4o", "input": "Hi", "stream": True},
        "/v1/gateway/oai/v1/responses",
        unsent=(b"stream_options",),
        row={"total_tokens": 48},
    ),
    Scenario(
        "nor Anthropic",
        {"Helicone-Stream-Usage": "true"},
        {**STREAM, "model": "claude-sonnet-4-6"},
        MESSAGES,
        unsent=(b"stream_options",),
        row={"total_tokens": 35},
    ),
    Scenario(
        "a compressed body is left alone, and that is said",
        {"Helicone-Stream-Usage": "true", "Content-Encoding": "gzip", "x-fake": "fake-normal"},
        gzip.compress(json.dumps(STREAM).encode(), mtime=0),
        reply={"Helicone-Not-Applied": "stream-usage;reason=body"},
        row={"not_applied": ["stream-usage;reason=body"]},
    ),
    Scenario(
        "no helicone header reaches the provider, no key of ours either",
        {
            "Helicone-Auth": f"Bearer {KEY}",
            "Helicone-Anything-New": "planted-header",
            "HELICONE-CACHE-SEED": "planted-seed",
            "Authorization": f"Bearer sk-provider, Bearer {KEY}",
            "X-Api-Key": KEY,
            "X-Other": f"planted {KEY}",
        },
        sent=(b"Authorization: Bearer sk-provider\r\n",),
        unsent=(b"helicone", b"planted-header", b"planted-seed", KEY.encode()),
    ),
    Scenario(
        "a key in the path is taken out",
        path=CHAT.replace("/v1/chat", f"/{KEY}/v1/chat"),
        sent=(b"POST /v1/chat/completions HTTP/1.1\r\n",),
        unsent=(KEY.encode(),),
        row={"request_path": CHAT},
    ),
    Scenario(
        "Anthropic, as Claude Code sends it",
        {"x-api-key": "sk-ant-provider", "anthropic-version": "2023-06-01"},
        {**STREAM, "model": "claude-sonnet-4-6"},
        MESSAGES,
        sent=(b"x-api-key: sk-ant-provider\r\n", b"anthropic-version: 2023-06-01\r\n"),
        row={"provider": "ANTHROPIC", "total_tokens": 35, "cost_usd": "0.000273000000"},
    ),
    Scenario(
        "an unknown provider",
        path="/v1/gateway/nobody/v1/chat/completions",
        status=400,
        sent=None,
    ),
]


def call(
    appliance: Appliance, provider: Provider, scenario: Scenario
) -> tuple[Reply, bytes | None]:
    """The reply, and what the provider received."""
    mark = f"mark-{uuid.uuid4()}"
    given = scenario.headers
    headers: Headers = (
        [(name.encode(), value.encode()) for name, value in given.items()]
        if isinstance(given, dict)
        else list(given)
    )
    reply = appliance.call(scenario.path, scenario.ask, [*headers, (b"X-Mark", mark.encode())])
    received = provider.all(mark)
    assert len(received) <= 1
    return reply, received[0].head + received[0].body if received else None


@pytest.mark.parametrize("scenario", TABLE, ids=lambda scenario: scenario.name)
def test_scenario(appliance: Appliance, provider: Provider, scenario: Scenario) -> None:
    reply, received = call(appliance, provider, scenario)
    assert reply.status == scenario.status, reply.body
    for name, value in scenario.reply.items():
        assert value in [found.decode() for found in reply.values(name)]
    assert scenario.says in reply.body.decode()
    assert (received is None) == (scenario.sent is None)
    if received is not None:
        for part in scenario.sent or ():
            assert part in received
        for part in (*scenario.unsent, b"helicone-"):
            assert part.lower() not in received.lower()
    if reply.status == 200:
        row = appliance.row(reply.id)
        assert {name: row[name] for name in scenario.row} == scenario.row
        assert KEY not in str(row)


def test_a_request_id_is_honoured_and_need_not_be_unique(appliance: Appliance) -> None:
    for number in range(2):
        ask = {**ASK, "user": f"same-{number}"}
        reply = appliance.call(CHAT, ask, {"Helicone-Request-Id": ID.upper()})
        assert reply.id == ID
    rows = appliance.rows(ID)
    assert len(rows) == 2
    assert len({row["exchange_id"] for row in rows}) == 2


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("sides", [("Request",), ("Response",), ("Request", "Response")])
def test_omitted_bodies_are_nowhere(
    appliance: Appliance, sides: tuple[str, ...], stream: bool
) -> None:
    """`proxy.md 7.3`: the model stays, tokens and cost stay, the text is not kept at all."""
    question, answer = f"question-{uuid.uuid4()}", "Hello from the fake provider"
    ask = {**ASK, "stream": stream, "messages": [{"role": "user", "content": question}]}
    if stream:
        ask["stream_options"] = {"include_usage": True}
    reply = appliance.call(CHAT, ask, {f"Helicone-Omit-{side}": "true" for side in sides})
    assert reply.status == 200
    row = appliance.row(reply.id)
    assert (row["total_tokens"], row["usage_source"]) == (30, "provider")
    assert (row["cost_usd"], row["model"]) == ("0.000157500000", "gpt-4o")
    assert row["is_stream"] is stream
    body = appliance.body(reply.id)
    if "Request" in sides:
        assert json.loads(body["request"]) == {"model": "gpt-4o"}
        files = [path for path in appliance.data.rglob("*") if path.is_file()]
        assert not any(question.encode() in path.read_bytes() for path in files)
    else:
        assert question in body["request"]
    if "Response" in sides:
        assert json.loads(body["response"]) == {"model": "gpt-4o"}
    elif stream:
        assert body["response"].endswith("data: [DONE]\n\n")
    else:
        assert answer in body["response"]


@pytest.mark.parametrize("kilobytes", [100, 3000])
def test_large_omitted_replies_leave_no_blob(appliance: Appliance, kilobytes: int) -> None:
    before = set((appliance.data / "blobs").glob("??/*"))
    ask = {**ASK, "model": f"fake-big-{kilobytes}"}
    reply = appliance.call(CHAT, ask, {"Helicone-Omit-Response": "true"})
    row = appliance.row(reply.id)
    assert (row["outcome"], row["truncated"]) == ("complete", False)
    assert row["response_bytes"] == len(reply.body)
    assert set((appliance.data / "blobs").glob("??/*")) == before
    assert list((appliance.data / "tmp").iterdir()) == []


def test_a_large_omitted_request_leaves_no_blob(appliance: Appliance) -> None:
    before = set((appliance.data / "blobs").glob("??/*"))
    ask = {**ASK, "padding": "x" * 2_000_000}
    reply = appliance.call(CHAT, ask, {"Helicone-Omit-Request": "true"})
    row = appliance.row(reply.id)
    assert (row["outcome"], row["total_tokens"], row["model"]) == ("complete", 30, "gpt-4o")
    assert set((appliance.data / "blobs").glob("??/*")) == before
    assert list((appliance.data / "tmp").iterdir()) == []


# -- stream-force-format -------------------------------------------------------------------------


def test_small_chunks_are_glued(appliance: Appliance, provider: Provider) -> None:
    """`proxy.md 8.3`, without the original's losses: no chunk vanishes, the tail is flushed."""
    pieces = [b'data: {"a":%d}\n\n' % number for number in range(10)] + [b"data: [DONE]\n\n"]

    async def small(talk: Any) -> None:
        await talk.read_body()
        await talk.send(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
            b"transfer-encoding: chunked\r\n\r\n"
        )
        for number, piece in enumerate(pieces):
            await talk.gate(f"{gate}-{number}")
            await talk.send(b"%x\r\n%b\r\n" % (len(piece), piece))
        await talk.send(b"0\r\n\r\n")

    gate = f"glue-{uuid.uuid4()}"
    headers = {"x-fake": provider.add(gate, small), "Helicone-Stream-Force-Format": "true"}
    with appliance.client() as client:
        client.request(CHAT, STREAM, headers)
        reply = client.head()
        for number in range(len(pieces)):
            provider.open_gate(f"{gate}-{number}")
        while client.frame(reply):
            pass
    assert reply.body == b"".join(pieces)
    assert all(len(frame) >= 50 for frame in reply.frames[:-1])
    assert appliance.body(reply.id)["response"].encode() == reply.body


def test_glued_chunks_are_not_lost_when_the_reply_is_cut(
    appliance: Appliance, provider: Provider
) -> None:
    async def cut(talk: Any) -> None:
        await talk.read_body()
        piece = b'data: {"a":1}\n\n'
        await talk.send(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
            b"transfer-encoding: chunked\r\n\r\n%x\r\n%b\r\n" % (len(piece), piece)
        )
        talk.close()

    headers = {"x-fake": provider.add("glue-cut", cut), "Helicone-Stream-Force-Format": "true"}
    reply = appliance.call(CHAT, STREAM, headers)
    assert (reply.body, reply.end) == (b'data: {"a":1}\n\n', "cut")


def test_a_terminal_event_is_not_held_back(appliance: Appliance, provider: Provider) -> None:
    """`data: [DONE]` is small; a client must not wait for the provider to end the body."""
    gate = f"glue-{uuid.uuid4()}"
    headers = {
        "x-fake": "fake-held-tail",
        "x-fake-gate": gate,
        "Helicone-Stream-Force-Format": "true",
    }
    with appliance.client() as client:
        client.request(CHAT, STREAM, headers)
        reply = client.head()
        while not reply.body.endswith(b"data: [DONE]\n\n"):
            client.frame(reply)
        provider.open_gate(gate)
        assert client.frame(reply) is False
