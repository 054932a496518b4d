"""Bodies that leave memory: a request body above 1 MiB, and a reply's above 256 KiB.

Both go into a blob file of their region, so that a body which is sent on from disk is the same file
that is kept on record. Writes happen in a thread; the loop waits for its own exchange only. Where
the disk takes none, a bounded number of bytes is held in memory instead, and passes unkept.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from hashlib import sha256
from typing import Any

import trio

from appliance.actors.spill_budget import SpillBudget, spill_failed
from appliance.exchange import Body, Headers
from storage.blobs import Blobs, BlobUnreadable, BlobWriter
from storage.frames import PART_BLOB, Part

MEMORY_BYTES_MAX = 1024 * 1024
WRITE_BYTES = 256 * 1024
PIECE_BYTES = 256 * 1024
TAIL_BYTES = 256 * 1024
CROWDED_BYTES = 16 * 1024

# What is kept of a body that is too large, if the disk takes it, and the SHA-256 of all of it.
Excerpt = tuple[BlobWriter | None, bytes]

# Disk work of bodies has its own threads: a slow disk must not take those of everybody else.
_threads = trio.CapacityLimiter(4)


def note_unkept(facts: dict[str, Any]) -> None:
    """On record: there would have been a body, and the disk did not take it."""
    facts["not_applied"] = [*facts.get("not_applied", ()), "bodies;reason=disk"]


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
    part = [PART_BLOB, blob.name, 0, blob.length, blob.length, "", blob.sha256]
    return [part] if blob.length else []


class Spill:
    """A request body on disk: read again for each attempt, kept on record at the end."""

    __slots__ = ("_excerpt", "_kept_parts", "_writer", "budget", "length")

    def __init__(self, writer: BlobWriter, budget: SpillBudget, excerpt: Excerpt | None) -> None:
        self._writer = writer
        self.budget = budget
        self._excerpt = excerpt
        self._kept_parts: list[Part] | None = None
        self.length = writer.length

    async def pieces(self) -> AsyncGenerator[bytes, None]:  # noqa: ASYNC900 - under aclosing
        """The body, piece by piece. Raises BlobUnreadable when it is lost: never an empty body."""
        offset = 0
        while offset < self.length:
            size = min(PIECE_BYTES, self.length - offset)
            yield await trio.to_thread.run_sync(self._writer.read, offset, size, limiter=_threads)
            offset += size

    def parts(self, facts: dict[str, Any]) -> list[Part]:
        """For the frame: the whole file, or head and tail of what is above `record_bytes_max`.

        Fails open: where the disk does not take it, the record says so.
        """
        kept: BlobWriter | None = self._writer
        if self._excerpt is not None:
            kept, facts["request_sha256"] = self._excerpt
            facts["request_truncated"] = True
        if self._kept_parts is None and kept is not None:
            try:
                self._kept_parts = blob_parts(kept)
            except OSError:
                kept.discard()
        if self._kept_parts is None:
            note_unkept(facts)
        return self._kept_parts or []

    def begin(self, size: int) -> bytes:
        """The first bytes. Only before `parts`."""
        return self._writer.read(0, min(size, self.length))

    def close(self) -> None:
        """The exchange is over: what was not kept is removed."""
        self.budget.used_bytes -= self.length
        # Does nothing to what `parts` has kept.
        self._writer.discard()
        if self._excerpt is not None and self._excerpt[0] is not None:
            self._excerpt[0].discard()


class HeldBody:
    """A large request body in memory: sent on like a spilled one, and not kept on record."""

    __slots__ = ("_data", "budget", "length")

    def __init__(self, data: bytes, budget: SpillBudget) -> None:
        self._data = data
        self.budget = budget
        self.length = len(data)

    async def pieces(self) -> AsyncGenerator[bytes, None]:  # noqa: ASYNC900 - under aclosing
        """The body, piece by piece."""
        for offset in range(0, self.length, PIECE_BYTES):
            yield self._data[offset : offset + PIECE_BYTES]

    def parts(self, facts: dict[str, Any]) -> list[Part]:
        """Nothing: what the disk did not take once would only fill the journal's backlog."""
        note_unkept(facts)
        return []

    def begin(self, size: int) -> bytes:
        """The first bytes."""
        return self._data[:size]

    def close(self) -> None:
        """The exchange is over."""
        self.budget.held_bytes -= self.length
        self._data = b""


class Spliced:
    """A large request body that is sent with some bytes more, and kept as it was received."""

    __slots__ = ("_at", "_body", "_inserted", "length")

    def __init__(self, body: Spill | HeldBody, at: int, inserted: bytes) -> None:
        self._body = body
        self._at = at
        self._inserted = inserted
        self.length = body.length + len(inserted)

    async def pieces(self) -> AsyncGenerator[bytes, None]:  # noqa: ASYNC900 - under aclosing
        """What is sent, piece by piece."""
        at = self._at
        async with aclosing(self._body.pieces()) as pieces:
            async for piece in pieces:
                inside = 0 <= at < len(piece)
                yield piece[:at] + self._inserted + piece[at:] if inside else piece  # noqa: ASYNC119
                at -= len(piece)

    def parts(self, facts: dict[str, Any]) -> list[Part]:
        """What is kept."""
        return self._body.parts(facts)

    def begin(self, size: int) -> bytes:
        """The first bytes as they were received."""
        return self._body.begin(size)

    def close(self) -> None:
        """The exchange is over."""
        self._body.close()


