"""The bill of a good reply that ended before anything of it was passed on: broken off or given up,
and perhaps followed by another call.

Its provider has done the work and charges for it, and the record has another reply in its place or
none. So what was seen of it is read at once, and its cost stands with its attempt: the row's cost
is the sum over the attempts (`core/derive.py`), and the payment counts it as well.
"""

from __future__ import annotations

from typing import Any, Protocol, cast

import trio

from appliance import fence
from appliance.core.derive import LostBill, PriceOf, lost_bill_of
from appliance.exchange import Exchange

BUDGETS = "budgets"
# Larger bodies are parsed off the loop.
PARSED_HERE_BYTES_MAX = 256 * 1024


class Record(Protocol):
    """The record in the making."""

    def facts(self) -> dict[str, Any]:
        """Its metadata."""


async def bill_cut_off(x: Exchange, price: PriceOf, outcome: str) -> None:
    """Bill what was seen of the last call's reply, if it is `x.cut_off`. Where that breaks the
    payment is told that the cost is not known: the input part is charged then, and flagged."""
    found, x.cut_off = x.cut_off, None
    if found is None:
        return
    attempt, record = x.attempts[-1], cast(Record, x.tap)
    try:
        with trio.fail_after(fence.OPEN_S):
            bill = await _bill(x, price, {**record.facts(), "outcome": outcome}, *found)
        attempt.usage, attempt.cost_pico = bill
    except Exception as error:
        fence.broke(x, BUDGETS, error)
    if x.payment is not None:
        x.payment.lose(attempt.cost_pico)


async def _bill(
    x: Exchange, price: PriceOf, facts: dict[str, Any], status: int, response: bytes
) -> LostBill:
    facts["http_status"] = status
    request, spill = x.body.data, x.body.spill
    if spill is not None:
        request = await trio.to_thread.run_sync(spill.begin, x.body.length)
    if len(request) + len(response) <= PARSED_HERE_BYTES_MAX:
        return lost_bill_of(facts, request, response, price)
    return await trio.to_thread.run_sync(lost_bill_of, facts, request, response, price)
