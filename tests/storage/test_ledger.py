"""The ledger's tables: one transaction per group, no hold resolved twice, the log replayed."""

from __future__ import annotations

import sqlite3
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from storage import ledger as module
from storage.ledger import LedgerBatch, LedgerStore
from storage.state import MIGRATIONS, State, StateBroken
from tests.storage.ledger_kit import (
    ORG,
    OVERAGE,
    RELEASE,
    SETTLE,
    TOP_UP,
    account,
    hold,
    id_at,
    topped_up,
    transfer,
)

WALLET, SPENT = "credits/" + ORG.hex(), "spent/" + ORG.hex()
H = [id_at(10_000 * number, number) for number in range(2000)]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LedgerStore]:
    opened = LedgerStore.open(tmp_path / "state.sqlite")
    opened.commit(topped_up())
    yield opened
    opened.close()


def held(*numbers: int, amount: int = 10) -> LedgerBatch:
    total = amount * len(numbers)
    return LedgerBatch(
        accounts=[account(1, WALLET, (total, 0, 0, 1000)), account(2, SPENT, (0, 0, total, 0))],
        holds=[hold(H[number], amount) for number in numbers],
    )


def settled(*numbers: int, cost: int = 4) -> LedgerBatch:
    total = cost * len(numbers)
    return LedgerBatch(
        accounts=[account(1, WALLET, (0, total, 0, 1000)), account(2, SPENT, (0, 0, 0, total))],
        resolved=[H[number] for number in numbers],
        transfers=[transfer(H[number], cost, held=10) for number in numbers],
    )


def test_what_is_stored_is_there_for_the_next(store: LedgerStore) -> None:
    store.commit(held(1, 2))
    rows = store.load(0)
    assert [row[0] for row in rows.holds] == [H[1], H[2]]
    assert rows.holds[0] == hold(H[1], 10)
    assert rows.accounts[:2] == [
        account(1, WALLET, (20, 0, 0, 1000)), account(2, SPENT, (0, 0, 20, 0)),
    ]  # fmt: skip
    assert rows.next_number == 4
    store.commit(settled(1, 2))
    again = LedgerStore.open(store.path)
    assert again.load(0).holds == []
    assert again.load(0).accounts[0] == account(1, WALLET, (0, 8, 0, 1000))
    assert again.check() == []
    again.close()


def test_a_hold_made_and_resolved_in_one_group(store: LedgerStore) -> None:
    both = replace(settled(1), holds=held(1).holds)
    store.commit(both)
    assert store.load(0).holds == []
    assert store.check() == []


@pytest.mark.parametrize("count", [1, 31, 32, 33, 255, 256, 289, 700])
def test_groups_of_any_size(store: LedgerStore, count: int) -> None:
    store.commit(held(*range(1, count + 1), amount=1))
    assert len(store.load(0).holds) == count
    store.commit(settled(*range(1, count + 1), cost=1))
    assert store.load(0).holds == []
    assert store.check() == []


WRONG: list[tuple[str, LedgerBatch]] = [
    ("a hold resolved again", settled(1)),
    ("a hold that was never made", settled(9)),
    ("a hold made again", held(2)),
    ("a transfer without its hold", LedgerBatch(transfers=[transfer(H[2], 1)])),
    ("a hold that ends without a transfer", LedgerBatch(resolved=[H[2]])),
    ("an account that is not there", LedgerBatch(holds=[hold(H[3], 1, debit=77)])),
    ("an account of another number", LedgerBatch(accounts=[account(9, WALLET)])),
    ("a transfer to itself", LedgerBatch(transfers=[transfer(H[4], 1, kind=TOP_UP, credit=1)])),
    ("a negative amount", LedgerBatch(transfers=[transfer(H[4], -1, kind=TOP_UP)])),
    ("too much for a row", LedgerBatch(transfers=[transfer(H[4], 2**63, kind=TOP_UP)])),
    ("an unknown kind", LedgerBatch(transfers=[transfer(H[4], 1, kind=9)])),
    ("an event again", LedgerBatch(notes=topped_up().notes)),
]  # fmt: skip


