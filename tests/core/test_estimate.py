"""Estimates against counted chats, and the shapes that requests and replies come in."""

from statistics import median
from typing import Any

import msgspec
import pytest

from appliance.core.estimate import estimate, output_tokens, prompt_tokens
from appliance.core.json_reader import read_lazily
from appliance.core.text_tokens import CHARACTERS_MAX, text_tokens
from appliance.core.usage_types import Usage
from tests.core.held_out_chats import RECORDED, WRITTEN
from tests.core.recorded_chats import CHATS, CODE, PROSE


def errors(column: int, chats: list[Any] = CHATS) -> list[float]:
    found = []
    for _, request, answer, prompt, completion in chats:
        events = [
            {"choices": [{"delta": {"content": answer[i : i + 4]}}]}
            for i in range(0, len(answer), 4)
        ]
        usage = estimate(request, events, dialect="openai", path="/v1/chat/completions", ended=True)
        counted = (prompt, completion)[column]
        found.append(abs((usage.input, usage.output)[column] / counted - 1))
    return found


def test_the_median_error_is_at_most_ten_percent():
    assert median(errors(0)) <= 0.10
    assert median(errors(1)) <= 0.10
    assert max(errors(0)) <= 0.30


def test_so_it_is_on_chats_that_nothing_was_fitted_to():
    for column in (0, 1):
        assert median(errors(column, WRITTEN)) <= 0.06
        assert max(errors(column, WRITTEN)) <= 0.20


def recorded_errors() -> list[float]:
    found = []
    for _, dialect, path, request, reply, counted, said in RECORDED:
        documents = [] if reply is None else [reply]
        usage = estimate(request, documents, dialect=dialect, path=path, ended=False)
        found.append(abs(usage.input / counted - 1))
        if said:
            found.append(abs(usage.output / said - 1))
    return found


def test_so_it_is_on_what_providers_counted_with_tools_schemas_and_thinking():
    assert median(recorded_errors()) <= 0.07
    assert max(recorded_errors()) <= 0.15


def test_a_call_of_a_tool_counts_the_same_in_a_stream():
    call = {"index": 0, "id": "call_1", "function": {"name": "look_up", "arguments": ""}}
    pieces = ['{"pl', 'ace": "Kiel', '"}']
    events = [{"choices": [{"delta": {"tool_calls": [call]}}]}] + [
        {"choices": [{"delta": {"tool_calls": [{"index": 0, "function": {"arguments": text}}]}}]}
        for text in pieces
    ]
    whole = {**call, "function": {"name": "look_up", "arguments": "".join(pieces)}}
    reply = [{"choices": [{"message": {"tool_calls": [whole]}}]}]
    assert output_tokens(events, "openai") == output_tokens(reply, "openai")
    started = {"type": "tool_use", "id": "t", "name": "look_up", "input": {}}
    events = [{"type": "content_block_start", "content_block": started}] + [
        {"type": "content_block_delta", "delta": {"partial_json": text}} for text in pieces
    ]
    block = {**started, "input": {"place": "Kiel"}}
    reply = [{"type": "message", "content": [block]}]
    assert output_tokens(events, "anthropic") == pytest.approx(
        output_tokens(reply, "anthropic"), abs=3
    )


@pytest.mark.parametrize(
    "delta",
    [
        {"content": PROSE},
        {"role": "assistant", "content": PROSE[:50], "reasoning": PROSE[50:]},
        {"reasoning_content": PROSE},
        {"content": PROSE, "tool_calls": [{"id": "a", "function": {"name": "f"}}]},
        {"content": [{"type": "text", "text": PROSE}]},
    ],
)
def test_a_stream_read_at_once_counts_as_its_events_do(delta):
    events = [{"id": "1", "choices": [{"index": 0, "delta": d}]} for d in ({"content": ""}, delta)]
    events.append({"choices": []})
    lazy = read_lazily([msgspec.json.encode(event) for event in events])
    assert output_tokens(lazy) == pytest.approx(output_tokens(events), abs=2)
    assert output_tokens(lazy) > 60


@pytest.mark.parametrize(
    ("request_body", "counted"),
    [
        # The two examples that Anthropic's documentation of token counting gives.
        (
            {
                "system": "You are a scientist",
                "messages": [{"role": "user", "content": "Hello, Claude"}],
            },
            14,
        ),
        (
            {
                "tools": [
                    {
                        "name": "get_weather",
                        "description": "Get the current weather in a given location",
                        "input_schema": {
                            "type": "object",
                            "properties": {
                                "location": {
                                    "type": "string",
                                    "description": "The city and state, e.g. San Francisco, CA",
                                }
                            },
                            "required": ["location"],
                        },
                    }
                ],
                "messages": [
                    {"role": "user", "content": "What's the weather like in San Francisco?"}
                ],
            },
            403,
        ),
    ],
)
def test_anthropic(request_body, counted):
    assert prompt_tokens(request_body, "anthropic") == pytest.approx(counted, rel=0.15)


