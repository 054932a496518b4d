"""Where Bedrock serves a model: region, inference profile, operation (`proxy.md 1.5, 10.2`)."""

import re
from collections.abc import Mapping
from typing import Final, Literal
from urllib.parse import quote

from appliance.errors import Refusal
from appliance.providers.dialects.common import refused

Operation = Literal["converse", "invoke"]

REGION: Final = re.compile(r"[a-z]{2}(?:-[a-z]{2,12}){1,3}-[0-9]{1,2}")
REGION_DEFAULT: Final = "us-east-1"
# Profiles that span regions, by the first part of a region's name where it is not that itself.
PROFILES: Final = {"ap": "apac", "us-gov": "us-gov"}
PREFIXES: Final = frozenset({
    "us", "eu", "ap", "apac", "jp", "au", "ca", "sa", "us-gov", "global",
})  # fmt: skip
STREAMED: Final[Mapping[Operation, str]] = {
    "converse": "converse-stream",
    "invoke": "invoke-with-response-stream",
}
INCOMPLETE: Final = "provider_key_incomplete"


def url_of(
    model_id: str,
    *,
    operation: Operation,
    settings: Mapping[str, str],
    stream: bool,
    base_url: str = "",
) -> str:
    """`settings` are those of the stored key; `base_url` stands for Amazon's host."""
    region = region_of(settings)
    if model_id in ("", ".", ".."):
        raise refused("model", "Bedrock has no model of this name")
    if settings.get("crossRegion") == "true":
        model_id = across_regions(model_id, region)
    base = base_url.rstrip("/") or f"https://bedrock-runtime.{region}.amazonaws.com"
    action = STREAMED[operation] if stream else operation
    return f"{base}/model/{quote(model_id, safe='')}/{action}"


def region_of(settings: Mapping[str, str]) -> str:
    """The region that is called and that the signature names."""
    region = settings.get("region") or settings.get("location") or REGION_DEFAULT
    # It becomes a part of a host's name.
    if REGION.fullmatch(region) is None:
        raise Refusal(400, INCOMPLETE, "The key's region is none of Amazon's, as us-east-1 is.")
    return region


def across_regions(model_id: str, region: str) -> str:
    """The id of the profile that spans the region's part of the world; one that names a profile or
    is an ARN stays as it is."""
    if model_id.startswith("arn:") or model_id.partition(".")[0] in PREFIXES:
        return model_id
    part = "us-gov" if region.startswith("us-gov-") else region.partition("-")[0]
    return f"{PROFILES.get(part, part)}.{model_id}"


def vendor_of(model_id: str) -> tuple[str, str]:
    """Who made a model, and what is left of its id: `amazon`, `nova-2-lite-v1:0`."""
    name = model_id.rpartition("/")[2]
    first, _, rest = name.partition(".")
    if first in PREFIXES:
        first, _, rest = rest.partition(".")
    return first, rest
