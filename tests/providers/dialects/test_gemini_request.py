"""Chat bodies as Gemini's requests, field by field (`proxy.md 11.3`)."""

import pytest

from appliance.errors import Refusal
from appliance.providers.dialects.gemini import url_of
from tests.providers.dialects.gemini_requests import HELLO, TURN, body_of, refusal

WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Today's weather",
        "parameters": {
            "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"],
            "additionalProperties": False, "$schema": "http://json-schema.org/draft-07/schema#",
        },
    },
}  # fmt: skip
NOW = {"type": "function", "function": {"name": "now"}}
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}


def test_the_smallest_chat():
    assert body_of() == {"contents": [TURN]}


@pytest.mark.parametrize(
    ("name", "stream", "url"),
    [
        ("gemini-2.5-flash", False, "models/gemini-2.5-flash:generateContent"),
        ("gemini-2.5-flash", True, "models/gemini-2.5-flash:streamGenerateContent?alt=sse"),
        ("tunedModels/mine-1", False, "tunedModels/mine-1:generateContent"),
        ("a b?c", False, "models/a%20b%3Fc:generateContent"),
    ],
)
def test_the_address(name, stream, url):
    base = "https://generativelanguage.googleapis.com/v1beta/"
    assert url_of(name, stream=stream) == base + url
    assert url_of(name, stream=stream, base_url="http://h.test/") == f"http://h.test/v1beta/{url}"


@pytest.mark.parametrize("name", ["../x", "..", "models/..", "a/b/c", ""])
def test_a_name_is_no_path(name):
    with pytest.raises(Refusal, match="model: "):
        url_of(name, stream=False)


@pytest.mark.parametrize(
    ("chat", "settings"),
    [
        ({"temperature": 0.5, "top_p": 0.9, "top_k": 3},
         {"temperature": 0.5, "topP": 0.9, "topK": 3}),
        ({"presence_penalty": 0.1, "frequency_penalty": -0.2, "seed": 7},
         {"presencePenalty": 0.1, "frequencyPenalty": -0.2, "seed": 7}),
        ({"max_completion_tokens": 5, "max_tokens": 9}, {"maxOutputTokens": 5}),
        ({"max_tokens": 9}, {"maxOutputTokens": 9}),
        ({"stop": "END"}, {"stopSequences": ["END"]}),
        ({"stop": ["A", "B"]}, {"stopSequences": ["A", "B"]}),
        ({"n": 2}, {"candidateCount": 2}),
        ({"logprobs": True}, {"responseLogprobs": True}),
        ({"logprobs": True, "top_logprobs": 3}, {"responseLogprobs": True, "logprobs": 3}),
        ({"response_format": {"type": "text"}}, None),
        ({"response_format": {"type": "json_object"}}, {"responseMimeType": "application/json"}),
        (
            {"response_format": {"type": "json_schema", "json_schema": {
                "name": "n", "description": "D", "strict": True,
                "schema": {**SCHEMA, "additionalProperties": False},
            }}},
            {"responseMimeType": "application/json",
             "responseSchema": {**SCHEMA, "description": "D"}},
        ),
        ({"modalities": ["text", "image"]}, {"responseModalities": ["TEXT", "IMAGE"]}),
        ({"modalities": ["text"]}, None),
        ({"image_generation": {"aspect_ratio": "16:9", "image_size": "2K"}},
         {"imageConfig": {"aspectRatio": "16:9", "imageSize": "2K"}}),
    ],
)  # fmt: skip
def test_settings(chat, settings):
    assert body_of(**chat).get("generationConfig") == settings


def test_values_that_ask_for_nothing_are_left_out():
    neutral = {
        "n": 1, "logprobs": False, "top_logprobs": 0, "logit_bias": {}, "store": False,
        "metadata": {}, "verbosity": "medium", "parallel_tool_calls": True, "audio": None,
        "stream_options": {"include_usage": True}, "functions": [], "tools": [], "plugins": [],
        "tool_choice": "auto", "service_tier": "auto", "disable_reasoning": False, "stop": None,
        "image_generation": {}, "safety_settings": [],
    }  # fmt: skip
    assert body_of(**neutral) == {"contents": [TURN]}


def test_who_calls_is_a_hint_that_gemini_has_no_place_for():
    hints = {
        "user": "u", "safety_identifier": "s", "prompt_cache_key": "k",
        "prompt_cache_retention": "24h", "cache_control": {"type": "ephemeral"},
        "metadata": {"user_id": "u"},
    }  # fmt: skip
    assert body_of(**hints) == {"contents": [TURN]}


def test_safety_settings_are_gemini_s_own():
    settings = [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}]
    assert body_of(safety_settings=settings)["safetySettings"] == settings


def test_labels_and_tiers():
    assert body_of(metadata={"team": "a-1"}, vertex=True)["labels"] == {"team": "a-1"}
    assert body_of(service_tier="flex")["serviceTier"] == "flex"


