"""Helicone's customer portal (`/v1/customer/…`): organisations below an organisation, which there
are none of here. Whoever asks is told where the same figures are (`backend.md 1.3`)."""

from typing import Final, NoReturn

from fastapi import APIRouter, Request
from starlette.responses import Response

from appliance.api import openapi_playground as openapi
from appliance.errors import Refusal

NO_CUSTOMERS: Final = (
    "Organisations have no customers below them here. Say with Helicone-User-Id or a property of "
    "your own whose call it is, and ask POST /v1/user/query or POST "
    "/v1/property/{key}/top-costs/query what each has used; or give each customer an organisation: "
    "helicone-appliance orgs create NAME"
)

router = APIRouter(prefix="/v1/customer", tags=["customers"], default_response_class=Response)


@router.post("/query", **openapi.CUSTOMERS)
async def customers(request: Request) -> Response:
    """Always 501: an organisation has no customers below it. The message names what has."""
    _none()


@router.post("/{customer_id}/usage/query", **openapi.CUSTOMERS_USAGE)
async def usage(request: Request) -> Response:
    """Always 501, as the list is."""
    _none()


def _none() -> NoReturn:
    raise Refusal(501, "customers_not_built", NO_CUSTOMERS)
