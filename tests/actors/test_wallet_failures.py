"""The wallet and a failing disk: nothing is lost or doubled, whatever the disk has kept."""

from __future__ import annotations

import random
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
import trio.testing

from appliance.actors.wallet import WalletDown
from appliance.errors import Refusal
from storage.ledger import LedgerBatch, LedgerStore
from tests.actors.wallet_kit import (
    CENT,
    ORG,
    USD,
    Rig,
    audit,
    credits_call,
    held,
    own_call,
    rows,
    running,
    until,
)


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "state.sqlite"
    assert audit(tmp_path / "state.sqlite")[0] == []


async def test_a_store_that_does_not_open_is_tried_again(path: Path) -> None:
    rig = Rig(path)
    rig.refuses_to_open = "no such medium"
    async with trio.open_nursery() as nursery:
        await nursery.start(rig.wallet.run)
        assert rig.wallet.trouble == "no such medium"
        with pytest.raises(WalletDown, match="no such medium"):
            await rig.wallet.hold(credits_call())
        # Whether own keys have budgets is not known: their callers let them pass, marked.
        assert rig.wallet.concerns(ORG)
        rig.refuses_to_open = ""
        await rig.up()
        assert rig.opens > 1
        assert await rig.desk.top_up(ORG, USD, "evt")
        rig.wallet.close()


@pytest.mark.parametrize("trouble", ["before", "after"])
async def test_a_hold_that_was_not_given_is_given_back(path: Path, trouble: str) -> None:
    """Also where the disk has it although the commit was told as failed."""
    async with running(path, usd=5) as rig:
        rig.trouble.append(trouble)
        with pytest.raises(WalletDown, match="disk I/O error"):
            await rig.wallet.hold(credits_call())
        assert rig.wallet.failures == 1
        await rig.up()
        assert rig.desk.state(ORG).held == 0
        assert rig.desk.state(ORG).effective_balance == 5 * USD
        assert rig.wallet.recover_from is None
    assert audit(path) == ([], 0)
    released = rows(path, "SELECT id FROM ledger_transfers WHERE kind = 2")
    assert len(released) == (trouble == "after")


@pytest.mark.parametrize("trouble", ["before", "after"])
async def test_living_holds_outlive_a_failure(path: Path, trouble: str) -> None:
    async with running(path, usd=50) as rig:
        living, ending = [await held(rig, credits_call(4 * USD)) for _ in range(2)]
        rig.trouble.append(trouble)
        rig.wallet.settle(ending, 3 * USD)  # shares the transaction that fails
        with pytest.raises(WalletDown):
            await rig.wallet.hold(credits_call())
        with pytest.raises(WalletDown):  # said at once
            await rig.wallet.hold(credits_call())
        await rig.up()
        assert not rig.wallet.settle(ending, USD).is_new
        assert rig.desk.state(ORG).held == 4 * USD
        assert rig.wallet.settle(living, 2 * USD).is_new
        assert rig.spent() == 5 * USD
    assert audit(path) == ([], 0)


async def test_what_ends_while_the_wallet_is_down_is_settled_when_it_is_up(path: Path) -> None:
    async with running(path, usd=50) as rig:
        holds = [await held(rig, credits_call(4 * USD)) for _ in range(3)]
        rig.trouble.append("before")
        rig.refuses_to_open = "gone"
        with pytest.raises(WalletDown):
            await rig.desk.set_credit_line(ORG, 1)
        assert rig.wallet.broken
        assert rig.wallet.settle(holds[0], USD).is_new
        assert rig.wallet.release(holds[1]).is_new
        assert not rig.wallet.settle(holds[0], USD).is_new
        assert rig.wallet.disallow(ORG, "p", "m")
        opens = rig.opens
        await until(lambda: rig.opens >= opens + 2)
        rig.refuses_to_open = ""
        await rig.up()
        state = rig.desk.state(ORG)
        assert (rig.spent(), state.held, state.credit_line) == (USD, 4 * USD, 0)
        assert state.disallowed == (("p", "m"),)
    assert audit(path) == ([], 1)
    assert rows(path, "SELECT provider FROM ledger_disallowed") == [("p",)]


async def test_a_slow_disk_is_a_failed_one_for_those_who_wait(path: Path) -> None:
    async with running(path, usd=5, commit_wait_s=0.05) as rig:
        living = await held(rig, credits_call())
        rig.trouble.append("slow")
        with pytest.raises(WalletDown, match="too slow"):
            await rig.wallet.hold(credits_call())
        with pytest.raises(WalletDown):
            await rig.wallet.hold(credits_call())
        rig.go.set()
        await rig.up()
        assert rig.desk.state(ORG).held == USD
        rig.wallet.settle(living, USD)
    assert audit(path) == ([], 0)


async def test_those_who_wait_for_their_turn_are_told(path: Path) -> None:
    async with running(path) as rig:
        await rig.desk.set_budget(ORG, scope="user", period="day", limit_pico=10 * USD)
        await held(rig, own_call(1, 20))
        told: list[str] = []

        async def wait() -> None:
            with pytest.raises(WalletDown):
                await rig.wallet.hold(own_call())
            told.append("down")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait)
            await trio.testing.wait_all_tasks_blocked()
            rig.trouble.append("before")
            with pytest.raises(WalletDown):
                await rig.desk.set_credit_line(ORG, 1)
        assert told == ["down"]
        await rig.up()