@pytest.mark.parametrize(
    ("chat", "field"),
    [
        ({"logit_bias": {"1": 2}}, "logit_bias"),
        ({"parallel_tool_calls": False}, "parallel_tool_calls"),
        ({"functions": [{"name": "f"}]}, "functions"),
        ({"prediction": {"type": "content", "content": "x"}}, "prediction"),
        ({"audio": {"voice": "a", "format": "wav"}}, "audio"),
        ({"modalities": ["text", "audio"]}, "modalities[1]"),
        ({"verbosity": "low"}, "verbosity"),
        ({"store": True}, "store"),
        ({"metadata": {"team": "a"}}, "metadata.team"),
        ({"metadata": {"team": "A"}, "vertex": True}, "metadata.team"),
        ({"service_tier": "scale"}, "service_tier"),
        ({"service_tier": "flex", "vertex": True}, "service_tier"),
        ({"top_logprobs": 3}, "top_logprobs"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"response_format": {"type": "grammar"}}, "response_format.type"),
        ({"response_format": {"type": "json_schema", "json_schema": {"name": "n"}}},
         "response_format.json_schema.schema"),
        ({"safety_settings": [{"category": "c"}]}, "safety_settings[0].threshold"),
        ({"image_generation": {"quality": "high"}}, "image_generation.quality"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "system", "content": "S"}]}, "messages"),
        ({"messages": [{"role": "user", "content": ""}]}, "messages"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{**HELLO, "name": "Ann"}]}, "messages[0].name"),
        ({"messages": [HELLO, {"role": "assistant", "audio": {"id": "a"}}]}, "messages[1].audio"),
    ],
)  # fmt: skip
def test_what_gemini_cannot_express_is_named(chat, field):
    assert refusal(**chat) == field


# --- thinking ---

TOLD = {"includeThoughts": True}


@pytest.mark.parametrize(
    ("on", "chat", "thinking"),
    [
        # Generation 3 has levels; without a wish it thinks little.
        ("gemini-3-pro-preview", {}, {"thinkingLevel": "low"}),
        ("gemini-3-pro-preview", {"reasoning_effort": "minimal"}, {"thinkingLevel": "low", **TOLD}),
        ("gemini-3-pro-preview", {"reasoning_effort": "low"}, {"thinkingLevel": "low", **TOLD}),
        ("gemini-3-pro-preview", {"reasoning_effort": "medium"}, {"thinkingLevel": "high", **TOLD}),
        ("gemini-3-pro-preview", {"reasoning_effort": "high"}, {"thinkingLevel": "high", **TOLD}),
        ("gemini-3-pro-preview", {"reasoning_effort": "xhigh"}, {"thinkingLevel": "high", **TOLD}),
        ("gemini-3.1-pro-preview", {"reasoning_effort": "medium"},
         {"thinkingLevel": "medium", **TOLD}),
        ("gemini-3-flash-preview", {"reasoning_effort": "minimal"},
         {"thinkingLevel": "minimal", **TOLD}),
        ("gemini-3-flash-preview", {"reasoning_options": {"thinking_level": "medium"}},
         {"thinkingLevel": "medium", **TOLD}),
        ("gemini-3-flash-preview", {"reasoning_options": {"budget_tokens": 512}},
         {"thinkingBudget": 512, **TOLD}),
        ("gemini-3-pro-image-preview", {}, None),
        # 2.5 has budgets.
        ("gemini-2.5-flash", {}, {"thinkingBudget": 0}),
        ("gemini-2.5-flash", {"reasoning_effort": "none"}, {"thinkingBudget": 0}),
        ("gemini-2.5-flash", {"disable_reasoning": True}, {"thinkingBudget": 0}),
        ("gemini-2.5-flash", {"reasoning_effort": "low"}, {"thinkingBudget": -1, **TOLD}),
        ("gemini-2.5-flash", {"reasoning_effort": "high",
                              "reasoning_options": {"budget_tokens": 1024}},
         {"thinkingBudget": 1024, **TOLD}),
        ("gemini-2.5-flash", {"reasoning_options": {"budget_tokens": 0}}, {"thinkingBudget": 0}),
        ("gemini-2.5-flash-image", {}, None),
        ("gemini-2.5-pro", {}, None),
        ("gemini-2.5-pro", {"reasoning_effort": "high"}, {"thinkingBudget": -1, **TOLD}),
        # Older ones do not think, and an alias tells nothing.
        ("gemini-2.0-flash", {}, None),
        ("gemini-2.0-flash", {"reasoning_effort": "none"}, None),
        ("gemini-flash-latest", {}, None),
        ("gemini-flash-latest", {"reasoning_effort": "high"}, {"thinkingBudget": -1, **TOLD}),
    ],
)  # fmt: skip
def test_thinking(on, chat, thinking):
    settings = body_of(on=on, **chat).get("generationConfig", {})
    assert settings.get("thinkingConfig") == thinking


