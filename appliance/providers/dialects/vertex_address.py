"""Where Vertex AI serves a model: host by location, path by project and publisher
(`proxy.md 10.2`)."""

import re
from collections.abc import Mapping
from typing import Final, Literal
from urllib.parse import quote

from appliance.errors import Refusal
from appliance.providers.dialects.common import refused

Publisher = Literal["google", "anthropic"]

LOCATION: Final = re.compile(r"[a-z]{2,20}(?:-[a-z]{2,20}[0-9]{1,2})?")
PROJECT: Final = re.compile(r"[a-z0-9][a-z0-9.:_-]{0,99}")
LOCATION_DEFAULT: Final = "us-central1"
# What asks for all regions, and the region of those who have no such address.
CROSS_REGION: Final[Mapping[Publisher, str]] = {"google": "global", "anthropic": "us-east5"}
MULTI_REGIONS: Final = ("us", "eu")
VERSIONS: Final[Mapping[Publisher, str]] = {"google": "v1beta1", "anthropic": "v1"}
METHODS: Final[Mapping[Publisher, tuple[str, str]]] = {
    "google": ("generateContent", "streamGenerateContent?alt=sse"),
    "anthropic": ("rawPredict", "streamRawPredict"),
}
INCOMPLETE: Final = "provider_key_incomplete"


def url_of(
    model_id: str,
    *,
    publisher: Publisher,
    settings: Mapping[str, str],
    stream: bool,
    project: str = "",
    base_url: str = "",
) -> str:
    """`settings` are those of the stored key; `project` is the service account's, where the
    settings name none; `base_url` stands for Google's host."""
    location = location_of(settings, publisher)
    project = settings.get("projectId") or project
    if PROJECT.fullmatch(project) is None:
        raise Refusal(
            400, INCOMPLETE,
            "Vertex is called in a project: give the key projectId, or a service account's file.",
        )  # fmt: skip
    if model_id in ("", ".", ".."):
        raise refused("model", "Vertex has no model of this name")
    base = base_url.rstrip("/") or host_of(location)
    path = f"projects/{project}/locations/{location}/publishers/{publisher}/models"
    method = METHODS[publisher][stream]
    return f"{base}/{VERSIONS[publisher]}/{path}/{quote(model_id, safe='@')}:{method}"


def location_of(settings: Mapping[str, str], publisher: Publisher) -> str:
    location = settings.get("region") or settings.get("location")
    if not location:
        crosses = settings.get("crossRegion") == "true"
        return CROSS_REGION[publisher] if crosses else LOCATION_DEFAULT
    # It becomes a part of a host's name.
    if LOCATION.fullmatch(location) is None:
        raise Refusal(400, INCOMPLETE, "The key's region is none of Google's, as us-central1 is.")
    return location


def host_of(location: str) -> str:
    if location == "global":
        return "https://aiplatform.googleapis.com"
    if location in MULTI_REGIONS:
        return f"https://aiplatform.{location}.rep.googleapis.com"
    return f"https://{location}-aiplatform.googleapis.com"
