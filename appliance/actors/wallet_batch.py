"""What the wallet stores at once, and how rows of the store become its book."""

from __future__ import annotations

from typing import Final

import trio

from appliance.core.budgets import Budget
from appliance.core.ledger import AccountRow, Changes
from appliance.core.ledger_book import Stored
from appliance.core.ledger_credits import Dispute
from appliance.errors import Refusal
from storage.ledger import LedgerBatch, LedgerRows

RETRY_AFTER_S: Final = 5


class WalletDown(Exception):  # noqa: N818 - a condition that callers handle
    """Nothing can be held: the text says why."""

    def refusal(self) -> Refusal:
        """What a client is told where that fails closed: credits, strict budgets."""
        return Refusal(
            503,
            "wallet_down",
            f"The wallet cannot be relied upon at the moment ({self}), so this call is not made. "
            "Try again shortly, or use a provider key of your own.",
            headers={"Retry-After": str(RETRY_AFTER_S)},
        )


class Batch:
    """Those who wait for one transaction. `error` is set when it failed."""

    __slots__ = ("done", "error")

    def __init__(self) -> None:
        self.done = trio.Event()
        self.error = ""

    def fail(self, reason: str) -> None:
        """It will not be stored."""
        if not self.done.is_set():
            self.error = reason
            self.done.set()

    async def wait(self) -> None:
        """Until it is on the disk. Raises WalletDown."""
        await self.done.wait()
        if self.error:
            raise WalletDown(self.error)


def rows_of(changes: Changes, accounts: list[AccountRow]) -> LedgerBatch:
    """What is to be stored of them."""
    return LedgerBatch(
        accounts=accounts,
        holds=changes.holds,
        resolved=[resolution.hold_id for resolution in changes.resolved],
        transfers=changes.transfers,
        notes=changes.notes,
    )


def stored_of(rows: LedgerRows) -> Stored:
    """Rows as the book wants them."""
    return Stored(
        accounts=rows.accounts,
        holds=rows.holds,
        next_number=rows.next_number,
        lines=rows.lines,
        disputes=[Dispute(*row) for row in rows.disputes],
        disallowed=rows.disallowed,
        budgets=[Budget(*row) for row in rows.budgets],
    )
