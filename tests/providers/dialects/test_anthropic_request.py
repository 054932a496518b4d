"""Chat bodies as Anthropic's Messages requests, field by field (`proxy.md 11.1`)."""

import base64
import copy

import pytest
from anthropic.types import message_create_params
from anthropic.types.beta import message_create_params as beta_create_params

from appliance.providers.dialects.anthropic import (
    headers_for,
    request_from_chat,
    without_cache_control,
)
from tests.providers.dialects.official import CLAUDE, check_request

HELLO = {"role": "user", "content": "Hello"}
# The API takes these, the newest SDK no longer types them.
SAMPLING = ("temperature", "top_p", "top_k")
MARK = {"type": "ephemeral"}
HOUR = {"type": "ephemeral", "ttl": "1h"}
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Today's weather",
        "parameters": {
            "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"],
            "additionalProperties": False,
        },
    },
}  # fmt: skip
NOW = {"type": "function", "function": {"name": "now"}}
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}


def body_of(**chat):
    """The body for a chat that marks its own cache breakpoints, so that none is added."""
    given = {"model": "claude", "messages": [HELLO], **chat}
    before = copy.deepcopy(given)
    body = request_from_chat(given, model=CLAUDE, stream=False)
    assert given == before
    beta = "context_management" in body
    kind = beta_create_params if beta else message_create_params
    fields = {name: value for name, value in body.items() if name not in SAMPLING}
    check_request(kind.MessageCreateParamsNonStreaming, fields)
    return body


def turns(*messages):
    """The turns of a chat without the default breakpoint."""
    return body_of(messages=list(messages), prompt_cache_options={"mode": "explicit"})["messages"]


def content(*parts):
    return turns({"role": "user", "content": list(parts)})[0]["content"]


def test_the_smallest_chat():
    assert body_of(prompt_cache_options={"mode": "explicit"}) == {
        "model": "claude-sonnet-4-5-20250929",
        "max_tokens": 64000,
        "messages": [HELLO],
    }


@pytest.mark.parametrize(
    ("chat", "expected"),
    [
        ({"max_completion_tokens": 5, "max_tokens": 9}, {"max_tokens": 5}),
        ({"max_tokens": 9}, {"max_tokens": 9}),
        ({"temperature": 0, "top_p": 0.5}, {"temperature": 0, "top_p": 0.5}),
        ({"top_k": 3}, {"top_k": 3}),
        ({"stop": "END"}, {"stop_sequences": ["END"]}),
        ({"stop": ["A", "B"]}, {"stop_sequences": ["A", "B"]}),
        ({"stop": None}, {"stop_sequences": None}),
        ({"user": "u"}, {"metadata": {"user_id": "u"}}),
        ({"user": "u", "prompt_cache_key": "p"}, {"metadata": {"user_id": "p"}}),
        (
            {"user": "u", "prompt_cache_key": "p", "safety_identifier": "s"},
            {"metadata": {"user_id": "s"}},
        ),
        ({"metadata": {"user_id": "m"}}, {"metadata": {"user_id": "m"}}),
        ({"service_tier": "auto"}, {"service_tier": "auto"}),
        ({"service_tier": "default"}, {"service_tier": "standard_only"}),
        ({"cache_control": MARK}, {"cache_control": MARK}),
        ({"response_format": {"type": "text"}}, {"output_config": None}),
        (
            {"response_format": {
                "type": "json_schema",
                "json_schema": {"name": "n", "schema": SCHEMA, "strict": True},
            }},
            {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}},
        ),
        ({"thinking": {"type": "adaptive"}}, {"thinking": {"type": "adaptive"}}),
    ],
)  # fmt: skip
def test_settings(chat, expected):
    body = body_of(**chat)
    assert {name: body.get(name) for name in expected} == expected


def test_values_that_ask_for_nothing_are_left_out():
    neutral = {
        "n": 1, "logprobs": False, "top_logprobs": 0, "frequency_penalty": 0,
        "presence_penalty": 0.0, "logit_bias": {}, "seed": None, "store": False, "metadata": {},
        "modalities": ["text"], "verbosity": "medium", "parallel_tool_calls": True,
        "stream_options": {"include_usage": True}, "audio": None, "functions": [],
        "prompt_cache_retention": "in_memory", "tools": [], "tool_choice": "auto", "plugins": [],
        "disable_reasoning": False, "prompt_cache_options": {"mode": "explicit"},
    }  # fmt: skip
    assert set(body_of(**neutral)) == {"model", "max_tokens", "messages"}


def test_streaming_is_what_the_caller_says():
    chat = {"messages": [HELLO], "stream": True}
    assert "stream" not in request_from_chat(chat, model=CLAUDE, stream=False)
    assert request_from_chat(chat, model=CLAUDE, stream=True)["stream"] is True


