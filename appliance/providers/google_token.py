"""Access tokens for Vertex from a service account: what is asked, what is answered, what is kept.

Pure: the call to Google's token endpoint is somebody else's, and so is the clock. An account's key
never leaves; what leaves is a statement signed with it, good for an hour (RFC 7523).
"""

import base64
import hashlib
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import urlencode

from appliance.core.json_reader import read_json
from appliance.errors import Refusal, UpstreamFailed
from appliance.providers.dialects.common import encode, mapping, string

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

SCOPE: Final = "https://www.googleapis.com/auth/cloud-platform"
GRANT: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
TOKEN_URL: Final = "https://oauth2.googleapis.com/token"  # noqa: S105 - an address
# An account's file names where its tokens come from. Nobody but Google is asked: a file is what a
# customer enters, and the address would be dialled by us.
TOKEN_URLS: Final = frozenset({
    TOKEN_URL, "https://accounts.google.com/o/oauth2/token",
    "https://www.googleapis.com/oauth2/v4/token", "https://www.googleapis.com/oauth2/v3/token",
})  # fmt: skip
STATEMENT_S: Final = 3600
# A statement from the future is refused: clocks differ.
CLOCK_SKEW_S: Final = 10
# Google gives an hour where it does not say.
TOKEN_S: Final = 3600
# A token this close to its end is not begun with: a call may wait, and be tried again.
RENEW_BEFORE_S: Final = 120
TOKENS_MAX: Final = 1024
TOKEN_CHARACTERS_MAX: Final = 8192
MESSAGE_CHARACTERS_MAX: Final = 300
INVALID: Final = "provider_key_invalid"


class ServiceAccount:
    """What a service account's file says. Never printed; `id` stands for it."""

    __slots__ = ("_key", "_key_id", "email", "id", "project", "token_url")

    def __init__(self, raw: dict[str, Any]) -> None:
        self.email = string(raw.get("client_email"))
        self.project = string(raw.get("project_id"))
        self.token_url = string(raw.get("token_uri")) or TOKEN_URL
        self._key = string(raw.get("private_key"))
        self._key_id = string(raw.get("private_key_id"))
        if not self.email or not self._key:
            raise _invalid("it has no client_email and private_key")
        if self.token_url not in TOKEN_URLS:
            raise _invalid("its token_uri is none of Google's")
        said = f"{self.email}\n{self.token_url}\n{self._key}"
        self.id = hashlib.sha256(said.encode("utf-8", "replace")).hexdigest()

    def __repr__(self) -> str:
        return "ServiceAccount(***)"

    def statement(self, now_s: float) -> str:
        """A JSON Web Token that says who asks, signed with RS256."""
        header = {"alg": "RS256", "typ": "JWT", **({"kid": self._key_id} if self._key_id else {})}
        issued_s = int(now_s) - CLOCK_SKEW_S
        claims = {
            "iss": self.email, "scope": SCOPE, "aud": self.token_url, "iat": issued_s,
            "exp": issued_s + STATEMENT_S,
        }  # fmt: skip
        signed = f"{_encoded(encode(header))}.{_encoded(encode(claims))}"
        return f"{signed}.{_encoded(_signature(self._private_key(), signed.encode('ascii')))}"

    def _private_key(self) -> "RSAPrivateKey":
        # Here and not above: a start without service accounts need not load it.
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        try:
            # Its primes are not tested: that takes far longer than the signature, and a bad key
            # harms nobody but its owner.
            key = load_pem_private_key(
                self._key.encode("utf-8", "replace"),
                password=None, unsafe_skip_rsa_key_validation=True,
            )  # fmt: skip
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise _invalid("its private_key is no PEM text of a key") from None
        if not isinstance(key, RSAPrivateKey):
            raise _invalid("its private_key is no RSA key")
        return key


class TokenRequest(NamedTuple):
    """A POST that buys a token."""

    url: str
    content_type: str
    body: bytes


class Token(NamedTuple):
    value: str
    expires_s: float

    def __repr__(self) -> str:
        return f"Token(***, expires_s={self.expires_s})"


def read_account(text: str) -> ServiceAccount:
    """The account of a stored key. Raises Refusal 401 where it is none."""
    raw, problem = read_json(text.encode("utf-8", "replace"))
    if problem or type(raw) is not dict:
        raise _invalid("it is no JSON object")
    return ServiceAccount(raw)


def token_request(account: ServiceAccount, now_s: float) -> TokenRequest:
    """What to ask; `now_s` is wall clock time. The signature is a millisecond or two of work."""
    body = urlencode({"grant_type": GRANT, "assertion": account.statement(now_s)})
    return TokenRequest(account.token_url, "application/x-www-form-urlencoded", body.encode())


def read_token(status: int, body: bytes, now_s: float) -> Token:
    """The token of an answer. Raises Refusal 401 where Google knows no such account or key, and
    UpstreamFailed where it cannot say."""
    raw, _ = read_json(body)
    reply = mapping(raw)
    value = string(reply.get("access_token"))
    usable = 0 < len(value) <= TOKEN_CHARACTERS_MAX and value.isascii() and value.isprintable()
    if status == 200 and usable and " " not in value:
        lasts = reply.get("expires_in")
        lasts_s = lasts if type(lasts) is int and 0 < lasts <= TOKEN_S * 24 else TOKEN_S
        return Token(value, now_s + lasts_s)
    said = string(reply.get("error_description")) or string(reply.get("error"))
    said = said[:MESSAGE_CHARACTERS_MAX]
    if 400 <= status < 500 and status not in (408, 429):
        raise _invalid(f"Google gives it no token: {said or status}")
    message = f"Google's token endpoint answered {status}: {said or 'no token'}"
    raise UpstreamFailed("token_failed", message, retryable=True)


class TokenCache:
    """Tokens by account, until shortly before their end. The oldest goes when it is full."""

    __slots__ = ("_tokens", "_tokens_max")

    def __init__(self, tokens_max: int = TOKENS_MAX) -> None:
        self._tokens: dict[str, Token] = {}
        self._tokens_max = tokens_max

    def get(self, account_id: str, now_s: float) -> str:
        """A token that is good for a call now, or ""."""
        token = self._tokens.get(account_id)
        if token is None or now_s >= token.expires_s - RENEW_BEFORE_S:
            return ""
        return token.value

    def put(self, account_id: str, token: Token) -> None:
        self._tokens.pop(account_id, None)
        if len(self._tokens) >= self._tokens_max:
            del self._tokens[next(iter(self._tokens))]
        self._tokens[account_id] = token

    def forget(self, account_id: str) -> None:
        """After a 401: the next call buys another."""
        self._tokens.pop(account_id, None)

    def __len__(self) -> int:
        return len(self._tokens)


def _signature(key: "RSAPrivateKey", data: bytes) -> bytes:
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.hashes import SHA256

    return key.sign(data, PKCS1v15(), SHA256())


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def _invalid(why: str) -> Refusal:
    return Refusal(401, INVALID, f"The service account of Vertex cannot be used: {why}.")
