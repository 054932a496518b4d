"""The end of connections at rest when the server stops."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from appliance.config import Deadlines
from appliance.door.listener import Door
from appliance.exchange import Watch, monotonic


class Deaf:
    """Waits for nothing yet when it is first woken."""

    def __init__(self) -> None:
        self.woken = 0

    def wake(self) -> None:
        self.woken += 1


async def test_a_connection_that_was_not_waiting_yet_is_woken_again() -> None:
    resting, busy = Deaf(), Deaf()
    nothing = cast(Any, None)
    full = cast(Any, SimpleNamespace(join=lambda *_: None))
    door = Door(
        handle=nothing, route=nothing, full=full, body_sink=nothing, deadlines=Deadlines(),
        body_bytes_max=1, connections_max=1, log=nothing,
    )  # fmt: skip
    sweeper = door.sweeper
    for wakeable, phase in ((resting, "idle"), (busy, "gap")):
        watch = Watch(wakeable)
        watch.enter(phase, 100)
        sweeper.watches[watch] = cast(Any, SimpleNamespace(sock=None))
    door.drain()
    assert door.draining
    for _ in range(3):
        await sweeper.sweep(monotonic())
    assert (resting.woken, busy.woken) == (4, 0)
