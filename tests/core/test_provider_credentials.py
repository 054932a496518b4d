"""Whose credential goes upstream, and where a secret of ours never goes (proxy.md 1.7, 10, 12)."""

from __future__ import annotations

import pytest

from appliance.core.credentials import find_credentials
from appliance.core.keys import DEFAULT_ORGANIZATION
from appliance.core.provider_credentials import (
    ANY_PROVIDER,
    REPLAYED,
    Credential,
    Found,
    Secret,
    brings_own,
    credential_for,
    pack_secret,
    unpack_secret,
    wants_ours,
)
from appliance.errors import Refusal
from appliance.providers.table import Provider, ProviderTable

ORG = DEFAULT_ORGANIZATION
OTHER = bytes(15) + b"\x02"
G = "abcdefg-1234567-hijklmn-7654321"
HELICONE = f"Bearer sk-helicone-{G}"
STORED = Secret("stored")
ENVIRONMENT = {
    name: Secret(f"env-{name}")
    for name in ("openai", "anthropic", "azure", "bedrock", "vertex", "google-ai-studio", "mine")
}
TABLE = ProviderTable.from_config({
    "mine": {"base_url": "http://10.0.0.5:8000/llm/v1", "auth": "bearer"},
    "groq": {"base_url": "https://relay.corp.example/groq"},
})  # fmt: skip


def key(provider: str, base_url: str = "", secret: Secret | None = STORED) -> Found:
    return Found("k1", provider, "n", secret, base_url=base_url)


def row(name: str) -> Provider:
    found = TABLE.by_id(name)
    assert found is not None
    return found


def decided(provider: str, base_url: str, path: bytes = b"/v1/x", **values: object) -> Credential:
    given = {"own": False, "org": ORG, "stored": None, "environment": ENVIRONMENT} | values
    return credential_for(row(provider), base_url, path, **given)  # type: ignore[arg-type]


OPENAI = "https://api.openai.com/v1"


def test_the_order_of_credentials() -> None:
    stored = key("openai")
    assert decided("openai", OPENAI, own=True, stored=stored).source == "own"
    assert decided("openai", OPENAI, own=True, stored=stored).secret is None
    assert decided("openai", OPENAI, stored=stored) == Credential("stored", STORED, stored)
    found = decided("openai", OPENAI)
    assert (found.source, found.secret) == ("environment", Secret("env-openai"))


@pytest.mark.parametrize("org", [OTHER, b"", bytes(16)])
def test_the_environment_serves_the_default_organisation_alone(org: bytes) -> None:
    with pytest.raises(Refusal) as refusal:
        decided("openai", OPENAI, org=org)
    assert (refusal.value.status, refusal.value.code) == (401, "provider_key_missing")
    assert "provider-keys add openai" in refusal.value.message
    assert "OPENAI_API_KEY" not in refusal.value.message
    assert decided("openai", OPENAI, org=org, stored=key("openai")).source == "stored"


@pytest.mark.parametrize("org", [ORG, OTHER])
def test_a_server_that_replays_makes_one_up_where_there_is_none(org: bytes) -> None:
    """Wherever it would go, as it goes nowhere."""
    replaying = {ANY_PROVIDER: Secret("replayed")}
    assert decided("openai", OPENAI, org=org, environment=replaying) == REPLAYED
    assert decided("openai", "https://relay.example/v1", org=org, environment=replaying) == REPLAYED
    assert decided("openai", OPENAI, environment=replaying, stored=key("openai")).source == "stored"
    both = decided("openai", OPENAI, environment={**ENVIRONMENT, **replaying})
    assert both.secret == Secret("env-openai")


def test_without_any_key_it_is_said_how_to_add_one() -> None:
    with pytest.raises(Refusal) as refusal:
        decided("openai", OPENAI, environment={})
    assert refusal.value.status == 401
    assert refusal.value.headers["WWW-Authenticate"]
    for words in ("provider-keys add openai", "OPENAI_API_KEY", "Send the provider's own"):
        assert words in refusal.value.message


@pytest.mark.parametrize(
    ("provider", "base_url"),
    [("ollama", "http://127.0.0.1:11434/v1"), ("local", "http://127.0.0.1:9/v1")],
)
def test_a_provider_that_asks_for_none_gets_what_came(provider: str, base_url: str) -> None:
    assert decided(provider, base_url, environment={}).source == "none"
    custom = Provider("custom", "https://x.example", record_name="x")
    assert not wants_ours(custom, own=False)


