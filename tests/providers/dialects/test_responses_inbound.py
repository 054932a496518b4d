"""A client that speaks OpenAI's Responses API: its requests as chat bodies (`proxy.md 11.6`)."""

import copy

import pytest
from openai.types.chat import completion_create_params

from appliance.errors import Refusal
from appliance.providers.dialects.responses import request_to_chat
from tests.providers.dialects.official import check_request

HELLO = {"role": "user", "content": "Hello"}
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}
FLAT = {"type": "function", "name": "f", "parameters": SCHEMA, "strict": None, "description": None}
OWN = {"reasoning_options", "context_editing", "image_generation", "top_k"}


def chat_of(**body):
    given = {"model": "gpt", "input": "Hello", **body}
    before = copy.deepcopy(given)
    chat = request_to_chat(given)
    assert given == before
    return chat


def messages(*items):
    return chat_of(input=list(items))["messages"]


def test_the_smallest_request():
    assert chat_of() == {"model": "gpt", "messages": [HELLO]}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"max_output_tokens": 9}, {"max_tokens": 9}),
        ({"stream": True}, {"stream": True, "stream_options": {"include_usage": True}}),
        ({"temperature": 0, "user": "u", "metadata": {"a": "b"}, "service_tier": "flex"},
         {"temperature": 0, "user": "u", "metadata": {"a": "b"}, "service_tier": "flex"}),
        ({"reasoning": {"effort": "high", "summary": "auto"}}, {"reasoning_effort": "high"}),
        ({"reasoning": {"effort": "minimal"}}, {"reasoning_effort": "low"}),
        ({"reasoning": {"effort": None, "summary": None}}, {}),
        ({"text": {"format": {"type": "text"}, "verbosity": "low"}}, {"verbosity": "low"}),
        ({"text": {"format": {"type": "json_object"}}},
         {"response_format": {"type": "json_object"}}),
        ({"text": {"format": {"type": "json_schema", "name": "n", "schema": SCHEMA}}},
         {"response_format": {"type": "json_schema",
                              "json_schema": {"name": "n", "schema": SCHEMA}}}),
        ({"tools": [FLAT]},
         {"tools": [{"type": "function", "function": {"name": "f", "parameters": SCHEMA}}]}),
        ({"tools": [{"type": "web_search", "filters": {"allowed_domains": ["a.test"]}}]},
         {"web_search_options": {"filters": {"allowed_domains": ["a.test"]}}}),
        ({"tool_choice": "required", "parallel_tool_calls": False},
         {"tool_choice": "required", "parallel_tool_calls": False}),
        ({"tool_choice": {"type": "function", "name": "f"}},
         {"tool_choice": {"type": "function", "function": {"name": "f"}}}),
        ({"include": ["reasoning.encrypted_content", "message.output_text.logprobs"]},
         {"logprobs": True}),
        ({"top_logprobs": 3}, {"logprobs": True, "top_logprobs": 3}),
        ({"reasoning_options": {"budget_tokens": 9}, "context_editing": {"enabled": True}},
         {"reasoning_options": {"budget_tokens": 9}, "context_editing": {"enabled": True}}),
        ({"store": False, "background": False, "truncation": "disabled",
          "previous_response_id": None, "conversation": None}, {"store": False}),
    ],
)  # fmt: skip
def test_settings(body, expected):
    chat = chat_of(**body)
    assert {name: chat[name] for name in set(chat) - {"model", "messages"}} == expected
    fields = {name: value for name, value in chat.items() if name not in OWN}
    fields.get("web_search_options", {}).pop("filters", None)
    streaming = "Streaming" if chat.get("stream") else "NonStreaming"
    check_request(getattr(completion_create_params, f"CompletionCreateParams{streaming}"), fields)


def test_instructions_come_first():
    chat = chat_of(instructions="S", input=[{"role": "developer", "content": "D"}, HELLO])
    system = [{"role": "system", "content": "S"}, {"role": "system", "content": "D"}]
    assert chat["messages"] == [*system, HELLO]


LONG_ID = "call_" + "x" * 60


