"""Every name of the model registry: it routes, has limits and a price (issue: Model registry)."""

import csv
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any

import pytest

from appliance.core.attempts import (
    PRICE_UNKNOWN,
    Candidate,
    Endpoint,
    StoredKey,
    candidates_of,
)
from appliance.core.model_grammar import ModelItem, parse_models
from appliance.core.price_card import Card
from appliance.providers.price_data import LISTS, _find, open_book
from appliance.providers.registry import (
    GATHERED,
    MEDIA,
    Model,
    ModelRegistry,
    card_of,
    priority_of,
    unregistered,
)
from appliance.providers.table import ProviderTable

TABLE = ProviderTable.built_in()
REGISTRY = ModelRegistry(TABLE)
BOOK = open_book([])
WRITTEN = list(
    csv.DictReader(
        files("appliance.providers").joinpath("registry_models.csv").read_text("utf-8").splitlines()
    )
)
NOW_US = int(datetime(2026, 4, 1, 12, tzinfo=UTC).timestamp()) * 1_000_000
MODELS = list(REGISTRY.models.values())
ENDPOINTS = [endpoint for model in MODELS for endpoint in model.endpoints]
GATEWAY_IDS = {
    "openai", "anthropic", "google-ai-studio", "vertex", "bedrock", "azure", "helicone", "baseten",
    "canopywave", "cerebras", "chutes", "deepinfra", "deepseek", "fireworks", "groq", "mistral",
    "nebius", "novita", "openrouter", "perplexity", "xai",
}  # fmt: skip

# Listed nowhere but in the registry: its own rates are their price. All of Helicone's own host are.
WITHOUT_LISTED_PRICE = {
    ("openrouter", "google/gemini-3-pro-preview"),
    ("openrouter", "x-ai/grok-4"),
    ("deepinfra", "mistralai/Mistral-Nemo-Instruct-2407"),
    ("deepinfra", "mistralai/Mistral-Small-3.2-24B-Instruct-2506"),
}

# Where the price book's word differs from the registry's rates, and why the book is believed.
# OpenRouter is left out: it says itself what a call cost.
OTHER_PRICE = {
    ("openai", "chatgpt-4o-latest"): "output was lowered",
    ("openai", "gpt-image-1"): "image tokens are priced apart",
    ("groq", "openai/gpt-oss-20b"): "lowered",
    ("groq", "openai/gpt-oss-120b"): "lowered",
    ("groq", "meta-llama/Llama-Guard-4-12B"): "output costs what input does",
    ("groq", "meta-llama/llama-prompt-guard-2-22m"): "raised",
    ("groq", "meta-llama/llama-prompt-guard-2-86m"): "raised",
    ("bedrock", "anthropic.claude-sonnet-4-5-20250929-v1:0"): "regional: a tenth more",
    ("bedrock", "anthropic.claude-haiku-4-5-20251001-v1:0"): "regional: a tenth more",
    ("bedrock", "anthropic.claude-opus-4-5-20251101-v1:0"): "regional: a tenth more",
    ("bedrock", "anthropic.claude-opus-4-6-v1"): "regional: a tenth more",
    ("bedrock", "anthropic.claude-sonnet-4-6"): "regional: a tenth more",
    ("vertex", "gemini-2.0-flash-exp"): "listed as its successor, which is not free",
    ("google-ai-studio", "gemini-2.0-flash-exp"): "listed as its successor, which is not free",
    ("vertex", "gemini-3-pro-image-preview"): "listed without the long-context tier",
    ("google-ai-studio", "gemini-3-pro-image-preview"): "listed without the long-context tier",
    ("deepseek", "deepseek-chat"): "lowered with V3.2",
    ("deepseek", "deepseek-reasoner"): "lowered with V3.2",
    ("novita", "meta-llama/llama-3.1-8b-instruct"): "listed otherwise",
    ("novita", "meta-llama/llama-3.3-70b-instruct"): "listed otherwise",
    ("novita", "meta-llama/llama-4-scout-17b-16e-instruct"): "listed otherwise",
    ("novita", "meta-llama/llama-4-maverick-17b-128e-instruct-fp8"): "listed otherwise",
    ("novita", "zai-org/glm-4.6"): "listed otherwise",
    ("fireworks", "accounts/fireworks/models/kimi-k2p5"): "input and output are not equal",
}

