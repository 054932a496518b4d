"""What `wallet` and `budgets` do to the wallet of one region. A running server calls these on its
own, a command without a server on one that it opens for the moment.

Each takes the desk, the organisation and the arguments as they travel, and gives plain values to
print. Amounts are decimal USD in text, exact to 10⁻¹² (ARCHITECTURE 5).
"""

import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from heapq import nlargest
from typing import TYPE_CHECKING, Any, Literal

from appliance.core.budgets import EACH, Budget, Spent, period_of
from appliance.core.money import exact_units, usd_text
from appliance.errors import Refusal

if TYPE_CHECKING:
    from appliance.actors.wallet_desk import WalletDesk
    from storage.ledger import EventRow

Arguments = Mapping[str, Any]
PICO_PLACES = 12
FLAGS_MAX = 10_000  # as many as are kept, of all organisations
FLAGS_SHOWN = 1_000
VALUES_MAX = 1_000  # of one budget


async def show(desk: "WalletDesk", org: bytes, _given: Arguments) -> dict[str, Any]:
    """Balance, holds, terms and what is suspended."""
    _check(desk)
    state = desk.state(org)
    return {
        "balance_usd": usd_text(state.balance),
        "held_usd": usd_text(state.held),
        "available_usd": usd_text(state.effective_balance),
        "paid_in_usd": usd_text(state.credits),
        "spent_usd": usd_text(state.debits),
        "credit_line_usd": usd_text(state.credit_line),
        "suspended": bool(state.open_disputes),
        "disallowed": ", ".join(f"{provider}/{model}" for provider, model in state.disallowed),
    }


async def top_up(desk: "WalletDesk", org: bytes, given: Arguments) -> dict[str, Any]:
    """Money was paid in; the same event id counts once."""
    return await _move(desk, "top_up", org, given)


async def debit(desk: "WalletDesk", org: bytes, given: Arguments) -> dict[str, Any]:
    """Money goes back, at most what is free."""
    return await _move(desk, "debit", org, given)


async def credit_line(desk: "WalletDesk", org: bytes, given: Arguments) -> dict[str, Any]:
    """How far the wallet may go below nothing."""
    await _asked(desk.set_credit_line(org, _amount(given, "amount")))
    return await show(desk, org, given)


async def allow(desk: "WalletDesk", org: bytes, given: Arguments) -> dict[str, Any]:
    """Take a model off the list of those that are not paid from credits."""
    provider, model = str(given.get("provider", "")), str(given.get("model", ""))
    if not await _asked(desk.allow(org, provider, model)):
        raise Refusal(404, "not_disallowed", f"{provider}/{model} is not on the disallow list")
    return await show(desk, org, given)


async def flags(desk: "WalletDesk", org: bytes, _given: Arguments) -> list[dict[str, Any]]:
    """What somebody should look at, the newest first: calls whose cost could not be told, budgets
    that were passed."""
    found = await _asked(desk.flags(FLAGS_MAX))
    theirs = [flag for flag in found if flag["org"] == org.hex()]
    return [
        {
            "at": _time(flag["at_us"]), "kind": flag["kind"],
            "amount_usd": usd_text(flag["amount_pico"]), "hold": flag["hold_id"],
            "about": flag["detail"],
        }
        for flag in theirs[:FLAGS_SHOWN]
    ]  # fmt: skip


async def set_budget(desk: "WalletDesk", org: bytes, given: Arguments) -> dict[str, Any]:
    """Set a limit, or change that of the same scope, value and period."""
    scope, _, name = str(given.get("scope", "")).partition(":")
    budget = await _asked(
        desk.set_budget(
            org, scope=scope, name=name, period=str(given.get("period", "")),
            limit_pico=_amount(given, "limit"), value=str(given.get("value") or EACH),
        )
    )  # fmt: skip
    return shown(budget)


async def list_budgets(desk: "WalletDesk", org: bytes, _given: Arguments) -> list[dict[str, Any]]:
    """Limits, each with what was spent and is held in the period that runs, by value: those that
    spent most, of `values` in all; and when the next period begins."""
    _check(desk)
    now_us = time.time_ns() // 1000
    lines: list[dict[str, Any]] = []
    for budget, spent in desk.budgets(org):
        most = nlargest(VALUES_MAX, spent, key=lambda one: one.posted + one.held)
        told = [shown(budget, one) for one in most or [Spent(budget.value, 0, 0)]]
        more = {"values": len(spent), "begins_anew": _time(period_of(budget.period, now_us)[1])}
        lines += [{**line, **more} for line in told]
    return lines


