"""Chat bodies as Converse requests, field by field, and where they go."""

import copy
from types import SimpleNamespace

import pytest

from appliance.errors import Refusal
from appliance.providers.dialects.bedrock import request_from_chat, url_of
from appliance.providers.dialects.bedrock_address import across_regions, region_of, vendor_of
from tests.providers.dialects.bedrock_types import ConverseRequest
from tests.providers.dialects.official import check_request

HELLO = {"role": "user", "content": "Hello"}
TURN = {"role": "user", "content": [{"text": "Hello"}]}
PIXEL = "data:image/png;base64,iVBORw0KGgo="
PDF = "data:application/pdf;base64,JVBERi0x"
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
WEATHER = {
    "type": "function",
    "function": {"name": "weather", "description": "Today's", "parameters": SCHEMA, "strict": True},
}
NOW = {"type": "function", "function": {"name": "now"}}
NOVA = "amazon.nova-pro-v1:0"


def model(name: str):
    return SimpleNamespace(provider_model_id=name, max_output_tokens=5120)


def body_of(*, on=NOVA, **chat):
    given = {"model": "nova", "messages": [HELLO], **chat}
    before = copy.deepcopy(given)
    body = request_from_chat(given, model=model(on), stream=False)
    assert given == before
    check_request(ConverseRequest, body)
    return body


def messages(*given, **more):
    return body_of(messages=list(given), **more)["messages"]


def refusal(**chat):
    body = {"messages": [HELLO], **chat}
    on = body.pop("on", NOVA)
    with pytest.raises(Refusal) as raised:
        request_from_chat(body, model=model(on), stream=False)
    assert (raised.value.status, raised.value.code) == (400, "invalid_format")
    return raised.value.message.partition(": ")[0]


def test_the_smallest_chat():
    assert body_of() == {"messages": [TURN]}


@pytest.mark.parametrize(
    ("chat", "settings"),
    [
        ({"temperature": 0, "top_p": 0.5}, {"temperature": 0, "topP": 0.5}),
        ({"max_completion_tokens": 5, "max_tokens": 9}, {"maxTokens": 5}),
        ({"max_tokens": 9}, {"maxTokens": 9}),
        ({"stop": "END"}, {"stopSequences": ["END"]}),
        ({"stop": ["A", "B"]}, {"stopSequences": ["A", "B"]}),
        ({"response_format": {"type": "text"}}, None),
    ],
)
def test_settings(chat, settings):
    assert body_of(**chat).get("inferenceConfig") == settings


def test_a_schema_of_the_reply():
    named = {"name": "n", "description": "D", "schema": SCHEMA, "strict": True}
    body = body_of(response_format={"type": "json_schema", "json_schema": named})
    text = '{"type":"object","properties":{"city":{"type":"string"}}}'
    assert body["outputConfig"] == {"textFormat": {
        "type": "json_schema",
        "structure": {"jsonSchema": {"schema": text, "name": "n", "description": "D"}},
    }}  # fmt: skip


@pytest.mark.parametrize(
    ("on", "chat", "more"),
    [
        (NOVA, {"top_k": 5}, {"inferenceConfig": {"topK": 5}}),
        ("mistral.mistral-large-2407-v1:0", {"top_k": 5}, {"top_k": 5}),
        ("openai.gpt-oss-120b-1:0", {"reasoning_effort": "minimal"}, {"reasoning_effort": "low"}),
        ("us.amazon.nova-2-lite-v1:0", {"reasoning_effort": "xhigh"},
         {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "high"}}),
        ("us.amazon.nova-2-lite-v1:0",
         {"reasoning_effort": "low", "reasoning_options": {"budget_tokens": 1024}},
         {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "low"}}),
        ("us.amazon.nova-2-lite-v1:0", {"disable_reasoning": True},
         {"reasoningConfig": {"type": "disabled"}}),
        (NOVA, {"reasoning_effort": "none"}, None),
        (NOVA, {}, None),
    ],
)  # fmt: skip
def test_words_of_the_model_s_maker(on, chat, more):
    assert body_of(on=on, **chat).get("additionalModelRequestFields") == more


def test_values_that_ask_for_nothing_and_hints_are_left_out():
    neutral = {
        "n": 1, "logprobs": False, "frequency_penalty": 0, "logit_bias": {}, "seed": None,
        "store": False, "metadata": {"user_id": "u"}, "verbosity": "medium", "plugins": [],
        "parallel_tool_calls": True, "tool_choice": "auto", "tools": [], "service_tier": "default",
        "stream_options": {"include_usage": True}, "user": "u", "safety_identifier": "s",
        "prompt_cache_key": "k", "cache_control": {"type": "ephemeral"}, "modalities": ["text"],
    }  # fmt: skip
    assert body_of(**neutral) == {"messages": [TURN]}


