"""Webhooks of one region: a queue in the state store, fed from what is recorded, and its sender.

Nothing here is on the way of a call: exchanges are found in the database once they are committed
and fsynced, so a receiver that is down or slow, or this actor itself, holds nobody up. The place up
to which the records were looked through is stored with the deliveries found there: a process that
is killed goes on where it was, and sends at worst again what it had sent, under the same id.
"""

from __future__ import annotations

import logging
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final, NamedTuple, Protocol

import trio

from appliance.actors.metrics import Sample
from appliance.actors.tables import Tables
from appliance.actors.webhook_texts import Recorded, encoded, read_recorded
from appliance.core import webhooks
from appliance.core.webhooks import Webhook
from appliance.errors import Refusal, UpstreamFailed
from storage import webhook_tables as table
from storage.frames import Position
from storage.vault import VaultError

log = logging.getLogger(__name__)

FEED_ROWS_MAX: Final = 300  # looked at on the loop in well under a millisecond
SENDING_MAX: Final = 16  # at once, of all webhooks
SENDING_OF_ONE_MAX: Final = 4  # so that a slow receiver leaves room for others
ATTEMPT_S: Final = 90.0  # what a receiver of Helicone's has
LOOK_S: Final = 20.0  # the clock on the wall may jump while we wait
RETRY_S: Final = 5.0  # after a store could not be used
GATHER_S: Final = 0.02  # outcomes of one transaction
ERROR_CHARACTERS_MAX: Final = 300
# As the metrics name what became of attempts, and as `counts` does.
COUNTED: Final = (
    ("sent", "delivered"), ("failed", "failed"), ("retried", "retried"), ("dropped", "dropped"),
)  # fmt: skip

FEED_SQL: Final = (
    "SELECT exchange_id, request_id, organization_id, segment, frame_offset FROM frames "
    "WHERE organization_id IN (SELECT unnest($1::UUID[])) AND segment >= $2 "
    "AND (segment > $2 OR frame_offset >= $3) ORDER BY segment, frame_offset LIMIT $4"
)
# Requests alone: no steps of a trace (tools, databases), and not what an import brings of old.
PROPERTIES_SQL: Final = (
    "SELECT exchange_id, properties FROM requests WHERE exchange_id IN $1::UUID[] "
    "AND exchange_id BETWEEN CAST($2 AS UUID) AND CAST($3 AS UUID) "
    "AND step IS NULL AND source IS DISTINCT FROM 'import'"
)

Query = Callable[[str, Sequence[Any]], Awaitable[Sequence[tuple[Any, ...]]]]
Send = Callable[[str, Mapping[str, str], bytes], Awaitable[int]]


class Records(Protocol):
    """What the feed needs of ingest."""

    @property
    def position(self) -> Position: ...
    async def wait_past(self, position: Position) -> None: ...


class Ways(NamedTuple):
    """How the actor reaches the rest. `query` asks the region's database; `send` POSTs and gives
    the status; `url` makes the link to an exchange's bodies, None without public_url; `unseal`
    opens an HMAC key."""

    query: Query
    send: Send
    url: Callable[[str], str | None]
    unseal: Callable[[str, bytes], str]