@pytest.mark.parametrize(
    "documents",
    [
        [{"choices": [{"message": {"role": "assistant", "content": PROSE}}]}],
        [{"choices": [{"text": PROSE}]}],
        [{"choices": [{"delta": {"reasoning_content": PROSE[:99]}}]},
         {"choices": [{"delta": {"content": PROSE[99:]}}]}],
        [{"choices": [{"delta": {"tool_calls": [{"function": {"arguments": PROSE}}]}}]}],
        [{"type": "message", "content": [{"type": "text", "text": PROSE}]}],
        [{"type": "message_start", "message": {"content": [], "role": "assistant"}},
         {"type": "content_block_delta", "delta": {"type": "text_delta", "text": PROSE[:99]}},
         {"type": "content_block_delta", "delta": {"thinking": PROSE[99:]}}],
        [{"type": "content_block_start", "content_block": {"type": "text"}},
         {"type": "content_block_delta", "delta": {"partial_json": PROSE}}],
        [{"type": "response.created", "response": {"output": []}},
         {"type": "response.output_text.delta", "delta": PROSE},
         {"type": "response.output_text.done", "text": PROSE},
         {"type": "response.completed", "response": {"output": [{"text": PROSE}]}}],
        [{"object": "response", "output": [{"content": [{"text": PROSE}]}]}],
        [{"candidates": [{"content": {"parts": [{"text": PROSE}]}}]}],
        [{"contentBlockDelta": {"delta": {"text": PROSE}}}],
        [{"response": PROSE[:50], "done": False}, {"response": PROSE[50:], "done": True}],
        [{"message": {"role": "assistant", "content": PROSE}, "done": True}],
        [{"generation": PROSE}],
    ],
)  # fmt: skip
def test_every_shape_of_output_counts_the_same(documents):
    assert output_tokens(documents) == pytest.approx(text_tokens(PROSE), abs=4)


@pytest.mark.parametrize(
    ("request_body", "low", "high"),
    [
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": PROSE}]}]}, 70, 85),
        ({"input": PROSE}, 65, 80),
        ({"input": [{"role": "user", "content": [{"type": "input_text", "text": PROSE}]}]}, 70, 85),
        ({"instructions": PROSE, "input": PROSE}, 130, 160),
        ({"contents": [{"role": "user", "parts": [{"text": PROSE}]}]}, 68, 82),
        ({"systemInstruction": {"parts": [{"text": PROSE}]}, "contents": []}, 65, 80),
        ({"prompt": PROSE}, 65, 80),
        ({"input": [1, 2, 3]}, 3, 3),
        ({"input": [[1, 2, 3], [4, 5]]}, 5, 5),
        ({"input": [PROSE, PROSE]}, 130, 160),
        (
            {"messages": [{"role": "user", "content": [
                {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 9999}}
            ]}]},
            765,
            775,
        ),
        (
            {"messages": [{"role": "assistant", "content": [
                {"type": "tool_use", "id": "x" * 99, "name": "f", "input": {"code": CODE}}
            ]}]},
            90,
            140,
        ),
    ],
)  # fmt: skip
def test_every_shape_of_prompt(request_body, low, high):
    dialect = "gemini" if "contents" in request_body else "openai"
    assert low <= prompt_tokens(request_body, dialect) <= high


def test_what_is_not_charged_by_text_is_not_estimated():
    request = {"input": "a text", "prompt": "a picture"}
    reply = [{"results": [{"flagged": False}]}]
    for path in ("/v1/moderations", "/v1/images/generations", "/v1/audio/speech", "/v1/files"):
        assert estimate(request, reply, dialect="openai", path=path, ended=True) is None
    # A reply that ended without output is of a kind we do not know; one that broke off is not.
    assert estimate(request, reply, dialect="openai", path="/v1/x", ended=True) is None
    assert estimate(request, [], dialect="openai", path="/v1/x", ended=False) is not None
    assert estimate({"a": 1}, [], dialect="openai", path="/v1/x", ended=False) is None
    assert estimate(None, [], dialect="openai", path="/v1/x", ended=False) is None
    embedding = [{"data": [{"embedding": [0.1]}]}]
    usage = estimate({"input": "a text"}, embedding, dialect="openai", path="/v1/e", ended=True)
    assert usage == Usage(input=2)


def test_hostile_shapes_end():
    deep: object = "x"
    for _ in range(5000):
        deep = [deep]
    assert prompt_tokens({"messages": deep}, "openai") is not None
    schema: dict[str, object] = {"type": "object"}
    for _ in range(500):
        schema = {"type": "object", "properties": {"a": schema}, "items": schema}
        if len(str(schema)) > 10_000:
            break
    tools = [{"function": {"name": "f", "parameters": schema}}, 7, {"function": "no"}, {}]
    assert prompt_tokens({"messages": "x", "tools": tools}, "openai") is not None
    assert output_tokens([{"choices": [1, {"delta": 7}, {}], "delta": 5, "message": 3}]) == 0


def test_long_texts_are_sampled():
    long = PROSE * 1000
    assert len(long) > CHARACTERS_MAX
    assert text_tokens(long) == pytest.approx(text_tokens(PROSE) * 1000, rel=0.03)
    assert text_tokens("") == 0
    assert text_tokens("\ud800 x") > 0
