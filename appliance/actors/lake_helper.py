"""The server's end of the lake's helper process: start it, hand it one job, read what it says.

A process lives for a few jobs and ends: PyArrow gives no memory back. Knows nothing of what the
jobs do.
"""

import json
import subprocess
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import trio

from appliance.ourselves import own_command

# Must agree with `appliance.rolling.ARGUMENT`, which cannot be imported here (it costs 30 ms).
ARGUMENT = "lake-helper"
LINE_BYTES_MAX = 4 * 2**20
RECEIVE_BYTES = 64 * 1024
END_WAIT_S = 2.0

Message = dict[str, Any]
Hear = Callable[[Message], None]


class HelperFailed(Exception):  # noqa: N818 - what went wrong is in the text
    """The job failed, or its process ended. `errno` when the system said why."""

    def __init__(self, message: str, errno: int | None = None) -> None:
        super().__init__(message)
        self.errno = errno


def helper_command() -> list[str]:
    """Ourselves again."""
    return own_command("appliance.rolling", ARGUMENT)


class Helper:
    """Starts processes. `pass_fds`: the root's lock goes along, so that no other server opens the
    root while an orphan is still ending."""

    def __init__(
        self,
        command: Sequence[str] | None = None,
        *,
        stall_s: float = 1800.0,
        pass_fds: Sequence[int] = (),
    ) -> None:
        self._command = list(command or helper_command())
        self._stall_s = stall_s
        self._pass_fds = tuple(pass_fds)
        self.started = 0

    @asynccontextmanager
    async def process(self) -> AsyncIterator["HelperProcess"]:
        """A process for some jobs; it is gone afterwards, whatever happened."""
        process = await trio.lowlevel.open_process(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=self._pass_fds
        )
        self.started += 1
        try:
            yield HelperProcess(process, self._stall_s)
        finally:
            await _ended(process)  # noqa: ASYNC102 - shielded and bounded in there


class HelperProcess:
    def __init__(self, process: trio.Process, stall_s: float) -> None:
        self._process = process
        self._stall_s = stall_s
        self._received = bytearray()

    async def run(self, job: Message, hear: Hear) -> Message:
        """The job's result; `hear` gets what is said before. Raises HelperFailed."""
        assert self._process.stdin is not None
        try:
            await self._process.stdin.send_all(json.dumps(job).encode() + b"\n")
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            raise HelperFailed(f"the helper ended: {self._process.poll()}") from None
        while True:
            message = json.loads(await self._line())
            if "done" in message:
                done: Message = message["done"]
                return done
            if "failed" in message:
                raise HelperFailed(message["failed"], message.get("errno"))
            hear(message)

    async def _line(self) -> bytes:
        assert self._process.stdout is not None
        while (end := self._received.find(b"\n")) < 0:
            with trio.move_on_after(self._stall_s) as scope:
                data = await self._process.stdout.receive_some(RECEIVE_BYTES)
            if scope.cancelled_caught:
                raise HelperFailed(f"the helper said nothing for {self._stall_s:g} s")
            if not data or len(self._received) > LINE_BYTES_MAX:
                raise HelperFailed(f"the helper ended early: {self._process.poll()}")
            self._received += data
        line = bytes(self._received[:end])
        del self._received[: end + 1]
        return line


async def _ended(process: trio.Process) -> None:
    """Closing stdin ends it at once when idle or not; killed when it does not hear."""
    with trio.CancelScope(shield=True, deadline=trio.current_time() + 2 * END_WAIT_S):
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                await stream.aclose()
        with trio.move_on_after(END_WAIT_S):
            await process.wait()
            return
        process.kill()
        await process.wait()
