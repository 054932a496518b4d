"""Links of this server, each region's with a key of its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from appliance.core.forwarded import Caller, TrustedProxies
from appliance.core.links import base_url
from appliance.core.signed_url import Pairs, check_signed, signed_path
from appliance.errors import Refusal

if TYPE_CHECKING:
    from appliance.actors.region import Region

PURPOSE: Final = b"signed urls"


class LinksOf:
    """Wired to what runs; also for workers that no request has called."""

    def __init__(
        self,
        regions: Mapping[str, Region],
        proxies: TrustedProxies,
        public_url: str | None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._regions = regions
        self._proxies = proxies
        self._public_url = public_url
        self._clock = clock
        self._keys: dict[str, bytes] = {}

    def caller(
        self, peer: str, scheme: str, host: str, lines: Sequence[tuple[bytes, bytes]]
    ) -> Caller:
        """Who called, through trusted proxies."""
        return self._proxies.caller(peer, scheme, host, lines)

    def base(self, caller: Caller | None = None) -> str | None:
        """What links begin with."""
        return base_url(self._public_url, caller)

    def signed(self, region: str, path: str, query: Pairs, lives_s: int) -> str:
        """Path and query, to count for `lives_s` seconds."""
        return signed_path(self._key(region), path, int(self._clock()) + lives_s, query)

    def check(self, region: str, path: str, query: Pairs) -> None:
        """Raises Refusal 403, 404, 410."""
        check_signed(self._key(region), path, query, self._clock())

    def _key(self, region: str) -> bytes:
        if region not in self._regions:
            raise Refusal(404, "region_unknown", f"There is no region {region[:20]!r} here.")
        if region not in self._keys:
            self._keys[region] = self._regions[region].vault.stable_key(PURPOSE)
        return self._keys[region]
