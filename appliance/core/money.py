"""Money as integers: pico-USD (10⁻¹² USD) for amounts, a finer unit for rates.

Knows arithmetic and decimal text, nothing of prices or providers. Floats never take part in a sum.
"""

from decimal import Decimal, InvalidOperation
from fractions import Fraction

PICO_PER_USD = 10**12
# A rate is counted in 10⁻¹⁸ USD per million tokens, so that every published decimal price (some
# have 18 places) is an integer, tokens × rate is exact, and only the final sum is rounded.
RATE_PLACES = 18
RATE_PER_USD_EACH = 10**24  # one whole USD for one thing (a request, a search)
RATE_UNITS_PER_PICO = 10**12
DECIMAL_TEXT_CHARACTERS_MAX = 64
USD_EXPONENT_MAX = 15  # nobody pays 10¹⁵ USD; guards against "1e999999" becoming a huge integer

DecimalInput = str | int | float | Decimal


def decimal_of(value: object) -> Decimal:
    """The decimal that was written. A float stands for its shortest text, so 0.15 is 15/100.

    Raises ValueError for anything that is not a finite number of sane size.
    """
    if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
        raise ValueError(f"{value!r} is not a number")
    text = repr(value) if isinstance(value, float) else str(value).strip()
    if not text or len(text) > DECIMAL_TEXT_CHARACTERS_MAX or "_" in text:
        raise ValueError(f"{text[:DECIMAL_TEXT_CHARACTERS_MAX]!r} is not a decimal number")
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise ValueError(f"{text!r} is not a decimal number") from None
    if not number.is_finite() or (number and abs(number.adjusted()) > 2 * USD_EXPONENT_MAX):
        raise ValueError(f"{text!r} is not a finite number of sane size")
    return number


def exact_units(value: object, places: int) -> int:
    """`value` × 10^places when that is a whole number; ValueError when digits would be lost."""
    scaled = _scaled(decimal_of(value), places)
    if scaled.denominator != 1:
        raise ValueError(f"{value} has more than {places} decimal places")
    return scaled.numerator


def pico_of_usd(value: DecimalInput) -> int:
    """An amount in USD as pico-USD, rounded once, half to even."""
    number = decimal_of(value)
    if number and number.adjusted() > USD_EXPONENT_MAX:
        raise ValueError(f"{value} USD is not an amount of sane size")
    scaled = _scaled(number, 12)
    return round_half_even(scaled.numerator, scaled.denominator)


def round_half_even(numerator: int, denominator: int) -> int:
    """numerator / denominator to the nearest integer, ties to the even one."""
    quotient, rest = divmod(numerator, denominator)
    twice = rest + rest
    if twice > denominator or (twice == denominator and quotient & 1):
        return quotient + 1
    return quotient


def scale_exactly(units: int, factor: Fraction) -> int:
    """A rate times a ratio (a discount, a cache multiplier), rounded at the rate's own unit."""
    return round_half_even(units * factor.numerator, factor.denominator)


def usd_text(pico: int) -> str:
    """Plain decimal USD of an amount, without an exponent and without trailing zeros."""
    sign = "-" if pico < 0 else ""
    whole, rest = divmod(abs(pico), PICO_PER_USD)
    return f"{sign}{whole}.{rest:012d}".rstrip("0").rstrip(".")


def _scaled(number: Decimal, places: int) -> Fraction:
    scaled: Fraction = Fraction(number) * 10**places
    return scaled
