"""An exchange is gone when it is over. What only the collector finds is found seldom and all at
once: bodies of thousands of requests are kept so long, and then the loop stands still."""

import gc

import pytest

from tests.fakes.memory_lane import REPLY, MemoryLane, chat

STREAM = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n"
)


@pytest.mark.parametrize("reply", [REPLY, STREAM])
async def test_exchange_leaves_nothing_to_the_collector(reply: bytes):
    lane = MemoryLane(reply)
    await lane.serve([chat()])  # what is made once and kept
    gc.collect()
    gc.disable()
    try:
        replies = await lane.serve([chat(), chat(), chat("Helicone-User-Id: other")])
        left = gc.collect()
    finally:
        gc.enable()
    assert len(replies) == 3
    assert left == 0


async def test_a_head_that_is_refused_again_and_again_gathers_nothing():
    lane = MemoryLane()
    refused = b"GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n"
    await lane.serve([refused])
    left = []
    for times in (2, 20):
        gc.collect()
        gc.disable()
        try:
            assert len(await lane.serve([refused] * times)) == times
            left.append(gc.collect())
        finally:
            gc.enable()
    assert left[0] == left[1]
