"""Our overlay and the bundled list, priced through the book as a server would."""

import csv
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime
from importlib.resources import files

import pytest
from genai_prices.data import providers

from appliance.core.money import usd_text
from appliance.core.price_rows import parse_rows
from appliance.core.prices import compile_book
from appliance.core.usage_types import Modality, Usage
from appliance.providers.price_data import (
    GenaiPrices,
    open_book,
    overlay_rows,
    provider_names,
)

NOW = datetime(2026, 4, 1, 12, tzinfo=UTC)
NOW_US = int(NOW.timestamp()) * 1_000_000
BOOK = open_book([])
MODELS = [(provider, model) for provider in providers for model in provider.models]


def usd(provider, model, usage, book=BOOK, at_us=NOW_US):
    pico = book.price(provider, model, usage, at_us).cost_pico
    return None if pico is None else usd_text(pico)


# --- worked checks (backend.md 5.3 and 10.8)


@pytest.mark.parametrize(
    ("provider", "model", "usage", "expected"),
    [
        (
            "anthropic",
            "claude-4.5-sonnet",
            Usage(input=1_000, cached_input=10_000, write_5m=2_000, output=500),
            "0.021",
        ),
        ("anthropic", "claude-sonnet-4-5-20250929", Usage(input=199_999, output=1_000), "0.614997"),
        ("anthropic", "claude-sonnet-4-5-20250929", Usage(input=200_000, output=1_000), "1.2225"),
        ("anthropic", "claude-sonnet-4-20250514", Usage(cached_input=200_000), "0.12"),
        ("google-ai-studio", "gemini-2.5-pro", Usage(input=199_999), "0.24999875"),
        ("google-ai-studio", "gemini-2.5-pro", Usage(input=150_000, cached_input=50_000), "0.3875"),
        ("vertex", "gemini-2.5-pro", Usage(input=150_000, cached_input=50_000), "0.19375"),
        ("vertex", "gemini-2.5-pro", Usage(input=150_000, cached_input=200_000), "0.2375"),
        ("openai", "gpt-5.4", Usage(input=271_999), "0.6799975"),
        ("openai", "gpt-5.4", Usage(input=272_000, output=100), "1.36225"),
        ("azure", "gpt-5.4-2026-03-05", Usage(input=272_000), "1.36"),
        ("bedrock", "us.anthropic.claude-sonnet-4-5-20250929-v1:0", Usage(input=200_000), "1.32"),
        ("bedrock", "global.anthropic.claude-sonnet-4-5-20250929-v1:0", Usage(input=10), "0.00003"),
        (
            "google-ai-studio",
            "gemini-3-pro-image-preview",
            Usage(input=700, cached_input=300, output=20, image=Modality(258, 0, 1_120)),
            "0.137156",
        ),
        (
            "google-ai-studio",
            "gemini-2.5-flash",
            Usage(input=100, cached_input=1_000, thinking=40, audio=Modality(32, 64)),
            "0.0001984",
        ),
        ("xai", "grok-4", Usage(input=120, cached_input=80, output=50, thinking=300), "0.00567"),
        ("xai", "grok-4-0709", Usage(input=127_999), "0.383997"),
        ("xai", "grok-4-0709", Usage(input=100_000, cached_input=28_000, output=10), "0.6213"),
        ("xai", "grok-3", Usage(web_search=2), "0.05"),
        ("vertex", "claude-opus-4-5@20251101", Usage(input=1_000, web_search=1), "0.015"),
        ("openai", "o3-mini", Usage(web_search=1), "0.01"),
        ("fireworks", "accounts/fireworks/models/glm-4p7", Usage(cached_input=10**6), "0.3"),
        ("xai", "grok-4.3", Usage(input=199_999), "0.24999875"),
        ("xai", "grok-4.3", Usage(input=200_000), "0.5"),
        ("openrouter", "openai/gpt-4o", Usage(input=10**6, cost_pico=123), "0.000000000123"),
        ("openrouter", "openai/gpt-4o", Usage(input=10**6), "2.5"),
        ("groq", "llama-3.3-70b-versatile", Usage(input=45, output=102), "0.00010713"),
        (
            "openai",
            "gpt-5-2025-08-07",
            Usage(input=476, cached_input=1_024, output=88, thinking=192, web_search=1),
            "0.013523",
        ),
        ("perplexity", "sonar", Usage(input=1_000, output=1_000), "0.007"),
        ("perplexity", "sonar-pro", Usage(input=1_000), "0.009"),
        ("perplexity", "perplexity/sonar", Usage(input=10**6), "0.25"),
        ("deepinfra", "deepseek-ai/DeepSeek-V3.1", Usage(input=10**6, cached_input=10**6), "0.486"),
    ],
)
def test_worked_checks(provider, model, usage, expected):
    assert usd(provider, model, usage) == expected


