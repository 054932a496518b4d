"""Keeps the ledger's tables bounded, and checks them: old transfers become part of their accounts'
base, and base and transfers together must always be what the accounts say.
"""

import sqlite3
from typing import Any, Final

FOLD_ROWS_MAX: Final = 2_000
# Beyond this size of the file the oldest transfers go, but for those of the last hour.
FILE_BYTES_MAX: Final = 1024 * 1024 * 1024
HOUR_US: Final = 3_600_000_000
DAY_US: Final = 24 * HOUR_US
COMPLAINTS_MAX: Final = 100


def fold(connection: sqlite3.Connection, before_us: int, now_us: int) -> bool:
    """Take the oldest transfers into their accounts, at most FOLD_ROWS_MAX, then drop accounts of
    periods that ended before. Within a transaction. True: there are more.

    Ids begin with the time in milliseconds (UUIDv7), so the key's order is that of time.
    """
    border_us = before_us
    if _used_bytes(connection) > FILE_BYTES_MAX:
        border_us = max(before_us, now_us - HOUR_US)
    border = (max(0, border_us) // 1000).to_bytes(6, "big") + bytes(10)
    rows = connection.execute(
        "SELECT id, debit, credit, posted_pico FROM ledger_transfers WHERE id < ? "
        "ORDER BY id LIMIT ?",
        (border, FOLD_ROWS_MAX),
    ).fetchall()
    rows = _whole(rows)
    if rows:
        _add_to_base(connection, rows)
        connection.execute("DELETE FROM ledger_transfers WHERE id <= ?", (rows[-1][0],))
        return True
    # Debits and credits of a period lie on accounts of that period: they go together. A day later
    # than their transfers, whose ids come from another reading of the clock.
    connection.execute(
        "DELETE FROM ledger_accounts WHERE until_us < ? AND number NOT IN "
        "(SELECT debit FROM ledger_holds UNION SELECT credit FROM ledger_holds)",
        (before_us - DAY_US,),
    )
    return False


def _used_bytes(connection: sqlite3.Connection) -> int:
    pages, free, size = (
        connection.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("page_count", "freelist_count", "page_size")
    )
    used: int = (pages - free) * size
    return used


def _whole(rows: list[Any]) -> list[Any]:
    """Without the last id when its rows may be cut off."""
    if len(rows) < FOLD_ROWS_MAX:
        return rows
    return [row for row in rows if row[0] != rows[-1][0]]


def _add_to_base(connection: sqlite3.Connection, rows: list[Any]) -> None:
    sums: dict[int, list[int]] = {}
    for _, debit, credit, posted in rows:
        sums.setdefault(debit, [0, 0])[0] += posted
        sums.setdefault(credit, [0, 0])[1] += posted
    for number, (debits, credits) in sums.items():
        found = connection.execute(
            "SELECT base_debits, base_credits FROM ledger_accounts WHERE number = ?", (number,)
        ).fetchone()
        if found is not None:
            connection.execute(
                "UPDATE ledger_accounts SET base_debits = ?, base_credits = ? WHERE number = ?",
                (str(int(found[0]) + debits), str(int(found[1]) + credits), number),
            )


def check(connection: sqlite3.Connection) -> list[str]:
    """Replay the log: what does not add up, in words. Nothing when all is well."""
    complaints: list[str] = []
    # debits pending and posted, credits pending and posted
    sums: dict[int, list[int]] = {}
    stated: dict[int, tuple[str, list[int]]] = {}
    for number, name, *counters in connection.execute(
        "SELECT number, id, debits_pending, debits_posted, credits_pending, credits_posted, "
        "base_debits, base_credits FROM ledger_accounts"
    ):
        held_out, out, held_in, into, base_out, base_in = map(int, counters)
        stated[number] = (name, [held_out, out, held_in, into])
        sums[number] = [0, base_out, 0, base_in]
    for debit, credit, posted in connection.execute(
        "SELECT debit, credit, posted_pico FROM ledger_transfers"
    ):
        _add(sums, debit, 1, posted)
        _add(sums, credit, 3, posted)
    for debit, credit, amount in connection.execute(
        "SELECT debit, credit, amount_pico FROM ledger_holds"
    ):
        _add(sums, debit, 0, amount)
        _add(sums, credit, 2, amount)
    for number, counted in sums.items():
        name, said = stated.get(number, ("(gone)", []))
        if counted != said:
            complaints.append(f"account {name}: {said} stated, {counted} by its transfers")
    debits, credits = (sum(counted[at] for counted in sums.values()) for at in (1, 3))
    if debits != credits:
        complaints.append(f"debits of {debits} pico-USD, credits of {credits}")
    complaints += _contradictions(connection)
    return complaints[:COMPLAINTS_MAX]


def _add(sums: dict[int, list[int]], number: int, at: int, amount: int) -> None:
    sums.setdefault(number, [0, 0, 0, 0])[at] += amount


def _contradictions(connection: sqlite3.Connection) -> list[str]:
    """Holds that are open and resolved at once, overages of holds that were never settled."""
    both = connection.execute(
        "SELECT DISTINCT lower(hex(h.id)) FROM ledger_holds h JOIN ledger_transfers t USING (id)"
    )
    orphans = connection.execute(
        "SELECT lower(hex(o.id)) FROM ledger_transfers o LEFT JOIN ledger_transfers s "
        "ON s.id = o.id AND s.leg = o.leg AND s.step = 1 WHERE o.step = 2 AND s.id IS NULL"
    )
    return [f"hold {name} is open and resolved" for (name,) in both] + [
        f"overage of {name}, which was not settled" for (name,) in orphans
    ]
