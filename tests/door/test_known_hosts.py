"""Rule 4: worker types and the labels of known hosts (proxy.md 1.1, 1.2)."""

import pytest

from appliance.door.routes import Kind, Routing
from tests.door.asking import BEARER, TABLE, go, sent


@pytest.mark.parametrize(
    ("host", "target", "headers", "kind", "url"),
    [
        ("oai.helicone.ai", "/v1/models", {}, Kind.PROXY, "https://api.openai.com/v1/models"),
        ("oai.eu.hconeai.com", "/v1/models", {}, Kind.PROXY, "https://api.openai.com/v1/models"),
        ("oai.localhost:8585", "/v1/models", {}, Kind.PROXY, "https://api.openai.com/v1/models"),
        ("OAI.helicone.corp.example", "/v1/x", {}, Kind.PROXY, "https://api.openai.com/v1/x"),
        (
            "anthropic.helicone.ai",
            "/v1/messages",
            {},
            Kind.PROXY,
            "https://api.anthropic.com/v1/messages",
        ),
        (
            "oai.helicone.ai",
            "/openai/deployments/d/x",
            {"helicone-openai-api-base": "https://a.openai.azure.com"},
            Kind.PROXY,
            "https://a.openai.azure.com/openai/deployments/d/x",
        ),
        (
            "gateway.us.helicone.ai",
            "/v1/x",
            {"helicone-target-url": "https://api.groq.com"},
            Kind.PROXY,
            "https://api.groq.com/v1/x",
        ),
        ("gateway.helicone.ai", "/v1/x", BEARER, Kind.REFUSED, ""),
        ("ai-gateway.helicone.ai", "/v1/chat/completions", BEARER, Kind.GATEWAY, ""),
        ("generate.helicone.ai", "/v1/x", BEARER, Kind.GATEWAY, ""),
        ("api.worker.helicone.ai", "/custom/v1/log", {}, Kind.INTAKE, ""),
        (
            "api.worker.helicone.ai",
            "/v1/gateway/oai/v1/x",
            {},
            Kind.PROXY,
            "https://api.openai.com/v1/x",
        ),
        ("api.helicone.ai", "/v1/request/query-clickhouse", {}, Kind.OWN, ""),
        ("eu.api.helicone.ai", "/v1/request/query-clickhouse", {}, Kind.OWN, ""),
        ("vercel.helicone.ai", "/v1/ai/x", {}, Kind.PROXY, "https://ai-gateway.vercel.sh/v1/ai/x"),
        ("together.helicone.ai", "/v1/x", {}, Kind.PROXY, "https://api.together.xyz/v1/x"),
        (
            "google.helicone.ai",
            "/v1beta/x",
            {},
            Kind.PROXY,
            "https://generativelanguage.googleapis.com/v1beta/x",
        ),
        ("llama.helicone.ai", "/compat/v1/x", {}, Kind.PROXY, "https://api.llama.com/compat/v1/x"),
        ("llama.helicone.ai", "/v1/x", {}, Kind.PROXY, "https://api.llama.com/v1/x"),
        ("nvidia.helicone.ai", "/v1/x", {}, Kind.PROXY, "https://integrate.api.nvidia.com/v1/x"),
        ("openrouter.helicone.ai", "/api/v1/x", {}, Kind.PROXY, "https://openrouter.ai/api/v1/x"),
        (
            "deepinfra.helicone.ai",
            "/v1/inference/x",
            {},
            Kind.PROXY,
            "https://api.deepinfra.com/v1/inference/x",
        ),
        ("groq.helicone.ai", "/openai/v1/x", {}, Kind.PROXY, "https://api.groq.com/openai/v1/x"),
        (
            "perplexity.helicone.ai",
            "/chat/completions",
            {},
            Kind.PROXY,
            "https://api.perplexity.ai/chat/completions",
        ),
        ("hyperbolic.helicone.ai", "/v1/x", {}, Kind.PROXY, "https://api.hyperbolic.xyz/v1/x"),
        ("cerebras.helicone.ai", "/v1/x", {}, Kind.PROXY, "https://api.cerebras.ai/v1/x"),
        ("mistral.helicone.ai", "/v1/x", {}, Kind.PROXY, "https://api.mistral.ai/v1/x"),
        (
            "bedrock.helicone.ai",
            "/v1/us-west-2/model/m.x/invoke",
            {},
            Kind.PROXY,
            "https://bedrock-runtime.us-west-2.amazonaws.com/model/m.x/invoke",
        ),
        (
            "fireworks.helicone.ai",
            "/inference/v1/x",
            {},
            Kind.PROXY,
            "https://api.fireworks.ai/inference/v1/x",
        ),
        ("predibase.helicone.ai", "/v1/x", {}, Kind.PROXY, "https://api.app.predibase.com/v1/x"),
        ("qstash.helicone.ai", "/llm/v1/x", {}, Kind.PROXY, "https://qstash.upstash.io/llm/v1/x"),
        ("qstash.helicone.ai", "/v1/x", {}, Kind.REFUSED, ""),
        (
            "qstash.helicone.ai",
            "/llm/v1/x",
            {"upstash-callback": "https://api.groq.com/cb"},
            Kind.PROXY,
            "https://api.groq.com/llm/v1/x",
        ),
        ("qstash.helicone.ai", "/llm", {"upstash-callback": "https://evil.tld"}, Kind.REFUSED, ""),
        ("x.helicone.ai", "/v1/x", {}, Kind.PROXY, "https://api.x.ai/v1/x"),
        ("deepseek.helicone.ai", "/beta/x", {}, Kind.PROXY, "https://api.deepseek.com/beta/x"),
        ("nebius.helicone.ai", "/v1/x", {}, Kind.PROXY, "https://api.tokenfactory.nebius.com/v1/x"),
        ("novita.helicone.ai", "/v3/x", {}, Kind.PROXY, "https://api.novita.ai/v3/x"),
        (
            "firecrawl.helicone.ai",
            "/v1/scrape",
            {},
            Kind.PROXY,
            "https://api.firecrawl.dev/v1/scrape",
        ),
        # Other hosts may be called as they like.
        (
            "gateway.corp.example",
            "/v1/gateway/oai/v1/x",
            {},
            Kind.PROXY,
            "https://api.openai.com/v1/x",
        ),
        (
            "api.corp.example",
            "/v1/chat/completions",
            BEARER,
            Kind.PROXY,
            "https://api.openai.com/v1/chat/completions",
        ),
        ("helicone.corp.example", "/v1/x", BEARER, Kind.PROXY, "https://api.openai.com/v1/x"),
        ("good/abc?x=", "/v1/x", BEARER, Kind.REFUSED, ""),
    ],
)
def test_known_hosts(host: str, target: str, headers: dict[str, str], kind: Kind, url: str) -> None:
    found = go(target, headers, host=host)
    assert found.kind is kind
    if url:
        assert sent(found) == url
    assert found.region == ("eu" if ".eu." in host or host.startswith("eu.") else "")


