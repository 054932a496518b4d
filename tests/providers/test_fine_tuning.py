"""Calls of every API as examples in both shapes; what makes none says why."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from appliance.providers.fine_tuning import NoExample, example

CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
CHAT = {
    "model": "m", "temperature": 0, "tools": [TOOL],
    "messages": [
        {"role": "system", "content": "Brief."},
        {"role": "user", "content": "Go."},
        {"role": "assistant", "content": None, "tool_calls": [CALL], "reasoning": "hm"},
        {"role": "tool", "tool_call_id": "c1", "content": "7"},
    ],
}  # fmt: skip
MESSAGES = {
    "model": "m", "max_tokens": 5, "system": "Brief.",
    "tools": [{"name": "f", "input_schema": {"type": "object"}}],
    "messages": [
        {"role": "user", "content": [
            {"type": "text", "text": "Go.", "cache_control": {"type": "ephemeral"}},
        ]},
        {"role": "assistant", "content": [
            {"type": "thinking", "thinking": "hm", "signature": "s"},
            {"type": "tool_use", "id": "c1", "name": "f", "input": {"a": 1}},
        ]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "c1", "content": "7"},
        ]},
    ],
}  # fmt: skip
RESPONSES = {
    "model": "m", "instructions": "Brief.", "input": [
        {"role": "user", "content": "Go."},
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": '{"a": 1}'},
        {"type": "function_call_output", "call_id": "c1", "output": "7"},
    ],
    "tools": [{"type": "function", "name": "f", "parameters": {"type": "object"}}],
}  # fmt: skip


def events(*documents: Any, done: bool = True) -> str:
    lines = [
        f"event: {document.get('type', 'message')}\ndata: {json.dumps(document)}\n\n"
        for document in documents
    ]
    return "".join(lines) + ("data: [DONE]\n\n" if done else "")


def chunk(delta: Any, finish: str | None = None) -> Any:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


CHAT_SAID = {"choices": [{"message": {"role": "assistant", "content": "Seven.", "refusal": None}}]}
CHAT_STREAM = events(
    chunk({"role": "assistant", "content": ""}), chunk({"content": "Sev"}),
    chunk({"content": "en."}), chunk({}, "stop"), {"choices": [], "usage": {}},
)  # fmt: skip
MESSAGES_SAID = {
    "type": "message", "role": "assistant", "stop_reason": "end_turn",
    "content": [
        {"type": "thinking", "thinking": "hm", "signature": "s"},
        {"type": "text", "text": "Seven."},
    ],
}  # fmt: skip
MESSAGES_PARTS = (
    {"type": "message_start", "message": {"type": "message", "content": [], "usage": {}}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Sev"}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "en."}},
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {}},
    {"type": "message_stop"},
)
RESPONSES_SAID = {
    "object": "response", "status": "completed", "output": [
        {"type": "reasoning", "summary": []},
        {"type": "message", "role": "assistant",
         "content": [{"type": "output_text", "text": "Seven."}]},
    ],
}  # fmt: skip
RESPONSES_STREAM = events(
    {"type": "response.created", "response": {"object": "response", "output": []}},
    {"type": "response.completed", "response": RESPONSES_SAID}, done=False,
)  # fmt: skip

CALLS = [
    (CHAT, CHAT_SAID), (CHAT, CHAT_STREAM), (MESSAGES, MESSAGES_SAID),
    (MESSAGES, events(*MESSAGES_PARTS, done=False)), (RESPONSES, RESPONSES_SAID),
    (RESPONSES, RESPONSES_STREAM),
]  # fmt: skip


def plain(content: Any) -> Any:
    """Text as one string, however it was written."""
    if isinstance(content, list) and all(part.get("type") == "text" for part in content):
        return "".join(part["text"] for part in content)
    return content


@pytest.mark.parametrize(("request_", "response"), CALLS)
def test_openai(request_: Any, response: Any) -> None:
    line = example("openai", request_, response)
    assert set(line) == {"messages", "tools"}
    assert line["tools"][0]["function"]["name"] == "f"
    system, user, called, result, said = line["messages"]
    assert [plain(system["content"]), plain(user["content"])] == ["Brief.", "Go."]
    [call] = called["tool_calls"]
    assert (call["id"], json.loads(call["function"]["arguments"])) == ("c1", {"a": 1})
    assert (result["role"], result["tool_call_id"], plain(result["content"])) == ("tool", "c1", "7")
    assert said == {"role": "assistant", "content": "Seven."}
    assert "hm" not in json.dumps(line)
    assert "cache_control" not in json.dumps(line)


@pytest.mark.parametrize(("request_", "response"), CALLS)
def test_anthropic(request_: Any, response: Any) -> None:
    line = example("anthropic", request_, response)
    assert set(line) == {"system", "messages", "tools"}
    assert plain(line["system"]) == "Brief."
    assert line["tools"][0]["name"] == "f"
    user, called, result, said = line["messages"]
    assert (user["role"], plain(user["content"])) == ("user", "Go.")
    [call] = called["content"]
    assert (call["type"], call["id"], call["input"]) == ("tool_use", "c1", {"a": 1})
    assert result["content"][0]["tool_use_id"] == "c1"
    assert (said["role"], plain(said["content"])) == ("assistant", "Seven.")
    assert "hm" not in json.dumps(line)
    assert "cache_control" not in json.dumps(line)


def test_calls_of_a_stream_are_put_together() -> None:
    def piece(index: int, **said: Any) -> Any:
        return chunk({"tool_calls": [{"index": index, **said}]})

    stream = events(
        piece(0, id="a", function={"name": "f", "arguments": ""}),
        piece(1, id="b", function={"name": "g", "arguments": '{"y":'}),
        piece(0, function={"arguments": '{"x":1}'}), piece(1, function={"arguments": "2}"}),
        chunk({}, "tool_calls"),
    )  # fmt: skip
    said = example("openai", CHAT, stream)["messages"][-1]
    assert said["content"] is None
    assert [(call["id"], call["function"]) for call in said["tool_calls"]] == [
        ("a", {"name": "f", "arguments": '{"x":1}'}),
        ("b", {"name": "g", "arguments": '{"y":2}'}),
    ]


@pytest.mark.parametrize(
    ("request_", "response", "why"),
    [
        (None, CHAT_SAID, "no JSON object"),
        ({"contents": []}, CHAT_SAID, "no messages"),
        ({"messages": []}, CHAT_SAID, "no messages"),
        ({"messages": ["x"]}, CHAT_SAID, "without a role"),
        (CHAT, None, "no response"),
        (CHAT, {"error": {"message": "no"}}, "no answer"),
        (CHAT, {"choices": [{"message": {"content": ""}}]}, "says nothing"),
        (CHAT, events(chunk({"content": "Sev"}), done=False), "cut"),
        (MESSAGES, events(*MESSAGES_PARTS[:4], done=False), "cut"),
        (CHAT, "no events", "cut"),
        ({"input": [{"type": "item_reference", "id": "x"}]}, RESPONSES_SAID, "input"),
    ],
)
def test_what_makes_no_example_says_why(request_: Any, response: Any, why: str) -> None:
    for shape in ("openai", "anthropic"):
        with pytest.raises(NoExample, match=why):
            example(shape, request_, response)


def test_nothing_else_is_raised() -> None:
    """Any part of a call may be anything: rows are edited by hand."""
    seed = random.randrange(10**9)
    print("seed", seed)
    chance = random.Random(seed)
    odd = [None, 0, 1.5, True, "", "x", [], {}, [None], {"type": "text"}, ["x"], {"a": {}}]

    def broken(value: Any) -> Any:
        if chance.random() < 0.06:
            return chance.choice(odd)
        if isinstance(value, dict):
            return {name: broken(one) for name, one in value.items() if chance.random() > 0.02}
        return [broken(one) for one in value] if isinstance(value, list) else value

    made = refused = 0
    for _ in range(3000):
        request, response = chance.choice(CALLS)
        if isinstance(response, str):
            whole = [*MESSAGES_PARTS, chunk({"content": "x"}), chunk({}, "stop")]
            parts = [broken(part) for part in whole]
            response = events(*(part for part in parts if isinstance(part, dict)))
        for shape in ("openai", "anthropic"):
            try:
                json.dumps(example(shape, broken(request), broken(response)))
                made += 1
            except NoExample:
                refused += 1
    assert (made > 0, refused > 0, made + refused) == (
        True,
        True,
        6000,
    )  # or it tried one kind only
