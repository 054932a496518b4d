"""The REST API as an ASGI app; it knows the rest of the process by `Services` alone.

No documentation pages: they would load scripts from elsewhere. The schema is at
/download/swagger.json.
"""

import trio
from fastapi import Depends, FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from appliance.api import health, hql, hql_saved, models, prompts, requests, stripe, wallet
from appliance.api.pages import PageHeaders
from appliance.api.permissions import guard
from appliance.api.reply import on_bug, on_client_gone, on_http_exception, on_refusal
from appliance.api.services import Services
from appliance.api.turns import Turns
from appliance.errors import Refusal


def create_app(services: Services) -> FastAPI:
    """Every route passes the guard; every answer but health and metrics has the envelope."""
    app = FastAPI(
        title="helicone-appliance",
        version=services.version,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        dependencies=[Depends(guard)],
        # Observed by this program itself, not by what happens to be set up globally.
        telemetry={
            "tracing": False,
            "metrics": False,
            "logs": False,
            "operation_spans": False,
            "auto_configure": False,
        },
    )
    app.state.services = services
    app.state.webhook_readers = trio.CapacityLimiter(stripe.READ_AT_ONCE)
    app.include_router(health.router)
    app.include_router(models.router)
    app.include_router(requests.router)
    app.include_router(hql.router)
    app.include_router(hql_saved.router)
    app.include_router(prompts.router)
    app.include_router(wallet.router)
    app.include_router(stripe.router)
    app.add_middleware(Turns, operations=services.operations)
    app.add_middleware(PageHeaders, access=services.access)
    app.add_exception_handler(Refusal, on_refusal)
    app.add_exception_handler(HTTPException, on_http_exception)
    app.add_exception_handler(ClientDisconnect, on_client_gone)
    app.add_exception_handler(Exception, on_bug)
    return app
