"""The client side of the control socket: blocking, standard library sockets, for the commands.

Closing the client cancels what the server does for it.
"""

import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from appliance.control_wire import (
    LENGTH_BYTES,
    REPLY_BYTES_MAX,
    REQUEST_BYTES_MAX,
    Columns,
    FrameError,
    frame,
    frame_length,
    socket_address,
    unframe,
)

CONNECT_S = 5.0


class ControlError(Exception):
    """The server said no, or went away. `code` is a short stable word, `status` a refusal's, which
    older servers do not tell."""

    def __init__(self, code: str, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status


class ControlClient:
    """One connection; one command at a time."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection

    @classmethod
    def connect(cls, root: Path, *, reply_s: float | None = None) -> "ControlClient | None":
        """Connect to the server that holds `root`; None when there is none. `reply_s`: the longest
        wait for a piece of an answer; None waits as long as the server works."""
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(CONNECT_S)
        try:
            with socket_address(root) as address:
                connection.connect(address)
        except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError):
            connection.close()
            return None
        except OSError as error:
            connection.close()
            raise ControlError("unreachable", f"control socket in {root}: {error}") from None
        connection.settimeout(reply_s)
        return cls(connection)

    def replies(self, command: str, arguments: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Run a command: its replies up to and including `done`. Raises ControlError."""
        try:
            request = frame({"command": command, "arguments": arguments}, REQUEST_BYTES_MAX)
            # Closed before it was asked: a server with too many commands. What it said is there.
            with suppress(BrokenPipeError):
                self._socket.sendall(request)
            while True:
                reply = self._receive()
                if reply.get("kind") == "error":
                    raise _said_no(reply)
                yield reply
                if reply.get("kind") == "done":
                    return
        except FrameError as error:
            raise ControlError("protocol", f"control socket: {error}") from None
        except OSError as error:
            raise ControlError("gone", f"the server went away: {error}") from None

    def rows(self, command: str, arguments: dict[str, Any]) -> "RemoteRows":
        return RemoteRows(self.replies(command, arguments))

    def value(self, command: str, arguments: dict[str, Any]) -> object:
        """Run a command that gives one value."""
        found = None
        for reply in self.replies(command, arguments):
            if reply.get("kind") == "value":
                found = reply.get("value")
        return found

    def _receive(self) -> dict[str, Any]:
        length = frame_length(self._receive_exactly(LENGTH_BYTES), REPLY_BYTES_MAX)
        return unframe(self._receive_exactly(length))

    def _receive_exactly(self, length: int) -> bytes:
        data = bytearray()
        while len(data) < length:
            piece = self._socket.recv(min(1 << 20, length - len(data)))
            if not piece:
                raise ControlError("gone", "the server went away before it had answered")
            data += piece
        return bytes(data)

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _said_no(reply: dict[str, Any]) -> ControlError:
    status = reply.get("status")
    known = status if isinstance(status, int) else None
    return ControlError(str(reply.get("code")), str(reply.get("message")), known)


class RemoteRows:
    """The rows of a command as they arrive; `ending` is what `done` said."""

    def __init__(self, replies: Iterator[dict[str, Any]]) -> None:
        self._replies = replies
        self._waiting: list[list[Any]] = []
        self.columns: Columns = []
        self.ending: dict[str, Any] = {}
        self._advance_to_columns()

    def fetch(self, rows_max: int) -> list[list[Any]]:
        """At least one row and at most rows_max; none when all have been given."""
        if not self._waiting:
            for reply in self._replies:
                if reply.get("kind") == "rows":
                    self._waiting = reply["rows"]
                    if self._waiting:
                        break
                elif reply.get("kind") == "done":
                    self.ending = reply
        taken, self._waiting = self._waiting[:rows_max], self._waiting[rows_max:]
        return taken

    def _advance_to_columns(self) -> None:
        for reply in self._replies:
            if reply.get("kind") == "columns":
                self.columns = [(name, kind) for name, kind in reply["columns"]]
                return
            if reply.get("kind") == "done":
                self.ending = reply

    def close(self) -> None:
        """Nothing to give back: closing the client's connection cancels the command."""
