"""A session in time: records, pings, peers that fall silent or stall, the server's end."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trio
from wsproto.connection import Connection, ConnectionType
from wsproto.events import CloseConnection, Event, Ping, TextMessage

from appliance.actors.recorder import Recorder
from appliance.core.ask_types import Asks
from appliance.core.websocket import accept_of
from appliance.errors import UpstreamFailed
from appliance.exchange import Aim, Exchange, Head, Watch
from appliance.features import realtime
from appliance.features.realtime import converse
from appliance.features.tap import Tap
from appliance.upstream.http1 import UpstreamConnection, UpstreamReply
from storage.frames import unpack
from tests.features.test_tap import Store

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
SWITCH = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: " + accept_of(KEY) + b"\r\n"
)
WRITE_S = 60.0
DONE = json.dumps({"type": "response.done", "response": {"usage": {"input_tokens": 7}}})


class End:
    """One end of a session in memory: what our side reads and writes is a peer's to say and hear.
    `room` is how many writes it takes before it has to read."""

    def __init__(self, kind: ConnectionType, room: int) -> None:
        self.sock: Any = SimpleNamespace(fileno=lambda: 7)
        self.socket = Connection(kind)
        self.mouth, self._from_peer = trio.open_memory_channel[bytes](100)
        self._to_peer, self._ear = trio.open_memory_channel[bytes](room)
        self._heard: list[Event] = []

    async def recv(self) -> bytes:
        try:
            return await self._from_peer.receive()
        except trio.EndOfChannel:
            return b""

    async def send_all(self, data: bytes) -> None:
        await self._to_peer.send(bytes(data))

    # -- the peer

    async def say(self, event: Event) -> None:
        await self.mouth.send(self.socket.send(event))

    async def hear(self) -> Event:
        while not self._heard:
            self.socket.receive_data(await self._ear.receive())
            self._heard = list(self.socket.events())
        return self._heard.pop(0)

    async def answer(self, count: int) -> list[Event]:
        """Events as they come; pings are answered."""
        found = []
        for _ in range(count):
            event = await self.hear()
            if isinstance(event, Ping):
                await self.say(event.response())
            found.append(event)
        return found


class Side:
    """The fast lane's reply side."""

    def __init__(self, wire: End) -> None:
        self.watch = Watch(None)
        self.wire = wire
        self.headers: list[tuple[bytes, bytes]] = []
        self.draining = trio.Event()

    async def switch(self, headers: list[tuple[bytes, bytes]]) -> Any:
        self.headers = headers
        return self.wire, b"", self.draining


class Stage:
    """A session between two ends, with the records that it leaves in `store`."""

    def __init__(
        self, directory: Path, *, room: int = 100, switch: bytes = SWITCH, **asks: Any
    ) -> None:
        self.store = Store(directory)
        self.client = End(ConnectionType.CLIENT, room)
        self.target = End(ConnectionType.SERVER, room)
        self.target.mouth.send_nowait(switch + b"\r\n")
        self.side = Side(self.client)
        reply: Any = self.side
        x = Exchange(Head(b"GET", b"/", "1.1", [], {b"sec-websocket-key": KEY}), reply, None)
        x.asks = Asks(**asks)
        x.identity = SimpleNamespace(key_id="")
        x.exchange_id, x.request_id, x.org = bytes(16), "r-1", bytes(16)
        x.aim = Aim(
            SimpleNamespace(record_name="OPENAI", id="openai", dialect="openai"), "key", b"",
            False, SimpleNamespace(client_write_s=WRITE_S), "/v1/realtime?model=m", "",
        )  # fmt: skip
        self.x = x
        self.recorder = Recorder(64 << 20, 4 << 20)
        anything: Any = self.store
        self.recorder.stores["us"] = anything

    async def run(self) -> None:
        wire: Any = self.target
        reply = UpstreamReply(UpstreamConnection("key", wire), may_switch=True)
        with Tap(self.x, self.recorder) as tap:
            assert await reply.read_head(b"GET", complete=True)
            await converse(self.x, reply, tap, self.recorder, 1 << 20)
        self.store.blobs.sync()

    @property
    def outcomes(self) -> list[str]:
        return [frame[0]["outcome"] for frame in self.store.frames]

    def said(self, number: int = -1) -> tuple[list[Any], list[Any]]:
        """What both sides have said, by the record with this number."""
        _, request, response, _ = self.store.frames[number]
        sides = [unpack(parts, self.store.blobs.read) for parts in (request, response)]
        asked, answered = ([json.loads(line)["content"] for line in s.splitlines()] for s in sides)
        return asked, answered


def ticks(stage: Stage, clock: trio.testing.MockClock) -> list[float]:
    """At which seconds records are written."""
    found: list[float] = []
    began_s = clock.current_time()
    append = stage.store.append

    def noted(*told: Any) -> Any:
        found.append(round(clock.current_time() - began_s, 1))
        return append(*told)

    stage.store.append = noted  # type: ignore[method-assign]
    return found


