"""Carries out deletions that were asked for: journal, lake, database and cache by the roller, the
small tables by itself. Each is on the disk before it begins, so that a crash leaves it waiting and
the next start goes on; done twice it finds nothing the second time.
"""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final, Protocol, TypeVar

import trio

from appliance.core.erasure import span_of
from appliance.errors import Refusal
from storage.audit import Act, add_act
from storage.erasures import (
    Erasure,
    copies_within,
    done,
    erase_copies,
    erase_organization,
    erase_rows,
    waiting,
)

T = TypeVar("T")

RETRY_FIRST_S: Final = 5.0
RETRY_MAX_S: Final = 60.0  # a disk that is well again must not look ill for long
COPIES_AT_ONCE: Final = 1000
# What journal, lake and database must do once for each deletion is done once for so many requests.
REQUESTS_AT_ONCE: Final = 500

Work = Callable[[sqlite3.Connection], T]
# Ids of requests with those of their exchanges.
Take = Callable[[Sequence[tuple[str, bytes]]], Awaitable[None]]


class Stores(Protocol):
    """What the eraser needs of its region. All may raise what `failures` names, and Refusal."""

    failures: tuple[type[Exception], ...]

    async def read(self, work: Work[T]) -> T:
        """Of the state store."""

    async def write(self, work: Work[T]) -> T:
        """In one transaction."""

    async def find(self, row: Erasure, take: Take) -> None:
        """Hand over what is meant, in pages."""

    async def kept(self, organization_id: str, exchange_ids: Sequence[bytes]) -> set[bytes]:
        """Which of these are still on record."""

    async def forget(self, selector: Mapping[str, Any]) -> int:
        """Of journal, lake, database and cache; how many exchanges. `finish` is a part of it."""

    async def finish(self) -> None:
        """What earlier attempts left half done."""

    def marks(self, row: Erasure) -> Sequence[bytes]:
        """What copies of a user's or a session's requests are marked with. Does not block."""

    async def close_access(self, org: bytes) -> None:
        """Providers' keys of an organisation go before anything else of it."""

    async def reload(self) -> None:
        """Keys that were removed open nothing any more."""


