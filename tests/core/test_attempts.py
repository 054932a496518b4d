"""Which calls a gateway request makes, in order, and what each is sent (proxy.md 6.5)."""

from collections.abc import Sequence
from typing import Any

import pytest

from appliance.core.attempts import (
    CANDIDATES_MAX,
    PRICE_UNKNOWN,
    Candidate,
    Endpoint,
    Kind,
    StoredKey,
    candidates_of,
    chat_for,
    endpoints_of,
    providers_wanted,
)
from appliance.core.model_grammar import ModelItem, ModelPlan
from appliance.errors import Refusal


def endpoint(model: str, provider: str, **changes: Any) -> Endpoint:
    facts: dict[str, Any] = {"pass_through": True, "price_order": 10, **changes}
    return Endpoint(model, provider, f"{provider}:{model}", "openai", **facts)


SHELF = {
    "a": [
        endpoint("a", "openai", priority=3),
        endpoint("a", "azure", price_order=5),
        endpoint("a", "openrouter", priority=10, price_order=5),
        endpoint("a", "helicone", priority=2, explicit=True),
    ],
    "b": [endpoint("b", "anthropic", priority=3), endpoint("b", "bedrock", pass_through=False)],
    "c": [
        endpoint("c", "groq", price_order=PRICE_UNKNOWN),
        endpoint("c", "novita", price_order=99),
    ],
}
A, B, C = (ModelItem(name, name) for name in "abc")


def offers(item: ModelItem) -> Sequence[Endpoint]:
    if not item.model:
        return [Endpoint(item.name, item.provider, item.name, "openai", registered=False)]
    found = SHELF[item.model]
    return [one for one in found if item.provider in ("", one.provider)]


def keys(*names: str) -> dict[str, list[StoredKey]]:
    """`openai`, `openai#id`, `azure=model`, `groq-` (not for own use)."""
    found: dict[str, list[StoredKey]] = {}
    for name in names:
        name, _, key_id = name.partition("#")
        name, _, model = name.partition("=")
        provider = name.removesuffix("-")
        key = StoredKey(provider, key_id, not name.endswith("-"), model)
        found.setdefault(provider, []).append(key)
    return found


def sources(plan: ModelPlan, own: Sequence[str], platform: Sequence[str] = (), **more: Any) -> Any:
    found = candidates_of(plan, offers, own_keys=keys(*own), platform_keys=keys(*platform), **more)
    return [candidate.source for candidate in found]


def plan(*items: ModelItem, excluded: Sequence[str] = ()) -> ModelPlan:
    return ModelPlan(items, frozenset(excluded))


ALL = ("openai", "azure", "openrouter", "helicone", "anthropic", "bedrock", "groq", "novita")


@pytest.mark.parametrize(
    ("asked", "own", "platform", "expected"),
    [
        # Own keys by the provider's priority, whatever the order of the keys.
        (plan(A), ("openrouter", "azure", "openai"), (),
         ["a/openai/byok", "a/azure/byok", "a/openrouter/byok"]),
        # Credits by price, then by priority.
        (plan(A), (), ALL, ["a/azure/ptb", "a/openrouter/ptb", "a/openai/ptb"]),
        # Own keys before credits.
        (plan(A), ("openrouter",), ("azure",), ["a/openrouter/byok", "a/azure/ptb"]),
        # Items never interleave, whatever the priorities.
        (plan(B, A), ("openai", "anthropic"), ("openai", "anthropic"),
         ["b/anthropic/byok", "b/anthropic/ptb", "a/openai/byok", "a/openai/ptb"]),
        # What is not for credits is not tried with them.
        (plan(B), ("bedrock",), ("bedrock",), ["b/bedrock/byok"]),
        # Without a price last.
        (plan(C), (), ALL, ["c/novita/ptb", "c/groq/ptb"]),
        # A provider that must be named is reached by its name alone.
        (plan(A), ("helicone",), (), []),
        (plan(ModelItem("a", "a", "helicone")), ("helicone", "openai"), (), ["a/helicone/byok"]),
        (plan(ModelItem("a", "a", "azure")), ALL, ALL, ["a/azure/byok", "a/azure/ptb"]),
        # Exclusions hold for the whole request, for named providers too.
        (plan(A, B, excluded=["openai"]), ("openai", "azure", "anthropic"), (),
         ["a/azure/byok", "b/anthropic/byok"]),
        (plan(ModelItem("a", "a", "azure"), excluded=["azure"]), ALL, ALL, []),
        # Unknown to the registry: own keys only.
        (plan(ModelItem("x", "", "openai")), ("openai",), ("openai",), ["x/openai/byok"]),
        (plan(ModelItem("x", "", "openai")), (), ("openai",), []),
        # A key not meant for own use.
        (plan(A), ("openai-",), (), []),
        # A key by its id, which rules credits out.
        (plan(ModelItem("a", "a", "azure", "k2")), ("azure#k1", "azure#k2"), ("azure",),
         ["a/azure/byok/k2"]),
        (plan(ModelItem("a", "a", "azure", "k9")), ("azure#k1",), ("azure",), []),
        # A key for one model serves that one, and before a key for any.
        (plan(A), ("azure#k1", "azure=a#k2"), (), ["a/azure/byok/k2"]),
        (plan(A), ("azure=z#k1",), (), []),
        (plan(A), (), ("azure=z",), []),
        # The first key of a provider.
        (plan(A), ("openai#k1", "openai#k2"), (), ["a/openai/byok/k1"]),
        (plan(A), (), (), []),
    ],
)  # fmt: skip
def test_candidates_in_order(
    asked: ModelPlan, own: Sequence[str], platform: Sequence[str], expected: list[str]
) -> None:
    assert sources(asked, own, platform) == expected


