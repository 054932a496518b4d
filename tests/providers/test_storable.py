"""What a form is told of providers whose keys can be stored is what storing takes."""

import pytest

from appliance.core.provider_key_input import SETTINGS, check_secret, check_settings, provider_of
from appliance.errors import Refusal
from appliance.providers.storable import storable
from appliance.providers.table import ProviderTable

TABLE = ProviderTable.from_config(
    {
        "mine": {"base_url": "https://mine.example/v1"},
        "open": {"base_url": "https://o.example/v1", "auth": "none"},
    }
)
ROWS = {row["id"]: row for row in storable(TABLE.rows.values())}
ACCOUNT = '{"client_email": "a@b", "private_key": "-----BEGIN PRIVATE KEY-----"}'


@pytest.mark.parametrize("provider", ROWS)
def test_each_is_stored_as_it_says(provider: str):
    row = ROWS[provider]
    for name in (provider, *row["aliases"]):
        assert provider_of(name, TABLE.by_id).id == provider
    found = provider_of(provider, TABLE.by_id)
    secret = {"key": ("k",), "pair": ("k", "s"), "service_account": (ACCOUNT,)}[row["secret"]]
    assert check_secret(found, *secret).is_pair is (row["secret"] == "pair")
    assert set(row["settings"]) <= set(SETTINGS)
    check_settings(found, dict.fromkeys(row["settings"], "x"))


def test_what_is_special():
    assert (ROWS["bedrock"]["secret"], ROWS["vertex"]["secret"]) == ("pair", "service_account")
    assert ROWS["azure"]["settings"] == ["resourceName", "deploymentName", "apiVersion"]
    assert ROWS["azure"]["needs_address"] is ROWS["databricks"]["needs_address"] is True
    assert ROWS["watsonx"]["settings"] == ["region"]
    assert ROWS["mine"] == {
        "id": "mine", "aliases": [], "base_url": "https://mine.example/v1", "secret": "key",
        "settings": [], "needs_address": False,
    }  # fmt: skip
    assert "x.ai (grok)" in ROWS["xai"]["aliases"]


def test_who_asks_for_no_key_is_left_out():
    left = [row.id for row in TABLE.rows.values() if row.id not in ROWS]
    assert {"ollama", "open"} <= set(left)
    for provider in left:
        with pytest.raises(Refusal, match="asks for no key"):
            provider_of(provider, TABLE.by_id)
