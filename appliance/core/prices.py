"""The price book: which price holds for a provider's model at a time, and what a request cost.

Sources in order: the user's rows, our overlay, genai-prices. They are asked once per (provider,
model); the answer is compiled into integer cards and kept in a bounded table. Never I/O.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Protocol

from appliance.core.price_card import Card, cost_pico
from appliance.core.price_rows import (
    MODEL_CHARACTERS_MAX,
    TIME_MAX_US,
    TIME_MIN_US,
    Amendment,
    PriceRow,
    spellings,
)
from appliance.core.usage_types import Priced, Usage

# Names come from clients, so the table is bounded: when full it is emptied and fills again with
# what is in use. An entry takes 1.3 KB, so ≈ 5.5 MB when full.
BOOK_ENTRIES_MAX = 4096
FORMULA = "1"  # part of the version: raise it when the same rates would give another sum
DAY_US = 86_400_000_000


@dataclass(frozen=True, slots=True)
class Offer:
    """A card and the time it holds: `from_us` ≤ time < `until_us`, and, where `day` is given,
    only between two moments of each day in UTC (it may span midnight).
    `card` None: the source lists the model then, but without a price that we can count."""

    card: Card | None
    source: str
    from_us: int = TIME_MIN_US
    until_us: int = TIME_MAX_US
    day: tuple[int, int] | None = None

    def holds(self, at_us: int) -> bool:
        if not self.from_us <= at_us < self.until_us:
            return False
        if self.day is None:
            return True
        start, end = self.day
        moment = at_us % DAY_US
        if end < start:
            return moment >= start or moment < end
        return start <= moment < end

    @property
    def always(self) -> bool:
        return self.from_us == TIME_MIN_US and self.until_us == TIME_MAX_US and self.day is None


class GenaiLookup(Protocol):
    """The price list beneath ours. Asked with our provider id and the spellings of a model."""

    @property
    def version(self) -> str: ...

    def __call__(self, provider: str, names: Sequence[str]) -> Sequence[Offer]: ...


class PriceBook:
    """Prices requests. One object may be used by several threads: entries are only ever added
    or dropped whole."""

    def __init__(
        self,
        user_rows: Sequence[PriceRow],
        overlay_rows: Sequence[PriceRow],
        lookup: GenaiLookup | None,
        *,
        provider_of: Callable[[str], str] = str.lower,
    ) -> None:
        self._user_rows = tuple(user_rows)
        self._overlay_rows = tuple(overlay_rows)
        self._lookup = lookup
        self._provider_of = provider_of
        self._table: dict[tuple[str, str], tuple[Offer, ...]] = {}
        self.version = _version(self._user_rows, self._overlay_rows, lookup)
        self._unpriced = Priced(None, "none", self.version)

    def price(self, provider: str, model: str, usage: Usage, at_us: int) -> Priced:
        """What the request cost. An unknown price is None, never 0; a cost that the provider
        itself declared replaces the sum."""
        if usage.cost_pico is not None:
            return Priced(usage.cost_pico, "provider", self.version)
        offers = self._table.get((provider, model))
        if offers is None:
            offers = self._compile(provider, model)
        for offer in offers:
            if offer.holds(at_us):
                if offer.card is None:
                    break
                return Priced(cost_pico(offer.card, usage), offer.source, self.version)
        return self._unpriced

    def card(self, provider: str, model: str, at_us: int) -> Card | None:
        """The rates that hold at a time, for estimates and price pages."""
        offers = self._table.get((provider, model))
        if offers is None:
            offers = self._compile(provider, model)
        return next((offer.card for offer in offers if offer.holds(at_us)), None)

    def _compile(self, provider: str, model: str) -> tuple[Offer, ...]:
        if not model or len(model) > MODEL_CHARACTERS_MAX or len(provider) > MODEL_CHARACTERS_MAX:
            return ()
        known = self._provider_of(provider)
        names = spellings(model)
        offers = list(self._lookup(known, names)) if self._lookup is not None else []
        offers = _layer(_matching(self._overlay_rows, known, names), offers, "overlay")
        offers = _layer(_matching(self._user_rows, known, names), offers, "user")
        compiled = _reachable(offers)
        if len(self._table) >= BOOK_ENTRIES_MAX:
            self._table.clear()
        self._table[provider, model] = compiled
        return compiled


def compile_book(
    user_rows: Sequence[PriceRow],
    overlay_rows: Sequence[PriceRow],
    lookup: GenaiLookup | None,
    *,
    provider_of: Callable[[str], str] = str.lower,
) -> PriceBook:
    """A book over these sources. `provider_of` turns the provider written in a record into the
    id that rows and the lookup use."""
    return PriceBook(user_rows, overlay_rows, lookup, provider_of=provider_of)


def _matching(rows: Sequence[PriceRow], provider: str, names: Sequence[str]) -> list[PriceRow]:
    return [row for row in rows if row.matches(provider, names)]


def _layer(rows: Sequence[PriceRow], beneath: list[Offer], origin: str) -> list[Offer]:
    """The rows of one source, in their order, over the offers of the sources beneath.

    Amendments of one source do not add up: the first that holds amends a price, and the price it
    amends is the next one below that is no amendment.
    """
    own = [(row, _own_offer(row, origin)) for row in rows]
    layered: list[Offer] = []
    for position, (row, offer) in enumerate(own):
        if offer is not None:
            layered.append(offer)
        elif isinstance(row.price, Amendment):
            below = [later for _, later in own[position + 1 :] if later is not None] + beneath
            layered += [
                amended
                for target in below
                if (amended := _amended(row, row.price, target, origin)) is not None
            ]
    return layered + beneath


def _own_offer(row: PriceRow, origin: str) -> Offer | None:
    if not isinstance(row.price, Card):
        return None
    return Offer(row.price, _source(row, origin), row.from_us, row.until_us)


def _amended(row: PriceRow, amendment: Amendment, target: Offer, origin: str) -> Offer | None:
    from_us = max(row.from_us, target.from_us)
    until_us = min(row.until_us, target.until_us)
    if from_us >= until_us:
        return None
    return replace(
        target,
        card=None if target.card is None else amendment.apply(target.card),
        source=_source(row, origin) if amendment.changes_prices else target.source,
        from_us=from_us,
        until_us=until_us,
    )


def _source(row: PriceRow, origin: str) -> str:
    return f"user:{row.number}" if origin == "user" else origin


def _reachable(offers: Sequence[Offer]) -> tuple[Offer, ...]:
    """Without what lies behind an offer that always holds."""
    for position, offer in enumerate(offers):
        if offer.always:
            return tuple(offers[: position + 1])
    return tuple(offers)


def _version(
    user_rows: Sequence[PriceRow], overlay_rows: Sequence[PriceRow], lookup: GenaiLookup | None
) -> str:
    beneath = lookup.version if lookup is not None else ""
    text = "\x1e".join((FORMULA, beneath, repr(user_rows), "\x1d", repr(overlay_rows)))
    return blake2b(text.encode(), digest_size=6).hexdigest()
