"""Price facts beneath the user's own: our overlay (`prices.csv`) and genai-prices' bundled list.

genai-prices is imported at the first question (≈ 0.15 s), never updates itself here and never
touches the network: only its data module and its name matching are used.
"""

import csv
import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import cache
from importlib.metadata import version as installed_version
from importlib.resources import files
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from appliance.core.money import RATE_PER_USD_EACH, RATE_PLACES, exact_units
from appliance.core.price_card import MODALITIES, Card, Rates, Tier, full_rates
from appliance.core.price_place import REGIONAL, of_everywhere
from appliance.core.price_rows import (
    TIME_MAX_US,
    TIME_MIN_US,
    PriceRow,
    parse_rows,
)
from appliance.core.prices import Offer, PriceBook, compile_book

if TYPE_CHECKING:
    from datetime import time


# Providers whose list has the same name there as here.
_SAME_NAME = """
openai anthropic azure arcee avian baseten cerebras cloudflare cohere databricks deepseek elevenlabs
fireworks github-copilot groq meta minimax mistral modal moonshotai novita openrouter ovhcloud
perplexity together voyageai zai zhipuai
"""
# Our provider id → the lists of genai-prices that hold its prices, asked in this order. The
# `huggingface_` lists are pass-through prices of the provider named behind. Not so for Nebius,
# whose cheaper and faster flavours share a name there.
LISTS: dict[str, tuple[str, ...]] = {name: (name,) for name in _SAME_NAME.split()} | {
    "google-ai-studio": ("google",),
    "vertex": ("google",),
    "bedrock": ("aws",),
    "xai": ("x-ai",),
    "moonshot": ("moonshotai",),
    "llama": ("meta",),
    "voyage": ("voyageai",),
    "zhipu": ("zhipuai", "zai"),
    "hyperbolic": ("huggingface_hyperbolic",),
    "sambanova": ("huggingface_sambanova",),
    "nscale": ("huggingface_nscale",),
    "publicai": ("huggingface_publicai",),
}
# Other names under which a record may give the provider.
ALIASES = {
    "oai": "openai",
    "google": "google-ai-studio",
    "gemini": "google-ai-studio",
    "x": "xai",
    "x-ai": "xai",
    "aws": "bedrock",
    "google-vertex": "vertex",
    "vertexai": "vertex",
    "azure-openai": "azure",
    "together-ai": "together",
    "togetherai": "together",
    "fireworks-ai": "fireworks",
    "mistralai": "mistral",
    "moonshot-ai": "moonshot",
    "voyage-ai": "voyage",
    "z-ai": "zai",
}
# A target that no provider row knows is recorded by its URL. Only the makers' own hosts are priced
# then: the same model name on somebody else's host says nothing about what they charge.
MAKER_HOSTS = (
    (re.compile(r"api\.openai\.com"), "openai"),
    (re.compile(r"(?:us|eu|au|ca|jp|in|sg|kr|gb|ae)\.api\.openai\.com"), f"openai{REGIONAL}"),
    (re.compile(r"api\.anthropic\.com"), "anthropic"),
    (re.compile(r"generativelanguage\.googleapis\.com"), "google-ai-studio"),
    (re.compile(r"(?:[a-z0-9-]+-)?aiplatform\.googleapis\.com"), "vertex"),
    (re.compile(r"bedrock-runtime(?:-fips)?\.[a-z0-9-]+\.amazonaws\.com"), "bedrock"),
    (re.compile(r"(?:[a-z0-9-]+\.)?api\.x\.ai"), "xai"),
    (re.compile(r"api\.deepseek\.com"), "deepseek"),
    (re.compile(r"api\.mistral\.ai"), "mistral"),
    (re.compile(r"api\.cohere\.(?:ai|com)"), "cohere"),
    (re.compile(r"api\.perplexity\.ai"), "perplexity"),
)
_DATE = re.compile(r"-20\d{2}-(?:0[1-9]|1[0-2])-[0-3]\d$|-20\d{2}(?:0[1-9]|1[0-2])[0-3]\d$")
# The kinds that we count, by the key under which genai-prices holds their price. The first key
# that is priced holds: a kind without its own price is counted with the wider one.
_TOKEN_KEYS: dict[str, tuple[str, ...]] = {
    "input": ("input_mtok",),
    "output": ("output_mtok",),
    "cached_input": ("cache_read_mtok", "input_mtok"),
    "write_5m": ("cache_write_5m_mtok", "cache_write_mtok", "input_mtok"),
    "write_1h": ("cache_write_1h_mtok", "cache_write_mtok", "input_mtok"),
    "thinking": ("output_reasoning_mtok", "output_mtok"),
    "file_input": ("input_mtok",),
    "file_cached_input": ("cache_read_mtok", "input_mtok"),
    "file_output": ("output_mtok",),
} | {
    key: value
    for name in MODALITIES[:-1]
    for key, value in {
        f"{name}_input": (f"input_{name}_mtok", "input_mtok"),
        f"{name}_output": (f"output_{name}_mtok", "output_mtok"),
        f"{name}_cached_input": (
            f"cache_{name}_read_mtok",
            f"input_{name}_mtok",
            "cache_read_mtok",
            "input_mtok",
        ),
    }.items()
}
_EACH_KEYS = {"web_search_each": "web_searches_kcount", "request_each": "requests_kcount"}
_EACH_PER_THOUSAND = RATE_PER_USD_EACH // 1000 // 10**RATE_PLACES


