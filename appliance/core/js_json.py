"""JSON as `JSON.stringify` of JavaScript writes it: receivers that parse a body and write it anew
get the very bytes that were signed (`backend.md 7.1`).

Pure. No spaces, text beyond ASCII as it is, numbers as IEEE doubles in their shortest form, keys
that are array indices first and in order.
"""

import math
import re
from collections.abc import Iterator
from decimal import Decimal
from json.encoder import encode_basestring
from typing import Any, Final

EXACT_BELOW: Final = 2**53
INDEX: Final = re.compile(r"0|[1-9][0-9]{0,9}")
INDEX_MAX: Final = 2**32 - 2


class _Text(str):
    """Ready to be written, where a bare str is a value."""

    __slots__ = ()


def stringify(value: object) -> str:
    """All of it at once, for what is small."""
    return "".join(pieces(value))


def pieces(value: object) -> Iterator[str]:
    """The same in pieces of one value or key each, so that others can have a turn between them.
    Takes what JSON decoders give. Raises TypeError for anything else."""
    waiting: list[object] = [value]
    while waiting:
        item = waiting.pop()
        if type(item) is _Text:
            yield item
        elif isinstance(item, dict):
            _open_object(item, waiting)
        elif isinstance(item, list | tuple):
            _open_array(item, waiting)
        else:
            yield _scalar(item)


def _open_array(items: list[Any] | tuple[Any, ...], waiting: list[object]) -> None:
    waiting.append(_Text("]"))
    for place in range(len(items) - 1, -1, -1):
        waiting.append(items[place])
        waiting.append(_Text("," if place else "["))
    if not items:
        waiting.append(_Text("["))


def _open_object(members: dict[str, Any], waiting: list[object]) -> None:
    keys = _in_order(members)
    waiting.append(_Text("}"))
    for place in range(len(keys) - 1, -1, -1):
        key = keys[place]
        waiting.append(members[key])
        waiting.append(_Text(f"{',' if place else '{'}{encode_basestring(key)}:"))
    if not keys:
        waiting.append(_Text("{"))


def _in_order(members: dict[str, Any]) -> list[str]:
    """As an object of JavaScript keeps them."""
    indices = [key for key in members if INDEX.fullmatch(key) and int(key) <= INDEX_MAX]
    if not indices:
        return list(members)
    first = set(indices)
    return [*sorted(indices, key=int), *(key for key in members if key not in first)]


def _scalar(value: object) -> str:
    if isinstance(value, str):
        return encode_basestring(value)
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) and -EXACT_BELOW < value < EXACT_BELOW:
        return str(int(value))
    if isinstance(value, int | float | Decimal):
        return number(value)
    raise TypeError(f"{type(value).__name__} is not of JSON")


def number(value: float | Decimal) -> str:
    """A number as ECMAScript's Number::toString writes it; what is no finite double is null."""
    try:
        double = float(value)
    except OverflowError:
        return "null"
    if not math.isfinite(double):
        return "null"
    if double == 0:
        return "0"
    text = repr(double)
    if "e" not in text:
        return text.removesuffix(".0")
    sign, digits_of, exponent = Decimal(text).as_tuple()
    assert isinstance(exponent, int)
    digits = "".join(map(str, digits_of)).rstrip("0")
    point = len(digits_of) + exponent  # digits before the point
    minus = "-" if sign else ""
    if len(digits) <= point <= 21:
        return f"{minus}{digits.ljust(point, '0')}"
    if 0 < point <= 21:
        return f"{minus}{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return f"{minus}0.{'0' * -point}{digits}"
    fraction = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{minus}{digits[0]}{fraction}e{point - 1:+d}"
