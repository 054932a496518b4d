"""Price rows as people write them: the `[[prices]]` tables of the configuration and our overlay.

A row names `provider` (an id, or `*` for all, which is also the default), `model`, and what it
knows:

- `model` is an exact name, one with `*` for any text (`gpt-4o*`), or a regular expression between
  slashes that must match the whole name (`/gpt-4o(-mini)?/`). Case never matters.
- Rates are USD per million tokens (`input`, `output`, `cached_input`, `write_5m`, `write_1h`,
  `thinking`, `audio_input`, `audio_cached_input`, `audio_output`, the same for `image`, `video` and
  `file`) or USD for one thing (`web_search_each`, `request_each`), as decimal text or number.
  `cache_write` means both writes, `cache_write_1h`, `per_request` and `web_search` are other words
  for `write_1h`, `request_each` and `web_search_each`.
- `from` (included) and `until` (excluded) are dates or times, UTC.
- `discount` is the factor paid: 0.85 takes 15 % off.
- `tiers` is a list of tables, each with `from_tokens` (included) and the rates that change there;
  `compared` says what is counted against it: `prompt` (default), `input_and_cached` or `own`.

A row with `input` (which may be 0) is a price of its own. A row without it amends the price beneath
(a later row, our overlay, genai-prices): its rates and tiers replace those, its discount multiplies
them; `inclusive = true` lets the tiers beneath begin one token earlier. The first row that matches
and holds at the time wins.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from fractions import Fraction

from appliance.core.money import RATE_PLACES, decimal_of, exact_units
from appliance.core.price_card import (
    COMPARED,
    EACH_NAMES,
    RATE_NAMES,
    Card,
    Tier,
    discounted,
    full_rates,
    tier_rates,
    with_rates,
)
from appliance.core.price_place import of_everywhere

TIERS_MAX = 16
DISCOUNT_MAX = 100
MODEL_CHARACTERS_MAX = 256
TIME_MIN_US, TIME_MAX_US = -(2**63), 2**63 - 1
# One thing costs rate × 1, a million tokens cost rate × 10⁶: the unit is the same.
EACH_PLACES = RATE_PLACES + 6
FIELDS = frozenset(
    (
        *RATE_NAMES,
        "provider",
        "model",
        "from",
        "until",
        "discount",
        "tiers",
        "compared",
        "inclusive",
    )
)
OTHER_WORDS = {
    "cache_write": "write_5m",
    "cache_write_1h": "write_1h",
    "per_request": "request_each",
    "web_search": "web_search_each",
    "from_": "from",
}


class PriceRowError(ValueError):
    """A row that cannot be used; the text names the row and the field and says what is wrong."""


@dataclass(frozen=True, slots=True)
class Amendment:
    """What a row without a price of its own changes in the price beneath it."""

    rates: Mapping[str, int]
    tiers: tuple[tuple[int, Mapping[str, int]], ...]
    compared: str | None
    inclusive: bool
    discount: Fraction

    def apply(self, card: Card) -> Card:
        amended = with_rates(card, self.rates) if self.rates else card
        tiers = amended.tiers
        if self.tiers:
            tiers = build_tiers(amended, self.tiers)
        elif self.inclusive:
            tiers = tuple(Tier(tier.threshold - 1, tier.rates) for tier in tiers)
        amended = Card(amended.base, tiers, self.compared or amended.compared)
        return discounted(amended, self.discount)

    @property
    def changes_prices(self) -> bool:
        """False for a row that only says how a tier is chosen: the figures stay those beneath."""
        return bool(self.rates or self.tiers or self.discount != 1)


@dataclass(frozen=True, slots=True)
class PriceRow:
    """One row, read and checked. `number` counts from 1 in the order written."""

    number: int
    provider: str
    model: str
    price: Card | Amendment
    from_us: int = TIME_MIN_US
    until_us: int = TIME_MAX_US
    pattern: re.Pattern[str] | None = field(default=None, compare=False, repr=False)

    def matches(self, provider: str, names: Sequence[str]) -> bool:
        """Whether the row speaks of this provider, as a whole or as it is called here, and of a
        model known by any of these names."""
        if self.provider not in ("*", provider, of_everywhere(provider)):
            return False
        if self.pattern is not None:
            return any(self.pattern.fullmatch(name) for name in names)
        return self.model in names


def parse_rows(tables: Sequence[Mapping[str, object]], *, where: str) -> tuple[PriceRow, ...]:
    """All rows in the order written; `where` names the source in messages, as in `prices[2]`."""
    return tuple(_Reader(table, number, where).row() for number, table in enumerate(tables, 1))


def build_tiers(card: Card, named: Sequence[tuple[int, Mapping[str, int]]]) -> tuple[Tier, ...]:
    """Tiers over the card's base, each inheriting from the next lower one; highest first."""
    tiers: list[Tier] = []
    lower = card.base
    for threshold, rates in named:
        lower = tier_rates(lower, rates)
        tiers.append(Tier(threshold, lower))
    return tuple(reversed(tiers))


