"""Gemini on Vertex AI: AI Studio's bodies, with labels and without its file names, at Google
Cloud's addresses (`proxy.md 10.2`)."""

from collections.abc import Mapping

from appliance.providers.dialects import gemini_request, vertex_address
from appliance.providers.dialects.common import Json, ModelFacts
from appliance.providers.dialects.gemini_reply import error_to_chat, reply_to_chat
from appliance.providers.dialects.gemini_stream import StreamToChat

__all__ = ["StreamToChat", "error_to_chat", "reply_to_chat", "request_from_chat", "url_of"]


def request_from_chat(chat: Json, *, model: ModelFacts, stream: bool) -> Json:
    return gemini_request.request_from_chat(chat, model=model, stream=stream, vertex=True)


def url_of(
    model_id: str,
    *,
    settings: Mapping[str, str],
    stream: bool,
    project: str = "",
    base_url: str = "",
) -> str:
    return vertex_address.url_of(
        model_id,
        publisher="google", settings=settings, stream=stream, project=project, base_url=base_url,
    )  # fmt: skip
