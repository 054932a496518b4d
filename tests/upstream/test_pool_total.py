"""A deadline other than the connect's own that passes while a connection is made."""

import pytest
import trio

from appliance.exchange import Watch
from appliance.upstream.pool import Pool, PoolKey
from appliance.wire import Wire, Woken

KEY = PoolKey("https", "api.example", 443, None, "us")


async def never(key: PoolKey) -> Wire:
    await trio.sleep_forever()
    raise AssertionError


async def test_the_total_is_not_told_as_the_connect(autojump_clock: object) -> None:
    """The 504 names the option that would have helped."""
    watch = Watch(None)

    async def expire() -> None:
        await trio.sleep(1)
        watch.total_s = watch.deadline_s = 0.0
        watch.expire()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(expire)
        with pytest.raises(Woken):
            await Pool(never).connect(KEY, 60.0, watch)
    assert watch.expired == "total"
    assert trio.current_time() < 60
