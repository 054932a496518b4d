"""The model registry: which models the gateway knows, where each is served, its limits and price.

Facts lie in `registry.csv` (a line for a model at a provider) and `registry_models.csv` (maker,
date, what goes in and comes out by the maker's page, other names). What a call costs is the price
book's word; the rates here put attempts in order, and are a price where no list has one.
"""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any, Final

from appliance.core.attempts import PRICE_UNKNOWN, Endpoint
from appliance.core.model_grammar import ModelItem, parse_models
from appliance.core.money import RATE_PLACES, exact_units
from appliance.core.price_card import Card
from appliance.core.price_rows import parse_rows
from appliance.errors import Refusal
from appliance.providers.table import Provider, ProviderTable

REGISTRY: Final = "registry.csv"
MODELS: Final = "registry_models.csv"
CARDS_MAX: Final = 1024
# What a model is dated that its maker has not dated: the day these facts were gathered.
GATHERED: Final = "2026-07-21"
# Lower comes first among own keys, and among equal prices (proxy.md 6.5).
PRIORITIES: Final[Mapping[str, int]] = {
    "helicone": 2, "anthropic": 3, "openai": 3, "google-ai-studio": 5, "openrouter": 10,
}  # fmt: skip
PRIORITY_OF_MOST: Final = 4
# What a tier's threshold is compared with, where it is not the whole prompt (backend.md 5.3).
COMPARED: Final[Mapping[str, str]] = {
    "google-ai-studio": "input_and_cached", "xai": "input_and_cached", "vertex": "own",
}  # fmt: skip
# Parameters that whole families refuse.
REFUSED: Final[Mapping[str, str]] = {
    "@reasoning": (
        "temperature top_p presence_penalty frequency_penalty logprobs top_logprobs logit_bias"
        " max_tokens"
    ),
    "@penalties": "presence_penalty frequency_penalty top_logprobs logit_bias max_tokens",
}
# The format of a model that is not registered, by its provider's dialect.
WIRE_FORMATS: Final[Mapping[str, str]] = {"anthropic": "anthropic", "gemini": "google"}
# Who speaks OpenAI's Responses and no chat.
RESPONSES_ONLY: Final = frozenset({"perplexity"})
CLAUDE: Final = "claude"
MEDIA: Final = frozenset({"text", "image", "audio", "video"})


@dataclass(frozen=True, slots=True)
class Model:
    """A model as the registry lists it; `inputs` and `outputs` are of `MEDIA`."""

    name: str
    maker: str
    created_s: int
    endpoints: tuple[Endpoint, ...]
    inputs: frozenset[str]
    outputs: frozenset[str]

    @property
    def multimodal(self) -> bool:
        """Whether more than one kind goes in or comes out."""
        return len(self.inputs) > 1 or len(self.outputs) > 1


