"""A client that sends what it is told and shows what came back, byte for byte. Blocking sockets."""

from __future__ import annotations

import json
import socket
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import urlsplit

from tests.fakes.patience import PATIENCE_S

TIMEOUT_S = PATIENCE_S
Headers = list[tuple[bytes, bytes]]


@dataclass
class Reply:
    """One reply. `end` is clean, cut (closed inside), reset or timeout; `frames` are the chunks."""

    status: int = 0
    line: bytes = b""
    headers: Headers = field(default_factory=list)
    body: bytes = b""
    frames: list[bytes] = field(default_factory=list)
    trailers: Headers = field(default_factory=list)
    early: list[tuple[int, Headers]] = field(default_factory=list)
    end: str = ""

    def values(self, name: str) -> list[bytes]:
        return [value for key, value in self.headers if key.lower() == name.lower().encode()]

    def first(self, name: str) -> bytes | None:
        return next(iter(self.values(name)), None)

    @property
    def id(self) -> str:
        """The record's id."""
        value = self.first("helicone-id")
        assert value is not None, (self.status, self.headers, self.body[:500])
        return value.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Ended(Exception):  # noqa: N818 - a signal
    """The connection ended: cut, reset or timeout."""


class RawClient:
    """One connection."""

    def __init__(self, url: str, *, timeout_s: float = TIMEOUT_S, receive_buffer: int = 0) -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None
        self.host = parts.netloc.encode()
        self.sock = socket.socket()
        if receive_buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.sock.settimeout(timeout_s)
        try:
            self.sock.connect((parts.hostname, parts.port or 80))
        except OSError:
            self.sock.close()
            raise
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.data = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.sock.close()

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def request(
        self,
        target: str,
        body: bytes | dict[str, Any] | None = None,
        headers: dict[str, str] | Headers | None = None,
        *,
        method: str = "POST",
        framing: bool = True,
    ) -> None:
        """Send one request, with Host and Content-Length unless told otherwise."""
        data = json.dumps(body).encode() if isinstance(body, dict) else body or b""
        lines = [b"%b %b HTTP/1.1" % (method.encode(), target.encode()), b"Host: " + self.host]
        if framing and (data or method == "POST"):
            lines.append(b"Content-Length: %d" % len(data))
        if isinstance(body, dict):
            lines.append(b"Content-Type: application/json")
        given = headers.items() if isinstance(headers, dict) else headers or []
        for name, value in given:
            lines.append(_bytes(name) + b": " + _bytes(value))
        self.send(b"\r\n".join(lines) + b"\r\n\r\n" + data)

    def call(self, *arguments: Any, **options: Any) -> Reply:
        self.request(*arguments, **options)
        return self.reply(options.get("method", "POST"))

    def _more(self) -> None:
        try:
            data = self.sock.recv(65536)
        except TimeoutError:
            raise Ended("timeout") from None
        except OSError:
            raise Ended("reset") from None
        if not data:
            raise Ended("cut")
        self.data += data

    def read_until(self, mark: bytes) -> bytes:
        while mark not in self.data:
            self._more()
        end = self.data.index(mark) + len(mark)
        taken, self.data = self.data[:end], self.data[end:]
        return taken

    def read_exactly(self, size: int) -> bytes:
        while len(self.data) < size:
            self._more()
        taken, self.data = self.data[:size], self.data[size:]
        return taken

    def reply(self, method: str = "POST") -> Reply:
        """Read one reply to its end, however that is."""
        reply = Reply()
        try:
            self.head(reply)
        except Ended as ended:
            reply.end = str(ended)
            return reply
        return self.rest(reply, method)

    def rest(self, reply: Reply, method: str = "POST") -> Reply:
        """Read the reply whose head was read to its end, however that is."""
        try:
            self._body(reply, method)
        except Ended as ended:
            reply.end = reply.end or str(ended)
        return reply

    def head(self, reply: Reply | None = None) -> Reply:
        """Read the head only. Raises Ended."""
        reply = reply or Reply()
        while True:
            head = self.read_until(b"\r\n\r\n")[:-4]
            lines = head.split(b"\r\n")
            parted = [line.partition(b":") for line in lines[1:]]
            headers = [(name, value.strip(b" \t")) for name, _, value in parted]
            status = int(lines[0].split(b" ")[1])
            if status >= 200:
                reply.status, reply.line, reply.headers = status, lines[0], headers
                return reply
            reply.early.append((status, headers))

    def _body(self, reply: Reply, method: str) -> None:
        if method == "HEAD" or reply.status in (204, 304):
            reply.end = "clean"
        elif (reply.first("transfer-encoding") or b"").lower() == b"chunked":
            while self.frame(reply):
                pass
        elif reply.first("content-length") is not None:
            wanted = int(reply.first("content-length") or b"0")
            try:
                while len(self.data) < wanted:
                    self._more()
            finally:
                reply.body, self.data = self.data[:wanted], self.data[wanted:]
            reply.end = "clean"
        else:
            try:
                while True:
                    self._more()
            except Ended as ended:
                reply.end = "clean" if str(ended) == "cut" else str(ended)
            reply.body, self.data = self.data, b""

    def frame(self, reply: Reply) -> bool:
        """Read one chunk into the reply; False at the clean end. Raises Ended."""
        size = int(self.read_until(b"\r\n").split(b";")[0], 16)
        if size:
            data = self.read_exactly(size + 2)
            assert data.endswith(b"\r\n")
            reply.frames.append(data[:-2])
            reply.body += data[:-2]
            return True
        while (line := self.read_until(b"\r\n")) != b"\r\n":
            name, _, value = line[:-2].partition(b":")
            reply.trailers.append((name, value.strip()))
        reply.end = "clean"
        return False

    def ended(self) -> str:
        """How the connection ends, reading and forgetting what still comes."""
        try:
            while True:
                self.data = b""
                self._more()
        except Ended as ended:
            return str(ended)


def _bytes(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode()
