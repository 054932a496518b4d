"""After a crash: the holds of the process that is gone are settled by what the journal tells.

The frame of an exchange carries its holds with their costs (`features/pay.py`), and lies behind the
place where the journal stood when the hold was made.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import trio

from appliance.actors.wallet import WalletDown
from storage.frames import KIND_EXCHANGE, Position, decode_exchange
from storage.reader import Damage, read_frames
from storage.vault import SegmentKeys

if TYPE_CHECKING:
    from appliance.actors.region import Region
    from appliance.log import Log

RETRY_FIRST_S = 0.5
RETRY_MAX_S = 30.0
HOLD_ID_BYTES = 16

Told = tuple[bytes, int | None]


async def settle_left(region: Region, log: Log) -> None:
    """Once the wallet is loaded, and until it is done: until then these holds stay held."""
    wallet, pause_s = region.wallet, RETRY_FIRST_S
    await wallet.loaded.wait()
    while (since := wallet.recover_from) is not None:
        upto = region.journal.written
        try:
            told = await trio.to_thread.run_sync(
                holds_since, region.directory, since, upto, region.keys
            )
            done = await wallet.recover(told)
        except (WalletDown, OSError) as error:
            log.failure("wallet", f"what a crash left is not settled yet: {error}")
            await trio.sleep(pause_s)
            pause_s = min(pause_s * 2, RETRY_MAX_S)
        else:
            log.info("wallet", settled=done.settled, charged_input=done.charged_input)


def holds_since(
    root: Path, since: tuple[int, int], upto: Position, keys: SegmentKeys | None
) -> list[Told]:
    """Holds and their costs in pico-USD, in the order of their frames; None: not known. Blocking.
    Raises OSError; damaged bytes are passed over, ingest reports them."""
    told: list[Told] = []
    for frame in read_frames(root, Position(*since), upto=upto, keys=keys, on_damage=_ignore):
        if frame.kind == KIND_EXCHANGE:
            told += _told(frame.payload)
    return told


def _told(payload: bytes) -> Iterator[Told]:
    try:
        meta: dict[str, Any] = decode_exchange(payload)[0]
    except ValueError:
        return
    for hold_id, cost_pico in meta.get("holds", ()):
        assert len(hold_id) == HOLD_ID_BYTES, "written by us"
        yield hold_id, cost_pico


def _ignore(_damage: Damage) -> None:
    """Known from elsewhere."""
