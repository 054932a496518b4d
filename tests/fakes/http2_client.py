"""A client that speaks HTTP/2 frame by frame, with prior knowledge or on a TLS connection."""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import urlsplit

import h2.config
import h2.connection
import h2.events
from h2.errors import ErrorCodes

from tests.fakes.patience import PATIENCE_S

TIMEOUT_S = PATIENCE_S
Headers = list[tuple[bytes, bytes]]


@dataclass
class Stream:
    """What came back on one stream. `end` is clean, reset, or empty while it is open."""

    status: int = 0
    headers: Headers = field(default_factory=list)
    body: bytes = b""
    trailers: Headers = field(default_factory=list)
    end: str = ""

    def first(self, name: str) -> bytes | None:
        return next((v for k, v in self.headers if k == name.encode()), None)

    @property
    def id(self) -> str:
        """The record's id."""
        value = self.first("helicone-id")
        assert value is not None, (self.status, self.headers, self.body[:500])
        return value.decode()


class Http2Client:
    """One connection. `acknowledge` False: the client takes nothing beyond the first window."""

    def __init__(
        self, url: str, sock: socket.socket | None = None, *, acknowledge: bool = True
    ) -> None:
        parts = urlsplit(url)
        self.authority = parts.netloc
        self.scheme = parts.scheme
        if sock is None:
            sock = socket.create_connection((parts.hostname, parts.port), TIMEOUT_S)
        self.sock = sock
        self.sock.settimeout(TIMEOUT_S)
        self.acknowledge = acknowledge
        self.closed = ""
        self.streams: dict[int, Stream] = {}
        config = h2.config.H2Configuration(client_side=True, header_encoding=None)
        self.connection = h2.connection.H2Connection(config)
        self.connection.initiate_connection()
        self.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def flush(self) -> None:
        self.sock.sendall(self.connection.data_to_send())

    def start(
        self,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        *,
        method: str = "POST",
        end: bool = True,
    ) -> int:
        """Send a request; gives its stream's number. `end` False leaves it open for `send`."""
        number = self.connection.get_next_available_stream_id()
        self.streams[number] = Stream()
        lines = [
            (":method", method), (":path", path), (":scheme", self.scheme),
            (":authority", self.authority), *(headers or {}).items(),
        ]  # fmt: skip
        self.connection.send_headers(number, lines, end_stream=end and body is None)
        if body is not None:
            self.send(number, body, end=end)
        self.flush()
        return number

    def send(self, number: int, data: bytes, *, end: bool = False) -> None:
        """Send a piece of a body, as the server's windows allow."""
        rest = memoryview(data)
        while True:
            window = self.connection.local_flow_control_window(number)
            room = min(window, self.connection.max_outbound_frame_size)
            if rest and room <= 0:
                self.read()
                assert not self.closed, self.closed
                continue
            piece, rest = rest[:room], rest[room:]
            self.connection.send_data(number, bytes(piece), end_stream=end and not rest)
            self.flush()
            if not rest:
                return

    def reset(self, number: int) -> None:
        self.connection.reset_stream(number, ErrorCodes.CANCEL)
        self.flush()

    def reply(self, number: int) -> Stream:
        """Read until this stream has ended."""
        stream = self.streams[number]
        self.read_until(lambda: bool(stream.end))
        return stream

    def call(self, *arguments: Any, **options: Any) -> Stream:
        return self.reply(self.start(*arguments, **options))

    def read_until(self, done: Any) -> None:
        until_s = time.monotonic() + TIMEOUT_S
        while not done():
            assert not self.closed, self.closed
            assert time.monotonic() < until_s
            self.read()

    def read(self) -> None:
        """Take in what comes next."""
        try:
            data = self.sock.recv(65536)
        except ConnectionResetError:
            data = b""
        if not data:
            self.closed = self.closed or "end"
            return
        for event in self.connection.receive_data(data):
            self._take(event)
        if not self.closed:
            self.flush()

    def _take(self, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.ConnectionTerminated):
            self.closed = f"goaway {event.error_code}"
            return
        stream = self.streams.get(getattr(event, "stream_id", 0) or 0)
        if stream is None:
            return
        if isinstance(event, h2.events.ResponseReceived):
            stream.headers = list(event.headers)
            stream.status = int(stream.first(":status") or 0)
        elif isinstance(event, h2.events.DataReceived):
            stream.body += event.data
            if self.acknowledge:
                self.connection.acknowledge_received_data(
                    event.flow_controlled_length, event.stream_id
                )
        elif isinstance(event, h2.events.TrailersReceived):
            stream.trailers = list(event.headers)
        elif isinstance(event, h2.events.StreamEnded):
            stream.end = stream.end or "clean"
        elif isinstance(event, h2.events.StreamReset):
            stream.end = "reset"
