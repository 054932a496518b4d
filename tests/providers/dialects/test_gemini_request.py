"""Chat bodies as Gemini's requests, field by field (`proxy.md 11.3`)."""

import copy
from types import SimpleNamespace

import pytest

from appliance.errors import Refusal
from appliance.providers.dialects.gemini import request_from_chat, url_of
from appliance.providers.dialects.gemini_contents import NO_SIGNATURE
from tests.providers.dialects.gemini_types import GenerateContentRequest
from tests.providers.dialects.official import check_request

HELLO = {"role": "user", "content": "Hello"}
TURN = {"role": "user", "parts": [{"text": "Hello"}]}
PIXEL = "data:image/png;base64,iVBORw0KGgo="
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


def model(name: str):
    return SimpleNamespace(provider_model_id=name, max_output_tokens=65536)


def body_of(*, on="gemini-2.0-flash", vertex=False, **chat):
    given = {"model": "gemini", "messages": [HELLO], **chat}
    before = copy.deepcopy(given)
    body = request_from_chat(given, model=model(on), stream=False, vertex=vertex)
    assert given == before
    check_request(GenerateContentRequest, body)
    return body


def contents(*messages, **more):
    return body_of(messages=list(messages), **more)["contents"]


def parts(*content, **more):
    (turn,) = contents({"role": "user", "content": list(content)}, **more)
    return turn["parts"]


def refusal(**chat):
    on, vertex = chat.pop("on", "gemini-2.5-flash"), chat.pop("vertex", False)
    body = {"messages": [HELLO], **chat}
    with pytest.raises(Refusal) as raised:
        request_from_chat(body, model=model(on), stream=False, vertex=vertex)
    assert (raised.value.status, raised.value.code) == (400, "invalid_format")
    return raised.value.message.partition(": ")[0]


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


# --- messages ---


def test_system_and_developer_are_the_instruction():
    body = body_of(messages=[
        {"role": "system", "content": "A"},
        HELLO,
        {"role": "developer", "content": [{"type": "text", "text": "B"}]},
    ])  # fmt: skip
    assert body["system_instruction"] == {"parts": [{"text": "A"}, {"text": "B"}]}
    assert body["contents"] == [TURN]


def inline(kind: str, data: str):
    return {"inlineData": {"mimeType": kind, "data": data}}


def image(url, **more):
    return {"type": "image_url", "image_url": {"url": url, **more}}


def file(**fields):
    return {"type": "file", "file": fields}


def document(**source):
    return {"type": "document", "title": "t", "source": source}


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ({"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}, {"text": "a"}),
        (image(PIXEL), inline("image/png", "iVBORw0KGgo=")),
        ({"type": "image_url", "image_url": PIXEL}, inline("image/png", "iVBORw0KGgo=")),
        (image("data:image/jpg;base64,AA"), inline("image/jpeg", "AA")),
        (image("https://a.test/b.PNG?x=1#y.gif"),
         {"fileData": {"fileUri": "https://a.test/b.PNG?x=1#y.gif", "mimeType": "image/png"}}),
        (image("https://a.test/photo"), {"fileData": {"fileUri": "https://a.test/photo"}}),
        (image("gs://bucket/b.webp"),
         {"fileData": {"fileUri": "gs://bucket/b.webp", "mimeType": "image/webp"}}),
        ({"type": "input_audio", "input_audio": {"data": "AA", "format": "mp3"}},
         inline("audio/mp3", "AA")),
        (file(file_data="data:application/pdf;base64,AA", filename="a.pdf"),
         inline("application/pdf", "AA")),
        (file(file_data="JVBERi0xLjQ="), inline("application/pdf", "JVBERi0xLjQ=")),
        (file(file_url="https://a.test/a.pdf"),
         {"fileData": {"fileUri": "https://a.test/a.pdf", "mimeType": "application/pdf"}}),
        (file(file_id="files/abc"), {"fileData": {
            "fileUri": "https://generativelanguage.googleapis.com/v1beta/files/abc"}}),
        (document(type="base64", media_type="application/pdf", data="AA"),
         inline("application/pdf", "AA")),
        (document(type="text", media_type="text/plain", data="words"), {"text": "words"}),
        (document(type="url", url="https://a.test/a.pdf"),
         {"fileData": {"fileUri": "https://a.test/a.pdf", "mimeType": "application/pdf"}}),
    ],
)  # fmt: skip
def test_parts(part, expected):
    assert parts(part) == [expected]


