"""OpenAI's Responses API in both directions (`proxy.md 11.6`): a provider that speaks it behind a
chat client, and a client that speaks it before any provider."""

from appliance.providers.dialects.responses_events import StreamFromChat
from appliance.providers.dialects.responses_inbound import request_to_chat
from appliance.providers.dialects.responses_outbound import error_from_chat, reply_from_chat
from appliance.providers.dialects.responses_reply import error_to_chat, reply_to_chat
from appliance.providers.dialects.responses_request import request_from_chat
from appliance.providers.dialects.responses_stream import StreamToChat

__all__ = [
    "StreamFromChat",
    "StreamToChat",
    "error_from_chat",
    "error_to_chat",
    "reply_from_chat",
    "reply_to_chat",
    "request_from_chat",
    "request_to_chat",
]
