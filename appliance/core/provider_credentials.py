"""Which credential goes to a provider: the client's own, a stored key, the environment's, or none.

Pure. A secret of ours leaves only for an address that the operator, or whoever entered it, has
named. How it is written into a request is in credential_header.py.
"""

import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, Literal, NoReturn, Protocol

from appliance.core import headers as names
from appliance.core.credentials import LOOKS_OURS, Credentials, without_bearer
from appliance.core.keys import DEFAULT_ORGANIZATION, parse_key
from appliance.core.urls import Target, parse_target
from appliance.errors import Refusal

AuthType = Literal["key", "session_token"]
Source = Literal["own", "stored", "environment", "none"]

# Beside Authorization and x-api-key, where a client may bring what is the provider's.
KEY_HEADERS: Final = (names.API_KEY, names.X_GOOG_API_KEY, b"ocp-apim-subscription-key")
KEY_PARAMETERS: Final = re.compile(
    rb"[?&](?:key|api[_-]?key|access_token|subscription-key)=[^&]", re.IGNORECASE
)
REGION: Final = "{region}"
AUTHENTICATE: Final = {"WWW-Authenticate": 'Bearer realm="provider"'}


class Secret:
    """A provider's key in memory. Nothing prints, copies or serialises it; `parts` alone tells it.

    `second` is the secret half of a pair (AWS), `session` the token that such a pair may need.
    """

    __slots__ = ("_key", "_second", "_session")

    def __init__(self, key: str, second: str = "", session: str = "") -> None:
        self._key = key
        self._second = second
        self._session = session

    @property
    def is_pair(self) -> bool:
        """Whether it signs requests instead of being sent."""
        return bool(self._second)

    @property
    def is_document(self) -> bool:
        """Whether it is a service account's JSON, which buys tokens instead of being sent."""
        return self._key.startswith("{")

    def parts(self) -> tuple[str, str, str]:
        """The key, the second half and the session token; the last two may be empty."""
        return self._key, self._second, self._session

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        same = True
        for one, two in zip(self.parts(), other.parts(), strict=True):
            same &= hmac.compare_digest(_bytes(one), _bytes(two))
        return same

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return "Secret(***)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not copied out of memory")


def pack_secret(secret: Secret) -> bytes:
    """What is sealed."""
    return json.dumps(secret.parts()).encode()


def unpack_secret(data: bytes) -> Secret:
    """From what was sealed."""
    key, second, session = json.loads(data)
    return Secret(key, second, session)


@dataclass(frozen=True, slots=True)
class Found:
    """A stored key, opened. `base_url` is the only place it goes to; "": the provider's own
    address. Without a `secret` it must be entered again, since its base URL was changed.
    `model`: it is for this model alone."""

    key_id: str
    provider: str
    name: str
    secret: Secret | None
    auth_type: AuthType = "key"
    base_url: str = ""
    model: str = ""
    config: Mapping[str, str] = field(default_factory=dict)


class ProviderRow(Protocol):
    """What is asked of a provider's row (`providers/table.py`)."""

    @property
    def id(self) -> str: ...
    @property
    def base_url(self) -> str: ...
    @property
    def hosts(self) -> tuple[str, ...]: ...
    @property
    def auth(self) -> str: ...
    @property
    def key_env(self) -> tuple[str, ...]: ...
    @property
    def configured(self) -> bool: ...
    @property
    def origin(self) -> str: ...
    @property
    def base_path(self) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Credential:
    """The decision. `none`: this provider asks for no credential, so what came is sent."""

    source: Source
    secret: Secret | None = None
    key: Found | None = None


OWN: Final = Credential("own")
NONE: Final = Credential("none")
# A server that replays dials nobody: what it makes up for a provider without a key goes nowhere.
REPLAYED: Final = Credential("environment", Secret("replayed"))
ANY_PROVIDER: Final = ""  # under this name the environment of such a server has it


def brings_own(
    credentials: Credentials, first: Mapping[bytes, bytes], path: bytes, *, sole: bool = True
) -> bool:
    """Whether the client pays with a credential of its own: any that is not a Helicone key.

    `path` is the request target with its query. `sole`: this request can go to one provider only;
    where several may be tried, what was meant for one of them is shown to none.
    """
    if not sole:
        return False
    if credentials.own and names.API_KEY not in first and names.X_GOOG_API_KEY not in first:
        return True
    if names.AWS_ACCESS_KEY in first and names.AWS_SECRET_KEY in first:
        return True
    for name in (names.AUTHORIZATION, names.X_API_KEY, *KEY_HEADERS):
        value = first.get(name)
        if value and any(_is_providers(piece) for piece in value.split(b",")):
            return True
    return b"=" in path and KEY_PARAMETERS.search(path) is not None


