"""Writes records: bodies packed, metadata encoded, one frame appended to the journal of its region.

It owns the memory that captured bodies may take. Where the journal's disk fails it goes on; the
journal keeps a bounded backlog and says so.
"""

from __future__ import annotations

from typing import Any, Protocol

import trio

from appliance.actors.spill import note_unkept
from appliance.core.derive import summarise
from appliance.errors import Refusal
from appliance.exchange import Body
from storage.frames import KIND_EXCHANGE, BodyPacker, Part, encode_exchange
from storage.journal import Ticket

# Above this a side of an exchange leaves memory for a blob (ARCHITECTURE 3, Memory).
INLINE_BYTES_MAX = 256 * 1024
TAIL_BYTES = 256 * 1024
# Of a body that is not kept, its begin and its tail are held for its usage.
HEAD_BYTES = 64 * 1024
# When memory is used up, pieces of this size go to disk: smaller ones cost more than they free.
PIECE_BYTES = 16 * 1024


class BlobSink(Protocol):
    """A body on its way to a blob."""

    async def write(self, data: bytes) -> None:
        """Take more bytes."""

    def parts(self) -> list[Part]:
        """What was written, as parts of a frame. Final."""

    def abort(self) -> None:
        """Forget it."""


class Store(Protocol):
    """One region's journal and blobs."""

    def append(self, kind: int, org: bytes, payload: bytes, flags: int = 0) -> Ticket | None:
        """See storage.journal.Journal.append."""

    def note_recent(self, org: bytes, request_id: str, payload_bytes: int) -> None:
        """The frame that was just appended can be read from now on."""

    async def settle(self, ticket: Ticket) -> None:
        """See storage.journal.Journal.settle."""

    @property
    def degraded(self) -> str | None:
        """See storage.journal.Journal.degraded."""

    def blob_sink(self) -> BlobSink:
        """A new blob."""

    def read_parts(self, parts: list[Part]) -> bytes:
        """A body from its parts. Blocking. Raises OSError."""


class Capture:
    """The reply's body as it passes: in memory up to 256 KiB, then a blob, then head and tail.

    When all exchanges together hold too much, or bodies are not to be kept, only counts are.
    """

    __slots__ = (
        "_begin", "_beside", "_budget", "_done", "_held", "_kept_max", "_pieces", "_sink",
        "_sink_bytes", "_store", "_tail", "dropped", "heavy", "seen_bytes", "truncated",
    )  # fmt: skip

    def __init__(self, budget: CaptureBudget, store: Store, kept_max: int) -> None:
        """`kept_max` 0: the body is not to be kept, only looked at."""
        self._budget = budget
        self._store = store
        self._kept_max = kept_max
        self._pieces: list[bytes] = []
        self._held = 0
        self._beside = 0
        self._done: list[Part] = []
        self._sink: BlobSink | None = None
        self._sink_bytes = 0
        self._begin = b""
        self._tail = b""
        self.seen_bytes = 0
        self.heavy = False
        self.truncated = False
        self.dropped = "" if budget.has_room() else "memory"

    def add(self, piece: bytes) -> None:
        """A piece was seen."""
        size = len(piece)
        self.seen_bytes += size
        if self.dropped:
            return
        self._pieces.append(piece)
        self._held += size
        self._budget.held_bytes += size
        if self._held > INLINE_BYTES_MAX or (self._held > PIECE_BYTES and self._budget.is_full):
            self.heavy = True

    @property
    def held_bytes(self) -> int:
        """In memory, of the reply."""
        return self._held

    def hold(self, size: int) -> None:
        """Bytes of the request that stay in memory as long as this exchange runs."""
        self._beside += size
        self._budget.held_bytes += size

    def joined(self) -> bytes:
        """What is held in memory."""
        if len(self._pieces) != 1:
            self._pieces = [b"".join(self._pieces)]
        return self._pieces[0]

    async def unload(self) -> None:
        """Move what is held into the blob; beyond the most that is kept, only the tail is.

        Fails open: where the disk does not take it, the reply goes on and its body is lost.
        """
        data = self.joined()
        self._clear()
        self.heavy = False
        room = self._kept_max - self._sink_bytes
        if not self._begin and not self._kept_max:
            self._begin = data[:HEAD_BYTES]
        if room > 0:
            if self._sink is None:
                self._sink = self._store.blob_sink()
            try:
                await self._sink.write(data[:room])
            except OSError:
                self.lose("disk")
                return
            self._sink_bytes += min(room, len(data))
        if len(data) > room:
            self.truncated = True
            self._tail = (self._tail + data[max(0, room) :])[-TAIL_BYTES:]

    def _clear(self) -> None:
        self._budget.held_bytes -= self._held
        self._held = 0
        self._pieces = []

    def parts(self, packer: BodyPacker) -> list[Part]:
        """The body as parts of a frame: blob first, what is still in memory inline."""
        rest = self.joined()
        if self.truncated:
            rest = (self._tail + rest)[-TAIL_BYTES:]
        return self._blobs() + packer.pack(rest)

    def _blobs(self) -> list[Part]:
        """What has left memory. A blob is final from here on: should more come, it goes into
        another behind it."""
        if self._sink is not None:
            self._done += self._sink.parts()
            self._sink = None
        return self._done

    @property
    def in_blob(self) -> bool:
        """Whether some of it lies in a file, or is not kept."""
        return self._sink is not None or bool(self._done) or self.truncated

    async def whole(self) -> bytes:
        """All that was kept, also of what lies in the blob; b"" where that cannot be read."""
        rest = self.joined()
        if self.truncated:
            rest = self._begin + (self._tail + rest)[-TAIL_BYTES:]
        if self._sink is None and not self._done:
            return rest
        try:
            return await trio.to_thread.run_sync(self._store.read_parts, self._blobs()) + rest
        except (OSError, ValueError):
            return b""

    def glimpse(self) -> bytes:
        """What is known of a body that is not kept: all of it, or its begin and its end."""
        rest = self.joined()
        return self._begin + (self._tail + rest)[-TAIL_BYTES:] if self.truncated else rest

    def forget(self) -> None:
        """The body is not to be kept."""
        if self._sink is not None:
            self._sink.abort()
            self._sink = None
        self._done = []

    def lose(self, why: str) -> None:
        """The body cannot be kept."""
        self.forget()
        self.dropped = why

    def release(self) -> None:
        """Give the memory back. The exchange is over."""
        self._clear()
        self._budget.held_bytes -= self._beside
        self._beside = 0


