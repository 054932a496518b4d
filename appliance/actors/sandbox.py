"""User SQL: at most two processes for it, started when first needed, killed when a query takes too
long or its client is gone, and ended when none has come for a while.

Knows sockets, turns and times; what a query may do is `storage.sandbox`'s business.
"""

from __future__ import annotations

import array
import json
import os
import socket
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

import trio

from appliance.ourselves import own_command
from storage.sandbox_wire import (
    DATA,
    DONE,
    FRAME_BYTES_MAX,
    HEAD,
    NEEDS_BODIES,
    READY,
    REFUSED,
    Done,
    Job,
)

# Must agree with `storage.sandbox.ARGUMENT`, whose module loads DuckDB.
ARGUMENT: Final = "sql-sandbox"
AT_ONCE: Final = 2
WAITING_MAX: Final = 32
QUERY_S: Final = 30.0
START_S: Final = 20.0  # on a machine that is busy
IDLE_S: Final = 60.0
LOOK_S: Final = 5.0
END_WAIT_S: Final = 5.0
RECEIVE_BYTES: Final = 256 * 1024
# Nothing of ours: keys and tokens are in the environment of a server.
ENVIRONMENT: Final = ("LANG", "LC_ALL", "LD_LIBRARY_PATH", "PATH", "PYTHONHOME", "PYTHONPATH")
# Where a one-file executable has unpacked itself; without them it would do so again.
UNPACKED: Final = ("_PYI_APPLICATION_HOME_DIR", "_PYI_ARCHIVE_FILE", "_PYI_PARENT_PROCESS_LEVEL")

Take = Callable[[bytes], Awaitable[None]]


class SandboxFailed(Exception):  # noqa: N818 - whoever asked is told
    """The query was refused or did not end; `code` is one of Helicone's (backend.md 6)."""

    def __init__(self, code: str, details: str = "") -> None:
        super().__init__(f"{code}: {details}")
        self.code = code
        self.details = details


class SandboxBusy(Exception):  # noqa: N818
    """Too many wait already."""


class BodiesWanted(Exception):  # noqa: N818
    """The query reads bodies: it is to come again with them."""


def sandbox_command() -> list[str]:
    """Ourselves again."""
    return own_command("storage.sandbox", ARGUMENT)


