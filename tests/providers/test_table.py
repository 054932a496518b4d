"""Provider rows and their look-ups (proxy.md 1.2, 10.1, 10.2; M1, Providers are data)."""

import pytest

from appliance.core.urls import parse_target
from appliance.providers.rows import OPENAI_PLACES
from appliance.providers.table import LABELS, Provider, ProviderTable, complete

TABLE = ProviderTable.built_in()
# fmt: off
GATEWAY_IDS = {
    "openai", "anthropic", "google-ai-studio", "vertex", "bedrock", "azure", "helicone", "baseten",
    "canopywave", "cerebras", "chutes", "deepinfra", "deepseek", "fireworks", "groq", "mistral",
    "nebius", "novita", "openrouter", "perplexity", "xai",
}
RECORD_NAMES = {
    "OPENAI", "ANTHROPIC", "LLAMA", "NVIDIA", "AZURE", "NEBIUS", "LOCAL", "HELICONE", "AMDBARTEK",
    "ANYSCALE", "CLOUDFLARE", "X", "2YFV", "TOGETHER", "LEMONFOX", "FIREWORKS", "PERPLEXITY",
    "GOOGLE", "OPENROUTER", "WISDOMINANUTSHELL", "GROQ", "COHERE", "MISTRAL", "DEEPINFRA",
    "QSTASH", "FIRECRAWL", "AWS", "DEEPSEEK", "AVIAN", "NOVITA", "OPENPIPE", "CHUTES", "VERCEL",
    "CEREBRAS", "CANOPYWAVE", "BASETEN",
}
# fmt: on


def test_all_rows_of_the_contract_and_many_more() -> None:
    assert len(TABLE.rows) >= 100
    assert set(TABLE.rows) >= GATEWAY_IDS
    assert {row.record_name for row in TABLE.rows.values()} >= RECORD_NAMES
    assert {row_id for _, row_id in LABELS} <= set(TABLE.rows)


@pytest.mark.parametrize("row", TABLE.rows.values(), ids=lambda row: row.id)
def test_each_row_is_whole(row: Provider) -> None:
    assert row.doc
    assert row.record_name
    assert TABLE.segments[row.id.encode()] is row
    if not row.base_url:
        # By its hosts, or only where the configuration says: a port is one row's.
        assert row.hosts or row.auth == "none"
        return
    target = parse_target(row.in_region(""))
    assert target.scheme == "https" or row.private
    # A row's own base URL leads back to it.
    assert TABLE.by_host(target.host, target.port) is row


@pytest.mark.parametrize(
    ("name", "row_id"),
    [
        ("oai", "openai"), ("google", "google-ai-studio"), ("gemini", "google-ai-studio"),
        ("x", "xai"), ("aws", "bedrock"), ("openai", "openai"), ("OpenAI", "openai"),
        ("together", "together"), ("vercel", "vercel"), ("nobody", None), ("", None),
    ],
)  # fmt: skip
def test_ids_and_aliases(name: str, row_id: str | None) -> None:
    found = TABLE.by_id(name)
    assert (found.id if found else None) == row_id


@pytest.mark.parametrize(
    ("host", "port", "name"),
    [
        ("api.openai.com", 443, "OPENAI"), ("us.api.openai.com", 443, "OPENAI"),
        *((f"{place}.api.openai.com", 443, "OPENAI") for place in OPENAI_PLACES),
        *((f"{place}.api.openai.com.evil.tld", 443, None) for place in OPENAI_PLACES),
        ("xx.api.openai.com", 443, None), ("usxapi.openai.com", 443, None),
        ("a.us.api.openai.com", 443, None), ("us.api.openai.com.", 443, None),
        ("api.openai.com.evil.tld", 443, None), ("evil-api.openai.com", 443, None),
        ("api.inference.crusoecloud.com", 443, "CRUSOE"),
        ("me.openai.azure.com", 443, "AZURE"), ("openai.azure.com", 443, "AZURE"),
        ("x.y.openai.azure.com", 443, "AZURE"), ("openai.azure.com.evil.tld", 443, None),
        ("my.services.ai.azure.com", 443, "AZURE"), ("a.azure-api.net", 443, "AZURE"),
        ("generativelanguage.googleapis.com", 443, "GOOGLE"),
        ("us-central1-aiplatform.googleapis.com", 443, "GOOGLE"),
        ("evilgoogleapis.com", 443, None),
        ("bedrock-runtime.eu-west-3.amazonaws.com", 443, "AWS"),
        ("bedrock-runtime.a.b.amazonaws.com", 443, None),
        ("s3.amazonaws.com", 443, None), ("api.cohere.com", 443, "COHERE"),
        ("chutes.com", 443, "CHUTES"), ("api.openrouter.ai", 443, "OPENROUTER"),
        ("127.0.0.1", 11434, "OLLAMA"), ("localhost", 1234, "LMSTUDIO"), ("::1", 11434, "OLLAMA"),
        ("127.0.0.1", 9, "LOCAL"), ("localhost", 80, "LOCAL"), ("127.0.0.2", 80, None),
        ("api.anthropic.com.", 443, None),
    ],
)  # fmt: skip
def test_hosts_are_anchored(host: str, port: int, name: str | None) -> None:
    for _ in range(2):
        found = TABLE.by_host(host, port)
        assert (found.record_name if found else None) == name


