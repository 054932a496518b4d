"""The wallet over REST (`internals.md 2.8`): its state for the organisation's own key, and its
administration. Amounts are cents, exact to 10⁻¹⁰; answers have no envelope, as Helicone's.
"""

import re
from typing import Any, Final, Literal, NoReturn
from uuid import UUID

from fastapi import APIRouter, Request
from starlette.responses import Response

from appliance.api import openapi_wallet as openapi
from appliance.api.audited import note_of
from appliance.api.incoming import read_object
from appliance.api.permissions import identity_of
from appliance.api.reply import bare
from appliance.api.services import Account, Wallets
from appliance.api.wallet_rows import TABLES, cents, wallet_state
from appliance.core.money import exact_units
from appliance.errors import Refusal

CENT_PLACES: Final = 10  # of a cent: 10⁻¹² USD
REASON_CHARACTERS_MAX: Final = 256
PAGE_MAX: Final = 10**9
SIZE_DEFAULT: Final = 50
SIZE_MAX: Final = 1000
# A number at the beginning counts, whatever follows: as Helicone reads them.
NUMBER: Final = re.compile(r"\s*([+-]?[0-9]{1,18})")

router = APIRouter(tags=["wallet"], default_response_class=Response)


def _wallets(request: Request) -> Wallets:
    wallets: Wallets = request.app.state.services.wallets
    return wallets


async def _account(request: Request, org: str) -> Account:
    return await _wallets(request).account(org, request.query_params.get("region", ""))


@router.get("/wallet/state", **openapi.STATE)
async def own_state(request: Request) -> Response:
    """The wallet of the organisation whose key asks."""
    identity = identity_of(request)
    return await _state(request, Account(identity.region, identity.org))


@router.get("/wallet/credits/total", **openapi.TOTAL)
async def credits_total(request: Request) -> Response:
    """All credits that were ever bought, less what went back."""
    org = request.query_params.get("orgId")
    if not org:
        _invalid("orgId", "is missing: name an organisation's id in the query")
    state, _ = await _wallets(request).state(await _account(request, org))
    return bare({"totalCredits": cents(state.credits)})


@router.get("/admin/wallet/{org}/state", **openapi.ADMIN_STATE)
async def state(request: Request) -> Response:
    """The wallet of any organisation."""
    return await _state(request, await _account(request, request.path_params["org"]))


@router.get("/admin/wallet/{org}/tables/{table}", **openapi.PAGE)
async def table(request: Request) -> Response:
    """A page of what the wallet is made of. A page or size that is no number is 0 or 50."""
    name = request.path_params["table"]
    rows_of = TABLES.get(name)
    if rows_of is None:
        _invalid("table", f"{name[:64]!r} is none of {', '.join(TABLES)}")
    account = await _account(request, request.path_params["org"])
    page = min(max(0, _number(request, "page", 0)), PAGE_MAX)
    size = min(max(1, _number(request, "pageSize", SIZE_DEFAULT) or SIZE_DEFAULT), SIZE_MAX)
    rows, total = await _wallets(request).page(account, name, page, size)
    org = str(UUID(bytes=account.org))
    return bare(
        {
            "tableName": name, "orgId": org, "page": page, "pageSize": size,
            "data": [rows_of(row, org) for row in rows], "total": total,
        }
    )  # fmt: skip


@router.post("/admin/wallet/{org}/modify-balance", **openapi.MODIFY)
async def modify_balance(request: Request) -> Response:
    """Credit or debit a wallet; once for each `referenceId`."""
    body = await read_object(request)
    kind = body.get("type")
    if kind not in ("credit", "debit"):
        _invalid("type", 'expected "credit" or "debit"')
    amount_pico = _amount(body)
    reason = _text(body, "reason", required=True)
    by = _text(body, "adminUserId")
    reason = f"{reason} (by {by})" if by else reason
    if len(reason) > REASON_CHARACTERS_MAX:
        _invalid("reason", f"at most {REASON_CHARACTERS_MAX} characters, with adminUserId")
    event_id = _text(body, "referenceId", required=True)
    account = await _account(request, request.path_params["org"])
    way: Literal["credit", "debit"] = "credit" if kind == "credit" else "debit"
    applied = await _wallets(request).modify(account, way, amount_pico, event_id, reason)
    note_of(
        request, account.region, account.org, f"wallet.{way}", amount_pico=amount_pico,
        reason=reason, applied=applied,
    )  # fmt: skip
    return await _state(request, account, applied=applied)


@router.delete("/admin/wallet/{org}/disallow-list", **openapi.ALLOW)
async def allow(request: Request) -> Response:
    """Pay for a model from credits again, though the cost of a call could not be told once."""
    body = await read_object(request)
    provider = _text(body, "provider", required=True)
    model = _text(body, "model", required=True)
    account = await _account(request, request.path_params["org"])
    applied = await _wallets(request).allow(account, provider, model)
    note_of(
        request, account.region, account.org, "wallet.allow", provider=provider, model=model,
        applied=applied,
    )  # fmt: skip
    return await _state(request, account, applied=applied)


async def _state(request: Request, account: Account, *, applied: bool | None = None) -> Response:
    found = wallet_state(*await _wallets(request).state(account))
    return bare(found if applied is None else {**found, "applied": applied})


def _amount(body: dict[str, Any]) -> int:
    """Cents as a number or as decimal text, to the last digit, in pico-USD."""
    try:
        amount_pico = exact_units(body.get("amount"), CENT_PLACES)
    except (ValueError, ArithmeticError) as error:
        _invalid("amount", f"{error}, in cents")
    if amount_pico <= 0:
        _invalid("amount", "expected more than 0, in cents")
    return amount_pico


def _text(body: dict[str, Any], field: str, *, required: bool = False) -> str:
    value = body.get(field)
    if value is None and not required:
        return ""
    if not isinstance(value, str) or not value.isprintable() or (required and not value.strip()):
        _invalid(field, "expected text" + (", and it is required" if required else ""))
    if len(value) > REASON_CHARACTERS_MAX:
        _invalid(field, f"at most {REASON_CHARACTERS_MAX} characters")
    return value.strip()


def _number(request: Request, name: str, default: int) -> int:
    found = NUMBER.match(request.query_params.get(name, ""))
    return int(found[1]) if found else default


def _invalid(field: str, why: str) -> NoReturn:
    """400, as Helicone's wallet says it."""
    raise Refusal(400, "field_invalid", f"{field}: {why}")
