"""A client that speaks Anthropic's Messages API: its requests as chat bodies."""

import copy

import pytest
from openai.types.chat import completion_create_params

from appliance.errors import Refusal
from appliance.providers.dialects.anthropic import request_from_chat, request_to_chat
from tests.providers.dialects.official import CLAUDE, check_request

MARK = {"type": "ephemeral"}
HELLO = {"role": "user", "content": "Hello"}
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}
PNG = {"type": "base64", "media_type": "image/png", "data": "AAAA"}
PDF = {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0x"}
# The gateway's own fields, which the SDK's types do not have.
OWN = {"top_k", "reasoning_options", "context_editing", "plugins", "cache_control"}


def chat_of(**body):
    given = {"model": "claude", "max_tokens": 100, "messages": [HELLO], **body}
    before = copy.deepcopy(given)
    chat = request_to_chat(given)
    assert given == before
    return chat


def messages(*given):
    return chat_of(messages=list(given))["messages"]


def test_the_smallest_request():
    chat = chat_of()
    assert chat == {"model": "claude", "max_tokens": 100, "messages": [HELLO]}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"temperature": 0, "top_p": 0.5, "top_k": 3},
         {"temperature": 0, "top_p": 0.5, "top_k": 3}),
        ({"stop_sequences": ["A", "B"]}, {"stop": ["A", "B"]}),
        ({"stream": True}, {"stream": True, "stream_options": {"include_usage": True}}),
        ({"stream": False}, {}),
        ({"metadata": {"user_id": "u"}}, {"user": "u"}),
        ({"service_tier": "auto"}, {"service_tier": "auto"}),
        ({"service_tier": "standard_only"}, {"service_tier": "default"}),
        ({"cache_control": MARK}, {"cache_control": MARK}),
        ({"thinking": {"type": "enabled", "budget_tokens": 2048}},
         {"reasoning_effort": "low", "reasoning_options": {"budget_tokens": 2048}}),
        ({"thinking": {"type": "enabled", "budget_tokens": 8000}},
         {"reasoning_effort": "medium", "reasoning_options": {"budget_tokens": 8000}}),
        ({"thinking": {"type": "enabled", "budget_tokens": 20000}},
         {"reasoning_effort": "high", "reasoning_options": {"budget_tokens": 20000}}),
        ({"thinking": {"type": "adaptive"}}, {"reasoning_effort": "high"}),
        ({"thinking": {"type": "adaptive"}, "output_config": {"effort": "max"}},
         {"reasoning_effort": "max"}),
        ({"thinking": {"type": "disabled"}}, {"reasoning_effort": "none"}),
        ({"output_config": {"effort": "low"}}, {"reasoning_effort": "low"}),
        ({"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}},
         {"response_format": {"type": "json_schema", "json_schema": {
             "name": "response", "schema": SCHEMA, "strict": True}}}),
        ({"tools": [{"name": "f", "description": "d", "input_schema": SCHEMA,
                     "cache_control": MARK, "strict": True, "type": "custom"}]},
         {"tools": [{"type": "function", "cache_control": MARK, "function": {
             "name": "f", "description": "d", "parameters": SCHEMA, "strict": True}}]}),
        ({"tools": [{"type": "web_search_20250305", "name": "web_search", "max_uses": 2}]},
         {"plugins": [{"id": "web", "max_uses": 2}]}),
        ({"context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]}},
         {"context_editing": {"enabled": True, "clear_thinking": {"keep": "all"}}}),
        ({"context_management": {"edits": []}}, {"context_editing": {"enabled": False}}),
        ({"speed": "standard", "mcp_servers": [], "container": None}, {}),
    ],
)  # fmt: skip
def test_settings(body, expected):
    chat = chat_of(**body)
    assert {
        name: chat[name] for name in set(chat) - {"model", "max_tokens", "messages"}
    } == expected


