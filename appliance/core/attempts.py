"""Which calls a gateway request may make, in which order, and what each is sent (proxy.md 6.5).

Pure: the model plan, the registry's endpoints and the keys at hand go in, candidates come out. How
a failed one is reported, and whether the next is tried, is in attempt_errors.py.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from appliance.core.model_grammar import ModelItem, ModelPlan
from appliance.errors import Refusal

CANDIDATES_MAX: Final = 128
# No endpoint without a price comes before one with a price.
PRICE_UNKNOWN: Final = 10**30
WEB: Final = "web"
REASONING_WORDS: Final = ("claude", "gemini")
PROMPT_FIELDS: Final = ("prompt_id", "version_id", "environment", "inputs")

Kind = Literal["byok", "ptb"]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One model at one provider, as the registry has it. `registered` False: only the name that
    the client gave is known, so there are no limits and no price. 0 stands for an unknown limit.
    `price_order` compares endpoints: input and output of the first tier together."""

    model: str
    provider: str
    provider_model_id: str
    wire_format: str
    context_tokens: int = 0
    max_output_tokens: int = 0
    priority: int = 4
    pass_through: bool = False
    explicit: bool = False
    plugins: frozenset[str] = frozenset()
    unsupported: frozenset[str] = frozenset()
    price_order: int = PRICE_UNKNOWN
    registered: bool = True


@dataclass(frozen=True, slots=True)
class StoredKey:
    """What the plan must know of a provider's key; the secret is none of it. `model`: the key is
    for this model alone, as an Azure deployment's. A key of the environment has no id."""

    provider: str
    key_id: str = ""
    byok_enabled: bool = True
    model: str = ""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One call that may be made: `byok` with the organisation's own key, `ptb` with the platform's
    and the organisation's credits."""

    endpoint: Endpoint
    kind: Kind
    key: StoredKey
    item: ModelItem

    @property
    def source(self) -> str:
        """As the aggregate error names it (proxy.md 6.6)."""
        own = f"/{self.key.key_id}" if self.kind == "byok" and self.key.key_id else ""
        return f"{self.endpoint.model}/{self.endpoint.provider}/{self.kind}{own}"


Keys = Mapping[str, Sequence[StoredKey]]
Offers = Callable[[ModelItem], Sequence[Endpoint]]


def endpoints_of(
    plan: ModelPlan, item: ModelItem, offers: Offers, without: Iterable[str] = ()
) -> list[Endpoint]:
    """Where an item can be served: the provider it names, else all that need not be named.
    Exclusions hold for the whole request. `without` are providers ruled out for another reason."""
    ruled_out = plan.excluded.union(without)
    return [
        endpoint
        for endpoint in offers(item)
        if endpoint.provider not in ruled_out and (item.provider or not endpoint.explicit)
    ]


def providers_wanted(plan: ModelPlan, offers: Offers, without: Iterable[str] = ()) -> list[str]:
    """The providers whose keys decide about this plan, each once, in order."""
    ruled_out = tuple(without)
    return list(
        dict.fromkeys(
            endpoint.provider
            for item in plan.items
            for endpoint in endpoints_of(plan, item, offers, ruled_out)
        )
    )


def candidates_of(
    plan: ModelPlan,
    offers: Offers,
    *,
    own_keys: Keys,
    platform_keys: Keys,
    without: Iterable[str] = (),
) -> list[Candidate]:
    """All calls in the order in which they are tried; empty where no key serves any item.

    Items never interleave. Within one: own keys by provider priority, then credits by price and
    priority. Raises Refusal for a plan that asks for too many.
    """
    ruled_out = tuple(without)
    found: list[Candidate] = []
    for item in plan.items:
        endpoints = endpoints_of(plan, item, offers, ruled_out)
        own = [
            Candidate(endpoint, "byok", key, item)
            for endpoint in endpoints
            if (key := _own_key(endpoint, item, own_keys)) is not None
        ]
        credits = [
            Candidate(endpoint, "ptb", key, item)
            for endpoint in endpoints
            if (key := _platform_key(endpoint, item, platform_keys)) is not None
        ]
        found += sorted(own, key=lambda one: one.endpoint.priority)
        found += sorted(credits, key=lambda one: (one.endpoint.price_order, one.endpoint.priority))
    if len(found) > CANDIDATES_MAX:
        raise Refusal(
            400, "model_invalid",
            f"Invalid model: it asks for {len(found)} attempts, at most {CANDIDATES_MAX} are made;"
            " name fewer models, or their providers.",
        )  # fmt: skip
    return found


