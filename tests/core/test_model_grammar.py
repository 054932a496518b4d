"""The gateway's model string (proxy.md 6.4; internals.md 6.1 and 7, provider-ignore)."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.core.model_grammar import (
    ITEMS_MAX,
    MODEL_CHARACTERS_MAX,
    ModelItem,
    ModelPlan,
    parse_models,
    requested_model,
)
from appliance.errors import Refusal

# fmt: off
MODELS = {
    "gpt-4o": "gpt-4o", "gpt-4o-2024-08-06": "gpt-4o", "openai/gpt-4o": "gpt-4o",
    "gpt-oss-120b": "gpt-oss-120b", "openai/gpt-oss-120b": "gpt-oss-120b",
    "claude-4.5-sonnet": "claude-4.5-sonnet", "claude-sonnet-4-5": "claude-4.5-sonnet",
    "anthropic/claude-sonnet-4.5": "claude-4.5-sonnet", "deepseek-v3": "deepseek-v3",
    "meta-llama/llama-3.3-70b-instruct": "llama-3.3-70b-instruct",
}
PROVIDERS = {
    "openai": "openai", "oai": "openai", "groq": "groq", "anthropic": "anthropic",
    "openrouter": "openrouter", "nebius": "nebius", "mistral": "mistral", "ollama": "ollama",
    "meta-llama": "llama", "deepseek": "deepseek", "azure": "azure",
}
SERVED = {("gpt-4o", "openai"), ("gpt-oss-120b", "groq"), ("claude-4.5-sonnet", "anthropic")}
# fmt: on


class Shelf:
    """A catalog of a few names."""

    def model_of(self, name: str) -> str:
        return MODELS.get(name.lower(), "")

    def provider_of(self, name: str) -> str:
        return PROVIDERS.get(name.lower(), "")

    def serves(self, model: str, provider: str) -> bool:
        return (model, provider) in SERVED


SHELF = Shelf()


def one(text: str) -> ModelItem:
    (item,) = parse_models(text, SHELF).items
    return item


@pytest.mark.parametrize(
    ("text", "item"),
    [
        ("gpt-4o", ModelItem("gpt-4o", "gpt-4o")),
        (" gpt-4o ", ModelItem("gpt-4o", "gpt-4o")),
        ("GPT-4o", ModelItem("GPT-4o", "gpt-4o")),
        ("gpt-4o:online", ModelItem("gpt-4o", "gpt-4o", online=True)),
        ("claude-sonnet-4-5", ModelItem("claude-sonnet-4-5", "claude-4.5-sonnet")),
        # The contract's form.
        ("gpt-4o/openai", ModelItem("gpt-4o", "gpt-4o", "openai")),
        ("gpt-4o/oai", ModelItem("gpt-4o", "gpt-4o", "openai")),
        ("gpt-4o/OpenAI", ModelItem("gpt-4o", "gpt-4o", "openai")),
        ("gpt-4o/azure/ck9x", ModelItem("gpt-4o", "gpt-4o", "azure", "ck9x")),
        ("gpt-4o:online/azure/ck9x", ModelItem("gpt-4o", "gpt-4o", "azure", "ck9x", online=True)),
        # Unknown to the registry: passed through under its own name.
        ("llama3.2:3b/ollama", ModelItem("llama3.2:3b", "", "ollama")),
        ("gpt-9/openai/ck9x", ModelItem("gpt-9", "", "openai", "ck9x")),
        ("mistral/groq", ModelItem("mistral", "", "groq")),
        ("Qwen/Qwen9-Big/nebius", ModelItem("Qwen/Qwen9-Big", "", "nebius")),
        ("meta-llama/Llama-9/nebius", ModelItem("meta-llama/Llama-9", "", "nebius")),
        ("accounts/fireworks/models/glm-9/groq",
         ModelItem("accounts/fireworks/models/glm-9", "", "groq")),
        # The provider first.
        ("openai/gpt-4o", ModelItem("gpt-4o", "gpt-4o", "openai")),
        ("openai/gpt-4o:online", ModelItem("gpt-4o", "gpt-4o", "openai", online=True)),
        ("anthropic/claude-sonnet-4-5",
         ModelItem("claude-sonnet-4-5", "claude-4.5-sonnet", "anthropic")),
        ("groq/openai/gpt-oss-120b", ModelItem("openai/gpt-oss-120b", "gpt-oss-120b", "groq")),
        ("ollama/llama3.2:3b", ModelItem("llama3.2:3b", "", "ollama")),
        ("openrouter/anthropic/claude-9", ModelItem("anthropic/claude-9", "", "openrouter")),
        # A reseller's name, which is no provider's: every provider of the model.
        ("anthropic/claude-sonnet-4.5",
         ModelItem("anthropic/claude-sonnet-4.5", "claude-4.5-sonnet")),
        ("meta-llama/llama-3.3-70b-instruct",
         ModelItem("meta-llama/llama-3.3-70b-instruct", "llama-3.3-70b-instruct")),
        # A model of its own name, though a provider has that name too.
        ("deepseek-v3/deepseek", ModelItem("deepseek-v3", "deepseek-v3", "deepseek")),
    ],
)  # fmt: skip
def test_each_form(text: str, item: ModelItem) -> None:
    assert one(text) == item


def test_online_belongs_to_the_models_part_alone() -> None:
    with pytest.raises(Refusal, match="'openai:online' is no known provider"):
        parse_models("gpt-4o/openai:online", SHELF)
    assert one("x:online/ollama") == ModelItem("x", "", "ollama", online=True)


def test_lists_keep_their_order_and_say_nothing_twice() -> None:
    plan = parse_models("claude-4.5-sonnet , gpt-4o/openai,gpt-4o,gpt-4o", SHELF)
    assert [item.shown for item in plan.items] == ["claude-4.5-sonnet", "gpt-4o/openai", "gpt-4o"]
    assert plan.excluded == frozenset()


@pytest.mark.parametrize(
    ("text", "excluded"),
    [
        ("!openai,gpt-4o", {"openai"}),
        ("gpt-4o,!openai", {"openai"}),
        ("! oai ,gpt-4o,!azure", {"openai", "azure"}),
    ],
)
def test_exclusions_hold_for_the_whole_request(text: str, excluded: set[str]) -> None:
    plan = parse_models(text, SHELF)
    assert plan == ModelPlan((ModelItem("gpt-4o", "gpt-4o"),), frozenset(excluded))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "Invalid model: item 1 of model is empty"),
        ("gpt-4o,,gpt-4o", "item 2 of model is empty"),
        ("gpt-4o,", "item 2 of model is empty"),
        ("gpt-5x", "Invalid model: 'gpt-5x' is no known model; GET /v1/models"),
        ("gpt-4o,gpt-5x,gpt-6x", "'gpt-5x' is no known model"),
        (":online", "':online' is no known model"),
        ("gpt-4o/nobody", "Invalid provider: in 'gpt-4o/nobody', 'nobody' is no known provider"),
        ("gpt-4o/nobody/ck9x", "'nobody' is no known provider"),
        ("gpt-4o//openai", "'gpt-4o//openai' is not name/provider/key"),
        ("gpt-4o/", "'gpt-4o/' is not name/provider/key"),
        ("/openai", "'/openai' is not name/provider/key"),
        ("gpt-4o openai", "'gpt-4o openai' is not name/provider/key"),
        ("gpt-4o@openai", "'gpt-4o@openai' is no known model"),
        ("!", "Invalid provider: '!' excludes nothing"),
        ("!,gpt-4o", "Invalid provider: '!' excludes nothing"),
        ("!nobody,gpt-4o", "Invalid provider: '!nobody' excludes 'nobody'"),
        ("!openai", "'!openai' names no model"),
        ("x" * 200, "'" + "x" * 100 + "…' is no known model"),
        ("x" * (MODEL_CHARACTERS_MAX + 1), f"more than {MODEL_CHARACTERS_MAX} characters"),
        (",".join(["gpt-4o"] * (ITEMS_MAX + 1)), f"lists {ITEMS_MAX + 1} items"),
    ],
)
def test_the_first_invalid_item_is_named(text: str, says: str) -> None:
    with pytest.raises(Refusal) as caught:
        parse_models(text, SHELF)
    assert says in caught.value.message
    assert (caught.value.status, caught.value.code) == (400, "model_invalid")


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ({"model": "gpt-4o"}, ""),
        ({}, "has no model"),
        ({"model": None}, "has no model"),
        ({"model": 4}, "is not a string"),
        ({"model": ["gpt-4o"]}, "is not a string"),
        (["gpt-4o"], "is not a JSON object"),
        (None, "is not a JSON object"),
    ],
)
def test_the_model_of_a_body(document: Any, says: str) -> None:
    if not says:
        assert requested_model(document) == "gpt-4o"
        return
    with pytest.raises(Refusal, match=says) as caught:
        requested_model(document)
    assert caught.value.status == 400


WORDS = st.sampled_from(
    ["gpt-4o", "openai", "groq", "x", ":online", "!", "/", ",", " ", "ck9x", "meta-llama", ""]
)


@given(st.lists(WORDS, max_size=12).map("".join))
def test_any_text_is_a_plan_or_a_refusal(text: str) -> None:
    try:
        plan = parse_models(text, SHELF)
    except Refusal:
        return
    assert plan.items
    for item in plan.items:
        assert item.name
        assert item.model or item.provider
        assert "," not in item.shown
    assert plan == parse_models(text, SHELF)


def test_a_plan_is_parsed_once() -> None:
    assert parse_models("gpt-4o,claude-4.5-sonnet", SHELF) is parse_models(
        "gpt-4o,claude-4.5-sonnet", SHELF
    )