@pytest.mark.parametrize(
    ("provider", "base_url", "path"),
    [
        ("openai", "https://api.openai.com/v1", b"/v1/chat/completions"),
        ("openai", "https://api.openai.com", b"/v1/files?limit=2"),
        ("openai", "https://us.api.openai.com/v1", b"/v1/x"),
        ("openai", "https://eu.api.openai.com", b"/v1/x"),
        ("anthropic", "https://api.anthropic.com", b"/v1/messages"),
        ("bedrock", "https://bedrock-runtime.us-east-1.amazonaws.com", b"/model/x/invoke"),
        ("bedrock", "https://bedrock-runtime.eu-west-3.amazonaws.com", b"/model/x/invoke"),
        ("vertex", "https://us-central1-aiplatform.googleapis.com", b"/v1/projects/p"),
        ("vertex", "https://aiplatform.googleapis.com", b"/v1/projects/p"),
        ("mine", "http://10.0.0.5:8000/llm/v1", b"/llm/v1/chat/completions"),
        ("mine", "http://10.0.0.5:8000/llm/v1", b"/llm/v1"),
        ("mine", "http://10.0.0.5:8000", b"/llm/v1?x=1"),
    ],
)
def test_where_keys_may_go(provider: str, base_url: str, path: bytes) -> None:
    assert decided(provider, base_url, path).source == "environment"
    assert decided(provider, base_url, path, stored=key(provider)).source == "stored"


@pytest.mark.parametrize(
    ("provider", "base_url", "path"),
    [
        ("openai", "http://api.openai.com", b"/v1/x"),
        ("openai", "https://api.openai.com:8443", b"/v1/x"),
        ("openai", "https://api.openai.com.evil.example", b"/v1/x"),
        ("openai", "https://evil.api.openai.com", b"/v1/x"),
        ("openai", "http://us.api.openai.com", b"/v1/x"),
        ("openai", "https://evil.example/https://api.openai.com", b"/v1/x"),
        ("azure", "https://evil.openai.azure.com", b"/openai/x"),
        ("bedrock", "https://bedrock-runtime.evil.example.amazonaws.com", b"/x"),
        ("bedrock", "https://bedrock-runtime.us-east-1.amazonaws.com.evil.example", b"/x"),
        ("bedrock", "https://evil.us-east-1.amazonaws.com", b"/x"),
        ("vertex", "https://storage.googleapis.com", b"/x"),
        ("google-ai-studio", "https://evil.googleapis.com", b"/x"),
        # A base URL of the configuration file: nothing beside it, and no other port.
        ("mine", "http://10.0.0.5:8000", b"/other/v1/x"),
        ("mine", "http://10.0.0.5:8000", b"/llm/v1x"),
        ("mine", "http://10.0.0.5:8001/llm/v1", b"/llm/v1/x"),
        ("mine", "https://10.0.0.5:8000/llm/v1", b"/llm/v1/x"),
        ("groq", "https://api.groq.com/openai/v1", b"/openai/v1/x"),
    ],
)
def test_where_they_never_go(provider: str, base_url: str, path: bytes) -> None:
    environment = {provider: Secret("env")}
    for stored in (None, key(provider)):
        with pytest.raises(Refusal) as refusal:
            decided(provider, base_url, path, stored=stored, environment=environment)
        assert (refusal.value.status, refusal.value.code) == (401, "provider_key_elsewhere")
        assert f"[providers.{provider}]" in refusal.value.message


@pytest.mark.parametrize(
    ("base_url", "path", "goes"),
    [
        ("https://a.openai.azure.com", b"/openai/deployments/d", True),
        ("https://A.openai.azure.com/", b"/openai/deployments/d", True),
        ("https://b.openai.azure.com", b"/openai/deployments/d", False),
        ("http://a.openai.azure.com", b"/openai/deployments/d", False),
        (OPENAI, b"/v1/x", False),
    ],
)
def test_a_key_with_an_address_of_its_own_goes_nowhere_else(
    base_url: str, path: bytes, goes: bool
) -> None:
    stored = key("azure", "https://a.openai.azure.com")
    if goes:
        assert decided("azure", base_url, path, stored=stored).source == "stored"
        return
    with pytest.raises(Refusal, match=r"a\.openai\.azure\.com, and not to"):
        decided("azure", base_url, path, stored=stored)
    # Nor does the environment's go there in its place.
    with pytest.raises(Refusal, match="kept here goes to"):
        decided("azure", base_url, path)


