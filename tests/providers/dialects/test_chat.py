"""Bodies that came from another format, as OpenAI's own endpoint takes them."""

import copy

import pytest
from openai.types.chat import completion_create_params

from appliance.errors import Refusal
from appliance.providers.dialects import anthropic, responses
from appliance.providers.dialects.chat import plain_chat
from tests.providers.dialects.official import check_request
from tests.providers.dialects.test_odd_requests import (
    CHAT,
    MESSAGES,
    ODD,
    RESPONSES,
    changed,
    places,
    refusal_of,
)

MARK = {"type": "ephemeral"}
HELLO = {"role": "user", "content": "Hello"}
IMAGE = {"type": "image_url", "image_url": {"url": "https://a.test/b.png"}}
TEXT = {"type": "text", "text": "a"}


def plain(*messages, **more):
    chat = {"model": "m", "messages": list(messages), **more}
    before = copy.deepcopy(chat)
    found = plain_chat(chat)
    assert chat == before
    check_request(completion_create_params.CompletionCreateParamsNonStreaming, found)
    return found


def test_a_plain_body_is_the_same_object():
    tool = {"type": "function", "function": {"name": "f"}}
    chat = {"model": "m", "messages": [HELLO, {"role": "user", "content": [TEXT]}], "tools": [tool]}
    assert plain_chat(chat) is chat


def test_extras_are_left_out():
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    tool = {"type": "function", "function": {"name": "f"}}
    found = plain(
        {"role": "system", "content": [{**TEXT, "cache_control": MARK}]},
        {**HELLO, "cache_control": MARK},
        {"role": "assistant", "content": None, "tool_calls": [call], "reasoning": "T",
         "reasoning_details": [{"thinking": "T", "signature": "s"}], "refusal": None},
        tools=[{**tool, "cache_control": MARK}],
        cache_control=MARK, reasoning_options={"budget_tokens": 9},
    )  # fmt: skip
    assert found == {
        "model": "m",
        "messages": [
            {"role": "system", "content": [TEXT]},
            HELLO,
            {"role": "assistant", "content": None, "tool_calls": [call]},
        ],
        "tools": [tool],
    }


def test_images_of_tools_are_shown_after_all_of_their_answers():
    found = plain(
        {"role": "tool", "tool_call_id": "1", "content": [TEXT, IMAGE]},
        {"role": "tool", "tool_call_id": "2", "content": [IMAGE]},
        {"role": "tool", "tool_call_id": "3", "content": "no", "is_error": True},
        {"role": "tool", "tool_call_id": "4", "content": "error: no", "is_error": True},
        HELLO,
    )
    assert found["messages"] == [
        {"role": "tool", "tool_call_id": "1", "content": [TEXT]},
        {"role": "tool", "tool_call_id": "2", "content": "The result is in the next message."},
        {"role": "tool", "tool_call_id": "3", "content": "Error: no"},
        {"role": "tool", "tool_call_id": "4", "content": "error: no"},
        {"role": "user", "content": [IMAGE, IMAGE]},
        HELLO,
    ]
    last = plain({"role": "tool", "tool_call_id": "1", "content": [IMAGE]})["messages"]
    assert last[1] == {"role": "user", "content": [IMAGE]}


@pytest.mark.parametrize(
    ("chat", "field"),
    [
        ({"messages": None}, "messages"),
        ({"messages": ["x"]}, "messages[0]"),
        ({"plugins": [{"id": "web"}]}, "plugins"),
        ({"thinking": {"type": "enabled"}}, "thinking"),
        ({"web_search_options": {"filters": {"allowed_domains": []}}},
         "web_search_options.filters"),
        ({"messages": [{"role": "user", "content": [{"type": "document"}]}]},
         "messages[0].content[0].type"),
        ({"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_url": "u"}}]}]},
         "messages[0].content[0].file.file_url"),
    ],
)  # fmt: skip
def test_what_cannot_be_expressed_is_named(chat, field):
    with pytest.raises(Refusal) as caught:
        plain_chat({"model": "m", "messages": [HELLO], **chat})
    assert (caught.value.status, caught.value.code) == (400, "invalid_format")
    assert caught.value.message.startswith(f"{field}: ")


def test_what_other_clients_ask_reaches_openai():
    body = changed(MESSAGES, ("tools",), MESSAGES["tools"][:1])
    del body["messages"][0]["content"][2]
    check = completion_create_params.CompletionCreateParamsStreaming
    fields = plain_chat(anthropic.request_to_chat(body))
    check_request(check, fields)
    assert fields["model"] == MESSAGES["model"]
    body = {**RESPONSES, "stream": True}
    fields = plain_chat(responses.request_to_chat(body))
    check_request(check, fields)
    assert fields["model"] == RESPONSES["model"]


def test_odd_values_are_left_alone_or_refused():
    body = {**CHAT, "plugins": None}
    for path in places(body):
        for odd in ODD if path else ():
            refusal = refusal_of(plain_chat, changed(body, path, odd))
            assert refusal is None or refusal.status == 400
