"""What the lake's helper is told: which segments to roll, and values as JSON can carry them."""

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from storage.frames import Position
from storage.segment import FOOTER_BYTES, SegmentInfo
from storage.vault import SegmentKeys


def rollable(
    found: Sequence[SegmentInfo], upto_segment: int, ingested: Position
) -> list[SegmentInfo]:
    """Closed segments after the lake's last whose every frame the queries have seen."""
    ready = []
    for segment in found:
        if segment.number <= upto_segment:
            continue
        # A double could come of rolling what ingest is still reading. No frame is as short as a
        # footer, so less than that behind its position is none.
        end = Position(segment.number, segment.bytes - FOOTER_BYTES)
        if not segment.closed or ingested < end:
            break
        ready.append(segment)
    return ready


def within(ready: Sequence[SegmentInfo], bytes_max: int) -> list[SegmentInfo]:
    """As many of the oldest as fit, at least one."""
    chosen: list[SegmentInfo] = []
    for segment in ready:
        if chosen and sum(s.bytes for s in chosen) + segment.bytes > bytes_max:
            break
        chosen.append(segment)
    return chosen


def as_json(selector: Mapping[str, Any]) -> dict[str, Any]:
    found = dict(selector)
    if found.get("exchange_ids") is not None:
        found["exchange_ids"] = [to_text(exchange_id) for exchange_id in found["exchange_ids"]]
    if found.get("organization") is not None:
        found["organization"] = to_text(found["organization"])
    return found


def packed_keys(keys: SegmentKeys | None) -> dict[str, Any] | None:
    """Keys go through the pipe, never by argument or environment, which others can read."""
    if keys is None:
        return None
    current = keys.current  # first: a rotation meanwhile adds the key before it counts
    epochs = {str(epoch): to_text(key) for epoch, key in keys.epochs.items()}
    return {"current": current, "epochs": epochs}


def to_text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def to_bytes(text: str) -> bytes:
    return base64.b64decode(text)