def test_the_path_of_a_keys_address_counts() -> None:
    stored = key("openai", "https://relay.example/tenant-a/v1")
    where = "https://relay.example/tenant-a/v1"
    assert decided("openai", where, b"/tenant-a/v1/x", stored=stored).source == "stored"
    for path in (b"/tenant-b/v1/x", b"/tenant-a/v11", b"/"):
        with pytest.raises(Refusal):
            decided("openai", "https://relay.example", path, stored=stored)


def test_a_disabled_key_is_not_stood_in_for() -> None:
    stored = key("openai", "https://new.example", secret=None)
    for base_url in (OPENAI, "https://new.example"):
        with pytest.raises(Refusal) as refusal:
            decided("openai", base_url, stored=stored)
        assert (refusal.value.status, refusal.value.code) == (401, "provider_key_disabled")
        assert "provider-keys rotate k1" in refusal.value.message


def test_an_address_set_through_the_api_gets_only_a_key_entered_for_it() -> None:
    where = "http://10.0.0.5:8000/llm/v1"
    for stored in (None, key("mine")):
        with pytest.raises(Refusal, match="Send a key"):
            decided("mine", where, b"/llm/v1/x", stored=stored, from_api=True)
    bound = key("mine", where)
    assert decided("mine", where, b"/llm/v1/x", stored=bound, from_api=True).source == "stored"


@pytest.mark.parametrize(
    ("headers", "path", "own"),
    [
        ({}, b"/v1/x", False),
        ({"authorization": HELICONE}, b"/v1/x", False),
        ({"helicone-auth": HELICONE}, b"/v1/x", False),
        ({"x-api-key": f"sk-helicone-{G}"}, b"/v1/x", False),
        ({"api-key": f"sk-helicone-{G}"}, b"/v1/x", False),
        ({"x-goog-api-key": f"sk-helicone-{G}"}, b"/v1/x", False),
        ({"authorization": "Bearer sk-helicone-bogus"}, b"/v1/x", False),
        ({"authorization": "Bearer "}, b"/v1/x", False),
        ({"authorization": "Bearer sk-proj-a"}, b"/v1/x", True),
        ({"authorization": f"Bearer sk-proj-a, {HELICONE}"}, b"/v1/x", True),
        ({"authorization": HELICONE, "x-api-key": "sk-ant-a"}, b"/v1/x", True),
        ({"authorization": HELICONE, "api-key": "azure"}, b"/v1/x", True),
        ({"api-key": f"sk-helicone-{G}", "authorization": "Bearer a"}, b"/v1/x", True),
        ({"x-goog-api-key": "AIza"}, b"/v1/x", True),
        ({"ocp-apim-subscription-key": "a"}, b"/v1/x", True),
        ({"aws-access-key": "AKIA", "aws-secret-key": "s"}, b"/model/x/invoke", True),
        ({"aws-access-key": "AKIA"}, b"/model/x/invoke", False),
        ({"helicone-auth": HELICONE}, b"/v1beta/models/m:generateContent?key=AIza", True),
        ({"helicone-auth": HELICONE}, b"/v1/x?alt=sse&api-key=a", True),
        ({"helicone-auth": HELICONE}, b"/v1/x?key=&monkey=a", False),
        ({"helicone-auth": HELICONE}, b"/key=a/x", False),
    ],
)
def test_what_is_the_clients_own(headers: dict[str, str], path: bytes, own: bool) -> None:
    first = {name.encode(): value.encode() for name, value in headers.items()}
    credentials = find_credentials(first)
    assert brings_own(credentials, first, path) is own
    # Where several providers may be tried, none of them is shown what was meant for one.
    assert not brings_own(credentials, first, path, sole=False)


def test_a_stand_in_is_nobodys_own() -> None:
    proxy = f"Bearer sk-helicone-proxy-{G}-123e4567-e89b-42d3-a456-426614174000"
    first = {b"authorization": proxy.encode()}
    assert not brings_own(find_credentials(first), first, b"/v1/x")


def test_a_secret_is_sealed_whole() -> None:
    for secret in (Secret("a"), Secret("a", "b", "c"), Secret('{"a": 1}')):
        assert unpack_secret(pack_secret(secret)) == secret
