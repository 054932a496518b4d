"""What one model costs: integer rates, tiers, and the one sum that prices a request.

Pure numbers (`backend.md 5.3`); which card belongs to which model is decided in prices.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from fractions import Fraction

from appliance.core.money import RATE_UNITS_PER_PICO, round_half_even, scale_exactly
from appliance.core.usage_types import Modality, Usage

MODALITIES = ("audio", "image", "video", "file")
# What a tier's threshold is compared with, and what follows the tier found:
#   prompt            everything sent: text, cached, cache writes, every modality
#   input_and_cached  the same without cache writes
#   own               uncached input decides all rates but the cached one, cached tokens that one
COMPARED = ("prompt", "input_and_cached", "own")


@dataclass(frozen=True, slots=True)
class Rates:
    """Per-token (or per-thing) rates in units of 10⁻²⁴ USD, every fall-back already resolved."""

    input: int
    output: int
    cached_input: int
    write_5m: int
    write_1h: int
    thinking: int
    audio_input: int
    audio_cached_input: int
    audio_output: int
    image_input: int
    image_cached_input: int
    image_output: int
    video_input: int
    video_cached_input: int
    video_output: int
    file_input: int
    file_cached_input: int
    file_output: int
    web_search_each: int = 0
    request_each: int = 0


RATE_NAMES = tuple(field.name for field in fields(Rates))
EACH_NAMES = ("web_search_each", "request_each")


@dataclass(frozen=True, slots=True)
class Tier:
    """Rates that hold from `threshold` compared tokens on, the threshold included."""

    threshold: int
    rates: Rates


@dataclass(frozen=True, slots=True)
class Card:
    """A price list of one model; `tiers` from the highest threshold down."""

    base: Rates
    tiers: tuple[Tier, ...] = ()
    compared: str = "prompt"


def cost_pico(card: Card, usage: Usage) -> int:
    """The exact sum of tokens × rates, rounded once, half to even."""
    rates = card.base
    cached_rate = rates.cached_input
    if card.tiers:
        rates, cached_rate = _tier_rates(card, usage)
    units = (
        usage.input * rates.input
        + usage.output * rates.output
        + usage.cached_input * cached_rate
        + usage.write_5m * rates.write_5m
        + usage.write_1h * rates.write_1h
        + usage.thinking * rates.thinking
        + usage.web_search * rates.web_search_each
        + usage.requests * rates.request_each
    )
    if usage.audio is not None:
        units += _modality(
            usage.audio, rates.audio_input, rates.audio_cached_input, rates.audio_output
        )
    if usage.image is not None:
        units += _modality(
            usage.image, rates.image_input, rates.image_cached_input, rates.image_output
        )
    if usage.video is not None:
        units += _modality(
            usage.video, rates.video_input, rates.video_cached_input, rates.video_output
        )
    if usage.file is not None:
        units += _modality(usage.file, rates.file_input, rates.file_cached_input, rates.file_output)
    return round_half_even(units, RATE_UNITS_PER_PICO)


def full_rates(named: Mapping[str, int]) -> Rates:
    """A base price from the rates that are named (`backend.md 5.3`): a cache rate that is missing
    is the input rate, thinking is output, a modality is text with text's cache multiplier."""
    text_input, text_output = named.get("input", 0), named.get("output", 0)
    cached = named.get("cached_input", text_input)
    every = {
        "input": text_input,
        "output": text_output,
        "cached_input": cached,
        "write_5m": named.get("write_5m", text_input),
        "write_1h": named.get("write_1h", text_input),
        "thinking": named.get("thinking", text_output),
    }
    for name in MODALITIES:
        own_input = named.get(f"{name}_input", text_input)
        every[f"{name}_input"] = own_input
        every[f"{name}_output"] = named.get(f"{name}_output", text_output)
        every[f"{name}_cached_input"] = named.get(
            f"{name}_cached_input", _by_ratio(own_input, cached, text_input)
        )
    return Rates(**every, **{name: named.get(name, 0) for name in EACH_NAMES})


def tier_rates(lower: Rates, named: Mapping[str, int]) -> Rates:
    """A higher tier: what it does not name it inherits from the next lower one. So cache writes,
    thinking and modalities keep the base rate unless the row says otherwise (`backend.md 5.3`);
    the cached rate follows the tier's input rate by the same multiplier."""
    changed = dict(named)
    if "input" in named and "cached_input" not in named:
        changed["cached_input"] = _by_ratio(named["input"], lower.cached_input, lower.input)
    return replace(lower, **changed)


def discounted(card: Card, factor: Fraction) -> Card:
    """Every rate of the card times `factor`."""
    if factor == 1:
        return card
    tiers = tuple(Tier(tier.threshold, _times(tier.rates, factor)) for tier in card.tiers)
    return Card(_times(card.base, factor), tiers, card.compared)


def with_rates(card: Card, named: Mapping[str, int]) -> Card:
    """The card with some rates replaced, in every tier."""
    tiers = tuple(Tier(tier.threshold, replace(tier.rates, **named)) for tier in card.tiers)
    return Card(replace(card.base, **named), tiers, card.compared)


def _tier_rates(card: Card, usage: Usage) -> tuple[Rates, int]:
    """The tier that holds, and the rate of cached text, which may come from another one."""
    fresh, cached = usage.input, usage.cached_input
    for modality in (usage.audio, usage.image, usage.video, usage.file):
        if modality is not None:
            fresh += modality.input
            cached += modality.cached_input
    if card.compared == "own":
        return _at(card, fresh), _at(card, cached).cached_input
    written = usage.write_5m + usage.write_1h if card.compared == "prompt" else 0
    rates = _at(card, fresh + cached + written)
    return rates, rates.cached_input


def _at(card: Card, tokens: int) -> Rates:
    for tier in card.tiers:
        if tokens >= tier.threshold:
            return tier.rates
    return card.base


def _modality(tokens: Modality, input_rate: int, cached_rate: int, output_rate: int) -> int:
    return (
        tokens.input * input_rate + tokens.cached_input * cached_rate + tokens.output * output_rate
    )


def _by_ratio(rate: int, part: int, whole: int) -> int:
    """`rate` × part / whole; a free whole has no multiplier, which counts as 1."""
    return rate if whole == 0 else scale_exactly(rate, Fraction(part, whole))


def _times(rates: Rates, factor: Fraction) -> Rates:
    return Rates(**{name: scale_exactly(getattr(rates, name), factor) for name in RATE_NAMES})
