"""Hands finished exchanges on to an OpenTelemetry collector, reading behind the journal.

The journal is the queue, and the place reached is in the state store: a restart loses nothing, and
sends again at most the batch that was on its way. Fails open: whatever the collector does, the
proxy never waits. Only a collector that is away for longer than the journal keeps its segments
misses some, which is counted.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Protocol

import trio

from appliance import __version__
from appliance.actors.frame_rows import LARGE_BYTES, Exchange, FrameDeriver, weight_of
from appliance.actors.metrics import Sample
from appliance.actors.tables import Tables
from appliance.core.logged import SOURCE_OTLP
from appliance.core.otlp_encode import export_request, span_of
from appliance.errors import Refusal, UpstreamFailed
from appliance.exchange import monotonic
from storage.export_tables import read_position, write_position
from storage.frames import KIND_EXCHANGE, Frame, Position
from storage.reader import read_frames
from storage.rows import BODY_COLUMNS, REQUEST_COLUMNS
from storage.segment import segment_numbers
from storage.vault import SegmentKeys

log = logging.getLogger(__name__)

NAME = "otlp"
FRAMES_MAX = 256
BATCH_BYTES_MAX = 1024 * 1024  # of frames that are read, and of spans that are sent, at once
GATHER_S = 1.0
SLICE_S = 0.0008
SEND_S = 30.0
FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 60.0
# Come again later; any other no is for these spans, whenever they come (OTLP/HTTP, Failures).
RETRYABLE = frozenset({408, 429, 500, 502, 503, 504})
NAMES = [name for name, _ in REQUEST_COLUMNS]
BODY_NAMES = [name for name, _ in BODY_COLUMNS]
REQUEST, RESPONSE = BODY_NAMES.index("request"), BODY_NAMES.index("response")

Send = Callable[[bytes], Awaitable[int]]


class JournalEnd(Protocol):
    """What is asked of the journal."""

    @property
    def synced(self) -> Position: ...
    async def wait_synced_past(self, position: Position) -> None: ...


@dataclass(slots=True)
class ExportStats:
    """Spans that were sent, and those that the collector would not have; tries that failed;
    segments that were gone before they could be sent."""

    sent: int = 0
    dropped: int = 0
    failures: int = 0
    missed_segments: int = 0


class OtlpExport:
    """One region's exchanges. `send` gives the status of one POST; it raises UpstreamFailed,
    Refusal, OSError."""

    def __init__(
        self,
        root: Path,
        journal: JournalEnd,
        tables: Tables,
        deriver: FrameDeriver,
        send: Send,
        *,
        keys: SegmentKeys | None = None,
        bodies: bool = False,
        gather_s: float = GATHER_S,
    ) -> None:
        self.stats = ExportStats()
        self._root = root
        self._journal = journal
        self._tables = tables
        self._deriver = deriver
        self._send = send
        self._keys = keys
        self._bodies = bodies
        self._gather_s = gather_s
        self._closing = False
        self._waiting = trio.CancelScope()
        self._trouble = ""
        self._position: Position | None = None

    @property
    def inbox(self) -> int:
        """The journal holds what waits; segments behind its end."""
        position = self._position
        return 0 if position is None else max(0, self._journal.synced.segment - position.segment)

    @property
    def trouble(self) -> str:
        """Why nothing is sent, or ""."""
        return self._trouble

    def close(self) -> None:
        """What was not sent is sent after the next start."""
        self._closing = True
        self._waiting.cancel("closing")

    def gauges(self, region: str) -> Iterator[Sample]:
        """For the metrics."""
        labels = {"region": region}
        yield "otlp_exported_total", labels, self.stats.sent
        yield "otlp_dropped_total", labels, self.stats.dropped
        yield "otlp_failures_total", labels, self.stats.failures
        yield "otlp_missed_segments_total", labels, self.stats.missed_segments

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Until `close`."""
        # Taken before the door opens: the first call must not fall before it.
        begin = self._position = self._position or self._journal.synced
        task_status.started()
        position = await self._tables.read(lambda connection: read_position(connection, NAME))
        if position is None:  # what came before it was asked for is not sent
            position = await self._saved(begin)
        self._position = position
        while not self._closing:
            with trio.CancelScope() as self._waiting:
                await self._journal.wait_synced_past(position)
                await trio.sleep(self._gather_s)
            if self._waiting.cancelled_caught:
                return
            position = await self._hand_on(position)

    async def _hand_on(self, position: Position) -> Position:
        """The next batch; where the one after it begins."""
        await self._count_missed(position)
        frames, end = await trio.to_thread.run_sync(self._read, position, self._journal.synced)
        spans = await self._spans(frames)
        if spans and not await self._deliver(spans):
            return position
        self._position = end
        return await self._saved(end)

    def _read(self, start: Position, upto: Position) -> tuple[list[Frame], Position]:
        """Blocking."""
        frames: list[Frame] = []
        size = 0
        reading = read_frames(self._root, start, upto=upto, keys=self._keys)
        for frame in islice(reading, FRAMES_MAX):
            frames.append(frame)
            size += len(frame.payload)
            if size > BATCH_BYTES_MAX:
                return frames, frame.end
        return frames, frames[-1].end if len(frames) == FRAMES_MAX else upto

    async def _spans(self, frames: list[Frame]) -> list[bytes]:
        """Derived on the loop in slices, as rows are; large ones in a thread."""
        spans = []
        until_s = monotonic() + SLICE_S
        for frame in frames:
            if frame.kind != KIND_EXCHANGE:
                continue
            opened = self._deriver.opened(frame)
            if isinstance(opened, Exchange):
                if opened.meta.get("source") == SOURCE_OTLP:
                    continue  # it came as a span: sent on it could come back
                if opened.in_blobs or weight_of(opened) >= LARGE_BYTES:
                    spans.append(await trio.to_thread.run_sync(self._span, opened))
                else:
                    spans.append(self._span(opened))
            if monotonic() >= until_s:
                await trio.lowlevel.checkpoint()
                until_s = monotonic() + SLICE_S
        return [span for span in spans if span]

    def _span(self, opened: Exchange) -> bytes:
        try:
            request, response = self._deriver.bodies(opened)
        except Exception as error:  # the disk's: what the metadata tells is sent
            rows = self._deriver.derived(opened, failed=error)
        else:
            rows = self._deriver.derived(opened, request, response)
        if rows.request is None or rows.body is None:
            return b""
        bodies = None
        if self._bodies:
            bodies = _text(rows.body[REQUEST]), _text(rows.body[RESPONSE])
        return span_of(dict(zip(NAMES, rows.request, strict=True)), bodies)

    async def _deliver(self, spans: list[bytes]) -> bool:
        """False: closing, and nothing was acknowledged."""
        body = export_request(spans, __version__)
        wait_s = FIRST_WAIT_S
        while not self._closing:
            why = ""
            with trio.CancelScope() as self._waiting:
                why = await self._attempt(body, len(spans))
                if not why:
                    self._trouble = ""
                    return True
                self.stats.failures += 1
                if why != self._trouble:
                    log.warning("traces cannot be exported, and are kept until they can: %s", why)
                self._trouble = why
                await trio.sleep(wait_s)
            wait_s = min(2 * wait_s, LONGEST_WAIT_S)
        return False

    async def _attempt(self, body: bytes, count: int) -> str:
        """Why it has to be tried again, or "" when this batch is done with."""
        try:
            with trio.fail_after(SEND_S):
                status = await self._send(body)
        except trio.TooSlowError:
            return f"no answer within {SEND_S:g} s"
        except UpstreamFailed as error:
            return error.message
        except Refusal as error:
            return error.message
        except OSError as error:
            return str(error.strerror or error)
        if 200 <= status < 300:
            self.stats.sent += count
            return ""
        if status in RETRYABLE:
            return f"the collector answers {status}"
        self.stats.dropped += count
        log.warning("the collector refuses a batch with %d: %d spans are left out", status, count)
        return ""

    async def _saved(self, position: Position) -> Position:
        try:
            await self._tables.write(lambda connection: write_position(connection, NAME, position))
        except Refusal as error:  # open: after a restart it is sent again
            log.warning("how far traces are exported was not saved: %s", error.message)
        return position

    async def _count_missed(self, position: Position) -> None:
        """Segments that went to the lake while the collector was away."""
        numbers = await trio.to_thread.run_sync(segment_numbers, self._root)
        oldest = min(numbers, default=position.segment)
        last = self._position.segment if self._position is not None else position.segment
        if oldest > last:
            self.stats.missed_segments += oldest - last
            self._position = Position(oldest, 0)


def _text(value: str | bytes | None) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value or ""
