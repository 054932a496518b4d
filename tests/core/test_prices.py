"""The price book over rows written here; tests/providers/test_price_data.py has the real lists."""

from datetime import UTC, date, datetime
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.core import prices
from appliance.core.money import usd_text
from appliance.core.price_rows import parse_rows
from appliance.core.prices import Offer, compile_book
from appliance.core.usage_types import Modality, Priced, Usage

NOW_US = 1_760_000_000_000_000  # 2025-10-09T08:53:20Z
SONNET = {
    "provider": "anthropic",
    "model": "claude-4.5-sonnet",
    "input": "3",
    "output": "15",
    "cached_input": "0.3",
    "write_5m": "3.75",
    "write_1h": "6",
    "tiers": [{"from_tokens": 200_000, "input": 6, "output": 22.5}],
}


def book_of(*tables, overlay=(), lookup=None):
    return compile_book(
        parse_rows(tables, where="prices"), parse_rows(overlay, where="prices.csv"), lookup
    )


def usd(table, usage, provider="p", at_us=NOW_US):
    table = {"provider": provider, "model": "m", **table}
    priced = book_of(table).price(provider, table["model"], usage, at_us)
    assert priced.cost_pico is not None
    return usd_text(priced.cost_pico)


def at(text):
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1_000_000


class Listed:
    """A list beneath that knows one model of one provider at 1 USD in and 2 out, 200k tier at 4."""

    version = "9"

    def __init__(self, *offers):
        self.asked = []
        row = {"model": "m", "input": 1, "output": 2, "tiers": "200001 input=4 output=8"}
        card = parse_rows([row], where="x")[0].price
        self.offers = offers or (Offer(card, "list 9"),)

    def __call__(self, provider, names):
        self.asked.append((provider, names))
        return self.offers if provider == "p" and "m" in names else ()


# --- the formula (backend.md 5.3)


def test_worked_check_of_the_formula():
    usage = Usage(input=1_000, cached_input=10_000, write_5m=2_000, output=500)
    assert usd(SONNET, usage, "anthropic") == "0.021"


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (Usage(input=199_999), "0.599997"),
        (Usage(input=200_000), "1.2"),
        (Usage(input=100_000, cached_input=99_999, output=1_000), "0.3449997"),
        # the cached rate follows its tier's input by the same multiplier: 0.1 × 6
        (Usage(input=100_000, cached_input=100_000, output=1_000), "0.6825"),
        # writes count against the threshold but keep the base rate
        (Usage(input=100_000, write_5m=60_000, write_1h=40_000), "1.065"),
        # so does thinking: base output
        (Usage(input=200_000, thinking=1_000), "1.215"),
    ],
)
def test_a_tier_begins_at_its_threshold(usage, expected):
    assert usd(SONNET, usage, "anthropic") == expected


@pytest.mark.parametrize(
    ("compared", "usage", "expected"),
    [
        ("prompt", Usage(input=50, cached_input=30, write_5m=20), "0.00091"),
        ("input_and_cached", Usage(input=50, cached_input=30, write_5m=20), "0.000073"),
        ("input_and_cached", Usage(input=50, cached_input=50), "0.00055"),
        ("own", Usage(input=99, cached_input=99), "0.0001089"),
        ("own", Usage(input=99, cached_input=100), "0.000199"),
        ("own", Usage(input=100, cached_input=99), "0.0010099"),
        ("prompt", Usage(input=50, image=Modality(input=30, cached_input=20)), "0.000532"),
    ],
)
def test_what_is_compared_is_a_matter_of_the_row(compared, usage, expected):
    row = {"input": 1, "output": 2, "cached_input": "0.1", "tiers": "100 input=10", "write_5m": 1}
    if compared == "prompt" and usage.write_5m:
        row["write_5m"] = "19"
    assert usd({**row, "compared": compared}, usage) == expected


def test_higher_tiers_inherit_from_the_next_lower_one():
    row = {
        "input": 1,
        "output": 10,
        "tiers": [{"from_tokens": 100, "input": 2, "output": 20}, {"from_tokens": 200, "input": 4}],
    }
    assert usd(row, Usage(input=200, output=100)) == "0.0028"


