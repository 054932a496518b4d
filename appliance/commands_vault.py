"""What `vault rotate` does to one region: a new key of the vault, and what is sealed sealed anew.
A running server calls this on its own ring of provider keys, a command without a server on one
that it opens for the moment.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from appliance.config_kinds import master_key
from appliance.errors import Refusal

if TYPE_CHECKING:
    from appliance.actors.provider_keys import ProviderKeys


async def rotate_vault(ring: "ProviderKeys", given: Mapping[str, Any]) -> dict[str, Any]:
    """The new epoch, and how far the secrets have come. Raises Refusal, also for a new master key
    that is given and empty, or that no configuration could hold: the next start would be none."""
    wanted = given.get("master_key")
    if wanted is not None:
        kind = master_key()
        try:
            kind.parse(wanted)
        except ValueError:
            raise Refusal(
                400, "master_key_invalid", f"master_key: allowed is {kind.allowed}"
            ) from None
    done = await ring.rotate_vault(wanted)
    return {
        "epoch": done.epoch,
        "provider_keys_sealed": done.sealed,
        "provider_keys_left": done.left,
        "ok": not done.left,
    }