@pytest.mark.parametrize(
    ("part", "field", "vertex"),
    [
        ({"type": "video"}, "type", False),
        (image("photo.png"), "image_url.url", False),
        (image("data:image/png,AA"), "image_url.url", False),
        (image("data:;base64,AA"), "image_url.url", False),
        (image("https://a.test/photo"), "image_url.url", True),
        ({"type": "input_audio", "input_audio": {"data": "AA", "format": "midi"}},
         "input_audio.format", False),
        (file(file_id="file-abc"), "file.file_id", False),
        (file(file_id="files/abc"), "file.file_id", True),
        (file(file_data="AAAA"), "file.file_data", False),
        (file(filename="a"), "file", False),
        (document(type="content", content=[]), "source.type", False),
        ({"type": "text", "text": 7}, "text", False),
        ({"type": "text", "text": "a", "frobnicate": 1}, "frobnicate", False),
    ],
)  # fmt: skip
def test_parts_that_gemini_cannot_read(part, field, vertex):
    messages = [{"role": "user", "content": [part]}]
    assert refusal(messages=messages, vertex=vertex) == f"messages[0].content[0].{field}"


def test_texts_without_a_character_say_nothing():
    said = [HELLO, {"role": "assistant", "content": ""}, {"role": "user", "content": [
        {"type": "text", "text": ""}, {"type": "text", "text": "x"}]}]  # fmt: skip
    assert contents(*said) == [TURN, {"role": "user", "parts": [{"text": "x"}]}]


def test_low_detail_is_low_resolution():
    low = image(PIXEL, detail="low")
    body = body_of(messages=[{"role": "user", "content": [low, low]}])
    assert body["generationConfig"] == {"mediaResolution": "MEDIA_RESOLUTION_LOW"}
    assert "generationConfig" not in body_of(
        messages=[{"role": "user", "content": [image(PIXEL, detail="high"), image(PIXEL)]}]
    )
    mixed = [{"role": "user", "content": [image(PIXEL), low]}]
    assert refusal(messages=mixed) == "messages[0].content[1].image_url.detail"


def call(id, name, arguments="{}", signature=None):
    found = {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}
    if signature:
        found["extra_content"] = {"google": {"thought_signature": signature}}
    return found


def assistant(*calls, **more):
    return {"role": "assistant", "content": None, "tool_calls": list(calls), **more}


def result(id, content, **more):
    return {"role": "tool", "tool_call_id": id, "content": content, **more}


def called(id, name, args=None, **more):
    return {"functionCall": {"id": id, "name": name, "args": args or {}}, **more}


def answered(id, name, response):
    return {"functionResponse": {"id": id, "name": name, "response": response}}


def test_calls_and_results():
    turns = contents(
        HELLO,
        assistant(call("a", "weather", '{"city":"Rome"}'), call("b", "now"), content="Let me see."),
        result("b", "12:00"),
        result("a", '{"sky":"blue"}'),
        {"role": "user", "content": "Thanks"},
    )
    assert turns[1:] == [
        {"role": "model", "parts": [
            {"text": "Let me see."}, called("a", "weather", {"city": "Rome"}), called("b", "now")]},
        # In the order of the calls, whichever was answered first.
        {"role": "user", "parts": [
            answered("a", "weather", {"sky": "blue"}), answered("b", "now", {"raw": "12:00"})]},
        {"role": "user", "parts": [{"text": "Thanks"}]},
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("content", "more", "response"),
    [
        ('{"a":1}', {}, {"a": 1}),
        ("[1,2]", {}, {"result": [1, 2]}),
        ("7", {}, {"result": 7}),
        ("null", {}, {"result": None}),
        ('"x"', {}, {"result": "x"}),
        ("sunny", {}, {"raw": "sunny"}),
        ("NaN", {}, {"raw": "NaN"}),
        ("", {}, {"raw": ""}),
        (None, {}, {"raw": ""}),
        ([{"type": "text", "text": '{"a"'}, {"type": "text", "text": ":1}"}], {}, {"a": 1}),
        ("boom", {"is_error": True}, {"error": "boom"}),
        ('{"a":1}', {"is_error": True}, {"error": {"a": 1}}),
    ],
)
def test_what_a_tool_says(content, more, response):
    turns = contents(HELLO, assistant(call("a", "f")), result("a", content, **more))
    assert turns[-1]["parts"] == [answered("a", "f", response)]