@pytest.mark.parametrize(
    ("day", "expected"),
    [
        ("2025-09-05T02:00", "0.27"),
        ("2025-09-05T15:59", "0.27"),
        ("2025-09-05T16:00", "0.56"),
        ("2025-09-28T23:59", "0.56"),
        ("2025-09-29T00:00", "0.28"),
        ("2025-03-01T20:00", "0.135"),
    ],
)
def test_deepseeks_prices_over_time(day, expected):
    at_us = int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()) * 1_000_000
    assert usd("deepseek", "deepseek-chat", Usage(input=10**6), at_us=at_us) == expected


# --- names and hosts


@pytest.mark.parametrize(
    ("provider", "model", "same_as"),
    [
        ("openai", "GPT-4o-2024-08-06", ("openai", "gpt-4o")),
        ("openai", "gpt-5-pro-2025-10-01", ("openai", "gpt-5-pro")),
        ("oai", "openai/gpt-4o", ("openai", "gpt-4o")),
        ("azure", "gpt-35-turbo", ("openai", "gpt-3.5-turbo")),
        ("google", "models/gemini-2.5-flash", ("google-ai-studio", "gemini-2.5-flash")),
        (
            "vertex",
            "publishers/anthropic/models/claude-haiku-4-5@20251001",
            ("vertex", "claude-haiku-4-5"),
        ),
        ("anthropic", "anthropic/claude-opus-4.5", ("anthropic", "claude-opus-4-5")),
        ("anthropic", "claude-4.6-opus", ("anthropic", "claude-opus-4-6")),
        (
            "aws",
            "eu.anthropic.claude-haiku-4-5-20251001-v1%3A0",
            ("bedrock", "anthropic.claude-haiku-4-5-20251001-v1:0"),
        ),
        (
            "bedrock",
            "ca.anthropic.claude-haiku-4-5-20251001-v1:0",
            ("bedrock", "anthropic.claude-haiku-4-5-20251001-v1:0"),
        ),
        (
            "bedrock",
            "arn:aws:bedrock:us-east-1:1:inference-profile/us.amazon.nova-pro-v1:0",
            ("bedrock", "amazon.nova-pro-v1:0"),
        ),
        ("openrouter", "openai/gpt-4o:nitro", ("openrouter", "openai/gpt-4o")),
        ("openrouter", "openai/gpt-5.1-2025-11-13", ("openrouter", "openai/gpt-5.1")),
        (
            "fireworks",
            "Accounts/Fireworks/models/GLM-4p7",
            ("fireworks", "accounts/fireworks/models/glm-4p7"),
        ),
        ("x", "grok-4-latest", ("xai", "grok-4")),
        ("https://api.openai.com/v1/chat/completions", "gpt-4o", ("openai", "gpt-4o")),
        (
            "https://us-east5-aiplatform.googleapis.com",
            "gemini-2.5-pro",
            ("vertex", "gemini-2.5-pro"),
        ),
        ("api.anthropic.com", "claude-opus-4-5", ("anthropic", "claude-opus-4-5")),
    ],
)
def test_names_that_mean_the_same_model(provider, model, same_as):
    usage = Usage(input=1_000, output=100, cached_input=50, write_5m=10)
    expected = usd(*same_as, usage)
    assert expected is not None
    assert usd(provider, model, usage) == expected


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("openai", "ft:gpt-4o-unheard-of:org::id"),
        ("openai", "ft:gpt-4.1-2025-04-14:org::id"),
        ("openai", "whisper-1"),
        ("openai", "tts-1"),
        ("openai", "gpt-unheard-of"),
        ("custom", "gpt-4o"),
        ("ollama", "gpt-oss-120b"),
        ("https://llm.example.com/v1", "gpt-4o"),
        ("https://api.openai.com.example.com/v1", "gpt-4o"),
        ("https://[", "gpt-4o"),
        ("cohere", "claude-opus-4-5"),
        ("bedrock", "arn:aws:bedrock:us-east-1:1:application-inference-profile/abc123"),
        ("", ""),
    ],
)
def test_unknown_is_none(provider, model):
    priced = BOOK.price(provider, model, Usage(input=1_000, output=10), NOW_US)
    assert (priced.cost_pico, priced.source) == (None, "none")


