"""Records that were made elsewhere, on their way into a journal: a running server's, or that of a
directory which this command holds. What is there already is known by its id and left out by ingest.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from appliance.core.imported import exchange_id_of, imported
from appliance.errors import Refusal
from storage.frames import FLAG_REWRITTEN, KIND_EXCHANGE, BodyPacker, Part, encode_exchange
from storage.journal import Ticket

INLINE_BYTES_MAX = 256 * 1024

Append = Callable[[int, bytes, bytes, int], Ticket | None]
Store = Callable[[bytes], Awaitable[list[Part]]]  # a large body, into a blob


async def take_records(
    rows: Iterable[object], org: bytes, append: Append, store: Store
) -> tuple[dict[str, Any], Ticket | None]:
    """One frame for each row; those that cannot be read are counted, the first of them named."""
    packer = BodyPacker()
    taken, refused, first = 0, 0, ""
    last: Ticket | None = None
    for row in rows:
        try:
            if not isinstance(row, Mapping):
                raise Refusal(400, "import_invalid", "a row is no object")
            facts, request, response = imported(row)
        except Refusal as refusal:
            refused += 1
            first = first or refusal.message
            continue
        now_us = time.time_ns() // 1000
        facts["exchange_id"] = exchange_id_of(org, facts.pop("import_id"), facts["created_at_us"])
        facts["recorded_at_us"] = now_us
        sides: list[list[Part]] = []
        for data in (request, response):
            small = len(data) <= INLINE_BYTES_MAX
            sides.append(packer.pack(data) if small else await store(data))
        payload = encode_exchange(facts, sides[0], sides[1])
        # As a frame that was written twice: it goes in unless its id is known.
        last = append(KIND_EXCHANGE, org, payload, FLAG_REWRITTEN) or last
        taken += 1
    return {"taken": taken, "refused": refused, "first_refused": first}, last