def test_labels_and_tiers():
    assert body_of(metadata={"team": "a b/1"})["requestMetadata"] == {"team": "a b/1"}
    assert body_of(service_tier="flex")["serviceTier"] == {"type": "flex"}


@pytest.mark.parametrize(
    ("chat", "field"),
    [
        ({"seed": 7}, "seed"),
        ({"n": 2}, "n"),
        ({"logit_bias": {"1": 2}}, "logit_bias"),
        ({"presence_penalty": 0.5}, "presence_penalty"),
        ({"parallel_tool_calls": False}, "parallel_tool_calls"),
        ({"web_search_options": {}}, "web_search_options"),
        ({"response_format": {"type": "json_object"}}, "response_format.type"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        ({"reasoning_effort": "low"}, "reasoning_effort"),
        ({"reasoning_effort": "much", "on": "openai.gpt-oss-20b-1:0"}, "reasoning_effort"),
        ({"reasoning_options": {"budget_tokens": 9}}, "reasoning_options.budget_tokens"),
        ({"metadata": {"team": "ä"}}, "metadata.team"),
        ({"metadata": {f"m{n}": "" for n in range(17)}}, "metadata.m0"),
        ({"service_tier": "scale"}, "service_tier"),
        ({"max_tokens": "9"}, "max_tokens"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "user", "content": " \n"}]}, "messages"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{**HELLO, "name": "Ann"}]}, "messages[0].name"),
        ({"messages": [{"role": "system", "content": [
            {"type": "image_url", "image_url": {"url": PIXEL}}]}, HELLO]}, "messages[0].content"),
    ],
)  # fmt: skip
def test_what_converse_cannot_express_is_named(chat, field):
    assert refusal(**chat) == field


def test_system_and_developer_are_the_system():
    body = body_of(messages=[
        {"role": "system", "content": "A"}, HELLO, {"role": "developer", "content": "B"},
    ])  # fmt: skip
    assert body["system"] == [{"text": "A"}, {"text": "B"}]
    assert body["messages"] == [TURN]


def test_roles_alternate():
    two = {"role": "user", "content": "Again"}
    assert messages(HELLO, two) == [{"role": "user", "content": [{"text": "Hello"},
                                                                {"text": "Again"}]}]  # fmt: skip


def image(url, **more):
    return {"type": "image_url", "image_url": {"url": url, **more}}


def file(**fields):
    return {"type": "file", "file": fields}


def shown(kind, data):
    return {"image": {"format": kind, "source": {"bytes": data}}}


def paper(kind, name, data):
    return {"document": {"format": kind, "name": name, "source": {"bytes": data}}}


