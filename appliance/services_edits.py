"""Edits of the REST API become frames of the journal, and are waited for."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from appliance.api.services_edits import Edit
from storage.frames import KIND_FEEDBACK, KIND_PROPERTY, KIND_SCORE

if TYPE_CHECKING:
    from appliance.actors.region import Region

KINDS = {"score": KIND_SCORE, "feedback": KIND_FEEDBACK, "property": KIND_PROPERTY}
BOOLEAN = "boolean"
SEEN_WAIT_S = 1.0


class EditsOf:
    """The journals of one server's regions."""

    def __init__(self, regions: Mapping[str, Region]) -> None:
        self._regions = regions

    async def add(self, region: str, org: bytes, edits: Sequence[Edit]) -> float | None:
        """Append all, then wait for the disk as a reply does, and for ingest."""
        kept = self._regions[region]
        at_us = time.time_ns() // 1000
        tickets = [kept.append(KINDS[edit.kind], org, payload_of(edit, at_us)) for edit in edits]
        for ticket in tickets:
            if ticket is not None:
                await kept.settle(ticket)
        return await kept.ingest.caught_up(SEEN_WAIT_S)


def payload_of(edit: Edit, at_us: int) -> bytes:
    """The frame's payload, as actors/frame_rows.py reads it."""
    told = {
        "exchange_id": edit.exchange_id,
        "request_id": edit.request_id,
        "name": edit.name,
        "value": edit.value,
        "edited_at_us": at_us,
    }
    if edit.boolean:
        told["text"] = BOOLEAN
    return msgspec.msgpack.encode(told)
