"""The gateway's models, for whoever asks: OpenAI's list, without a key (proxy.md 6.3)."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from appliance.api.reply import bare
from appliance.api.services import Services

router = APIRouter(tags=["models"])


@router.get("/v1/models", response_class=Response)
@router.get("/ai/v1/models", response_class=Response)
@router.get("/ai/models", response_class=Response)
@router.get("/models", response_class=Response)
async def models(request: Request) -> Response:
    """Every model that its name alone reaches: `{object: "list", data: [{id, object, created,
    owned_by}]}`, `created` in Unix seconds."""
    services: Services = request.app.state.services
    return bare({"object": "list", "data": await services.models.listed()})