async def test_a_session_is_recorded_every_15_s_and_at_its_end(
    tmp_path: Path,
    nursery: trio.Nursery,
    autojump_clock: trio.testing.MockClock,
) -> None:
    stage = Stage(tmp_path)
    written = ticks(stage, autojump_clock)
    nursery.start_soon(stage.client.answer, 100)
    nursery.start_soon(stage.target.answer, 100)
    async with trio.open_nursery() as session:
        session.start_soon(stage.run)
        await trio.sleep(1)
        await stage.client.say(TextMessage(data='{"n":1}'))
        await trio.sleep(31)  # with nothing new in its second half
        await stage.target.say(TextMessage(data=DONE))
        await trio.sleep(8)
        await stage.client.say(CloseConnection(code=1000))
        await trio.sleep(1)
        await stage.target.say(CloseConnection(code=1000))
    assert written == [15, written[1], 40]
    assert 32 <= written[1] <= 33
    assert stage.outcomes == ["cut", "cut", "complete"]
    assert [frame[3] for frame in stage.store.frames] == [0, 1, 1]
    assert len({frame[0]["exchange_id"] for frame in stage.store.frames}) == 1
    assert stage.said(0) == ([{"n": 1}], [])
    assert stage.said() == ([{"n": 1}], [json.loads(DONE)])
    nursery.cancel_scope.cancel()


async def test_long_sessions_are_kept_in_pieces(
    tmp_path: Path, nursery: trio.Nursery, mock_clock: trio.testing.MockClock
) -> None:
    """What was recorded once is named again, and not written again."""
    stage = Stage(tmp_path)
    nursery.start_soon(stage.client.answer, 100)
    nursery.start_soon(stage.target.answer, 100)
    texts = [f'"{number}{"x" * 100_000}"' for number in range(4)]
    async with trio.open_nursery() as session:
        session.start_soon(stage.run)
        for text in texts:
            await stage.client.say(TextMessage(data=text))
            await stage.target.say(TextMessage(data=text))
            await trio.testing.wait_all_tasks_blocked()
            before = len(stage.store.frames)
            mock_clock.jump(15)
            while len(stage.store.frames) == before:  # a thread writes the files meanwhile
                await trio.lowlevel.checkpoint()
        stage.client.mouth.close()
    assert stage.outcomes == ["cut"] * 4 + ["client_gone"]
    assert stage.said() == ([json.loads(text) for text in texts],) * 2
    for side in (1, 2):
        names = [[part[1] for part in frame[side]] for frame in stage.store.frames]
        assert [len(found) for found in names] == [1, 2, 3, 4, 4]
        assert all(later[: len(one)] == one for one, later in pairwise(names))
    nursery.cancel_scope.cancel()


