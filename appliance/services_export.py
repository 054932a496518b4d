"""Large answers: DuckDB writes them into a file that has no name, and the file is sent."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, BinaryIO

import trio

from appliance.control_commands import run_copy
from appliance.errors import Refusal
from appliance.readers import in_thread

if TYPE_CHECKING:
    from appliance.actors.region import Region

# So much of the disk stays free: the journal's room comes before anybody's export.
DISK_LEFT_BYTES = 2 * 2**30


class ExportsOf:
    """The stores of one server's regions."""

    def __init__(self, regions: Mapping[str, Region], ending: trio.Event) -> None:
        self._regions = regions
        self._ending = ending

    async def parquet(
        self, region: str, sql: str, parameters: list[Any], *, bytes_expected: int
    ) -> BinaryIO:
        """The file is unlinked before its first byte is read: a crash leaves at most one that was
        being written, in the folder that each start empties."""
        kept = self._regions[region]
        if kept.keys is not None:
            raise Refusal(
                422, "format_encrypted",
                "format: a Parquet file would lie on the disk in clear, and this region is "
                "encrypted; take ndjson or csv.",
            )  # fmt: skip
        if shutil.disk_usage(kept.directory).free < bytes_expected + DISK_LEFT_BYTES:
            raise Refusal(
                507, "disk_full",
                "The disk has no room for this file: take ndjson or csv, or a shorter time.",
            )  # fmt: skip
        path = kept.directory / "tmp" / f"export-{uuid.uuid4().hex}.parquet"
        try:
            await run_copy(kept, sql, tuple(parameters), path)
            return await in_thread(path.open, "rb")
        finally:
            path.unlink(missing_ok=True)  # a name, not the bytes: those go with the descriptor

    async def changed(self, region: str, wait_s: float) -> bool:
        """After ingest's next batch, which is not hurried: it gathers as it does for nobody."""
        with trio.move_on_after(wait_s):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._until_the_end, nursery.cancel_scope)
                await self._regions[region].ingest.wait_advanced()
                nursery.cancel_scope.cancel()
        return not self._ending.is_set()

    async def _until_the_end(self, waiting: trio.CancelScope) -> None:
        await self._ending.wait()
        waiting.cancel()
