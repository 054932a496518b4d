"""Where a WebSocket goes: OpenAI's Realtime by each of its doors, Azure's, and any provider."""

from __future__ import annotations

import pytest

from appliance.door.routes import Kind
from tests.door.asking import BEARER, HELICONE, go

OPENING = {
    "upgrade": "WebSocket",
    "connection": "keep-alive, Upgrade",
    "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
    "sec-websocket-version": "13",
}
OPENAI = "https://api.openai.com"
AZURE = "https://mine-1.openai.azure.com"
VERSION = b"?api-version=2024-10-01-preview"


@pytest.mark.parametrize(
    ("target", "headers", "origin", "path"),
    [
        ("/v1/gateway/oai/realtime?model=x", {}, OPENAI, b"/v1/realtime?model=x"),
        ("/v1/gateway/oai/v1/realtime?model=x", {}, OPENAI, b"/v1/realtime?model=x"),
        ("/v1/realtime?model=x", BEARER, OPENAI, b"/v1/realtime?model=x"),
        ("/v1/realtime?model=x", HELICONE, OPENAI, b"/v1/realtime?model=x"),
        ("/v1/realtime", {}, OPENAI, b"/v1/realtime"),
        ("/ai/v1/realtime?model=x", {}, OPENAI, b"/v1/realtime?model=x"),
        ("/openai/v1/realtime?model=x", {}, OPENAI, b"/v1/realtime?model=x"),
        ("/v1/responses", BEARER, OPENAI, b"/v1/responses"),
        (
            "/v1/gateway/oai/realtime?resource=Mine-1&deployment=d%2F1&x=y",
            {}, AZURE, b"/openai/realtime" + VERSION + b"&deployment=d%2F1&x=y",
        ),
        (
            "/v1/gateway/oai/v1/realtime?resource=mine-1&deployment=d&api-version=2025-04-01",
            {}, AZURE, b"/openai/realtime?deployment=d&api-version=2025-04-01",
        ),
        (
            "/v1/realtime?a=b", {"helicone-target-url": "https://api.groq.com"},
            "https://api.groq.com", b"/v1/realtime?a=b",
        ),
    ],
)  # fmt: skip
def test_destinations(target: str, headers: dict[str, str], origin: str, path: bytes) -> None:
    found = go(target, OPENING | headers, method="GET")
    assert found.refusal is None
    assert (found.kind, found.lane) == (Kind.REALTIME, "fast")
    assert (found.switches, found.proxied, found.is_gateway) == (True, True, False)
    assert found.base_url.startswith(origin)
    assert found.path == path


@pytest.mark.parametrize(
    "resource",
    [
        "evil.example%2F", "evil.example/", "a.b", "-a", "a-", "a%00", "a%0d%0ab", "a@b", "a:1",
        "x" * 65, "%C3%A4",
    ],
)  # fmt: skip
def test_a_resource_of_azure_leads_nowhere_else(resource: str) -> None:
    found = go(f"/v1/gateway/oai/realtime?resource={resource}&deployment=d", OPENING, method="GET")
    assert found.refusal is not None
    assert (found.refusal.status, found.refusal.code) == (400, "azure_resource_invalid")


@pytest.mark.parametrize(
    ("target", "headers", "code"),
    [
        ("/v1/gateway/oai/realtime", {"connection": "keep-alive"}, "websocket_malformed"),
        ("/v1/gateway/oai/realtime", {"sec-websocket-key": "x"}, "websocket_malformed"),
        ("/v1/gateway/oai/realtime", {"transfer-encoding": "chunked"}, "websocket_malformed"),
        ("/v1/gateway/oai/realtime", {"sec-websocket-version": "7"}, "websocket_version"),
        ("/v1/gateway/oai/realtime?resource=a", {}, "azure_incomplete"),
        ("/v1/gateway/oai/realtime?deployment=a", {}, "azure_incomplete"),
        ("/v1/realtime?x", {"helicone-fallbacks": "[]"}, "websocket_only"),
        ("/v1/realtime?x", {"__helicone-mock-response": "x"}, "websocket_only"),
        ("/ai/v1/chat/completions", {}, "websocket_no_provider"),
        ("/router/fast/realtime", {}, "router_unknown"),
        ("/oai/v1/log", {}, "method_not_allowed"),
    ],
)
def test_refusals(target: str, headers: dict[str, str], code: str) -> None:
    found = go(target, OPENING | headers, method="GET")
    assert found.kind is Kind.REALTIME
    assert found.refusal is not None
    assert found.refusal.code == code


def test_our_own_endpoints_are_answered_as_ever() -> None:
    assert go("/healthcheck", OPENING, method="GET").kind is Kind.OWN
    assert go("/v1/request/query-clickhouse", OPENING).kind is Kind.OWN
