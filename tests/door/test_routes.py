"""The routing table, one row per line of it and more (M1, Doors)."""

import pytest

from appliance.door.route_types import Routing
from appliance.door.routes import BARE_PATHS, INTAKE_PATHS, OWN_PATHS, OWN_PREFIXES, Kind
from appliance.providers.table import RESERVED_SEGMENTS
from tests.door.asking import BEARER, HELICONE, KEY, TABLE, go


@pytest.mark.parametrize(
    ("method", "target", "headers", "kind", "rule"),
    [
        # 1 our own
        ("GET", "/healthcheck", {}, Kind.OWN, 1),
        ("HEAD", "/readycheck?x=1", {}, Kind.OWN, 1),
        ("GET", "/metrics", {}, Kind.OWN, 1),
        ("GET", "/docs", {}, Kind.OWN, 1),
        ("GET", "/docs/oauth2-redirect", {}, Kind.OWN, 1),
        ("GET", "/download/swagger.json", {}, Kind.OWN, 1),
        ("GET", "/ui/main.js", {}, Kind.OWN, 1),
        ("GET", "/healthcheck", {"helicone-target-url": "https://api.groq.com"}, Kind.OWN, 1),
        ("GET", "/wallet/state", {}, Kind.OWN, 1),
        ("GET", "/wallet/credits/total?orgId=x", BEARER, Kind.OWN, 1),
        ("POST", "/admin/wallet/x/modify-balance", BEARER, Kind.OWN, 1),
        ("PUT", "/admin/wallet/nowhere", BEARER, Kind.OWN, 1),
        ("DELETE", "/admin/wallet/x/disallow-list", BEARER, Kind.OWN, 1),
        ("POST", "/stripe/webhook", {}, Kind.OWN, 1),
        ("GET", "/wallets", BEARER, Kind.NOT_FOUND, 10),
        ("GET", "/admin/users", BEARER, Kind.NOT_FOUND, 10),
        # 3 log intake
        ("POST", "/custom/v1/log", {}, Kind.INTAKE, 3),
        ("POST", "/oai/v1/log", {}, Kind.INTAKE, 3),
        ("POST", "/anthropic/v1/log", {}, Kind.INTAKE, 3),
        ("POST", "/googleapis/v1/log", {}, Kind.INTAKE, 3),
        ("POST", "/v1/trace/custom/v1/log", {}, Kind.INTAKE, 3),
        ("POST", "/v1/gateway/oai/v1/log", {}, Kind.INTAKE, 3),
        ("POST", "/v1/trace/log-python", {}, Kind.INTAKE, 3),
        ("POST", "/v1/traces", {}, Kind.INTAKE, 3),
        ("POST", "/v1/log/request", {}, Kind.INTAKE, 3),
        ("POST", "/v1/feedback", BEARER, Kind.OWN, 1),
        # 5 a provider's prefix, any method
        ("POST", "/v1/gateway/oai/v1/chat/completions", {}, Kind.PROXY, 5),
        ("GET", "/v1/gateway/anthropic/v1/models", {}, Kind.PROXY, 5),
        ("DELETE", "/v1/gateway/groq/v1/files/x", {}, Kind.PROXY, 5),
        ("POST", "/v1/gateway/nobody/v1/x", {}, Kind.REFUSED, 0),
        ("POST", "/v1/gateway", {}, Kind.REFUSED, 0),
        ("POST", "/v1/gateway/", {}, Kind.REFUSED, 0),
        # 6 the client names the target
        ("POST", "/v1/x", {"helicone-target-url": "https://api.groq.com"}, Kind.PROXY, 6),
        ("POST", "/x", {"helicone-openai-api-base": "https://a.openai.azure.com"}, Kind.PROXY, 6),
        ("POST", "/v1/x", {"helicone-fallbacks": "[]"}, Kind.PROXY, 6),
        (
            "POST",
            "/v1/gateway/nobody/x",
            {"helicone-target-url": "https://api.groq.com"},
            Kind.PROXY,
            6,
        ),
        ("POST", "/v1/x", {"helicone-target-url": "nonsense"}, Kind.REFUSED, 0),
        ("POST", "/v1/x", {"helicone-target-url": ""}, Kind.REFUSED, 0),
        ("POST", "/v1/x", {"helicone-target-url": "https://evil.tld"}, Kind.REFUSED, 0),
        # 7 routers and providers at the root
        ("POST", "/router/fast/chat/completions", {}, Kind.GATEWAY, 7),
        ("POST", "/ai/chat/completions", {}, Kind.GATEWAY, 7),
        ("POST", "/groq/openai/v1/chat/completions", {}, Kind.PROXY, 7),
        ("POST", "/x/v1/chat/completions", {}, Kind.PROXY, 7),
        # 8 REST, unless a provider's credential comes with it
        ("POST", "/v1/request/query-clickhouse", {}, Kind.OWN, 8),
        ("POST", "/v1/request/query-clickhouse", HELICONE, Kind.OWN, 8),
        ("POST", "/v1/request/query-clickhouse", BEARER, Kind.PROXY, 9),
        ("GET", "/v1/request/query-clickhouse", {}, Kind.OWN, 8),
        ("GET", "/v1/request/123", {"x-api-key": KEY}, Kind.OWN, 8),
        ("GET", "/v1/request/123", {"x-api-key": "sk-ant-x"}, Kind.PROXY, 9),
        ("GET", "/v1/request/123/x", {}, Kind.GATEWAY, 9),
        ("POST", "/v1/request/123", {}, Kind.GATEWAY, 9),
        # 9 the gateway or a provider, by the credential
        ("POST", "/v1/chat/completions", {}, Kind.GATEWAY, 9),
        ("POST", "/v1/chat/completions", HELICONE, Kind.GATEWAY, 9),
        ("POST", "/v1/chat/completions", {"x-api-key": KEY}, Kind.GATEWAY, 9),
        ("POST", "/v1/chat/completions", {"helicone-auth": f"Bearer {KEY}"}, Kind.GATEWAY, 9),
        ("POST", "/v1/chat/completions", BEARER, Kind.PROXY, 9),
        (
            "POST",
            "/v1/chat/completions",
            BEARER | {"helicone-auth": f"Bearer {KEY}"},
            Kind.PROXY,
            9,
        ),
        (
            "POST",
            "/v1/chat/completions",
            {"authorization": f"Bearer sk-x, Bearer {KEY}"},
            Kind.PROXY,
            9,
        ),
        ("POST", "/v1/messages", {"x-api-key": "sk-ant-x"}, Kind.PROXY, 9),
        ("POST", "/v1/anything/at/all", BEARER, Kind.PROXY, 9),
        ("POST", "/chat/completions", HELICONE, Kind.GATEWAY, 9),
        ("POST", "/chat/completions", BEARER, Kind.PROXY, 9),
        ("GET", "/models", BEARER, Kind.PROXY, 9),
        ("GET", "/responses/resp_1", BEARER, Kind.PROXY, 9),
        ("POST", "/embeddings", BEARER, Kind.PROXY, 9),
        ("POST", "/messages", BEARER, Kind.PROXY, 9),
        # 10 the UI, or nothing
        ("GET", "/", {"accept": "text/html,*/*"}, Kind.OWN, 10),
        ("HEAD", "/requests", {"accept": "Text/HTML"}, Kind.OWN, 10),
        ("GET", "/", {"accept": "*/*"}, Kind.NOT_FOUND, 10),
        ("POST", "/", {"accept": "text/html"}, Kind.NOT_FOUND, 10),
        ("GET", "/v1", {}, Kind.NOT_FOUND, 10),
        ("POST", "/modelsx", BEARER, Kind.NOT_FOUND, 10),
        # the rules look at the very path that is sent on
        ("GET", "//healthcheck", {}, Kind.NOT_FOUND, 10),
        ("GET", "/healthcheck/", {}, Kind.NOT_FOUND, 10),
        ("GET", "/healthcheck;x", {}, Kind.NOT_FOUND, 10),
        ("GET", "/HEALTHCHECK", {}, Kind.NOT_FOUND, 10),
        ("GET", "/%68ealthcheck", {}, Kind.NOT_FOUND, 10),
        ("GET", "/v1/../healthcheck", {}, Kind.REFUSED, 0),
        ("GET", "/v1/%2e%2e/healthcheck", {}, Kind.REFUSED, 0),
        ("GET", "/v1/gateway/oai/%2e%2e/%2e%2e/x", {}, Kind.REFUSED, 0),
        ("GET", "/a%00b", {}, Kind.REFUSED, 0),
        ("GET", "http://evil.tld/healthcheck", {}, Kind.REFUSED, 0),
        ("GET", "http://127.0.0.1:8585/healthcheck", {}, Kind.OWN, 1),
        ("CONNECT", "api.openai.com:443", {}, Kind.REFUSED, 0),
        ("OPTIONS", "*", {}, Kind.REFUSED, 0),
    ],
)
def test_rules(method: str, target: str, headers: dict[str, str], kind: Kind, rule: int) -> None:
    found = go(target, headers, method=method)
    assert (found.kind, found.rule) == (kind, rule)
    assert found.lane == ("full" if kind is Kind.OWN else "fast")
    if kind is Kind.NOT_FOUND:
        assert found.refusal is not None
        assert found.refusal.status == 404
    elif kind is Kind.INTAKE:
        assert (found.refusal is None) == (found.intake != "feedback")
    elif kind is Kind.GATEWAY:
        assert (found.refusal is None) == (not found.router_name)
    else:
        assert (found.refusal is None) == (kind is not Kind.REFUSED)


