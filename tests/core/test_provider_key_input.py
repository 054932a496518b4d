"""What is entered as a provider's key: names are known ones, secrets could be sent, settings are
known, and no refusal repeats a secret. Keys of the environment."""

from __future__ import annotations

import json

import pytest

from appliance.core.provider_credentials import Secret
from appliance.core.provider_key_input import (
    Settings,
    check_name,
    check_secret,
    check_settings,
    environment_secrets,
    provider_of,
)
from appliance.errors import Refusal
from appliance.providers.table import Provider, ProviderTable

TABLE = ProviderTable.from_config({
    "mine": {"base_url": "http://10.0.0.5/v1", "api_key_env": "MY_KEY"},
    "vertex": {"api_key_env": "MY_VERTEX"},
})  # fmt: skip
BUILT_IN = ProviderTable.built_in()
G = "abcdefg-1234567-hijklmn-7654321"
ACCOUNT = json.dumps({"client_email": "a@b", "private_key": "-----BEGIN PRIVATE KEY-----\nx"})


def row(name: str) -> Provider:
    found = TABLE.by_id(name)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("openai", "openai"), (" OpenAI ", "openai"), ("oai", "openai"), ("AWS Bedrock", "bedrock"),
        ("aws_bedrock", "bedrock"), ("Google AI (Gemini)", "google-ai-studio"),
        ("Together AI", "together"), ("Vertex AI", "vertex"), ("Azure OpenAI", "azure"),
        ("X.AI (Grok)", "xai"), ("mine", "mine"),
    ],
)  # fmt: skip
def test_names_of_providers(name: str, wanted: str) -> None:
    assert provider_of(name, TABLE.by_id).id == wanted


@pytest.mark.parametrize(
    "name", ["", "opena1", "open ai'; DROP TABLE", "x" * 1000, "ollama", f"sk-helicone-{G}"]
)
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(Refusal) as refusal:
        provider_of(name, TABLE.by_id)
    assert (refusal.value.status, refusal.value.code) == (400, "provider_unknown")
    assert len(refusal.value.message) < 250
    assert G not in refusal.value.message


@pytest.mark.parametrize(
    ("provider", "parts", "wanted"),
    [
        ("openai", ("  sk-proj-a\n",), Secret("sk-proj-a")),
        ("bedrock", ("AKIA", "se/cret+="), Secret("AKIA", "se/cret+=")),
        ("bedrock", ("AKIA", "s", "t"), Secret("AKIA", "s", "t")),
        ("bedrock", ("bedrock-api-key",), Secret("bedrock-api-key")),
        ("vertex", (ACCOUNT,), Secret(json.dumps(json.loads(ACCOUNT)))),
        ("helicone", (f"sk-helicone-{G}",), Secret(f"sk-helicone-{G}")),
    ],
)
def test_secrets(provider: str, parts: tuple[str, ...], wanted: Secret) -> None:
    assert check_secret(row(provider), *parts) == wanted


@pytest.mark.parametrize(
    ("provider", "parts", "why"),
    [
        ("openai", ("",), "is empty"),
        ("openai", (" \n",), "is empty"),
        ("openai", ("planted key",), "has blanks"),
        ("openai", ("planted\r\nx-evil: 1",), "has blanks"),
        ("openai", ("plänted",), "has blanks"),
        ("openai", ("planted\0",), "has blanks"),
        ("openai", ("planted" * 2000,), "more than"),
        ("openai", ("planted", "planted"), "one part"),
        ("bedrock", ("planted", "", "planted"), "comes with a secret key"),
        ("bedrock", ("planted", "plan ted"), "secret key: has blanks"),
        ("openai", (f"sk-helicone-{G}",), "Helicone key"),
        ("openai", (f"sk-{G}",), "Helicone key"),
        ("openai", ("pk-helicone-planted",), "Helicone key"),
        ("vertex", ("{planted",), "service account"),
        ("vertex", ('{"client_email": "planted"}',), "service account"),
        ("vertex", ('{"client_email": "a", "private_key": 1}',), "service account"),
        ("vertex", ("{" * 8000,), "service account"),
    ],
)
def test_what_could_not_be_a_secret(provider: str, parts: tuple[str, ...], why: str) -> None:
    with pytest.raises(Refusal, match=why) as refusal:
        check_secret(row(provider), *parts)
    assert (refusal.value.status, refusal.value.code) == (400, "secret_invalid")
    for word in ("planted", G):
        assert word not in refusal.value.message


def test_names_of_keys() -> None:
    assert check_name(" my key ") == "my key"
    assert check_name("") == ""
    for name in ("x" * 201, "a\nb", f"sk-helicone-{G}", "sk-proj-" + "a" * 40):
        with pytest.raises(Refusal, match="name: "):
            check_name(name)


