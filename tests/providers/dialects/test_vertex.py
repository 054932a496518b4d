"""Vertex AI: addresses, and what differs in the bodies (`proxy.md 10.2, 11.1`)."""

from types import SimpleNamespace

import pytest

from appliance.errors import Refusal
from appliance.providers.dialects import gemini, vertex, vertex_claude
from tests.providers.dialects import gemini_samples, samples
from tests.providers.dialects.official import CLAUDE, translated

HEAD = {"model": "m", "created": 7, "id": "chatcmpl-1"}
HELLO = {"role": "user", "content": "Hello"}
GEMINI = SimpleNamespace(provider_model_id="gemini-2.5-pro", max_output_tokens=65536)
PROJECT = {"projectId": "project-1"}
FLASH = "gemini-2.5-flash"
SONNET = "claude-sonnet-4@20250514"


@pytest.mark.parametrize(
    ("settings", "host", "location"),
    [
        ({}, "us-central1-aiplatform", "us-central1"),
        ({"region": "europe-west4"}, "europe-west4-aiplatform", "europe-west4"),
        ({"location": "global"}, "aiplatform", "global"),
        ({"crossRegion": "true"}, "aiplatform", "global"),
        ({"crossRegion": "false"}, "us-central1-aiplatform", "us-central1"),
        ({"region": "eu"}, "aiplatform.eu.rep", "eu"),
    ],
)
def test_the_address_of_gemini(settings, host, location):
    base = (
        f"https://{host}.googleapis.com/v1beta1/projects/project-1/locations/{location}"
        f"/publishers/google/models/{FLASH}"
    )
    given = {**PROJECT, **settings}
    assert vertex.url_of(FLASH, settings=given, stream=False) == f"{base}:generateContent"
    streamed = vertex.url_of(FLASH, settings=given, stream=True)
    assert streamed == f"{base}:streamGenerateContent?alt=sse"


@pytest.mark.parametrize(
    ("settings", "region"),
    [({}, "us-central1"), ({"region": "europe-west1"}, "europe-west1"),
     ({"crossRegion": "true"}, "us-east5")],
)  # fmt: skip
def test_the_address_of_claude(settings, region):
    base = (
        f"https://{region}-aiplatform.googleapis.com/v1/projects/project-1/locations/{region}"
        f"/publishers/anthropic/models/{SONNET}"
    )
    given = {**PROJECT, **settings}
    assert vertex_claude.url_of(SONNET, settings=given, stream=False) == f"{base}:rawPredict"
    assert vertex_claude.url_of(SONNET, settings=given, stream=True) == f"{base}:streamRawPredict"


def test_the_project_is_the_settings_or_the_account_s():
    found = vertex.url_of(FLASH, settings={}, project="account-1", stream=False)
    assert "/projects/account-1/" in found
    found = vertex.url_of(FLASH, settings=PROJECT, project="account-1", stream=False)
    assert "/projects/project-1/" in found
    found = vertex.url_of(FLASH, settings=PROJECT, stream=False, base_url="http://h.test/")
    assert found.startswith("http://h.test/v1beta1/projects/")


@pytest.mark.parametrize(
    ("name", "settings", "said"),
    [
        (FLASH, {}, "projectId"),
        (FLASH, {"projectId": "../x"}, "projectId"),
        (FLASH, {**PROJECT, "region": "evil.test/"}, "region"),
        (FLASH, {**PROJECT, "region": "us-central1.evil.test"}, "region"),
        ("..", PROJECT, "model: "),
        ("", PROJECT, "model: "),
    ],
)
def test_what_is_no_address(name, settings, said):
    for module in (vertex, vertex_claude):
        with pytest.raises(Refusal, match=said) as raised:
            module.url_of(name, settings=settings, stream=False)
        assert raised.value.status == 400


def test_a_name_is_no_path():
    found = vertex.url_of("a/../b?c", settings=PROJECT, stream=False)
    assert found.endswith("/models/a%2F..%2Fb%3Fc:generateContent")


def test_gemini_s_bodies_are_ai_studio_s():
    chat = {"messages": [HELLO], "reasoning_effort": "low"}
    own = vertex.request_from_chat(chat, model=GEMINI, stream=True)
    assert own == gemini.request_from_chat(chat, model=GEMINI, stream=True)
    labelled = vertex.request_from_chat(
        {**chat, "metadata": {"team": "a"}}, model=GEMINI, stream=True
    )
    assert labelled["labels"] == {"team": "a"}
    assert vertex.reply_to_chat(gemini_samples.REPLY, **HEAD)["usage"] == gemini_samples.CHAT_USAGE
    out = translated(vertex.StreamToChat(**HEAD), gemini_samples.STREAM)
    assert out.endswith(b"data: [DONE]\n\n")


def test_claude_s_bodies_name_their_version_and_no_model():
    chat = {"messages": [HELLO], "prompt_cache_options": {"mode": "explicit"}}
    body = vertex_claude.request_from_chat(chat, model=CLAUDE, stream=True)
    assert body == {
        "anthropic_version": "vertex-2023-10-16", "max_tokens": 64000, "messages": [HELLO],
        "stream": True,
    }  # fmt: skip
    assert vertex_claude.headers_for(body) == {}
    edited = vertex_claude.request_from_chat(
        {**chat, "context_editing": {"enabled": True}}, model=CLAUDE, stream=True
    )
    assert vertex_claude.headers_for(edited) == {"anthropic-beta": "context-management-2025-06-27"}
    own = {"model": "claude", "max_tokens": 5, "messages": [HELLO]}
    assert vertex_claude.body_from_messages(own) == {
        "anthropic_version": "vertex-2023-10-16", "max_tokens": 5, "messages": [HELLO],
    }  # fmt: skip


def test_claude_s_replies_are_anthropic_s():
    assert vertex_claude.reply_to_chat(samples.MESSAGE, **HEAD)["usage"] == samples.CHAT_USAGE
    out = translated(vertex_claude.StreamToChat(**HEAD), samples.MESSAGE_STREAM)
    assert out.endswith(b"data: [DONE]\n\n")


@pytest.mark.parametrize(
    ("status", "body", "kind", "code"),
    [
        (529, b'{"type":"error","error":{"type":"overloaded_error","message":"Busy"}}',
         "overloaded_error", None),
        (403, b'[{"error":{"code":403,"message":"Busy","status":"PERMISSION_DENIED"}}]',
         "permission_error", "PERMISSION_DENIED"),
    ],
)  # fmt: skip
def test_errors_are_anthropic_s_or_google_s(status, body, kind, code):
    error = {"message": "Busy", "type": kind, "param": None, "code": code}
    assert vertex_claude.error_to_chat(status, body) == (status, {"error": error})
