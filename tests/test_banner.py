"""What is printed at the start: lines that can be copied as they are."""

import pytest

from appliance.banner import banner, server_url
from appliance.config import Config, load_config


def test_banner_has_lines_to_copy(tmp_path) -> None:
    config = Config(data_dir=tmp_path)
    shown = banner(config, server_url(config, 8585))
    assert "listens on http://127.0.0.1:8585" in shown
    assert str(tmp_path) in shown
    assert 'OpenAI(base_url="http://127.0.0.1:8585/v1/gateway/oai/v1")' in shown
    assert 'Anthropic(base_url="http://127.0.0.1:8585/v1/gateway/anthropic")' in shown
    assert "curl http://127.0.0.1:8585/v1/gateway/oai/v1/chat/completions" in shown
    assert "Helicone-Auth" not in shown
    assert len(shown.splitlines()) <= 10


def test_banner_with_keys_and_a_directory_of_its_own(tmp_path) -> None:
    flags = {"host": "0.0.0.0", "data_dir": str(tmp_path / "my data")}
    config = load_config(flags, {})
    shown = banner(config, server_url(config, 1))
    assert "http://127.0.0.1:1/" in shown
    assert "Helicone-Auth" in shown
    assert f"keys create NAME --data-dir '{tmp_path}/my data'" in shown
    assert "warning:" in banner(load_config(flags | {"access": "open"}, {}), "http://x")


@pytest.mark.parametrize("unit", [True, False])
def test_a_units_environment_is_not_that_of_a_shell(tmp_path, monkeypatch, unit) -> None:
    monkeypatch.delenv("INVOCATION_ID", raising=False)
    if unit:
        monkeypatch.setenv("INVOCATION_ID", "4711")
    config = load_config({}, {"HELICONE_APPLIANCE_DATA_DIR": str(tmp_path)})
    assert (f"--data-dir {tmp_path}" in banner(config, "http://x")) is unit


@pytest.mark.parametrize(
    ("flags", "url"),
    [
        ({"host": "::1"}, "http://[::1]:5"),
        ({"host": "::"}, "http://[::1]:5"),
        ({"host": "example.com"}, "http://example.com:5"),
        ({"public_url": "https://llm.example/x/"}, "https://llm.example/x"),
        ({"tls_cert": "/c", "tls_key": "/k"}, "https://127.0.0.1:5"),
    ],
)
def test_server_url(tmp_path, flags, url) -> None:
    assert server_url(load_config(flags | {"data_dir": str(tmp_path)}, {}), 5) == url
