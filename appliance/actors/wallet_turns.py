"""Turns near the limit of a budget: calls go one at a time, the others wait here, bounded.

No order is kept among those that wait; each wake lets one of them ask again.
"""

from __future__ import annotations

from typing import Final

import trio

from appliance.core.ledger import Account
from appliance.errors import Refusal
from appliance.exchange import Watch
from appliance.wire import Woken

TURN_WAIT_S: Final = 30.0
WAITING_MAX: Final = 100  # for one account
RETRY_AFTER_S: Final = 5


class Turns:
    """Waiting calls by account."""

    __slots__ = ("_lots", "wait_s")

    def __init__(self, wait_s: float = TURN_WAIT_S) -> None:
        self._lots: dict[str, trio.lowlevel.ParkingLot] = {}
        self.wait_s = wait_s

    def __bool__(self) -> bool:
        return bool(self._lots)

    async def wait(self, account: Account, watch: Watch | None = None) -> None:
        """Until a call on this account has ended. Raises Refusal 429 when that takes too long or
        too many wait, and Woken when the client has left meanwhile."""
        lot = self._lots.setdefault(account.id, trio.lowlevel.ParkingLot())
        if len(lot) >= WAITING_MAX:
            raise _busy(account)
        sleeper = _Sleeper()
        before = None
        if watch is not None:
            before, watch.upstream = watch.upstream, sleeper
        try:
            with trio.move_on_after(self.wait_s) as limit, sleeper.scope:
                await lot.park()
        finally:
            if watch is not None:
                watch.upstream = before
            if not len(lot) and self._lots.get(account.id) is lot:
                del self._lots[account.id]
        if sleeper.scope.cancelled_caught:
            raise Woken
        if limit.cancelled_caught:
            raise _busy(account)

    def give(self, account_id: str) -> None:
        """A call on this account has ended, or was let through after a wait: the next may ask."""
        lot = self._lots.get(account_id)
        if lot is not None:
            lot.unpark()

    def give_all(self) -> None:
        """Everybody may ask again."""
        for lot in self._lots.values():
            lot.unpark_all()


class _Sleeper:
    """Lets whoever keeps deadlines end the wait."""

    __slots__ = ("scope",)

    def __init__(self) -> None:
        self.scope = trio.CancelScope()

    def wake(self) -> None:
        self.scope.cancel("woken")


def _busy(account: Account) -> Refusal:
    return Refusal(
        429,
        "budget_busy",
        f"The budget of {account.label} is nearly used up, so calls go one at a time, and another "
        "one is under way. Try again shortly.",
        headers={"Retry-After": str(RETRY_AFTER_S)},
    )
