"""Azure OpenAI: chat bodies as they are, at a deployment's address with a version, under a key in
a header of its own (`proxy.md 10.2`)."""

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

from appliance.errors import Refusal
from appliance.providers.dialects.common import Json, ModelFacts, refused
from appliance.providers.dialects.common_errors import chat_error, error_parts

API_VERSION_DEFAULT: Final = "2025-01-01-preview"
API_VERSION: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:-preview)?")
RESOURCE: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?", re.IGNORECASE)
CHAT: Final = "chat/completions"
KEY_HEADER: Final = "api-key"
INCOMPLETE: Final = "provider_key_incomplete"
# What a base URL may end in, as Azure's own pages show it.
ENDINGS: Final = ("/openai/v1", "/openai", "/v1")


def url_of(
    model_id: str,
    *,
    settings: Mapping[str, str],
    base_url: str = "",
    operation: str = CHAT,
) -> str:
    """`settings` are those of the stored key, `base_url` is where it goes; a deployment that is
    not named is called as the model is. Streams go to the same address."""
    deployment = settings.get("deploymentName") or model_id
    if deployment in ("", ".", ".."):
        raise refused("model", "Azure has no deployment of this name")
    version = settings.get("apiVersion") or API_VERSION_DEFAULT
    if API_VERSION.fullmatch(version) is None:
        raise Refusal(
            400, INCOMPLETE, f"The key's apiVersion is a date, as {API_VERSION_DEFAULT} is."
        )
    base = _base(base_url or settings.get("baseUri", ""), settings)
    where = f"{base}/openai/deployments/{quote(deployment, safe='')}/{operation}"
    return f"{where}?api-version={version}"


def _base(base_url: str, settings: Mapping[str, str]) -> str:
    base = base_url.rstrip("/")
    for ending in ENDINGS:
        base = base.removesuffix(ending)
    resource = settings.get("resourceName", "")
    if not base and RESOURCE.fullmatch(resource):
        base = f"https://{resource.lower()}.openai.azure.com"
    if not base:
        raise Refusal(
            400, INCOMPLETE,
            "Azure is reached at an address of one's own: give the key baseUri or resourceName.",
        )  # fmt: skip
    return base


def request_from_chat(chat: Json, *, model: ModelFacts, stream: bool) -> Json:
    """The chat itself. The address says which deployment answers; the model's name is for
    whoever reads the body."""
    body = {**chat, "model": model.provider_model_id}
    if stream:
        body["stream"] = True
    else:
        body.pop("stream", None)
        body.pop("stream_options", None)
    return body


def headers_for(key: str) -> dict[str, str]:
    return {KEY_HEADER: key}


def error_to_chat(status: int, body: bytes) -> tuple[int, Json]:
    """Azure writes OpenAI's errors, its gateway in front of it `{statusCode, message}`."""
    parts = error_parts(body)
    if parts.code == str(status):
        parts = parts._replace(code=None)  # the status once more: it is no word
    return status, chat_error(status, parts)