async def test_a_task_that_was_cancelled_and_started_again_goes_on(path: Path) -> None:
    """As its supervisor does. Those who wait are told, living holds stay."""
    rig = Rig(path)
    async with trio.open_nursery() as nursery:
        first = await nursery.start(cancellable, rig)
        await rig.desk.top_up(ORG, 5 * USD, "evt")
        living = await held(rig, credits_call())
        first.cancel("killed")
        await until(lambda: rig.wallet.broken == "stopped")
        with pytest.raises(WalletDown, match="stopped"):
            await rig.wallet.hold(credits_call())
        rig.wallet.settle(living, USD // 2)
        await nursery.start(cancellable, rig)
        assert rig.wallet.recover_from is None
        assert (rig.spent(), rig.desk.state(ORG).held) == (USD // 2, 0)
        assert await rig.wallet.hold(credits_call()) is not None
        nursery.cancel_scope.cancel("the test is over")


async def cancellable(
    rig: Rig, *, task_status: trio.TaskStatus[trio.CancelScope] = trio.TASK_STATUS_IGNORED
) -> None:
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            await nursery.start(rig.wallet.run)
            task_status.started(scope)


async def test_a_ledger_that_does_not_add_up_is_not_used(path: Path) -> None:
    async with running(path, usd=5):
        pass
    query = "UPDATE ledger_accounts SET credits_posted = '{}' WHERE id LIKE 'credits/%'"
    with sqlite3.connect(path) as connection:
        connection.execute(query.format(9 * USD))
    connection.close()
    rig = Rig(path)
    async with trio.open_nursery() as nursery:
        await nursery.start(rig.wallet.run)
        with pytest.raises(WalletDown, match="are not credits"):
            await rig.wallet.hold(credits_call())
        with sqlite3.connect(path) as connection:
            connection.execute(query.format(5 * USD))
        connection.close()
        await rig.up()
        nursery.cancel_scope.cancel("the test is over")


async def test_what_is_read_keeps_nobody_waiting(path: Path) -> None:
    """A question that takes long, and a commit that does: neither waits for the other."""
    go, asked = threading.Event(), threading.Event()

    def long_page(store: LedgerStore) -> int:
        asked.set()
        assert go.wait(20)
        return store.total("credit_purchases", ORG)

    async with running(path, usd=5, commit_wait_s=20.0) as rig, trio.open_nursery() as nursery:
        found: list[int] = []

        async def ask() -> None:
            found.append(await rig.wallet.read(long_page))

        nursery.start_soon(ask)
        await until(asked.is_set)
        with trio.fail_after(10):
            hold = await held(rig, credits_call())
        assert not found
        go.set()
        await until(lambda: found == [1])
        rig.wallet.release(hold)
        await rig.wallet.stored()
        rig.trouble.append("slow")
        nursery.start_soon(rig.desk.set_credit_line, ORG, USD)
        await until(lambda: not rig.trouble)
        with trio.fail_after(10):
            assert len(await rig.desk.page(ORG, "credit_purchases")) == 1
        rig.go.set()


async def test_a_file_that_cannot_be_read_is_told_and_stops_no_call(path: Path) -> None:
    async with running(path, usd=5) as rig:
        away = path.with_suffix(".away")
        path.rename(away)  # noqa: ASYNC240
        try:
            with pytest.raises(WalletDown, match="unable to open"):
                await rig.desk.flags()
            with pytest.raises(WalletDown):  # whether it was told before cannot be known
                await rig.desk.top_up(ORG, USD, "evt")
            assert not rig.wallet.broken
        finally:
            away.rename(path)
        assert await rig.desk.flags() == []
        assert rig.desk.state(ORG).credits == 5 * USD


async def test_whoever_reads_changes_nothing(path: Path) -> None:
    async with running(path, usd=5) as rig:
        batch = LedgerBatch(notes=[("line", (ORG, USD))])
        with pytest.raises(WalletDown, match="readonly"):
            await rig.wallet.read(lambda store: store.commit(batch))
        assert rows(path, "SELECT * FROM ledger_lines") == []


TROUBLES = ["", "", "", "before", "after"]


@pytest.mark.parametrize("seed", range(6))
async def test_any_order_of_failures_loses_and_doubles_nothing(path: Path, seed: int) -> None:
    """Calls that come, end, are cancelled; commits that fail at any time, kept or not."""
    choose = random.Random(seed)
    costs: list[int] = []
    down = 0

    async def call(rig: Rig) -> None:
        nonlocal down
        worst = choose.randint(1, 9) * CENT
        with trio.move_on_after(choose.choice([0.0, 0.003, 5.0])):
            try:
                hold = await held(rig, credits_call(worst))
            except WalletDown:
                down += 1
                return
            except Refusal:
                return
            try:
                await trio.sleep(choose.random() * 0.004)
            finally:
                cost = choose.choice([0, worst // 2, worst])
                done = rig.wallet.settle(hold, cost) if cost else rig.wallet.release(hold)
                assert done.is_new
                costs.append(cost)

    async with running(path, usd=5) as rig:
        rig.trouble.extend(choose.choice(TROUBLES) for _ in range(60))
        async with trio.open_nursery() as nursery:
            for _ in range(250):
                nursery.start_soon(call, rig)
                await trio.sleep(choose.random() * 0.002)
        rig.trouble.clear()
        await rig.up()
        await rig.wallet.stored()
        assert rig.spent() == sum(costs) <= 5 * USD - CENT
        assert rig.desk.state(ORG).held == 0
        assert down
        assert costs
    assert audit(path) == ([], 0)