@pytest.mark.parametrize(
    ("chat", "thinking"),
    [
        ({"reasoning_effort": "low"}, {"type": "enabled", "budget_tokens": 32000}),
        ({"reasoning_effort": "high", "max_tokens": 9001},
         {"type": "enabled", "budget_tokens": 4500}),
        ({"reasoning_effort": "minimal", "max_tokens": 1500},
         {"type": "enabled", "budget_tokens": 1024}),
        ({"reasoning_effort": "high", "reasoning_options": {"budget_tokens": 2000}},
         {"type": "enabled", "budget_tokens": 2000}),
        ({"reasoning_options": {"budget_tokens": 2000}},
         {"type": "enabled", "budget_tokens": 2000}),
        ({"reasoning_effort": "none"}, {"type": "disabled"}),
        ({"disable_reasoning": True}, {"type": "disabled"}),
        ({"reasoning_options": {"thinking_level": "low"}}, None),
        ({}, None),
    ],
)  # fmt: skip
def test_reasoning(chat, thinking):
    body = body_of(temperature=0.2, **chat)
    assert body.get("thinking") == thinking
    enabled = thinking is not None and thinking["type"] == "enabled"
    assert body["temperature"] == (1 if enabled else 0.2)


def test_system_prompts():
    def system(*messages):
        return body_of(messages=[*messages, HELLO])["system"]

    one = {"role": "system", "content": "One"}
    assert system(one) == "One"
    assert system({"role": "developer", "content": "Dev"}) == "Dev"
    blocks = [{"type": "text", "text": "One"}, {"type": "text", "text": "Two"}]
    assert system(one, {"role": "developer", "content": "Two"}) == blocks
    parts = {"role": "system", "content": [{"type": "text", "text": "One"}]}
    assert system(parts) == blocks[:1]
    marked = [{"type": "text", "text": "One", "cache_control": HOUR}]
    assert system({**one, "cache_control": HOUR}) == marked
    assert "system" not in body_of(messages=[{"role": "system", "content": ""}, HELLO])
    late = body_of(messages=[HELLO, one], prompt_cache_options={"mode": "explicit"})
    assert (late["system"], late["messages"]) == ("One", [HELLO])


@pytest.mark.parametrize(
    ("part", "block"),
    [
        ({"type": "text", "text": "Hi"}, {"type": "text", "text": "Hi"}),
        (
            {"type": "text", "text": "Hi", "cache_control": HOUR},
            {"type": "text", "text": "Hi", "cache_control": HOUR},
        ),
        (
            {"type": "text", "text": "Hi", "prompt_cache_breakpoint": {"mode": "explicit"}},
            {"type": "text", "text": "Hi", "cache_control": MARK},
        ),
        (
            {"type": "image_url", "image_url": {"url": "https://a.test/b.png", "detail": "high"}},
            {"type": "image", "source": {"type": "url", "url": "https://a.test/b.png"}},
        ),
        (
            {"type": "image_url", "image_url": {"url": "data:image/jpg;base64,AAAA"},
             "cache_control": MARK},
            {"type": "image",
             "source": {"type": "base64", "media_type": "image/jpeg", "data": "AAAA"},
             "cache_control": MARK},
        ),
        (
            {"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBERi0x",
                                      "filename": "a.pdf"}},
            {"type": "document", "title": "a.pdf",
             "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0x"}},
        ),
        (
            {"type": "file", "file": {"file_data": "JVBERi0x"}},
            {"type": "document",
             "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0x"}},
        ),
        (
            {"type": "file", "file": {
                "file_data": "data:text/csv;base64," + base64.b64encode("ä;b".encode()).decode()}},
            {"type": "document",
             "source": {"type": "text", "media_type": "text/plain", "data": "ä;b"}},
        ),
        (
            {"type": "file", "file": {"file_data": "data:image/png;base64,AAAA"}},
            {"type": "image",
             "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
        ),
        (
            {"type": "file", "file": {"file_id": "file_1"}},
            {"type": "document", "source": {"type": "file", "file_id": "file_1"}},
        ),
        (
            {"type": "file", "file": {"file_url": "https://a.test/b.pdf"}},
            {"type": "document", "source": {"type": "url", "url": "https://a.test/b.pdf"}},
        ),
        (
            {"type": "document", "source": {"type": "text", "media_type": "text/plain",
                                            "data": "d"}, "citations": {"enabled": True}},
            {"type": "document", "source": {"type": "text", "media_type": "text/plain",
                                            "data": "d"}, "citations": {"enabled": True}},
        ),
    ],
)  # fmt: skip
def test_parts(part, block):
    assert content(part) == [block]