# Names of the price list that stand for another model than the registry's, or for a list of them.
OTHER_MODEL = {
    "gemini-2.0-flash", "gemini-3.1-flash-lite", "google/gemini-3.1-flash-lite", "mistral-large",
}  # fmt: skip


def rates(card: Card) -> tuple[int, int, list[int]]:
    return card.base.input, card.base.output, [tier.threshold for tier in card.tiers]


def test_the_whole_registry_is_there() -> None:
    assert len(MODELS) == 111
    assert len(ENDPOINTS) == 329
    assert {endpoint.provider for endpoint in ENDPOINTS} == GATEWAY_IDS


@pytest.mark.parametrize("entry", REGISTRY.listed(), ids=lambda entry: str(entry["id"]))
def test_every_listed_name_routes_and_has_limits_and_a_price(entry: dict[str, Any]) -> None:
    (item,) = parse_models(entry["id"], REGISTRY).items
    assert item == ModelItem(entry["id"], entry["id"])
    offered = REGISTRY.offers(item)
    assert offered
    for endpoint in offered:
        assert TABLE.rows[endpoint.provider].hosts
        assert endpoint.provider_model_id
        assert endpoint.wire_format in ("openai", "anthropic", "google", "responses")
        assert endpoint.context_tokens >= 512
        assert endpoint.max_output_tokens >= 1
        assert endpoint.registered
        place = endpoint.provider, endpoint.provider_model_id
        assert card_of(*place) is not None
        assert endpoint.price_order < PRICE_UNKNOWN
        if BOOK.card(*place, NOW_US) is None:
            assert endpoint.provider == "helicone" or place in WITHOUT_LISTED_PRICE
        # The same by provider, in both orders.
        for text in (f"{item.name}/{endpoint.provider}", f"{endpoint.provider}/{item.name}"):
            (pinned,) = parse_models(text, REGISTRY).items
            assert tuple(REGISTRY.offers(pinned)) == (endpoint,)
    assert REGISTRY.context_tokens(item) == max(one.context_tokens for one in offered)
    assert entry["object"] == "model"
    assert entry["owned_by"]
    assert datetime(2024, 1, 1, tzinfo=UTC).timestamp() < entry["created"]
    assert entry["created"] <= datetime.fromisoformat(GATHERED).replace(tzinfo=UTC).timestamp()


def test_the_multimodal_list_is_a_part_of_the_list() -> None:
    every, some = REGISTRY.listed(), REGISTRY.listed(multimodal=True)
    assert [entry for entry in every if entry in some] == some
    for entry in every:
        model = REGISTRY.models[entry["id"]]
        kinds = model.inputs | model.outputs
        assert kinds <= MEDIA
        assert "text" in model.inputs
        assert (kinds != {"text"}) is model.multimodal is (entry in some)
    assert REGISTRY.models["gpt-image-1"].outputs == {"image"}
    assert REGISTRY.models["gemini-2.5-flash"].inputs == MEDIA


