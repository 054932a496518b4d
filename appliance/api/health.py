"""For whoever keeps it running or calls it: health, readiness, metrics, the schema."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from appliance.api.paths import SCHEMA_PATH
from appliance.api.permissions import sees_details
from appliance.api.reply import NO_STORE, bare
from appliance.api.schema import document
from appliance.api.services import ActorState, Services

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"

router = APIRouter(tags=["operations"])


def _services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


@router.get("/healthcheck", response_class=Response)
async def healthcheck(request: Request) -> Response:
    """200 while it proxies; `status` is `degraded` when a part cannot do all it should. Details
    name files of this machine: they are for who may read the metrics, and "" for all others."""
    services = _services(request)
    health = services.operations.health()
    near = sees_details(request)
    return bare({
        "status": health.status,
        "reasons": [
            {**reason._asdict(), "detail": reason.detail if near else ""}
            for reason in health.reasons
        ],
        "actors": [_shown(actor, near) for actor in health.actors],
        "version": services.version,
    })  # fmt: skip


def _shown(actor: ActorState, near: bool) -> dict[str, str | int]:
    return {
        "name": actor.name,
        "state": actor.state,
        "restarts": actor.restarts,
        "inbox": actor.inbox,
        "trouble": actor.trouble if near else "",
        "last_error": actor.last_error if near else "",
    }


@router.get("/readycheck", response_class=Response)
async def readycheck(request: Request) -> Response:
    """503 until the stores are open, and while the server drains."""
    ready = _services(request).operations.ready()
    return bare({"ready": ready}, 200 if ready else 503)


@router.get("/metrics", response_class=Response)
async def metrics(request: Request) -> Response:
    """In the text format of Prometheus."""
    text = _services(request).operations.metrics_text()
    return Response(text, 200, NO_STORE, METRICS_TYPE)


@router.get(SCHEMA_PATH, response_class=Response, include_in_schema=False)
async def schema(request: Request) -> Response:
    """OpenAPI, behind the guard as everything else."""
    return bare(document(request.app))