def spellings(model: str) -> tuple[str, ...]:
    """The names that one model goes by, the written one first, all in lower case.

    Paths (`models/…`, `publishers/…/models/…`, ARNs), Bedrock's region prefix, a maker's name in
    front, OpenRouter's routing suffixes and Helicone's word order (`claude-4.5-sonnet`) do not
    change what is charged. `global.` on Bedrock and `:free` do, so they stay.
    """
    name = model.strip().lower()
    names = [name]
    for change, substitute in _SPELLINGS:
        changed = change.sub(substitute, name)
        if changed != name and changed:
            name = changed
            names.append(name)
    return tuple(dict.fromkeys(names))


_MAKERS = (
    "openai|anthropic|google|gemini|vertex_ai|x-ai|xai|mistralai|mistral|deepseek|deepseek-ai"
    "|cohere|azure|bedrock|groq|amazon-bedrock"
)
_SPELLINGS = (
    (re.compile(r"%3a"), ":"),
    (re.compile(r"%40"), "@"),
    (re.compile(r"%2f"), "/"),
    (re.compile(r":(?:nitro|floor|online|exacto)$"), ""),
    (re.compile(r"^arn:.*/"), ""),
    (re.compile(r"^(?:.*/)?models/"), ""),
    (re.compile(rf"^(?:{_MAKERS})/"), ""),
    (re.compile(r"^(?:us-gov|us|eu|apac|au|jp|ca|sa|uk|me|af|il|in)\.(?=[a-z0-9-]+\.)"), ""),
    (re.compile(r"^claude-(\d(?:[.-]\d)?)-(haiku|sonnet|opus)(?![.-]v?\d)"), r"claude-\2-\1"),
)


