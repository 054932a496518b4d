"""What a client of the gateway asks, read from its body or its query: a JSON document, a form with
files in it, or a file's own path (proxy.md 6.3, internals.md 6.1). Pure.
"""

import re
from typing import Any, Final, NamedTuple

from appliance.core.attempts import PROMPT_FIELDS
from appliance.core.multipart import FormField, find_field
from appliance.errors import Refusal

Json = dict[str, Any]

# What names no model: the provider is in the query.
FILES: Final = re.compile(rb"(?:/v1)?/files(?:/[A-Za-z0-9_.-]{1,128}(?:/content)?)?(?:\?.*)?")
FILES_METHODS: Final = frozenset((b"GET", b"POST", b"DELETE"))
PROVIDER_QUERY: Final = b"provider="
NOT_JSON: Final = (
    "The gateway reads JSON bodies, and forms at /v1/audio/… and /v1/images/…. Send other ones to "
    "the provider itself, at /v1/gateway/{provider}/…"
)


class Asked(NamedTuple):
    """What a client asks: a JSON body, or a form with the field that names its model, or, with
    `is_file`, what is passed as it came."""

    document: Json
    form: bytes = b""
    model: FormField | None = None
    is_file: bool = False


def read_document(document: object, fault: str) -> Asked:
    """A body as `read_json` has read it. Raises Refusal 400 for what is no JSON object."""
    if fault or not isinstance(document, dict):
        raise Refusal(400, "body_invalid", f"The body is no JSON object. {NOT_JSON}")
    return Asked(document)


def read_form(boundary: bytes, data: bytes) -> Asked:
    """A form whose field `model` says where it goes. Raises Refusal 400."""
    try:
        model = find_field(data, boundary, "model")
    except ValueError as error:
        raise Refusal(400, "body_invalid", f"The form cannot be read: {error}.") from None
    if model is None:
        raise Refusal(400, "model_missing", "The form has no field model.")
    return Asked({"model": model.value}, data, model)


def refuse_prompt(document: Json) -> None:
    """Raises Refusal 400 for the fields of a stored prompt, which would be left out otherwise: on
    a path whose bodies have no messages of chat, or without the prompt's id (proxy.md 6.7)."""
    if "prompt_id" in document:
        raise Refusal(
            400, "prompt_not_here",
            "prompt_id: stored prompts are of chat. Call /v1/chat/completions with it.",
        )  # fmt: skip
    for name in PROMPT_FIELDS:
        if name in document:
            raise Refusal(400, "prompt_id_missing", f"{name} needs prompt_id: leave it out.")


def is_for_responses(document: Json, mapping: str) -> bool:
    """Whether a body on chat's path is one of Responses: it has `input` and no `messages`, and no
    header (`mapping`) says what it is. Raises Refusal 400 where one says that it is chat's."""
    if "input" not in document or "messages" in document:
        return False
    if mapping:
        raise Refusal(
            400, "messages_missing",
            "The body has no messages, which chat needs. One with input is for /v1/responses, or "
            "goes without Helicone-Gateway-Body-Mapping.",
        )  # fmt: skip
    return True


def without_provider(target: bytes) -> tuple[bytes, str]:
    """The path without the query's `provider`, and that. Raises Refusal 400 where it is missing:
    files belong to one provider, and name no model that would say which."""
    path, _, query = target.partition(b"?")
    parts = [part for part in query.split(b"&") if part]
    named = [part for part in parts if part.startswith(PROVIDER_QUERY)]
    if len(named) != 1 or named[0] == PROVIDER_QUERY:
        raise Refusal(
            400, "provider_missing",
            "Files belong to one provider: name it in the query, as in /v1/files?provider=openai.",
        )  # fmt: skip
    left = b"&".join(part for part in parts if part not in named)
    provider = named[0].removeprefix(PROVIDER_QUERY).decode("latin-1")
    return path + b"?" + left if left else path, provider
