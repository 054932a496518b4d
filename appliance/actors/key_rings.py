"""The key rings of all regions as one: a key is sought in each, and changed in its own region.

Regions share nothing (ARCHITECTURE 4): each root has its own state store, and a ring over it.
"""

from collections.abc import Mapping, Sequence

from appliance.actors.key_ring import KeyRing
from appliance.core.keys import KeyInfo, parse_key
from appliance.core.rate_policy import Policy


class KeyRings:
    """Rings by region, the default one first. Look-ups never block."""

    def __init__(self, by_region: Mapping[str, KeyRing]) -> None:
        self.by_region = dict(by_region)
        # The EU's first: a key that is on file in both is the EU's, whatever it looks like.
        self._rings = tuple(reversed(self.by_region.values()))
        if len(self._rings) == 1:  # asked with every request
            self.lookup = self._rings[0].lookup  # type: ignore[method-assign]

    def lookup(self, key_hash: str) -> KeyInfo | None:
        """Whose key has this hash."""
        return next((info for ring in self._rings if (info := ring.lookup(key_hash))), None)

    def policies(self, region: str, org: bytes) -> Sequence[Policy] | None:
        """The stored rate limits of an organisation; None when they cannot be told."""
        return self.by_region[region].policies(org)

    @property
    def broken(self) -> str:
        """Why a store has never been read, or ""."""
        return next((ring.broken for ring in self._rings if ring.broken), "")

    @property
    def unread_region(self) -> str:
        """The region whose store has never been read, the EU first, or ""."""
        found = [region for region, ring in self.by_region.items() if ring.broken]
        return found[-1] if found else ""

    def declare(self, key: str) -> None:
        """Make a key of the configuration known in its region. Raises ValueError when it is none,
        or of a region that is not kept here."""
        shape = parse_key(key)
        region = shape.region if shape is not None else next(iter(self.by_region))
        ring = self.by_region.get(region)
        if ring is None:
            raise ValueError(
                f"bootstrap_key is a key of the region {region}: set {region}_data_dir"
            )
        ring.declare(key)

    async def load(self) -> None:
        """Read all stores."""
        for ring in self._rings:
            await ring.load()

    async def close(self) -> None:
        """Close all stores; look-ups go on."""
        for ring in self._rings:
            await ring.close()
