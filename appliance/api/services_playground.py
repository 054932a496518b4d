"""What the playground asks of the process: a call through its own AI gateway."""

from typing import Protocol

from appliance.core.access import Identity
from appliance.exchange import Headers, ReplySide


class Playground(Protocol):
    """Calls on the account of somebody who was let in already."""

    async def call(
        self, identity: Identity, body: bytes, headers: Headers, address: str, reply: ReplySide
    ) -> None:
        """One chat completion, limited, paid for and recorded like any other. `headers` are those
        of ours that it asks with. What comes of it, refusals too, goes to `reply`."""