@pytest.mark.parametrize(
    ("on", "chat", "field"),
    [
        ("gemini-2.5-pro", {"reasoning_effort": "none"}, "reasoning_effort"),
        ("gemini-3-flash-preview", {"disable_reasoning": True}, "reasoning_effort"),
        ("gemini-2.0-flash", {"reasoning_effort": "low"}, "reasoning_effort"),
        ("gemini-2.5-flash", {"reasoning_effort": "much"}, "reasoning_effort"),
        ("gemini-2.5-flash", {"reasoning_options": {"budget_tokens": -2}},
         "reasoning_options.budget_tokens"),
        ("gemini-2.5-flash", {"reasoning_options": {"thinking_level": 3}},
         "reasoning_options.thinking_level"),
        ("gemini-2.5-flash", {"reasoning_options": {"thinking_level": "low", "budget_tokens": 9}},
         "reasoning_options"),
        ("gemini-2.5-flash", {"reasoning_options": {"depth": 9}}, "reasoning_options.depth"),
    ],
)  # fmt: skip
def test_thinking_that_a_model_cannot(on, chat, field):
    assert refusal(on=on, **chat) == field


# --- tools ---


def test_tools():
    body = body_of(tools=[WEATHER, NOW])
    parameters = WEATHER["function"]["parameters"]
    assert body["tools"] == [{"functionDeclarations": [
        {"name": "weather", "description": "Today's weather", "parameters": {
            name: parameters[name] for name in ("type", "properties", "required")}},
        {"name": "now"},
    ]}]  # fmt: skip
    assert "toolConfig" not in body


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"type": "object"},
        {"type": "object", "properties": {}, "required": [], "additionalProperties": False},
    ],
)
def test_a_function_without_parameters_has_no_schema(schema):
    tool = {"type": "function", "function": {"name": "f", "parameters": schema}}
    assert body_of(tools=[tool])["tools"] == [{"functionDeclarations": [{"name": "f"}]}]


def allowed(mode, *names):
    tools = [{"type": "function", "function": {"name": name}} for name in names]
    return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": tools}}


@pytest.mark.parametrize(
    ("choice", "config"),
    [
        ("auto", {"mode": "AUTO"}),
        ("none", {"mode": "NONE"}),
        ("required", {"mode": "ANY"}),
        ({"type": "function", "function": {"name": "now"}},
         {"mode": "ANY", "allowedFunctionNames": ["now"]}),
        (allowed("required", "now"), {"mode": "ANY", "allowedFunctionNames": ["now"]}),
        (allowed("auto", "now"), {"mode": "AUTO"}),
    ],
)  # fmt: skip
def test_the_choice_of_a_tool(choice, config):
    body = body_of(tools=[WEATHER, NOW], tool_choice=choice)
    assert body["toolConfig"] == {"functionCallingConfig": config}
    names = [tool["name"] for tool in body["tools"][0]["functionDeclarations"]]
    assert names == (["now"] if choice == allowed("auto", "now") else ["weather", "now"])


def test_strict_functions_are_validated_while_the_choice_is_free():
    strict = {"type": "function", "function": {**NOW["function"], "strict": True}}
    body = body_of(tools=[WEATHER, strict])
    assert body["toolConfig"] == {"functionCallingConfig": {"mode": "VALIDATED"}}
    body = body_of(tools=[strict], tool_choice="required")
    assert body["toolConfig"] == {"functionCallingConfig": {"mode": "ANY"}}


@pytest.mark.parametrize(
    "chat",
    [
        {"web_search_options": {}},
        {"web_search_options": {"search_context_size": "medium"}},
        {"plugins": [{"id": "web"}]},
    ],
)
def test_search_is_google_s(chat):
    assert body_of(**chat)["tools"] == [{"googleSearch": {}}]
    assert len(body_of(tools=[NOW], **chat)["tools"]) == 2


@pytest.mark.parametrize(
    ("chat", "field"),
    [
        ({"tools": [{"type": "custom", "custom": {"name": "c"}}]}, "tools[0].type"),
        ({"tools": [{"type": "function", "function": {}}]}, "tools[0].function.name"),
        ({"tools": [{"type": "function", "function": {"name": "f", "parameters": 7}}]},
         "tools[0].function.parameters"),
        ({"tools": [NOW], "tool_choice": "any"}, "tool_choice"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tools": [NOW], "tool_choice": {"type": "custom"}}, "tool_choice.type"),
        ({"tools": [NOW], "tool_choice": {"type": "function"}}, "tool_choice.function"),
        ({"tools": [NOW], "tool_choice": allowed("never", "now")},
         "tool_choice.allowed_tools.mode"),
        ({"plugins": [{"id": "pdf"}]}, "plugins[0].id"),
        ({"plugins": [{"id": "web", "max_uses": 2}]}, "plugins[0].max_uses"),
        ({"web_search_options": {"user_location": {}}}, "web_search_options.user_location"),
        ({"web_search_options": {"search_context_size": "low"}},
         "web_search_options.search_context_size"),
    ],
)  # fmt: skip
def test_tools_that_gemini_cannot_use(chat, field):
    assert refusal(**chat) == field
