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


@router.get("/v1/models/multimodal", response_class=Response)
@router.get("/ai/v1/models/multimodal", response_class=Response)
@router.get("/ai/models/multimodal", response_class=Response)
@router.get("/models/multimodal", response_class=Response)
async def multimodal_models(request: Request) -> Response:
    """Of the same list the models that more than one kind of content goes into or comes out of:
    images, sound or video beside text."""
    services: Services = request.app.state.services
    return bare({"object": "list", "data": await services.models.listed(multimodal=True)})
