"""Blobs that no frame names: a process was killed between keeping a body and writing its record,
or had to drop the record. Nothing else would ever remove them.
"""

from collections.abc import Iterable

import msgspec

from storage.frames import KIND_EXCHANGE, PART_BLOB, Position, decode_exchange
from storage.lake import Lake, unlink_blobs
from storage.reader import Damage, read_frames


def sweep_blobs(lake: Lake, names: Iterable[str]) -> int:
    """Removes those of `names` that nothing names; how many. Blobs of a running process must not
    be among them: their frames may not be written yet.

    Does nothing while there are frames that cannot be read: they may name any of them.
    """
    unnamed = set(names)
    if not unnamed or any((lake.root / "quarantine").glob("*.seg")):
        return 0
    damages: list[Damage] = []
    frames = read_frames(lake.root, Position(0, 0), keys=lake.keys, on_damage=damages.append)
    for frame in frames:
        if frame.kind != KIND_EXCHANGE:
            continue
        try:
            _, request, response = decode_exchange(frame.payload)
        except msgspec.MsgspecError:
            return 0
        unnamed.difference_update(p[1] for p in (*request, *response) if p[0] == PART_BLOB)
    if damages:
        return 0
    unnamed.difference_update(lake.manifest.blobs)  # their turn comes with the next view
    unlink_blobs(lake.root, unnamed)
    return len(unnamed)
