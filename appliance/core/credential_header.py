"""How a key of ours is written into a request: one way for each `auth` style of a provider's row.

Pure. What the client sent in its place goes: a Helicone key, or a stand-in, never leaves because
the provider reads another header (proxy.md 12).
"""

from typing import Final, Literal, NamedTuple
from urllib.parse import quote

from appliance.core import headers as names
from appliance.core.credentials import Headers
from appliance.core.provider_credentials import KEY_HEADERS, AuthType, Secret

Scheme = Literal["bearer", "x-api-key", "api-key", "query", "sign", "mint", "none"]

REPLACED: Final = frozenset({
    names.AUTHORIZATION, names.X_API_KEY, *KEY_HEADERS, names.AWS_ACCESS_KEY, names.AWS_SECRET_KEY,
    names.AWS_SESSION_TOKEN,
})  # fmt: skip
# Google's own dialect has the key in the query, its OpenAI-compatible paths have a bearer.
COMPATIBLE: Final = b"/openai/"


class Written(NamedTuple):
    """Header lines and request target with the key. For `sign` and `mint` the key is not in them:
    the caller signs the request with it (SigV4), or buys a token for it (service account) and
    calls `with_bearer`."""

    fields: Headers
    path: bytes
    scheme: Scheme


def scheme_of(style: str, path: bytes, secret: Secret, auth_type: AuthType = "key") -> Scheme:
    """What becomes of a secret. `style` is one of `AUTH_STYLES` of `providers/table.py`."""
    if style == "none":
        return "none"
    if secret.is_document:
        return "mint"
    if style == "aws-sigv4":
        # Without a second half it is one of Bedrock's API keys.
        return "sign" if secret.is_pair else "bearer"
    if style == "query:key" and auth_type == "key":
        return "bearer" if COMPATIBLE in path else "query"
    if style in ("x-api-key", "api-key") and auth_type == "key":
        return "x-api-key" if style == "x-api-key" else "api-key"
    return "bearer"


def with_secret(
    fields: Headers, path: bytes, style: str, secret: Secret, auth_type: AuthType = "key"
) -> Written:
    """Header lines (those of `forward_headers`) and request target with a key of ours."""
    scheme = scheme_of(style, path, secret, auth_type)
    if scheme == "none":
        return Written(fields, path, scheme)
    kept = [field for field in fields if field[0].lower() not in REPLACED]
    if scheme in ("sign", "mint"):
        return Written(kept, path, scheme)
    key = secret.parts()[0].encode("ascii")
    if scheme == "query":
        mark = b"&" if b"?" in path else b"?"
        return Written(kept, b"%b%bkey=%b" % (path, mark, quote(key, safe="").encode()), scheme)
    if scheme == "bearer":
        kept.append((b"Authorization", b"Bearer " + key))
    else:
        kept.append((scheme.encode("ascii"), key))
    return Written(kept, path, scheme)


def with_bearer(fields: Headers, token: str) -> Headers:
    """Header lines with a token that was bought."""
    kept = [field for field in fields if field[0].lower() not in REPLACED]
    kept.append((b"Authorization", b"Bearer " + token.encode("ascii")))
    return kept
