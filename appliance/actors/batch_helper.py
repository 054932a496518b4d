"""The server's end of ingest's helper process: ask for a batch, get its columns.

Blocking, for the thread that ingest uses anyway; waiting and copying release the GIL, so the loop
does not notice. Started by the first ask; the process ends by itself when there are no more.
"""

from __future__ import annotations

import fcntl
import json
import select
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, TypeVar

import msgspec

from appliance.actors.batch_wire import ANSWER, ARGUMENT, Ask, Gathered
from appliance.actors.lake_jobs import packed_keys
from appliance.ourselves import own_command
from storage.batch import Batch
from storage.frames import Position
from storage.packed import restore
from storage.vault import SegmentKeys

ANSWER_S = 120.0
END_WAIT_S = 2.0
PIPE_BYTES = 2**20
KEPT_BYTES_MAX = 24 * 2**20

T = TypeVar("T", bytearray, memoryview)


class BatchHelperEnded(Exception):  # noqa: N818 - what was asked for is asked again
    """The process ended, or said nothing for too long, or could not read the journal."""


def helper_command() -> list[str]:
    """Ourselves again."""
    return own_command("appliance.batching", ARGUMENT)


class BatchHelper:
    """`gather(ask)`, one at a time, from one thread at a time; `close` from any."""

    def __init__(
        self,
        root: Path,
        job: Mapping[str, Any],
        keys: SegmentKeys | None,
        *,
        command: Sequence[str] | None = None,
        answer_s: float = ANSWER_S,
    ) -> None:
        self._root = root
        self._job = dict(job)
        self._keys = keys
        self._epoch = 0
        self._command = list(command or helper_command())
        self._answer_s = answer_s
        self._process: subprocess.Popen[bytes] | None = None
        self._memory = bytearray()
        self._asked: Ask | None = None  # and not answered yet
        self._is_stale = False
        self._has_old_job = False
        self.started = 0

    def gather(self, ask: Ask) -> tuple[Gathered, Batch]:
        """Raises BatchHelperEnded, and OSError where no process can be had. Where as much again is
        to come it is asked for at once, and made while this batch goes into the database."""
        process = self._running()
        try:
            if self._asked is not None and not self._fits(self._asked, ask):
                self._answer(process)
            if self._asked is None:
                self._say(process, ask)
            gathered, memory = self._answer(process)
            if not gathered.failed and _is_much_left(ask, gathered):
                self._say(process, msgspec.structs.replace(ask, start=gathered.end))
        except (EOFError, BrokenPipeError):
            self.close()
            raise BatchHelperEnded(f"the helper of ingest ended: {process.poll()}") from None
        if gathered.failed:
            raise BatchHelperEnded(gathered.failed)
        return gathered, restore(gathered.description, memory)

    def is_ahead(self, start: Position) -> bool:
        """Whether the batch from there on has been asked for."""
        return self._asked is not None and self._asked.start == start

    def forget(self) -> None:
        """What was read ahead may have been deleted since: it is read again."""
        self._is_stale = True

    def work_by(self, job: Mapping[str, Any]) -> None:
        """From the next batch on; what was read ahead is made again."""
        self._job = dict(job)
        self._has_old_job = True

    def _fits(self, asked: Ask, ask: Ask) -> bool:
        """The journal may have grown since."""
        same = msgspec.structs.replace(ask, goal=asked.goal, hurry=asked.hurry)
        return not self._is_stale and asked == same

    def _say(self, process: subprocess.Popen[bytes], ask: Ask) -> None:
        assert process.stdin is not None
        process.stdin.write(msgspec.json.encode(ask) + b"\n")
        self._asked, self._is_stale = ask, False

    def _answer(self, process: subprocess.Popen[bytes]) -> tuple[Gathered, bytearray]:
        assert process.stdout is not None
        sizes = self._read(process.stdout, bytearray(ANSWER.size))
        header_bytes, memory_bytes = ANSWER.unpack(sizes)
        header = self._read(process.stdout, bytearray(header_bytes))
        memory = self._memory_of(memory_bytes)
        self._read(process.stdout, memoryview(memory)[:memory_bytes])
        self._asked = None
        return msgspec.msgpack.decode(header, type=Gathered), memory

    @property
    def pid(self) -> int | None:
        """Of the process, while there is one."""
        return self._process.pid if self._process is not None else None

    def rest(self) -> None:
        """Nothing is left to do for now, and the last batch is in the database."""
        self._memory = bytearray()

    def close(self) -> None:
        """End the process, if there is one. A `gather` that waits for it fails."""
        process, self._process = self._process, None
        self._memory = bytearray()
        self._asked = None
        if process is None:
            return
        process.kill()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                with suppress(OSError):
                    stream.close()
        with suppress(subprocess.TimeoutExpired):
            process.wait(END_WAIT_S)

    def _running(self) -> subprocess.Popen[bytes]:
        process = self._process
        epoch = self._keys.current if self._keys is not None else 0
        is_fit = epoch == self._epoch and not self._has_old_job
        if process is not None and process.poll() is None and is_fit:
            return process
        # It had rested, or knows older keys alone, since the vault was rotated, or older prices.
        self.close()
        self._has_old_job = False
        self._epoch = epoch
        process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
        )
        self._process = process
        self.started += 1
        assert process.stdin is not None
        assert process.stdout is not None
        for stream in (process.stdin, process.stdout):
            with suppress(OSError, AttributeError):  # fewer and larger turns, where allowed
                fcntl.fcntl(stream.fileno(), fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        job = {**self._job, "root": str(self._root), "keys": packed_keys(self._keys)}
        process.stdin.write(json.dumps(job).encode() + b"\n")
        return process

    def _memory_of(self, size: int) -> bytearray:
        """The last batch is in the database, so its memory is taken again: fresh memory costs a
        page fault for each 4 KiB. Of unusual size it is not kept."""
        if size > KEPT_BYTES_MAX:
            return bytearray(size)
        if len(self._memory) < size:
            self._memory = bytearray(size + size // 4)
        return self._memory

    def _read(self, stream: IO[bytes], into: T) -> T:
        """Fills it. Raises EOFError, also when nothing has come for too long."""
        rest = memoryview(into)
        until_s = time.monotonic() + self._answer_s
        while rest:
            left_s = until_s - time.monotonic()
            if left_s <= 0 or not select.select([stream], [], [], left_s)[0]:
                raise EOFError
            read: int = stream.readinto(rest)  # type: ignore[attr-defined]
            if not read:
                raise EOFError
            rest = rest[read:]
        return into


def _is_much_left(ask: Ask, gathered: Gathered) -> bool:
    """Enough for one more batch like this; less than that may be more when it is asked for."""
    (from_segment, start), (segment, end), (to_segment, goal) = ask.start, gathered.end, ask.goal
    if segment != to_segment:
        return segment < to_segment
    return goal - end >= (end - start if segment == from_segment else end)