def test_texts_without_a_character_are_left_out():
    image = {"type": "image_url", "image_url": {"url": "https://a.test/b.png"}}
    assert len(content({"type": "text", "text": ""}, image)) == 1


CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}


def test_a_conversation_with_tools():
    second = {**CALL, "id": "functions.now:1",
              "function": {"name": "now", "arguments": '{"zone": "CET"}'}}  # fmt: skip
    said = turns(
        HELLO,
        {"role": "assistant", "content": "Wait", "tool_calls": [CALL, second], "name": None},
        {"role": "tool", "tool_call_id": "call_1", "content": "sunny", "name": "weather"},
        {"role": "tool", "tool_call_id": "functions.now:1", "is_error": True,
         "content": [{"type": "text", "text": "no clock"}]},
        HELLO,
    )  # fmt: skip
    odd_id = said[1]["content"][2]["id"]
    assert odd_id.startswith("toolu_")
    assert said == [
        HELLO,
        {"role": "assistant", "content": [
            {"type": "text", "text": "Wait"},
            {"type": "tool_use", "id": "call_1", "name": "weather", "input": {}},
            {"type": "tool_use", "id": odd_id, "name": "now", "input": {"zone": "CET"}},
        ]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "call_1", "content": "sunny"},
            {"type": "tool_result", "tool_use_id": odd_id, "is_error": True,
             "content": [{"type": "text", "text": "no clock"}]},
        ]},
        HELLO,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ({"content": "Hi"}, "Hi"),
        ({"content": "Hi", "refusal": None, "annotations": [], "tool_calls": None}, "Hi"),
        ({"content": None, "refusal": "No."}, [{"type": "text", "text": "No."}]),
        ({"content": [{"type": "refusal", "refusal": "No."}]}, [{"type": "text", "text": "No."}]),
        (
            {"content": "Hi", "reasoning": "ignored", "reasoning_details": [
                {"thinking": "T", "signature": "s"}, {"data": "d"}]},
            [
                {"type": "thinking", "thinking": "T", "signature": "s"},
                {"type": "redacted_thinking", "data": "d"},
                {"type": "text", "text": "Hi"},
            ],
        ),
        (
            {"content": "Hi", "reasoning": "T"},
            [
                {"type": "thinking", "thinking": "T", "signature": ""},
                {"type": "text", "text": "Hi"},
            ],
        ),
        (
            {"content": "Hi", "cache_control": MARK},
            [{"type": "text", "text": "Hi", "cache_control": MARK}],
        ),
    ],
)  # fmt: skip
def test_what_the_assistant_said(message, expected):
    assert turns(HELLO, {"role": "assistant", **message})[1]["content"] == expected


def test_an_assistant_that_said_nothing_is_no_turn():
    assert turns(HELLO, {"role": "assistant", "content": None}, HELLO) == [HELLO, HELLO]


def test_tools():
    marked = {**NOW, "cache_control": HOUR}
    strict = {"type": "function", "function": {**WEATHER["function"], "strict": True}}
    tools = body_of(tools=[WEATHER, marked, strict])["tools"]
    weather = {
        "name": "weather", "description": "Today's weather",
        "input_schema": WEATHER["function"]["parameters"],
    }  # fmt: skip
    assert tools == [
        weather,
        {"name": "now", "input_schema": {"type": "object", "properties": {}},
         "cache_control": HOUR},
        {**weather, "strict": True},
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("chat", "expected"),
    [
        ({}, None),
        ({"tool_choice": "auto"}, {"type": "auto"}),
        ({"tool_choice": "none"}, {"type": "none"}),
        ({"tool_choice": "required"}, {"type": "any"}),
        (
            {"tool_choice": {"type": "function", "function": {"name": "now"}}},
            {"type": "tool", "name": "now"},
        ),
        ({"parallel_tool_calls": False}, {"type": "auto", "disable_parallel_tool_use": True}),
        (
            {"parallel_tool_calls": False, "tool_choice": "required"},
            {"type": "any", "disable_parallel_tool_use": True},
        ),
        ({"parallel_tool_calls": False, "tool_choice": "none"}, {"type": "none"}),
    ],
)
def test_tool_choice(chat, expected):
    assert body_of(tools=[WEATHER, NOW], **chat).get("tool_choice") == expected


def test_allowed_tools_are_the_tools():
    allowed = {"mode": "required", "tools": [{"type": "function", "function": {"name": "now"}}]}
    choice = {"type": "allowed_tools", "allowed_tools": allowed}
    body = body_of(tools=[WEATHER, NOW], tool_choice=choice)
    assert [tool["name"] for tool in body["tools"]] == ["now"]
    assert body["tool_choice"] == {"type": "any"}


SEARCH = {"type": "web_search_20250305", "name": "web_search"}


