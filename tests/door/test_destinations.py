"""What is sent where, and targets that are refused (proxy.md 1.3; M1, Outbound)."""

import pytest

from appliance.core.urls import HostList, TargetPolicy
from appliance.door.routes import Kind, Routing
from appliance.providers.table import ProviderTable
from tests.door.asking import BEARER, KEY, TABLE, go, sent


@pytest.mark.parametrize(
    ("target", "headers", "url", "provider"),
    [
        (
            "/v1/gateway/oai/v1/chat/completions",
            {},
            "https://api.openai.com/v1/chat/completions",
            "openai",
        ),
        (
            "/v1/gateway/openai/chat/completions",
            {},
            "https://api.openai.com/v1/chat/completions",
            "openai",
        ),
        (
            "/v1/gateway/oai/v1/files?limit=2",
            {},
            "https://api.openai.com/v1/files?limit=2",
            "openai",
        ),
        (
            "/v1/gateway/anthropic/v1/messages",
            {},
            "https://api.anthropic.com/v1/messages",
            "anthropic",
        ),
        ("/v1/gateway/groq/v1/models", {}, "https://api.groq.com/openai/v1/models", "groq"),
        ("/v1/gateway/groq/openai/v1/models", {}, "https://api.groq.com/openai/v1/models", "groq"),
        ("/v1/gateway/oai", {}, "https://api.openai.com/v1/", "openai"),
        ("/v1/gateway/oai//v1/x", {}, "https://api.openai.com/v1//v1/x", "openai"),
        ("/v1/gateway/oai/v1/a%2Fb;c", {}, "https://api.openai.com/v1/a%2Fb;c", "openai"),
        (
            "/v1/gateway/ollama/v1/chat/completions",
            {},
            "http://127.0.0.1:11434/v1/chat/completions",
            "ollama",
        ),
        (
            "/v1/gateway/google/v1beta/models/g-2.5:generateContent?key=K",
            {},
            "https://generativelanguage.googleapis.com/v1beta/models/g-2.5:generateContent?key=K",
            "google-ai-studio",
        ),
        (
            "/v1/gateway/aws/model/a.b/invoke",
            {},
            "https://bedrock-runtime.us-east-1.amazonaws.com/model/a.b/invoke",
            "bedrock",
        ),
        (
            "/v1/gateway/bedrock/v1/eu-west-1/model/arn%3Aaws%3Ax%2Fy/converse",
            {},
            "https://bedrock-runtime.eu-west-1.amazonaws.com/model/arn%3Aaws%3Ax%2Fy/converse",
            "bedrock",
        ),
        (
            "/v1/gateway/vertex/v1/projects/p/locations/europe-west4/publishers/google/models/m:x",
            {},
            "https://europe-west4-aiplatform.googleapis.com"
            "/v1/projects/p/locations/europe-west4/publishers/google/models/m:x",
            "vertex",
        ),
        (
            "/v1/gateway/vertex/v1/projects/p/locations/global/x",
            {},
            "https://aiplatform.googleapis.com/v1/projects/p/locations/global/x",
            "vertex",
        ),
        (
            "/v1/gateway/oai/openai/deployments/d/chat/completions?api-version=1",
            {"helicone-openai-api-base": "https://me.openai.azure.com"},
            "https://me.openai.azure.com/openai/deployments/d/chat/completions?api-version=1",
            "azure",
        ),
        (
            "/gateway/v1/x",
            {"helicone-target-url": "https://api.x.ai/v1"},
            "https://api.x.ai/v1/x",
            "xai",
        ),
        (
            "/gatewayish",
            {"helicone-target-url": "https://api.x.ai"},
            "https://api.x.ai/gatewayish",
            "xai",
        ),
        (
            "/v1/chat/completions",
            {"helicone-target-url": "http://localhost:11434/v1"},
            "http://localhost:11434/v1/chat/completions",
            "ollama",
        ),
        (
            "/v1/x",
            {"helicone-target-url": "http://gpu:9/api/v1"},
            "http://gpu:9/api/v1/x",
            "custom",
        ),
        (
            "/messages/count_tokens",
            {"x-api-key": "k"},
            "https://api.anthropic.com/v1/messages/count_tokens",
            "anthropic",
        ),
        ("/v1/complete", BEARER, "https://api.anthropic.com/v1/complete", "anthropic"),
        ("/v1/completions", BEARER, "https://api.openai.com/v1/completions", "openai"),
        (
            "/v1/models",
            BEARER | {"anthropic-version": "2023-06-01"},
            "https://api.anthropic.com/v1/models",
            "anthropic",
        ),
        ("/chat/completions", BEARER, "https://api.openai.com/v1/chat/completions", "openai"),
        (f"/{KEY}/v1/gateway/oai/v1/models", {}, "https://api.openai.com/v1/models", "openai"),
        (
            f"/v1/gateway/oai/{KEY}/v1/models?a=1",
            {},
            "https://api.openai.com/v1/models?a=1",
            "openai",
        ),
    ],
)
def test_what_is_sent_where(target: str, headers: dict[str, str], url: str, provider: str) -> None:
    found = go(target, headers)
    assert sent(found) == url
    assert found.provider is not None
    assert found.provider.id == provider
    assert b"helicone" not in found.path
    assert b"k-helicone" not in found.record_path
    assert found.helicone_key_in_path == (KEY if KEY in target else "")


