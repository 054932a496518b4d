"""A rate limit as it is written: `100;w=60;u=cents;s=user` (proxy.md 5.1). Pure.

Knows the grammar and what a policy is worth in whole numbers; nothing of buckets or requests.
"""

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Final, Literal

from appliance.core.money import DecimalInput, decimal_of, round_half_even

Unit = Literal["request", "cents"]
Field = Literal["policy", "quota", "window"]

GLOBAL: Final = ""
USER: Final = "user"
US_PER_S: Final = 1_000_000
# Grains are what a bucket counts in: millionths of a request, and pico-USD for cents, so that
# what a call has cost is charged as it is.
GRAINS_PER_REQUEST: Final = 10**6
GRAINS_PER_CENT: Final = 10**10
WINDOW_MIN_S: Final = 60
WINDOW_MAX_S: Final = 31_536_000
QUOTA_MAX: Final = 10**12
POLICY_CHARACTERS_MAX: Final = 256
POLICIES_CACHED_MAX: Final = 1024

GRAMMAR: Final = re.compile(
    r"([0-9]+(?:\.[0-9]+)?);w=([0-9]+)(?:;u=(request|cents))?(?:;s=([a-z0-9_-]+))?",
    re.ASCII | re.IGNORECASE,
)
SHAPE: Final = "quota;w=seconds[;u=request|cents][;s=segment]"


class PolicyInvalid(ValueError):  # noqa: N818 - names a state of the text
    """Not a policy. `field` is the part at fault, `message` says what to write instead."""

    def __init__(self, field: Field, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field: Field = field
        self.message = f"{field}: {message}"


@dataclass(frozen=True, slots=True)
class Policy:
    """A valid policy; made by `parse_policy` and `stored_policy` alone.

    `capacity` is the quota in grains, `one` the grains of one request or cent. `segment` is "" for
    the whole organisation, `user`, or a property's name in lower case. `limit` and `text` are the
    quota and the canonical policy as replies name them (proxy.md 3.1).
    """

    capacity: int
    one: int
    window_us: int
    unit: Unit
    segment: str
    limit: bytes
    text: bytes

    @property
    def window_s(self) -> int:
        """The seconds in which an empty bucket fills up."""
        return self.window_us // US_PER_S

    @property
    def per_minute(self) -> Fraction:
        """Requests or cents granted in a minute."""
        return Fraction(self.capacity * 60 * US_PER_S, self.one * self.window_us)


def parse_policy(text: str) -> Policy:
    """The policy that a header's value means. Raises PolicyInvalid."""
    text = text.strip()
    # Before the cache, which would keep texts as long as a header may be.
    if len(text) > POLICY_CHARACTERS_MAX:
        raise PolicyInvalid("policy", f"is longer than {POLICY_CHARACTERS_MAX} characters.")
    found = _parse(text)
    if isinstance(found, Policy):
        return found
    raise PolicyInvalid(*found)


def stored_policy(
    quota: DecimalInput, window_s: int, unit: str = "request", segment: str = GLOBAL
) -> Policy:
    """The policy of stored fields (proxy.md 5.5), under the rules of the header. Segments `global`
    and "" are the whole organisation. Raises PolicyInvalid."""
    try:
        amount = format(decimal_of(quota), "f")
    except ValueError as error:
        raise PolicyInvalid("quota", f"{error}.") from None
    kind = "" if segment.lower() in (GLOBAL, "global") else f";s={segment}"
    return parse_policy(f"{amount};w={window_s};u={unit}{kind}")


@lru_cache(maxsize=POLICIES_CACHED_MAX)
def _parse(text: str) -> Policy | tuple[Field, str]:
    """The policy, or the field at fault and why: what is wrong is kept as well, since clients that
    send it once send it with every request."""
    match = GRAMMAR.fullmatch(text)
    if match is None:
        return "policy", _misfit(text)
    quota, window, unit_text, segment = match.groups()
    unit: Unit = "cents" if (unit_text or "").lower() == "cents" else "request"
    limit = _number_text(quota)
    amount = Fraction(limit)
    if not 0 < amount <= QUOTA_MAX:
        return "quota", f"{limit} is not above 0 and at most {QUOTA_MAX}."
    window_s = int(window)
    if not WINDOW_MIN_S <= window_s <= WINDOW_MAX_S:
        return "window", f"w={window_s} is not between {WINDOW_MIN_S} and {WINDOW_MAX_S} seconds."
    one = GRAINS_PER_CENT if unit == "cents" else GRAINS_PER_REQUEST
    segment = (segment or GLOBAL).lower()
    canonical = f"{limit};w={window_s}"
    canonical += ";u=cents" if unit == "cents" else ""
    canonical += f";s={segment}" if segment else ""
    return Policy(
        # What is less than a grain is one, or the bucket could never fill.
        capacity=max(1, round_half_even(amount.numerator * one, amount.denominator)),
        one=one,
        window_us=window_s * US_PER_S,
        unit=unit,
        segment=segment,
        limit=limit.encode(),
        text=canonical.encode(),
    )


def _number_text(digits: str) -> str:
    """The number as it is written shortest: `0100.50` is `100.5`."""
    whole, _, part = digits.partition(".")
    part = part.rstrip("0")
    return (whole.lstrip("0") or "0") + (f".{part}" if part else "")


def _misfit(text: str) -> str:
    """Which item breaks the grammar."""
    if re.search(r"\s", text):
        return f"{text!r} has blanks inside; write {SHAPE}."
    quota, *items = text.split(";")
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?", quota) is None:
        return f"{quota!r} is not a quota such as 100 or 0.5; write {SHAPE}."
    if not items or re.fullmatch(r"(?i:w)=[0-9]+", items[0]) is None:
        return f"after the quota comes ;w= and whole seconds; write {SHAPE}."
    for item in items[1:]:
        name, _, value = item.partition("=")
        if name.lower() == "u" and value.lower() not in ("request", "cents"):
            return f"the unit {value!r} is not request or cents."
        if name.lower() == "s" and re.fullmatch(r"(?i:[a-z0-9_-]+)", value, re.ASCII) is None:
            return f"the segment {value!r} is not user or a property's name (A-Z a-z 0-9 _ -)."
        if name.lower() not in ("u", "s"):
            return f"{item!r} is not known; write {SHAPE}."
    return f"the items of {text!r} stand twice or in another order; write {SHAPE}."