@pytest.mark.parametrize("line", WRITTEN, ids=lambda line: str(line["model"]))
def test_each_written_name_is_an_alias_of_its_row(line: dict[str, str]) -> None:
    """Each alias offers what the model's own name offers: the same endpoints, limits and prices."""
    (own,) = parse_models(line["model"], REGISTRY).items
    for name in line["names"].split():
        for written in (name, name.upper()):
            (item,) = parse_models(written, REGISTRY).items
            assert REGISTRY.model_of(written) == item.model == own.model
            if not item.provider:  # anthropic/claude-opus-4.6 is the one at Anthropic
                assert tuple(REGISTRY.offers(item)) == tuple(REGISTRY.offers(own))


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda e: f"{e.model}/{e.provider}")
def test_what_a_provider_calls_a_model_reaches_it_there(endpoint: Endpoint) -> None:
    name, provider = endpoint.provider_model_id, endpoint.provider
    for text in (f"{name}/{provider}", f"{provider}/{name}"):
        (item,) = parse_models(text, REGISTRY).items
        (found,) = REGISTRY.offers(item)
        # Two models may have one id somewhere: the one that is listed first is meant.
        assert (found.provider, found.provider_model_id.lower()) == (provider, name.lower())
        assert found.registered
        assert found.price_order < PRICE_UNKNOWN
        assert min(found.context_tokens, found.max_output_tokens) > 0


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_every_other_name_means_the_same_model(model: Model) -> None:
    for endpoint in model.endpoints:
        found = REGISTRY.model_of(endpoint.provider_model_id)
        # An id that two models share means the one that is listed first.
        assert found in REGISTRY.models
        called_so = REGISTRY.endpoint(endpoint.provider_model_id, endpoint.provider)
        assert called_so is not None
        assert called_so.provider_model_id == endpoint.provider_model_id
        assert REGISTRY.model_of(endpoint.provider_model_id.upper()) == found
        assert REGISTRY.serves(model.name, endpoint.provider)


def test_names_are_written_once_and_hide_no_model() -> None:
    written = [name for line in WRITTEN for name in (line["model"], *line["names"].split())]
    assert len(written) == len(set(written))
    assert all(name == name.lower() for name in written)
    for name in written:
        assert parse_models(name, REGISTRY).items[0].model


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda e: f"{e.model}/{e.provider}")
def test_names_of_the_price_list_are_names_here(endpoint: Endpoint) -> None:
    for name in LISTS.get(endpoint.provider, ()):
        listed = _find(name, endpoint.provider_model_id)
        if listed is not None and not listed.id.startswith("regional."):
            assert REGISTRY.model_of(listed.id) or listed.id in OTHER_MODEL


@pytest.mark.parametrize(
    ("name", "model"),
    [
        # What the contract maps (proxy.md 6.4).
        ("gemini-1.5-flash", "gemini-2.5-flash-lite"),
        ("claude-3.5-sonnet", "claude-3.5-sonnet-v2"),
        ("claude-3.5-sonnet-20240620", "claude-3.5-sonnet-v2"),
        ("deepseek-r1", "deepseek-reasoner"),
        ("kimi-k2", "kimi-k2-0905"),
        ("kimi-k2-instruct", "kimi-k2-0905"),
        ("grok-4.1-fast-reasoning", "grok-4-1-fast-reasoning"),
        ("grok-4.1-fast-non-reasoning", "grok-4-1-fast-non-reasoning"),
        # What providers and price lists call them.
        ("claude-sonnet-4-5", "claude-4.5-sonnet"),
        ("claude-sonnet-4-5-20250929", "claude-sonnet-4-5-20250929"),
        ("claude-opus-4-5-20251101", "claude-4.5-opus"),
        ("anthropic.claude-opus-4-1-20250805-v1:0", "claude-opus-4-1"),
        ("claude-sonnet-4@20250514", "claude-sonnet-4"),
        ("o3-2025-04-16", "o3"),
        ("deepseek-chat", "deepseek-v3"),
        ("grok-4-0709", "grok-4"),
        ("Qwen/Qwen3-32B", "qwen3-32b"),
        ("anthropic/claude-opus-4.6", "claude-4.6-opus"),
        ("anthropic/claude-opus-4.6-20260205", "claude-4.6-opus"),
        ("claude-opus-4-6-20260205", "claude-4.6-opus"),
        ("claude-opus-4-6", "claude-4.6-opus"),
        ("claude-sonnet-4-6@20260217", "claude-4.6-sonnet"),
        ("anthropic.claude-sonnet-4-6-20260217-v1:0", "claude-4.6-sonnet"),
        ("gpt-5", "gpt-5"),
        ("GPT-5", "gpt-5"),
        ("gpt-6", ""),
        ("", ""),
    ],
)
def test_names(name: str, model: str) -> None:
    assert REGISTRY.model_of(name) == model


