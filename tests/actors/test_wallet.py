"""The wallet: holds on the disk before they count, many in one transaction, turns, recovery."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
import trio.testing

from appliance.actors import wallet_turns
from appliance.actors.wallet import Recovered, Wallet, WalletDown
from appliance.core.ledger import Hold
from appliance.core.ledger_book import Wanted
from appliance.errors import Refusal
from appliance.exchange import Watch
from appliance.wire import Woken
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
    if (tmp_path / "state.sqlite").exists():
        assert audit(tmp_path / "state.sqlite")[0] == []


async def test_a_hold_is_on_the_disk_when_it_is_given(path: Path) -> None:
    async with running(path, usd=5) as rig:
        rig.position = (7, 8)
        hold = await held(rig, credits_call(2 * USD))
        found = rows(
            path, "SELECT id, amount_pico, input_pico, segment, frame_offset FROM ledger_holds"
        )
        assert found == [(hold.id, 2 * USD, USD // 2, 7, 8)]
        assert rig.desk.state(ORG).effective_balance == 3 * USD
        assert rig.wallet.settle(hold, USD).cost_pico == USD
        assert rig.desk.state(ORG).effective_balance == 4 * USD
    assert audit(path) == ([], 0)
    assert rows(path, "SELECT posted_pico FROM ledger_transfers WHERE kind = 1") == [(USD,)]


async def test_a_thousand_calls_at_once_spend_what_there_is_and_no_more(path: Path) -> None:
    """$5.00, calls of 1 to 9 cents at worst; what each costs reaches up to its worst case."""
    refused: list[str] = []
    costs: list[int] = []
    overages: list[int] = []

    async def call(rig: Rig, number: int) -> None:
        worst = (1 + number % 9) * CENT
        try:
            hold = await held(rig, credits_call(worst))
        except Refusal as refusal:
            refused.append(refusal.code)
            return
        await trio.lowlevel.checkpoint()
        done = rig.wallet.settle(hold, worst if number % 3 else worst // 2)
        costs.append(done.cost_pico)
        overages.append(done.overage_pico)

    async with running(path, usd=5) as rig:
        async with trio.open_nursery() as nursery:
            for number in range(1000):
                nursery.start_soon(call, rig, number)
        assert len(costs) + len(refused) == 1000
        assert set(refused) == {"insufficient_credit_limit"}
        assert 3 * USD < sum(costs) <= 5 * USD - CENT
        assert sum(overages) == 0
        assert rig.spent() == sum(costs)
        assert rig.wallet.commits < 100
    assert audit(path) == ([], 0)


async def test_many_holds_share_one_transaction(path: Path) -> None:
    async with running(path, usd=500) as rig:
        before = rig.wallet.commits
        holds: list[Hold] = []

        async def take() -> None:
            holds.append(await held(rig, credits_call()))

        async with trio.open_nursery() as nursery:
            for _ in range(200):
                nursery.start_soon(take)
        assert rig.wallet.commits - before <= 2
        assert len(rows(path, "SELECT id FROM ledger_holds")) == 200
        for hold in holds:
            rig.wallet.release(hold)
        await rig.wallet.stored()
        assert rig.wallet.commits - before <= 3
    assert audit(path) == ([], 0)


async def test_what_nobody_waits_for_is_stored_soon(path: Path) -> None:
    async with running(path, usd=5) as rig:
        rig.wallet.settle(await held(rig, credits_call()), USD)
        await until(lambda: not rows(path, "SELECT id FROM ledger_holds"))
        assert rig.spent() == USD


async def test_each_hold_resolves_once(path: Path) -> None:
    async with running(path, usd=5) as rig:
        hold = await held(rig, credits_call())
        assert rig.wallet.settle(hold, USD // 2).is_new
        assert not rig.wallet.settle(hold, USD // 2).is_new
        assert not rig.wallet.release(hold).is_new
        await rig.wallet.stored()
        assert not rig.wallet.settle(hold, USD).is_new
        assert rig.spent() == USD // 2


async def test_a_cancelled_call_leaves_no_hold(path: Path) -> None:
    """Before its commit, and while its commit is under way."""
    async with running(path, usd=5) as rig:
        rig.trouble.append("slow")
        scopes: list[trio.CancelScope] = []

        async def call() -> None:
            with trio.CancelScope() as scope:
                scopes.append(scope)
                await rig.wallet.hold(credits_call())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(call)
            await until(lambda: not rig.trouble)
            nursery.start_soon(call)  # gathers for the next
            await trio.testing.wait_all_tasks_blocked()
            for scope in scopes:
                scope.cancel("client gone")
            rig.go.set()
        await rig.wallet.stored()
        assert rig.desk.state(ORG).held == 0
    assert audit(path) == ([], 0)
    assert len(rows(path, "SELECT id FROM ledger_transfers WHERE kind = 2")) == 2


async def test_own_keys_without_budgets_wait_for_nothing(path: Path) -> None:
    async with running(path) as rig:
        before = rig.wallet.commits
        assert not rig.wallet.concerns(ORG)
        assert await rig.wallet.hold(own_call()) is None
        assert rig.wallet.commits == before
        assert rig.wallet.concerns(ORG, pass_through=True)
        await budget_rig(rig)
        assert rig.wallet.concerns(ORG)


async def test_what_cannot_be_told_is_charged_by_its_input_and_flagged(path: Path) -> None:
    async with running(path, usd=5) as rig:
        assert rig.wallet.settle(await held(rig, credits_call(4 * USD)), None).cost_pico == USD
        await rig.wallet.stored()
        assert [(row["kind"], row["amount_pico"]) for row in await rig.desk.flags()] == [
            ("no_cost", USD)
        ]
        assert rig.wallet.flagged == 1


# -- turns


async def budget_rig(rig: Rig, usd: int = 10) -> None:
    await rig.desk.set_budget(ORG, scope="user", period="day", limit_pico=usd * USD)


async def test_near_the_limit_calls_take_turns(path: Path) -> None:
    """Each is expected to cost 1 and may cost 9: one at a time, until the budget is used up."""
    going: list[int] = []
    most = 0
    refused: list[str] = []

    async def call(rig: Rig) -> None:
        nonlocal most
        try:
            hold = await held(rig, own_call(1, 9))
        except Refusal as refusal:
            refused.append(refusal.code)
            return
        going.append(1)
        most = max(most, len(going))
        await trio.lowlevel.checkpoint()
        going.pop()
        rig.wallet.settle(hold, 2 * USD)

    async with running(path) as rig:
        await budget_rig(rig)
        rig.wallet.settle(await held(rig, own_call(1, 1)), USD)
        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(call, rig)
        assert most == 1
        assert refused == ["budget_exceeded"] * 15
        assert rig.wallet.passed == 1
        assert not rig.wallet.turns
        ((_, spent),) = rig.desk.budgets(ORG)
        assert spent == [("ann", 11 * USD, 0)]
        await rig.wallet.stored()
        assert [row["kind"] for row in await rig.desk.flags()] == ["budget_passed"]
    assert audit(path) == ([], 0)


async def test_room_for_more_than_one_lets_more_than_one_through(path: Path) -> None:
    """A dear call makes the others wait; when it turns out cheap they all go."""
    given: list[Hold] = []

    async def call(rig: Rig) -> None:
        given.append(await held(rig, own_call(1, 1)))

    async with running(path) as rig:
        await budget_rig(rig)
        dear = await held(rig, own_call(1, 20))
        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(call, rig)
            await trio.testing.wait_all_tasks_blocked()
            assert given == []
            rig.wallet.release(dear)
        assert len(given) == 5


@pytest.mark.parametrize("way", ["raised", "dropped"])
async def test_who_waits_goes_on_when_the_limit_is_raised(path: Path, way: str) -> None:
    async with running(path) as rig:
        await budget_rig(rig)
        dear = await held(rig, own_call(1, 20))
        given: list[Hold | None] = []

        async def call() -> None:
            given.append(await rig.wallet.hold(own_call()))

        with trio.fail_after(20):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(call)
                await trio.testing.wait_all_tasks_blocked()
                assert given == []
                if way == "raised":
                    await budget_rig(rig, 100)
                else:
                    ((budget, _),) = rig.desk.budgets(ORG)
                    assert await rig.desk.drop_budget(ORG, budget.id)
        assert [hold is None for hold in given] == [way == "dropped"]
        for hold in (dear, *given):
            if hold is not None:
                rig.wallet.release(hold)


async def test_who_waits_too_long_is_told_to_come_again(path: Path) -> None:
    async with running(path) as rig:
        await budget_rig(rig)
        await held(rig, own_call(1, 20))
        rig.wallet.turns.wait_s = 0.01
        with pytest.raises(Refusal) as caught:
            await rig.wallet.hold(own_call())
        assert (caught.value.status, caught.value.code) == (429, "budget_busy")
        assert "user *, per day (ann)" in caught.value.message
        assert caught.value.headers == {"Retry-After": "5"}


async def test_so_many_may_wait(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wallet_turns, "WAITING_MAX", 2)
    async with running(path) as rig:
        await budget_rig(rig)
        await held(rig, own_call(1, 20))
        async with trio.open_nursery() as nursery:
            for _ in range(2):
                nursery.start_soon(rig.wallet.hold, own_call())
            await trio.testing.wait_all_tasks_blocked()
            with pytest.raises(Refusal, match="Try again"):
                await rig.wallet.hold(own_call())
            nursery.cancel_scope.cancel("enough")


async def test_a_client_that_leaves_ends_its_wait(path: Path) -> None:
    async with running(path) as rig:
        await budget_rig(rig)
        dear = await held(rig, own_call(1, 20))
        watch = Watch(None)
        gone: list[bool] = []

        async def call() -> None:
            with pytest.raises(Woken):
                await rig.wallet.hold(own_call(), watch)
            gone.append(True)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(call)
            await trio.testing.wait_all_tasks_blocked()
            watch.hang_up()
        assert gone
        assert watch.upstream is None
        assert not rig.wallet.turns
        rig.wallet.release(dear)
        assert await rig.wallet.hold(own_call(), Watch(None)) is not None


async def test_strict_budgets_do_not_wait(path: Path) -> None:
    async with running(path, strict=True) as rig:
        await budget_rig(rig)
        await held(rig, own_call(1, 6))
        with pytest.raises(Refusal, match="used up"):
            await rig.wallet.hold(own_call(1, 6))


async def test_more_values_than_there_is_room_for(path: Path) -> None:
    async with running(path, strict=True) as rig:
        await budget_rig(rig)
        rig.wallet.book.budgets.accounts_max = 0
        with pytest.raises(WalletDown, match="at most 0") as caught:
            await rig.wallet.hold(own_call())
        refusal = caught.value.refusal()
        assert (refusal.status, refusal.code) == (503, "wallet_down")


# -- after a crash


async def crashed(path: Path, count: int = 4) -> list[Hold]:
    """A process that held and was gone."""
    rig = Rig(path)
    holds: list[Hold] = []
    async with trio.open_nursery() as nursery:
        await nursery.start(rig.wallet.run)
        await rig.desk.top_up(ORG, 50 * USD, "first")
        for number in range(count):
            rig.position = (3, 100 - number)
            holds.append(await held(rig, credits_call(4 * USD, input_pico=USD)))
        nursery.cancel_scope.cancel("gone")
    return holds


async def test_holds_that_a_crash_left_are_settled_by_their_frames(path: Path) -> None:
    first, second, third, fourth = await crashed(path)
    async with running(path) as rig:
        assert rig.desk.state(ORG).held == 16 * USD  # until somebody knows better
        assert rig.wallet.recover_from == (3, 97)
        living = await held(rig, credits_call(USD))
        frames = [
            (b"x" * 16, 7),
            (first.id, 9),
            (second.id, 0),
            (living.id, 5),
            (first.id, 2 * USD),
        ]
        assert await rig.wallet.recover([*frames, (fourth.id, None)]) == Recovered(3, 1)
        assert rig.spent() == 2 * USD + 0 + USD + USD
        assert rig.desk.state(ORG).held == USD
        assert [rig.wallet.recover_from] == [None]
        assert await rig.wallet.recover(frames) == Recovered(0, 0)
        flags = {(row["kind"], row["hold_id"]) for row in await rig.desk.flags()}
        assert flags == {("no_frame", third.id.hex()), ("no_cost", fourth.id.hex())}
        assert rig.wallet.settle(living, USD).is_new
    assert audit(path) == ([], 0)


async def test_a_second_crash_while_recovering_doubles_nothing(path: Path) -> None:
    holds = await crashed(path)
    frames = [(hold.id, USD) for hold in holds[:2]]
    rig = Rig(path)
    rig.trouble.append("after")
    async with trio.open_nursery() as nursery:
        await nursery.start(rig.wallet.run)
        with pytest.raises(WalletDown):
            await rig.wallet.recover(frames)
        nursery.cancel_scope.cancel("gone again")
    async with running(path) as rig:
        assert await rig.wallet.recover(frames) == Recovered(0, 0)
        assert rig.spent() == 4 * USD
        assert len(await rig.desk.flags()) == 2
    assert audit(path) == ([], 0)


async def test_recovery_is_tried_again_after_trouble(path: Path) -> None:
    holds = await crashed(path)
    frames = [(hold.id, USD) for hold in holds[:3]]
    async with running(path) as rig:
        rig.trouble.append("before")
        with pytest.raises(WalletDown):
            await rig.wallet.recover(frames)
        await rig.up()
        await rig.wallet.recover(frames)
        assert rig.spent() == 4 * USD
        assert len(await rig.desk.flags()) == 1


async def test_a_frame_with_nonsense_for_a_cost_does_not_stop_recovery(path: Path) -> None:
    first, second = await crashed(path, 2)
    async with running(path) as rig:
        assert await rig.wallet.recover([(first.id, -5), (second.id, 10**30)]) == Recovered(2, 0)
        assert rig.spent() == 2 * USD


async def test_a_long_list_of_frames_lets_others_run(path: Path) -> None:
    async with running(path) as rig:
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                turns += 1
                await trio.lowlevel.checkpoint()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(count)
            await rig.wallet.recover((b"x" * 16, 1) for _ in range(50_000))
            nursery.cancel_scope.cancel("done")
        assert turns > 40


async def test_closing_stores_what_was_decided(path: Path) -> None:
    async with running(path, usd=5) as rig:
        rig.wallet.settle(await held(rig, credits_call()), USD)
        rig.wallet.disallow(ORG, "p", "m")
        assert (rig.wallet.inbox, rig.wallet.trouble) == (2, "")
    assert audit(path) == ([], 0)
    assert rows(path, "SELECT provider FROM ledger_disallowed") == [("p",)]
    with pytest.raises(WalletDown, match="stopped"):
        await rig.wallet.hold(credits_call())


async def test_a_wallet_that_never_ran_is_down_and_closes(path: Path) -> None:
    wallet = Rig(path).wallet
    for ask in (lambda: wallet.hold(credits_call()), wallet.stored, lambda: wallet.recover([])):
        with pytest.raises(WalletDown, match="not loaded"):
            await ask()
    assert wallet.concerns(ORG)
    wallet.close()
    await wallet.run()  # closed before it began: it ends at once
    assert (wallet.trouble, wallet.inbox) == ("stopped", 0)


async def test_budgets_go_on_after_a_restart(path: Path) -> None:
    async with running(path) as rig:
        await budget_rig(rig, 3)
        rig.wallet.settle(await held(rig, own_call(2, 2)), 2 * USD)
    async with running(path) as rig:
        ((_, spent),) = rig.desk.budgets(ORG)
        assert spent == [("ann", 2 * USD, 0)]
        rig.wallet.settle(await held(rig, own_call(2, 2)), 2 * USD)
        with pytest.raises(Refusal, match="used up"):
            await rig.wallet.hold(own_call())


async def test_periods_that_ended_are_let_go(path: Path) -> None:
    """From memory and, a week later, from the file; the sums stay."""
    async with running(path, usd=5) as rig:
        rig.now_us = time.time_ns() // 1000  # ids have the time of the true clock
        await budget_rig(rig)
        rig.wallet.settle(await held(rig, own_call()), USD)
        rig.wallet.settle(await held(rig, credits_call()), USD)
        await rig.wallet.stored()
        rig.now_us += 30 * 86_400_000_000
        assert len(rig.wallet.book.ledger.accounts) == 3 + 2
        rig.wallet._fold_at_s = 0.0
        rig.wallet.soon()
        await until(lambda: len(rig.wallet.book.ledger.accounts) == 3)
        await until(lambda: rows(path, "SELECT count(*) FROM ledger_transfers") == [(0,)])
        assert rig.spent() == USD


async def test_names_of_clients_cannot_spoil_a_transaction(path: Path) -> None:
    """Half a character, as JSON and headers can bring it, and names without an end."""
    async with running(path, usd=5) as rig:
        await budget_rig(rig)
        for user in ("\ud800", "u" * 100_000, "a/b/c", "nul\0"):
            await held(rig, own_call(1, 1, user))
        assert rig.wallet.disallow(ORG, "p\ud800", "m" * 1000, "r\udfff")
        await rig.wallet.stored()
        assert (rig.wallet.failures, len(rig.wallet.book.ledger.holds)) == (0, 4)
        dear = Wanted(ORG, credits_call().size, True, provider="p\ud800", model="m" * 1000)
        with pytest.raises(Refusal, match="could not be told"):
            await rig.wallet.hold(dear)


async def test_a_call_without_a_size_is_marked_by_its_caller(path: Path) -> None:
    async with running(path, usd=5) as rig:
        await budget_rig(rig)
        assert await rig.wallet.hold(Wanted(ORG, None, False, own_call().spender)) is None
        with pytest.raises(Refusal, match="no price"):
            await rig.wallet.hold(Wanted(ORG, None, True))


def test_a_wallet_is_made_without_a_loop(path: Path) -> None:
    assert Wallet(lambda: pytest.fail("opened")).broken