class Replaced:
    """A large request body in whose place `data` is sent; kept as it was received. Raises Refusal
    503 when there is no room for another one."""

    __slots__ = ("_body", "_data", "length")

    def __init__(self, body: Spill | HeldBody, data: bytes) -> None:
        body.budget.hold(len(data))
        self._body = body
        self._data = data
        self.length = len(data)

    async def pieces(self) -> AsyncGenerator[bytes, None]:  # noqa: ASYNC900 - under aclosing
        """What is sent, piece by piece."""
        for offset in range(0, self.length, PIECE_BYTES):
            yield self._data[offset : offset + PIECE_BYTES]

    def parts(self, facts: dict[str, Any]) -> list[Part]:
        """What is kept."""
        return self._body.parts(facts)

    def begin(self, size: int) -> bytes:
        """The first bytes of what is sent."""
        return self._data[:size]

    def close(self) -> None:
        """The exchange is over."""
        self._body.budget.held_bytes -= self.length
        self._data = b""
        self._body.close()


class RequestSink:
    """Takes a request body as it comes: memory up to 1 MiB, a file above."""

    __slots__ = (
        "_blobs", "_budget", "_held", "_in_memory", "_kept_max", "_pieces", "_spilled", "_writer",
    )  # fmt: skip

    def __init__(self, blobs: Blobs, budget: SpillBudget, kept_max: int) -> None:
        self._blobs = blobs
        self._budget = budget
        self._kept_max = kept_max
        self._pieces: list[bytes] = []
        self._held = 0
        self._writer: BlobWriter | None = None
        self._spilled = 0  # bytes taken from the budget of the disk
        self._in_memory = False

    async def write(self, piece: bytes) -> None:
        """Take a piece. Raises Refusal 503 when the spill is full, or neither disk nor memory
        takes it."""
        if self._in_memory:
            self._budget.hold(len(piece))
        self._pieces.append(piece)
        self._held += len(piece)
        if self._in_memory:
            return
        budget = self._budget
        budget.coming_bytes += len(piece)
        if budget.coming_bytes > budget.coming_bytes_max:
            held_max = CROWDED_BYTES
        else:
            held_max = MEMORY_BYTES_MAX if self._writer is None else WRITE_BYTES
        if self._held > held_max:
            await self._flush()

    async def _flush(self) -> None:
        data = b"".join(self._pieces)
        self._budget.take(len(data))
        self._spilled += len(data)
        self._pieces, self._held = [], 0
        try:
            if self._writer is None:
                self._writer = await trio.to_thread.run_sync(self._blobs.create, limiter=_threads)
            await trio.to_thread.run_sync(self._writer.write, data, limiter=_threads)
        except OSError as error:
            await self._back_to_memory(data, error)
        finally:
            self._budget.coming_bytes -= len(data)

    async def _back_to_memory(self, last: bytes, error: OSError) -> None:
        """The disk failed: what it has taken so far is read again, the rest stays here."""
        before = b""
        if self._writer is not None and self._spilled > len(last):
            try:
                before = await trio.to_thread.run_sync(
                    self._writer.read, 0, self._spilled - len(last), limiter=_threads
                )
            except (OSError, BlobUnreadable):
                raise spill_failed(error.strerror or "the disk fails") from None
        self._budget.hold(self._spilled)
        self._in_memory = True
        self._pieces, self._held = [before, last], self._spilled
        self._drop_file()

    async def close(self, trailers: Headers) -> Body:
        """The body is complete. Raises Refusal 503 like `write`."""
        try:
            return await self._closed(trailers)
        except BaseException:
            self.abort()
            raise

    async def _closed(self, trailers: Headers) -> Body:
        if self._writer is not None and self._pieces:
            await self._flush()
        if self._writer is None:
            data = b"".join(self._pieces)
            self._no_longer_coming()
            if self._in_memory:
                held = HeldBody(data, self._budget)
                return Body(b"", held, held.length, trailers)
            return Body(data, None, len(data), trailers)
        excerpt = None
        if self._writer.length > self._kept_max:
            excerpt = await trio.to_thread.run_sync(
                excerpt_of, self._writer, self._blobs, self._kept_max, limiter=_threads
            )
        spill = Spill(self._writer, self._budget, excerpt)
        return Body(b"", spill, spill.length, trailers)

    def abort(self) -> None:
        """The body will not be complete."""
        self._drop_file()
        if self._in_memory:
            self._budget.held_bytes -= self._held
        self._no_longer_coming()
        self._pieces, self._held = [], 0

    def _no_longer_coming(self) -> None:
        if not self._in_memory:
            self._budget.coming_bytes -= self._held
            self._held = 0

    def _drop_file(self) -> None:
        if self._writer is not None:
            self._writer.discard()
            self._writer = None
        self._budget.used_bytes -= self._spilled
        self._spilled = 0


def excerpt_of(writer: BlobWriter, blobs: Blobs, kept_max: int) -> Excerpt:
    """Head and tail of a body that is too large to be kept, and the SHA-256 of all of it. Blocking.

    Fails open: without room for them nothing of the body is kept, and it is still sent.
    """
    digest = sha256()
    excerpt: BlobWriter | None = None
    try:
        excerpt = blobs.create()
        for offset in range(0, min(writer.length, kept_max), PIECE_BYTES):
            size = min(PIECE_BYTES, writer.length - offset, kept_max - offset)
            excerpt.write(writer.read(offset, size))
        tail_bytes = min(TAIL_BYTES, writer.length - kept_max)
        excerpt.write(writer.read(writer.length - tail_bytes, tail_bytes))
    except OSError:
        if excerpt is not None:
            excerpt.discard()
        excerpt = None
    for offset in range(0, writer.length, PIECE_BYTES):
        digest.update(writer.read(offset, min(PIECE_BYTES, writer.length - offset)))
    return excerpt, digest.digest()
