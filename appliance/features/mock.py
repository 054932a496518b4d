"""`__helicone-mock-response` (`proxy.md 1.8`): the header's JSON is the reply, nobody is called."""

from __future__ import annotations

import msgspec

from appliance.errors import Refusal
from appliance.exchange import Headers

JSON_REPLY: Headers = [(b"content-type", b"application/json")]


def mock_body(value: bytes) -> bytes:
    """The reply's body: the header's JSON as it was sent. Raises Refusal 400 when it is none."""
    try:
        msgspec.json.decode(value)
    except (msgspec.DecodeError, RecursionError) as error:
        raise Refusal(
            400, "mock_invalid", f"__helicone-mock-response is not valid JSON: {error}."
        ) from None
    return value
