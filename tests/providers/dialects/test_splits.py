"""Every provider's stream in every client's format: however its bytes are cut the result is one,
and says what the whole reply would have said. The streams are those of the strict fakes."""

from __future__ import annotations

import json
from functools import cache
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.core.attempts import Endpoint
from appliance.providers.dialects.mapping import Inbound, ReplyMap, body_of
from tests.fakes import provider_bedrock as bedrock
from tests.fakes import provider_chat as chat
from tests.fakes import provider_claude as claude
from tests.fakes import provider_formats as formats
from tests.fakes import provider_gemini as gemini
from tests.providers.dialects.official import chat_stream, message_stream, response_stream

TOOLS = [
    {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}
    for name in ("first", "second")
]
SIDES: dict[str, tuple[Endpoint, Any, Any]] = {
    "gemini": (
        Endpoint("g", "google-ai-studio", "gemini-2.5-flash", "google", 0, 65536),
        gemini.events, gemini.reply,
    ),
    "vertex-gemini": (
        Endpoint("g", "vertex", "gemini-2.5-pro", "google", 0, 65536), gemini.events, gemini.reply,
    ),
    "anthropic": (
        Endpoint("c", "anthropic", "claude-x", "anthropic", 0, 64000), claude.events, claude.reply,
    ),
    "vertex-claude": (
        Endpoint("c", "vertex", "claude-x", "anthropic", 0, 64000),
        formats._vertex_claude_events, formats._vertex_claude_reply,
    ),
    "bedrock-claude": (
        Endpoint("c", "bedrock", "anthropic.claude-x", "anthropic", 0, 64000),
        bedrock.claude_events, bedrock.claude_reply,
    ),
    "converse": (
        Endpoint("n", "bedrock", "amazon.nova-2-lite-v1:0", "bedrock", 0, 5000),
        bedrock.events, bedrock.reply,
    ),
    "azure": (Endpoint("o", "azure", "gpt-4o", "openai", 0, 5000), chat.events, chat.reply),
}  # fmt: skip
INBOUNDS: tuple[Inbound, ...] = ("chat", "messages", "responses")
CASES = [
    (side, inbound, called)
    for side in SIDES
    for inbound in INBOUNDS
    for called in (False, True)
    if not (side == "azure" and inbound == "chat")  # passes as it is
    # Nothing is translated between a format and itself.
    and not (inbound == "messages" and side in ("anthropic", "vertex-claude"))
]


@cache
def sources(side: str, *, called: bool) -> tuple[bytes, bytes]:
    """A stream, and the reply that says the same."""
    endpoint, events, reply = SIDES[side]
    asked: dict[str, Any] = {
        "messages": [{"role": "user", "content": "Use both of them: größer."}], "max_tokens": 4000,
    }  # fmt: skip
    if side != "azure":
        asked["reasoning_effort"] = "high"
    if called:
        asked["tools"] = TOOLS
    streamed = {**asked, "stream": True}
    if side == "azure":
        streamed["stream_options"] = {"include_usage": True}
    model = endpoint.provider_model_id
    whole = reply(body_of("chat", {**asked, "model": model}, endpoint, stream=False), model)
    body = body_of("chat", {**streamed, "model": model}, endpoint, stream=True)
    return b"".join(events(body, model)), whole


def mapping_of(side: str, inbound: Inbound) -> ReplyMap:
    request = {"model": "m", "input": "x"} if inbound == "responses" else None
    return ReplyMap(inbound, SIDES[side][0], created=7, id="chatcmpl-1", request=request)


def translated(side: str, inbound: Inbound, pieces: list[bytes]) -> bytes:
    mapping = mapping_of(side, inbound)
    return b"".join(map(mapping.feed, pieces)) + mapping.finish()


def ids(value: object) -> str:
    return str(value)


@pytest.mark.parametrize(("side", "inbound", "called"), CASES, ids=ids)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_any_split_says_the_same(
    data: st.DataObject, side: str, inbound: Inbound, called: bool
) -> None:
    source, _ = sources(side, called=called)
    cuts = data.draw(st.lists(st.integers(0, len(source)), max_size=12).map(sorted))
    pieces = [source[start:end] for start, end in pairwise([0, *cuts, len(source)])]
    assert translated(side, inbound, pieces) == whole_of(side, inbound, called=called)


@pytest.mark.parametrize(("side", "inbound", "called"), CASES, ids=ids)
def test_bytes_one_by_one_say_the_same(side: str, inbound: Inbound, *, called: bool) -> None:
    source, _ = sources(side, called=called)
    pieces = [source[at : at + 1] for at in range(len(source))]
    assert translated(side, inbound, pieces) == whole_of(side, inbound, called=called)


@pytest.mark.parametrize(("side", "inbound", "called"), CASES, ids=ids)
def test_a_stream_says_what_the_whole_reply_says(
    side: str, inbound: Inbound, *, called: bool
) -> None:
    source, whole = sources(side, called=called)
    told = json.loads(mapping_of(side, inbound).whole(whole))
    read = {"chat": _of_chat, "messages": _of_message, "responses": _of_response}[inbound]
    build = {"chat": chat_stream, "messages": message_stream, "responses": response_stream}[inbound]
    assert read(build(translated(side, inbound, [source]))) == read(told)


@pytest.mark.parametrize(("side", "inbound", "called"), CASES, ids=ids)
def test_a_stream_that_is_cut_has_no_end(side: str, inbound: Inbound, *, called: bool) -> None:
    """Wherever it is cut before its last event: nothing that looks like an end is made up."""
    source, _ = sources(side, called=called)
    ends = (b"data: [DONE]", b"event: message_stop", b"event: response.completed")
    whole = translated(side, inbound, [source])
    assert any(end in whole for end in ends)
    for cut in range(0, len(source) - 700, 131):
        found = translated(side, inbound, [source[:cut]])
        assert not any(end in found for end in ends), source[:cut][-80:]


@cache
def whole_of(side: str, inbound: Inbound, *, called: bool) -> bytes:
    return translated(side, inbound, [sources(side, called=called)[0]])


def _of_chat(reply: dict[str, Any]) -> object:
    (choice,) = reply["choices"]
    message = choice["message"]
    calls = [
        (call["id"], call["function"]["name"], json.loads(call["function"]["arguments"]))
        for call in message.get("tool_calls") or ()
    ]
    said = message.get("content") or None, message.get("reasoning")
    details = message.get("reasoning_details")
    return said, details, calls, choice["finish_reason"], reply["usage"]


def _of_message(reply: dict[str, Any]) -> object:
    kept = ("type", "text", "thinking", "signature", "id", "name", "input")
    blocks = [{name: block.get(name) for name in kept} for block in reply["content"]]
    usage = reply["usage"]
    counts = [usage.get(name) or 0 for name in ("input_tokens", "output_tokens")]
    return blocks, reply["stop_reason"], counts, usage.get("cache_read_input_tokens") or 0


def _of_response(reply: dict[str, Any]) -> object:
    items = []
    for item in reply["output"]:
        texts = [part.get("text") for part in item.get("content") or item.get("summary") or ()]
        items.append((item["type"], texts, item.get("name"), item.get("arguments")))
    return items, reply["status"], reply["usage"]["total_tokens"]