@pytest.mark.parametrize(
    ("choice", "expected", "parallel"),
    [
        ({"type": "auto"}, "auto", None),
        ({"type": "any", "disable_parallel_tool_use": True}, "required", False),
        ({"type": "none"}, "none", None),
        (
            {"type": "tool", "name": "f"},
            {"type": "function", "function": {"name": "f"}},
            None,
        ),
    ],
)
def test_tool_choice(choice, expected, parallel):
    chat = chat_of(tools=[{"name": "f", "input_schema": SCHEMA}], tool_choice=choice)
    assert chat["tool_choice"] == expected
    assert chat.get("parallel_tool_calls") is parallel


def test_the_system_prompt():
    assert chat_of(system="S")["messages"][0] == {"role": "system", "content": "S"}
    blocks = [{"type": "text", "text": "S", "cache_control": MARK}]
    assert chat_of(system=blocks)["messages"][0] == {"role": "system", "content": blocks}
    later = {"role": "system", "content": "Now in French."}
    assert messages(HELLO, later) == [HELLO, later]


@pytest.mark.parametrize(
    ("block", "part"),
    [
        ({"type": "text", "text": "a", "cache_control": MARK},
         {"type": "text", "text": "a", "cache_control": MARK}),
        ({"type": "image", "source": PNG},
         {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}),
        ({"type": "image", "source": {"type": "url", "url": "https://a.test/b.png"}},
         {"type": "image_url", "image_url": {"url": "https://a.test/b.png"}}),
        ({"type": "document", "source": PDF, "title": "a.pdf"},
         {"type": "file", "file": {
             "file_data": "data:application/pdf;base64,JVBERi0x", "filename": "a.pdf"}}),
        ({"type": "document", "source": {"type": "file", "file_id": "file_1"}},
         {"type": "file", "file": {"file_id": "file_1"}}),
        ({"type": "document", "source": {"type": "text", "media_type": "text/plain",
                                         "data": "d"}},
         {"type": "text", "text": "d"}),
        ({"type": "document", "source": PDF, "citations": {"enabled": True}},
         {"type": "document", "source": PDF, "citations": {"enabled": True}}),
    ],
)  # fmt: skip
def test_blocks(block, part):
    assert messages({"role": "user", "content": [block]}) == [{"role": "user", "content": [part]}]


def test_a_conversation_with_tools():
    said = messages(
        HELLO,
        {"role": "assistant", "content": [
            {"type": "thinking", "thinking": "T", "signature": "s"},
            {"type": "redacted_thinking", "data": "d"},
            {"type": "text", "text": "Wait", "citations": None},
            {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": 1},
             "caller": {"type": "direct"}},
        ]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "toolu_1", "content": "sunny"},
            {"type": "tool_result", "tool_use_id": "toolu_2", "is_error": True,
             "content": [{"type": "image", "source": PNG}]},
            {"type": "tool_result", "tool_use_id": "toolu_3"},
            {"type": "text", "text": "and?"},
        ]},
    )  # fmt: skip
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    assert said == [
        HELLO,
        {"role": "assistant", "content": "Wait", "reasoning": "T",
         "reasoning_details": [{"thinking": "T", "signature": "s"}, {"data": "d"}],
         "tool_calls": [{"id": "toolu_1", "type": "function",
                         "function": {"name": "f", "arguments": '{"a":1}'}}]},
        {"role": "tool", "tool_call_id": "toolu_1", "content": "sunny"},
        {"role": "tool", "tool_call_id": "toolu_2", "content": [image], "is_error": True},
        {"role": "tool", "tool_call_id": "toolu_3", "content": ""},
        {"role": "user", "content": [{"type": "text", "text": "and?"}]},
    ]  # fmt: skip


def test_what_openai_knows_fits_its_types():
    chat = chat_of(
        system="S", temperature=0.1, stop_sequences=["A"], tool_choice={"type": "any"},
        tools=[{"name": "f", "input_schema": SCHEMA}], metadata={"user_id": "u"},
        thinking={"type": "enabled", "budget_tokens": 2048},
        messages=[
            HELLO,
            {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "f",
                                               "input": {}}]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "t", "content": "x"},
                {"type": "image", "source": PNG}]},
        ],
    )  # fmt: skip
    fields = {name: value for name, value in chat.items() if name not in OWN}
    check_request(completion_create_params.CompletionCreateParamsNonStreaming, fields)