def test_a_known_fine_tune_has_its_own_price():
    usage = Usage(input=10**6)
    assert usd("openai", "ft:gpt-4o-mini-2024-07-18:acme::abc", usage) == "0.3"
    assert usd("openai", "gpt-4o-mini-2024-07-18", usage) == "0.15"


@pytest.mark.parametrize(
    ("provider", "model"),
    [("openai", "omni-moderation-latest"), ("google-ai-studio", "gemma-3-27b-it")],
)
def test_what_is_known_to_be_free_costs_nothing(provider, model):
    assert usd(provider, model, Usage(input=1_000, output=10)) == "0"


def test_a_free_variant_costs_nothing_and_is_not_its_paid_one():
    free = next(model.id for _, model in MODELS if model.id.endswith(":free"))
    assert usd("openrouter", free, Usage(input=1_000, output=10)) == "0"


def test_a_provider_may_charge_by_another_ones_list():
    book = open_book([], same_prices={"Work": "OAI"})
    assert usd("work", "gpt-4o", Usage(input=10**6), book) == "2.5"
    assert provider_names({"work": "openai"})("WORK") == "openai"


def test_sources_are_named():
    book = open_book([{"provider": "openai", "model": "gpt-4o", "input": 2, "output": 8}])
    sources = {
        model: book.price(provider, model, Usage(input=1), NOW_US).source
        for provider, model in (
            ("openai", "gpt-4o"),
            ("openai", "gpt-4o-mini"),
            ("anthropic", "claude-sonnet-4-5"),
            ("deepseek", "deepseek-chat"),
        )
    }
    listed = GenaiPrices().source
    assert sources == {
        "gpt-4o": "user:1",
        "gpt-4o-mini": listed,
        "claude-sonnet-4-5": listed,
        "deepseek-chat": "overlay",
    }


# --- the overlay itself


def test_every_overlay_row_says_why_and_still_has_a_reason():
    text = files("appliance.providers").joinpath("prices.csv").read_text(encoding="utf-8")
    lines = list(csv.DictReader(text.splitlines()))
    rows = overlay_rows()
    assert len(lines) == len(rows)
    bare = compile_book((), (), GenaiPrices(), provider_of=provider_names({}))
    for line, row in zip(lines, rows, strict=True):
        assert line["why"], row
        if line["why"] == "not listed":
            assert bare.card(row.provider, row.model, NOW_US) is None, row
    assert [
        row
        for row, count in Counter((r.provider, r.model, r.from_us) for r in rows).items()
        if count > 1
    ] == []


def test_tier_rules_meet_the_models_they_were_written_for():
    bare = compile_book((), (), GenaiPrices(), provider_of=provider_names({}))
    for provider, model, threshold in (
        ("anthropic", "claude-sonnet-4-5-20250929", 200_000),
        ("anthropic", "claude-sonnet-4-20250514", 200_000),
        ("google-ai-studio", "gemini-2.5-pro", 200_000),
        ("google-ai-studio", "gemini-3-pro-preview", 200_000),
        ("google-ai-studio", "gemini-3.1-pro-preview", 200_000),
        ("vertex", "claude-sonnet-4-5@20250929", 200_000),
        ("vertex", "gemini-3-pro-preview", 200_000),
        ("bedrock", "anthropic.claude-sonnet-4-20250514-v1:0", 200_000),
        ("openai", "gpt-5.4-2026-03-05", 272_000),
        ("xai", "grok-4-fast", 128_000),
        ("xai", "grok-4-1-fast-reasoning", 128_000),
    ):
        card = BOOK.card(provider, model, NOW_US)
        assert [tier.threshold for tier in card.tiers] == [threshold], (provider, model)
        beneath = bare.card(provider, model, NOW_US)
        assert [tier.threshold for tier in beneath.tiers] in ([], [threshold + 1]), model


def test_the_version_does_not_load_the_list():
    script = (
        "import sys; from appliance.providers.price_data import open_book; book = open_book([]);"
        "assert len(book.version) == 12; assert 'genai_prices' not in sys.modules;"
        "from appliance.core.usage_types import Usage; book.price('openai', 'gpt-4o', Usage(), 0);"
        "assert 'genai_prices.data' in sys.modules;"
        "from genai_prices import data_snapshot; assert data_snapshot._custom_snapshot is None"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=30)


def test_rows_of_the_configuration_are_read_as_they_come():
    table = {"model": "m", "provider": "*", "input": 1, "from_": None, "discount": 1, "until": None}
    (row,) = parse_rows([table], where="prices")
    assert row.price.base.input == 10**18