def open_book(
    user_tables: Sequence[Mapping[str, object]], *, same_prices: Mapping[str, str] | None = None
) -> PriceBook:
    """The book over the user's `[[prices]]`, our overlay and genai-prices. `same_prices` says of a
    provider of the configuration whose list it charges by. Raises PriceRowError for a bad row."""
    user_rows = parse_rows(user_tables, where="prices")
    return compile_book(
        user_rows, overlay_rows(), GenaiPrices(), provider_of=provider_names(same_prices or {})
    )


@cache
def overlay_rows() -> tuple[PriceRow, ...]:
    """`prices.csv`, whose column `why` says of each row what genai-prices lacks or has wrong."""
    text = files("appliance.providers").joinpath("prices.csv").read_text(encoding="utf-8")
    tables = [
        {name: value for name, value in line.items() if name != "why"}
        for line in csv.DictReader(text.splitlines())
    ]
    return parse_rows(tables, where="prices.csv")


def provider_names(same_prices: Mapping[str, str]) -> Callable[[str], str]:
    """A function from the provider of a record (id, alias or URL) to the id that prices use."""
    same = {name.lower(): value.lower() for name, value in same_prices.items()}

    def provider_of(written: str) -> str:
        name = written.strip().lower()
        name = same.get(name, name)
        if "://" in name or "." in name:
            return _maker_of_host(name)
        return ALIASES.get(name, name)

    return provider_of


class GenaiPrices:
    """genai-prices' bundled list as offers. Models are found by its own matching, in the lists of
    the one provider asked for."""

    def __init__(self) -> None:
        self.version = installed_version("genai-prices")
        self.source = f"genai-prices {self.version}"

    def __call__(self, provider: str, names: Sequence[str]) -> Sequence[Offer]:
        lists = LISTS.get(of_everywhere(provider))
        if lists is None:
            return ()
        for name in (*names, *_undated(names)):
            for provider_list in lists:
                model = _find(provider_list, name)
                if model is not None:
                    return self.offers(model)
        return ()

    def offers(self, model: Any) -> list[Offer]:  # noqa: ANN401 - genai_prices.types.ModelInfo
        """All prices of one model, in the order in which the first that holds is the one."""
        if not isinstance(model.prices, list):
            return [Offer(card_of(model.prices, model.id), self.source)]
        offers = [
            self._offer(card_of(item.prices, model.id), item.constraint)
            for item in reversed(model.prices)
        ]
        if model.prices:
            # Theirs falls back on the first price when none of the conditions is met.
            offers.append(Offer(card_of(model.prices[0].prices, model.id), self.source))
        return offers

    def _offer(self, card: Card | None, constraint: Any) -> Offer:  # noqa: ANN401
        from_us, day = TIME_MIN_US, None
        if (start := getattr(constraint, "start_date", None)) is not None:
            from_us = (start.toordinal() - _EPOCH_DAY) * 86_400_000_000
        if (begins := getattr(constraint, "start_time", None)) is not None:
            day = (_moment_us(begins), _moment_us(constraint.end_time))
        return Offer(card, self.source, from_us, TIME_MAX_US, day)