@pytest.mark.parametrize(
    ("worker_type", "target", "headers", "kind", "url"),
    [
        ("OPENAI_PROXY", "/v1/messages", {}, Kind.PROXY, "https://api.openai.com/v1/messages"),
        ("ANTHROPIC_PROXY", "/v1/models", {}, Kind.PROXY, "https://api.anthropic.com/v1/models"),
        ("GATEWAY_API", "/v1/x", {}, Kind.REFUSED, ""),
        (
            "GATEWAY_API",
            "/v1/x",
            {"helicone-target-url": "https://api.x.ai"},
            Kind.PROXY,
            "https://api.x.ai/v1/x",
        ),
        ("AI_GATEWAY_API", "/v1/gateway/oai/v1/x", BEARER, Kind.GATEWAY, ""),
        ("HELICONE_API", "/v1/request/query-clickhouse", {}, Kind.OWN, ""),
        ("HELICONE_API", "/oai/v1/log", {}, Kind.INTAKE, ""),
        ("OPENAI_PROXY", "/healthcheck", {}, Kind.OWN, ""),
        ("OPENAI_PROXY", "/oai/v1/log", {}, Kind.INTAKE, ""),
    ],
)
def test_worker_types(
    worker_type: str, target: str, headers: dict[str, str], kind: Kind, url: str
) -> None:
    found = go(target, headers, routing=Routing(TABLE, worker_type))  # type: ignore[arg-type]
    assert found.kind is kind
    if url:
        assert sent(found) == url


@pytest.mark.parametrize("word", ["CUSTOMER_GATEWAY", "VAPI_PROXY", "oai"])
def test_other_worker_types_stop_the_start(word: str) -> None:
    with pytest.raises(ValueError, match="worker_type"):
        Routing(TABLE, word)  # type: ignore[arg-type]


def test_an_unapproved_api_base_on_the_openai_host_is_500() -> None:
    found = go("/v1/x", {"helicone-openai-api-base": "https://evil.tld"}, host="oai.helicone.ai")
    assert found.refusal is not None
    assert found.refusal.status == 500


def test_the_host_table_is_bounded() -> None:
    routing = Routing(TABLE)
    for number in range(5000):
        go("/v1/x", host=f"h{number}.example", routing=routing)
    assert len(routing.hosts) <= 4096
