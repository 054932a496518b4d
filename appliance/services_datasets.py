"""Copies in datasets as the REST API sees them: packed in a thread, sealed by the vault."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import trio

from appliance.errors import Refusal
from storage.dataset_copies import CopyDamaged, pack, subject_key, subject_mark, unpack
from storage.vault import Vault

# Compressing lets others run, and one at a time is as fast as a disk takes it.
_threads = trio.CapacityLimiter(1)


class CopiesOf:
    """The vaults of one server's regions."""

    def __init__(self, vaults: Mapping[str, Vault]) -> None:
        self._vaults = vaults

    async def pack(self, region: str, documents: Mapping[str, bytes]) -> dict[str, bytes]:
        """In a thread."""
        vault = self._vaults[region]
        return await trio.to_thread.run_sync(
            lambda: {row_id: pack(vault, row_id, text) for row_id, text in documents.items()},
            limiter=_threads,
        )

    async def unpack(self, region: str, packed: Mapping[str, bytes]) -> dict[str, bytes]:
        """In a thread."""
        vault = self._vaults[region]
        try:
            return await trio.to_thread.run_sync(
                lambda: {row_id: unpack(vault, row_id, data) for row_id, data in packed.items()},
                limiter=_threads,
            )
        except CopyDamaged as error:
            raise Refusal(
                503, "copy_damaged", f"A row of this dataset does not open: {error}"
            ) from None

    def marks(
        self, region: str, org: str, subjects: Sequence[tuple[str, str]]
    ) -> list[bytes | None]:
        """HMACs."""
        key = subject_key(self._vaults[region])
        return [subject_mark(key, org, kind, subject) for kind, subject in subjects]