def card_of(prices: Any, model_id: str = "") -> Card | None:  # noqa: ANN401 - types.ModelPrice
    """One price of genai-prices as integers. None where it has no price per token or request: it
    charges by what we do not count (seconds, pages, characters), or lists nothing at all, which
    means free only where the name says so."""
    priced = {name: value for name, value in vars(prices).items() if value is not None}
    if not priced and model_id.endswith(":free"):
        return Card(full_rates({}))
    if "input_mtok" not in priced and "output_mtok" not in priced:
        return None
    starts = {tier.start for value in priced.values() for tier in getattr(value, "tiers", ())}
    # Their tiers begin above `start`, ours at the threshold.
    tiers = [Tier(start + 1, _rates(priced, start + 1)) for start in sorted(starts, reverse=True)]
    return Card(_rates(priced, 0), tuple(tiers))


def _rates(priced: Mapping[str, Any], tokens: int) -> Rates:
    per_token = {
        kind: next((_units(priced[key], tokens) for key in keys if key in priced), 0)
        for kind, keys in _TOKEN_KEYS.items()
    }
    each = {
        kind: _units(priced[key], tokens) * _EACH_PER_THOUSAND
        for kind, key in _EACH_KEYS.items()
        if key in priced
    }
    return Rates(**per_token, **each)


def _units(price: Any, tokens: int) -> int:  # noqa: ANN401 - Decimal or types.TieredPrices
    if not isinstance(price, Decimal):
        holding = [tier.price for tier in price.tiers if tokens > tier.start]
        price = holding[-1] if holding else price.base
    return exact_units(price, RATE_PLACES)


def _find(provider_list: str, name: str) -> Any:  # noqa: ANN401 - types.ModelInfo or None
    provider = _providers().get(provider_list)
    if provider is None:
        return None
    # Not through the package's own snapshot, which remembers every name it was ever asked for.
    return provider.find_model(name, all_providers=list(_providers().values()))


def load_lists() -> None:
    """What the first price takes 120 ms for, done beforehand, in a thread."""
    _providers()


@cache
def _providers() -> dict[str, Any]:
    from genai_prices.data import providers

    return {provider.id: provider for provider in providers}


def _undated(names: Sequence[str]) -> list[str]:
    """A dated name that is not listed costs what its undated one does. Fine-tunes have their own
    prices, and are never taken for their base model."""
    return [
        _DATE.sub("", name) for name in names if _DATE.search(name) and not name.startswith("ft:")
    ]


def _maker_of_host(written: str) -> str:
    try:
        host = urlsplit(written if "://" in written else f"//{written}").hostname or ""
    except ValueError:
        return written
    for pattern, provider in MAKER_HOSTS:
        if pattern.fullmatch(host):
            return provider
    return written


def _moment_us(moment: "time") -> int:
    offset = moment.utcoffset()
    seconds = moment.hour * 3600 + moment.minute * 60 + moment.second
    shift = int(offset.total_seconds()) if offset else 0
    return ((seconds - shift) % 86_400) * 1_000_000 + moment.microsecond


_EPOCH_DAY = 719_163  # date(1970, 1, 1).toordinal()
