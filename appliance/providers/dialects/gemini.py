"""Google's generateContent as a provider of chat clients, on AI Studio (`proxy.md 11.3, 11.4`).

Vertex takes the same bodies at other addresses: `vertex`.
"""

from urllib.parse import quote

from appliance.providers.dialects.common import refused
from appliance.providers.dialects.gemini_reply import error_to_chat, reply_to_chat
from appliance.providers.dialects.gemini_request import request_from_chat
from appliance.providers.dialects.gemini_stream import StreamToChat

BASE_URL = "https://generativelanguage.googleapis.com"

__all__ = ["StreamToChat", "error_to_chat", "reply_to_chat", "request_from_chat", "url_of"]


def url_of(model_id: str, *, stream: bool, base_url: str = BASE_URL) -> str:
    """Where a request goes, without its key (`proxy.md 10.2`). Tuned models are named with their
    folder."""
    folder, _, name = model_id.rpartition("/")
    if folder not in ("", "models", "tunedModels") or name in ("", ".", ".."):
        raise refused("model", "Google has no model of this name")
    method = "streamGenerateContent?alt=sse" if stream else "generateContent"
    return f"{base_url.rstrip('/')}/v1beta/{folder or 'models'}/{quote(name, safe='@')}:{method}"
