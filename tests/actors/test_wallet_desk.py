"""The wallet's desk: money in and out once per event, disputes, terms, budgets, pages."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
import trio.testing

from appliance.actors import wallet_desk as module
from appliance.actors.wallet import WalletDown
from appliance.core.ledger import AMOUNT_PICO_MAX
from appliance.errors import Refusal
from tests.actors.wallet_kit import (
    CENT,
    ORG,
    USD,
    audit,
    credits_call,
    held,
    own_call,
    rows,
    running,
)

OTHER = b"\x02" * 16


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "state.sqlite"
    assert audit(tmp_path / "state.sqlite") == ([], 0)


async def test_an_event_counts_once(path: Path) -> None:
    async with running(path) as rig:
        assert await rig.desk.top_up(ORG, 5 * USD, "evt", "first payment")
        assert not await rig.desk.top_up(ORG, 5 * USD, "evt")
        assert not await rig.desk.debit(ORG, USD, "evt")
        assert not await rig.desk.top_up(OTHER, 5 * USD, "evt")
        assert rig.desk.state(ORG).balance == 5 * USD
    async with running(path) as rig:
        assert not await rig.desk.top_up(ORG, 5 * USD, "evt")
        assert rig.desk.state(ORG).balance == 5 * USD


async def test_an_event_that_comes_ten_times_at_once_counts_once(path: Path) -> None:
    told: list[bool] = []

    async with running(path) as rig:

        async def pay() -> None:
            told.append(await rig.desk.top_up(ORG, 5 * USD, "evt"))

        async with trio.open_nursery() as nursery:
            for _ in range(10):
                nursery.start_soon(pay)
        assert sorted(told) == [False] * 9 + [True]
        assert rig.desk.state(ORG).credits == 5 * USD


@pytest.mark.parametrize("trouble", ["before", "after"])
async def test_an_event_that_failed_is_told_again_without_harm(path: Path, trouble: str) -> None:
    async with running(path) as rig:
        rig.trouble.append(trouble)
        with pytest.raises(WalletDown):
            await rig.desk.top_up(ORG, 5 * USD, "evt")
        await rig.up()
        assert await rig.desk.top_up(ORG, 5 * USD, "evt") == (trouble == "before")
        assert rig.desk.state(ORG).balance == 5 * USD


async def test_money_goes_back_and_is_charged(path: Path) -> None:
    async with running(path, usd=5) as rig:
        with pytest.raises(Refusal, match="neither spent nor held"):
            await rig.desk.debit(ORG, 6 * USD, "evt_1")
        assert await rig.desk.debit(ORG, 2 * USD, "evt_1", "refund")
        assert await rig.desk.charge(ORG, 4 * USD, "evt_2")
        state = rig.desk.state(ORG)
        assert (state.balance, state.credits, state.debits) == (-USD, 3 * USD, 4 * USD)
        purchases = await rig.desk.page(ORG, "credit_purchases")
        assert {row["reference_id"]: row["credits_pico"] for row in purchases} == {
            "first": 5 * USD, "evt_1": -2 * USD, "evt_2": -4 * USD,
        }  # fmt: skip


@pytest.mark.parametrize(
    ("amount", "event", "reference", "field"),
    [
        (0, "evt", "", "amount"),
        (-1, "evt", "", "amount"),
        (AMOUNT_PICO_MAX + 1, "evt", "", "amount"),
        (1, "", "", "event_id"),
        (1, "e" * 257, "", "event_id"),
        (1, "evt", "r" * 257, "reference"),
        (1, "evt", "\ud800", "reference"),
    ],
)
async def test_what_is_wrong_is_named_and_changes_nothing(
    path: Path, amount: int, event: str, reference: str, field: str
) -> None:
    async with running(path) as rig:
        with pytest.raises(ValueError, match=f"^{field}:"):
            await rig.desk.top_up(ORG, amount, event, reference)
        assert await rig.desk.top_up(ORG, USD, "evt")


async def test_a_credit_line_lasts(path: Path) -> None:
    async with running(path) as rig:
        await rig.desk.set_credit_line(ORG, 5 * USD)
        rig.wallet.release(await held(rig, credits_call(4 * USD)))
        with pytest.raises(ValueError, match="credit line"):
            await rig.desk.set_credit_line(ORG, -1)
    async with running(path) as rig:
        rig.wallet.release(await held(rig, credits_call(4 * USD)))
        await rig.desk.set_credit_line(ORG, 0)
        with pytest.raises(Refusal, match="Insufficient"):
            await rig.wallet.hold(credits_call(4 * USD))


async def test_the_disallow_list_lasts(path: Path) -> None:
    async with running(path, usd=5) as rig:
        assert rig.wallet.disallow(ORG, "openai", "*", "req_1")
        assert not rig.wallet.disallow(ORG, "openai", "*", "req_2")
        with pytest.raises(Refusal, match="could not be told"):
            await rig.wallet.hold(credits_call())
    async with running(path) as rig:
        with pytest.raises(Refusal, match="could not be told"):
            await rig.wallet.hold(credits_call())
        assert await rig.desk.allow(ORG, "openai", "*")
        assert not await rig.desk.allow(ORG, "openai", "*")
        rig.wallet.release(await held(rig, credits_call()))
    assert rows(path, "SELECT * FROM ledger_disallowed") == []


async def test_budgets_are_set_changed_and_dropped(path: Path) -> None:
    async with running(path) as rig:
        first = await rig.desk.set_budget(ORG, scope="user", period="day", limit_pico=2 * USD)
        rig.wallet.settle(await held(rig, own_call(1, 1)), USD)
        again = await rig.desk.set_budget(ORG, scope="user", period="day", limit_pico=3 * USD)
        assert (again.id, again.limit_pico) == (first.id, 3 * USD)
        assert [spent for _, spent in rig.desk.budgets(ORG)] == [[("ann", USD, 0)]]
        await rig.desk.set_budget(
            ORG, scope="property", name="Team", value="red", period="week", limit_pico=CENT
        )
        with pytest.raises(ValueError, match=r"^scope:"):
            await rig.desk.set_budget(ORG, scope="team", period="day", limit_pico=1)
    async with running(path) as rig:
        labels = sorted(budget.label for budget, _ in rig.desk.budgets(ORG))
        assert labels == ["property team red, per week", "user *, per day"]
        assert rig.desk.budgets(OTHER) == []
        assert not await rig.desk.drop_budget(OTHER, first.id)
        assert await rig.desk.drop_budget(ORG, first.id)
        assert not await rig.desk.drop_budget(ORG, first.id)
        assert await rig.wallet.hold(own_call()) is None
    assert len(rows(path, "SELECT * FROM ledger_budgets")) == 1


async def test_there_may_be_so_many_budgets(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BUDGETS_MAX", 1)
    async with running(path) as rig:
        await rig.desk.set_budget(ORG, scope="user", period="day", limit_pico=1)
        await rig.desk.set_budget(ORG, scope="user", period="day", limit_pico=2)
        await rig.desk.set_budget(OTHER, scope="user", period="day", limit_pico=1)
        with pytest.raises(ValueError, match="at most 1 of one"):
            await rig.desk.set_budget(ORG, scope="user", period="week", limit_pico=1)


async def test_pages_name_what_they_refuse(path: Path) -> None:
    async with running(path, usd=5) as rig:
        hold = await held(rig, credits_call())
        assert [row["id"] for row in await rig.desk.page(ORG, "escrows")] == [hold.id.hex()]
        assert await rig.desk.page(ORG, "escrows", page=1) == []
        with pytest.raises(ValueError, match="table"):
            await rig.desk.page(ORG, "api_keys")
        assert await rig.desk.check() == []
        rig.wallet.release(hold)


async def test_what_was_flagged_just_now_is_shown(path: Path) -> None:
    """A balance that has the charge, beside flags without it, would not add up."""
    async with running(path) as rig:
        await rig.desk.top_up(ORG, 5 * USD, "evt")
        hold = await held(rig, credits_call())
        rig.trouble.append("slow")
        rig.wallet.settle(hold, None)  # the input part, flagged; nobody waits for the disk
        shown: list[int] = []

        async def look() -> None:
            shown.append(len(await rig.desk.flags()))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(look)
            await trio.testing.wait_all_tasks_blocked()
            rig.go.set()
        assert shown == [1]