@pytest.mark.parametrize("batch", [batch for _, batch in WRONG], ids=[name for name, _ in WRONG])
def test_what_cannot_be_is_stored_not_at_all(store: LedgerStore, batch: LedgerBatch) -> None:
    """The whole group fails, and what comes next is stored again."""
    store.commit(held(1, 2))
    store.commit(replace(settled(1), accounts=[account(1, WALLET, (10, 4, 0, 1000)),
                                               account(2, SPENT, (0, 0, 10, 4))]))  # fmt: skip
    before = store.load(0)
    with pytest.raises(StateBroken):
        store.commit(replace(batch, notes=[*batch.notes, ("line", (ORG, 5))]))
    assert store.load(0) == before
    assert store.check() == []
    store.commit(LedgerBatch(notes=[("line", (ORG, 6))]))
    assert store.load(0).lines == [(ORG, 6)]


def test_a_resolution_once_stored_cannot_come_back_as_a_row(store: LedgerStore) -> None:
    """The key of the log itself stands against it, whatever the open holds say."""
    store.commit(held(1))
    store.commit(settled(1))
    store.commit(held(1))  # as after a file that was put together wrongly
    with pytest.raises(StateBroken, match="UNIQUE"):
        store.commit(settled(1))
    assert store.check() != []


def test_files_are_private_and_durable(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    store = LedgerStore.open(path)
    store.commit(topped_up())
    for name in ("state.sqlite", "state.sqlite-wal", "state.sqlite-shm"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
    pragmas = {"journal_mode": "wal", "synchronous": 2, "secure_delete": 1, "foreign_keys": 1}
    for name, value in pragmas.items():
        assert store._connection.execute(f"PRAGMA {name}").fetchone()[0] == value
    store.close()
    store.close()


def test_it_lives_beside_the_keys_in_one_file(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    state = State.open(path)
    store = LedgerStore.open(path)
    store.commit(topped_up())
    state.add_api_key("a", "a" * 64)
    store.commit(held(1))
    assert [key.name for key in state.api_keys()] == ["a"]
    state.close()
    store.commit(settled(1))
    assert store.check() == []
    store.close()


def test_a_file_of_before_gets_its_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "state.sqlite"
    with monkeypatch.context() as patched:
        patched.setattr("storage.state.MIGRATIONS", MIGRATIONS[:1])
        State.open(path).close()
    store = LedgerStore.open(path)
    store.commit(topped_up())
    assert len(store.load(0).accounts) == len(topped_up().accounts)
    assert store.check() == []
    store.close()


@pytest.mark.parametrize("content", [b"noise" * 2000, b"SQLite format 3\0" + b"\xff" * 4096])
def test_a_corrupt_file_is_said_to_be(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "state.sqlite"
    path.write_bytes(content)
    with pytest.raises(StateBroken, match=r"state\.sqlite"):
        LedgerStore.open(path)


def test_a_closed_store_says_so(store: LedgerStore) -> None:
    store.close()
    for ask in (lambda: store.load(0), lambda: store.commit(held(1)), store.check):
        with pytest.raises(StateBroken):
            ask()


def test_events_lines_disputes_budgets_and_the_list(store: LedgerStore) -> None:
    assert store.event("evt_1") is not None
    assert store.event("evt_2") is None
    dispute = ("dp", ORG, "ch", 5, "usd", "r", "needs_response", "evt_9", 1)
    store.commit(
        LedgerBatch(
            notes=[
                ("line", (ORG, 5)), ("line", (ORG, 7)), ("dispute", dispute),
                ("disallow", (ORG, "p", "m", "req", 1)), ("disallow", (ORG, "p", "m", "again", 2)),
                ("disallow", (ORG, "q", "*", "", 3)), ("allow", (ORG, "q", "*")),
                ("budget", ("b", ORG, "key", "", "k", "day", 5)),
                ("budget", ("b", ORG, "key", "", "k", "day", 6)),
                ("budget", ("c", ORG, "user", "", "u", "day", 5)), ("drop_budget", ("c",)),
            ]
        )
    )  # fmt: skip
    rows = store.load(0)
    assert (rows.lines, rows.disallowed) == ([(ORG, 7)], [(ORG, "p", "m")])
    assert rows.budgets == [("b", ORG, "key", "", "k", "day", 6)]
    assert rows.disputes == [dispute] == [store.dispute("dp")]
    store.commit(LedgerBatch(notes=[("dispute", (*dispute[:6], "won", "evt_10", 1))]))
    assert store.load(0).disputes[0][6:8] == ("won", "evt_10")
    assert store.dispute("other") is None


def test_flags_are_bounded(store: LedgerStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FLAGS_MAX", 3)
    for number in range(5):
        store.commit(LedgerBatch(notes=[("flag", (number, ORG, "odd", H[1], number, ""))]))
    assert [row["at_us"] for row in store.flags()] == [4, 3, 2]
    assert store.flags(1)[0] == {
        "at_us": 4, "org": ORG.hex(), "kind": "odd", "hold_id": H[1].hex(), "amount_pico": 4,
        "detail": "",
    }  # fmt: skip


def test_pages_of_the_administration(store: LedgerStore) -> None:
    store.commit(held(1, 2))
    store.commit(LedgerBatch(notes=[("disallow", (ORG, "p", "m", "req", 1))]))
    pages: dict[str, list[dict[str, Any]]] = {
        "credit_purchases": [
            {"id": bytes(15).hex() + "01", "created_at_us": 5, "kind": "top_up",
             "credits_pico": 1000, "reference_id": "evt_1", "reason": "ref"}
        ],
        "processed_webhook_events": [{"id": "evt_1", "processed_at_us": 5}],
        "escrows": [
            {"id": H[2].hex(), "amount_pico": 10, "created_at_us": 7},
            {"id": H[1].hex(), "amount_pico": 10, "created_at_us": 7},
        ],
        "aggregated_debits": [{"debits_pico": "0"}],
        "disallow_list": [
            {"helicone_request_id": "req", "created_at_us": 1, "provider": "p", "model": "m"}
        ],
        "disputes": [],
    }  # fmt: skip
    assert {name: store.page(name, ORG) for name in module.PAGES} == pages
    totals = {name: store.total(name, ORG) for name in module.PAGES}
    assert totals == {name: len(rows) for name, rows in pages.items()}
    with pytest.raises(ValueError, match="table"):
        store.total("sqlite_schema", ORG)
    assert all(store.page(name, b"\x02" * 16) == [] for name in module.PAGES)
    assert [row["id"] for row in store.page("escrows", ORG, 1, 1)] == [H[1].hex()]
    for wrong in (
        ("sqlite_schema", 0, 50),
        ("escrows", -1, 50),
        ("escrows", 0, 0),
        ("escrows", 0, 1001),
    ):
        with pytest.raises(ValueError, match=r"table|page"):
            store.page(wrong[0], ORG, wrong[1], wrong[2])


TAMPERED = [
    ("UPDATE ledger_accounts SET debits_posted = '1' WHERE number = 1", "account credits"),
    ("DELETE FROM ledger_transfers", "account credits"),
    ("UPDATE ledger_transfers SET posted_pico = 999", "account credits"),
    ("UPDATE ledger_holds SET amount_pico = 9", "account credits"),
    ("DELETE FROM ledger_accounts WHERE number = 3", "account (gone)"),
    (f"INSERT INTO ledger_transfers VALUES (x'{H[1].hex()}', 1, 5, 1, 1, 2, 0, 0, 0)", "open and"),
    (f"INSERT INTO ledger_transfers VALUES (x'{H[7].hex()}', 2, 0, 3, 1, 2, 0, 0, 0)", "overage"),
    ("UPDATE ledger_accounts SET credits_posted = '999' WHERE number = 1", "account credits"),
]


@pytest.mark.parametrize(("statement", "complaint"), TAMPERED)
def test_the_log_tells_what_was_tampered_with(
    store: LedgerStore, statement: str, complaint: str
) -> None:
    store.commit(held(1, 2))
    assert store.check() == []
    other = sqlite3.connect(store.path)
    other.execute(statement)
    other.commit()
    other.close()
    assert any(complaint in line for line in store.check()), store.check()


def test_kinds_are_those_of_the_core() -> None:
    """Storage imports nothing of the appliance, so two places name them."""
    from appliance.core import ledger as core

    assert (core.SETTLE, core.RELEASE) == module.RESOLVING_KINDS == (SETTLE, RELEASE)
    assert (core.OVERAGE, core.TOP_UP) == (OVERAGE, TOP_UP)