class _Reader:
    """Reads one table and complains in its name."""

    def __init__(self, table: Mapping[str, object], number: int, where: str) -> None:
        self.number = number
        self.name = f"{where}[{number}]"
        self.table = self.one_word_each(table)

    def one_word_each(self, table: Mapping[str, object]) -> dict[str, object]:
        """The fields that are filled in, each by its first name."""
        filled: dict[str, object] = {}
        for name, value in table.items():
            if value is None or value == "":
                continue
            word = OTHER_WORDS.get(name, name)
            if word in filled:
                raise self.error(name, f"says {word} a second time")
            filled[word] = value
        if table.get("cache_write") not in (None, ""):
            filled.setdefault("write_1h", filled["write_5m"])
        return filled

    def row(self) -> PriceRow:
        for name in self.table:
            if name not in FIELDS:
                raise self.error(name, "is no field of a price row")
        model = self.text("model", required=True)
        if len(model) > MODEL_CHARACTERS_MAX:
            raise self.error("model", f"has more than {MODEL_CHARACTERS_MAX} characters")
        from_us = self.time("from", TIME_MIN_US)
        until_us = self.time("until", TIME_MAX_US)
        if from_us >= until_us:
            raise self.error("until", "must be later than from")
        return PriceRow(
            number=self.number,
            provider=self.text("provider") or "*",
            model=model,
            price=self.price(),
            from_us=from_us,
            until_us=until_us,
            pattern=self.pattern(model),
        )

    def price(self) -> Card | Amendment:
        rates = self.rates(self.table, "")
        tiers = self.tiers()
        compared = self.text("compared") or None
        if compared is not None and compared not in COMPARED:
            raise self.error("compared", f"must be one of {', '.join(COMPARED)}")
        inclusive = self.flag("inclusive")
        discount = self.discount()
        if "input" in rates:
            if inclusive:
                raise self.error("inclusive", "amends another price; own tiers always include")
            base = Card(full_rates(rates), (), compared or "prompt")
            card = Card(base.base, build_tiers(base, tiers), base.compared)
            return discounted(card, discount)
        if not (rates or tiers or compared or inclusive or discount != 1):
            raise self.error("input", "is missing, and the row amends nothing either")
        return Amendment(rates, tiers, compared, inclusive, discount)

    def rates(self, table: Mapping[str, object], prefix: str) -> dict[str, int]:
        found = {}
        for name in RATE_NAMES:
            if name in table:
                places = EACH_PLACES if name in EACH_NAMES else RATE_PLACES
                try:
                    units = exact_units(table[name], places)
                except ValueError as error:
                    raise self.error(prefix + name, str(error)) from None
                if units < 0:
                    raise self.error(prefix + name, "must not be negative")
                found[name] = units
        return found

    def tiers(self) -> tuple[tuple[int, Mapping[str, int]], ...]:
        written = self.table.get("tiers", ())
        if isinstance(written, str):
            written = [self.tier_table(part) for part in written.split(";")]
        if not isinstance(written, Sequence) or len(written) > TIERS_MAX:
            raise self.error("tiers", f"must be a list of at most {TIERS_MAX} tables")
        tiers: list[tuple[int, Mapping[str, int]]] = []
        for position, table in enumerate(written, 1):
            prefix = f"tiers[{position}]."
            if not isinstance(table, Mapping):
                raise self.error(prefix[:-1], "must be a table")
            for name in table:
                if name != "from_tokens" and name not in RATE_NAMES:
                    raise self.error(prefix + str(name), "is no field of a tier")
            threshold = self.threshold(table.get("from_tokens"), prefix)
            if tiers and threshold <= tiers[-1][0]:
                raise self.error(prefix + "from_tokens", "must be greater than the tier before")
            tiers.append((threshold, self.rates(table, prefix)))
        return tuple(tiers)

    def threshold(self, written: object, prefix: str) -> int:
        try:
            threshold = exact_units(written, 0)
        except ValueError:
            threshold = 0
        if threshold < 1:
            raise self.error(prefix + "from_tokens", "must be a whole number from 1 on")
        return threshold

    def tier_table(self, text: str) -> dict[str, object]:
        """`200000 input=6 output=22.5`, the form used in tables of plain text."""
        first, *rest = text.split() or [""]
        return {"from_tokens": first, **dict(part.partition("=")[::2] for part in rest)}

    def discount(self) -> Fraction:
        if "discount" not in self.table:
            return Fraction(1)
        try:
            factor = Fraction(decimal_of(self.table["discount"]))
        except ValueError as error:
            raise self.error("discount", str(error)) from None
        if not 0 <= factor <= DISCOUNT_MAX:
            raise self.error("discount", f"is a factor between 0 and {DISCOUNT_MAX}")
        return factor

    def text(self, name: str, *, required: bool = False) -> str:
        value = self.table.get(name, "")
        if not isinstance(value, str) or (required and not value.strip()):
            raise self.error(name, "must be text" if name in self.table else "is missing")
        return value.strip().lower()

    def flag(self, name: str) -> bool:
        value = self.table.get(name, False)
        if value not in (True, False, "yes", "no"):
            raise self.error(name, "must be true or false")
        return value in (True, "yes")

    def pattern(self, model: str) -> re.Pattern[str] | None:
        """None for an exact name."""
        if not (len(model) > 2 and model.startswith("/") and model.endswith("/")):
            if "*" not in model:
                return None
            return re.compile(".*".join(re.escape(part) for part in model.split("*")))
        written = str(self.table["model"]).strip()[1:-1]
        try:
            return re.compile(written, re.IGNORECASE)
        except re.error as error:
            raise self.error("model", f"is no regular expression: {error}") from None

    def time(self, name: str, missing: int) -> int:
        value = self.table.get(name)
        if value is None:
            return missing
        if isinstance(value, str):
            try:
                value = datetime.fromisoformat(value.strip())
            except ValueError:
                raise self.error(name, f"{value!r} is no ISO 8601 date or time") from None
        if isinstance(value, datetime):
            moment = value if value.tzinfo else value.replace(tzinfo=UTC)
        elif isinstance(value, date):
            moment = datetime(value.year, value.month, value.day, tzinfo=UTC)
        else:
            raise self.error(name, "must be a date or a time")
        return int(moment.timestamp()) * 1_000_000 + moment.microsecond

    def error(self, name: str, complaint: str) -> PriceRowError:
        return PriceRowError(f"{self.name}.{name} {complaint}")