async def test_who_is_silent_is_asked_and_who_stays_silent_is_lost(
    tmp_path: Path, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    stage = Stage(tmp_path)
    began_s = trio.current_time()
    nursery.start_soon(stage.target.answer, 100)
    async with trio.open_nursery() as session:
        session.start_soon(stage.run)
        pinged = [await stage.client.hear(), await stage.client.hear()]
        assert all(isinstance(event, Ping) for event in pinged)
    nursery.cancel_scope.cancel()
    assert stage.outcomes == ["client_gone"]
    assert realtime.SILENT_S <= trio.current_time() - began_s <= realtime.SILENT_S + 3


async def test_a_provider_that_stays_silent_is_lost(
    tmp_path: Path, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    stage = Stage(tmp_path)
    nursery.start_soon(stage.run)
    heard: list[Event] = []
    while not (heard and isinstance(heard[-1], CloseConnection)):
        heard += await stage.client.answer(1)
    assert heard[-1] == CloseConnection(code=1011, reason="the provider's connection was lost")
    await stage.client.say(heard[-1].response())
    await trio.testing.wait_all_tasks_blocked()
    assert stage.outcomes == ["stalled"]
    # The pongs of the client were for us: the provider has got pings of its own alone.
    assert all(isinstance(event, Ping) for event in await stage.target.answer(2))


async def test_both_answer_and_live_for_an_hour(
    tmp_path: Path, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    stage = Stage(tmp_path)
    nursery.start_soon(stage.client.answer, 10_000)
    nursery.start_soon(stage.target.answer, 10_000)
    nursery.start_soon(stage.run)
    await trio.sleep(3600)
    assert stage.outcomes == []
    nursery.cancel_scope.cancel()


@pytest.mark.parametrize("slow", ["client", "target"])
async def test_who_takes_nothing_holds_up_the_other_and_is_lost(
    tmp_path: Path, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock, slow: str
) -> None:
    """Nothing is gathered for a slow reader: the other side is read no further."""
    stage = Stage(tmp_path, room=1)
    speaker = stage.target if slow == "client" else stage.client
    began_s = trio.current_time()
    async with trio.open_nursery() as session:
        session.start_soon(stage.run)
        nursery.start_soon(speaker.answer, 100)
        for number in range(50):
            await speaker.say(TextMessage(data=str(number)))
        await trio.sleep(WRITE_S / 2)
        taken = 50 - speaker.mouth.statistics().current_buffer_used
        assert taken <= 3
    assert trio.current_time() - began_s <= WRITE_S * 2 + 10
    assert stage.outcomes[-1:] == ["client_stalled" if slow == "client" else "stalled"]
    nursery.cancel_scope.cancel()


async def test_the_servers_end_waits_for_a_frame(
    tmp_path: Path, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    """A Close frame goes between two frames, never into one."""
    stage = Stage(tmp_path)
    nursery.start_soon(stage.run)
    data = stage.target.socket.send(TextMessage(data="a" * 200))
    await stage.target.mouth.send(data[:50])
    await trio.sleep(0.1)
    stage.side.draining.set()
    await trio.sleep(1)
    await stage.target.mouth.send(data[50:])
    assert isinstance(await stage.client.hear(), TextMessage)
    text = await stage.client.hear()
    while isinstance(text, TextMessage):
        text = await stage.client.hear()
    assert text == CloseConnection(code=1001, reason="the server is shutting down")
    await stage.client.say(text.response())
    end = await stage.target.hear()
    assert end == CloseConnection(code=1001, reason="the server is shutting down")
    await stage.target.say(end.response())
    await trio.testing.wait_all_tasks_blocked()
    assert stage.outcomes[0] == "cut"
    assert stage.store.frames[0][0]["error"] == "shutdown"


async def test_who_does_not_answer_a_close_is_not_waited_for(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    stage = Stage(tmp_path)
    began_s = trio.current_time()
    async with trio.open_nursery() as session:
        session.start_soon(stage.run)
        await stage.client.say(CloseConnection(code=4321, reason="x"))
    assert await stage.target.hear() == CloseConnection(code=4321, reason="x")
    assert trio.current_time() - began_s <= realtime.CLOSE_S + 2
    assert stage.outcomes == ["complete"]
    assert stage.store.frames[0][0]["error"] == "close_4321_by_client"


async def test_a_client_is_told_when_the_provider_only_hangs_up(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    stage = Stage(tmp_path)
    async with trio.open_nursery() as session:
        session.start_soon(stage.run)
        await stage.client.say(CloseConnection(code=1000))
        assert isinstance(await stage.target.hear(), CloseConnection)
        stage.target.mouth.close()
    assert await stage.client.hear() == CloseConnection(code=1000, reason="")
    assert stage.outcomes == ["complete"]


async def test_a_frame_against_the_rfc_ends_both_sides(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    stage = Stage(tmp_path)
    async with trio.open_nursery() as session:
        session.start_soon(stage.run)
        await stage.client.mouth.send(b"\x81\x01a")  # a client masks its frames
    for end in (stage.client, stage.target):
        assert await end.hear() == CloseConnection(code=1002, reason="a frame against RFC 6455")
    assert stage.outcomes == ["cut"]
    assert stage.store.frames[0][0]["error"] == "websocket_malformed"


async def test_usage_is_on_record_by_itself_where_not_all_is_kept(
    tmp_path: Path, nursery: trio.Nursery
) -> None:
    stage = Stage(tmp_path)
    nursery.start_soon(stage.client.answer, 1000)
    async with trio.open_nursery() as session:
        session.start_soon(stage.run)
        for _ in range(7):
            await stage.target.say(TextMessage(data=DONE))
            await stage.target.say(TextMessage(data='"' + "x" * 900_000 + '"'))
        await stage.target.say(CloseConnection(code=1000))
        await stage.client.say(CloseConnection(code=1000))
    facts = stage.store.frames[-1][0]
    assert facts["response_truncated"] is True
    assert facts["usage"] == {"input": 49, "source": "provider"}
    nursery.cancel_scope.cancel()


async def test_a_session_that_is_cancelled_is_on_record(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    async with trio.open_nursery() as session:
        session.start_soon(stage.run)
        await stage.client.say(TextMessage(data="[]"))
        await stage.target.hear()
        session.cancel_scope.cancel()
    assert stage.outcomes == ["cut"]
    assert stage.said() == ([[]], [])


@pytest.mark.parametrize(
    "switch",
    [
        SWITCH.replace(b": websocket", b": tls"),
        SWITCH.replace(b"=\r\n", b"A\r\n"),
        SWITCH + b"Sec-WebSocket-Extensions: permessage-deflate\r\n",
    ],
)
async def test_a_switch_that_is_none(tmp_path: Path, switch: bytes) -> None:
    with pytest.raises(UpstreamFailed) as failed:
        await Stage(tmp_path, switch=switch).run()
    assert failed.value.name == "malformed"
