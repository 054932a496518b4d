"""What several connections send in one turn of the loop leaves together; nothing is lost by it."""

import select
import socket
from collections.abc import AsyncIterator
from contextlib import ExitStack, suppress

import pytest
import trio
import trio.testing

from appliance.wire import HAS_EPOLL, SOON_BYTES_MAX, SOON_MAX, PlainWire, Woken

pytestmark = pytest.mark.skipif(not HAS_EPOLL, reason="sockets are waited for one by one here")


@pytest.fixture
async def sockets() -> AsyncIterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def pair(sockets: ExitStack) -> tuple[PlainWire, socket.socket]:
    """A wire and its peer, over TCP."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        peer = sockets.enter_context(socket.create_connection(server.getsockname()))
        ours, _ = server.accept()
    peer.settimeout(5)
    wire = PlainWire(ours)
    sockets.callback(wire.close)
    return wire, peer


def is_there(peer: socket.socket) -> bool:
    return bool(select.select([peer], [], [], 0)[0])


async def crowd(*pairs: tuple[PlainWire, socket.socket]) -> None:
    """All of them have something to read in the same turn; each reads it."""
    async with trio.open_nursery() as nursery:
        for wire, peer in pairs:
            nursery.start_soon(wire.recv)
            peer.sendall(b"?")


async def test_alone_nothing_waits(sockets: ExitStack) -> None:
    wire, peer = pair(sockets)
    await crowd((wire, peer))
    assert not wire.takes_soon(1)


async def test_in_company_it_leaves_at_the_end_of_the_turn(sockets: ExitStack) -> None:
    pairs = [pair(sockets), pair(sockets)]
    await crowd(*pairs)
    for number, (wire, peer) in enumerate(pairs):
        assert wire.takes_soon(2)
        wire.send_soon(b"%d!" % number)
        assert not is_there(peer)
    await trio.lowlevel.checkpoint()
    assert [peer.recv(9) for _, peer in pairs] == [b"0!", b"1!"]


async def test_many_do_not_wait_for_the_last(sockets: ExitStack) -> None:
    pairs = [pair(sockets) for _ in range(SOON_MAX + 1)]
    await crowd(*pairs)
    for wire, _ in pairs:
        wire.send_soon(b"!")
    assert [is_there(peer) for _, peer in pairs] == [True] * SOON_MAX + [False]
    await trio.lowlevel.checkpoint()
    assert is_there(pairs[-1][1])


async def test_only_the_first_small_message_since_the_peer_spoke(sockets: ExitStack) -> None:
    pairs = [pair(sockets), pair(sockets)]
    await crowd(*pairs)
    wire, peer = pairs[0]
    assert not wire.takes_soon(SOON_BYTES_MAX + 1)
    wire.send_soon(b"a")
    assert not wire.takes_soon(1)
    await wire.send_all(b"b")
    assert peer.recv(9) == b"ab"
    await crowd(*pairs)
    assert wire.takes_soon(1)


async def test_closing_sends_it_and_aborting_does_not(sockets: ExitStack) -> None:
    pairs = [pair(sockets), pair(sockets)]
    await crowd(*pairs)
    for wire, _ in pairs:
        wire.send_soon(b"last")
    pairs[0][0].close()
    pairs[1][0].abort()
    await trio.lowlevel.checkpoint()
    assert pairs[0][1].recv(9) == b"last"
    assert pairs[0][1].recv(9) == b""
    with pytest.raises(ConnectionResetError):
        pairs[1][1].recv(9)
    assert not pairs[0][0].takes_soon(1)


async def filled(wire: PlainWire) -> int:
    """Bytes that the kernel took until it took no more."""
    total = 0
    with suppress(BlockingIOError):
        while True:
            total += wire.sock.send(b"x" * 65536)
    return total


async def test_what_does_not_fit_is_sent_by_the_reader(sockets: ExitStack) -> None:
    pairs = [pair(sockets), pair(sockets)]
    await crowd(*pairs)
    wire, peer = pairs[0]
    total = await filled(wire)
    wire.send_soon(b"the end")
    got = b""
    async with trio.open_nursery() as nursery:

        async def answer() -> None:
            assert await wire.recv() == b"thanks"

        nursery.start_soon(answer)
        await trio.lowlevel.checkpoint()
        while len(got) < total + 7:
            got += await trio.to_thread.run_sync(peer.recv, 2**20)
        peer.sendall(b"thanks")
    assert got[total:] == b"the end"


async def test_waiting_with_what_does_not_fit_can_be_ended(sockets: ExitStack) -> None:
    pairs = [pair(sockets), pair(sockets)]
    await crowd(*pairs)
    wire, _ = pairs[0]
    await filled(wire)
    wire.send_soon(b"the end")
    async with trio.open_nursery() as nursery:

        async def answer() -> None:
            with pytest.raises(Woken):
                await wire.recv()

        nursery.start_soon(answer)
        await trio.testing.wait_all_tasks_blocked()
        wire.wake()


async def test_a_failure_shows_where_it_is_read(sockets: ExitStack) -> None:
    pairs = [pair(sockets), pair(sockets)]
    await crowd(*pairs)
    wire, peer = pairs[0]
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    peer.close()
    wire.send_soon(b"nobody")
    with trio.fail_after(5):
        with suppress(ConnectionResetError):
            assert await wire.recv() == b""