def test_providers_may_be_ruled_out_for_another_reason() -> None:
    named = plan(ModelItem("a", "a", "helicone"), A)
    assert sources(named, ALL, without=["helicone"]) == [
        "a/openai/byok", "a/azure/byok", "a/openrouter/byok",
    ]  # fmt: skip


def test_a_key_is_never_used_for_another_provider() -> None:
    wrong = {"openai": [StoredKey("anthropic")]}
    assert candidates_of(plan(A), offers, own_keys=wrong, platform_keys=wrong) == []


def test_the_providers_whose_keys_matter() -> None:
    assert providers_wanted(plan(B, A, C, excluded=["azure"]), offers) == [
        "anthropic", "bedrock", "openai", "openrouter", "groq", "novita",
    ]  # fmt: skip
    assert providers_wanted(plan(A), offers, ["openai"]) == ["azure", "openrouter"]
    assert [one.provider for one in endpoints_of(plan(B), B, offers)] == ["anthropic", "bedrock"]


def test_too_many_attempts_are_refused() -> None:
    many = plan(*[ModelItem("a", "a") for _ in range(CANDIDATES_MAX // 6 + 1)])
    with pytest.raises(Refusal, match=f"at most {CANDIDATES_MAX} are made"):
        sources(many, ALL, ALL)


# --- the body of one attempt


def candidate(online: bool = False, kind: Kind = "byok", **changes: Any) -> Candidate:
    found = endpoint("a", changes.pop("provider", "openai"), **changes)
    return Candidate(found, kind, StoredKey(found.provider), ModelItem("a", "a", online=online))


WEB = frozenset({"web"})
GPT5 = frozenset({"temperature", "top_p", "max_tokens"})


@pytest.mark.parametrize(
    ("one", "document", "expected", "dropped"),
    [
        (candidate(), {"n": 1}, {"n": 1}, ()),
        (candidate(unsupported=GPT5), {"temperature": 1, "top_p": 0, "seed": 2},
         {"seed": 2}, ("temperature", "top_p")),
        (candidate(unsupported=GPT5), {"temperature": None}, {}, ()),
        # The limit stays, by its newer name; the newer one wins.
        (candidate(unsupported=GPT5), {"max_tokens": 5}, {"max_completion_tokens": 5}, ()),
        (candidate(unsupported=GPT5), {"max_tokens": 5, "max_completion_tokens": 6},
         {"max_completion_tokens": 6}, ()),
        (candidate(), {"max_tokens": 5}, {"max_tokens": 5}, ()),
        (candidate(), {"context_editing": {"enabled": True}}, {}, ("context_editing",)),
        (candidate(provider="anthropic"), {"context_editing": 1}, {"context_editing": 1}, ()),
        (candidate(), {"prompt_id": "p", "inputs": {}, "environment": "e", "version_id": "v"},
         {}, ()),
        # Web search: asked for by plugin or name, honoured where the endpoint can.
        (candidate(plugins=WEB), {"plugins": [{"id": "web", "max_uses": 2}, {"id": "x"}]},
         {"plugins": [{"id": "web", "max_uses": 2}]}, ()),
        (candidate(online=True, plugins=WEB), {}, {"plugins": [{"id": "web"}]}, ()),
        (candidate(online=True, plugins=WEB), {"plugins": [{"id": "web", "max_uses": 2}]},
         {"plugins": [{"id": "web", "max_uses": 2}]}, ()),
        (candidate(online=True), {}, {}, ("plugins",)),
        (candidate(), {"plugins": [{"id": "web"}]}, {}, ("plugins",)),
        (candidate(), {"plugins": []}, {}, ()),
        (candidate(plugins=WEB), {"plugins": "web"}, {}, ()),
        # A stream always says what it used.
        (candidate(), {"stream": True},
         {"stream": True, "stream_options": {"include_usage": True}}, ()),
        (candidate(), {"stream": True, "stream_options": {"include_usage": False, "x": 1}},
         {"stream": True, "stream_options": {"include_usage": True, "x": 1}}, ()),
        (candidate(), {"stream": False}, {"stream": False}, ()),
    ],
)  # fmt: skip
def test_the_body_of_an_attempt(
    one: Candidate, document: dict[str, Any], expected: dict[str, Any], dropped: tuple[str, ...]
) -> None:
    before = repr(document)
    chat, left_out = chat_for(one, document, "a")
    assert chat == {"model": one.endpoint.provider_model_id, **expected}
    assert left_out == dropped
    assert repr(document) == before


@pytest.mark.parametrize(
    ("requested", "kept"),
    [("claude-4.5-sonnet,gpt-5", True), ("gemini-2.5-pro", True), ("gpt-5", False)],
)
def test_reasoning_options_are_for_claude_and_gemini(requested: str, kept: bool) -> None:
    chat, dropped = chat_for(candidate(), {"reasoning_options": {"budget_tokens": 1}}, requested)
    assert ("reasoning_options" in chat) is kept
    assert dropped == (() if kept else ("reasoning_options",))


def test_a_translated_stream_needs_no_option() -> None:
    claude = Endpoint("b", "anthropic", "claude", "anthropic")
    one = Candidate(claude, "byok", StoredKey("anthropic"), B)
    assert chat_for(one, {"stream": True}, "b")[0] == {"model": "claude", "stream": True}
