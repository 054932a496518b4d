"""Chat messages as Gemini's contents: parts, calls and results, thoughts (`proxy.md 11.3`)."""

import pytest

from appliance.providers.dialects.gemini_contents import NO_SIGNATURE
from tests.providers.dialects.gemini_requests import (
    HELLO,
    PIXEL,
    TURN,
    body_of,
    contents,
    parts,
    refusal,
)


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