def test_vertex_and_studio_are_told_apart_by_host() -> None:
    vertex = TABLE.by_host("europe-west4-aiplatform.googleapis.com")
    studio = TABLE.by_host("generativelanguage.googleapis.com")
    assert vertex is TABLE.rows["vertex"]
    assert studio is TABLE.rows["google-ai-studio"]
    assert (vertex.dialect, studio.dialect) == ("vertex", "gemini")


@pytest.mark.parametrize(
    ("label", "row_id"),
    [
        ("together", "together"), ("together2", "together"), ("google", "google-ai-studio"),
        ("google2", None), ("x", "xai"), ("xx", None), ("groq", "groq"), ("mygroq", "groq"),
        ("nebius", "nebius"), ("bedrock", "bedrock"), ("oai", None), ("", None),
    ],
)  # fmt: skip
def test_labels(label: str, row_id: str | None) -> None:
    found = TABLE.by_label(label)
    assert (found.id if found else None) == row_id


def test_a_user_row_overrides_by_alias() -> None:
    table = ProviderTable.from_config({
        "oai": {
            "base_url": "http://localhost:9999/proxy/v1", "auth": "none", "name": "Mine",
            "api_key_env": "MY_KEY", "ca_file": "/ca.pem", "client_cert": "/c.pem",
            "deadlines": {"connect": 1.0}, "prices": [{"model": "*"}], "hosts": None,
        }
    })  # fmt: skip
    row = table.rows["openai"]
    assert (row.base_path, row.origin, row.record_name) == (
        b"/proxy/v1", "http://localhost:9999", "Mine",
    )  # fmt: skip
    assert (row.auth, row.key_env, row.ca_file, row.client_cert) == (
        "none", ("MY_KEY",), "/ca.pem", "/c.pem",
    )  # fmt: skip
    assert (row.deadlines, row.prices) == ({"connect": 1.0}, ({"model": "*"},))
    assert row.configured
    assert table.by_host("localhost", 9999) is row
    assert table.by_host("api.openai.com", 443) is row
    assert table.configured_targets() == ("localhost:9999",)
    assert not TABLE.rows["openai"].configured


def test_an_override_without_a_base_url_stays_built_in() -> None:
    row = ProviderTable.from_config({"groq": {"api_key_env": "K", "dialect": None}}).rows["groq"]
    assert (row.key_env, row.configured, row.base_url) == (
        ("K",), False, "https://api.groq.com/openai/v1",
    )  # fmt: skip


def test_a_user_row_adds_a_provider() -> None:
    table = ProviderTable.from_config({
        "corp": {"base_url": "https://llm.corp.example/v1", "hosts": ["*.llm.corp.example"]},
        "azure": {"base_url": "https://me.openai.azure.com/openai/v1"},
        "v6": {"base_url": "http://[::1]:7000/v1"},
    })  # fmt: skip
    assert table.by_host("a.llm.corp.example") is table.rows["corp"]
    assert table.by_host("llm.corp.example", 443) is None
    assert table.rows["corp"].record_name == "CORP"
    assert table.by_host("me.openai.azure.com", 443) is table.rows["azure"]
    assert table.by_host("other.openai.azure.com", 443) is table.rows["azure"]
    assert table.by_host("::1", 7000) is table.rows["v6"]
    assert "[::1]:7000" in table.configured_targets()


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ({"corp": {"base_url": "https://h", "key": "x"}}, "providers.corp.key is unknown"),
        ({"corp": {"auth": "bearer"}}, "providers.corp.base_url is missing"),
        ({"corp": {"base_url": "nonsense"}}, "providers.corp.base_url does not begin"),
        ({"corp": {"base_url": "https://h", "auth": "basic"}}, "providers.corp.auth: one of"),
        ({"corp": {"base_url": "https://h", "dialect": "x"}}, "providers.corp.dialect: one of"),
        ({"Corp": {"base_url": "https://h"}}, "lower-case"),
        ({"v1": {"base_url": "https://h"}}, "providers.v1: /v1 is a path of its own"),
        ({"router": {"base_url": "https://h"}}, "a path of its own"),
        ({"metrics": {"base_url": "https://h"}}, "a path of its own"),
        ({"oai": {"auth": "none"}, "openai": {"auth": "none"}}, "are the same"),
    ],
)
def test_what_stops_the_start(rows: dict[str, dict[str, object]], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        ProviderTable.from_config(rows)


def test_two_rows_of_one_name_are_refused() -> None:
    rows = [Provider("a", "https://a.example"), Provider("b", "https://b.example", aliases=("a",))]
    with pytest.raises(ValueError, match="also a name of a"):
        ProviderTable(rows)
    assert complete(rows[0]).origin == "https://a.example"
