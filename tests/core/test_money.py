from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.core.money import (
    RATE_PER_USD_EACH,
    RATE_PLACES,
    RATE_UNITS_PER_PICO,
    decimal_of,
    exact_units,
    pico_of_usd,
    round_half_even,
    scale_exactly,
    usd_text,
)


@pytest.mark.parametrize(
    ("written", "pico"),
    [
        ("0", 0),
        ("0.021", 21_000_000_000),
        ("1", 10**12),
        (1, 10**12),
        (0.1, 10**11),
        (0.0000125, 12_500_000),
        ("1e-12", 1),
        ("0.0000000000005", 0),
        ("0.0000000000015", 2),
        ("0.0000000000025", 2),
        ("0.00000000000250000000001", 3),
        ("-0.25", -250_000_000_000),
        (Decimal("123456789.123456789012"), 123456789123456789012),
        (" 0.5 ", 5 * 10**11),
    ],
)
def test_an_amount_becomes_pico_rounded_once_half_to_even(written, pico):
    assert pico_of_usd(written) == pico


@pytest.mark.parametrize(
    "written",
    [
        "",
        "x",
        "nan",
        "inf",
        "-Infinity",
        float("nan"),
        True,
        None,
        "1_000",
        "1e99",
        "1" * 65,
        [],
        b"1",
    ],
)
def test_what_is_no_amount_is_refused(written):
    with pytest.raises(ValueError):
        pico_of_usd(written)


def test_a_float_stands_for_its_shortest_text():
    assert decimal_of(0.1) == Decimal("0.1")
    assert exact_units(0.15, RATE_PLACES) == 15 * 10**16


def test_a_rate_with_too_many_places_is_refused_not_rounded():
    assert exact_units("0.041666666666666664", 18) == 41666666666666664
    with pytest.raises(ValueError, match="more than 18 decimal places"):
        exact_units("0.0416666666666666641", 18)


def test_the_units_fit_together():
    # 10^18 units per USD and million tokens = 10^24 per USD and token = 10^12 per pico-USD
    assert 10**RATE_PLACES * 10**6 == RATE_PER_USD_EACH == RATE_UNITS_PER_PICO * 10**12


@given(st.integers(-(10**40), 10**40), st.integers(1, 10**24))
def test_rounding_agrees_with_exact_fractions(numerator, denominator):
    assert round_half_even(numerator, denominator) == round(Fraction(numerator, denominator))


@given(st.integers(-(10**20), 10**20))
def test_text_of_an_amount_reads_back_as_the_same_amount(pico):
    assert pico_of_usd(usd_text(pico)) == pico


@pytest.mark.parametrize(
    ("pico", "text"),
    [
        (0, "0"),
        (1, "0.000000000001"),
        (21_000_000_000, "0.021"),
        (10**13, "10"),
        (-5, "-0.000000000005"),
    ],
)
def test_text_has_neither_exponent_nor_trailing_zeros(pico, text):
    assert usd_text(pico) == text


def test_a_ratio_scales_without_floats():
    assert scale_exactly(3 * 10**18, Fraction(1, 3)) == 10**18
    assert scale_exactly(5, Fraction(1, 2)) == 2
