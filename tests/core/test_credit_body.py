"""Bodies that credits pay for (proxy.md 6.9; internals.md 7, ptb-validation)."""

import copy
from typing import Any

import pytest

from appliance.core.credit_body import (
    CHAT_FIELDS,
    RESPONSES_FIELDS,
    check_chat,
    check_responses,
)
from appliance.errors import Refusal

# The contract's lists, with `plugins`, which the gateway consumes itself (proxy.md 6.4).
CHAT = """
messages model metadata top_logprobs temperature top_p top_k user safety_identifier prompt_cache_key
cache_control service_tier modalities verbosity reasoning_effort reasoning_options disable_reasoning
max_completion_tokens max_tokens frequency_penalty presence_penalty response_format store stream
stream_options stop logit_bias logprobs n prediction seed tools tool_choice parallel_tool_calls
function_call functions context_editing image_generation plugins
"""
RESPONSES = """
input model instructions reasoning reasoning_options max_output_tokens max_tool_calls text tools
tool_choice truncation include parallel_tool_calls stream stream_options temperature top_p top_k
top_logprobs user safety_identifier prompt_cache_key service_tier context_editing image_generation
plugins
"""
EPHEMERAL = {"type": "ephemeral"}


def chat(**more: Any) -> dict[str, Any]:
    return {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hi"}], **more}


def message(**more: Any) -> dict[str, Any]:
    return chat(messages=[{"role": "user", "content": "Hi", **more}])


def part(**more: Any) -> dict[str, Any]:
    return message(content=[{"type": "text", "text": "Hi", **more}])


def responses(**more: Any) -> dict[str, Any]:
    return {"model": "gpt-4o", "input": "Hi", **more}


def test_the_fields_of_the_contract() -> None:
    assert set(CHAT_FIELDS) == set(CHAT.split())
    assert set(RESPONSES_FIELDS) == set(RESPONSES.split())


@pytest.mark.parametrize(
    "body",
    [
        chat(),
        chat(prompt_cache_key="k"),
        chat(cache_control=EPHEMERAL),
        chat(user="u", safety_identifier="s", prompt_cache_key="k", cache_control=EPHEMERAL),
        chat(temperature=0, top_p=0.5, n=1, stop=["x"], stream=True, seed=None),
        chat(stop="x", tool_choice="auto", modalities=["text", "image"], plugins=[{"id": "web"}]),
        chat(tool_choice={"type": "function", "function": {"name": "f"}}),
        message(cache_control={"type": "ephemeral", "ttl": "1h"}),
        message(reasoning="r", reasoning_details=[], images=[]),
        message(role="assistant", content=None, tool_calls=[{"id": "1"}]),
        message(role="tool", tool_call_id="1"),
        message(role="developer"),
        part(cache_control={"type": "ephemeral", "ttl": "5m"}),
        part(type="image_url", image_url={"url": "u"}),
        part(type="document", source={}),
    ],
)
def test_chats_that_pass(body: dict[str, Any]) -> None:
    before = copy.deepcopy(body)
    check_chat(body)
    assert body == before


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (chat(messages=[]), "messages: a list of at least one message is needed"),
        (chat(messages=None), "messages: a list of at least one message"),
        (chat(messages="Hi"), "messages: a list is needed"),
        ({"model": "gpt-4o"}, "messages: a list of at least one"),
        (chat(model=None), "model: text is needed"),
        (chat(model=5), "model: text is needed"),
        (chat(web_search_options={}), "web_search_options: use the plugins field"),
        (chat(audio={"voice": "x"}), "audio: audio is not paid from credits"),
        (chat(colour="red"), "colour: there is no such field"),
        (chat(colour=None), "colour: there is no such field"),
        (chat(modalities=["text", "audio"]), "modalities: audio is not paid"),
        (chat(modalities=[["audio"]]), "modalities: "),
        (chat(modalities="text"), "modalities: a list"),
        (chat(temperature="hot"), "temperature: a number"),
        (chat(temperature=True), "temperature: a number"),
        (chat(n=1.5), "n: a whole number"),
        (chat(stream="true"), "stream: true or false"),
        (chat(tools={}), "tools: a list"),
        (chat(cache_control={"type": "forever"}), 'cache_control: an object with type "ephemeral"'),
        (chat(cache_control="ephemeral"), "cache_control: an object with"),
        (chat(cache_control={**EPHEMERAL, "ttl": "1d"}), "cache_control.ttl: one of 1h, 5m"),
        (chat(cache_control={**EPHEMERAL, "x": 1}), "cache_control.x: there is no such field"),
        (chat(messages=["Hi"]), r"messages[0]: an object is needed"),
        (message(role="king"), "messages[0].role: one of assistant, developer"),
        (message(role=["user"]), "messages[0].role: one of"),
        (message(content=5), "messages[0].content: text or a list"),
        (message(audio={"id": "a"}), "messages[0].audio: there is no such field in a message"),
        (message(cache_control={}), "messages[0].cache_control: an object with type"),
        (message(content=["Hi"]), "messages[0].content[0]: an object is needed"),
        (part(type="input_audio"), "messages[0].content[0].type: input_audio is not paid"),
        (part(type="file"), "messages[0].content[0].type: file is not paid"),
        (part(type="video"), "messages[0].content[0].type: one of document, image_url"),
        (part(type=["text"]), "messages[0].content[0].type: one of"),
        (part(cache_control={"type": "x"}), "messages[0].content[0].cache_control: an object"),
    ],
)
def test_chats_that_do_not(body: dict[str, Any], says: str) -> None:
    with pytest.raises(Refusal) as caught:
        check_chat(body)
    assert caught.value.message.startswith(says)
    assert caught.value.message.endswith("under /docs.")
    assert (caught.value.status, caught.value.code) == (400, "invalid_format")


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (responses(), ""),
        (responses(input=[{"role": "user", "content": "Hi"}], instructions="x"), ""),
        (responses(input=[{"type": "function_call_output", "output": "x"}]), ""),
        (responses(input=[{"role": "user", "content": [{"type": "input_text"}]}]), ""),
        (responses(input=""), "input: text, or a list of at least one item, is needed"),
        (responses(input=[]), "input: text, or a list"),
        (responses(input=None), "input: text, or a list"),
        (responses(input={"a": 1}), "input: text or a list is needed"),
        ({"model": "gpt-4o"}, "input: text, or a list"),
        (responses(input=["Hi"]), "input[0]: an object is needed"),
        (responses(messages=[]), "messages: there is no such field"),
        (responses(previous_response_id="r"), "previous_response_id: there is no such field"),
        (responses(input=[{"content": [{"type": "input_file"}]}]),
         "input[0].content[0].type: input_file is not paid"),
    ],
)  # fmt: skip
def test_responses_bodies(body: dict[str, Any], says: str) -> None:
    if not says:
        check_responses(body)
        return
    with pytest.raises(Refusal) as caught:
        check_responses(body)
    assert caught.value.message.startswith(says)