@pytest.mark.parametrize(
    ("text", "model", "provider"),
    [
        ("openai/gpt-4o", "gpt-4o", "openai"),
        ("anthropic/claude-opus-4.6", "claude-4.6-opus", "anthropic"),
        ("gemini/gemini-2.5-pro", "gemini-2.5-pro", "google-ai-studio"),
        ("groq/openai/gpt-oss-120b", "gpt-oss-120b", "groq"),
        ("x-ai/grok-4", "grok-4", "xai"),
        ("meta-llama/llama-3.3-70b-instruct", "llama-3.3-70b-instruct", ""),
        ("accounts/fireworks/models/glm-4p7", "glm-4.7", ""),
        ("ollama/llama3.2:3b", "", "ollama"),
        ("us.anthropic.claude-opus-4-20250514-v1:0/bedrock", "", "bedrock"),
    ],
)
def test_names_with_slashes(text: str, model: str, provider: str) -> None:
    (item,) = parse_models(text, REGISTRY).items
    assert (item.model, item.provider) == (model, provider)


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda e: f"{e.model}/{e.provider}")
def test_rates_agree_with_the_price_book_or_it_is_known_why_not(endpoint: Endpoint) -> None:
    place = endpoint.provider, endpoint.provider_model_id
    listed, own = BOOK.card(*place, NOW_US), card_of(*place)
    if listed is None or own is None or endpoint.provider == "openrouter":
        return
    assert (rates(listed) == rates(own)) is (place not in OTHER_PRICE)


def test_facts_of_some_rows() -> None:
    sonnet = REGISTRY.endpoint("claude-sonnet-4-5-20250929", "anthropic")
    assert sonnet is not None
    assert (sonnet.context_tokens, sonnet.max_output_tokens) == (1_000_000, 64_000)
    assert (sonnet.wire_format, sonnet.priority, sonnet.pass_through) == ("anthropic", 3, True)
    card = card_of("anthropic", "claude-sonnet-4-5-20250929")
    assert card is not None
    assert (card.base.input, card.base.cached_input, card.base.write_1h) == (
        3 * 10**18, 3 * 10**17, 6 * 10**18,
    )  # fmt: skip
    assert rates(card)[2] == [200_000]
    gpt5 = REGISTRY.endpoint("gpt-5-nano", "openai")
    assert gpt5 is not None
    assert gpt5.unsupported == {
        "temperature", "top_p", "presence_penalty", "frequency_penalty", "logprobs", "top_logprobs",
        "logit_bias", "max_tokens", "stop",
    }  # fmt: skip
    azure = REGISTRY.endpoint("gpt-5.2", "azure")
    assert azure is not None
    assert not azure.pass_through
    assert "temperature" not in azure.unsupported
    opus = REGISTRY.endpoint("claude-4.6-opus", "anthropic")
    assert opus is not None
    assert opus.plugins == {"web"}


@pytest.mark.parametrize(
    ("name", "anthropic", "context", "output"),
    [
        # platform.claude.com/docs/en/models: "Model ID", "Context window", "Max output".
        ("claude-4.5-haiku", "claude-haiku-4-5-20251001", 200_000, 64_000),
        ("claude-haiku-4-5-20251001", "claude-haiku-4-5-20251001", 200_000, 64_000),
        ("claude-4.6-opus", "claude-opus-4-6", 1_000_000, 128_000),
        ("claude-4.6-sonnet", "claude-sonnet-4-6", 1_000_000, 128_000),
    ],
)
def test_limits_are_the_makers_everywhere(
    name: str, anthropic: str, context: int, output: int
) -> None:
    """A limit below the maker's would hold too little for a call that names none."""
    endpoints = REGISTRY.models[name].endpoints
    assert {(one.context_tokens, one.max_output_tokens) for one in endpoints} == {(context, output)}
    assert [one.provider_model_id for one in endpoints if one.provider == "anthropic"] == [
        anthropic
    ]


def test_tiers_keep_what_the_row_says_of_cached_input() -> None:
    grok = card_of("xai", "grok-4")
    assert grok is not None
    assert grok.compared == "input_and_cached"
    assert grok.tiers[0].rates.cached_input == grok.base.cached_input
    pro = card_of("vertex", "gemini-2.5-pro")
    assert pro is not None
    assert pro.compared == "own"
    assert pro.tiers[0].rates.cached_input == 2 * pro.base.cached_input


