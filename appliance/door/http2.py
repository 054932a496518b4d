"""Hypercorn's HTTP/2, mended where one stream could harm others or never end.

Hypercorn is pinned to the version that these lines were written against, and its own protocol is
replaced as a whole (`install`), since it has no place to say which class it shall use.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import Any

import h2.events
import hypercorn.protocol
from h2.errors import ErrorCodes
from h2.exceptions import ProtocolError
from hypercorn.protocol.events import Event as StreamEvent
from hypercorn.protocol.events import InformationalResponse, Response, StreamClosed
from hypercorn.protocol.h2 import (
    BUFFER_HIGH_WATER,
    BUFFER_LOW_WATER,
    BufferCompleteError,
    H2Protocol,
    StreamBuffer,
)

# RFC 9113 8.2.2: such a field would make the client give up the stream.
HOPS = frozenset(
    (b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade")
)


class BoundedBuffer(StreamBuffer):
    """Bytes of one stream that the client's window does not take yet. Hypercorn's own lets the
    writer go on each time nothing could be sent, and would hold a whole reply."""

    async def push(self, data: bytes) -> None:
        """Take the bytes; return when there is room for more."""
        if self._complete:
            raise BufferCompleteError
        self.buffer.extend(data)
        await self._is_empty.clear()
        while len(self.buffer) >= BUFFER_HIGH_WATER and not self._complete:
            await self._paused.clear()
            await self._paused.wait()

    async def pop(self, max_length: int) -> bytes:
        """The next bytes to send."""
        data = await super().pop(max_length)
        if len(self.buffer) < BUFFER_LOW_WATER:
            await self._paused.set()
        return data

    @property
    def ended(self) -> bool:
        """Whether its end was written, sent or not."""
        return self._complete


class Http2(H2Protocol):
    """One connection. A stream that goes wrong ends alone, and leaves nothing behind."""

    async def _handle_events(self, events: list[h2.events.Event]) -> None:
        for event in events:
            if isinstance(event, h2.events.DataReceived) and event.stream_id not in self.streams:
                # Answered or reset before its body was through: only the window is given back.
                with suppress(ProtocolError):
                    self.connection.acknowledge_received_data(
                        event.flow_controlled_length, event.stream_id
                    )
                continue
            await super()._handle_events([event])
            if isinstance(event, h2.events.StreamReset):
                await self._forget(event.stream_id)
        await self._flush()

    async def _create_stream(self, request: h2.events.RequestReceived) -> None:
        fields = dict(request.headers or ())
        # Hypercorn breaks on a request without a path, which CONNECT may lack (RFC 9113 8.5).
        if b":path" not in fields or not all(
            fields[name].isascii() for name in (b":method", b":path") if name in fields
        ):
            assert request.stream_id is not None
            await self._reset(request.stream_id, ErrorCodes.PROTOCOL_ERROR)
            return
        await super()._create_stream(request)

    async def _close_stream(self, stream_id: int) -> None:
        await super()._close_stream(stream_id)
        buffer = self.stream_buffers.get(stream_id)
        if self.closed and buffer is not None:
            await buffer.close()

    async def stream_send(self, event: StreamEvent) -> None:
        """What the app sends."""
        if isinstance(event, Response | InformationalResponse):
            kept = [field for field in event.headers if field[0].lower() not in HOPS]
            event = replace(event, headers=kept)
        elif isinstance(event, StreamClosed):
            buffer: Any = self.stream_buffers.get(event.stream_id)
            if buffer is not None and not buffer.ended:
                # The app ended without an end: the client must see that it was cut.
                await self._reset(event.stream_id, ErrorCodes.INTERNAL_ERROR)
                await self._forget(event.stream_id)
        await super().stream_send(event)

    async def _reset(self, stream_id: int, code: ErrorCodes) -> None:
        with suppress(ProtocolError):  # the client may have reset it first
            self.connection.reset_stream(stream_id, code)
            await self._flush()

    async def _forget(self, stream_id: int) -> None:
        """Let a writer go that waits for room, and drop what nobody will take."""
        buffer = self.stream_buffers.get(stream_id)
        if buffer is not None:
            await buffer.close()
            # The sending task finds it closed, and takes it out of its tables.
            self.priority.unblock(stream_id)
            await self.has_data.set()


def install() -> None:
    """Let Hypercorn speak HTTP/2 in this way."""
    hypercorn.protocol.H2Protocol = Http2  # type: ignore[attr-defined]
    hypercorn.protocol.h2.StreamBuffer = BoundedBuffer  # type: ignore[misc]
