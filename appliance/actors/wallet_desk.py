"""The wallet's desk: what people and payment services do with it, not calls.

Every method that changes something returns when it is on the disk, and may raise WalletDown. What
has an event id happens once, however often it is told (`internals.md 2.3`).
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import trio

from appliance.actors.wallet import Wallet
from appliance.actors.wallet_payments import PaymentDesk, check_texts
from appliance.core.budgets import BUDGETS_MAX, EACH, Budget, Spent, checked_budget
from appliance.core.ledger import AMOUNT_PICO_MAX
from appliance.core.ledger_book import Book
from appliance.core.ledger_credits import CreditState
from storage.ledger import EventRow, LedgerStore

Move = Callable[[bytes, bytes, int, int], None]


class WalletDesk:
    """One beside each wallet."""

    def __init__(self, wallet: Wallet) -> None:
        self._wallet = wallet
        # One at a time: an event that is being looked up must not be looked up by another.
        self._lock = trio.Lock()
        self.payments = PaymentDesk(wallet, self._lock)

    def check_up(self) -> None:
        """Raises WalletDown while what is known may be old."""
        self._wallet.check_up()

    def state(self, org: bytes) -> CreditState:
        """Balance, holds, terms, disputes."""
        return self._wallet.book.credits.state(org)

    async def top_up(
        self, org: bytes, amount_pico: int, event_id: str, reference: str = ""
    ) -> bool:
        """Money was paid in. False: this event was counted before. Raises ValueError."""
        return await self._move("top_up", org, amount_pico, event_id, reference)

    async def debit(self, org: bytes, amount_pico: int, event_id: str, reference: str = "") -> bool:
        """Money goes back, at most what is free (else Refusal 400). False: counted before."""
        return await self._move("debit", org, amount_pico, event_id, reference)

    async def charge(
        self, org: bytes, amount_pico: int, event_id: str, reference: str = ""
    ) -> bool:
        """Money was spent without a hold; it may take the wallet below nothing."""
        return await self._move("charge", org, amount_pico, event_id, reference)

    async def set_credit_line(self, org: bytes, limit_pico: int) -> None:
        """How far the wallet may go below nothing; 0 ends it. Raises ValueError."""
        if not 0 <= limit_pico <= AMOUNT_PICO_MAX:
            raise ValueError("credit line: 0 or more USD")
        async with self._lock:
            book = self._book()
            book.credits.put_line(org, limit_pico)
            book.ledger.note("line", org, limit_pico)
            await self._wallet.stored()

    # -- models that are not paid from credits

    async def allow(self, org: bytes, provider: str, model: str) -> bool:
        """Take a model off the list. False: it was not there."""
        book = self._book()
        if not book.credits.allow(org, provider, model):
            return False
        book.ledger.note("allow", org, provider, model)
        await self._wallet.stored()
        return True

    # -- budgets

    async def set_budget(
        self,
        org: bytes,
        *,
        scope: str,
        period: str,
        limit_pico: int,
        name: str = "",
        value: str = EACH,
    ) -> Budget:
        """Set a limit, or change that of the same scope, value and period: what was spent stays
        counted. Raises ValueError that names the field."""
        made = checked_budget(
            str(uuid.uuid4()), org, scope=scope, period=period, limit_pico=limit_pico, name=name,
            value=value,
        )  # fmt: skip
        async with self._lock:
            book = self._book()
            budgets = book.budgets.all(org)
            for known in budgets:
                if replace(made, id=known.id, limit_pico=known.limit_pico) == known:
                    made = replace(made, id=known.id)
                    break
            else:
                if len(budgets) >= BUDGETS_MAX:
                    raise ValueError(f"budgets: at most {BUDGETS_MAX} of one organisation")
            book.budgets.put(made)
            book.ledger.note(
                "budget", made.id, org, made.scope, made.name, made.value, made.period, limit_pico
            )
            self._wallet.turns.give_all()  # those who wait near the limit that it had
            await self._wallet.stored()
        return made

    async def drop_budget(self, org: bytes, budget_id: str) -> bool:
        """Remove a limit. False: the organisation has none of this id."""
        async with self._lock:
            book = self._book()
            if all(budget.id != budget_id for budget in book.budgets.all(org)):
                return False
            book.budgets.drop(budget_id)
            book.ledger.note("drop_budget", budget_id)
            self._wallet.turns.give_all()
            await self._wallet.stored()
        return True

    def known_budgets(self, org: bytes) -> list[Budget]:
        """Limits alone, which costs no look at what was spent."""
        return self._book().budgets.all(org)

    def budgets(self, org: bytes) -> list[tuple[Budget, list[Spent]]]:
        """Limits, each with what was spent and is held in the period that runs, by value."""
        return self._wallet.book.budgets.spent(org, self._wallet.now_us())

    # -- looking

    async def page(
        self, org: bytes, table: str, page: int = 0, size: int = 50
    ) -> list[dict[str, Any]]:
        """A page of a table, by the administration's names (`internals.md 2.8`). Raises
        ValueError."""
        return await self._wallet.read(lambda store: store.page(table, org, page, size))

    async def total(self, org: bytes, table: str) -> int:
        """How many rows the table has. Raises ValueError."""
        return await self._wallet.read(lambda store: store.total(table, org))

    async def event(self, event_id: str) -> EventRow | None:
        """What was told under this id."""
        return await self._wallet.read(lambda store: store.event(event_id))

    async def flags(self, rows_max: int = 100) -> list[dict[str, Any]]:
        """What somebody should look at, the newest first."""
        await self._wallet.stored()  # balances come from memory, and the two must add up
        return await self._wallet.read(lambda store: store.flags(rows_max))

    async def check(self) -> list[str]:
        """Replay the log: what does not add up, in words."""
        return await self._wallet.read(LedgerStore.check)

    def _book(self) -> Book:
        """Read anew after each wait: a wallet that was down has another one."""
        return self._wallet.book

    async def _move(
        self, kind: str, org: bytes, amount_pico: int, event_id: str, reference: str
    ) -> bool:
        check_texts(event_id=event_id, reference=reference)
        wallet = self._wallet
        async with self._lock:
            if await wallet.read(lambda store: store.event(event_id)) is not None:
                return False
            credits = wallet.book.credits
            moves: dict[str, Move] = {
                "top_up": credits.top_up, "debit": credits.debit, "charge": credits.charge,
            }  # fmt: skip
            transfer_id, now_us = wallet.new_id(), wallet.now_us()
            moves[kind](transfer_id, org, amount_pico, now_us)
            wallet.book.ledger.note(
                "event", event_id, org, kind, amount_pico, reference, transfer_id, now_us
            )
            await wallet.stored()
        return True
