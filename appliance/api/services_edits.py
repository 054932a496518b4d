"""What the REST API asks of the process where something recorded is edited: scores, feedback,
properties. An edit never changes a record: it is a fact of its own that the views join."""

from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol

Kind = Literal["score", "feedback", "property"]


class Edit(NamedTuple):
    """`value` None takes away what was there. `boolean`: a score that was given as true or false,
    so that it can be shown as one."""

    kind: Kind
    exchange_id: bytes
    request_id: bytes
    name: str
    value: float | str | None
    boolean: bool = False


class Edits(Protocol):
    """The journal of a region, for edits."""

    async def add(self, region: str, org: bytes, edits: Sequence[Edit]) -> float | None:
        """They are journalled, and queries see them, when this returns: None; or by how many
        milliseconds the answer of a query may still lack them."""
