"""The server's end of the process that derives large records, so that the loop does not.

Started by the first of them; it ends by itself when there are no more. Knows nothing of what a
record means. Where no process can be had, the record is derived here, as late as it may be.
"""

from __future__ import annotations

import fcntl
import io
import json
import logging
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import msgspec
import trio

from appliance.actors.derive_wire import (
    ANSWER,
    ARGUMENT,
    AS_SENT,
    LENGTHS,
    NONE,
    REQUEST,
    RESPONSE,
)
from appliance.actors.frame_rows import Exchange, FrameDeriver
from appliance.actors.lake_helper import HelperFailed
from storage.batch import FrameRows

log = logging.getLogger(__name__)

# Of a coded body so much may become of each byte that it is treated as large (64 KiB of gzip often
# hold 1 MiB; the most that is taken off is 200 : 1).
CODED_WEIGHT = 32
ANSWER_S = 120.0
END_WAIT_S = 2.0
PIPE_BYTES = 2**20
RECEIVE_BYTES = 2**20


def weight_of(opened: Exchange | FrameRows) -> int:
    """For how many bytes of body a frame has to be taken."""
    if isinstance(opened, FrameRows):
        return 0
    meta = opened.meta
    coded = meta.get("request_coding") or meta.get("response_coding")
    return opened.body_bytes * (CODED_WEIGHT if coded else 1)


def helper_command() -> list[str]:
    """Ourselves again: a frozen executable knows only its own name, and takes an argument."""
    if getattr(sys, "frozen", False):
        return [sys.executable, ARGUMENT]
    return [sys.executable, "-m", "appliance.deriving"]


class DeriveHelper:
    """`await helper(exchange, request, response)`: its rows. One at a time."""

    def __init__(
        self,
        deriver: FrameDeriver,
        job: Mapping[str, Any],
        *,
        command: Sequence[str] | None = None,
        answer_s: float = ANSWER_S,
    ) -> None:
        self._deriver = deriver
        self._job = json.dumps(dict(job)).encode() + b"\n"
        self._command = list(command or helper_command())
        self._answer_s = answer_s
        self._process: trio.Process | None = None
        self.started = 0

    async def __call__(self, exchange: Exchange, request: bytes, response: bytes) -> FrameRows:
        """Raises HelperFailed: the process ended at this record twice, or takes too long."""
        for last in (False, True):
            try:
                if self._process is None:
                    await self._start()
                return await self._ask(exchange, request, response)
            except OSError as error:
                log.warning("large records are derived here: no helper process: %s", error)
                await self.close()
                return self._deriver.derived(exchange, request, response)
            except (trio.BrokenResourceError, trio.ClosedResourceError, EOFError):
                # It had rested and was ending, or this record is too much for it.
                await self.close()
                if last:
                    raise HelperFailed("the process that derives large records ended") from None
            except BaseException:
                await self.close()  # noqa: ASYNC120 - shielded and bounded in there
                raise
        raise AssertionError

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Until cancelled: then no process is left behind."""
        task_status.started()
        try:
            await trio.sleep_forever()
        finally:
            await self.close()  # noqa: ASYNC102 - shielded and bounded in there

    async def close(self) -> None:
        """End the process, if there is one."""
        process, self._process = self._process, None
        if process is None:
            return
        with trio.CancelScope(shield=True, deadline=trio.current_time() + END_WAIT_S):
            process.kill()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    await stream.aclose()
            await process.wait()

    async def _start(self) -> None:
        self._process = process = await trio.lowlevel.open_process(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self.started += 1
        for stream in (process.stdin, process.stdout):
            with suppress(OSError, AttributeError):  # fewer and larger turns, where allowed
                fcntl.fcntl(stream.fileno(), fcntl.F_SETPIPE_SZ, PIPE_BYTES)  # type: ignore[union-attr]
        await self._send(self._job)

    async def _ask(self, exchange: Exchange, request: bytes, response: bytes) -> FrameRows:
        frame = exchange.frame
        meta = msgspec.msgpack.encode(exchange.meta)
        place = msgspec.msgpack.encode((frame.org, tuple(frame.position)))
        lengths = LENGTHS.pack(len(meta), len(place), len(request), len(response))
        with trio.move_on_after(self._answer_s):
            for data in (lengths + meta + place, request, response):
                await self._send(data)
            (size,) = ANSWER.unpack(await self._exactly(ANSWER.size))
            row, body, failed = msgspec.msgpack.decode(await self._exactly(size))
            for place_of, sent in ((REQUEST, request), (RESPONSE, response)):
                body[place_of] = await self._text(body[place_of], sent)
            self._deriver.counts.derive_errors += failed
            return FrameRows(tuple(row), tuple(body))
        raise HelperFailed(f"not derived within {self._answer_s:g} s")

    async def _text(self, length: int, sent: bytes) -> bytes | None:
        if length == NONE:
            return None
        return sent if length == AS_SENT else await self._exactly(length)

    async def _send(self, data: bytes) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        if data:
            await self._process.stdin.send_all(data)

    async def _exactly(self, size: int) -> bytes:
        """Raises EOFError. What is large is copied in pieces: only those hold the loop up."""
        assert self._process is not None
        assert self._process.stdout is not None
        gathered = io.BytesIO()
        while (left := size - gathered.tell()) > 0:
            data = await self._process.stdout.receive_some(min(left, RECEIVE_BYTES))
            if not data:
                raise EOFError
            gathered.write(data)
        return gathered.getvalue()
