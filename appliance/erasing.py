"""What deletions of a running server reach, wired to its region and its rings of keys."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import trio

from appliance.actors.eraser import Take, Work
from appliance.actors.roller import FAILURES, DeletionRefused
from appliance.control_commands import check_whole, run_query
from appliance.core.erasure import span_of
from appliance.errors import Refusal
from storage.dataset_copies import subject_key, subject_mark
from storage.erasures import Erasure

if TYPE_CHECKING:
    from appliance.actors.key_ring import KeyRing
    from appliance.actors.provider_keys import ProviderKeys
    from appliance.actors.region import Region

T = TypeVar("T")

FIND_WAIT_S = 60.0
BEGIN_US = -(2**62)  # before all times that records have

CONDITIONS = {
    "request": "CAST(request_id AS VARCHAR) = ?",
    "session": "session_id = ?",
    "user": "user_id = ?",
    "organization": "? = ''",
    "span": (
        "request_created_at >= make_timestamp(CAST(? AS BIGINT))"
        " AND request_created_at < make_timestamp(CAST(? AS BIGINT))"
    ),
}


class StoresOf:
    """One region's."""

    failures: tuple[type[Exception], ...] = (*FAILURES, DeletionRefused)

    def __init__(self, region: Region, ring: KeyRing, keys: ProviderKeys) -> None:
        self._region = region
        self._ring = ring
        self._keys = keys

    async def read(self, work: Work[T]) -> T:
        """Through the ring's own connection: nothing has to be opened for it."""
        return await self._ring.ask(lambda state: state.read(work))

    async def write(self, work: Work[T]) -> T:
        """In one transaction."""
        return await self._ring.ask(lambda state: state.write(work))

    async def find(self, row: Erasure, take: Take) -> None:
        """As the database has it, once it has all that ended before. Raises Refusal 503 when that
        takes too long: what is not found would not be deleted."""
        with trio.move_on_after(FIND_WAIT_S) as waiting:
            await self._region.journal.wait_written()  # what is in memory alone is no row yet
        if waiting.cancelled_caught or await self._region.ingest.caught_up(FIND_WAIT_S) is not None:
            raise Refusal(503, "analytics_behind", "the database does not have all requests yet")

        async def page(_: list[tuple[str, str]], rows: list[tuple[Any, ...]]) -> None:
            if rows:
                await take(
                    [(str(request_id), exchange_id.bytes) for request_id, exchange_id in rows]
                )

        subject: tuple[Any, ...] = ("" if row.kind == "organization" else row.subject,)
        if row.kind == "span":
            span = span_of(row.subject)
            subject = (BEGIN_US if span.since_us is None else span.since_us, span.until_us)
        sql = (
            "SELECT request_id, exchange_id FROM requests "  # noqa: S608 - a condition of ours
            f"WHERE organization_id = CAST(? AS UUID) AND {CONDITIONS[row.kind]}"
        )
        await run_query(self._region, sql, (row.organization_id, *subject), page, whole=True)

    async def kept(self, organization_id: str, exchange_ids: Sequence[bytes]) -> set[bytes]:
        """As the database has it. Raises Refusal 503 while it lacks what it had."""
        check_whole(self._region)
        found: set[bytes] = set()

        async def page(_: list[tuple[str, str]], rows: list[tuple[Any, ...]]) -> None:
            found.update(row[0].bytes for row in rows)

        sql = (
            "SELECT exchange_id FROM unedited_requests WHERE organization_id = CAST(? AS UUID)"
            " AND exchange_id IN ?::UUID[]"
        )
        ids = [str(uuid.UUID(bytes=one)) for one in exchange_ids]
        await run_query(self._region, sql, (organization_id, ids), page, whole=True)
        return found

    async def forget(self, selector: Mapping[str, Any]) -> int:
        """By the roller."""
        return await self._region.roller.forget(selector)

    async def finish(self) -> None:
        """By the roller."""
        await self._region.roller.finish_deletions()

    def marks(self, row: Erasure) -> Sequence[bytes]:
        """Of copies in datasets, by the vault of the region."""
        if row.kind not in ("user", "session"):
            return ()
        key = subject_key(self._region.vault)
        mark = subject_mark(key, row.organization_id, row.kind, row.subject)
        return [mark] if mark else []

    async def close_access(self, org: bytes) -> None:
        """Through the ring of provider keys, which has a copy of its own."""
        for row in await self._keys.list_keys(org):
            await self._keys.remove(org, row.id)

    async def reload(self) -> None:
        """The keys on file, and no others."""
        await self._ring.load()
