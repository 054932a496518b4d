"""Every model of genai-prices: our compiled card against its own calculation."""

from datetime import UTC, datetime, timedelta
from fractions import Fraction

from genai_prices import types
from genai_prices.data import providers

from appliance.core.price_card import cost_pico
from appliance.core.usage_types import Modality, Usage
from appliance.providers.price_data import LISTS, GenaiPrices, open_book

NOW = datetime(2026, 4, 1, 12, tzinfo=UTC)
MODELS = [(provider, model) for provider in providers for model in provider.models]
EVERYTHING = Usage(
    input=1_000,
    output=201,
    cached_input=3_003,
    write_5m=507,
    write_1h=309,
    thinking=77,
    audio=Modality(11, 7, 5),
    image=Modality(258, 13, 1_290),
    video=Modality(17, 19, 3),
    file=Modality(23, 29, 2),
    web_search=2,
)


def theirs(usage):
    """The same usage as genai-prices counts it: input holds everything sent, output everything
    received, and each narrower count is a part of the wider ones."""
    by_name = {"audio": usage.audio, "image": usage.image, "video": usage.video}
    parts = [part for part in (*by_name.values(), usage.file) if part is not None]
    cached = usage.cached_input + sum(part.cached_input for part in parts)
    written = usage.write_5m + usage.write_1h
    narrow = {
        key: count
        for name, part in by_name.items()
        if part is not None
        for key, count in {
            f"input_{name}_tokens": part.input + part.cached_input,
            f"cache_{name}_read_tokens": part.cached_input,
            f"output_{name}_tokens": part.output,
        }.items()
    }
    return types.Usage(
        input_tokens=usage.input + cached + written + sum(part.input for part in parts),
        cache_read_tokens=cached,
        cache_write_tokens=written,
        cache_write_5m_tokens=usage.write_5m,
        cache_write_1h_tokens=usage.write_1h,
        output_tokens=usage.output + usage.thinking + sum(part.output for part in parts),
        output_reasoning_tokens=usage.thinking,
        web_searches=usage.web_search,
        **narrow,
    )


def prices_of(model):
    if not isinstance(model.prices, list):
        return [model.prices]
    return [item.prices for item in model.prices]


def moments(model):
    """Times at which each of the model's prices holds, and the edges between them."""
    found = {NOW}
    for item in model.prices if isinstance(model.prices, list) else ():
        if isinstance(item.constraint, types.StartDateConstraint):
            start = item.constraint.start_date
            midnight = datetime(start.year, start.month, start.day, tzinfo=UTC)
            found |= {midnight, midnight - timedelta(microseconds=1)}
        elif item.constraint is not None:
            for edge in (item.constraint.start_time, item.constraint.end_time):
                at_edge = datetime.combine(NOW.date(), edge)
                found |= {at_edge, at_edge - timedelta(microseconds=1)}
    return sorted(found)


def usages(model):
    """Every kind of token at once, and prompts on both sides of every threshold."""
    yield EVERYTHING
    starts = {
        tier.start
        for prices in prices_of(model)
        for price in vars(prices).values()
        for tier in getattr(price, "tiers", ())
    }
    for start in starts:
        for tokens in (start, start + 1):
            part = tokens // 8
            fresh = tokens - 6 * part
            yield Usage(fresh, 900, part, part, part, 70, image=Modality(part, 2 * part, 9))
            yield Usage(input=tokens, output=1_000)


def test_compiled_prices_equal_the_lists_own_calculation_for_every_model():
    lookup = GenaiPrices()
    compared = unpriced = 0
    for provider, model in MODELS:
        offers = lookup.offers(model)
        for moment in moments(model):
            at_us = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
            card = next(offer.card for offer in offers if offer.holds(at_us))
            if card is None:
                unpriced += 1
                continue
            for usage in usages(model):
                price = model.calc_price(theirs(usage), provider, genai_request_timestamp=moment)
                expected = round(Fraction(price.total_price) * 10**12)
                assert cost_pico(card, usage) == expected, (provider.id, model.id, moment, usage)
                compared += 1
    assert compared > len(MODELS)
    assert unpriced < 80


def test_models_are_unpriced_only_where_the_list_has_nothing_that_we_count():
    lookup = GenaiPrices()
    token_keys = {"input_mtok", "output_mtok"}
    for _, model in MODELS:
        for offer, prices in zip(lookup.offers(model), reversed(prices_of(model)), strict=False):
            priced = {name for name, value in vars(prices).items() if value is not None}
            free = not priced and model.id.endswith(":free")
            assert (offer.card is None) == (not free and not priced & token_keys), model.id


def test_every_list_that_we_ask_for_exists():
    assert {name for lists in LISTS.values() for name in lists} <= {one.id for one in providers}


def test_their_input_count_includes_the_cache_and_ours_does_not():
    claude = next(model for _, model in MODELS if model.id == "claude-sonnet-4-5")
    usage = Usage(input=1_000, cached_input=10_000, write_5m=2_000, output=500)
    counted = theirs(usage)
    assert counted.input_tokens == 13_000
    assert str(claude.prices.calc_price(counted)["total_price"].normalize()) == "0.021"
    priced = open_book([]).price("anthropic", "claude-sonnet-4-5", usage, 0)
    assert priced.cost_pico == 21_000_000_000