def wants_ours(provider: ProviderRow, *, own: bool) -> bool:
    """Whether a key of ours has to be looked for. Not where the client brings its own, nor for a
    provider without authentication, nor for a host that is in no row: nothing is stored for it."""
    return not own and provider.auth != "none" and provider.id != "custom"


def credential_for(
    provider: ProviderRow,
    base_url: str,
    path: bytes,
    *,
    own: bool,
    org: bytes,
    stored: Found | None,
    environment: Mapping[str, Secret],
    from_api: bool = False,
) -> Credential:
    """What goes upstream, in every lane. `base_url` and `path` say where: base URL and whole
    request target of the Route. `from_api`: the row's base URL was set through the API, so that
    only a key that was entered for it may go there.

    Closed: raises Refusal 401 that says how to add a key, or why the one there is stays here.
    """
    if own:
        return OWN
    if not wants_ours(provider, own=own):
        return NONE
    target = parse_target(base_url)
    if stored is not None:
        if stored.secret is None:
            raise _refused("provider_key_disabled", _disabled(stored))
        bound = stored.base_url
        if not (is_within(target, path, bound) if bound else _is_own(provider, target, path)):
            raise _refused("provider_key_elsewhere", _elsewhere(provider, target, bound))
        if from_api and not bound:
            raise _refused("provider_key_elsewhere", _elsewhere(provider, target, bound))
        return Credential("stored", stored.secret, stored)
    secret = environment.get(provider.id) if org == DEFAULT_ORGANIZATION else None
    if secret is None and ANY_PROVIDER in environment:
        return REPLAYED
    if secret is None:
        raise _refused("provider_key_missing", _missing(provider, org))
    if from_api or not _is_own(provider, target, path):
        raise _refused("provider_key_elsewhere", _elsewhere(provider, target, ""))
    return Credential("environment", secret)


def is_within(target: Target, path: bytes, base_url: str) -> bool:
    """Whether a request goes to this base URL: its origin, and a path below its path."""
    base = parse_target(base_url)
    return target.origin == base.origin and _below(path, base.path.encode("ascii"))


def _is_own(provider: ProviderRow, target: Target, path: bytes) -> bool:
    """Whether a request goes to the built-in address of a provider, or to the one that the
    configuration file gives it: decided on where it goes, not on how it was named."""
    if provider.configured:
        # The operator's host may hold more than this: only what lies below the base URL.
        return target.origin == provider.origin and _below(path, provider.base_path)
    if target.origin == provider.origin != "":
        return True
    if target.scheme != "https" or target.port != 443 or not provider.origin:
        return False
    host = provider.origin.partition("://")[2]
    if target.host.endswith(f".{host}") and target.host in provider.hosts:
        return True  # us.api.openai.com
    return REGION in provider.base_url and _regional(provider.base_url, target.origin)


@lru_cache(maxsize=1024)
def _regional(base_url: str, origin: str) -> bool:
    front, _, rest = base_url.partition(REGION)
    end = rest.partition("/")[0]
    if origin == front + end.removeprefix("-"):
        return True  # Vertex' global host has no region
    pattern = re.escape(front) + r"[a-z0-9]+(?:-[a-z0-9]+)*" + re.escape(end)
    return re.fullmatch(pattern, origin) is not None


def _below(path: bytes, base_path: bytes) -> bool:
    """Both are clear paths: no dot segments (`core/urls.py`)."""
    rest = path[len(base_path) :]
    return path.startswith(base_path) and rest[:1] in (b"", b"/", b"?")


def _is_providers(value: bytes) -> bool:
    text = without_bearer(value)
    return bool(text) and parse_key(text) is None and not text.startswith(LOOKS_OURS)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _refused(code: str, message: str) -> Refusal:
    return Refusal(401, code, message, headers=AUTHENTICATE)


def _missing(provider: ProviderRow, org: bytes) -> str:
    how = (
        f"There is no key for {provider.id}. Send the provider's own with the request, or store "
        f"one: helicone-appliance provider-keys add {provider.id} (it is read from stdin)"
    )
    if org == DEFAULT_ORGANIZATION and provider.key_env:
        joined = " and " if provider.auth == "aws-sigv4" else " or "
        return f"{how}, or start the server with {joined.join(provider.key_env[:2])} set."
    return how + "."


def _disabled(stored: Found) -> str:
    return (
        f"The stored key {stored.key_id} of {stored.provider} is disabled, since its base URL was "
        f"changed. Enter it again: helicone-appliance provider-keys rotate {stored.key_id}"
    )


def _elsewhere(provider: ProviderRow, target: Target, bound: str) -> str:
    where = bound or (provider.origin if provider.origin else "no address that is known")
    return (
        f"The key for {provider.id} that is kept here goes to {where}, and not to "
        f"{target.origin}. Send a key with the request, store one with --base-url, or set base_url "
        f"in [providers.{provider.id}] of the configuration file."
    )
