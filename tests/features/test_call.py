"""One call of a provider: which connection, one retry, and what becomes of the connection."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from appliance.config_options import Deadlines
from appliance.errors import UpstreamFailed
from appliance.exchange import Aim, Body, Exchange
from appliance.features.call import Call
from appliance.upstream.http1 import UpstreamReply
from appliance.upstream.pool import Pool, PoolKey
from appliance.wire import Wire, Woken
from tests.fakes.memory_lane import MemoryWire
from tests.features.reply_kit import Diary, exchange_of

KEY = PoolKey("http", "a", 80, None, "us")
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Origin:
    """Each connection answers with the next of these; closed ones are remembered."""

    def __init__(self, *scripts: list[bytes]) -> None:
        self.scripts = list(scripts)
        self.wires: list[ClosingWire] = []
        self.pool = Pool(self.dial)

    async def dial(self, key: PoolKey) -> Wire:
        self.wires.append(ClosingWire(self.scripts.pop(0)))
        return self.wires[-1]

    def call(self, x: Exchange, *, aside: bool = False) -> Call:
        provider = SimpleNamespace(record_name="FAKE")
        aim = Aim(provider, KEY, b"HEAD|", False, Deadlines(), "/v1/x", "http://a/v1/x")
        return Call(x, aim, self.pool, aside=aside)


class ClosingWire(MemoryWire):
    """Knows whether it was closed."""

    closed = False

    def close(self) -> None:
        self.closed = True


def exchange() -> Exchange:
    x = exchange_of(Diary())
    x.body = Body(b"body", None, 4)
    return x


async def read(reply: UpstreamReply) -> bytes:
    body = b""
    while not reply.done:
        body += await reply.piece()
    return body


async def test_a_clean_reply_gives_the_connection_back() -> None:
    origin = Origin([OK, OK])
    for _ in range(2):
        x = exchange()
        async with origin.call(x) as reply:
            assert await read(reply) == b"ok"
        assert [(a.status, a.why_next) for a in x.attempts] == [(200, "")]
        assert x.attempts[0].latency_us >= 0
        assert x.reply.watch.upstream is None
    assert (origin.pool.dialled, origin.pool.reused) == (1, 1)
    assert origin.wires[0].sent == [b"HEAD|content-length: 4\r\n\r\nbody"] * 2


@pytest.mark.parametrize(
    "reply",
    [
        [b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"],
        [b"HTTP/1.1 200 OK\r\n\r\n", b"ok"],
        [OK + b"more than asked for"],
    ],
)
async def test_others_close_it(reply: list[bytes]) -> None:
    origin = Origin(reply)
    async with origin.call(exchange()) as found:
        assert await read(found) == b"ok"
    assert origin.wires[0].closed
    assert origin.pool.idle_count() == 0


async def test_a_reply_that_was_not_read_closes_it() -> None:
    origin = Origin([OK[:-1]])
    with pytest.raises(Woken):
        async with origin.call(exchange()):
            raise Woken
    assert origin.wires[0].closed


async def test_a_stale_connection_is_retried_on_a_new_one() -> None:
    origin = Origin([OK], [OK])
    for _ in range(2):
        x = exchange()
        async with origin.call(x) as reply:
            assert await read(reply) == b"ok"
    assert origin.wires[0].closed
    assert origin.wires[1].sent == [b"HEAD|content-length: 4\r\n\r\nbody"]
    assert len(x.attempts) == 1


async def test_only_once_and_only_a_used_one() -> None:
    origin = Origin([OK], [])
    async with origin.call(exchange()) as reply:
        await read(reply)
    x = exchange()
    with pytest.raises(UpstreamFailed) as raised:
        async with origin.call(x):
            pass
    assert raised.value.name == "cut"
    assert x.attempts[0].why_next == "cut"
    assert origin.pool.dialled == 2
    assert all(wire.closed for wire in origin.wires)


async def test_never_when_a_byte_of_the_reply_was_seen() -> None:
    origin = Origin([OK, b"HTTP/1.1 2"], [OK])
    async with origin.call(exchange()) as reply:
        await read(reply)
    with pytest.raises(UpstreamFailed):
        async with origin.call(exchange()):
            pass
    assert origin.pool.dialled == 1


async def test_informational_heads_are_passed_on() -> None:
    passed: list[int] = []

    async def informational(status: int, reason: bytes, headers: Any) -> None:
        passed.append(status)

    x = exchange()
    x.reply.informational = informational  # type: ignore[method-assign]
    early = b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n"
    async with Origin([early + OK]).call(x) as reply:
        assert await read(reply) == b"ok"
    assert passed == [102, 103]
    async with Origin([early + OK]).call(x, aside=True) as reply:
        assert await read(reply) == b"ok"
    assert passed == [102, 103]
