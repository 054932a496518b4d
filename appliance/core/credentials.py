"""Where a Helicone key may be, and what is left to forward without it (proxy.md 1.7, 1.8).

Pure. A Helicone key never leaves in any header, whatever the lane and whatever the header.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from appliance.core import headers as names
from appliance.core.keys import KeyShape, parse_key

Place = Literal["", "helicone-auth", "path", "authorization", "x-api-key"]
Headers = list[tuple[bytes, bytes]]

LOOKS_OURS: Final = ("sk-helicone", "pk-helicone")
BEARER: Final = b"bearer "
KEY_TEXT = re.compile(
    rb"(?<![A-Za-z0-9])[sp]k-(?:helicone[a-z0-9-]*|(?:eu-)?cp-[a-z0-9-]+|[a-z0-9]{7}(?:-[a-z0-9]{7}){3}(?![a-z0-9-]))"
)

# Names that never go to a provider as they came: hop by hop (RFC 9110 7.6.1), or written by
# whoever frames the message (Host, Content-Length, Transfer-Encoding), or meant for us alone: the
# AWS secrets are handed to us so that we sign, and no signature needs them sent (proxy.md 1.5).
NOT_FORWARDED: Final = frozenset({
    b"connection", b"keep-alive", b"proxy-connection", b"proxy-authorization",
    b"proxy-authenticate", b"te", b"trailer", b"transfer-encoding", b"upgrade", b"expect",
    b"host", b"content-length", names.MOCK_RESPONSE,
    names.AWS_ACCESS_KEY, names.AWS_SECRET_KEY, names.AWS_SESSION_TOKEN,
})  # fmt: skip
FOUND_KEY_BYTES_MIN: Final = 16
PLAIN_CONNECTION: Final = frozenset({b"keep-alive", b"close", b"Keep-Alive", b"Close"})


@dataclass(frozen=True, slots=True)
class Credentials:
    """The Helicone key of a request, and whether the client brought a provider's credential.

    `stand_in` is a proxy or portal key found where the provider's key belongs.
    """

    key: str = ""
    shape: KeyShape | None = None
    place: Place = ""
    own: bool = False
    stand_in: str = ""


NOTHING: Final = Credentials()
OWN_ONLY: Final = Credentials(own=True)


def find_credentials(headers: Mapping[bytes, bytes], key_in_path: str = "") -> Credentials:
    """Helicone-Auth, else the path, else Authorization, else x-api-key; `Bearer ` may be missing.

    A Helicone-Auth of any shape is a key (an unknown one, perhaps); elsewhere only the shape
    tells a Helicone key from a provider's.
    """
    auth = headers.get(names.AUTHORIZATION)
    api_key = headers.get(names.X_API_KEY)
    own = headers.get(names.API_KEY) is not None or headers.get(names.X_GOOG_API_KEY) is not None
    named = headers.get(names.AUTH)
    if named is None and not key_in_path and auth is None and api_key is None:
        return OWN_ONLY if own else NOTHING
    key, place, stand_in = "", "", ""
    if named is not None:
        key, place = without_bearer(named), "helicone-auth"
    elif key_in_path:
        key, place = key_in_path, "path"
    for found_in, value in (("authorization", auth), ("x-api-key", api_key)):
        if value is None:
            continue
        for piece in value.split(b",") if b"," in value else (value,):
            text = without_bearer(piece)
            shape = parse_key(text)
            if shape is None and not text.startswith(LOOKS_OURS):
                own = own or bool(text)
            elif shape is not None and shape.stand_in:
                stand_in = stand_in or text
            elif not key:
                key, place = text, found_in
    shape = parse_key(key) if key else None
    return Credentials(key, shape, place, own, stand_in)  # type: ignore[arg-type]


def without_bearer(value: bytes) -> str:
    """The credential in a header value, with or without `Bearer `."""
    value = value.strip()
    if value[:7].lower() in (BEARER, b"bearer"):
        value = value[7:].strip()
    return value.decode("utf-8", "surrogateescape")


def forward_headers(headers: Headers, found_key: str = "") -> Headers:
    """The header lines that go to a provider: untouched, in order, doubles kept; without what is
    hop by hop, ours, or a Helicone key. Trailers of a request go through it as well.

    `found_key` is a key on file, which need not have the shape of one; never text that merely
    stood in Helicone-Auth, or a client could lose its provider's credential by a slip.
    """
    kept: Headers = []
    listed: bytes | None = None
    for field in headers:
        name = field[0].lower()
        if name in NOT_FORWARDED:
            if name == b"connection" and field[1] not in PLAIN_CONNECTION:
                listed = field[1] if listed is None else listed + b"," + field[1]
        elif name[:9] != b"helicone-":
            kept.append(field)
    if listed is not None:
        hops = {token.strip() for token in listed.lower().split(b",")}
        kept = [field for field in kept if field[0].lower() not in hops]
    values = b"\n".join([field[1] for field in kept])
    known = b""
    if len(found_key) >= FOUND_KEY_BYTES_MIN:
        known = found_key.encode("utf-8", "surrogateescape")
    if (known and known in values) or (b"k-" in values and KEY_TEXT.search(values)):
        return _without_keys(kept, known)
    return kept


def _without_keys(headers: Headers, found_key: bytes) -> Headers:
    """Take Helicone keys out: a piece of a comma-joined credential, or else the whole line."""
    kept: Headers = []
    for name, value in headers:
        if not _holds_key(value, found_key):
            kept.append((name, value))
        elif b"," in value and name.lower() in (names.AUTHORIZATION, names.X_API_KEY):
            rest = [
                piece.strip() for piece in value.split(b",") if not _holds_key(piece, found_key)
            ]
            if rest:
                kept.append((name, b", ".join(rest)))
    return kept


def holds_key(value: bytes, found_key: str) -> bool:
    """Whether a field with this value is not sent as it is, for a Helicone key in it."""
    known = b""
    if len(found_key) >= FOUND_KEY_BYTES_MIN:
        known = found_key.encode("utf-8", "surrogateescape")
    return _holds_key(value, known)


def _holds_key(value: bytes, found_key: bytes) -> bool:
    return bool(found_key and found_key in value) or KEY_TEXT.search(value) is not None
