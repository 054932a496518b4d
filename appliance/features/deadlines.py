"""Which deadlines an exchange has: the configuration's, a provider's own, or the longer ones asked
for by `Helicone-Increase-Timeout`."""

from __future__ import annotations

from dataclasses import replace

from appliance.config import Deadlines as Limits
from appliance.exchange import Exchange

# `Helicone-Increase-Timeout` (proxy.md 2.3): the provider may take half an hour.
INCREASED_S = 1800.0


class Deadlines:
    """Limits by provider id, worked out once each."""

    def __init__(self, usual: Limits, by_provider: dict[str, Limits]) -> None:
        self._usual = usual
        self._by_provider = by_provider
        self._increased: dict[str, Limits] = {}

    def of(self, x: Exchange) -> Limits:
        """The limits of this exchange."""
        provider = x.route.provider
        name = provider.id if provider is not None else ""
        limits = self._by_provider.get(name, self._usual)
        if not x.asks.increase_timeout:
            return limits
        longer = self._increased.get(name)
        if longer is None:
            longer = self._increased[name] = replace(
                limits,
                first_byte_s=max(limits.first_byte_s, INCREASED_S),
                gap_s=max(limits.gap_s, INCREASED_S),
            )
        return longer
