"""Models from overrides, bodies and paths (backend.md 3.4, proxy.md 9.3)."""

import pytest

from appliance.core.model_name import (
    NAME_CHARACTERS_MAX,
    clean_name,
    path_name,
    reply_name,
    request_name,
    resolve,
)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/v1/engines/davinci/completions", "davinci"),
        ("/v1beta/models/gemini-2.5-pro:generateContent?key=***", "gemini-2.5-pro"),
        ("/v1beta/models/gemini-2.5-pro:streamGenerateContent?alt=sse", "gemini-2.5-pro"),
        (
            "/v1/projects/p/locations/l/publishers/anthropic/models/claude-3-5@20240620:rawPredict",
            "claude-3-5@20240620",
        ),
        (
            "/model/anthropic.claude-3-sonnet-20240229-v1%3A0/invoke-with-response-stream",
            "anthropic.claude-3-sonnet-20240229-v1:0",
        ),
        ("/v1/us-east-1/model/us.amazon.nova-pro-v1:0/converse", "us.amazon.nova-pro-v1:0"),
        ("/openai/deployments/gpt-4o-eu/chat/completions?api-version=1", "gpt-4o-eu"),
        ("/v1/realtime?model=gpt-realtime&x=1", "gpt-realtime"),
        ("/v1/models", None),
        ("/v1/chat/completions", None),
        ("", None),
    ],
)
def test_paths(path, name):
    assert path_name(path) == name


@pytest.mark.parametrize(
    ("document", "name"),
    [
        ({"model": "gpt-4o"}, "gpt-4o"),
        ({"model": "models/text-embedding-004"}, "text-embedding-004"),
        ({"_type": "tool", "toolName": "search", "model": "x"}, "tool:search"),
        ({"_type": "tool"}, "tool:unknown"),
        ({"_type": "vector_db"}, "vector_db"),
        ({"_type": "data", "name": "rows"}, "data:rows"),
        ({"model": 7}, None),
        ({"model": ""}, None),
        ([], None),
        (None, None),
    ],
)
def test_requests(document, name):
    assert request_name(document, b"", "application/json") == name


def test_forms():
    body = (
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.mp3"\r\n'
        b"Content-Type: audio/mpeg\r\n\r\n\x00\xff\r\n--b\r\n"
        b'Content-Disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n--b--\r\n'
    )
    assert request_name(None, body, "multipart/form-data; boundary=b") == "whisper-1"
    assert request_name(None, b"no form", "multipart/form-data; boundary=b") is None
    assert request_name(None, body, "application/octet-stream") is None


@pytest.mark.parametrize(
    ("documents", "name"),
    [
        ([{"model": "gpt-4o-2024-08-06"}], "gpt-4o-2024-08-06"),
        ([{"model": "", "choices": []}, {"model": "gpt-4o"}], "gpt-4o"),
        ([{"type": "message_start", "message": {"model": "claude-x"}}], "claude-x"),
        ([{"type": "response.created", "response": {"model": "gpt-5"}}], "gpt-5"),
        ([{"modelVersion": "gemini-2.5-flash"}], "gemini-2.5-flash"),
        ([1, None, {}], None),
        ([], None),
    ],
)
def test_replies(documents, name):
    assert reply_name(documents) == name


def test_order_and_assistants():
    path = "/v1/models/from-path"
    assert resolve("o", "reply", "request", path, "POST") == "o"
    assert resolve(None, "reply", "request", path, "POST") == "reply"
    assert resolve(None, None, "request", path, "POST") == "request"
    assert resolve(None, None, None, path, "POST") == "from-path"
    assert resolve(None, None, None, "/v1/threads/t/runs", "POST") == "assistant-call"
    assert resolve(None, None, None, "/v1/threads/t/runs/r", "GET") == "assistant-polling"
    assert resolve(None, None, None, "/v1/files", "GET") is None


def test_names_are_bounded_and_storable():
    assert clean_name("x" * 10_000) == "x" * NAME_CHARACTERS_MAX
    assert clean_name("a\ud800b") == "a?b"
    assert clean_name("   ") is None
    assert clean_name(["gpt"]) is None
