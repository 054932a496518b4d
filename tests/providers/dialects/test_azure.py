"""Azure OpenAI: the address of a deployment, the key's header, errors (`proxy.md 10.2`)."""

import json
from types import SimpleNamespace

import pytest

from appliance.errors import Refusal
from appliance.providers.dialects.azure import (
    error_to_chat,
    headers_for,
    request_from_chat,
    url_of,
)

GPT = SimpleNamespace(provider_model_id="gpt-4o", max_output_tokens=16384)
BASE = "https://mine.openai.azure.com"


@pytest.mark.parametrize(
    ("settings", "base_url", "url"),
    [
        ({}, BASE, f"{BASE}/openai/deployments/gpt-4o/chat/completions"),
        ({}, f"{BASE}/", f"{BASE}/openai/deployments/gpt-4o/chat/completions"),
        ({}, f"{BASE}/openai/v1/", f"{BASE}/openai/deployments/gpt-4o/chat/completions"),
        ({}, f"{BASE}/openai", f"{BASE}/openai/deployments/gpt-4o/chat/completions"),
        ({}, "https://g.test/team", "https://g.test/team/openai/deployments/gpt-4o/chat/completions"),
        ({"baseUri": BASE}, "", f"{BASE}/openai/deployments/gpt-4o/chat/completions"),
        ({"resourceName": "Mine"}, "", f"{BASE}/openai/deployments/gpt-4o/chat/completions"),
        ({"deploymentName": "our gpt/4"}, BASE,
         f"{BASE}/openai/deployments/our%20gpt%2F4/chat/completions"),
    ],
)  # fmt: skip
def test_the_address_of_a_deployment(settings, base_url, url):
    found = url_of("gpt-4o", settings=settings, base_url=base_url)
    assert found == f"{url}?api-version=2025-01-01-preview"


def test_the_version_and_the_operation():
    found = url_of(
        "e", settings={"apiVersion": "2024-10-21"}, base_url=BASE, operation="embeddings"
    )
    assert found == f"{BASE}/openai/deployments/e/embeddings?api-version=2024-10-21"


@pytest.mark.parametrize(
    ("name", "settings", "base_url", "said"),
    [
        ("gpt-4o", {}, "", "baseUri"),
        ("gpt-4o", {"resourceName": "evil.test/"}, "", "baseUri"),
        ("gpt-4o", {"apiVersion": "1&x=y"}, BASE, "apiVersion"),
        ("", {}, BASE, "model: "),
        ("gpt-4o", {"deploymentName": ".."}, BASE, "model: "),
    ],
)
def test_what_is_no_address(name, settings, base_url, said):
    with pytest.raises(Refusal, match=said) as raised:
        url_of(name, settings=settings, base_url=base_url)
    assert raised.value.status == 400


def test_the_body_is_the_chat():
    chat = {"model": "x", "messages": [], "stream": True, "stream_options": {"include_usage": True}}
    assert request_from_chat(chat, model=GPT, stream=True) == {**chat, "model": "gpt-4o"}
    assert request_from_chat(chat, model=GPT, stream=False) == {"model": "gpt-4o", "messages": []}
    assert chat["model"] == "x"


def test_the_key_has_a_header_of_its_own():
    assert headers_for("k") == {"api-key": "k"}


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (
            404, {"error": {"code": "DeploymentNotFound", "message": "No such deployment."}},
            ("No such deployment.", "not_found_error", None, "DeploymentNotFound"),
        ),
        (
            400, {"error": {"code": "content_filter", "type": None, "param": "prompt",
                            "message": "Filtered.", "innererror": {"code": "x"}}},
            ("Filtered.", "invalid_request_error", "prompt", "content_filter"),
        ),
        (
            401, {"statusCode": 401, "message": "Access denied."},
            ("Access denied.", "authentication_error", None, None),
        ),
        (
            429, {"error": {"code": "429", "message": "Slow down."}},
            ("Slow down.", "rate_limit_error", None, None),
        ),
    ],
)  # fmt: skip
def test_errors(status, body, expected):
    error = dict(zip(("message", "type", "param", "code"), expected, strict=True))
    assert error_to_chat(status, json.dumps(body).encode()) == (status, {"error": error})