@pytest.mark.parametrize(
    ("chat", "expected"),
    [
        ({"plugins": [{"id": "web"}]}, SEARCH),
        (
            {"plugins": [{"id": "web", "max_uses": 3, "blocked_domains": ["a.test"]}]},
            {**SEARCH, "max_uses": 3, "blocked_domains": ["a.test"]},
        ),
        ({"web_search_options": {}}, SEARCH),
        (
            {"web_search_options": {"user_location": {
                "type": "approximate", "approximate": {"city": "Berlin", "country": "DE"}}}},
            {**SEARCH,
             "user_location": {"type": "approximate", "city": "Berlin", "country": "DE"}},
        ),
        ({"tools": [{"type": "function", "function": {"name": "web_search"}}]}, SEARCH),
        (
            {"tools": [{"type": "function", "function": {
                "name": "web_search", "parameters": {"max_uses": 2}}}]},
            {**SEARCH, "max_uses": 2},
        ),
        (
            {"tools": [{"type": "function", "function": {
                "name": "web_search", "parameters": SCHEMA}}]},
            {"name": "web_search", "input_schema": SCHEMA},
        ),
    ],
)  # fmt: skip
def test_web_search(chat, expected):
    assert body_of(**chat)["tools"] == [expected]


def test_a_search_is_asked_for_once():
    own = {"type": "function", "function": {"name": "web_search", "parameters": SCHEMA}}
    assert len(body_of(tools=[own], plugins=[{"id": "web"}])["tools"]) == 1


@pytest.mark.parametrize(
    ("editing", "edits"),
    [
        ({"enabled": True}, [{"type": "clear_tool_uses_20250919"}]),
        (
            {"enabled": True, "clear_tool_uses": {"keep": {"type": "tool_uses", "value": 3}},
             "clear_thinking": {"keep": "all"}},
            [
                {"type": "clear_thinking_20251015", "keep": "all"},
                {"type": "clear_tool_uses_20250919", "keep": {"type": "tool_uses", "value": 3}},
            ],
        ),
    ],
)  # fmt: skip
def test_context_editing(editing, edits):
    body = body_of(context_editing=editing)
    assert body["context_management"] == {"edits": edits}
    assert headers_for(body)["anthropic-beta"] == "context-management-2025-06-27"


def test_context_editing_that_is_off():
    assert "context_management" not in body_of(context_editing={"enabled": False})


def test_headers():
    assert headers_for(body_of()) == {"anthropic-version": "2023-06-01"}
    file = {"type": "file", "file": {"file_id": "file_1"}}
    held = body_of(messages=[{"role": "user", "content": [file]}])
    assert headers_for(held)["anthropic-beta"] == "files-api-2025-04-14"


MARKED_HELLO = [{"type": "text", "text": "Hello", "cache_control": MARK}]


@pytest.mark.parametrize(
    ("chat", "expected"),
    [
        ({}, MARKED_HELLO),
        ({"messages": [HELLO, {"role": "assistant", "content": "A"}, HELLO]}, MARKED_HELLO),
        ({"messages": [{"role": "system", "content": "S", "cache_control": MARK}, HELLO]}, "Hello"),
        ({"tools": [{**NOW, "cache_control": MARK}]}, "Hello"),
        ({"cache_control": MARK}, "Hello"),
        ({"prompt_cache_options": {"mode": "explicit"}}, "Hello"),
        ({"messages": [{"role": "user", "content": ""}]}, ""),
    ],
)
def test_the_default_breakpoint_is_for_those_who_set_none(chat, expected):
    assert body_of(**chat)["messages"][-1]["content"] == expected


def test_the_default_breakpoint_is_on_the_last_result():
    tool = {"role": "tool", "tool_call_id": "call_1", "content": "sunny"}
    last = body_of(messages=[HELLO, {"role": "assistant", "tool_calls": [CALL]}, tool])
    assert last["messages"][-1]["content"][0]["cache_control"] == MARK


def test_thoughts_take_no_breakpoint():
    thought = {"role": "assistant", "content": None, "reasoning": "T"}
    for marks in ({}, {"cache_control": MARK}):
        last = body_of(messages=[HELLO, {**thought, **marks}])["messages"][-1]
        assert last["content"] == [{"type": "thinking", "thinking": "T", "signature": ""}]


def test_all_breakpoints_can_be_taken_out():
    part = {"type": "text", "text": "x", "cache_control": MARK}
    body = body_of(
        messages=[
            {"role": "system", "content": [part]},
            {"role": "user", "content": [part]},
            {"role": "assistant", "tool_calls": [CALL]},
            {"role": "tool", "tool_call_id": "call_1", "content": [part], "cache_control": MARK},
        ],
        tools=[{**NOW, "cache_control": MARK}],
        cache_control=MARK,
    )
    assert "cache_control" not in str(without_cache_control(body))
