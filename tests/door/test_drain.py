"""The end of connections at rest when the server stops."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from appliance.door.listener import Door
from appliance.door.sweeper import Sweeper
from appliance.exchange import Watch, monotonic


class Deaf:
    """Waits for nothing yet when it is first woken."""

    def __init__(self) -> None:
        self.woken = 0

    def wake(self) -> None:
        self.woken += 1


async def test_a_connection_that_was_not_waiting_yet_is_woken_again() -> None:
    resting, busy = Deaf(), Deaf()
    sweeper = Sweeper()
    for wakeable, phase in ((resting, "idle"), (busy, "gap")):
        watch = Watch(wakeable)
        watch.enter(phase, 100)
        sweeper.watches[watch] = cast(Any, SimpleNamespace(sock=None))
    door: Any = SimpleNamespace(sweeper=sweeper, draining=False)
    Door.drain(door)
    assert door.draining
    for _ in range(3):
        await sweeper.sweep(monotonic())
    assert (resting.woken, busy.woken) == (4, 0)