def equals_among(candidates: Sequence[Candidate]) -> list[list[int]]:
    """Indexes of calls between which neither the client's word, nor priority, nor price decides:
    of one item, both with own keys or both with credits. Groups of two and more."""
    if len(candidates) < 2:
        return []
    groups: dict[tuple[int, Kind, int, int], list[int]] = {}
    for index, one in enumerate(candidates):
        endpoint = one.endpoint
        key = id(one.item), one.kind, endpoint.priority, endpoint.price_order
        groups.setdefault(key, []).append(index)
    return [group for group in groups.values() if len(group) > 1]


def _own_key(endpoint: Endpoint, item: ModelItem, keys: Keys) -> StoredKey | None:
    """The key that the item names, else the first for this model, else the first for any."""
    usable = [
        key
        for key in keys.get(endpoint.provider, ())
        if key.byok_enabled
        and key.provider == endpoint.provider
        and key.model in ("", endpoint.model)
        and (not item.key_id or key.key_id == item.key_id)
    ]
    return next((key for key in usable if key.model), usable[0] if usable else None)


def _platform_key(endpoint: Endpoint, item: ModelItem, keys: Keys) -> StoredKey | None:
    """Credits serve what is registered for them, and never an item that names a key of its own."""
    if not endpoint.pass_through or not endpoint.registered or item.key_id:
        return None
    return next(
        (
            key
            for key in keys.get(endpoint.provider, ())
            if key.provider == endpoint.provider and key.model in ("", endpoint.model)
        ),
        None,
    )


def chat_for(
    candidate: Candidate, document: Mapping[str, Any], requested: str
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """A Chat Completions body made ready for one candidate, and the names of what was taken out of
    it for this model. `requested` is the whole model string of the client.

    Values are shared with `document`, which is not changed.
    """
    endpoint = candidate.endpoint
    chat = {name: value for name, value in document.items() if name not in PROMPT_FIELDS}
    chat["model"] = endpoint.provider_model_id
    dropped: list[str] = []
    if "max_tokens" in endpoint.unsupported and "max_tokens" in chat:
        # The same limit under its newer name: to drop it would lift it.
        limit = chat.pop("max_tokens")
        chat.setdefault("max_completion_tokens", limit)
    for name in endpoint.unsupported:
        if chat.pop(name, None) is not None:
            dropped.append(name)
    if endpoint.provider != "anthropic" and chat.pop("context_editing", None) is not None:
        dropped.append("context_editing")
    if "reasoning_options" in chat and not any(word in requested for word in REASONING_WORDS):
        del chat["reasoning_options"]
        dropped.append("reasoning_options")
    plugins = _plugins(chat.pop("plugins", None), online=candidate.item.online)
    if plugins and WEB in endpoint.plugins:
        chat["plugins"] = plugins
    elif plugins:
        dropped.append("plugins")
    if endpoint.wire_format == "openai":
        chat = with_usage(chat)
    return chat, tuple(sorted(dropped))


def with_usage(body: dict[str, Any]) -> dict[str, Any]:
    """A body in OpenAI's format whose stream, if it asks for one, tells what it used."""
    if body.get("stream") is not True:
        return body
    options = body.get("stream_options")
    options = options if isinstance(options, dict) else {}
    return {**body, "stream_options": {**options, "include_usage": True}}


def _plugins(given: object, *, online: bool) -> list[dict[str, Any]]:
    """The web plugin, the only one there is; `:online` asks for it where the body does not."""
    listed = given if isinstance(given, list) else []
    web = [one for one in listed if isinstance(one, dict) and one.get("id") == WEB][:1]
    return web or ([{"id": WEB}] if online else [])