class SessionBody:
    """What a client says in a session, as the request body that grows: it stands where a spilled
    one does, and is on record as often as the session is."""

    __slots__ = ("_packer", "capture")

    def __init__(self, capture: Capture, packer: BodyPacker) -> None:
        self.capture = capture
        self._packer = packer

    def parts(self, facts: dict[str, Any]) -> list[Part]:
        """For the frame. Fails open: where the disk does not take it, the record says so."""
        capture = self.capture
        if not capture.dropped:
            try:
                parts = capture.parts(self._packer)
            except OSError:
                capture.lose("disk")
            else:
                if capture.truncated:
                    facts["request_truncated"] = True
                return parts
        missed = f"bodies;reason={capture.dropped}"
        facts["not_applied"] = [*facts.get("not_applied", ()), missed]
        return []

    def begin(self, size: int) -> bytes:
        """The first bytes that are held."""
        return self.capture.glimpse()[:size]

    def close(self) -> None:
        """The session is over."""
        self.capture.release()


class CaptureBudget:
    """Bytes of bodies held in memory over all exchanges, and the most there may be."""

    __slots__ = ("bytes_max", "held_bytes", "refused")

    def __init__(self, bytes_max: int) -> None:
        self.bytes_max = bytes_max
        self.held_bytes = 0
        self.refused = 0

    @property
    def is_full(self) -> bool:
        """Whether all of it is taken: what is held goes to disk, and new exchanges wait."""
        return self.held_bytes >= self.bytes_max

    def admit(self) -> None:
        """Raises Refusal 503 when there is no memory for another exchange."""
        if self.held_bytes >= self.bytes_max:
            raise Refusal(
                503,
                "memory_full",
                "The memory for bodies in flight is used up. Try again shortly, or raise "
                "memory_bytes_max.",
                headers={"Retry-After": "1"},
            )

    def has_room(self) -> bool:
        """Whether a new exchange may hold its bodies (below 90 %)."""
        if self.held_bytes < self.bytes_max * 9 // 10:
            return True
        self.refused += 1
        return False


