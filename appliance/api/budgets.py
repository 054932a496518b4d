"""Budgets of an organisation (`/v1/budgets`): what a key, a user or a value of a property may spend
in a day, a week or a month. The same as `budgets set | list | remove`, by the same words.
"""

from __future__ import annotations

from typing import Any, Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from appliance.api import openapi_settings as openapi
from appliance.api.audited import note
from appliance.api.incoming import invalid, path_uuid, read_object
from appliance.api.permissions import identity_of
from appliance.api.reply import reply
from appliance.api.services import Account, Wallets
from appliance.api.signed_in import services_of
from appliance.api.tenant import text
from appliance.core.budgets import EACH, PERIODS, SCOPES
from appliance.core.ledger import AMOUNT_PICO_MAX
from appliance.core.money import exact_units, usd_text
from appliance.errors import Refusal

PERIOD: Final = "month"  # as the command has it
USD_PLACES: Final = 12  # amounts are exact to so many (ARCHITECTURE 5)

router = APIRouter(prefix="/v1/budgets", tags=["cache and limits"], default_response_class=Response)


@router.get("", **openapi.BUDGETS)
async def list_budgets(request: Request) -> Response:
    """The organisation's budgets, each with what is spent and held of it, in USD as text to the
    last digit, in the period that runs; one line for each value that has spent, for the 1,000 that
    spent most. `values`: how many have. `each`: the budget is every value's for itself.
    `begins_anew`: when the next period begins."""
    return reply(await _wallets(request).budgets(_account(request)))


@router.post("", **openapi.SET_BUDGET)
async def set_budget(request: Request) -> Response:
    """Set a budget, or change that of the same scope, value and period: what was spent stays
    counted. It holds from the next call on."""
    body = await read_object(request)
    scope, name = _scope(body)
    period = text(body, "period") or PERIOD
    if period not in PERIODS:
        invalid("period", f"expected one of {', '.join(PERIODS)}")
    made = await _wallets(request).set_budget(
        _account(request), scope=scope, name=name, value=text(body, "value") or EACH,
        period=period, limit_pico=_limit(body),
    )  # fmt: skip
    told = {name: made[name] for name in ("scope", "value", "period", "limit_usd")}
    note(request, "budgets.set", made["id"], **told)
    return reply(made)


@router.delete("/{budget_id}", **openapi.DROP_BUDGET)
async def drop_budget(request: Request) -> Response:
    """Remove a budget, with what was counted on it. Nothing is refused by it from the next call
    on."""
    budget_id = path_uuid(request, "budget_id")
    dropped = await _wallets(request).drop_budget(_account(request), budget_id)
    if dropped is None:
        raise Refusal(404, "budget_unknown", "The organisation has no budget of this id.")
    told = {name: dropped[name] for name in ("scope", "value", "period", "limit_usd")}
    note(request, "budgets.remove", budget_id, **told)
    return reply(None)


def _wallets(request: Request) -> Wallets:
    return services_of(request).wallets


def _account(request: Request) -> Account:
    identity = identity_of(request)
    return Account(identity.region, identity.org)


def _scope(body: dict[str, Any]) -> tuple[str, str]:
    """The scope, and the property's name where it is one of a property."""
    scope, _, name = text(body, "scope", required=True).partition(":")
    if scope not in SCOPES or (scope == "property") != bool(name.strip()):
        invalid("scope", "expected key, user, or property:NAME")
    return scope, name.strip()


def _limit(body: dict[str, Any]) -> int:
    """In pico-USD. Text is taken as well: a double does not hold every amount."""
    value = body.get("limit_usd")
    try:
        limit_pico = exact_units(value, USD_PLACES)
    except (ValueError, ArithmeticError) as error:
        invalid("limit_usd", f"{error}, in USD")
    if not 0 <= limit_pico <= AMOUNT_PICO_MAX:
        invalid("limit_usd", f"expected 0 to {usd_text(AMOUNT_PICO_MAX)} USD")
    return limit_pico
