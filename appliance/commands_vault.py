"""What `vault rotate` does to one region: a new key of the vault, and what is sealed sealed anew.
A running server calls this on its own ring of provider keys, a command without a server on one
that it opens for the moment.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from appliance.actors.provider_keys import ProviderKeys


async def rotate_vault(ring: "ProviderKeys", given: Mapping[str, Any]) -> dict[str, Any]:
    """The new epoch, and how far the secrets have come. Raises Refusal."""
    done = await ring.rotate_vault(str(given.get("master_key") or "") or None)
    return {
        "epoch": done.epoch,
        "provider_keys_sealed": done.sealed,
        "provider_keys_left": done.left,
        "ok": not done.left,
    }
