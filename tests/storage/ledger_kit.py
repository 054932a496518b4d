"""A small ledger for the store's tests: rows as the appliance writes them."""

from __future__ import annotations

from storage.ledger import AccountRow, HoldRow, LedgerBatch, TransferRow

ORG = b"\x01" * 16
SETTLE, RELEASE, OVERAGE, TOP_UP = 1, 2, 3, 4
DAY_US = 86_400_000_000


def id_at(at_us: int, number: int = 0) -> bytes:
    """An id that begins with its time, as UUIDv7 do."""
    return (at_us // 1000).to_bytes(6, "big") + number.to_bytes(10, "big")


def account(
    number: int, name: str, counters: tuple[int, int, int, int] = (0, 0, 0, 0),
    until_us: int | None = None,
) -> AccountRow:  # fmt: skip
    pending_out, out, pending_in, into = map(str, counters)
    return (number, name, until_us, pending_out, out, pending_in, into)


def hold(hold_id: bytes, amount: int, *, leg: int = 0, debit: int = 1, credit: int = 2) -> HoldRow:
    return (hold_id, leg, ORG, debit, credit, amount, amount, amount // 4, 7, 8, 9)


def transfer(
    transfer_id: bytes, posted: int, *, kind: int = SETTLE, held: int = 0, step: int = 1,
    leg: int = 0, debit: int = 1, credit: int = 2, at_us: int = 0,
) -> TransferRow:  # fmt: skip
    return (transfer_id, step, leg, kind, debit, credit, held, posted, at_us)


def topped_up(amount: int = 1000) -> LedgerBatch:
    """A wallet (1) that spends (2), with money from the bank (3)."""
    return LedgerBatch(
        accounts=[
            account(1, "credits/" + ORG.hex(), (0, 0, 0, amount)),
            account(2, "spent/" + ORG.hex()),
            account(3, "bank/" + ORG.hex(), (0, amount, 0, 0)),
        ],
        transfers=[transfer(id_at(0, 1), amount, kind=TOP_UP, debit=3, credit=1)],
        notes=[("event", ("evt_1", ORG, "top_up", amount, "ref", id_at(0, 1), 5))],
    )