@pytest.mark.parametrize(
    ("row", "usage", "expected"),
    [
        ({"input": 2}, Usage(cached_input=10**6), "2"),
        ({"input": 2}, Usage(write_5m=10**6, write_1h=10**6), "4"),
        ({"input": 2, "output": 8}, Usage(thinking=10**6), "8"),
        ({"input": 2, "output": 8, "thinking": 3}, Usage(thinking=10**6, output=10**6), "11"),
        ({"input": 2, "output": 8}, Usage(audio=Modality(10**6, 10**6, 10**6)), "12"),
        ({"input": 2, "cached_input": 0.5}, Usage(image=Modality(0, 10**6, 0)), "0.5"),
        (
            {"input": 2, "cached_input": 0.5, "audio_input": 40},
            Usage(audio=Modality(0, 10**6, 0)),
            "10",
        ),
        (
            {"input": 2, "audio_input": 40, "audio_cached_input": 1, "audio_output": 80},
            Usage(audio=Modality(10**6, 10**6, 10**6)),
            "121",
        ),
        ({"input": 0, "image_output": 120}, Usage(image=Modality(5, 5, 1_290)), "0.1548"),
        ({"input": 1, "video_input": 3, "file_input": 4}, Usage(video=Modality(10**6)), "3"),
        ({"input": 1, "video_input": 3, "file_input": 4}, Usage(file=Modality(10**6)), "4"),
        ({"input": 1, "web_search_each": "0.01"}, Usage(web_search=3), "0.03"),
        ({"input": 1, "request_each": "0.005"}, Usage(input=1_000), "0.006"),
        ({"input": 1, "request_each": "0.005"}, Usage(requests=3), "0.015"),
        ({"input": 1, "cache_write": "1.25"}, Usage(write_5m=10**6, write_1h=10**6), "2.5"),
        (
            {"input": 1, "cache_write": 1, "cache_write_1h": 2, "web_search": 3, "per_request": 4},
            Usage(write_1h=10**6, web_search=1),
            "9",
        ),
        ({"input": "0.0000015", "discount": "0.5"}, Usage(input=1), "0.000000000001"),
        ({"input": 3, "output": 15, "discount": 0.85}, Usage(input=10**6, output=10**6), "15.3"),
    ],
)
def test_fall_backs_and_extras(row, usage, expected):
    assert usd(row, usage) == expected


@pytest.mark.parametrize(
    ("name", "row", "usage", "expected"),
    [
        (
            "Gemini with an image and cached text",
            {"input": "0.3", "output": "2.5", "cached_input": "0.075", "image_output": 30},
            Usage(input=700, cached_input=4_000, output=20, image=Modality(258, 0, 1_290)),
            "0.0393374",
        ),
        (
            "xAI: text tokens, completion, and reasoning beside it",
            {"input": "0.2", "output": "0.5", "cached_input": "0.05", "web_search_each": "0.025"},
            Usage(input=120, cached_input=80, output=50, thinking=300, web_search=2),
            "0.050203",
        ),
        (
            "Groq stream",
            {"input": "0.59", "output": "0.79"},
            Usage(input=45, output=102),
            "0.00010713",
        ),
        (
            "Responses stream with reasoning and a cached prefix",
            {"input": "1.25", "output": 10, "cached_input": "0.125", "web_search_each": "0.01"},
            Usage(input=476, cached_input=1_024, output=88, thinking=192, web_search=1),
            "0.013523",
        ),
    ],
)
def test_vectors_of_single_dialects(name, row, usage, expected):
    assert usd(row, usage) == expected, name


def test_rounding_happens_once_and_half_to_even():
    # three parts of 0.5 pico each are 1.5, which is 2, not three zeros
    row = {"input": "0.0000005", "output": "0.0000005", "cached_input": "0.0000005"}
    assert usd(row, Usage(input=1, output=1, cached_input=1)) == "0.000000000002"
    assert usd(row, Usage(input=1)) == "0"


RATE = st.decimals("0", "1000", places=12, allow_nan=False, allow_infinity=False)
TOKENS = st.integers(0, 10**9)


@given(RATE, RATE, RATE, TOKENS, TOKENS, TOKENS)
def test_the_sum_is_exact(input_rate, output_rate, cached_rate, fresh, output, cached):
    row = {
        "model": "m",
        "input": input_rate,
        "output": str(output_rate),
        "cached_input": cached_rate,
    }
    usage = Usage(input=fresh, output=output, cached_input=cached)
    exact = (
        Fraction(input_rate) * fresh
        + Fraction(output_rate) * output
        + Fraction(cached_rate) * cached
    ) * 10**6
    assert book_of(row).price("p", "m", usage, NOW_US).cost_pico == round(exact)


