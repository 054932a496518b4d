"""Bodies that leave memory: a request body above 1 MiB, and a reply's above 256 KiB.

Both go into a blob file of their region, so that a body which is sent on from disk is the same file
that is kept on record. Writes happen in a thread; the loop waits for its own exchange only.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from hashlib import sha256
from typing import Any

import trio

from appliance.errors import Refusal
from appliance.exchange import Body, Headers
from storage.blobs import Blobs, BlobWriter
from storage.frames import PART_BLOB, Part

MEMORY_BYTES_MAX = 1024 * 1024
WRITE_BYTES = 256 * 1024
PIECE_BYTES = 256 * 1024
SPILL_BYTES_MAX = 4 * 1024**3
TAIL_BYTES = 256 * 1024

# Disk work of bodies has its own threads: a slow disk must not take those of everybody else.
_threads = trio.CapacityLimiter(4)


class SpillBudget:
    """Bytes of request bodies on disk over all exchanges, and the most there may be."""

    __slots__ = ("bytes_max", "used_bytes")

    def __init__(self, bytes_max: int = SPILL_BYTES_MAX) -> None:
        self.bytes_max = bytes_max
        self.used_bytes = 0

    def take(self, size: int) -> None:
        """Raises Refusal 503 when there is no room."""
        if self.used_bytes + size > self.bytes_max:
            raise Refusal(
                503,
                "spill_full",
                "Too many large request bodies are in flight. Try again shortly.",
                headers={"Retry-After": "5"},
            )
        self.used_bytes += size


class BlobSink:
    """A reply's body on its way to a blob."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs
        self._writer: BlobWriter | None = None
        self._parts: list[Part] | None = None

    async def write(self, data: bytes) -> None:
        """Append. Raises OSError."""
        if self._writer is None:
            self._writer = await trio.to_thread.run_sync(self._blobs.create, limiter=_threads)
        await trio.to_thread.run_sync(self._writer.write, data, limiter=_threads)

    def parts(self) -> list[Part]:
        """What was written, kept for good from here on."""
        if self._parts is None:
            self._parts = blob_parts(self._writer) if self._writer is not None else []
        return self._parts

    def abort(self) -> None:
        """Forget it."""
        if self._writer is not None:
            self._writer.discard()


def blob_parts(writer: BlobWriter) -> list[Part]:
    """Finish a blob and name it in a frame."""
    blob = writer.finish()
    return [[PART_BLOB, blob.name, 0, blob.length, blob.length, ""]] if blob.length else []


class Spill:
    """A request body on disk: read again for each attempt, kept on record at the end."""

    __slots__ = ("_budget", "_excerpt", "_kept_parts", "_writer", "length")

    def __init__(
        self, writer: BlobWriter, budget: SpillBudget, excerpt: tuple[BlobWriter, bytes] | None
    ) -> None:
        self._writer = writer
        self._budget = budget
        self._excerpt = excerpt
        self._kept_parts: list[Part] | None = None
        self.length = writer.length

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body, piece by piece. Raises BlobUnreadable when it is lost: never an empty body."""
        offset = 0
        while offset < self.length:
            size = min(PIECE_BYTES, self.length - offset)
            yield await trio.to_thread.run_sync(self._writer.read, offset, size, limiter=_threads)
            offset += size

    def parts(self, facts: dict[str, Any]) -> list[Part]:
        """For the frame: the whole file, or head and tail of what is above `record_bytes_max`."""
        kept = self._writer
        if self._excerpt is not None:
            kept, digest = self._excerpt
            facts["request_truncated"] = True
            facts["request_sha256"] = digest
        if self._kept_parts is None:
            self._kept_parts = blob_parts(kept)
        return self._kept_parts

    def begin(self, size: int) -> bytes:
        """The first bytes. Only before `parts`."""
        return self._writer.read(0, min(size, self.length))

    def close(self) -> None:
        """The exchange is over: what was not kept is removed."""
        self._budget.used_bytes -= self.length
        # Does nothing to what `parts` has kept.
        self._writer.discard()
        if self._excerpt is not None:
            self._excerpt[0].discard()


class RequestSink:
    """Takes a request body as it comes: memory up to 1 MiB, a file above."""

    __slots__ = ("_blobs", "_budget", "_held", "_kept_max", "_pieces", "_writer")

    def __init__(self, blobs: Blobs, budget: SpillBudget, kept_max: int) -> None:
        self._blobs = blobs
        self._budget = budget
        self._kept_max = kept_max
        self._pieces: list[bytes] = []
        self._held = 0
        self._writer: BlobWriter | None = None

    async def write(self, piece: bytes) -> None:
        """Take a piece. Raises Refusal 503 when the spill is full or cannot be written."""
        self._pieces.append(piece)
        self._held += len(piece)
        if self._held > (MEMORY_BYTES_MAX if self._writer is None else WRITE_BYTES):
            await self._flush()

    async def _flush(self) -> None:
        data = b"".join(self._pieces)
        self._budget.take(len(data))
        self._pieces, self._held = [], 0
        try:
            if self._writer is None:
                self._writer = await trio.to_thread.run_sync(self._blobs.create, limiter=_threads)
            await trio.to_thread.run_sync(self._writer.write, data, limiter=_threads)
        except OSError as error:
            raise Refusal(
                503, "spill_failed", f"A large request body cannot be buffered: {error.strerror}."
            ) from None

    async def close(self, trailers: Headers) -> Body:
        """The body is complete."""
        if self._writer is None:
            data = b"".join(self._pieces)
            return Body(data, None, len(data), trailers)
        if self._pieces:
            await self._flush()
        excerpt = None
        if self._writer.length > self._kept_max:
            excerpt = await trio.to_thread.run_sync(
                excerpt_of, self._writer, self._blobs, self._kept_max, limiter=_threads
            )
        spill = Spill(self._writer, self._budget, excerpt)
        return Body(b"", spill, spill.length, trailers)

    def abort(self) -> None:
        """The body will not be complete."""
        if self._writer is not None:
            self._budget.used_bytes -= self._writer.length
            self._writer.discard()


def excerpt_of(writer: BlobWriter, blobs: Blobs, kept_max: int) -> tuple[BlobWriter, bytes]:
    """Head and tail of a body that is too large to be kept, and the SHA-256 of all of it. Blocking.

    Fails open: without room for them nothing of the body is kept, and it is still sent.
    """
    digest = sha256()
    excerpt = blobs.create()
    try:
        for offset in range(0, writer.length, PIECE_BYTES):
            piece = writer.read(offset, min(PIECE_BYTES, writer.length - offset))
            digest.update(piece)
            if offset < kept_max:
                excerpt.write(piece[: kept_max - offset])
        tail_bytes = min(TAIL_BYTES, writer.length - kept_max)
        excerpt.write(writer.read(writer.length - tail_bytes, tail_bytes))
    except OSError:
        excerpt.discard()
        excerpt = blobs.create()
    return excerpt, digest.digest()
