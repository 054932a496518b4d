"""The REST API as an ASGI app; it knows the rest of the process by `Services` alone.

No documentation pages: they would load scripts from elsewhere. The schema is at
/download/swagger.json.
"""

import trio
from fastapi import Depends, FastAPI
from starlette.exceptions import HTTPException

from appliance.api import (
    catalog,
    evals,
    health,
    metrics,
    models,
    properties,
    request_edits,
    request_export,
    request_live,
    request_parts,
    requests,
    savings,
    sessions,
    stripe,
    users,
    wallet,
)
from appliance.api.pages import PageHeaders
from appliance.api.permissions import guard
from appliance.api.reply import on_bug, on_http_exception, on_refusal
from appliance.api.services import Services
from appliance.api.streamed import Streams
from appliance.api.turns import Turns
from appliance.api.while_there import WhileThere
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
    app.state.live_streams = Streams()
    app.state.export_streams = Streams(request_export.STREAMS_MAX)
    app.include_router(health.router)
    app.include_router(models.router)
    app.include_router(request_live.router)  # before the paths with an id
    app.include_router(requests.router)
    app.include_router(request_edits.router)
    app.include_router(request_parts.router)
    app.include_router(request_export.router)
    for part in (sessions, users, properties, metrics, evals, savings, catalog):
        app.include_router(part.router)
    app.include_router(wallet.router)
    app.include_router(stripe.router)
    app.add_middleware(WhileThere)
    app.add_middleware(Turns, operations=services.operations)
    app.add_middleware(PageHeaders, access=services.access)
    app.add_exception_handler(Refusal, on_refusal)
    app.add_exception_handler(HTTPException, on_http_exception)
    app.add_exception_handler(Exception, on_bug)
    return app
