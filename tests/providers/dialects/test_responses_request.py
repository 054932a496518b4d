"""Chat bodies as requests to OpenAI's Responses API, and back again."""

import copy

import pytest
from openai.types.responses import response_create_params

from appliance.errors import Refusal
from appliance.providers.dialects.responses import request_from_chat, request_to_chat
from tests.providers.dialects.official import GPT, check_request

HELLO = {"role": "user", "content": "Hello"}
HELLO_ITEM = {"type": "message", **HELLO}
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}
FUNCTION = {"type": "function", "function": {"name": "f", "description": "d", "parameters": SCHEMA}}
FLAT = {"type": "function", "name": "f", "description": "d", "parameters": SCHEMA, "strict": False}
CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
CUSTOM_CALL = {"id": "call_2", "type": "custom", "custom": {"name": "c", "input": "ls"}}
GRAMMAR = {"syntax": "lark", "definition": "start: x"}


def body_of(**chat):
    given = {"model": "gpt", "messages": [HELLO], **chat}
    before = copy.deepcopy(given)
    body = request_from_chat(given, model=GPT, stream=False)
    assert given == before
    check_request(response_create_params.ResponseCreateParamsNonStreaming, body)
    return body


def items(*messages):
    return body_of(messages=list(messages))["input"]


def test_the_smallest_chat():
    assert body_of() == {"model": "gpt-5", "input": [HELLO_ITEM], "store": False}


@pytest.mark.parametrize(
    ("chat", "expected"),
    [
        ({"max_tokens": 9}, {"max_output_tokens": 9}),
        ({"max_completion_tokens": 5, "max_tokens": 9}, {"max_output_tokens": 5}),
        ({"temperature": 0, "top_p": 0.5, "user": "u", "metadata": {"a": "b"}},
         {"temperature": 0, "top_p": 0.5, "user": "u", "metadata": {"a": "b"}}),
        ({"store": True}, {"store": True}),
        ({"parallel_tool_calls": False}, {"parallel_tool_calls": False}),
        ({"reasoning_effort": "high", "reasoning_options": {"budget_tokens": 9}},
         {"reasoning": {"effort": "high"}, "include": ["reasoning.encrypted_content"]}),
        ({"reasoning_effort": "none"}, {"reasoning": {"effort": "none"}}),
        ({"disable_reasoning": True}, {"reasoning": {"effort": "none"}}),
        ({"logprobs": True, "top_logprobs": 2},
         {"include": ["message.output_text.logprobs"], "top_logprobs": 2}),
        ({"verbosity": "low", "response_format": {"type": "json_object"}},
         {"text": {"format": {"type": "json_object"}, "verbosity": "low"}}),
        ({"response_format": {"type": "json_schema",
                              "json_schema": {"name": "n", "schema": SCHEMA, "strict": True}}},
         {"text": {"format": {"type": "json_schema", "name": "n", "schema": SCHEMA,
                              "strict": True}}}),
        ({"tools": [FUNCTION]}, {"tools": [FLAT]}),
        ({"tools": [{"type": "custom", "custom": {
            "name": "c", "format": {"type": "grammar", "grammar": GRAMMAR}}}]},
         {"tools": [{"type": "custom", "name": "c", "format": {"type": "grammar", **GRAMMAR}}]}),
        ({"tool_choice": "required"}, {"tool_choice": "required"}),
        ({"tool_choice": {"type": "function", "function": {"name": "f"}}},
         {"tool_choice": {"type": "function", "name": "f"}}),
        ({"tool_choice": {"type": "allowed_tools", "allowed_tools": {
            "mode": "required", "tools": [{"type": "function", "function": {"name": "f"}}]}}},
         {"tool_choice": {"type": "allowed_tools", "mode": "required",
                          "tools": [{"type": "function", "name": "f"}]}}),
        ({"web_search_options": {"search_context_size": "low", "user_location": {
            "type": "approximate", "approximate": {"city": "B"}}}},
         {"tools": [{"type": "web_search", "search_context_size": "low",
                     "user_location": {"type": "approximate", "city": "B"}}]}),
        ({"plugins": [{"id": "web", "allowed_domains": ["a.test"]}]},
         {"tools": [{"type": "web_search", "filters": {"allowed_domains": ["a.test"]}}]}),
    ],
)  # fmt: skip
def test_settings(chat, expected):
    body = body_of(**chat)
    left = set(body) - {"model", "input"} - ({"store"} - set(expected))
    assert {name: body[name] for name in left} == expected


def test_streaming():
    chat = {"messages": [HELLO], "stream_options": {"include_usage": True}}
    assert request_from_chat(chat, model=GPT, stream=True)["stream"] is True
    chat["stream_options"]["include_obfuscation"] = False
    body = request_from_chat(chat, model=GPT, stream=True)
    assert body["stream_options"] == {"include_obfuscation": False}


