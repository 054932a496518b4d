"""What a server does for a backup: it holds a copy of a region as it is at one moment, for as long
as the command that packs it stays connected.
"""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import trio

from appliance.door.control import ControlReply
from appliance.errors import Refusal
from storage import backup
from storage.backup_pieces import BackupRefused
from storage.frames import Position

if TYPE_CHECKING:
    from appliance.actors.region import Region

PREFIX: Final = "backup-"
WRITTEN_S: Final = 30.0  # for the journal to have left memory


async def hold_for_backup(region: Region, reply: ControlReply) -> None:
    """Answer with the files of the copy, and keep them until the client hangs up: its cancelling
    this is the usual end. Proxied calls notice nothing. Raises Refusal 503."""
    folder = region.directory / "tmp" / f"{PREFIX}{secrets.token_hex(8)}"

    async def written() -> Position:
        with trio.fail_after(WRITTEN_S):
            await region.journal.wait_written()
        return region.journal.written

    def hold() -> list[list[Any]]:
        entries = backup.hold(region.directory, folder, lambda: trio.from_thread.run(written))
        return [[entry.name, str(entry.path), entry.bytes] for entry in entries]

    try:
        await reply.value(await _held(region, hold))
        await trio.sleep_forever()
    finally:
        with trio.CancelScope(shield=True):  # bounded by the size of the folder
            await trio.to_thread.run_sync(lambda: shutil.rmtree(folder, ignore_errors=True))


async def _held(region: Region, hold: Callable[[], list[list[Any]]]) -> list[list[Any]]:
    if region.degraded is not None:
        raise Refusal(503, "degraded", f"the journal is degraded: {region.degraded}")
    try:
        async with region.roller.still():
            return await trio.to_thread.run_sync(hold)
    except trio.TooSlowError:
        raise Refusal(503, "journal_slow", "the journal could not be written in time") from None
    except (OSError, BackupRefused) as error:
        raise Refusal(503, "backup_failed", str(error)) from None
