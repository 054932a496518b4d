"""`Helicone-Authorization`: how Helicone's web app and its tools say who they are, as a JSON object
(`backend.md 1.1`). Pure.
"""

from collections.abc import Mapping
from typing import Final
from uuid import UUID

import msgspec

from appliance.errors import Refusal

NAME: Final = b"helicone-authorization"
BYTES_MAX: Final = 4096
KINDS: Final = ("bearer", "bearerProxy", "jwt")

_decode = msgspec.json.Decoder().decode


def with_authorization(headers: Mapping[bytes, bytes]) -> tuple[Mapping[bytes, bytes], bytes]:
    """The headers with an Authorization made of it, and the organisation it names (b"" for none).
    It is read only where there is no Authorization. Raises Refusal 400, 401."""
    text = headers.get(NAME)
    if text is None or b"authorization" in headers:
        return headers, b""
    try:
        value = _decode(text) if len(text) <= BYTES_MAX else None
    except (msgspec.MsgspecError, RecursionError, ValueError):
        value = None
    if not isinstance(value, dict):
        raise _malformed("expected a JSON object with _type and token")
    kind, token, org = value.get("_type"), value.get("token"), value.get("orgId")
    if kind not in KINDS:
        raise _malformed(f"_type: expected one of {', '.join(KINDS)}")
    if kind == "jwt":
        raise Refusal(
            401, "token_unknown",
            "Helicone-Authorization: this server knows no such tokens; sign in, or use a key.",
        )  # fmt: skip
    if not isinstance(token, str) or not token.isascii() or not token.isprintable():
        raise _malformed("token: expected a key")
    bearer = token.removeprefix("Bearer ").strip()
    found = {**headers, b"authorization": b"Bearer " + bearer.encode("ascii")}
    if org is None or org == "":
        return found, b""
    try:
        return found, UUID(org if isinstance(org, str) else "").bytes
    except ValueError:
        raise _malformed("orgId: expected an organisation's id") from None


def _malformed(why: str) -> Refusal:
    return Refusal(400, "authorization_malformed", f"Helicone-Authorization: {why}")