@pytest.mark.parametrize(
    "body",
    [
        {"system": "S"},
        {"system": [{"type": "text", "text": "S", "cache_control": MARK}], "stream": True},
        {"tools": [{"name": "f", "input_schema": SCHEMA, "cache_control": MARK}],
         "tool_choice": {"type": "any", "disable_parallel_tool_use": True}},
        {"tools": [{"type": "web_search_20250305", "name": "web_search", "max_uses": 2}]},
        {"max_tokens": 9000, "thinking": {"type": "enabled", "budget_tokens": 2048},
         "temperature": 1},
        {"thinking": {"type": "disabled"}, "stop_sequences": ["A"], "top_k": 3},
        {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}},
         "metadata": {"user_id": "u"}},
        {"context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]}},
        {"messages": [
            {"role": "user", "content": [
                {"type": "text", "text": "a", "cache_control": MARK},
                {"type": "image", "source": PNG},
                {"type": "document", "source": PDF, "title": "a.pdf"},
                {"type": "document", "source": PDF, "citations": {"enabled": True}},
            ]},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "T", "signature": "s"},
                {"type": "redacted_thinking", "data": "d"},
                {"type": "text", "text": "Wait"},
                {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": 1}},
                {"type": "tool_use", "id": "toolu_2", "name": "f", "input": {}},
            ]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "toolu_1", "content": "sunny"},
                {"type": "tool_result", "tool_use_id": "toolu_2", "is_error": True,
                 "content": [{"type": "image", "source": PNG}], "cache_control": MARK},
            ]},
        ]},
    ],
)  # fmt: skip
def test_anthropic_to_chat_to_anthropic_is_what_it_was(body):
    body = {"model": CLAUDE.provider_model_id, "max_tokens": 100, "messages": [HELLO], **body}
    chat = {**request_to_chat(body), "prompt_cache_options": {"mode": "explicit"}}
    assert request_from_chat(chat, model=CLAUDE, stream=bool(body.get("stream"))) == body


def user(*blocks):
    return {"messages": [{"role": "user", "content": list(blocks)}]}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"model": None}, "model"),
        ({"max_tokens": None}, "max_tokens"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"messages": "Hi"}, "messages"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{**HELLO, "name": "x"}]}, "messages[0].name"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"container": {"id": "c"}}, "container"),
        ({"mcp_servers": [{"url": "x"}]}, "mcp_servers"),
        ({"speed": "fast"}, "speed"),
        ({"inference_geo": "us"}, "inference_geo"),
        ({"metadata": {"team": "a"}}, "metadata.team"),
        ({"service_tier": "flex"}, "service_tier"),
        ({"thinking": {"type": "between_tools"}}, "thinking.type"),
        ({"thinking": {"type": "enabled"}}, "thinking.budget_tokens"),
        ({"output_config": {"effort": "extreme"}}, "output_config.effort"),
        ({"output_config": {"format": {"type": "text"}}}, "output_config.format.type"),
        ({"tool_choice": {"type": "maybe"}}, "tool_choice.type"),
        ({"tools": [{"type": "bash_20250124", "name": "bash"}]}, "tools[0].type"),
        ({"tools": [{"name": "f"}]}, "tools[0].input_schema"),
        ({"tools": [{"name": "f", "input_schema": {}, "defer_loading": True}]},
         "tools[0].defer_loading"),
        ({"context_management": {"edits": [{"type": "compact_20260112"}]}},
         "context_management.edits[0].type"),
        ({"system": [{"type": "image", "source": PNG}]}, "system[0].type"),
        (user({"type": "search_result"}), "messages[0].content[0].type"),
        (user({"type": "image", "source": {"type": "file", "file_id": "f"}}),
         "messages[0].content[0].source.type"),
        (user({"type": "tool_result"}), "messages[0].content[0].tool_use_id"),
        ({"messages": [{"role": "assistant", "content": [{"type": "server_tool_use"}]}]},
         "messages[0].content[0].type"),
    ],
)  # fmt: skip
def test_what_cannot_be_expressed_is_named(body, field):
    with pytest.raises(Refusal) as caught:
        chat_of(**body)
    assert (caught.value.status, caught.value.code) == (400, "invalid_format")
    assert caught.value.message.startswith(f"{field}: ")
