"""The server side of the control socket, by which commands reach a running server.

It lies in the data directory, is open to its owner alone, and knows no command: those are handed
in. A client that hangs up cancels its command.
"""

import os
import socket
import stat
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import trio

from appliance.control_wire import (
    LENGTH_BYTES,
    REQUEST_BYTES_MAX,
    SOCKET_NAME,
    FrameError,
    RowConverter,
    frame,
    frame_length,
    slices,
    socket_address,
    unframe,
)
from appliance.errors import Refusal

COMMANDS_MAX = 32  # connections at once; a further one is told "busy"
REST_S = 300.0  # how long a connection may lie between two commands
WRITE_S = 600.0  # how long a client may take for one message (a pager waits for a person)
BACKLOG = 64


class ControlReply:
    """What a command answers with. Rows are converted and sent in slices, with back-pressure."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._converter: RowConverter | None = None
        self.ending: dict[str, Any] = {}  # what `done` will say besides

    async def columns(self, columns: Iterable[tuple[str, str]]) -> None:
        listed = [[str(name), str(kind)] for name, kind in columns]
        self._converter = RowConverter((name, kind) for name, kind in listed)
        await self.send({"kind": "columns", "columns": listed})

    async def rows(self, rows: Sequence[Sequence[Any]]) -> None:
        assert self._converter is not None, "columns come before rows"
        for part in slices(rows):
            await self.send({"kind": "rows", "rows": self._converter.convert(part)})

    async def value(self, value: object) -> None:
        await self.send({"kind": "value", "value": value})

    async def send(self, message: dict[str, Any]) -> None:
        with trio.fail_after(WRITE_S):
            await self._stream.send_all(frame(message))


Command = Callable[[dict[str, Any], ControlReply], Awaitable[None]]


async def serve_control(
    path: Path,
    commands: Mapping[str, Command],
    *,
    on_bug: Callable[[str, BaseException], None] | None = None,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until cancelled. `path` is the socket's (`control.sock` in a data directory whose lock
    we hold: a file that lies there is left over). `on_bug` hears of exceptions that are bugs."""
    listening = _listen(path)
    room = trio.CapacityLimiter(COMMANDS_MAX)

    async def handle(stream: trio.SocketStream) -> None:
        async with stream:
            try:
                room.acquire_nowait()
            except trio.WouldBlock:
                with trio.move_on_after(1):
                    await _say(stream, _error("busy", f"{COMMANDS_MAX} commands are running"))
                return
            try:
                await _serve_one(stream, commands, on_bug)
            finally:
                room.release()

    try:
        listener = trio.SocketListener(trio.socket.from_stdlib_socket(listening))
        async with trio.open_nursery() as nursery:
            task_status.started()
            await trio.serve_listeners(handle, [listener], handler_nursery=nursery)
    finally:
        _remove(path)
        listening.close()


def _listen(path: Path) -> socket.socket:
    """Bind under a passing name, close it to others, listen, then put it in its place: no moment
    at which it is open to others, and none without a socket that answers."""
    name = f".{SOCKET_NAME}.{os.getpid()}"
    (path.parent / name).unlink(missing_ok=True)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with socket_address(path.parent, name) as address:
            listening.bind(address)
        (path.parent / name).chmod(stat.S_IRUSR | stat.S_IWUSR)
        listening.listen(BACKLOG)
        (path.parent / name).replace(path)
    except BaseException:
        listening.close()
        (path.parent / name).unlink(missing_ok=True)
        raise
    return listening


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)


async def _serve_one(
    stream: trio.SocketStream,
    commands: Mapping[str, Command],
    on_bug: Callable[[str, BaseException], None] | None,
) -> None:
    """Commands of one connection, one after the other. Everything expected is answered or ends the
    connection here: no such error leaves."""
    try:
        while True:
            with trio.fail_after(REST_S):
                request = await _receive(stream)
            if request is None:
                return
            if not await _run(stream, request, commands, on_bug):
                return
    except FrameError as error:
        with trio.move_on_after(1):
            await _say(stream, _error("protocol", str(error)))
    except (trio.BrokenResourceError, trio.ClosedResourceError, trio.TooSlowError, OSError):
        return


async def _run(
    stream: trio.SocketStream,
    request: dict[str, Any],
    commands: Mapping[str, Command],
    on_bug: Callable[[str, BaseException], None] | None,
) -> bool:
    """One command, cancelled when the client hangs up or speaks out of turn. True: go on."""
    reply = ControlReply(stream)
    alone = True
    last: dict[str, Any] | None = None

    async def watch(scope: trio.CancelScope) -> None:
        nonlocal alone
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            await stream.receive_some(1)
        alone = False
        scope.cancel("the client hung up")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch, nursery.cancel_scope)
        last = await _answer(request, commands, reply, on_bug)
        nursery.cancel_scope.cancel("the command has ended")
    if last is None or not alone:
        return False
    await _say(stream, last)
    return True


async def _answer(
    request: dict[str, Any],
    commands: Mapping[str, Command],
    reply: ControlReply,
    on_bug: Callable[[str, BaseException], None] | None,
) -> dict[str, Any] | None:
    """Run it; the message that ends it, or None when the client can no longer be told."""
    name, arguments = request.get("command"), request.get("arguments", {})
    command = commands.get(name) if isinstance(name, str) else None
    if command is None or not isinstance(arguments, dict):
        known = ", ".join(sorted(commands))
        return _error("unknown_command", f"this server knows: {known}")
    try:
        await command(arguments, reply)
    except Refusal as refusal:
        return _error(refusal.code, refusal.message) | {"status": refusal.status}
    except FrameError as error:
        return _error("too_large", str(error))
    except (trio.BrokenResourceError, trio.ClosedResourceError, trio.TooSlowError):
        return None
    except Exception as error:
        if on_bug is not None:
            on_bug(str(name), error)
        return _error("internal", f"{type(error).__name__} in {name}: the server's log has more")
    return {"kind": "done"} | reply.ending


async def _receive(stream: trio.SocketStream) -> dict[str, Any] | None:
    head = await _exactly(stream, LENGTH_BYTES)
    if head is None:
        return None
    data = await _exactly(stream, frame_length(head, REQUEST_BYTES_MAX))
    return None if data is None else unframe(data)


async def _exactly(stream: trio.SocketStream, length: int) -> bytes | None:
    data = bytearray()
    while len(data) < length:
        piece = await stream.receive_some(length - len(data))
        if not piece:
            return None
        data += piece
    return bytes(data)


async def _say(stream: trio.SocketStream, message: dict[str, Any]) -> None:
    with trio.move_on_after(WRITE_S):
        await stream.send_all(frame(message))


def _error(code: str, message: str) -> dict[str, Any]:
    return {"kind": "error", "code": code, "message": message}
