"""Runs the tables of `wallet` through what the program asks of its wallet: desk and holds, on a
real file, and reads the end from the file again.
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from appliance.core.ledger import Hold
from appliance.core.ledger_book import Wanted
from appliance.core.ledger_credits import Dispute
from appliance.core.worst_case import HoldSize
from appliance.errors import Refusal
from tests.actors.wallet_kit import ORG, Rig, audit, running
from tests.scenarios.wallet import SCENARIOS, Scenario, Step

PER_CENT = 10**10
PROVIDER = "p"


def pico(cents: float) -> int:
    return int(Decimal(str(cents)) * PER_CENT)


class Wallet:
    """One wallet and the holds that were made by name."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.holds: dict[str, Hold] = {}

    async def do(self, step: Step) -> bool:
        """Whether anything was changed. Raises what a caller is told."""
        rig, amount = self.rig, pico(step.cents)
        wallet, desk = rig.wallet, rig.desk
        match step.does:
            case "top_up":
                return await desk.top_up(ORG, amount, step.name)
            case "debit":
                return await desk.debit(ORG, amount, step.name)
            case "line":
                await desk.set_credit_line(ORG, amount)
            case "hold":
                size = HoldSize(amount, amount, amount // 4)
                wanted = Wanted(ORG, size, True, provider=PROVIDER, model=step.model)
                made = await wallet.hold(wanted)
                assert made is not None
                self.holds[step.name] = made
            case "hold_unpriced":
                await wallet.hold(Wanted(ORG, None, True, provider=PROVIDER, model=step.model))
            case "settle":
                return wallet.settle(self.named(step.name), amount).is_new
            case "settle_unknown":
                return wallet.settle(self.named(step.name), None).is_new
            case "release":
                return wallet.release(self.named(step.name)).is_new
            case "disallow":
                return wallet.disallow(ORG, PROVIDER, step.name, "req_1")
            case "allow":
                return await desk.allow(ORG, PROVIDER, step.name)
            case "dispute":
                made_at_us = rig.now_us
                wallet.book.credits.put_dispute(
                    Dispute("dp", ORG, "ch", 1, "usd", "r", step.name, "evt", made_at_us)
                )
            case _:
                raise AssertionError(step)
        return True

    def named(self, name: str) -> Hold:
        """A hold; one that was never made where none has this name."""
        return self.holds.get(name) or Hold(name.ljust(16).encode(), ORG, [], 0, 0, (0, 0))

    @property
    def ends(self) -> tuple[int, int, int, int]:
        state = self.rig.desk.state(ORG)
        assert state.effective_balance == state.balance - state.held
        return state.balance, state.held, state.debits, state.credits


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
async def test_wallets(scenario: Scenario, tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    wanted = tuple(pico(cents) for cents in scenario.ends)
    async with running(path) as rig:
        wallet = Wallet(rig)
        for number, step in enumerate(scenario.steps):
            told, status, changed = "", 200, False
            before = wallet.ends
            try:
                changed = await wallet.do(step)
            except Refusal as refusal:
                told, status = refusal.message, refusal.status
            except ValueError as error:  # a bug of ours, were it to happen
                told, status = str(error), 500
            assert (number, status) == (number, step.status), told
            assert step.says in told
            assert changed is (step.changed and step.status == 200), number
            if not changed:
                assert wallet.ends == before
        assert wallet.ends == wanted
        await rig.wallet.stored()
    async with running(path) as rig:
        assert Wallet(rig).ends == wanted
    complaints, _ = audit(path)
    assert complaints == []
