"""Whatever a client puts in whatever place of a chat: Gemini, Bedrock, Vertex are sent it, or it is
refused with a 400 that names a field; nothing breaks, and what goes out is JSON."""

import re
from types import SimpleNamespace

import pytest

from appliance.errors import Refusal
from appliance.providers.dialects import bedrock, bedrock_claude, gemini, vertex, vertex_claude
from appliance.providers.dialects.common import encode
from tests.providers.dialects.official import CLAUDE
from tests.providers.dialects.test_odd_requests import ODD, changed, places, refusal_of

FLASH = SimpleNamespace(provider_model_id="gemini-3-flash-preview", max_output_tokens=65536)
GPT_OSS = SimpleNamespace(provider_model_id="openai.gpt-oss-120b-1:0", max_output_tokens=5120)
MARK = {"type": "ephemeral"}
SCHEMA = {
    "type": "object", "required": ["a"], "$defs": {"T": {"type": "string", "enum": ["x"]}},
    "properties": {"a": {"$ref": "#/$defs/T"}, "b": {"anyOf": [{"type": "integer"},
                                                              {"type": "null"}]},
                   "c": {"type": "array", "items": {"type": ["string", "null"]}}},
}  # fmt: skip
FUNCTION = {"name": "f", "description": "d", "parameters": SCHEMA, "strict": True}
CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'},
        "extra_content": {"google": {"thought_signature": "s"}}}  # fmt: skip
PIXEL = "data:image/png;base64,AAAA"
CHAT = {
    "model": "m", "max_tokens": 5000, "temperature": 1, "top_p": 1, "stop": ["A"], "user": "u",
    "reasoning_effort": "low", "service_tier": "flex", "cache_control": MARK,
    "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA}},
    "tools": [{"type": "function", "function": FUNCTION, "cache_control": MARK}],
    "tool_choice": {"type": "allowed_tools", "allowed_tools": {
        "mode": "auto", "tools": [{"type": "function", "function": {"name": "f"}}]}},
    "messages": [
        {"role": "system", "content": "S", "cache_control": MARK},
        {"role": "user", "content": [
            {"type": "text", "text": "a"},
            {"type": "image_url", "image_url": {"url": PIXEL, "detail": "auto"}},
            {"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}},
            {"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBERi0x",
                                      "filename": "a.pdf"}},
            {"type": "document", "title": "t", "source": {
                "type": "base64", "media_type": "application/pdf", "data": "AA"}},
        ]},
        {"role": "assistant", "content": "b", "tool_calls": [CALL], "refusal": "No.",
         "reasoning_details": [{"thinking": "T", "signature": "s"}]},
        {"role": "tool", "tool_call_id": "c", "content": [{"type": "text", "text": "r"}],
         "is_error": True},
    ],
}  # fmt: skip
GOOGLE = {
    **CHAT, "top_k": 3, "seed": 7, "n": 2, "presence_penalty": 0.5, "frequency_penalty": 0.5,
    "logprobs": True, "top_logprobs": 2, "modalities": ["text", "image"],
    "image_generation": {"aspect_ratio": "1:1"}, "metadata": {"user_id": "u"},
    "safety_settings": [{"category": "c", "threshold": "t"}], "plugins": [{"id": "web"}],
}  # fmt: skip
# Anthropic's part takes neither sound nor another maker's notes.
CLAUDES = {
    **{name: value for name, value in CHAT.items() if name not in ("service_tier",)},
    "messages": [
        CHAT["messages"][0],
        {"role": "user", "content": [
            part for part in CHAT["messages"][1]["content"] if part["type"] != "input_audio"]},
        {**CHAT["messages"][2], "tool_calls": [
            {name: value for name, value in CALL.items() if name != "extra_content"}]},
        CHAT["messages"][3],
    ],
}  # fmt: skip
WAYS = [
    (gemini, FLASH, GOOGLE),
    (vertex, FLASH, {**GOOGLE, "service_tier": "auto", "metadata": {"team": "a"}}),
    (bedrock, GPT_OSS, {**CHAT, "metadata": {"team": "a"}, "top_k": 3}),
    (bedrock_claude, CLAUDE, CLAUDES),
    (vertex_claude, CLAUDE, CLAUDES),
]
NAMES = [way[0].__name__.rpartition(".")[2] for way in WAYS]


def translate_with(dialect, model):
    return lambda chat: encode(dialect.request_from_chat(chat, model=model, stream=True))


@pytest.mark.parametrize(("dialect", "model", "chat"), WAYS, ids=NAMES)
def test_the_bodies_are_right_as_they_are(dialect, model, chat):
    assert translate_with(dialect, model)(chat)


@pytest.mark.parametrize(("dialect", "model", "chat"), WAYS, ids=NAMES)
def test_odd_values_are_translated_or_refused(dialect, model, chat):
    translate = translate_with(dialect, model)
    bodies = [changed(chat, path, odd) for path in places(chat) if path for odd in ODD]
    refusals = [refusal for body in bodies if (refusal := refusal_of(translate, body))]
    assert len(refusals) > 100
    assert {(refusal.status, refusal.code) for refusal in refusals} == {(400, "invalid_format")}
    assert not [r.message for r in refusals if not re.match(r"[a-z]\S*: ", r.message)]


@pytest.mark.parametrize(("dialect", "model", "chat"), WAYS, ids=NAMES)
def test_unknown_fields_of_a_body_are_named(dialect, model, chat):
    translate = translate_with(dialect, model)
    with pytest.raises(Refusal, match="frobnicate: "):
        translate({**chat, "frobnicate": 1})
    assert translate({**chat, "frobnicate": None})
