"""A region's webhooks over a real state store and a real database, and receivers of all kinds."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import trio

from appliance.actors.webhooks import Ways, Webhooks
from appliance.errors import Refusal
from storage import webhook_tables as table
from storage.batch import Batch
from storage.frames import Position
from storage.vault import VaultError
from tests.actors.hooks_kit import InlineTables, WallClock
from tests.storage.analytics_rows import ORG, body_row, opened, request_row


class FakeIngest:
    """The database, and where it has come to."""

    def __init__(self) -> None:
        self.analytics = opened(None)
        self.position = Position(1, 0)
        self._progress = trio.Event()
        self.queries: list[str] = []
        self.broken = False

    async def wait_past(self, position: Position) -> None:
        while self.position <= position:
            await self._progress.wait()

    def add(self, *numbers: int, org: bytes = ORG, **more: Any) -> None:
        batch = Batch()
        for number in numbers:
            offset = number * 10
            row = request_row(number, organization_id=org, segment=1, frame_offset=offset, **more)
            body = body_row(number, organization_id=org, segment=1, frame_offset=offset)
            batch.add_exchange(row, body, 0)
        end = Position(1, max(numbers) * 10 + 9)
        self.analytics.ingest(batch, end)
        self.position = end
        self._progress.set()
        self._progress = trio.Event()

    async def query(self, sql: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        await trio.lowlevel.checkpoint()
        if self.broken:
            raise Refusal(503, "analytics_busy", "not now")
        self.queries.append(sql)
        rows: list[tuple[Any, ...]] = []
        with self.analytics.query(sql, parameters) as query:
            while page := query.fetch():
                rows += page
        return rows


@dataclass
class Receiver:
    """What came, and what it does with it: a status, an exception, or a number of seconds to be
    slow before 200."""

    answers: list[Any] = field(default_factory=list)
    usual: Any = 200
    got: list[tuple[str, Mapping[str, str], bytes]] = field(default_factory=list)
    at_s: list[float] = field(default_factory=list)
    open: int = 0
    most_open: int = 0

    async def take(self, url: str, headers: Mapping[str, str], body: bytes) -> int:
        self.got.append((url, headers, body))
        self.at_s.append(trio.current_time())
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            answer = self.answers.pop(0) if self.answers else self.usual
            if isinstance(answer, Exception):
                await trio.lowlevel.checkpoint()
                raise answer
            if isinstance(answer, float):
                await trio.sleep(answer)
                return 200
            await trio.sleep(0.01)
            return answer
        finally:
            self.open -= 1

    @property
    def requests(self) -> list[str]:
        return [json.loads(body)["request_id"] for _, _, body in self.got]

    @property
    def ids(self) -> list[str]:
        return [headers["Helicone-Delivery-Id"] for _, headers, _ in self.got]


class Bench:
    """One region's webhooks and what is around them."""

    def __init__(self, tables: InlineTables) -> None:
        self.tables = tables
        self.ingest = FakeIngest()
        self.receivers: dict[str, Receiver] = {}
        self.clock = WallClock()
        self.url: str | None = "https://here.example/v1/signed"
        self.actor = self._new()

    def _new(self) -> Webhooks:
        def unseal(webhook_id: str, sealed: bytes) -> str:
            if sealed == b"damaged":
                raise VaultError("no")
            return sealed.decode()

        ways = Ways(
            self.ingest.query,
            self._send,
            lambda exchange: self.url and f"{self.url}/{exchange}",
            unseal,
        )
        tables: Any = self.tables
        return Webhooks(tables, self.ingest, ways, clock=self.clock, draw=lambda: 0.5)

    async def _send(self, url: str, headers: Mapping[str, str], body: bytes) -> int:
        return await self.receivers[url].take(url, headers, body)

    def add(self, name: str, receiver: Receiver | None = None, **more: Any) -> Receiver:
        """A webhook to `name`, as the API makes one."""
        url = f"https://{name}.example/"
        known = {
            "id": str(uuid.uuid5(uuid.NAMESPACE_URL, url)), "org": ORG, "destination": url,
            "sample_percent": 100.0, "filters": "[]", "include_data": True, "is_active": True,
            "sealed": b"key of " + name.encode(), "since": self.ingest.position, **more,
        }  # fmt: skip
        row = table.WebhookRow(**known)
        assert self.tables.tables.write(partial(table.add_webhook, row=row))
        self.receivers[url] = found = receiver or Receiver()
        self.actor.changed()
        return found

    def rows(self) -> list[table.WebhookRow]:
        return self.tables.tables.read(partial(table.webhooks_of, org=ORG))

    def change(self, name: str, **more: Any) -> None:
        (row,) = [row for row in self.rows() if name in row.destination]
        self.tables.tables.write(partial(table.change_webhook, row=replace(row, **more)))
        self.actor.changed()

    def deliveries(self, name: str = "") -> list[table.Delivery]:
        found: list[table.Delivery] = []
        for row in self.rows():
            if name in row.destination:
                found += self.tables.tables.read(
                    partial(
                        table.deliveries_of,
                        webhook_id=row.id,
                        state=None,
                        before=None,
                        limit=20_000,
                    )
                )
        return found

    def states(self, name: str = "") -> dict[str, int]:
        found = [row.state for row in self.deliveries(name)]
        return {state: found.count(state) for state in set(found)}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with trio.open_nursery() as nursery:
            await nursery.start(self.actor.run)
            yield
            self.actor.close()
        self.actor = self._new()
