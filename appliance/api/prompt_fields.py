"""What prompt endpoints take and show (backend.md 1.5): fields by hand, rows as Helicone names
them."""

import re
from typing import Any, Final

import msgspec
from fastapi import Request

from appliance.api.incoming import invalid
from appliance.api.links import signed_link
from appliance.api.reply import iso_time
from appliance.core import prompt_diff
from appliance.core.access import Identity
from storage.prompt_tables import Prompt, Version

TEXT_CHARACTERS_MAX: Final = 255
MESSAGE_CHARACTERS_MAX: Final = 10_000
TAGS_MAX: Final = 50
BODY_BYTES_MAX: Final = 2**20
_ENVIRONMENT: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_encode = msgspec.json.Encoder(decimal_format="number").encode


def text_of(
    body: dict[str, Any], field: str, *, most: int = TEXT_CHARACTERS_MAX, empty: bool = False
) -> str:
    """Raises Refusal 422."""
    value = body.get(field)
    if value is None and empty:
        return ""
    if not isinstance(value, str) or (not value and not empty) or len(value) > most:
        invalid(field, f"expected a text of {'0' if empty else '1'} to {most} characters")
    return value


def tags_of(body: dict[str, Any], field: str) -> list[str]:
    """Each once. Raises Refusal 422."""
    value = body.get(field)
    if value is None:
        return []
    if not isinstance(value, list) or len(value) > TAGS_MAX:
        invalid(field, f"expected a list of at most {TAGS_MAX} texts")
    for item in value:
        if not isinstance(item, str) or not 0 < len(item) <= TEXT_CHARACTERS_MAX:
            invalid(field, f"expected texts of 1 to {TEXT_CHARACTERS_MAX} characters")
    return list(dict.fromkeys(value))


def environment_of(body: dict[str, Any], *, required: bool = True) -> str | None:
    """Raises Refusal 422."""
    value = body.get("environment")
    if value is None and not required:
        return None
    if not isinstance(value, str) or not _ENVIRONMENT.fullmatch(value):
        invalid("environment", "expected 1 to 64 letters, digits, - or _")
    return value


def prompt_body_of(body: dict[str, Any]) -> dict[str, Any]:
    """A body of chat. Raises Refusal 422."""
    value = body.get("promptBody")
    if not isinstance(value, dict):
        invalid("promptBody", "expected an object")
    if not isinstance(value.get("messages", []), list):
        invalid("promptBody.messages", "expected a list")
    if len(_encode(value)) > BODY_BYTES_MAX:
        invalid("promptBody", f"more than {BODY_BYTES_MAX} bytes")
    return value


def shown_prompt(prompt: Prompt) -> dict[str, Any]:
    """`Prompt2025`."""
    return {
        "id": prompt.id,
        "name": prompt.name,
        "tags": list(prompt.tags),
        "created_at": iso_time(prompt.created_at_us),
    }


def shown_version(
    request: Request, identity: Identity, version: Version, *, body: bool = False
) -> dict[str, Any]:
    """`Prompt2025Version`. SDKs fetch `s3_url` with a plain GET."""
    found = {
        "id": version.id,
        "model": version.model,
        "prompt_id": version.prompt_id,
        "major_version": version.major,
        "minor_version": version.minor,
        "commit_message": version.commit_message,
        "environments": list(version.environments),
        "created_at": iso_time(version.created_at_us),
        "s3_url": signed_link(request, identity.region, f"/prompt/{version.id}"),
    }
    return {**found, "prompt_body": msgspec.Raw(version.body.encode())} if body else found


def difference(old: Version, new: Version) -> str:
    """Unified, of the bodies as indented JSON."""
    before, after = (f"{one.prompt_id} {one.major}.{one.minor}" for one in (old, new))
    return prompt_diff.difference(before, old.body, after, new.body)