class Webhooks:
    """An actor. `changed` tells it that somebody has changed the tables."""

    def __init__(
        self,
        tables: Tables,
        records: Records,
        ways: Ways,
        *,
        clock: Callable[[], float] = time.time,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._tables = tables
        self._records = records
        self._ways = ways
        self._clock = clock
        self._draw = draw
        self._webhooks: dict[str, Webhook] = {}
        self._since: dict[str, Position] = {}
        self._position = Position(0, 0)
        self._fresh = False  # whether what is in memory is what the tables say
        self._news = trio.Event()  # for the feed: the tables changed
        self._work = trio.Event()  # for the sender: something to send, or an outcome
        self._closing = trio.Event()
        self._in_flight: dict[str, str] = {}  # delivery to webhook, until its outcome is noted
        self._outcomes: list[table.Outcome] = []
        self._troubles: dict[str, str] = {}
        self.counts: Counter[str] = Counter()  # delivered, failed, retried, dropped
        self.waiting = 0  # as of the last look

    @property
    def inbox(self) -> int:
        """Deliveries under way."""
        return len(self._in_flight)

    @property
    def trouble(self) -> str:
        """Stores that cannot be used."""
        return "; ".join(sorted(set(self._troubles.values())))

    def gauges(self, region: str) -> Iterator[Sample]:
        """For the metrics."""
        labels = {"region": region}
        for name, count in COUNTED:
            yield f"webhook_{name}_total", labels, self.counts[count]
        yield "webhook_waiting", labels, self.waiting

    def changed(self) -> None:
        """Read the tables anew."""
        self._fresh = False
        _wake(self, "_news")
        _wake(self, "_work")

    def close(self) -> None:
        """Send nothing any more: what is under way is cut off, and sent after the next start."""
        self._closing.set()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Until `close`."""
        self._in_flight.clear()
        self._outcomes.clear()
        self._fresh = False
        task_status.started()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._keep, "feed", self._feed)
            nursery.start_soon(self._keep, "sender", partial(self._deliver_due, nursery))
            await self._closing.wait()
            nursery.cancel_scope.cancel("webhooks are closed")
        with suppress(Refusal):  # then it is sent once more after the next start
            await self._note_outcomes()

    async def _keep(self, name: str, step: Callable[[], Awaitable[None]]) -> None:
        """One step after the other. A store that cannot be used is waited for."""
        while True:
            try:
                await step()
                self._troubles.pop(name, None)
            except Refusal as refusal:
                self._troubles[name] = refusal.message
                await trio.sleep(RETRY_S)

    # -- what is to be delivered

    async def _feed(self) -> None:
        """Look through the records that are new, or wait for some."""
        news = self._news
        await self._refresh()
        self._troubles.pop("feed", None)  # what follows may wait for long
        if not self._webhooks:
            await news.wait()
            return
        goal = self._records.position
        if goal <= self._position:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_then_cancel, news.wait, nursery.cancel_scope)
                await self._records.wait_past(self._position)
                nursery.cancel_scope.cancel("there are records")
            return
        # By their texts: DuckDB's binding takes UUIDs of a list as these alone.
        orgs = sorted({webhook.org.hex() for webhook in self._webhooks.values()})
        rows = await self._ways.query(FEED_SQL, [orgs, *self._position, FEED_ROWS_MAX])
        wanted = await self._wanted(rows)
        if len(rows) == FEED_ROWS_MAX:
            segment, offset = rows[-1][3:]
            goal = Position(segment, offset + 1)
        now_us = int(self._clock() * 1e6)
        dropped = await self._tables.write(
            partial(table.feed, wanted=wanted, upto=goal, now_us=now_us)
        )
        self.counts["dropped"] += dropped
        self._position = goal
        if wanted:
            _wake(self, "_work")

    async def _refresh(self) -> None:
        """The active webhooks, and from where on they are to be served."""
        if self._fresh:
            return
        self._fresh = True
        try:
            rows, position = await self._tables.read(
                lambda connection: (table.active_webhooks(connection), table.read_feed(connection))
            )
            found, since = {}, {}
            for row in rows:
                if (opened := self._opened(row)) is not None:
                    found[row.id], since[row.id] = opened, row.since
        except BaseException:
            self._fresh = False
            raise
        self._webhooks, self._since = found, since
        # Nobody wants what was recorded while there was no webhook.
        first = min(since.values(), default=position)
        self._position = max(self._position, position, first)
        _wake(self, "_work")

    def _opened(self, row: table.WebhookRow) -> Webhook | None:
        """None for one whose key does not open: it is named in the log, the others go on."""
        try:
            key = self._ways.unseal(row.id, row.sealed)
        except VaultError as error:
            log.error("the key of the webhook %s: %s", row.id, error)
            return None
        filters = webhooks.read_filters(row.filters)
        return Webhook(
            row.id, row.org, row.destination, row.sample_percent, filters, row.include_data, key
        )

    async def _wanted(self, rows: Sequence[tuple[Any, ...]]) -> list[tuple[str, str, bytes, str]]:
        """Which webhook wants which of these: delivery, webhook, exchange, request."""
        if not rows:
            return []
        ids = [str(row[0]) for row in rows]
        properties: dict[Any, Mapping[str, str] | None] = dict(
            await self._ways.query(PROPERTIES_SQL, [ids, min(ids), max(ids)])
        )
        wanted = []
        for exchange, request, org, *place in rows:
            if exchange not in properties:
                continue
            for webhook in self._webhooks.values():
                if webhook.org != org.bytes or Position(*place) < self._since[webhook.id]:
                    continue
                if webhook.wants(exchange.bytes, properties[exchange] or {}):
                    delivery = webhook.delivery_id(exchange.bytes)
                    wanted.append((delivery, webhook.id, exchange.bytes, str(request)))
        return wanted

    # -- what is delivered

    async def _deliver_due(self, nursery: trio.Nursery) -> None:
        """A round: note what has ended, start what is due, and wait for more of either."""
        work = self._work
        await self._note_outcomes()
        due, coming_us = await self._due()
        await self._start(due, nursery)
        self._troubles.pop("sender", None)
        wait_s = LOOK_S if due or self._in_flight else float("inf")
        if coming_us is not None:
            wait_s = min(max(coming_us / 1e6 - self._clock(), 0.0), LOOK_S)
        with trio.move_on_after(wait_s):
            await work.wait()
            await trio.sleep(GATHER_S)

    async def _due(self) -> tuple[list[table.Delivery], int | None]:
        """Of each webhook at most as many as it has room for."""
        if len(self._in_flight) >= SENDING_MAX:
            return [], None
        busy = Counter(self._in_flight.values())
        # By the table those under way are still waiting, and among the first.
        asked = {
            webhook_id: SENDING_OF_ONE_MAX
            for webhook_id in self._webhooks
            if busy[webhook_id] < SENDING_OF_ONE_MAX
        }
        if not asked:
            if not self._webhooks:
                self.waiting = 0
            return [], None
        now_us = int(self._clock() * 1e6)
        (found, coming_us), self.waiting = await self._tables.read(
            lambda db: (table.due_deliveries(db, asked, now_us), table.count_waiting(db))
        )
        due = []
        for row in sorted(found, key=lambda row: row.next_at_us):
            room = busy[row.webhook_id] < SENDING_OF_ONE_MAX and busy.total() < SENDING_MAX
            if row.id not in self._in_flight and room:
                busy[row.webhook_id] += 1
                due.append(row)
        return due, coming_us

    async def _start(self, due: Sequence[table.Delivery], nursery: trio.Nursery) -> None:
        if not due:
            return
        found = await read_recorded(self._ways.query, {row.exchange_id for row in due})
        for row in due:
            recorded = found.get(row.exchange_id)
            if recorded is None and self._records.position < self._position:
                continue  # the database is being made anew
            self._in_flight[row.id] = row.webhook_id
            nursery.start_soon(self._deliver, row, recorded)

    async def _deliver(self, row: table.Delivery, recorded: Recorded | None) -> None:
        began_s = trio.current_time()
        status, error = None, ""
        try:
            webhook = self._webhooks.get(row.webhook_id)
            if webhook is None or recorded is None:
                error = "the request was deleted" if webhook else "the webhook was removed"
                self._ended(row, "dropped", None, error, None)
                return
            body = await self._body(webhook, recorded)
            headers = webhooks.headers_of(webhook, row.id, body, self._clock())
            status, error = await attempt(
                self._ways.send, webhook.destination, headers, body, ATTEMPT_S
            )
            wait_s = webhooks.wait_s(row.attempts + 1, self._draw())
            state = "delivered" if not error else "waiting" if wait_s is not None else "failed"
            spent_ms = round((trio.current_time() - began_s) * 1000, 1)
            self._ended(row, state, status, error, spent_ms, wait_s or 0.0)
        except Exception as bug:  # of one delivery: the others go on
            log.exception("a delivery broke")
            wait_s = webhooks.wait_s(row.attempts + 1, self._draw())
            state = "waiting" if wait_s is not None else "failed"
            self._ended(row, state, None, type(bug).__name__, None, wait_s or 0.0)
        finally:
            _wake(self, "_work")

    def _ended(
        self,
        row: table.Delivery,
        state: str,
        status: int | None,
        error: str,
        spent_ms: float | None,
        wait_s: float = 0.0,
    ) -> None:
        now_us = int(self._clock() * 1e6)
        self.counts["retried" if state == "waiting" else state] += 1
        self._outcomes.append(
            table.Outcome(
                row.id, state, now_us + int(wait_s * 1e6), now_us, status,
                error[:ERROR_CHARACTERS_MAX], spent_ms,
            )
        )  # fmt: skip

    async def _note_outcomes(self) -> None:
        """Those that cannot be noted now stay for the next round."""
        if outcomes := list(self._outcomes):
            await self._tables.write(partial(table.note_outcomes, outcomes=outcomes))
            del self._outcomes[: len(outcomes)]
            for outcome in outcomes:
                self._in_flight.pop(outcome.id, None)

    async def _body(self, webhook: Webhook, recorded: Recorded) -> bytes:
        url = self._ways.url(str(recorded.row["exchange_id"])) if webhook.include_data else None
        found = webhooks.payload(webhook, recorded.row, recorded.bodies(url), url)
        return await encoded(found)


async def attempt(
    send: Send, url: str, headers: Mapping[str, str], body: bytes, limit_s: float
) -> tuple[int | None, str]:
    """The status, and why it does not count as delivered."""
    try:
        with trio.fail_after(limit_s):
            status = await send(url, headers, body)
    except trio.TooSlowError:
        return None, f"no answer within {limit_s:g} s"
    except (Refusal, UpstreamFailed) as error:
        return None, error.message
    except (OSError, ValueError, trio.BrokenResourceError) as error:
        return None, str(error)
    if 300 <= status < 400:
        return status, f"answered {status}: redirects are not followed"
    return status, "" if 200 <= status < 300 else f"answered {status}"


def _wake(actor: Webhooks, name: str) -> None:
    """Set the event of this name, and put a new one in its place."""
    event: trio.Event = getattr(actor, name)
    setattr(actor, name, trio.Event())
    event.set()


async def _then_cancel(wait: Callable[[], Awaitable[None]], scope: trio.CancelScope) -> None:
    await wait()
    scope.cancel("something changed")