def test_items_become_turns():
    said = messages(
        {"type": "message", "role": "user", "content": [
            {"type": "input_text", "text": "a", "prompt_cache_breakpoint": {"mode": "explicit"}},
            {"type": "input_image", "image_url": "data:image/png;base64,AA", "detail": "high"},
            {"type": "input_file", "file_url": "https://a.test/b.pdf"},
            {"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}},
        ]},
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "T"}],
         "encrypted_content": "s", "status": None},
        {"type": "reasoning", "id": "rs_2", "summary": [],
         "encrypted_content": "redacted_thinking:d"},
        {"type": "function_call", "id": "fc", "call_id": LONG_ID, "name": "f", "arguments": "{}",
         "status": "completed"},
        {"type": "function_call", "call_id": "c2", "name": "g", "arguments": "{}"},
        {"type": "function_call_output", "call_id": LONG_ID, "output": "one"},
        {"type": "function_call_output", "call_id": "c2",
         "output": [{"type": "input_text", "text": "two"}]},
        {"type": "message", "id": "msg", "role": "assistant", "status": "completed",
         "content": [{"type": "output_text", "text": "Yes", "annotations": []},
                     {"type": "output_text", "text": "."}]},
        {"role": "user", "content": "Thanks"},
    )  # fmt: skip
    short = said[1]["tool_calls"][0]["id"]
    assert len(short) <= 40
    assert said[2]["tool_call_id"] == short
    assert said == [
        {"role": "user", "content": [
            {"type": "text", "text": "a", "prompt_cache_breakpoint": {"mode": "explicit"}},
            {"type": "image_url",
             "image_url": {"url": "data:image/png;base64,AA", "detail": "high"}},
            {"type": "file", "file": {"file_url": "https://a.test/b.pdf"}},
            {"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}},
        ]},
        {"role": "assistant", "content": None, "reasoning": "T",
         "reasoning_details": [{"thinking": "T", "signature": "s", "id": "rs_1"}, {"data": "d"}],
         "tool_calls": [
             {"id": short, "type": "function", "function": {"name": "f", "arguments": "{}"}},
             {"id": "c2", "type": "function", "function": {"name": "g", "arguments": "{}"}},
         ]},
        {"role": "tool", "tool_call_id": short, "content": "one"},
        {"role": "tool", "tool_call_id": "c2", "content": [{"type": "text", "text": "two"}]},
        {"role": "assistant", "content": "Yes."},
        {"role": "user", "content": "Thanks"},
    ]  # fmt: skip


def test_one_turn_has_its_text_and_its_calls():
    text = {"type": "message", "role": "assistant", "content": "Wait"}
    call = {"type": "custom_tool_call", "call_id": "c", "name": "sh", "input": "ls"}
    custom = {"id": "c", "type": "custom", "custom": {"name": "sh", "input": "ls"}}
    assert messages(text, call) == [
        {"role": "assistant", "content": "Wait", "tool_calls": [custom]}
    ]
    assert len(messages(text, text)) == 2


def test_a_thought_begins_a_turn():
    def thought(text):
        return {"type": "reasoning", "summary": [{"type": "summary_text", "text": text}]}

    text = {"role": "assistant", "content": "A"}
    said = messages(thought("1"), text, thought("2"), text, thought("3"))
    assert [message["reasoning"] for message in said] == ["1", "2", "3"]
    assert [message["content"] for message in said] == ["A", "A", ""]


def item(**changes):
    return {"input": [changes]}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"model": 5}, "model"),
        ({"input": None}, "input"),
        ({"instructions": ["x"]}, "instructions"),
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"prompt": {"id": "p"}}, "prompt"),
        ({"background": True}, "background"),
        ({"truncation": "auto"}, "truncation"),
        ({"max_tool_calls": 3}, "max_tool_calls"),
        ({"include": ["file_search_call.results"]}, "include[0]"),
        ({"tools": [{"type": "file_search"}]}, "tools[0].type"),
        ({"tools": [{**FLAT, "defer_loading": True}]}, "tools[0].defer_loading"),
        ({"tool_choice": {"type": "file_search"}}, "tool_choice.type"),
        ({"text": {"shape": 1}}, "text.shape"),
        ({"reasoning": {"mode": "pro"}}, "reasoning.mode"),
        (item(type="item_reference", id="x"), "input[0].type"),
        (item(type="web_search_call", id="x"), "input[0].type"),
        (item(role="critic", content="x"), "input[0].role"),
        (item(role="user", content="x", tone="warm"), "input[0].tone"),
        (item(type="function_call", name="f", arguments="{}"), "input[0].call_id"),
        (
            item(role="user", content=[{"type": "input_image", "file_id": "f", "detail": "auto"}]),
            "input[0].content[0].file_id",
        ),
        (item(role="user", content=[{"type": "input_video"}]), "input[0].content[0].type"),
    ],
)
def test_what_cannot_be_expressed_is_named(body, field):
    with pytest.raises(Refusal) as caught:
        chat_of(**body)
    assert (caught.value.status, caught.value.code) == (400, "invalid_format")
    assert caught.value.message.startswith(f"{field}: ")
