"""Tells PostHog of calls that asked for it (`Helicone-Posthog-Key`, proxy.md 7.7).

After the call, and after its row is in: usage and cost are the row's. Waiting ones are kept in
memory alone, as the key is a client's and goes onto no record; the oldest go when they are too
many. Fails open: PostHog's answer is counted and concerns nobody.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple
from uuid import uuid4

import msgspec
import trio

from appliance.actors.metrics import Sample
from appliance.errors import Refusal, UpstreamFailed

log = logging.getLogger(__name__)

HOST = "https://app.posthog.com"
EVENT = "helicone_request_response"
WAITING_MAX = 1000
AT_ONCE = 50
GATHER_S = 1.0
SEND_S = 10.0
CLOSE_S = 5.0
# As the event names them, and the columns that say it.
PROPERTIES = {
    "model": "model", "provider": "provider", "path": "request_path", "userId": "user_id",
    "timeToFirstToken": "time_to_first_token_ms", "cost": "cost_usd", "delayMs": "latency_ms",
    "promptTokens": "prompt_tokens", "completetionTokens": "completion_tokens",
    "totalTokens": "total_tokens", "promptId": "prompt_id", "countryCode": "country_code",
    "requestBodySize": "request_bytes", "responseBodySize": "response_bytes",
    "customProperties": "properties", "requestId": "request_id",
}  # fmt: skip

ReadRows = Callable[[str, Sequence[str]], Awaitable[list[dict[str, Any]]]]
Send = Callable[[str, bytes], Awaitable[int]]

_encode = msgspec.json.Encoder(decimal_format="number").encode


class Waiting(NamedTuple):
    """One call of which PostHog is to be told."""

    region: str
    exchange_id: str
    key: str
    host: str


class PostHog:
    """`note` is called by whoever records; everything else happens in its task."""

    def __init__(self, read_rows: ReadRows, send: Send, *, silent: bool = False) -> None:
        """`read_rows`: by region and exchange ids, once they are in. `send`: the status of a POST;
        raises UpstreamFailed, Refusal, ValueError, OSError. `silent`: nothing is told at all."""
        self._silent = silent
        self._read_rows = read_rows
        self._send = send
        self._waiting: deque[Waiting] = deque()
        self._some = trio.Event()
        self._closing = False
        self.sent = self.failed = self.dropped = 0

    @property
    def inbox(self) -> int:
        """How many wait."""
        return len(self._waiting)

    @property
    def trouble(self) -> str:
        """Nothing of ours."""
        return ""

    def note(self, region: str, exchange_id: str, key: str, host: str) -> None:
        """A call has ended."""
        if self._silent:
            return
        if len(self._waiting) >= WAITING_MAX:
            self._waiting.popleft()
            self.dropped += 1
        self._waiting.append(Waiting(region, exchange_id, key, host))
        self._some.set()

    def close(self) -> None:
        """Those that wait are told for a few seconds more."""
        self._closing = True
        self._some.set()

    def gauges(self) -> Iterator[Sample]:
        """For the metrics."""
        yield "posthog_sent_total", {}, self.sent
        yield "posthog_failed_total", {}, self.failed
        yield "posthog_dropped_total", {}, self.dropped

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Until `close`."""
        task_status.started()
        while not self._closing:
            await self._some.wait()
            if not self._closing:
                await trio.sleep(GATHER_S)
                await self._tell_some()
        with trio.move_on_after(CLOSE_S):
            while self._waiting:
                await self._tell_some()

    async def _tell_some(self) -> None:
        batch = [self._waiting.popleft() for _ in range(min(AT_ONCE, len(self._waiting)))]
        if not self._waiting and not self._closing:
            self._some = trio.Event()
        for region in {one.region for one in batch}:
            ours = {one.exchange_id: one for one in batch if one.region == region}
            try:
                rows = await self._read_rows(region, list(ours))
            except Refusal as error:
                log.warning("PostHog is not told of %d calls: %s", len(ours), error.message)
                self.failed += len(ours)
                continue
            for row in rows:
                await self._tell(ours[str(row["exchange_id"])], row)

    async def _tell(self, one: Waiting, row: Mapping[str, Any]) -> None:
        url = (one.host or HOST).rstrip("/") + "/capture/"
        status = 0
        with trio.move_on_after(SEND_S):
            try:
                status = await self._send(url, event_of(row, one.key))
            except (UpstreamFailed, Refusal, ValueError, OSError):
                status = 0
        if 200 <= status < 300:
            self.sent += 1
        else:
            self.failed += 1


def event_of(row: Mapping[str, Any], key: str) -> bytes:
    """The body of one capture."""
    properties = {name: row.get(column) for name, column in PROPERTIES.items()}
    created = row.get("request_created_at")
    event = {
        "api_key": key,
        "event": EVENT,
        "distinct_id": row.get("user_id") or str(uuid4()),
        "timestamp": None if created is None else f"{created.isoformat()}Z",
        "properties": {name: value for name, value in properties.items() if value is not None},
    }
    return _encode(event)