def no_capture() -> Capture:
    """In place of one that could not be had: it counts bytes, and asks no store."""
    nothing: Any = None
    capture = Capture(CaptureBudget(0), nothing, 0)
    capture.dropped = "failed"
    return capture


class Recorder:
    """Records exchanges of every region. Plain methods: nothing here waits but `settle`."""

    def __init__(self, capture_bytes_max: int, record_bytes_max: int) -> None:
        self.budget = CaptureBudget(capture_bytes_max)
        self._record_bytes_max = record_bytes_max
        self._packer = BodyPacker()
        self.stores: dict[str, Store] = {}
        self.recorded = 0

    def capture(self, region: str, *, keep: bool = True) -> Capture:
        """A Capture for one exchange. Not to be kept: enough is held to read its usage."""
        return Capture(self.budget, self.stores[region], self._record_bytes_max if keep else 0)

    def session_body(self, region: str, *, keep: bool) -> SessionBody:
        """For what a client says over a WebSocket."""
        return SessionBody(self.capture(region, keep=keep), self._packer)

    def record(
        self,
        region: str,
        org: bytes,
        facts: dict[str, Any],
        body: Body,
        capture: Capture,
        flags: int,
        *,
        omit_request: bool,
        omit_response: bool,
    ) -> Ticket | None:
        """Append the frame of one exchange. A ticket means that the reply should `settle` first."""
        request: list[Part] = []
        response: list[Part] = []
        if capture.dropped:
            missed = f"bodies;reason={capture.dropped}"
            facts["not_applied"] = [*facts.get("not_applied", ()), missed]
        else:
            if omit_request or omit_response:
                facts.update(seen_only(facts, body, capture))
            if not omit_request:
                request = self._request_parts(body, facts)
            if not omit_response:
                response = self._response_parts(capture, facts)
        return self.append(region, org, facts, request, response, flags)

    def append(
        self,
        region: str,
        org: bytes,
        facts: dict[str, Any],
        request: list[Part],
        response: list[Part],
        flags: int = 0,
    ) -> Ticket | None:
        """The frame of an exchange whose bodies are parts already."""
        payload = encode_exchange(facts, request, response)
        self.recorded += 1
        store = self.stores[region]
        ticket = store.append(KIND_EXCHANGE, org, payload, flags)
        if ticket is None or ticket.is_written:
            store.note_recent(org, facts["request_id"], len(payload))
        return ticket

    async def parts_of(self, region: str, data: bytes, facts: dict[str, Any]) -> list[Part]:
        """A body that is there as a whole. Fails open: what the disk does not take is not kept, and
        `facts` say so."""
        if len(data) <= INLINE_BYTES_MAX:
            return self._packer.pack(data)
        sink = self.stores[region].blob_sink()
        try:
            await sink.write(data)
            return sink.parts()
        except OSError:
            sink.abort()
            note_unkept(facts)
            return []
        except BaseException:
            sink.abort()
            raise

    def _request_parts(self, body: Body, facts: dict[str, Any]) -> list[Part]:
        if body.spill is None:
            return self._packer.pack(body.data)
        parts: list[Part] = body.spill.parts(facts)
        return parts

    def _response_parts(self, capture: Capture, facts: dict[str, Any]) -> list[Part]:
        try:
            response = capture.parts(self._packer)
        except OSError:  # open: the reply goes on, its record says that the disk failed
            capture.lose("disk")
            note_unkept(facts)
            return []
        if capture.truncated:
            facts["response_truncated"] = True
        return response

    def degraded(self, region: str) -> str | None:
        """What of the region's store is degraded now."""
        return self.stores[region].degraded

    async def settle(self, region: str, ticket: Ticket) -> None:
        """Wait for the disk as long as `durability` and its speed ask; never raises."""
        await self.stores[region].settle(ticket)


def seen_only(facts: dict[str, Any], body: Body, capture: Capture) -> dict[str, Any]:
    """What must be read at once, because a body will not be kept: usage, model, outcome."""
    request = body.data
    seen = {**facts, "response_truncated": capture.truncated}
    if body.spill is not None:
        request = body.spill.begin(HEAD_BYTES)
        seen["request_truncated"] = True
    return summarise(seen, request, capture.glimpse())