class Eraser:
    """One per region."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores
        self._failures: tuple[type[Exception], ...] = (*stores.failures, Refusal, ValueError)
        self._asked = trio.Event()
        self._closing = False
        self._scope = trio.CancelScope()
        self._waiting = 0
        self.trouble = ""

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Go on with what waits, then with whatever is asked for, until `close`."""
        task_status.started()
        if self._closing:
            return
        pause_s = 0.0
        with trio.CancelScope() as self._scope:
            while True:
                self._asked = trio.Event()
                if await self._carry_out():
                    pause_s = 0.0
                    await self._asked.wait()
                else:
                    pause_s = min(RETRY_MAX_S, max(RETRY_FIRST_S, 2 * pause_s))
                    with trio.move_on_after(pause_s):
                        await self._asked.wait()  # what was asked for in between tries all again

    def close(self) -> None:
        """`run` returns; what is under way is taken up by the next start."""
        self._closing = True
        self._scope.cancel("the server ends")

    def wake(self) -> None:
        """Something was asked for."""
        self._asked.set()

    @property
    def inbox(self) -> int:
        """How many wait."""
        return self._waiting

    async def _carry_out(self) -> bool:
        """All that waits. False: something failed, and is tried again."""
        try:
            rows = await self._stores.read(waiting)
        except self._failures:
            return False  # the ring of keys says that its store is broken
        try:
            self._waiting = len(rows)
            for group in _together(rows):
                await self._erase(group)
                self._waiting -= len(group)
        except self._failures as error:
            self.trouble = f"a deletion waits: {type(error).__name__}"
            return False
        self._waiting = 0
        self.trouble = ""
        return True

    async def _erase(self, rows: Sequence[Erasure]) -> None:
        """Several requests of one organisation, or one deletion of another kind. An organisation's
        access first: nothing new comes in behind. Then rows that name the requests, while it can
        still be told which they are; then the requests."""
        stores, first = self._stores, rows[0]
        org = uuid.UUID(first.organization_id).bytes
        closed = 0
        if first.kind == "organization":
            await stores.close_access(org)
            closed = await stores.write(lambda c: erase_organization(c, first.organization_id))
            await stores.reload()
        named = [await self._erase_named(row) for row in rows]
        exchanges = [exchange_id for _, found in named for exchange_id in found]
        forgotten = 0
        if first.kind == "request" and not exchanges:
            # An attempt that failed may have made them unfindable, and left their text in a file.
            await stores.finish()
        else:
            forgotten = await stores.forget(_selector(first, org, exchanges))

        def finish(connection: sqlite3.Connection) -> None:
            for row, (gone, ids) in zip(rows, named, strict=True):
                found = len(ids) if row.kind == "request" else forgotten
                done(connection, row.id, found)
                detail = {"kind": row.kind, "exchanges": found, "rows": closed + gone}
                act = Act(row.organization_id, row.asked_by, "deletion.done", row.id, detail)
                add_act(connection, act)

        await stores.write(finish)

    async def _erase_named(self, row: Erasure) -> tuple[int, list[bytes]]:
        """How many rows that name what is meant are gone; for a request also its exchanges."""
        stores, gone = self._stores, 0
        exchanges: list[bytes] = []

        async def take(page: Sequence[tuple[str, bytes]]) -> None:
            nonlocal gone
            if row.kind == "request":
                exchanges.extend(exchange_id for _, exchange_id in page)
            gone += await stores.write(lambda c: erase_rows(c, row.organization_id, page))

        await stores.find(row, take)
        return gone + await self._erase_copies(row), exchanges

    async def _erase_copies(self, row: Erasure) -> int:
        """Copies outlive their requests: those that cannot be found any more are meant as well.
        When a request was created, its copy does not say: of one that is gone it counts when it
        was recorded."""
        stores, org = self._stores, row.organization_id
        if row.kind == "organization":
            return 0
        if row.kind == "span":
            span = span_of(row.subject)
            copied = await stores.read(lambda c: copies_within(c, org, *span))
            gone = 0
            for start in range(0, len(copied), COPIES_AT_ONCE):
                some = copied[start : start + COPIES_AT_ONCE]
                kept = await stores.kept(org, some)
                left = [one for one in some if one not in kept]
                gone += await stores.write(
                    partial(erase_copies, organization_id=org, exchange_ids=left)
                )
            return gone
        of_request = [(row.subject, b"")] if row.kind == "request" else []
        session = row.subject if row.kind == "session" else ""
        marks = stores.marks(row)
        return await stores.write(lambda c: erase_rows(c, org, of_request, session, marks))


def _together(rows: Sequence[Erasure]) -> Iterator[list[Erasure]]:
    """In their order: requests of one organisation that follow each other, all else alone."""
    group: list[Erasure] = []
    for row in rows:
        fits = row.kind == "request" and len(group) < REQUESTS_AT_ONCE
        if group and not (fits and _whose(row) == _whose(group[-1])):
            yield group
            group = []
        group.append(row)
    if group:
        yield group


def _whose(row: Erasure) -> tuple[str, str]:
    return row.kind, row.organization_id


def _selector(row: Erasure, org: bytes, exchanges: list[bytes]) -> dict[str, Any]:
    """What the roller is asked to forget."""
    selector: dict[str, Any] = {"organization": org}
    if row.kind == "request":
        selector["exchange_ids"] = exchanges
    elif row.kind == "span":
        span = span_of(row.subject)
        selector |= {"created_since_us": span.since_us, "created_until_us": span.until_us}
    elif row.kind != "organization":
        selector[f"{row.kind}_id"] = row.subject
    return selector
