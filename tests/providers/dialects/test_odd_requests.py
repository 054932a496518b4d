"""Whatever a client puts in whatever place of a body: it is translated, or refused with a 400 that
names a field; nothing breaks."""

import copy
import re

import pytest

from appliance.errors import Refusal
from appliance.providers.dialects import anthropic, responses
from tests.providers.dialects.official import CLAUDE, GPT

ODD = [None, True, 7, -1.5, "x", "", [], {}, [None], [[]], {"type": []}, {"type": {}}, ["x"]]
MARK = {"type": "ephemeral"}
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}
FUNCTION = {"name": "f", "description": "d", "parameters": SCHEMA, "strict": True}
CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
CHAT = {
    "model": "m", "max_tokens": 5000, "temperature": 1, "stop": ["A"], "user": "u",
    "metadata": {"user_id": "u"}, "service_tier": "auto", "cache_control": MARK,
    "reasoning_effort": "low", "reasoning_options": {"budget_tokens": 2048},
    "prompt_cache_options": {"mode": "implicit"}, "plugins": [{"id": "web", "max_uses": 2}],
    "stream_options": {"include_usage": True}, "logprobs": False, "top_logprobs": 0,
    "context_editing": {"enabled": True, "clear_thinking": {"keep": "all"}},
    "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA}},
    "web_search_options": {"user_location": {"type": "approximate",
                                             "approximate": {"city": "B"}}},
    "tools": [{"type": "function", "function": FUNCTION, "cache_control": MARK}],
    "tool_choice": {"type": "allowed_tools", "allowed_tools": {
        "mode": "auto", "tools": [{"type": "function", "function": {"name": "f"}}]}},
    "messages": [
        {"role": "system", "content": "S", "cache_control": MARK},
        {"role": "user", "content": [
            {"type": "text", "text": "a", "prompt_cache_breakpoint": {"mode": "explicit"}},
            {"type": "image_url", "image_url": {"url": "https://a.test/b.png", "detail": "auto"}},
            {"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBERi0x",
                                      "filename": "a.pdf"}},
        ]},
        {"role": "assistant", "content": "b", "tool_calls": [CALL], "refusal": "No.",
         "reasoning_details": [{"thinking": "T", "signature": "s"}, {"data": "d"}]},
        {"role": "tool", "tool_call_id": "c", "content": [{"type": "text", "text": "r"}],
         "is_error": True},
    ],
}  # fmt: skip
MESSAGES = {
    "model": "m", "max_tokens": 5000, "system": [{"type": "text", "text": "S"}],
    "thinking": {"type": "enabled", "budget_tokens": 2048}, "metadata": {"user_id": "u"},
    "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": SCHEMA}},
    "service_tier": "auto", "stop_sequences": ["A"], "stream": True,
    "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
    "tool_choice": {"type": "tool", "name": "f", "disable_parallel_tool_use": True},
    "tools": [
        {"name": "f", "description": "d", "input_schema": SCHEMA, "cache_control": MARK},
        {"type": "web_search_20250305", "name": "web_search", "max_uses": 2},
    ],
    "messages": [
        {"role": "user", "content": [
            {"type": "text", "text": "a", "cache_control": MARK},
            {"type": "image", "source": {"type": "base64", "media_type": "image/png",
                                         "data": "AAAA"}},
            {"type": "document", "title": "t", "source": {"type": "url", "url": "https://a.test"}},
        ]},
        {"role": "assistant", "content": [
            {"type": "thinking", "thinking": "T", "signature": "s"},
            {"type": "redacted_thinking", "data": "d"},
            {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1},
             "caller": {"type": "direct"}},
        ]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": "r"}],
             "is_error": True},
        ]},
    ],
}  # fmt: skip
RESPONSES = {
    "model": "m", "instructions": "S", "max_output_tokens": 100, "store": False,
    "reasoning": {"effort": "low", "summary": "auto"}, "include": ["reasoning.encrypted_content"],
    "text": {"format": {"type": "json_schema", "name": "n", "schema": SCHEMA}},
    "tools": [
        {"type": "function", "name": "f", "parameters": SCHEMA, "strict": True},
        {"type": "custom", "name": "c", "format": {"type": "grammar", "syntax": "lark",
                                                   "definition": "x"}},
        {"type": "web_search", "user_location": {"type": "approximate", "city": "B"}},
    ],
    "tool_choice": {"type": "allowed_tools", "mode": "auto",
                    "tools": [{"type": "function", "name": "f"}]},
    "input": [
        {"role": "user", "content": [
            {"type": "input_text", "text": "a"},
            {"type": "input_image", "image_url": "https://a.test/b.png", "detail": "high"},
            {"type": "input_file", "file_id": "f"},
        ]},
        {"type": "reasoning", "id": "rs", "summary": [{"type": "summary_text", "text": "T"}],
         "encrypted_content": "s"},
        {"type": "message", "role": "assistant", "id": "msg", "status": "completed",
         "content": [{"type": "output_text", "text": "b", "annotations": []}]},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "r"},
        {"type": "custom_tool_call", "call_id": "d", "name": "c", "input": "x"},
        {"type": "custom_tool_call_output", "call_id": "d",
         "output": [{"type": "input_text", "text": "r"}]},
    ],
}  # fmt: skip


def to_anthropic(chat):
    return anthropic.headers_for(anthropic.request_from_chat(chat, model=CLAUDE, stream=True))


def to_responses(chat):
    left_out = ("context_editing", "stop")
    rest = {name: value for name, value in chat.items() if name not in left_out}
    return responses.request_from_chat(rest, model=GPT, stream=True)


WAYS = [
    (to_anthropic, CHAT),
    (to_responses, CHAT),
    (anthropic.request_to_chat, MESSAGES),
    (responses.request_to_chat, RESPONSES),
]


def places(value, path=()):
    yield path
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from places(inner, (*path, name))
    elif isinstance(value, list):
        for at, inner in enumerate(value):
            yield from places(inner, (*path, at))


def changed(body, path, value):
    body = copy.deepcopy(body)
    place = body
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return body


def refusal_of(translate, body):
    try:
        translate(body)
    except Refusal as refusal:
        return refusal
    return None


@pytest.mark.parametrize(("translate", "body"), WAYS)
def test_the_bodies_are_right_as_they_are(translate, body):
    assert translate(body)


@pytest.mark.parametrize(("translate", "body"), WAYS)
def test_odd_values_are_translated_or_refused(translate, body):
    bodies = [changed(body, path, odd) for path in places(body) if path for odd in ODD]
    refusals = [refusal for body in bodies if (refusal := refusal_of(translate, body))]
    assert len(refusals) > 100
    assert {(refusal.status, refusal.code) for refusal in refusals} == {(400, "invalid_format")}
    assert not [r.message for r in refusals if not re.match(r"[a-z]\S*: ", r.message)]


@pytest.mark.parametrize(("translate", "body"), WAYS)
def test_unknown_fields_of_a_body_are_named(translate, body):
    with pytest.raises(Refusal, match="frobnicate: "):
        translate({**body, "frobnicate": 1})
    assert translate({**body, "frobnicate": None})
