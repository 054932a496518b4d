"""An upstream that streams: `python scripts/bench_sse.py PORT CHUNKS PACE_MS`, on one thread.

Every event is a chunk and a write of its own. With a pace its text says when it was sent
(CLOCK_MONOTONIC, which all processes share), which outlives a proxy that writes events anew;
without, they go as fast as the socket takes them.
"""

from __future__ import annotations

import select
import socket
import sys
import time

HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)
EVENT = (
    b'data: {"id":"chatcmpl-9f8e7d6c5b4a","object":"chat.completion.chunk","created":1790000000,'
    b'"model":"gpt-4o-mini-2024-07-18","choices":[{"index":0,"delta":{"content":" at-%d"},'
    b'"finish_reason":null}]}\n\n'
)
USAGE = (
    b'data: {"id":"chatcmpl-9f8e7d6c5b4a","object":"chat.completion.chunk","created":1790000000,'
    b'"model":"gpt-4o-mini-2024-07-18","choices":[],'
    b'"usage":{"prompt_tokens":180,"completion_tokens":50,"total_tokens":230}}\n\n'
)
END = b"data: [DONE]\n\n"
BURST = 64  # events of one stream before the next stream's turn


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


class Stream:
    """One connection: reads requests, answers each with all chunks."""

    def __init__(self, sock: socket.socket, chunks: int, pace_s: float) -> None:
        self.sock = sock
        self.chunks = chunks
        self.pace_s = pace_s
        self.left = -1  # events to be sent; -1 while no request is being answered
        self.due_s = 0.0
        self.is_blocked = False
        self.asked = b""
        self.rest = b""
        self.plain = chunk(EVENT % 0)

    def read(self) -> bool:
        """Whether the connection lives on."""
        try:
            data = self.sock.recv(65536)
        except BlockingIOError:
            return True
        except OSError:
            return False
        self.asked += data
        head, found, body = self.asked.partition(b"\r\n\r\n")
        if found and is_whole(head, body):
            self.asked, self.left, self.rest = b"", self.chunks, HEAD
            self.due_s = time.monotonic()
        return bool(data)

    def write(self, now_s: float) -> None:
        """What is due, as far as the socket takes it."""
        self.is_blocked = False
        for _ in range(BURST):
            if not self.is_busy or self.due_s > now_s:
                return
            try:
                sent = self.sock.send(self.rest or self._next())
            except BlockingIOError:
                self.is_blocked = True
                return
            except OSError:
                self.left, self.rest = -1, b""
                return
            self.rest = self.rest[sent:]
            if not self.rest:
                self.due_s += self.pace_s

    def _next(self) -> bytes:
        self.left -= 1
        if self.left < 0:
            self.rest = chunk(USAGE) + chunk(END) + b"0\r\n\r\n"
        else:
            self.rest = chunk(EVENT % time.monotonic_ns()) if self.pace_s else self.plain
        return self.rest

    @property
    def is_busy(self) -> bool:
        return self.left >= 0 or bool(self.rest)


def is_whole(head: bytes, body: bytes) -> bool:
    """Whether the request is all there. Some proxies send it on in chunks."""
    if b"\r\ntransfer-encoding: chunked" in head.lower():
        return body.endswith(b"0\r\n\r\n")
    return len(body) >= length_of(head)


def length_of(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.partition(b":")[2])
    return 0


def serve(port: int, chunks: int, pace_s: float) -> None:
    listener = socket.create_server(("127.0.0.1", port), backlog=1024)
    streams: dict[socket.socket, Stream] = {}
    while True:
        now_s = time.monotonic()
        for stream in streams.values():
            if not stream.is_blocked:
                stream.write(now_s)
        blocked = [sock for sock, stream in streams.items() if stream.is_blocked]
        due = [s.due_s for s in streams.values() if s.is_busy and not s.is_blocked]
        wait_s = max(0.0, min(due) - time.monotonic()) if due else None
        # epoll waits in whole milliseconds; this one does not
        readable, writable, _ = select.select([listener, *streams], blocked, [], wait_s)
        for sock in writable:
            streams[sock].write(now_s)
        for sock in readable:
            if sock is listener:
                accepted, _ = listener.accept()
                accepted.setblocking(False)
                accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                streams[accepted] = Stream(accepted, chunks, pace_s)
            elif not streams[sock].read():
                streams.pop(sock)
                sock.close()


if __name__ == "__main__":
    serve(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]) / 1000)
