"""A wallet as the REST API shows it: the names of `internals.md 2.2` and `2.3`.

States are in cents, tables in units of 10⁻¹² USD, times in milliseconds: Helicone's own.
"""

from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from appliance.core.ledger_credits import CreditState, Dispute

Row = dict[str, Any]
CENT_EXPONENT: Final = -10


def wallet_state(state: CreditState, disallowed: list[Row]) -> Row:
    """Everything about a wallet."""
    return {
        "balance": cents(state.balance),
        "effectiveBalance": cents(state.effective_balance),
        "totalEscrow": cents(state.held),
        "totalDebits": cents(state.debits),
        "totalCredits": cents(state.credits),
        "creditLine": cents(state.credit_line),
        "disallowList": [
            {name: row[name] for name in ("helicone_request_id", "provider", "model")}
            for row in disallowed
        ],
        "disputeStatus": "suspended" if state.open_disputes else "active",
        "activeDisputes": [_dispute(dispute) for dispute in state.open_disputes],
    }


def _dispute(dispute: Dispute) -> Row:
    return {
        "id": dispute.id,
        "chargeId": dispute.charge_id,
        "amount": cents(dispute.amount_pico),
        "currency": dispute.currency,
        "reason": dispute.reason,
        "status": dispute.status,
        "createdAt": dispute.created_at_us // 1000,
        "eventId": dispute.event_id,
    }


def _purchase(row: Row, _org: str) -> Row:
    return {
        "id": str(UUID(row["id"])),
        "created_at": row["created_at_us"] // 1000,
        "credits": row["credits_pico"],
        "reference_id": row["reference_id"],
        "type": row["kind"],
        "reason": row["reason"],
    }


def _debits(row: Row, org: str) -> Row:
    """The running total. When it last changed is not kept, and nothing is reconciled with: the
    ledger is the truth."""
    return {
        "org_id": org,
        "debits": int(row["debits_pico"]),
        "updated_at": None,
        "ch_last_checked_at": None,
        "ch_last_value": None,
    }


def _escrow(row: Row, _org: str) -> Row:
    """A hold has an id of its own, never the client's (`internals.md 2.3`)."""
    return {
        "id": str(UUID(row["id"])),
        "amount": row["amount_pico"],
        "created_at": row["created_at_us"] // 1000,
        "request_id": None,
    }


def _disallowed(row: Row, _org: str) -> Row:
    return {
        "helicone_request_id": row["helicone_request_id"],
        "created_at": row["created_at_us"] // 1000,
        "provider": row["provider"],
        "model": row["model"],
    }


def _event(row: Row, _org: str) -> Row:
    return {"id": row["id"], "processed_at": row["processed_at_us"] // 1000}


def _dispute_row(row: Row, _org: str) -> Row:
    return {
        "id": row["id"],
        "charge_id": row["charge_id"],
        "amount": row["amount_pico"],
        "currency": row["currency"],
        "reason": row["reason"],
        "status": row["status"],
        "created_at": row["created_at_us"] // 1000,
        "event_id": row["event_id"],
    }


TABLES: Final[dict[str, Callable[[Row, str], Row]]] = {
    "credit_purchases": _purchase,
    "aggregated_debits": _debits,
    "escrows": _escrow,
    "disallow_list": _disallowed,
    "processed_webhook_events": _event,
    "disputes": _dispute_row,
}


def cents(pico: int) -> Decimal:
    """An amount in cents, exact. Without an exponent: some readers of JSON take 1E+3 for text."""
    exact = Decimal(pico).scaleb(CENT_EXPONENT)
    whole = exact.to_integral_value()
    return whole if exact == whole else exact.normalize()