@pytest.mark.parametrize(
    ("headers", "target", "status"),
    [
        ({"helicone-target-url": "https://evil.tld"}, "/v1/x", 403),
        ({"helicone-target-url": "https://api.openai.com.evil.tld"}, "/v1/x", 403),
        ({"helicone-target-url": "http://localhost:11434/v1"}, "/v1/x", 403),
        ({"helicone-target-url": "http://127.0.0.1:9/v1"}, "/v1/x", 403),
        ({"helicone-target-url": "http://10.0.0.1"}, "/v1/x", 403),
        ({"helicone-target-url": "http://gpu:8000"}, "/v1/x", 403),
        ({"helicone-target-url": "https://u:p@api.openai.com"}, "/v1/x", 400),
        ({"helicone-target-url": "http://2130706433"}, "/v1/x", 400),
        ({}, "/v1/gateway/ollama/v1/x", 403),
        ({}, "/v1/gateway/azure/v1/x", 400),
        ({}, "/v1/gateway/local/v1/x", 400),
    ],
)
def test_targets_refused_when_not_open_on_loopback(
    headers: dict[str, str], target: str, status: int
) -> None:
    found = go(target, headers, routing=Routing(TABLE))
    assert found.kind is Kind.REFUSED
    assert found.refusal is not None
    assert found.refusal.status == status


def test_listed_and_configured_targets() -> None:
    table = ProviderTable.from_config({"mine": {"base_url": "http://10.0.0.9:8000/v1"}})
    routing = Routing(table, policy=TargetPolicy(HostList(["*.corp.example", "10.0.0.0/24"])))
    assert sent(go("/v1/gateway/mine/v1/x", routing=routing)) == "http://10.0.0.9:8000/v1/x"
    by_target = go("/x", {"helicone-target-url": "http://10.0.0.9:8000/v1"}, routing=routing)
    assert by_target.provider is table.rows["mine"]
    listed = go("/v1/x", {"helicone-target-url": "https://LLM.corp.example"}, routing=routing)
    assert listed.provider is not None
    assert listed.provider.id == "custom"
    assert listed.provider.record_name == "https://llm.corp.example"
    assert listed.target_from_client
    assert not listed.built_in
    assert not go("/v1/gateway/mine/v1/x", routing=routing).built_in
    assert go("/v1/gateway/oai/v1/x", routing=routing).built_in
