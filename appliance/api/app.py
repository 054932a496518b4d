"""The REST API as an ASGI app; it knows the rest of the process by `Services` alone.

FastAPI's own documentation pages are off: they would load scripts from elsewhere. Ours is
`docs.py`; the schema is at /download/swagger.json.
"""

import trio
from fastapi import Depends, FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from appliance.api import (
    alerts,
    api_keys,
    appliance,
    budgets,
    catalog,
    credits,
    customers,
    dataset_copies,
    dataset_export,
    datasets,
    deletions,
    docs,
    evals,
    filters,
    health,
    hql,
    hql_saved,
    metrics,
    models,
    organizations,
    playground,
    playground_reply,
    prompts,
    properties,
    rate_limits,
    reports,
    request_edits,
    request_export,
    request_live,
    request_parts,
    requests,
    savings,
    security,
    sessions,
    sign_in,
    sign_in_page,
    stripe,
    users,
    vault,
    wallet,
    web,
    webhooks,
)
from appliance.api.audited import Audited
from appliance.api.look_back import LookBack
from appliance.api.pages import PageHeaders
from appliance.api.permissions import guard
from appliance.api.reply import on_bug, on_client_gone, on_http_exception, on_refusal
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
    app.state.look_back = LookBack()
    app.state.live_streams = Streams()
    app.state.export_streams = Streams(request_export.STREAMS_MAX)
    app.state.dataset_streams = Streams(dataset_export.STREAMS_MAX)
    app.state.ui_files = web.Files(web.FOLDER)
    app.state.playground_streams = Streams(playground_reply.CALLS_MAX)
    app.state.dataset_copiers = trio.CapacityLimiter(dataset_copies.COPIERS)
    app.include_router(health.router)
    app.include_router(models.router)
    app.include_router(request_live.router)  # before the paths with an id
    app.include_router(requests.router)
    app.include_router(hql.router)
    app.include_router(hql_saved.router)
    app.include_router(request_edits.router)
    app.include_router(request_parts.router)
    app.include_router(request_export.router)
    for part in (sessions, users, properties, metrics, evals, savings, budgets, catalog, security):
        app.include_router(part.router)
    app.include_router(prompts.router)
    app.include_router(playground.router)
    app.include_router(customers.router)
    app.include_router(datasets.router)
    app.include_router(dataset_export.router)
    app.include_router(wallet.router)
    app.include_router(stripe.router)
    app.include_router(webhooks.router)
    app.include_router(alerts.router)
    app.include_router(reports.router)
    app.include_router(sign_in.router)
    app.include_router(sign_in_page.router)
    app.include_router(organizations.router)
    app.include_router(appliance.router)
    app.include_router(api_keys.router)
    app.include_router(vault.router)
    app.include_router(rate_limits.router)
    app.include_router(filters.router)
    app.include_router(credits.router)
    app.include_router(web.router)  # before /docs, below which the manual lies
    app.include_router(docs.router)
    app.include_router(deletions.router)
    app.add_middleware(Audited, services=services)
    app.add_middleware(WhileThere)
    app.add_middleware(Turns, operations=services.operations)
    app.add_middleware(PageHeaders, access=services.access)
    app.add_exception_handler(Refusal, on_refusal)
    app.add_exception_handler(HTTPException, on_http_exception)
    app.add_exception_handler(ClientDisconnect, on_client_gone)
    app.add_exception_handler(Exception, on_bug)
    return app