@pytest.mark.parametrize(
    ("target", "method", "proxied"),
    [
        ("/v1/gateway/oai/v1/chat/completions", "POST", True),
        ("/v1/chat/completions", "POST", True),
        ("/oai/v1/log", "POST", True),
        ("/v1/request/query-clickhouse", "POST", False),
        ("/healthcheck", "GET", False),
        ("/nowhere", "GET", False),
    ],
)
def test_preflights_know_what_they_ask_about(target: str, method: str, proxied: bool) -> None:
    headers = {"origin": "https://a.example", "access-control-request-method": method}
    found = go(target, headers, method="OPTIONS")
    assert (found.kind, found.lane, found.refusal) == (Kind.OPTIONS, "fast", None)
    assert found.proxied is proxied


def test_options_without_preflight_are_the_providers() -> None:
    assert go("/v1/gateway/oai/v1/x", method="OPTIONS").kind is Kind.PROXY


@pytest.mark.parametrize("prefix", ["", "/v1/trace", "/v1/gateway"])
@pytest.mark.parametrize("kind", ["custom", "oai", "anthropic", "googleapis"])
def test_logs_of_every_kind_below_every_prefix(prefix: str, kind: str) -> None:
    """backend.md 3.2, the last line; with a provider's key or a Helicone key, whatever the host."""
    wanted = "jawn" if (prefix, kind) == ("/v1/trace", "custom") else kind
    for headers in ({}, BEARER, HELICONE):
        found = go(f"{prefix}/{kind}/v1/log", headers)
        assert (found.kind, found.lane, found.intake) == (Kind.INTAKE, "fast", wanted)
        assert found.refusal is None


