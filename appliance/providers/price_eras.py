"""Rows by the price list that each call was charged by (storage/price_eras.py has them)."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any

from appliance.core.derive import Derived, PriceOf, derive
from appliance.core.price_rows import PriceRowError
from appliance.providers.price_data import open_book


class DeriveByEra:
    """The deriver. `eras` as `as_job` tells them, oldest first and at least one; a list is compiled
    when a frame of its time comes. `newest` is the last one's, where it is compiled already."""

    def __init__(self, eras: Sequence[Sequence[Any]], newest: PriceOf | None = None) -> None:
        self._starts = [(segment, offset) for segment, offset, _, _ in eras]
        self._since_us: list[int] = [since_us for _, _, since_us, _ in eras]
        self._rows: list[list[dict[str, Any]]] = [rows for _, _, _, rows in eras]
        self._prices: list[PriceOf | None] = [None] * len(eras)
        self._prices[-1] = newest

    def __call__(
        self,
        meta: dict[str, Any],
        request: bytes,
        response: bytes,
        *,
        org: bytes,
        position: tuple[int, int],
    ) -> Derived:
        """Raises what `derive` raises, and PriceRowError for the newest list."""
        price = self._price(self.era_of(meta, position))
        return derive(meta, request, response, org=org, position=position, price=price)

    def era_of(self, meta: Mapping[str, Any], position: tuple[int, int]) -> int:
        """By its place in the journal, whatever the clock said. A call that was under way when
        prices were read again is charged by those that it began under; what was logged or imported
        came when it was recorded."""
        at = max(0, bisect_right(self._starts, position) - 1)
        if not meta.get("source"):
            came_us = meta.get("created_at_us") or 0
            while at and came_us < self._since_us[at]:
                at -= 1
        return at

    def _price(self, at: int) -> PriceOf:
        found = self._prices[at]
        if found is None:
            try:
                found = open_book(self._rows[at]).price
            except PriceRowError:  # an older version took rows that this one does not
                if at + 1 == len(self._prices):
                    raise
                found = self._price(at + 1)
            self._prices[at] = found
        return found


def derive_of_job(job: Mapping[str, Any]) -> DeriveByEra:
    """As a helper process was told: `eras`, or `prices` alone. Raises PriceRowError."""
    return DeriveByEra(job.get("eras") or [[0, 0, 0, job.get("prices", [])]])
