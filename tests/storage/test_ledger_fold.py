"""Old transfers are folded into their accounts: the log is bounded, and the sums stay."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from storage import ledger_fold as module
from storage.ledger import LedgerBatch, LedgerStore
from tests.storage.ledger_kit import DAY_US, account, hold, id_at, transfer

NOW_US = 100 * DAY_US
BEFORE_US = 90 * DAY_US


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LedgerStore]:
    opened = LedgerStore.open(tmp_path / "state.sqlite")
    yield opened
    opened.close()


def spend(store: LedgerStore, days: list[int]) -> None:
    """One USD-less unit a day, from a wallet (1) and on a budget of that day (10 + day)."""
    for count, day in enumerate(days, 1):
        hold_id = id_at(day * DAY_US)
        until_us = (day + 1) * DAY_US
        store.commit(
            LedgerBatch(
                accounts=[
                    account(1, "credits/x", (0, count, 0, 0)),
                    account(2, "spent/x", (0, 0, 0, count)),
                    account(1000 + day, f"budget/b/{day}/k", (0, 1, 0, 0), until_us),
                    account(2000 + day, f"counted/b/{day}", (0, 0, 0, 1), until_us),
                ],
                holds=[
                    hold(hold_id, 1),
                    hold(hold_id, 1, leg=1, debit=1000 + day, credit=2000 + day),
                ],
                resolved=[hold_id],
                transfers=[
                    transfer(hold_id, 1, held=1),
                    transfer(hold_id, 1, held=1, leg=1, debit=1000 + day, credit=2000 + day),
                ],
            )
        )  # fmt: skip


def left(store: LedgerStore) -> tuple[int, int]:
    """Transfers and accounts in the file."""
    ask = store._connection.execute
    return (
        ask("SELECT count(*) FROM ledger_transfers").fetchone()[0],
        ask("SELECT count(*) FROM ledger_accounts").fetchone()[0],
    )


def test_what_is_old_goes_and_the_sums_stay(store: LedgerStore) -> None:
    spend(store, list(range(80, 100)))
    assert left(store) == (40, 42)
    while store.fold(BEFORE_US, NOW_US):
        assert store.check() == []
    # Budgets of days that ended a day before the border or earlier are gone with their transfers.
    assert left(store) == (20, 2 + 2 * 12)
    assert store.check() == []
    assert store.load(0).accounts[0] == account(1, "credits/x", (0, 20, 0, 0))
    spend_more = LedgerBatch(
        accounts=[account(1, "credits/x", (0, 21, 0, 0)), account(2, "spent/x", (0, 0, 0, 21))],
        transfers=[transfer(id_at(NOW_US), 1, kind=6)],
    )
    store.commit(spend_more)
    assert store.check() == []


def test_it_goes_in_small_pieces_and_never_cuts_a_call(
    store: LedgerStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FOLD_ROWS_MAX", 5)
    spend(store, list(range(80, 90)))
    sizes = []
    while store.fold(BEFORE_US, NOW_US):
        sizes.append(left(store)[0])
        assert store.check() == []
    assert sizes == [16, 12, 8, 4, 0]


def test_a_file_that_grows_too_large_keeps_the_last_hour(
    store: LedgerStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FILE_BYTES_MAX", 0)
    spend(store, [80, 95, 99, 100])
    while store.fold(BEFORE_US, NOW_US):
        pass
    assert left(store)[0] == 2
    assert store.check() == []


def test_open_holds_keep_their_accounts(store: LedgerStore) -> None:
    spend(store, [80])
    open_id = id_at(80 * DAY_US, 7)
    store.commit(
        LedgerBatch(
            accounts=[
                account(1080, "budget/b/80/k", (1, 1, 0, 0), 81 * DAY_US),
                account(2080, "counted/b/80", (0, 0, 1, 1), 81 * DAY_US),
            ],
            holds=[hold(open_id, 1, debit=1080, credit=2080)],
        )
    )
    while store.fold(BEFORE_US, NOW_US):
        pass
    assert left(store) == (0, 4)
    assert store.check() == []
    # They are what is needed to go on, though their time is over.
    assert [row[0] for row in store.load(NOW_US).accounts] == [1, 2, 1080, 2080]
