"""Claude on Bedrock: Anthropic's bodies and events in Amazon's form (`proxy.md 11.1, 11.2`)."""

import copy

import openai
import pytest

from appliance.errors import Refusal
from appliance.providers.dialects import anthropic
from appliance.providers.dialects.bedrock_claude import (
    StreamToChat,
    body_from_messages,
    reply_to_chat,
    request_from_chat,
    url_of,
)
from tests.providers.dialects import bedrock_samples, samples
from tests.providers.dialects.official import CLAUDE, every_cut, openai_client, translated

HEAD = {"model": "claude-sonnet-4-5", "created": 7, "id": "chatcmpl-1"}
HELLO = {"role": "user", "content": "Hello"}
MARK = {"type": "ephemeral"}


def stream() -> StreamToChat:
    return StreamToChat(**HEAD)


def test_the_smallest_chat():
    for is_stream in (False, True):
        body = request_from_chat({"messages": [HELLO]}, model=CLAUDE, stream=is_stream)
        assert body == {
            "anthropic_version": "bedrock-2023-05-31",
            "max_tokens": 64000,
            "messages": [{"role": "user", "content": [{"type": "text", "text": "Hello"}]}],
        }


def test_no_breakpoint_of_a_cache_is_left():
    part = {"type": "text", "text": "a", "cache_control": MARK}
    tool = {"type": "function", "function": {"name": "f"}, "cache_control": MARK}
    chat = {"messages": [{"role": "user", "content": [part]}], "tools": [tool],
            "cache_control": MARK}  # fmt: skip
    before = copy.deepcopy(chat)
    assert "cache_control" not in str(request_from_chat(chat, model=CLAUDE, stream=True))
    assert chat == before


def test_betas_are_named_in_the_body():
    body = request_from_chat(
        {"messages": [HELLO], "context_editing": {"enabled": True}}, model=CLAUDE, stream=False
    )
    assert body["anthropic_beta"] == ["context-management-2025-06-27"]


def test_a_client_s_own_messages_body():
    own = {"model": "claude", "max_tokens": 5, "stream": True, "messages": [HELLO],
           "service_tier": "auto"}  # fmt: skip
    assert body_from_messages(own) == {
        "anthropic_version": "bedrock-2023-05-31", "max_tokens": 5, "messages": [HELLO],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("stream", "action"), [(False, "invoke"), (True, "invoke-with-response-stream")]
)
def test_the_address(stream, action):
    found = url_of("anthropic.claude-sonnet-4-20250514-v1:0", settings={}, stream=stream)
    assert found == (
        "https://bedrock-runtime.us-east-1.amazonaws.com/model/"
        f"anthropic.claude-sonnet-4-20250514-v1%3A0/{action}"
    )


def part(**fields):
    return {"messages": [{"role": "user", "content": [fields]}]}


@pytest.mark.parametrize(
    ("chat", "field"),
    [
        (part(type="image_url", image_url={"url": "https://a.test/b.png"}),
         "messages[0].content[0].image_url.url"),
        (part(type="image_url", image_url="https://a.test/b.png"),
         "messages[0].content[0].image_url.url"),
        (part(type="file", file={"file_url": "https://a.test/b.pdf"}),
         "messages[0].content[0].file.file_url"),
        (part(type="file", file={"file_id": "f"}), "messages[0].content[0].file.file_id"),
        (part(type="document", source={"type": "url", "url": "https://a.test"}),
         "messages[0].content[0].source.type"),
        ({"messages": [HELLO], "web_search_options": {"search_context_size": "medium"}},
         "web_search_options"),
        ({"messages": [HELLO], "plugins": [{"id": "web"}]}, "plugins"),
        ({"messages": [HELLO], "seed": 7}, "seed"),
    ],
)  # fmt: skip
def test_what_it_cannot_express_is_named(chat, field):
    with pytest.raises(Refusal) as raised:
        request_from_chat(chat, model=CLAUDE, stream=False)
    assert raised.value.message.startswith(f"{field}: ")


def test_an_image_inline_is_as_good_as_anywhere():
    chat = part(type="image_url", image_url={"url": "data:image/png;base64,AA"})
    body = request_from_chat(chat, model=CLAUDE, stream=False)
    assert body["messages"][0]["content"][0]["source"]["data"] == "AA"


def test_replies_are_anthropic_s():
    assert reply_to_chat(samples.MESSAGE, **HEAD) == samples.CHAT


def test_the_frames_hold_anthropic_s_events():
    expected = translated(anthropic.StreamToChat(**HEAD), samples.MESSAGE_STREAM)
    source = stream()
    assert source.feed(bedrock_samples.CLAUDE_STREAM) == expected
    assert (source.is_done, source.error) == (True, None)
    assert source.finish() == b""


def test_an_event_of_many_lines():
    frames = b"".join(bedrock_samples.chunk(one, indent=2) for one in samples.MESSAGE_EVENTS)
    assert translated(stream(), frames) == translated(stream(), bedrock_samples.CLAUDE_STREAM)


def test_any_cut_of_the_bytes_gives_the_same_chunks():
    source = bedrock_samples.CLAUDE_STREAM
    assert set(every_cut(stream, source, step=11)) == {translated(stream(), source)}


@pytest.mark.parametrize("events", range(1, len(samples.MESSAGE_EVENTS)))
def test_a_stream_that_was_cut_never_claims_its_end(events):
    source = stream()
    cut = b"".join(bedrock_samples.chunk(event) for event in samples.MESSAGE_EVENTS[:events])
    out = translated(source, cut + bedrock_samples.CLAUDE_STREAM[:40])
    assert b"[DONE]" not in out
    assert (source.is_done, source.error) == (False, None)


BEGIN = b"".join(bedrock_samples.chunk(event) for event in samples.MESSAGE_EVENTS[:4])


@pytest.mark.parametrize(
    ("name", "kind", "status"),
    [
        ("throttlingException", "rate_limit_error", 429),
        ("validationException", "invalid_request_error", 400),
        ("modelStreamErrorException", "api_error", 500),
    ],
)
def test_an_exception_reaches_the_client(name, kind, status):
    source = stream()
    broken = BEGIN + bedrock_samples.exception(name, "Too much.")
    out = translated(source, broken + bedrock_samples.CLAUDE_STREAM)
    assert b"[DONE]" not in out
    assert source.error["error"]["type"] == kind
    assert (source.error_status, source.is_done) == (status, False)
    with pytest.raises(openai.APIError, match="Too much"):
        list(openai_client(out).chat.completions.create(model="m", messages=[], stream=True))


@pytest.mark.parametrize(
    "junk",
    [
        b"x" * 64,
        bedrock_samples.event("chunk", {"bytes": "no base64!"}),
        bedrock_samples.event("chunk", {}),
        bedrock_samples.event("chunk", {"bytes": 7}),
        bedrock_samples.event("chunk", {"bytes": "e2hhbGY="}),
        bedrock_samples.frame({":event-type": "chunk"}, b"{half"),
    ],
)
def test_a_damaged_frame_breaks_the_stream_in_words(junk):
    source = stream()
    out = source.feed(BEGIN + junk)
    assert b'"error":{' in out
    assert source.feed(bedrock_samples.CLAUDE_STREAM) + source.finish() == b""
    assert not source.is_done


def test_other_events_are_none_of_the_reply():
    source = bedrock_samples.event("initial-response", {}) + bedrock_samples.CLAUDE_STREAM
    assert translated(stream(), source) == translated(stream(), bedrock_samples.CLAUDE_STREAM)
