"""The variables that `run` sets, and what becomes of those that were set already."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from appliance.core.base_urls import (
    KEYS,
    VARIABLES,
    base_urls,
    elsewhere,
    program_environment,
)
from appliance.errors import Refusal
from appliance.providers.table import ProviderTable

BASE = "http://127.0.0.1:1/key/helicone-session-id=x"
MANUAL = Path(__file__).parents[2] / "ui" / "manual" / "run.md"


def test_every_variable_leads_to_a_provider() -> None:
    table = ProviderTable.from_config({})
    found = base_urls(BASE)
    assert len(found) == len(VARIABLES)
    for one in VARIABLES:
        assert one.provider in table.rows
        assert found[one.name] == f"{BASE}/v1/gateway/{one.provider}{one.below}"


def test_the_manual_lists_every_variable_with_its_readers() -> None:
    rows = re.findall(r"^\| `([A-Z_]+)` \| (.+?) \|$", MANUAL.read_text(encoding="utf-8"), re.M)
    assert dict(rows) == {one.name: one.readers for one in VARIABLES}


def test_other_variables_stay() -> None:
    found = program_environment({"HOME": "/home/x", "OPENAI_BASE_URL": "http://old"}, BASE)
    assert found["HOME"] == "/home/x"
    assert found["OPENAI_BASE_URL"] == f"{BASE}/v1/gateway/openai/v1"
    assert (found["HELICONE_RUN_URL"], found["HELICONE_RUN_MODE"]) == (BASE, "live")
    assert not set(KEYS) & set(found)


def test_a_replay_needs_no_keys() -> None:
    found = program_environment({"OPENAI_API_KEY": "sk-own"}, BASE, "replay")
    assert found["OPENAI_API_KEY"] == "sk-own"
    assert all(found[name] == "replayed" for name in KEYS if name != "OPENAI_API_KEY")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("", "127.0.0.1,localhost"),
        ("corp.example", "corp.example,127.0.0.1,localhost"),
        ("localhost, corp.example", "localhost,corp.example,127.0.0.1"),
        ("*", "*"),
    ],
)
def test_calls_to_this_machine_pass_by_the_proxy(given: str, expected: str) -> None:
    assert program_environment({"NO_PROXY": given}, BASE)["NO_PROXY"] == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {}),
        ({"OPENAI_BASE_URL": " "}, {}),
        ({"OPENAI_BASE_URL": "http://a/v1", "OPENAI_API_BASE": "http://b"}, {"openai": "http://a/v1"}),
        ({"ANTHROPIC_API_BASE": "http://b"}, {"anthropic": "http://b"}),
        ({"OLLAMA_HOST": "gpu"}, {"ollama": "http://gpu:11434"}),
        ({"OLLAMA_HOST": "0.0.0.0"}, {"ollama": "http://127.0.0.1:11434"}),
        ({"OLLAMA_HOST": ":4000"}, {"ollama": "http://127.0.0.1:4000"}),
        ({"OLLAMA_HOST": "https://gpu/x/"}, {"ollama": "https://gpu:443/x"}),
        ({"OLLAMA_HOST": "[::1]:99"}, {"ollama": "http://[::1]:99"}),
    ],
)  # fmt: skip
def test_where_calls_went_before(given: dict[str, str], expected: dict[str, str]) -> None:
    assert elsewhere(given) == expected


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("OLLAMA_HOST", "gpu:many", "OLLAMA_HOST has no valid port"),
        ("OLLAMA_HOST", "gpu:99999", "OLLAMA_HOST has no valid port"),
        ("OLLAMA_API_BASE", "ftp://gpu", "OLLAMA_API_BASE begins with neither"),
        ("OPENAI_BASE_URL", "garbage", "OPENAI_BASE_URL does not begin with https://"),
        ("ANTHROPIC_BASE_URL", "http://me:secret@gpu", "ANTHROPIC_BASE_URL has a user or password"),
    ],
)
def test_what_is_no_address_is_told_by_the_name_of_its_variable(
    name: str, value: str, why: str
) -> None:
    with pytest.raises(Refusal) as refusal:
        elsewhere({name: value})
    assert why in refusal.value.message
    assert "secret" not in refusal.value.message
