"""What every usage reader needs: counts that cannot lie too much, and where usage hides."""

from collections.abc import Mapping, Sequence
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any, NamedTuple

from appliance.core.usage_types import Usage

# Above this a count is nonsense: it is taken as missing, so that sums and columns stay sane.
COUNT_MAX = 10**12
COST_USD_EXPONENT_MAX = 6  # a declared cost of 10⁷ USD and more is nonsense too
PICO_PLACES = 12

Raw = Mapping[str, Any]
Documents = Sequence[object]
_EMPTY: Raw = {}
_wide = Context(prec=80)


class Reading(NamedTuple):
    """What a reply said of its usage. `complete` is false when the provider's final count is
    missing: an Anthropic stream that was cut names its input but not its output."""

    usage: Usage
    complete: bool = True


def count(value: object) -> int:
    """A number of tokens; 0 for anything that is not one."""
    if type(value) is int:
        return value if 0 < value <= COUNT_MAX else 0
    if type(value) is float:
        return int(value) if 0 < value <= COUNT_MAX else 0
    if type(value) is Decimal and value.is_finite() and value and value.adjusted() <= 12:
        return count(int(value))
    return 0


def mapping(value: object) -> Raw:
    return value if type(value) is dict else _EMPTY


def first_count(raw: Raw, *names: str) -> int:
    """The count under the first of the names that is there."""
    for name in names:
        value = raw.get(name)
        if value is not None:
            return count(value)
    return 0


def less(total: int, part: int) -> int:
    """`total` without the `part` it includes; a larger part is not included (`backend.md 5.2`)."""
    return total - part if part <= total else total


def find_usage(documents: Documents) -> tuple[Raw, Raw]:
    """The last usage of a reply, and the object that carries it. Streams repeat theirs: the last
    one is the total."""
    for document in reversed(documents):
        if type(document) is not dict:
            continue
        usage = document.get("usage")
        if type(usage) is dict and usage:
            return usage, document
        inner = document.get("response")
        if type(inner) is dict:
            usage = inner.get("usage")
            if type(usage) is dict and usage:
                return usage, inner
    return _EMPTY, _EMPTY


def cost_pico(value: object) -> int | None:
    """A declared cost in USD as integer pico-USD, exact from its decimal text; None if nonsense."""
    if type(value) is float:
        value = repr(value)  # the shortest text that means this float is the text that was sent
    elif type(value) is int:
        return value * 10**PICO_PLACES if 0 <= value < 10 ** (COST_USD_EXPONENT_MAX + 1) else None
    if type(value) is str:
        if len(value) > 64:
            return None
        try:
            value = Decimal(value)
        except ArithmeticError:
            return None
    if type(value) is not Decimal or not value.is_finite() or value < 0:
        return None
    if value and not -40 <= value.adjusted() <= COST_USD_EXPONENT_MAX:
        return 0 if value.adjusted() < 0 else None
    return int(value.scaleb(PICO_PLACES, _wide).to_integral_value(ROUND_HALF_EVEN, _wide))