def document(**source):
    return {"type": "document", "title": "My paper (1).pdf", "source": source}


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ({"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}, {"text": "a"}),
        (image(PIXEL), shown("png", "iVBORw0KGgo=")),
        (image("data:image/jpg;base64,AA"), shown("jpeg", "AA")),
        ({"type": "image_url", "image_url": PIXEL}, shown("png", "iVBORw0KGgo=")),
        (image("s3://bucket/b.jpg"),
         {"image": {"format": "jpeg", "source": {"s3Location": {"uri": "s3://bucket/b.jpg"}}}}),
        ({"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}},
         {"audio": {"format": "wav", "source": {"bytes": "AA"}}}),
        (file(file_data=PDF, filename="a_b.v2.pdf"), paper("pdf", "a-b-v2", "JVBERi0x")),
        (file(file_data="JVBERi0x"), paper("pdf", "document", "JVBERi0x")),
        (file(file_data=PIXEL), shown("png", "iVBORw0KGgo=")),
        (file(file_data="data:text/csv;base64,AA", filename="t.csv"), paper("csv", "t", "AA")),
        (document(type="base64", media_type="application/pdf", data="AA"),
         paper("pdf", "My paper (1)", "AA")),
        (document(type="text", media_type="text/plain", data="é"),
         paper("txt", "My paper (1)", "w6k=")),
    ],
)  # fmt: skip
def test_blocks(part, expected):
    assert messages({"role": "user", "content": [part]}) == [
        {"role": "user", "content": [expected]}
    ]


def test_documents_have_names_of_their_own():
    part = file(file_data=PDF, filename="a.pdf")
    turns = messages({"role": "user", "content": [part, part]}, {"role": "user", "content": [part]})
    names = [block["document"]["name"] for block in turns[0]["content"]]
    assert names == ["a", "a 2", "a 3"]


@pytest.mark.parametrize(
    ("part", "field"),
    [
        ({"type": "video"}, "type"),
        (image("https://a.test/b.png"), "image_url.url"),
        (image("data:image/tiff;base64,AA"), "image_url.url"),
        (image("s3://bucket/b.tiff"), "image_url.url"),
        (
            {"type": "input_audio", "input_audio": {"data": "AA", "format": "midi"}},
            "input_audio.format",
        ),
        (file(file_id="f"), "file"),
        (file(file_url="https://a.test/a.pdf"), "file.file_url"),
        (file(file_data="AAAA"), "file.file_data"),
        (file(file_data="data:video/mp4;base64,AA"), "file.file_data"),
        (document(type="url", url="https://a.test/a.pdf"), "source.url"),
        (document(type="file", file_id="f"), "source.type"),
        (document(type="base64", media_type="video/mp4", data="AA"), "source.media_type"),
        ({"type": "text", "text": "a", "frobnicate": 1}, "frobnicate"),
    ],
)
def test_parts_that_converse_cannot_read(part, field):
    found = refusal(messages=[{"role": "user", "content": [part]}])
    assert found == f"messages[0].content[0].{field}"


def call(id, name, arguments="{}"):
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


def assistant(*calls, **more):
    return {"role": "assistant", "content": None, "tool_calls": list(calls), **more}


def result(id, content, **more):
    return {"role": "tool", "tool_call_id": id, "content": content, **more}


def answered(id, *blocks, **more):
    return {"toolResult": {"toolUseId": id, "content": list(blocks), **more}}


def test_calls_and_results():
    turns = messages(
        HELLO,
        assistant(call("a", "weather", '{"city":"Rome"}'), call("b", "now"), content="Let me see."),
        result("a", '{"sky":"blue"}'),
        result("b", "boom", is_error=True),
        {"role": "user", "content": "Thanks"},
        tools=[WEATHER, NOW],
    )
    assert turns[1:] == [
        {"role": "assistant", "content": [
            {"text": "Let me see."},
            {"toolUse": {"toolUseId": "a", "name": "weather", "input": {"city": "Rome"}}},
            {"toolUse": {"toolUseId": "b", "name": "now", "input": {}}},
        ]},
        {"role": "user", "content": [
            answered("a", {"text": '{"sky":"blue"}'}),
            answered("b", {"text": "boom"}, status="error"),
            {"text": "Thanks"},
        ]},
    ]  # fmt: skip


def test_a_tool_that_says_nothing_or_shows_an_image():
    turns = messages(HELLO, assistant(call("a", "now")), result("a", ""), tools=[NOW])
    assert turns[-1]["content"] == [answered("a", {"json": {}})]
    turns = messages(HELLO, assistant(call("a", "now")), result("a", [image(PIXEL)]), tools=[NOW])
    assert turns[-1]["content"] == [answered("a", shown("png", "iVBORw0KGgo="))]


def test_ids_that_bedrock_does_not_take_become_others():
    long = "call_" + "x" * 80
    turns = messages(HELLO, assistant(call(long, "now")), result(long, "1"), tools=[NOW])
    (use,), (answer,) = turns[1]["content"], turns[2]["content"]
    assert use["toolUse"]["toolUseId"] == answer["toolResult"]["toolUseId"]
    assert len(use["toolUse"]["toolUseId"]) <= 64


@pytest.mark.parametrize(
    ("details", "blocks"),
    [
        ([{"thinking": "T", "signature": "s"}],
         [{"reasoningContent": {"reasoningText": {"text": "T", "signature": "s"}}}]),
        ([{"data": "cmVk"}], [{"reasoningContent": {"redactedContent": "cmVk"}}]),
        ([{"thinking": "T", "signature": ""}], []),
    ],
)  # fmt: skip
def test_thoughts_that_the_provider_can_know_again(details, blocks):
    said = {"role": "assistant", "content": "b", "reasoning": "T", "reasoning_details": details}
    assert messages(HELLO, said)[1]["content"] == [*blocks, {"text": "b"}]


def test_tools():
    config = body_of(tools=[WEATHER, NOW])["toolConfig"]
    assert config == {"tools": [
        {"toolSpec": {"name": "weather", "description": "Today's", "strict": True,
                      "inputSchema": {"json": SCHEMA}}},
        {"toolSpec": {"name": "now",
                      "inputSchema": {"json": {"type": "object", "properties": {}}}}},
    ]}  # fmt: skip


def allowed(mode, *names):
    tools = [{"type": "function", "function": {"name": name}} for name in names]
    return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": tools}}


@pytest.mark.parametrize(
    ("choice", "expected", "count"),
    [
        ("auto", {"auto": {}}, 2),
        ("required", {"any": {}}, 2),
        ({"type": "function", "function": {"name": "now"}}, {"tool": {"name": "now"}}, 2),
        (allowed("auto", "now"), {"auto": {}}, 1),
        (allowed("required", "now"), {"any": {}}, 1),
    ],
)
def test_the_choice_of_a_tool(choice, expected, count):
    config = body_of(tools=[WEATHER, NOW], tool_choice=choice)["toolConfig"]
    assert (config["toolChoice"], len(config["tools"])) == (expected, count)


def test_no_tool_is_no_tools():
    assert body_of(tools=[NOW], tool_choice="none") == {"messages": [TURN]}


USED = [HELLO, assistant(call("a", "now")), result("a", "1")]


@pytest.mark.parametrize(
    ("chat", "field"),
    [
        ({"messages": USED}, "tools"),
        ({"messages": USED, "tools": [NOW], "tool_choice": "none"}, "tool_choice"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tools": [NOW], "tool_choice": "any"}, "tool_choice"),
        ({"tools": [NOW], "tool_choice": {"type": "custom"}}, "tool_choice.type"),
        ({"tools": [NOW], "tool_choice": allowed("never", "now")},
         "tool_choice.allowed_tools.mode"),
        ({"tools": [{"type": "custom", "custom": {}}]}, "tools[0].type"),
        ({"tools": [{"type": "function", "function": {}}]}, "tools[0].function.name"),
        ({"messages": [HELLO, assistant(call("a", "f", "[1]"))]},
         "messages[1].tool_calls[0].function.arguments"),
    ],
)  # fmt: skip
def test_tools_that_converse_cannot_use(chat, field):
    assert refusal(**chat) == field


@pytest.mark.parametrize(
    ("settings", "stream", "url"),
    [
        ({}, False, "us-east-1.amazonaws.com/model/amazon.nova-pro-v1%3A0/converse"),
        ({}, True, "us-east-1.amazonaws.com/model/amazon.nova-pro-v1%3A0/converse-stream"),
        ({"region": "eu-west-1"}, False,
         "eu-west-1.amazonaws.com/model/amazon.nova-pro-v1%3A0/converse"),
        ({"region": "eu-west-1", "crossRegion": "true"}, False,
         "eu-west-1.amazonaws.com/model/eu.amazon.nova-pro-v1%3A0/converse"),
    ],
)  # fmt: skip
def test_the_address(settings, stream, url):
    found = url_of(NOVA, settings=settings, stream=stream)
    assert found == f"https://bedrock-runtime.{url}"
    other = url_of(NOVA, settings=settings, stream=stream, base_url="http://h.test/")
    assert other == "http://h.test/" + url.partition("/")[2]


def test_a_name_is_no_path_and_a_region_no_host():
    assert "%2F" in url_of("arn:aws:bedrock:us-east-1:1:inference-profile/x", settings={},
                           stream=False)  # fmt: skip
    with pytest.raises(Refusal, match="model: "):
        url_of("..", settings={}, stream=False)
    for region in ("evil.test/", "us-east-1.evil", "US-EAST-1", "global"):
        with pytest.raises(Refusal, match="region"):
            region_of({"region": region})
    assert region_of({"location": "us-gov-west-1"}) == "us-gov-west-1"


@pytest.mark.parametrize(
    ("model_id", "region", "profile"),
    [
        ("anthropic.claude-3", "us-west-2", "us.anthropic.claude-3"),
        ("anthropic.claude-3", "eu-central-1", "eu.anthropic.claude-3"),
        ("anthropic.claude-3", "ap-northeast-1", "apac.anthropic.claude-3"),
        ("anthropic.claude-3", "us-gov-west-1", "us-gov.anthropic.claude-3"),
        ("eu.anthropic.claude-3", "us-west-2", "eu.anthropic.claude-3"),
        ("global.anthropic.claude-3", "us-west-2", "global.anthropic.claude-3"),
        ("arn:aws:bedrock:us-east-1:1:x", "us-west-2", "arn:aws:bedrock:us-east-1:1:x"),
    ],
)
def test_profiles_that_span_regions(model_id, region, profile):
    assert across_regions(model_id, region) == profile


def test_who_made_a_model():
    assert vendor_of("us.amazon.nova-2-lite-v1:0") == ("amazon", "nova-2-lite-v1:0")
    assert vendor_of("openai.gpt-oss-20b-1:0") == ("openai", "gpt-oss-20b-1:0")
    arn = "arn:aws:bedrock:us-east-1::foundation-model/meta.llama3-70b"
    assert vendor_of(arn) == ("meta", "llama3-70b")
