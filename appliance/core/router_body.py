"""The model in a request's body: read for a router, and replaced by the name a target has for it.

Pure. Everything else in the body keeps its bytes.
"""

from typing import Any

import msgspec

from appliance.errors import Refusal

_fields_of = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class _Asked(msgspec.Struct):
    """The one key that matters: the rest of a large body is skipped, not built."""

    model: Any = None


_asked_of = msgspec.json.Decoder(_Asked).decode


def model_of(body: bytes) -> str:
    """The model that is asked for; "" where none is named. Raises Refusal 400."""
    try:
        model = _asked_of(body).model
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        raise _not_json() from None
    return model if isinstance(model, str) else ""


def with_model(body: bytes, model: str) -> bytes:
    """The body that asks for this model."""
    try:
        found = _fields_of(body)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        raise _not_json() from None
    found["model"] = msgspec.Raw(msgspec.json.encode(model))
    return msgspec.json.encode(found)


def _not_json() -> Refusal:
    return Refusal(
        400, "body_invalid",
        "The body is no JSON object. This router reads the model in it: send such requests to the "
        "provider itself, at /v1/gateway/{provider}/…",
    )  # fmt: skip
