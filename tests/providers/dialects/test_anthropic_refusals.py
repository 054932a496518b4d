"""What a chat body asks that Anthropic's Messages API cannot express: 400, by the field's name."""

import pytest

from appliance.errors import Refusal
from tests.providers.dialects.test_anthropic_request import CALL, HELLO, NOW, body_of


def user(*parts):
    return {"messages": [{"role": "user", "content": list(parts)}]}


def calling(**function):
    call = {**CALL, "function": {**CALL["function"], **function}}
    return {"messages": [HELLO, {"role": "assistant", "tool_calls": [call]}]}


@pytest.mark.parametrize(
    ("chat", "field"),
    [
        ({"n": 2}, "n"),
        ({"logprobs": True}, "logprobs"),
        ({"top_logprobs": 3}, "top_logprobs"),
        ({"logit_bias": {"1": 2}}, "logit_bias"),
        ({"seed": 7}, "seed"),
        ({"frequency_penalty": 0.5}, "frequency_penalty"),
        ({"presence_penalty": -1}, "presence_penalty"),
        ({"functions": [{"name": "f"}]}, "functions"),
        ({"function_call": "auto"}, "function_call"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"audio": {"voice": "alloy"}}, "audio"),
        ({"prediction": {"type": "content"}}, "prediction"),
        ({"store": True}, "store"),
        ({"metadata": {"team": "a"}}, "metadata.team"),
        ({"verbosity": "low"}, "verbosity"),
        ({"service_tier": "flex"}, "service_tier"),
        ({"image_generation": {"image_size": "1K"}}, "image_generation"),
        ({"frobnicate": 1}, "frobnicate"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": "9"}, "max_tokens"),
        ({"messages": None}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "system", "content": "S"}]}, "messages"),
        ({"messages": ["Hi"]}, "messages[0]"),
        ({"messages": [{"role": "function", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{**HELLO, "name": "Ann"}]}, "messages[0].name"),
        ({"messages": [HELLO, {"role": "assistant", "audio": {"id": "a"}}]}, "messages[1].audio"),
        ({"messages": [HELLO, {"role": "assistant", "images": [1]}]}, "messages[1].images"),
        (
            {"messages": [HELLO, {"role": "assistant", "function_call": {"name": "f"}}]},
            "messages[1].function_call",
        ),
        ({"messages": [HELLO, {"role": "tool", "content": "x"}]}, "messages[1].tool_call_id"),
        (calling(arguments="{"), "messages[1].tool_calls[0].function.arguments"),
        (calling(arguments="[1]"), "messages[1].tool_calls[0].function.arguments"),
        (calling(name=None), "messages[1].tool_calls[0].function.name"),
        (
            {"messages": [HELLO, {"role": "assistant", "tool_calls": [{"type": "custom"}]}]},
            "messages[1].tool_calls[0].type",
        ),
        (user({"type": "input_audio", "input_audio": {}}), "messages[0].content[0].type"),
        (user({"type": "text", "text": 1}), "messages[0].content[0].text"),
        (user({"type": "text", "text": "a", "bold": 1}), "messages[0].content[0].bold"),
        (
            user({"type": "text", "text": "a", "cache_control": "yes"}),
            "messages[0].content[0].cache_control",
        ),
        (
            user({"type": "image_url", "image_url": {"url": "x", "detail": "low"}}),
            "messages[0].content[0].image_url.detail",
        ),
        (
            user({"type": "image_url", "image_url": {"url": "data:image/png,x"}}),
            "messages[0].content[0].image_url.url",
        ),
        (user({"type": "file", "file": {}}), "messages[0].content[0].file"),
        (
            user({"type": "file", "file": {"file_data": "data:audio/mp3;base64,AA"}}),
            "messages[0].content[0].file.file_data",
        ),
        (
            user({"type": "file", "file": {"file_data": "data:text/plain;base64,/w=="}}),
            "messages[0].content[0].file.file_data",
        ),
        ({"tools": [{"type": "custom", "custom": {"name": "c"}}]}, "tools[0].type"),
        ({"tools": [{"type": "function", "function": {}}]}, "tools[0].function.name"),
        ({"tools": [NOW], "tool_choice": "any"}, "tool_choice"),
        ({"tools": [NOW], "tool_choice": {"type": "custom"}}, "tool_choice.type"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"plugins": [{"id": "file-parser"}]}, "plugins[0].id"),
        (
            {"web_search_options": {"search_context_size": "high"}},
            "web_search_options.search_context_size",
        ),
        ({"response_format": {"type": "json_object"}}, "response_format.type"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "n"}}},
            "response_format.json_schema.schema",
        ),
        ({"reasoning_effort": "high", "max_tokens": 1024}, "reasoning_effort"),
        (
            {"reasoning_options": {"budget_tokens": 4096}, "max_tokens": 4096},
            "reasoning_options.budget_tokens",
        ),
        ({"context_editing": {"enabled": True, "compact": {}}}, "context_editing.compact"),
    ],
)
def test_what_cannot_be_expressed_is_named(chat, field):
    with pytest.raises(Refusal) as caught:
        body_of(**chat)
    assert caught.value.status == 400
    assert caught.value.code == "invalid_format"
    assert caught.value.message.startswith(f"{field}: ")