def test_no_card_for_a_name_that_is_not_registered() -> None:
    assert card_of("openai", "gpt-6") is None
    assert card_of("nobody", "gpt-4o") is None
    assert card_of("openai", "GPT-4o") == card_of("openai", "gpt-4o")


@pytest.mark.parametrize(
    ("provider", "name", "wire_format"),
    [
        ("openai", "gpt-9", "openai"), ("ollama", "llama3", "openai"),
        ("anthropic", "claude-9", "anthropic"), ("google-ai-studio", "gemini-9", "google"),
        ("vertex", "gemini-9", "google"), ("vertex", "claude-9@20270101", "anthropic"),
        ("bedrock", "eu.anthropic.claude-9-v1:0", "anthropic"),
        ("bedrock", "amazon.nova-pro-v1:0", "bedrock"),
        ("openrouter", "anthropic/claude-9", "openai"),
    ],
)  # fmt: skip
def test_a_name_that_only_its_provider_knows(provider: str, name: str, wire_format: str) -> None:
    item = ModelItem(name, "", provider)
    (endpoint,) = REGISTRY.offers(item)
    assert endpoint == unregistered(TABLE.rows[provider], name)
    assert (endpoint.model, endpoint.provider_model_id) == (name, name)
    assert endpoint.wire_format == wire_format
    assert (endpoint.registered, endpoint.pass_through) == (False, False)
    assert endpoint.priority == priority_of(provider)
    assert REGISTRY.context_tokens(item) == 0


def test_an_id_that_two_models_share_is_known_where_it_is_used() -> None:
    (item,) = parse_models("openrouter/meta-llama/llama-3.1-8b-instruct", REGISTRY).items
    (endpoint,) = REGISTRY.offers(item)
    assert (endpoint.registered, endpoint.model) == (True, "llama-3.1-8b-instant")


def test_a_registered_name_at_a_place_that_is_not_goes_out_as_written() -> None:
    (item,) = parse_models("gpt-4o/groq", REGISTRY).items
    (endpoint,) = REGISTRY.offers(item)
    assert not endpoint.registered
    assert endpoint.provider_model_id == "gpt-4o"


def test_a_provider_of_the_configuration_is_known() -> None:
    table = ProviderTable.from_config({"corp": {"base_url": "https://llm.corp.example/v1"}})
    registry = ModelRegistry(table)
    (item,) = parse_models("corp/big-model", registry).items
    assert item == ModelItem("big-model", "", "corp")


def candidates(text: str, own: list[str], platform: list[str]) -> list[Candidate]:
    return candidates_of(
        parse_models(text, REGISTRY), REGISTRY.offers,
        own_keys={name: [StoredKey(name)] for name in own},
        platform_keys={name: [StoredKey(name)] for name in platform},
    )  # fmt: skip


def test_the_order_of_real_attempts() -> None:
    everywhere = ["openrouter", "azure", "openai", "anthropic", "vertex", "bedrock"]
    found = candidates("gpt-4o, claude-sonnet-4-5", everywhere, everywhere)
    assert [candidate.source for candidate in found] == [
        "gpt-4o/openai/byok", "gpt-4o/azure/byok", "gpt-4o/openrouter/byok",
        "gpt-4o/openai/ptb", "gpt-4o/azure/ptb", "gpt-4o/openrouter/ptb",
        "claude-4.5-sonnet/anthropic/byok", "claude-4.5-sonnet/bedrock/byok",
        "claude-4.5-sonnet/vertex/byok", "claude-4.5-sonnet/openrouter/byok",
        "claude-4.5-sonnet/anthropic/ptb", "claude-4.5-sonnet/bedrock/ptb",
        "claude-4.5-sonnet/vertex/ptb", "claude-4.5-sonnet/openrouter/ptb",
    ]  # fmt: skip
    cheapest = candidates("gpt-oss-120b", [], ["groq", "deepinfra", "cerebras", "baseten"])
    assert [one.endpoint.provider for one in cheapest] == [
        "deepinfra", "baseten", "groq", "cerebras",
    ]  # fmt: skip
