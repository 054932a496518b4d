"""Pages of a dataset over the control socket of a running server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from appliance.commands_datasets import COMMAND, show_rows
from appliance.control_commands import RegionWork

if TYPE_CHECKING:
    from appliance.actors.key_rings import KeyRings
    from appliance.actors.region import Region


def dataset_work(rings: KeyRings) -> dict[str, RegionWork]:
    """Read and opened in the ring's thread."""

    async def show(region: Region, given: Mapping[str, Any], _reply: object) -> object:
        ring = rings.by_region[region.name]
        return await ring.ask(lambda state: show_rows(state, region.vault, given))

    return {COMMAND: show}