@pytest.mark.parametrize(
    ("provider", "given", "base_url", "wanted"),
    [
        ("openai", {}, "", Settings("", "", {})),
        ("openai", {}, " https://X.example/v1/ ", Settings("https://x.example/v1", "", {})),
        (
            "azure",
            {"baseUri": "https://a.openai.azure.com/", "deploymentName": "d", "apiVersion": ""},
            "",
            Settings("https://a.openai.azure.com", "", {"deploymentName": "d"}),
        ),
        (
            "azure",
            {"resourceName": "My-Res", "heliconeModelId": "gpt-4o"},
            "",
            Settings(
                "https://my-res.openai.azure.com",
                "gpt-4o",
                {"resourceName": "My-Res", "heliconeModelId": "gpt-4o"},
            ),
        ),
        (
            "bedrock",
            {"region": "eu-west-1", "crossRegion": True},
            "",
            Settings("", "", {"region": "eu-west-1", "crossRegion": "true"}),
        ),
    ],
)
def test_settings(provider: str, given: dict[str, object], base_url: str, wanted: Settings) -> None:
    assert check_settings(row(provider), given, base_url) == wanted


@pytest.mark.parametrize(
    ("given", "base_url", "why"),
    [
        ({"colour": "x"}, "", "config.'colour'"),
        ({"region": 5}, "", "config.region"),
        ({"region": "x" * 513}, "", "config.region"),
        ({"region": "a b"}, "", "config.region"),
        ({"projectId": f"sk-helicone-{G}"}, "", "config.projectId"),
        ({"resourceName": "evil.example/"}, "", "config.resourceName"),
        ({"baseUri": "ftp://x"}, "", "base URL: it does not begin"),
        ({}, "https://user:pass@x.example", "base URL: it has a user"),
        ({}, "https://x.example/../y", "base URL: it has a path with dot"),
    ],
)
def test_settings_that_are_refused(given: dict[str, object], base_url: str, why: str) -> None:
    with pytest.raises(Refusal, match=why) as refusal:
        check_settings(row("azure"), given, base_url)
    assert refusal.value.status == 400
    assert G not in refusal.value.message


def no_file(path: str) -> str:
    raise AssertionError(path)


def test_every_name_that_an_sdk_uses_serves_its_provider() -> None:
    for provider in BUILT_IN.rows.values():
        for name in provider.key_env:
            if provider.id in ("bedrock", "vertex"):
                continue
            found, wrong = environment_secrets(
                BUILT_IN.rows.values(), {name: f" {name}\n"}, no_file
            )
            assert found[provider.id] == Secret(name)
            assert wrong == []
    assert environment_secrets(BUILT_IN.rows.values(), {"OPENAI_API_KEY": " "}, no_file) == ({}, [])


def test_pairs_files_and_names_of_the_configuration() -> None:
    pair = {"AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "s"}
    token = {"AWS_SESSION_TOKEN": "t"}
    rows = BUILT_IN.rows.values()
    assert environment_secrets(rows, pair, no_file)[0] == {"bedrock": Secret("AKIA", "s")}
    assert environment_secrets(rows, pair | token, no_file)[0]["bedrock"].parts()[2] == "t"
    assert environment_secrets(rows, token, no_file) == ({}, [])
    file = {"GOOGLE_APPLICATION_CREDENTIALS": "/etc/account"}
    found, _ = environment_secrets(
        rows, file, lambda path: ACCOUNT if path == "/etc/account" else ""
    )
    assert found["vertex"].is_document
    own = {"MY_KEY": "k", "MY_VERTEX": ACCOUNT, "OPENAI_API_KEY": "o"}
    found, wrong = environment_secrets(TABLE.rows.values(), own, no_file)
    assert found["mine"] == Secret("k")
    assert found["vertex"].is_document
    assert wrong == []


def test_what_is_wrong_in_the_environment_is_told_and_not_used() -> None:
    def missing(_: str) -> str:
        raise FileNotFoundError(2, "No such file or directory")

    environ = {
        "OPENAI_API_KEY": f"sk-helicone-{G}",
        "GROQ_API_KEY": "plan ted",
        "GOOGLE_APPLICATION_CREDENTIALS": "/nowhere",
        "MISTRAL_API_KEY": "fine",
    }
    found, wrong = environment_secrets(BUILT_IN.rows.values(), environ, missing)
    assert set(found) == {"mistral"}
    told = " ".join(wrong)
    assert len(wrong) == 3
    for words in ("OPENAI_API_KEY", "GROQ_API_KEY", "CREDENTIALS is not used: No such file"):
        assert words in told
    assert G not in told
    assert "plan ted" not in told