@pytest.mark.parametrize(
    ("method", "target", "status", "words"),
    [
        ("GET", "/oai/v1/log", 405, "POST"),
        ("PUT", "/v1/traces", 405, "POST"),
        ("POST", "/v1/trace/nothing", 404, "/v1/traces"),
        ("GET", "/v1/trace/", 404, "/custom/v1/log"),
    ],
)
def test_what_is_not_taken_in(method: str, target: str, status: int, words: str) -> None:
    found = go(target, method=method)
    assert found.kind is Kind.INTAKE
    assert found.refusal is not None
    assert found.refusal.status == status
    assert words in found.refusal.message


def test_router_names() -> None:
    found = go("/router/fast/chat/completions")
    assert found.router_name == "fast"
    assert found.refusal is not None
    assert (found.refusal.status, found.refusal.code) == (404, "router_unknown")


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/router/fast/v1/chat/completions?a=b", b"/v1/chat/completions?a=b"),
        ("/router/fast/chat/completions", b"/v1/chat/completions"),
        ("/router/fast/v1/x/router/fast", b"/v1/x/router/fast"),
        ("/router/fast", b"/"),
    ],
)
def test_paths_below_a_router(target: str, path: bytes) -> None:
    found = go(target, routing=Routing(TABLE, routers=frozenset({"fast"})))
    assert (found.kind, found.router_name, found.refusal) == (Kind.GATEWAY, "fast", None)
    assert found.path == path
    assert found.proxied
    assert not found.built_in


def test_first_segments_of_our_own_are_reserved() -> None:
    own = [*OWN_PATHS, *(prefix for prefix, _ in OWN_PREFIXES), b"/router/", b"/ai/", b"/gateway/"]
    own += [path for path in INTAKE_PATHS if path.startswith((b"/v1", b"/custom", b"/googleapis"))]
    for path in own:
        assert path.split(b"/")[1].decode() in RESERVED_SEGMENTS
    for word in ("chat", "responses", "messages", "embeddings", "models"):
        assert word in RESERVED_SEGMENTS
        assert BARE_PATHS.match(f"/{word}/completions".encode())
    assert not RESERVED_SEGMENTS & {name.decode() for name in TABLE.segments}
