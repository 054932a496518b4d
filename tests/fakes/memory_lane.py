"""The fast lane between two wires in memory: no socket, no disk, every record kept as it was."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from appliance import assembly
from appliance.actors.rate_limiter import RateLimiter
from appliance.actors.response_cache import ResponseCache
from appliance.config import Config
from appliance.core.provider_credentials import Found, Secret
from appliance.core.proxy_keys import StandIn
from appliance.door.http1 import FastConnection
from appliance.door.listener import Door
from appliance.door.route_types import RequestHead, Route
from appliance.door.routes import route
from appliance.exchange import Head, Watch
from appliance.log import Log
from appliance.pipeline import handle
from appliance.upstream.pool import Pool
from appliance.wire import Wire
from storage.frames import decode_exchange, unpack

REPLY = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 12\r\n\r\n"
    + b'{"id":"c-1"}'
)


class FakeSocket:
    """What the sweeper and the lane ask of a socket."""

    def fileno(self) -> int:
        return 0

    def shutdown(self, how: int) -> None:
        return


class MemoryWire:
    """Gives `pieces` one after the other, then the end; keeps what is sent."""

    def __init__(self, pieces: list[bytes]) -> None:
        self.sock: Any = FakeSocket()
        self.pieces = pieces
        self.sent: list[bytes] = []

    async def recv(self) -> bytes:
        return self.pieces.pop(0) if self.pieces else b""

    async def send_all(self, data: bytes) -> None:
        self.sent.append(data)

    def takes_soon(self, size: int) -> bool:
        return False

    def send_soon(self, data: bytes) -> None:
        raise AssertionError("it does not")

    def wake(self) -> None:
        return

    def is_fresh(self) -> bool:
        return True

    def peek(self) -> bool:
        return False

    def close(self) -> None:
        return

    def abort(self) -> None:
        return


class MemoryProvider(MemoryWire):
    """Answers each request with the same reply."""

    def __init__(self, reply: bytes) -> None:
        super().__init__([])
        self.reply = reply

    async def recv(self) -> bytes:
        return self.reply


class MemoryStore:
    """A region's store that keeps frames in a list."""

    def __init__(self) -> None:
        self.journal = self
        self.degraded: str | None = None
        self.payloads: list[bytes] = []
        self.orgs: list[bytes] = []
        self.cache = ResponseCache(2**20)
        self.cache_secret = b"c" * 32
        self.limiter = RateLimiter(Path("/nonexistent"), b"s" * 32)
        self.prompts = SimpleNamespace()  # asked for a `prompt_id` alone
        # A wallet with which nobody has a budget.
        self.wallet = SimpleNamespace(concerns=lambda _org, *, pass_through: pass_through)

    def append(self, kind: int, org: bytes, payload: bytes, flags: int = 0) -> None:
        self.payloads.append(payload)
        self.orgs.append(org)

    async def settle(self, ticket: Any) -> None:
        return

    def note_recent(self, org: bytes, request_id: str, payload_bytes: int) -> None:
        return

    @property
    def records(self) -> list[dict[str, Any]]:
        """Metadata, with both bodies beside it."""
        found = []
        for payload in self.payloads:
            meta, request, response = decode_exchange(payload)
            nothing: Any = None
            found.append(
                {**meta, "request": unpack(request, nothing), "response": unpack(response, nothing)}
            )
        return found


class MemoryRing:
    """Provider keys by organisation, provider and id; those in `slow` have to be loaded."""

    def __init__(self) -> None:
        self.environment: dict[str, Secret] = {}
        self.keys: dict[tuple[bytes, str, str], Found] = {}
        self.slow: dict[tuple[bytes, str, str], Found] = {}
        self.stand_ins: dict[str, StandIn] = {}
        self.loads = 0

    def find(self, org: bytes, provider_id: str, key_id: str = "") -> Found | None:
        return self.keys.get((org, provider_id, key_id))

    async def load(self, org: bytes, provider_id: str, key_id: str = "") -> Found | None:
        self.loads += 1
        return self.slow.get((org, provider_id, key_id))

    async def stand_in(self, text: str) -> StandIn | None:
        return self.stand_ins.get(text)


class MemoryLane:
    """A house with `config`, whose provider answers with `reply`."""

    def __init__(self, reply: bytes = REPLY, **config: Any) -> None:
        self.config = Config(data_dir=Path("/nonexistent"), port=0, **config)
        self.provider = MemoryProvider(reply)
        self.store = MemoryStore()
        self.keys: dict[str, Any] = {}
        self.ring: Any = SimpleNamespace(broken="", lookup=self.keys.get)
        parts = replace(assembly.parts_of(self.config, []), rings=self.ring)
        regions: Any = {"us": self.store}
        log = Log("error", "text")
        self.provider_keys = MemoryRing()
        rings: Any = {"us": self.provider_keys}
        self.house = assembly.house_of(self.config, regions, rings, parts, log)
        self.house.pool = Pool(self._dial)
        self.routing = parts.routing
        full: Any = SimpleNamespace(join=lambda *_: None)
        self.door = Door(
            handle=partial(handle, house=self.house),
            route=self._route,
            full=full,
            body_sink=lambda region: None,  # type: ignore[arg-type,return-value]
            deadlines=self.config.deadlines,
            body_bytes_max=self.config.body_bytes_max,
            connections_max=self.config.connections_max,
            log=log,
        )

    async def _dial(self, key: Any) -> Wire:
        return self.provider

    def _route(self, head: Head) -> Route:
        first = head.first
        return route(RequestHead(head.method, head.target, first[b"host"], first), self.routing)

    async def serve(self, pieces: list[bytes]) -> list[bytes]:
        """One connection that sends `pieces`; what it got back, write by write."""
        client = MemoryWire(list(pieces))
        with contextlib.suppress(ConnectionError):
            await FastConnection(self.door, client, Watch(client), b"", b"http", "").serve()
        return client.sent


def chat(
    *lines: str, body: bytes = b"{}", path: str = "/v1/gateway/oai/v1/chat/completions"
) -> bytes:
    """A chat request with these header lines besides the usual ones."""
    head = [
        "Host: localhost",
        "Content-Type: application/json",
        "Authorization: Bearer sk-1",
        *lines,
    ]
    text = f"POST {path} HTTP/1.1\r\n" + "".join(f"{line}\r\n" for line in head)
    return text.encode("latin-1") + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