class Sandbox:
    """All user SQL of this server, of every region."""

    def __init__(
        self,
        command: Sequence[str] | None = None,
        *,
        query_s: float = QUERY_S,
        idle_s: float = IDLE_S,
    ) -> None:
        self._command = list(command or sandbox_command())
        self._query_s = query_s
        self._idle_s = idle_s
        self._idle: list[tuple[float, SandboxProcess]] = []
        self._turns = Turns()
        self._closing = trio.Event()
        # To do when no query has come for a while.
        self.on_rest: list[Callable[[], Awaitable[None]]] = []
        self.started = 0
        self.killed = 0
        self.used_at_s = 0.0

    @property
    def inbox(self) -> int:
        """Queries that wait for a process."""
        return self._turns.waiting

    @property
    def trouble(self) -> str:
        """Nothing lasts from one query to the next."""
        return ""

    @asynccontextmanager
    async def turn(self, who: object) -> AsyncIterator[SandboxProcess]:
        """A process of one's own for a while; whatever is at work at the end of it is killed. `who`
        waits behind others who have none. Raises SandboxBusy, SandboxFailed."""
        async with self._turns.taken(who, self._query_s):
            process = await self._process()
            try:
                yield process
            finally:
                self.used_at_s = trio.current_time()
                if process.is_idle and not self._closing.is_set():
                    self._idle.append((trio.current_time(), process))
                else:
                    self.killed += 1
                    await process.end()  # noqa: ASYNC102 - shielded and bounded in there

    async def _process(self) -> SandboxProcess:
        while self._idle:
            _, process = self._idle.pop()
            if process.is_idle:
                return process
            await process.end()
        self.started += 1
        try:
            return await SandboxProcess.start(self._command, self._query_s)
        except (OSError, trio.TooSlowError) as error:
            raise SandboxFailed("EXECUTION_FAILED", "no process could be started") from error

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Ends processes that rest, and all of them at the end."""
        task_status.started()
        try:
            while not self._closing.is_set():
                with trio.move_on_after(min(LOOK_S, self._idle_s)):
                    await self._closing.wait()
                await self._end_since(trio.current_time() - self._idle_s)
                if self.used_at_s < trio.current_time() - self._idle_s:
                    for rest in self.on_rest:
                        await rest()
        finally:
            await self._end_since(float("inf"))  # noqa: ASYNC102 - shielded and bounded in there

    async def _end_since(self, until_s: float) -> None:
        rested = [pair for pair in self._idle if pair[0] <= until_s]
        self._idle = [pair for pair in self._idle if pair[0] > until_s]
        for _, process in rested:
            await process.end()

    def close(self) -> None:
        """No more processes are kept."""
        self._closing.set()


@dataclass(slots=True, eq=False)
class _Waiting:
    who: object
    called: trio.Event = field(default_factory=trio.Event)


class Turns:
    """`AT_ONCE` at a time; of those who wait, one who has nothing running comes first."""

    def __init__(self) -> None:
        self._running: list[object] = []
        self._waiting: list[_Waiting] = []

    @property
    def waiting(self) -> int:
        """How many there are."""
        return len(self._waiting)

    @asynccontextmanager
    async def taken(self, who: object, wait_s: float) -> AsyncIterator[None]:
        """Raises SandboxBusy."""
        await self._wait(who, wait_s)
        try:
            yield
        finally:
            self._running.remove(who)
            self._call_next()

    async def _wait(self, who: object, wait_s: float) -> None:
        if len(self._running) < AT_ONCE and not self._waiting:
            self._running.append(who)
            return
        if len(self._waiting) >= WAITING_MAX:
            raise SandboxBusy
        waiting = _Waiting(who)
        self._waiting.append(waiting)
        try:
            with trio.move_on_after(wait_s):
                await waiting.called.wait()
            if not waiting.called.is_set():
                raise SandboxBusy
        except BaseException:
            if waiting in self._waiting:
                self._waiting.remove(waiting)
            else:  # called at the moment of leaving
                self._running.remove(who)
                self._call_next()
            raise

    def _call_next(self) -> None:
        if not self._waiting or len(self._running) >= AT_ONCE:
            return
        first = next((w for w in self._waiting if w.who not in self._running), self._waiting[0])
        self._waiting.remove(first)
        self._running.append(first.who)
        first.called.set()


class SandboxProcess:
    """One of them, for one query at a time."""

    def __init__(self, process: trio.Process, ours: trio.socket.SocketType, query_s: float) -> None:
        self._process = process
        self._socket = ours
        self._query_s = query_s
        self._received = bytearray()
        self._at_work = False
        self._ended = False

    @classmethod
    async def start(cls, command: Sequence[str], query_s: float) -> SandboxProcess:
        """Raises OSError, trio.TooSlowError."""
        ours, theirs = socket.socketpair()
        try:
            kept = (name for name in (*ENVIRONMENT, *UNPACKED) if name in os.environ)
            environment = {name: os.environ[name] for name in kept}
            process = await trio.lowlevel.open_process(
                list(command), stdin=theirs.fileno(), stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL, env=environment,
            )  # fmt: skip
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        started = cls(process, trio.socket.from_stdlib_socket(ours), query_s)
        try:
            with trio.fail_after(START_S):
                kind, _ = await started._frame()
            if kind != READY:
                raise OSError("it ended at once")
        except BaseException:
            await started.end()  # noqa: ASYNC102, ASYNC120 - shielded and bounded in there
            raise
        return started

    @property
    def is_idle(self) -> bool:
        """Whether it can take a query."""
        return not self._at_work and not self._ended and self._process.poll() is None

    @property
    def pid(self) -> int:
        return self._process.pid

    async def run(self, job: Job, files: Sequence[int], take: Take) -> Done:
        """Hands pieces of the result to `take` as they come. Raises SandboxFailed, BodiesWanted,
        and what `take` raises; unless the process said so itself, it is of no use afterwards."""
        self._at_work = True
        with trio.move_on_after(self._query_s):
            return await self._answered(job, files, take)
        raise SandboxFailed("QUERY_TIMEOUT", f"it took longer than {self._query_s:g} s")

    async def _answered(self, job: Job, files: Sequence[int], take: Take) -> Done:
        try:
            await self._send(job.encoded(), files)
        except OSError:
            raise _died() from None
        while True:
            kind, data = await self._frame()
            if kind == DATA:
                await take(data)
                continue
            if kind == DONE:
                self._at_work = False
                return Done(**json.loads(data))
            if kind == NEEDS_BODIES:
                self._at_work = False
                raise BodiesWanted
            if kind == REFUSED:
                said = json.loads(data)
                # Out of memory, it ends by itself.
                self._at_work = said["code"] == "MEMORY_LIMIT_EXCEEDED"
                raise SandboxFailed(said["code"], said["details"])
            raise _died()

    async def _send(self, data: bytes, files: Sequence[int]) -> None:
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", files))] if files else []
        sent = await self._socket.sendmsg([data], rights)
        while sent < len(data):
            sent += await self._socket.send(data[sent:])

    async def _frame(self) -> tuple[bytes, bytes]:
        """The next frame; an empty kind when there is none."""
        head = await self._exactly(HEAD.size)
        if head is None:
            return b"", b""
        kind, size = HEAD.unpack(head)
        assert size <= FRAME_BYTES_MAX
        data = await self._exactly(size)
        return (b"", b"") if data is None else (kind, data)

    async def _exactly(self, size: int) -> bytes | None:
        while len(self._received) < size:
            try:
                data = await self._socket.recv(RECEIVE_BYTES)
            except OSError:
                data = b""
            if not data:
                return None
            self._received += data
        found = bytes(self._received[:size])
        del self._received[:size]
        return found

    async def end(self) -> None:
        """Kill it, whatever it does. Safe to call twice."""
        self._ended = True
        self._socket.close()
        with suppress(ProcessLookupError):
            self._process.kill()
        with trio.move_on_after(END_WAIT_S, shield=True):
            await self._process.wait()


def _died() -> SandboxFailed:
    return SandboxFailed("MEMORY_LIMIT_EXCEEDED", "the process that ran it has ended")
