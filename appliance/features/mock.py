"""`__helicone-mock-response` (`proxy.md 1.8`): the header's JSON is the reply, nobody is called."""

from __future__ import annotations

import msgspec

from appliance import fence
from appliance.errors import Refusal
from appliance.exchange import Exchange, Headers

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


def passed_over(x: Exchange) -> bool:
    """Say which features that were asked for have nothing to do where nobody is called. True: that
    is done with."""
    asks = x.asks
    for is_asked, feature in (
        (asks.cache_read or asks.cache_save, "cache-enabled"),
        (asks.security_enabled or asks.security_advanced, "llm-security-enabled"),
        (asks.moderations_enabled, "moderations-enabled"),
    ):
        if is_asked:
            fence.note(x, f"{feature};reason=mocked")
    return True
