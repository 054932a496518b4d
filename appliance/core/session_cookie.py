"""The cookie of whoever is signed in, and the token that a page sends with every change.

Pure. The cookie is region, token and signature: text that we did not sign costs no look-up. The
token for changes (CSRF) follows from the session's, so that nothing has to be kept for it; a page
of another site can make a browser send the cookie at best, and can read neither.
"""

import base64
import hashlib
import hmac
import re
from typing import Final, NamedTuple

COOKIE: Final = "helicone_session"
# Browsers take this name over TLS only, and for this very host.
COOKIE_SECURE: Final = "__Host-helicone_session"
CSRF_HEADER: Final = b"x-csrf-token"
TOKEN_BYTES: Final = 32
VALUE: Final = re.compile(r"([a-z]{2})\.([A-Za-z0-9_-]{43})\.([A-Za-z0-9_-]{43})")
COOKIES_BYTES_MAX: Final = 16_384


class Signed(NamedTuple):
    """What a cookie says, not yet believed."""

    region: str
    token: str
    signature: str


def cookie_value(key: bytes, region: str, token: str) -> str:
    """What the browser keeps."""
    return f"{region}.{token}.{_mac(key, b'session', region, token)}"


def read_cookie(header: bytes | None, *, secure: bool) -> Signed | None:
    """The session's cookie out of the header `Cookie`. Over TLS it is the one that this very host
    alone can set: another host of the same site could plant a session of its own under the plain
    name, and what is entered then would be its."""
    if not header or len(header) > COOKIES_BYTES_MAX:
        return None
    pairs = dict(
        reversed([
            (name.strip(), value.strip())
            for name, _, value in (
                part.partition("=") for part in header.decode("latin-1").split(";")
            )
        ])
    )  # fmt: skip
    match = VALUE.fullmatch(pairs.get(COOKIE_SECURE if secure else COOKIE, ""))
    return None if match is None else Signed(*match.groups())


def is_ours(key: bytes, signed: Signed) -> bool:
    """Whether we signed it."""
    wanted = _mac(key, b"session", signed.region, signed.token)
    return hmac.compare_digest(wanted, signed.signature)


def csrf_token(key: bytes, token: str) -> str:
    """What a page of ours sends in X-CSRF-Token."""
    return _mac(key, b"csrf", token)


def set_cookie(value: str, *, secure: bool, lasts_s: int) -> str:
    """The header `Set-Cookie`; an empty value takes the cookie away. No script reads it, and no
    other site's request brings it, but for a link that is followed."""
    name = COOKIE_SECURE if secure else COOKIE
    tail = "; Secure" if secure else ""
    return f"{name}={value}; Path=/; Max-Age={lasts_s}; HttpOnly; SameSite=Lax{tail}"


def _mac(key: bytes, purpose: bytes, *texts: str) -> str:
    data = b"\0".join([purpose, *(text.encode("ascii") for text in texts)])
    digest = hmac.new(key, data, hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")