# --- which price holds


def test_an_unknown_price_is_none_and_never_zero():
    book = book_of(SONNET)
    unknown = Priced(None, "none", book.version)
    assert book.price("anthropic", "claude-unheard-of", Usage(input=5), NOW_US) == unknown
    assert book.price("openai", "claude-4.5-sonnet", Usage(input=5), NOW_US) == unknown
    assert book.price("anthropic", "", Usage(input=5), NOW_US) == unknown
    assert book.price("anthropic", "c" * 257, Usage(input=5), NOW_US) == unknown


def test_a_declared_cost_replaces_the_sum_known_price_or_not():
    book = book_of(SONNET)
    for model in ("claude-4.5-sonnet", "unheard-of"):
        priced = book.price("anthropic", model, Usage(input=10**6, cost_pico=77), NOW_US)
        assert priced == Priced(77, "provider", book.version)
    assert book.price("anthropic", "x", Usage(cost_pico=0), NOW_US).cost_pico == 0


def test_user_rows_come_before_the_overlay_and_that_before_the_list():
    user = {"provider": "p", "model": "m", "input": 7, "from": "2025-10-01", "until": "2025-10-02"}
    overlay = {"provider": "p", "model": "m", "input": 5, "until": "2025-10-03"}
    book = book_of(user, overlay=[overlay], lookup=Listed())

    def at_noon(day):
        priced = book.price("p", "m", Usage(input=10**5), at(f"2025-10-{day}T12:00:00"))
        return priced.cost_pico, priced.source

    assert at_noon("01") == (7 * 10**11, "user:1")
    assert at_noon("02") == (5 * 10**11, "overlay")
    assert at_noon("03") == (1 * 10**11, "list 9")


def test_from_is_included_and_until_is_not():
    row = {
        "model": "m",
        "input": 1,
        "from": date(2025, 10, 1),
        "until": "2025-11-01T00:00:00+01:00",
    }
    book = book_of(row)
    start, end = at("2025-10-01T00:00:00"), at("2025-10-31T23:00:00")
    known = [
        book.price("p", "m", Usage(input=1), moment).cost_pico is not None
        for moment in (start - 1, start, end - 1, end)
    ]
    assert known == [False, True, True, False]


def test_the_first_matching_row_wins():
    book = book_of(
        {"provider": "p", "model": "gpt-4o-mini", "input": 1},
        {"provider": "p", "model": "gpt-4o*", "input": 2},
        {"provider": "*", "model": "/gpt-[34].*/", "input": 3},
        {"model": "*-Large*", "input": 4},
    )

    def usd_of(provider, model):
        priced = book.price(provider, model, Usage(input=10**6), NOW_US)
        return None if priced.cost_pico is None else priced.cost_pico // 10**12

    assert usd_of("p", "gpt-4o-mini") == 1
    assert usd_of("p", "GPT-4o-2024-08-06") == 2
    assert usd_of("q", "gpt-4o") == 3
    assert usd_of("q", "gpt-3.5-turbo") == 3
    assert usd_of("q", "text-embedding-3-large-x") == 4
    assert usd_of("q", "xgpt-4o") is None
    assert book.price("p", "gpt-4o", Usage(), NOW_US).source == "user:2"


def test_a_row_without_input_amends_the_price_beneath():
    book = book_of(
        {"provider": "p", "model": "m", "discount": "0.5", "until": "2025-01-01"},
        {"provider": "p", "model": "m", "web_search_each": "0.01", "discount": "0.9"},
        lookup=Listed(),
    )
    usage = Usage(input=10**6, web_search=1)
    early = book.price("p", "m", usage, at("2024-06-01T00:00:00"))
    assert (early.cost_pico, early.source) == (2 * 10**12, "user:1")
    late = book.price("p", "m", usage, NOW_US)
    assert (late.cost_pico, late.source) == (3_609_000_000_000, "user:2")
    assert book.price("p", "unlisted", usage, NOW_US).cost_pico is None