def test_a_conversation():
    said = items(
        {"role": "developer", "content": "D"},
        {"role": "user", "content": [
            {"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}},
            {"type": "image_url", "image_url": {"url": "https://a.test/b.png", "detail": "low"}},
            {"type": "file", "file": {"file_id": "file-1"}},
        ]},
        {"role": "assistant", "content": "Wait", "tool_calls": [CALL, CUSTOM_CALL],
         "reasoning": "T",
         "reasoning_details": [{"thinking": "T", "signature": "s", "id": "rs_9"},
                               {"thinking": "unsigned", "signature": ""}]},
        {"role": "tool", "tool_call_id": "call_1", "content": "no", "is_error": True},
        {"role": "tool", "tool_call_id": "call_2", "content": [{"type": "text", "text": "x"}]},
    )  # fmt: skip
    assert said == [
        {"type": "message", "role": "developer", "content": "D"},
        {"type": "message", "role": "user", "content": [
            {"type": "input_text", "text": "a"},
            {"type": "input_image", "image_url": "https://a.test/b.png", "detail": "low"},
            {"type": "input_file", "file_id": "file-1"},
        ]},
        {"type": "reasoning", "id": "rs_9", "encrypted_content": "s",
         "summary": [{"type": "summary_text", "text": "T"}]},
        {"type": "message", "role": "assistant", "content": [
            {"type": "output_text", "text": "Wait", "annotations": []}]},
        {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": '{"a":1}'},
        {"type": "custom_tool_call", "call_id": "call_2", "name": "c", "input": "ls"},
        {"type": "function_call_output", "call_id": "call_1", "output": "Error: no"},
        {"type": "custom_tool_call_output", "call_id": "call_2",
         "output": [{"type": "input_text", "text": "x"}]},
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("chat", "field"),
    [
        ({"n": 2}, "n"),
        ({"stop": "END"}, "stop"),
        ({"seed": 1}, "seed"),
        ({"logit_bias": {"1": 1}}, "logit_bias"),
        ({"top_k": 3}, "top_k"),
        ({"top_logprobs": 2}, "top_logprobs"),
        ({"modalities": ["audio"]}, "modalities"),
        ({"prediction": {}}, "prediction"),
        ({"functions": [{}]}, "functions"),
        ({"reasoning_options": {"budget_tokens": 9}}, "reasoning_options"),
        ({"messages": [{"role": "function"}]}, "messages[0].role"),
        ({"messages": [{**HELLO, "name": "Ann"}]}, "messages[0].name"),
        (
            {"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]},
            "messages[0].content[0].type",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "document"}]}]},
            "messages[0].content[0].type",
        ),
        ({"tools": [{"type": "mcp"}]}, "tools[0].type"),
        ({"tool_choice": {"type": "mcp"}}, "tool_choice.type"),
    ],
)
def test_what_cannot_be_expressed_is_named(chat, field):
    with pytest.raises(Refusal) as caught:
        body_of(**chat)
    assert (caught.value.status, caught.value.code) == (400, "invalid_format")
    assert caught.value.message.startswith(f"{field}: ")


CHATS = [
    {},
    {"max_tokens": 9, "temperature": 0.5, "top_p": 0.1, "user": "u", "metadata": {"a": "b"}},
    {"reasoning_effort": "high", "verbosity": "low", "parallel_tool_calls": False},
    {"response_format": {"type": "json_schema", "json_schema": {
        "name": "n", "schema": SCHEMA, "strict": True, "description": "d"}}},
    {"response_format": {"type": "json_object"}, "logprobs": True, "top_logprobs": 2},
    {"tools": [{"type": "function", "function": {**FUNCTION["function"], "strict": True}},
               {"type": "custom", "custom": {
                   "name": "c", "format": {"type": "grammar", "grammar": GRAMMAR}}}],
     "tool_choice": "required"},
    {"tool_choice": {"type": "function", "function": {"name": "f"}}, "store": True},
    {"tool_choice": {"type": "allowed_tools", "allowed_tools": {
        "mode": "auto", "tools": [{"type": "function", "function": {"name": "f"}},
                                  {"type": "custom", "custom": {"name": "c"}}]}}},
    {"web_search_options": {"search_context_size": "low", "user_location": {
        "type": "approximate", "approximate": {"city": "B"}}}},
    {"messages": [
        {"role": "system", "content": "S"},
        {"role": "user", "content": [
            {"type": "text", "text": "a"},
            {"type": "image_url", "image_url": {"url": "https://a.test/b.png", "detail": "low"}},
            {"type": "file", "file": {"file_id": "file-1", "filename": "a.pdf"}},
        ]},
        {"role": "assistant", "content": "Wait", "tool_calls": [CALL, CUSTOM_CALL],
         "reasoning": "T", "reasoning_details": [{"thinking": "T", "signature": "s", "id": "rs"}]},
        {"role": "tool", "tool_call_id": "call_1", "content": "no"},
        {"role": "tool", "tool_call_id": "call_2", "content": [{"type": "text", "text": "x"}]},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "call_1", "content": "yes"},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
        {"role": "user", "content": "Why?"},
    ]},
]  # fmt: skip


@pytest.mark.parametrize("chat", CHATS)
def test_chat_to_responses_to_chat_is_what_it_was(chat):
    chat = {"model": "gpt-5", "messages": [HELLO], "store": False, **chat}
    assert request_to_chat(request_from_chat(chat, model=GPT, stream=False)) == chat
