"""An organisation's credits under Helicone's names (`/v1/credits/…`): its wallet, read only.

Amounts are cents but for `spend/breakdown`, which is in USD. Nobody sends invoices and there are no
discounts here; what credits were spent on is in the records, not in the wallet.
"""

from datetime import UTC, datetime, timedelta
from typing import Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from appliance.api import openapi_settings as openapi
from appliance.api.incoming import invalid
from appliance.api.reply import reply
from appliance.api.services import Account
from appliance.api.signed_in import services_of
from appliance.api.tenant import tenant_of
from appliance.api.wallet_rows import cents

PAGE_MAX: Final = 10**9
SIZE_MAX: Final = 100
SIZE_DEFAULT: Final = 10
RANGES: Final = {"7d": 7, "30d": 30, "90d": 90, "all": 0}

router = APIRouter(prefix="/v1/credits", tags=["wallet"], default_response_class=Response)


def _account(request: Request) -> Account:
    tenant = tenant_of(request)
    return Account(tenant.region, tenant.org)


@router.get("/balance", **openapi.BALANCE)
async def balance(request: Request) -> Response:
    """What was bought and what is left, less what calls under way may cost."""
    state, _ = await services_of(request).wallets.state(_account(request))
    return reply(
        {
            "totalCreditsPurchased": cents(state.credits),
            "balance": cents(state.effective_balance),
        }
    )


@router.get("/payments", **openapi.PAYMENTS)
async def payments(request: Request) -> Response:
    """What was paid in or taken back, a page at a time from page 0."""
    page = _number(request, "page", 0, 0, PAGE_MAX)
    size = _number(request, "pageSize", SIZE_DEFAULT, 1, SIZE_MAX)
    wallets = services_of(request).wallets
    rows, total = await wallets.page(_account(request), "credit_purchases", page, size)
    purchases = [
        {
            "id": row["id"], "createdAt": row["created_at_us"] // 1000,
            "credits": cents(row["credits_pico"]), "referenceId": row["reference_id"],
        }
        for row in rows
    ]  # fmt: skip
    return reply({"purchases": purchases, "total": total, "page": page, "pageSize": size})


@router.get("/totalSpend", **openapi.TOTAL_SPEND)
async def total_spend(request: Request) -> Response:
    """What calls have cost so far."""
    state, _ = await services_of(request).wallets.state(_account(request))
    return reply({"totalSpend": cents(state.debits)})


@router.get("/spend/breakdown", **openapi.BREAKDOWN)
async def breakdown(request: Request) -> Response:
    """By model: always empty, as the wallet keeps the sum alone. Costs by model are in
    POST /v1/metrics/models and in SQL."""
    days = RANGES.get(request.query_params.get("timeRange", "30d"))
    if days is None:
        invalid("timeRange", f"expected one of {', '.join(RANGES)}")
    now = datetime.now(UTC)
    start = now - timedelta(days=days) if days else datetime(2020, 1, 1, tzinfo=UTC)
    times = {"start": _iso(start), "end": _iso(now)}
    return reply({"models": [], "totalCost": 0, "timeRange": times})


@router.get("/invoices", **openapi.INVOICES)
async def invoices(request: Request) -> Response:
    """Always empty."""
    return reply([])


@router.get("/discounts", **openapi.INVOICES)
async def discounts(request: Request) -> Response:
    """Always empty."""
    return reply([])


def _number(request: Request, name: str, default: int, least: int, most: int) -> int:
    given = request.query_params.get(name)
    if given is None:
        return default
    digits = given.isascii() and given.isdigit() and len(given) <= 10
    if not digits or not least <= int(given) <= most:
        invalid(name, f"expected a whole number from {least} to {most}")
    return int(given)


def _iso(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