async def remove_budget(desk: "WalletDesk", org: bytes, given: Arguments) -> dict[str, Any]:
    """Remove a limit, by its id."""
    _check(desk)
    wanted = str(given.get("budget", ""))
    found = [budget for budget, _ in desk.budgets(org) if budget.id == wanted]
    if not found or not await _asked(desk.drop_budget(org, wanted)):
        raise Refusal(404, "budget_unknown", "no budget has this id: budgets list shows them")
    return shown(found[0])


WALLET_COMMANDS: dict[str, Callable[["WalletDesk", bytes, Arguments], Awaitable[Any]]] = {
    "wallet.show": show,
    "wallet.top-up": top_up,
    "wallet.debit": debit,
    "wallet.credit-line": credit_line,
    "wallet.allow": allow,
    "wallet.flags": flags,
    "budgets.set": set_budget,
    "budgets.list": list_budgets,
    "budgets.remove": remove_budget,
}


def shown(budget: Budget, spent: Spent | None = None) -> dict[str, Any]:
    """A budget as it is printed; with what counts on it for one value."""
    scope = f"property:{budget.name}" if budget.scope == "property" else budget.scope
    found: dict[str, Any] = {
        "id": budget.id, "scope": scope, "value": spent.value if spent else budget.value,
        "period": budget.period, "limit_usd": usd_text(budget.limit_pico),
    }  # fmt: skip
    if spent is not None:
        found |= {"spent_usd": usd_text(spent.posted), "held_usd": usd_text(spent.held)}
        found["each"] = budget.value == EACH
    return found


async def _move(
    desk: "WalletDesk", kind: Literal["top_up", "debit"], org: bytes, given: Arguments
) -> dict[str, Any]:
    """`repeated`: it was known already, and nothing was done. Raises Refusal 409 for an event that
    was told otherwise before."""
    event_id = str(given.get("event_id") or uuid.uuid4())
    amount = _amount(given, "amount")
    move = desk.top_up if kind == "top_up" else desk.debit
    counted = await _asked(move(org, amount, event_id, str(given.get("reference") or "")))
    if not counted:
        known = await _asked(desk.event(event_id))
        if known is None or known[1:4] != (org, kind, amount):
            raise Refusal(409, "event_id_taken", _taken(event_id, known, org, kind, amount))
    told = {"event_id": event_id, "counted": counted, "repeated": not counted}
    return told | await show(desk, org, given)


def _taken(event_id: str, known: "EventRow | None", org: bytes, kind: str, amount: int) -> str:
    before = "something else"
    if known is not None and known[1] == org:  # what others paid is not told
        before = f"a {known[2].replace('_', '-')} of ${usd_text(known[3])}"
    return (
        f"the event {event_id} was counted before, as {before}, and is no "
        f"{kind.replace('_', '-')} of ${usd_text(amount)} now: nothing was done"
    )


def _check(desk: "WalletDesk") -> None:
    from appliance.actors.wallet_batch import WalletDown

    try:
        desk.check_up()
    except WalletDown as down:
        raise down.refusal() from None


async def _asked(done: Awaitable[Any]) -> Any:  # noqa: ANN401 - whatever the desk gives
    """Closed: what cannot be, or cannot be stored, is told. Raises Refusal."""
    from appliance.actors.wallet_batch import WalletDown

    try:
        return await done
    except ValueError as error:
        raise Refusal(400, "invalid", str(error)) from None
    except WalletDown as down:
        raise down.refusal() from None


def _time(at_us: int) -> str:
    return datetime.fromtimestamp(at_us // 1_000_000, UTC).isoformat().replace("+00:00", "Z")


def _amount(given: Arguments, field: str) -> int:
    try:
        return exact_units(str(given.get(field, "")), PICO_PLACES)
    except ValueError as error:
        raise Refusal(400, "amount_invalid", f"{field}: {error}, in USD") from None