class ModelRegistry:
    """Models by every name they go by. It is the catalog of the gateway's model string, and offers
    the endpoints of its items."""

    def __init__(self, providers: ProviderTable) -> None:
        self._providers = providers
        self.models: dict[str, Model] = {}
        self._names: dict[str, str] = {}
        self._ids: dict[tuple[str, str], Endpoint] = {}
        endpoints: dict[str, list[Endpoint]] = {}
        for endpoint in map(_endpoint, registry_lines(REGISTRY)):
            endpoints.setdefault(endpoint.model, []).append(endpoint)
        lines = registry_lines(MODELS)
        for line in lines:
            name, date = line["model"], line["released"] or GATHERED
            created_s = int(datetime.fromisoformat(date).replace(tzinfo=UTC).timestamp())
            inputs, outputs = (frozenset(line[way].split()) for way in ("inputs", "outputs"))
            assert inputs, name
            assert outputs, name
            assert inputs | outputs <= MEDIA, name
            self.models[name] = Model(
                name, line["maker"], created_s, tuple(endpoints.pop(name)), inputs, outputs
            )
        assert not endpoints, "every endpoint belongs to a listed model"
        # A model's own name comes before its other names, and those before what providers call it:
        # of two models with one id, the one listed first is meant.
        for model in self.models:
            self._names[model] = model
        for line in lines:
            for other in line["names"].split():
                self._names.setdefault(other.lower(), line["model"])
        for found in self.models.values():
            for endpoint in found.endpoints:
                name = endpoint.provider_model_id.lower()
                self._names.setdefault(name, found.name)
                self._ids.setdefault((endpoint.provider, name), endpoint)

    def model_of(self, name: str) -> str:
        """The registry's name of a model, or "" for an unknown one."""
        return self._names.get(name) or self._names.get(name.lower(), "")

    def provider_of(self, name: str) -> str:
        """The id of a provider by id or alias, or ""."""
        row = self._providers.by_id(name)
        return row.id if row is not None else ""

    def serves(self, model: str, provider: str) -> bool:
        return self.endpoint(model, provider) is not None

    def endpoint(self, name: str, provider: str) -> Endpoint | None:
        """A model, by any of its names, at one provider; what that provider calls it is one."""
        found = self.models.get(self.model_of(name))
        endpoints = found.endpoints if found is not None else ()
        return next(
            (one for one in endpoints if one.provider == provider),
            self._ids.get((provider, name.lower())),
        )

    def offers(self, item: ModelItem) -> Sequence[Endpoint]:
        """The endpoints of an item of the model string: all of its model, the one of the provider
        it names, or one that is made up for a name that is not registered there."""
        if not item.provider:
            return self.models[item.model].endpoints
        found = self.endpoint(item.name, item.provider)
        return (found or unregistered(self._providers.rows[item.provider], item.name),)

    def context_tokens(self, item: ModelItem) -> int:
        """The context of an item: the largest of the places where it may go; 0 if unknown."""
        return max((one.context_tokens for one in self.offers(item)), default=0)

    def context_of(self, name: str) -> int:
        """The context of one item of a model string in tokens; 0 where that is not known."""
        try:
            (item, *_) = parse_models(name, self).items
        except Refusal:
            return 0
        return self.context_tokens(item)

    def listed(self, *, multimodal: bool = False) -> list[dict[str, Any]]:
        """The entries of `GET /v1/models`: what a name alone can reach (proxy.md 6.3), or of them
        those of `GET /v1/models/multimodal`."""
        return [
            {
                "id": model.name,
                "object": "model",
                "created": model.created_s,
                "owned_by": model.maker,
            }
            for model in self.models.values()
            if not all(endpoint.explicit for endpoint in model.endpoints)
            and (model.multimodal or not multimodal)
        ]


def unregistered(row: Provider, name: str) -> Endpoint:
    """What can be said of a name that only its provider knows: where it goes and how to speak."""
    claude = CLAUDE in name.lower()
    if row.dialect == "vertex":
        wire_format = "anthropic" if claude else "google"
    elif row.dialect == "bedrock":
        wire_format = "anthropic" if claude else "bedrock"
    elif row.id in RESPONSES_ONLY:
        wire_format = "responses"
    else:
        wire_format = WIRE_FORMATS.get(row.dialect, "openai")
    return Endpoint(name, row.id, name, wire_format, priority=priority_of(row.id), registered=False)


def priority_of(provider: str) -> int:
    return PRIORITIES.get(provider, PRIORITY_OF_MOST)


@lru_cache(maxsize=CARDS_MAX)
def card_of(provider: str, provider_model_id: str) -> Card | None:
    """The registry's own rates of what a provider calls so; None where it has none."""
    line = _lines_by_id().get((provider, provider_model_id.lower()))
    if line is None:
        return None
    table = {
        "model": provider_model_id,
        **_rates(line),
        "tiers": line["tiers"],
        "compared": COMPARED.get(provider, ""),
    }
    (row,) = parse_rows([table], where=REGISTRY)
    assert isinstance(row.price, Card), "rates begin with input"
    return row.price


@cache
def _lines_by_id() -> dict[tuple[str, str], dict[str, str]]:
    """The first line of each id that has rates."""
    lines = [line for line in registry_lines(REGISTRY) if line["rates"]]
    return {(line["provider"], line["id"].lower()): line for line in reversed(lines)}


def _endpoint(line: Mapping[str, str]) -> Endpoint:
    refused = (REFUSED.get(word, word) for word in line["refuses"].split())
    rates = _rates(line)
    order = sum(exact_units(rates[name], RATE_PLACES) for name in ("input", "output") if rates)
    return Endpoint(
        line["model"],
        line["provider"],
        line["id"],
        line["wire"],
        context_tokens=int(line["context"]),
        max_output_tokens=int(line["output"]),
        priority=priority_of(line["provider"]),
        pass_through=line["credits"] == "yes",
        explicit=line["named_only"] == "yes",
        plugins=frozenset(line["plugins"].split()),
        unsupported=frozenset(" ".join(refused).split()),
        price_order=order if rates else PRICE_UNKNOWN,
    )


def _rates(line: Mapping[str, str]) -> dict[str, str]:
    return dict(part.partition("=")[::2] for part in line["rates"].split())


def registry_lines(name: str) -> list[dict[str, str]]:
    """A table of facts as it lies in the package."""
    text = files("appliance.providers").joinpath(name).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))