def test_a_tool_that_shows_an_image():
    shown = [{"type": "text", "text": "here"}, image(PIXEL)]
    turns = contents(HELLO, assistant(call("a", "f")), result("a", shown))
    assert turns[-1]["parts"][0]["functionResponse"] == {
        "id": "a", "name": "f", "response": {"raw": "here"},
        "parts": [inline("image/png", "iVBORw0KGgo=")],
    }  # fmt: skip


def test_results_know_their_name_or_are_refused():
    turns = contents(HELLO, result("z", "1", name="f"))
    assert turns[-1]["parts"] == [answered("z", "f", {"result": 1})]
    old = {"role": "function", "name": "f", "content": "1"}
    assert contents(HELLO, old)[-1]["parts"] == [
        {"functionResponse": {"name": "f", "response": {"result": 1}}}
    ]
    assert refusal(messages=[HELLO, result("z", "1")]) == "messages[1].tool_call_id"
    assert refusal(messages=[HELLO, {"role": "function", "content": ""}]) == "messages[1].name"


@pytest.mark.parametrize(
    ("broken", "field"),
    [
        ({"type": "custom", "id": "a", "custom": {}}, "type"),
        ({"type": "function", "function": {"name": "f"}}, "id"),
        ({"id": "a", "type": "function"}, "function"),
        ({"id": "a", "type": "function", "function": {}}, "function.name"),
        (call("a", "f", "[1]"), "function.arguments"),
        (call("a", "f", "{half"), "function.arguments"),
    ],
)
def test_calls_that_are_none(broken, field):
    messages = [HELLO, assistant(broken)]
    assert refusal(messages=messages) == f"messages[1].tool_calls[0].{field}"


# --- thoughts and signatures ---


def thought(text, signature=None):
    signed = {"thoughtSignature": signature} if signature else {}
    return {"text": text, "thought": True, **signed}


def detail(text, signature=""):
    return {"thinking": text, "signature": signature}


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ({"content": "b", "reasoning_details": [detail("T", "s"), detail("U")]},
         [thought("T", "s"), thought("U"), {"text": "b"}]),
        ({"content": "b", "reasoning": "T"}, [thought("T"), {"text": "b"}]),
        ({"content": "b", "reasoning": "T", "reasoning_details": [detail("T", "s")]},
         [thought("T", "s"), {"text": "b"}]),
        # A signature without a thought came on the text.
        ({"content": "b", "reasoning_details": [detail("", "s")]},
         [{"text": "b", "thoughtSignature": "s"}]),
        ({"content": None, "reasoning_details": [detail("", "s")]}, [thought("", "s")]),
        # With calls it came on the first of them.
        ({"tool_calls": [call("a", "f"), call("b", "g")], "reasoning_details": [detail("T", "s")]},
         [thought("T"), called("a", "f", thoughtSignature="s"), called("b", "g")]),
        ({"tool_calls": [call("a", "f", signature="s"), call("b", "g", signature="t")],
          "reasoning_details": [detail("T", "s"), detail("", "t")]},
         [thought("T"), called("a", "f", thoughtSignature="s"),
          called("b", "g", thoughtSignature="t")]),
        ({"tool_calls": [call("a", "f", signature="s")], "reasoning_details": [detail("T", "u")]},
         [thought("T", "u"), called("a", "f", thoughtSignature="s")]),
        ({"content": "b", "refusal": "No."}, [{"text": "b"}, {"text": "No."}]),
        ({"content": "b", "images": [{**image(PIXEL), "extra_content": {
            "google": {"thought_signature": "i"}}}]},
         [{"text": "b"}, {**inline("image/png", "iVBORw0KGgo="), "thoughtSignature": "i"}]),
    ],
)  # fmt: skip
def test_what_the_model_said_before(message, expected):
    turns = contents(HELLO, {"role": "assistant", **message})
    assert turns[1] == {"role": "model", "parts": expected}


@pytest.mark.parametrize(
    ("on", "signature"),
    [
        ("gemini-3-flash-preview", NO_SIGNATURE),
        ("gemini-flash-latest", NO_SIGNATURE),
        ("gemini-2.5-pro", None),
    ],
)
def test_calls_of_another_model_say_so(on, signature):
    turns = contents(HELLO, assistant(call("a", "f"), call("b", "g")), on=on)
    found = [part.get("thoughtSignature") for part in turns[1]["parts"]]
    assert found == [signature, None]


def test_thoughts_of_another_provider_cannot_be_read():
    message = {"role": "assistant", "content": "b", "reasoning_details": [{"data": "x"}]}
    assert refusal(messages=[HELLO, message]) == "messages[1].reasoning_details[0].data"


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
