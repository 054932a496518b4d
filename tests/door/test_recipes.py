"""Base URLs of Helicone's documented recipes, with only scheme and host replaced (M1, Doors)."""

import pytest

from appliance.door.routes import Kind
from tests.door.asking import BEARER, HELICONE, KEY, go, sent

AUTH = {"helicone-auth": f"Bearer {KEY}"}
ANTHROPIC = {"x-api-key": "sk-ant-x", "anthropic-version": "2023-06-01"}
AZURE_PATH = "/openai/deployments/gpt-4.1/chat/completions?api-version=2025-01-01"
VERTEX_PATH = "/v1/projects/p/locations/us-central1/publishers/google/models/g:generateContent"
GEMINI_PATH = "/v1beta/models/gemini-1.5-flash-latest:generateContent?key=K&alt=sse"


@pytest.mark.parametrize(
    ("name", "target", "headers", "kind", "url"),
    [
        ("OpenAI", "/v1/chat/completions", BEARER | AUTH,
         Kind.PROXY, "https://api.openai.com/v1/chat/completions"),
        ("OpenAI, key in the path", f"/{KEY}/v1/chat/completions", BEARER,
         Kind.PROXY, "https://api.openai.com/v1/chat/completions"),
        ("Anthropic", "/v1/messages", ANTHROPIC | AUTH,
         Kind.PROXY, "https://api.anthropic.com/v1/messages"),
        ("Anthropic, key in the path", f"/{KEY}/v1/messages",
         ANTHROPIC,
         Kind.PROXY, "https://api.anthropic.com/v1/messages"),
        ("Azure by api-base", AZURE_PATH,
         {"helicone-openai-api-base": "https://me.openai.azure.com", "api-key": "k",
          "authorization": "Bearer k", "helicone-auth": f"Bearer {KEY}"},
         Kind.PROXY,
         "https://me.openai.azure.com" + AZURE_PATH),
        ("Vertex SDK", VERTEX_PATH,
         {"authorization": "Bearer ya29.x", "helicone-auth": f"Bearer {KEY}",
          "helicone-target-url": "https://us-central1-aiplatform.googleapis.com"},
         Kind.PROXY,
         "https://us-central1-aiplatform.googleapis.com" + VERTEX_PATH),
        ("gateway with target", "/v1/chat/completions",
         BEARER | AUTH | {"helicone-target-url": "https://api.lemonfox.ai"},
         Kind.PROXY, "https://api.lemonfox.ai/v1/chat/completions"),
        ("gateway with target, Groq", "/openai/v1/chat/completions",
         BEARER | {"helicone-target-url": "https://api.groq.com"},
         Kind.PROXY, "https://api.groq.com/openai/v1/chat/completions"),
        ("LibreChat", "/chat/completions", HELICONE, Kind.GATEWAY, ""),
        ("LibreChat, list of models", "/models", HELICONE, Kind.GATEWAY, ""),
        ("Claude Code", f"/{KEY}/v1/messages?beta=true",
         {"authorization": "Bearer sk-ant-oat01-x", "anthropic-version": "2023-06-01"},
         Kind.PROXY, "https://api.anthropic.com/v1/messages?beta=true"),
        ("LiteLLM", "/v1/chat/completions", BEARER | AUTH,
         Kind.PROXY, "https://api.openai.com/v1/chat/completions"),
        ("LiteLLM, Gemini", GEMINI_PATH,
         {"helicone-target-url": "https://generativelanguage.googleapis.com",
          "helicone-auth": f"Bearer {KEY}"},
         Kind.PROXY,
         "https://generativelanguage.googleapis.com" + GEMINI_PATH),
        ("LiteLLM, helicone/ models", "/chat/completions", HELICONE, Kind.GATEWAY, ""),
        ("Vercel AI SDK", "/v1/responses", BEARER | AUTH,
         Kind.PROXY, "https://api.openai.com/v1/responses"),
        ("Vercel AI SDK, Helicone provider", "/v1/chat/completions", HELICONE, Kind.GATEWAY, ""),
        ("self-hosted", "/v1/gateway/oai/v1/chat/completions",
         BEARER | AUTH,
         Kind.PROXY, "https://api.openai.com/v1/chat/completions"),
    ],
)  # fmt: skip
def test_documented_recipes_with_scheme_and_host_replaced(
    name: str, target: str, headers: dict[str, str], kind: Kind, url: str
) -> None:
    found = go(target, headers)
    assert found.kind is kind, name
    if kind is Kind.PROXY:
        assert sent(found) == url