def test_an_amendment_reaches_a_later_row_of_its_own_source():
    book = book_of({"model": "*", "discount": 0.5}, {"model": "m", "input": 8})
    assert book.price("p", "m", Usage(input=10**6), NOW_US).cost_pico == 4 * 10**12


def test_a_tier_rule_of_the_overlay_leaves_figures_and_source_alone():
    rule = {"provider": "p", "model": "*", "inclusive": "yes", "compared": "own"}
    plain, ruled = book_of(lookup=Listed()), book_of(overlay=[rule], lookup=Listed())
    for tokens, before, after in ((199_999, 1, 1), (200_000, 1, 4), (200_001, 4, 4)):
        usage = Usage(input=tokens)
        assert plain.price("p", "m", usage, NOW_US).cost_pico == before * tokens * 10**6
        priced = ruled.price("p", "m", usage, NOW_US)
        assert (priced.cost_pico, priced.source) == (after * tokens * 10**6, "list 9")


def test_amended_tiers_stand_on_the_price_beneath():
    row = {"provider": "p", "model": "m", "tiers": [{"from_tokens": 10, "output": 6}]}
    book = book_of(overlay=[row], lookup=Listed())
    assert book.price("p", "m", Usage(input=9, output=1), NOW_US).cost_pico == 11 * 10**6
    assert book.price("p", "m", Usage(input=10, output=1), NOW_US).cost_pico == 16 * 10**6


def test_hours_of_the_day_may_span_midnight():
    hour = 3_600_000_000
    row = {"model": "m", "input": 1}
    card = parse_rows([row], where="x")[0].price
    for window, hours in (
        ((1 * hour, 4 * hour), {1, 2, 3}),
        ((22 * hour, 2 * hour), {22, 23, 0, 1}),
    ):
        book = book_of(lookup=Listed(Offer(card, "night", day=window)))
        day = at("2025-10-09T00:00:00")
        found = {
            number
            for number in range(24)
            if book.price("p", "m", Usage(), day + number * hour).cost_pico is not None
        }
        assert found == hours


def test_a_listed_model_without_a_countable_price_is_unknown():
    book = book_of({"model": "m", "discount": 0.5}, lookup=Listed(Offer(None, "list 9")))
    assert book.price("p", "m", Usage(input=1), NOW_US) == Priced(None, "none", book.version)


def test_the_list_is_asked_once_per_model_and_the_table_is_bounded(monkeypatch):
    monkeypatch.setattr(prices, "BOOK_ENTRIES_MAX", 3)
    lookup = Listed()
    book = book_of(lookup=lookup)
    for _ in range(5):
        assert book.price("p", "m", Usage(input=1), NOW_US).cost_pico == 10**6
        assert book.price("p", "unknown", Usage(input=1), NOW_US).cost_pico is None
    assert len(lookup.asked) == 2
    for number in range(10):
        book.price("p", f"other-{number}", Usage(), NOW_US)
        assert len(book._table) <= 3
    assert book.price("p", "m", Usage(input=1), NOW_US).cost_pico == 10**6


def test_the_card_is_there_for_estimates():
    book = book_of(SONNET)
    card = book.card("anthropic", "claude-4.5-sonnet", NOW_US)
    assert card is not None
    assert card.base.input == 3 * 10**18
    assert book.card("anthropic", "nothing", NOW_US) is None


def test_the_version_follows_every_source_and_nothing_else():
    overlay = [{"provider": "p", "model": "m", "input": 5}]
    base = book_of(SONNET, overlay=overlay, lookup=Listed()).version
    assert book_of(SONNET, overlay=overlay, lookup=Listed()).version == base
    assert book_of({**SONNET, "output": "15.0"}, overlay=overlay, lookup=Listed()).version == base
    newer = Listed()
    newer.version = "10"
    others = {
        book_of({**SONNET, "output": 16}, overlay=overlay, lookup=Listed()).version,
        book_of(SONNET, overlay=[{**overlay[0], "input": 6}], lookup=Listed()).version,
        book_of({**SONNET, "until": "2030-01-01"}, overlay=overlay, lookup=Listed()).version,
        book_of({**SONNET, "discount": 0.9}, overlay=overlay, lookup=Listed()).version,
        book_of(SONNET, overlay=overlay, lookup=newer).version,
        book_of(overlay=overlay, lookup=Listed()).version,
    }
    assert len(others) == 6
    assert base not in others
    assert len(base) == 12
