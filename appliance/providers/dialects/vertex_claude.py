"""Claude on Vertex AI: Anthropic's bodies without the model, which the address names
(`proxy.md 10.2, 11.1`)."""

from collections.abc import Mapping

from appliance.providers.dialects import anthropic, vertex_address
from appliance.providers.dialects.anthropic import StreamToChat, reply_to_chat
from appliance.providers.dialects.common import Json, ModelFacts
from appliance.providers.dialects.gemini_reply import error_to_chat

VERSION = "vertex-2023-10-16"

__all__ = [
    "StreamToChat",
    "body_from_messages",
    "error_to_chat",
    "headers_for",
    "reply_to_chat",
    "request_from_chat",
    "url_of",
]


def request_from_chat(chat: Json, *, model: ModelFacts, stream: bool) -> Json:
    return body_from_messages(anthropic.request_from_chat(chat, model=model, stream=stream))


def body_from_messages(body: Json) -> Json:
    """A Messages body, a client's own too, as Vertex takes it."""
    return {"anthropic_version": VERSION} | {
        name: value for name, value in body.items() if name != "model"
    }


def headers_for(body: Json) -> dict[str, str]:
    """What the body needs beside the token: its version is within it."""
    headers = anthropic.headers_for(body)
    return {name: value for name, value in headers.items() if name != "anthropic-version"}


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
        publisher="anthropic", settings=settings, stream=stream, project=project,
        base_url=base_url,
    )  # fmt: skip
