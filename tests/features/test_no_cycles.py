"""An exchange is gone when it is over. What only the collector finds is found seldom and all at
once: bodies of thousands of requests are kept so long, and then the loop stands still."""

import gc

from tests.fakes.memory_lane import MemoryLane, chat


async def test_exchange_leaves_nothing_to_the_collector():
    lane = MemoryLane()
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
