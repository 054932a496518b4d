"""Bedrock's Converse API as a provider of chat clients: every model there but Claude, which
`bedrock_claude` speaks to in its own words."""

from collections.abc import Mapping

from appliance.providers.dialects import bedrock_address
from appliance.providers.dialects.bedrock_reply import error_to_chat, reply_to_chat
from appliance.providers.dialects.bedrock_request import request_from_chat
from appliance.providers.dialects.bedrock_stream import StreamToChat

__all__ = ["StreamToChat", "error_to_chat", "reply_to_chat", "request_from_chat", "url_of"]


def url_of(model_id: str, *, settings: Mapping[str, str], stream: bool, base_url: str = "") -> str:
    return bedrock_address.url_of(
        model_id, operation="converse", settings=settings, stream=stream, base_url=base_url
    )
