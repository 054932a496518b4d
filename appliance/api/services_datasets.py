"""What the REST API asks of the process for the copies in datasets: how they lie on the disk."""

from collections.abc import Mapping, Sequence
from typing import Protocol


class Copies(Protocol):
    """Of all regions; ids of rows are part of the seal."""

    async def pack(self, region: str, documents: Mapping[str, bytes]) -> dict[str, bytes]:
        """Documents by the ids of their rows, compressed and sealed."""

    async def unpack(self, region: str, packed: Mapping[str, bytes]) -> dict[str, bytes]:
        """The same back. Raises Refusal 503 for one that does not open."""

    def marks(
        self, region: str, org: str, subjects: Sequence[tuple[str, str]]
    ) -> list[bytes | None]:
        """Hashes of users and sessions (kind, id), by which a deletion finds copies; None for
        nobody. Does not block."""
