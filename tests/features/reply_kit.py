"""Both sides of a relay in memory: what happened, in its order."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from appliance.exchange import Exchange, Head, Headers, Watch
from appliance.upstream.http1 import UpstreamConnection, UpstreamReply
from tests.fakes.memory_lane import MemoryWire

HEAD = Head(b"POST", b"/v1/x", "1.1", [], {})


class Diary:
    """ReplySide and tap in one: `events` says who did what when."""

    heavy = False

    def __init__(self, *, breaks_after: int = -1, drain_s: float = 0.0) -> None:
        self.watch = Watch(None)
        self.watch.drain_s = drain_s
        self.events: list[str] = []
        self.status = 0
        self.headers: Headers = []
        self.body = b""
        self.seen = b""
        self.trailers: Headers = []
        self._breaks_after = breaks_after

    def _write(self, piece: bytes) -> None:
        if self._breaks_after == 0:
            raise BrokenPipeError
        self._breaks_after -= 1
        self.body += piece

    async def start(
        self,
        status: int,
        reason: bytes,
        headers: Headers,
        length: int | None,
        piece: bytes,
        *,
        last: bool = False,
        trailers: Headers | None = None,
    ) -> None:
        self.events.append("start")
        self.status, self.headers = status, headers
        self._write(piece)
        if last:
            self.events.append("end")
            self.trailers = trailers or []

    async def write(self, piece: bytes) -> None:
        self.events.append("write")
        self._write(piece)

    async def finish(self, piece: bytes, trailers: Headers) -> None:
        self.events.append("end")
        self._write(piece)
        self.trailers = trailers

    def add(self, piece: bytes) -> None:
        self.seen += piece

    async def unload(self) -> None:
        raise AssertionError

    async def seal(self, outcome: str) -> None:
        if "seal" not in self.events:
            self.events.append("seal")


def exchange_of(diary: Diary, *, dialect: str = "openai", glue: bool = False) -> Exchange:
    reply: Any = diary
    x = Exchange(HEAD, reply, None)
    x.dialect = dialect
    asks: Any = SimpleNamespace(stream_force_format=glue)
    x.asks = asks
    x.reply_headers = [(b"Helicone-Id", b"1")]
    return x


async def reply_of(pieces: list[bytes]) -> UpstreamReply:
    """A provider's reply whose head has been read; the rest comes in these pieces."""
    reply = UpstreamReply(UpstreamConnection("key", MemoryWire(pieces)))
    assert await reply.read_head(b"POST", complete=True)
    return reply
