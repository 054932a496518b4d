"""Anthropic's Messages API in both directions (`proxy.md 11.1, 11.2`): a provider that speaks it
behind a chat client, and a client that speaks it before any provider."""

from appliance.providers.dialects.anthropic_events import StreamFromChat
from appliance.providers.dialects.anthropic_inbound import request_to_chat
from appliance.providers.dialects.anthropic_outbound import error_from_chat, reply_from_chat
from appliance.providers.dialects.anthropic_reply import error_to_chat, reply_to_chat
from appliance.providers.dialects.anthropic_request import (
    headers_for,
    request_from_chat,
    without_cache_control,
)
from appliance.providers.dialects.anthropic_stream import StreamToChat

__all__ = [
    "StreamFromChat",
    "StreamToChat",
    "error_from_chat",
    "error_to_chat",
    "headers_for",
    "reply_from_chat",
    "reply_to_chat",
    "request_from_chat",
    "request_to_chat",
    "without_cache_control",
]
