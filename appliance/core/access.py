"""Who may call: programs and not web pages, keys on file, and what a broken key store still allows.

Pure. Every answer is a value or a Refusal; the doors render it before a body is read.
"""

import re
from collections.abc import Container, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Final, Literal
from urllib.parse import urlsplit

from appliance.core import headers as names
from appliance.core.credentials import Credentials
from appliance.core.keys import (
    DEFAULT_ORGANIZATION,
    REGION_DEFAULT,
    REGION_EU,
    KeyInfo,
    Permission,
    hash_key,
    parse_key,
)
from appliance.core.urls import HostList, is_host, is_loopback
from appliance.errors import Refusal

Mode = Literal["open", "keys"]
Headers = list[tuple[bytes, bytes]]

PREFLIGHT_AGE_S: Final = 600
METHODS: Final = b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
TOKENS: Final = re.compile(rb"[A-Za-z0-9!#$%&'*+.^_`|~, -]{1,4096}")
HOST_HEADER = re.compile(rb"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::([0-9]{1,5}))?")

HOST_BYTES_MAX: Final = 255  # of the name; what is remembered of hosts is bounded by it

KEY_MISSING: Final = (
    "This server asks for a Helicone key. Send it as `Helicone-Auth: Bearer sk-helicone-…`, as a "
    "path segment before /v1, or behind the provider's key in Authorization, separated by a comma. "
    "Make one with: helicone-appliance keys create NAME"
)
KEY_UNKNOWN: Final = (
    "This Helicone key is not on file here, or was revoked. `helicone-appliance keys list` shows "
    "the keys; `helicone-appliance keys create NAME` makes one."
)
KEY_ELSEWHERE: Final = (
    "This is a key of the region eu, and it is on file in another one. Revoke it there, and put it "
    "on file where it belongs: helicone-appliance keys import FILE --region eu"
)
STAND_IN: Final = (
    "Proxy and customer-portal keys stand in for a provider's key: they open nothing else."
)
STORE_BROKEN: Final = (
    "The key store cannot be read. Until it is mended only requests that carry their own provider "
    "credential to a built-in provider are forwarded."
)
AUTHENTICATE: Final = {"WWW-Authenticate": 'Bearer realm="helicone"'}


@dataclass(frozen=True, slots=True)
class AccessRules:
    """The access part of the configuration."""

    mode: Mode = "open"
    hosts: HostList = field(default_factory=HostList)
    origins: frozenset[bytes] = frozenset()
    own_origins: frozenset[bytes] = frozenset()

    @classmethod
    def from_config(
        cls,
        mode: str,
        *,
        allow_hosts: tuple[str, ...] = (),
        allow_origins: tuple[str, ...] = (),
        public_url: str | None = None,
    ) -> "AccessRules":
        """`public_url` is ours: its host is allowed and its origin is our own."""
        hosts, own = list(allow_hosts), frozenset[bytes]()
        if public_url:
            parts = urlsplit(public_url)
            hosts.append(parts.hostname or "")
            own = frozenset({f"{parts.scheme}://{parts.netloc}".lower().encode("ascii")})
        origins = frozenset(origin.lower().encode("ascii") for origin in allow_origins)
        assert mode in ("open", "keys")
        return cls(mode, HostList(hosts), origins, own)  # type: ignore[arg-type]

    def allows_origin(self, origin: bytes, host: bytes) -> bool:
        """Whether a page of this origin may call: our own, or one that was listed."""
        lowered = origin.lower()
        if lowered in self.origins or lowered in self.own_origins:
            return True
        scheme, mark, netloc = lowered.partition(b"://")
        return bool(mark) and scheme in (b"http", b"https") and netloc == host.lower()


@dataclass(frozen=True, slots=True)
class Identity:
    """On whose account a request runs. `org` is empty when it belongs to nobody: the key store
    could not say whose, so the request is forwarded with its own credential and counted. `limited`:
    the text of its key asks for the rate limits of its organisation (`-rl-`, proxy.md 1.7). `user`
    and `role`: of a person who is signed in, else ""."""

    org: bytes = DEFAULT_ORGANIZATION
    key_id: str = ""
    permission: Permission = "rw"
    region: str = REGION_DEFAULT
    stream_usage: str = ""
    failed_open: bool = False
    limited: bool = False
    user: str = ""
    role: str = ""

    @property
    def may_read(self) -> bool:
        """Whether it opens the read API."""
        return self.permission != "w"

    @property
    def may_write(self) -> bool:
        """Whether it may add to records: logs, scores, properties, feedback."""
        return self.permission != "r"

    @property
    def may_manage(self) -> bool:
        """Whether it may change what an organisation keeps: prompts, webhooks, datasets, keys."""
        return self.permission == "rw"

    @property
    def may_configure(self) -> bool:
        """Whether it may change settings and keys, and delete what was recorded: a key that reads
        and writes, an owner or an admin."""
        return self.permission == "rw" and self.role in ("", "owner", "admin")

    @property
    def may_govern(self) -> bool:
        """Whether it may say who belongs to the organisation: nobody's key does."""
        return self.role in ("owner", "admin")


DEFAULT_IDENTITY: Final = Identity()
EU_IDENTITY: Final = Identity(region=REGION_EU)


@lru_cache(maxsize=1024)
def split_host(host: bytes) -> tuple[str, str]:
    """Name and port text of a Host header, lower case. Raises Refusal 400 for anything else."""
    match = HOST_HEADER.fullmatch(host)
    if match is None or len(match[1]) > HOST_BYTES_MAX:
        raise Refusal(400, "host_invalid", "The Host header is not a host name with a port.")
    name = match[1].decode("ascii").lower().strip("[]")
    name = name.removesuffix(".")
    if not is_host(name) and not name.replace(".", "").isdigit():
        raise Refusal(400, "host_invalid", "The Host header is not a host name with a port.")
    return name, (match[2] or b"").decode("ascii")


def check_caller(
    headers: Mapping[bytes, bytes], host: bytes, rules: AccessRules, *, proxied: bool
) -> None:
    """Refuse web pages that have no business here; call before the body is read, in every lane.

    Open access is for programs on this machine: a page's Origin, or a name that was rebound to
    loopback, is refused. With keys any origin may call the proxies (`proxied`), never the rest.
    """
    if rules.mode == "open":
        name, port = split_host(host)
        if not is_loopback(name) and not rules.hosts.has(name, int(port or 0)):
            raise Refusal(
                403, "host_not_allowed",
                f"Open access answers on this machine's own names. To answer as {name}, list it in "
                "allow_hosts, or set access = \"keys\".",
            )  # fmt: skip
    origin = headers.get(names.ORIGIN)
    if origin is not None:
        if (rules.mode == "open" or not proxied) and not rules.allows_origin(origin, host):
            raise Refusal(
                403, "origin_not_allowed",
                "Pages of this origin may not call. List it in allow_origins to let them.",
            )  # fmt: skip
    elif rules.mode == "open" and headers.get(names.SEC_FETCH_SITE, b"").lower() == b"cross-site":
        raise Refusal(
            403,
            "cross_site",
            "Requests that another site's page starts are refused in open access.",
        )


def cors_headers(
    headers: Mapping[bytes, bytes], host: bytes, rules: AccessRules, *, proxied: bool
) -> Headers:
    """What a page that may call needs on its reply; nothing for programs and other pages."""
    origin = headers.get(names.ORIGIN)
    if origin is None or not _may_share(origin, host, rules, proxied):
        return []
    found = [
        (b"Access-Control-Allow-Origin", origin),
        (b"Access-Control-Expose-Headers", b"*"),
        (b"Vary", b"Origin"),
    ]
    method = headers.get(names.PREFLIGHT_METHOD)
    if method is None:
        return found
    found[1] = (b"Access-Control-Allow-Methods", METHODS)
    wanted = headers.get(names.PREFLIGHT_HEADERS, b"")
    if TOKENS.fullmatch(wanted):
        found.append((b"Access-Control-Allow-Headers", wanted))
    if headers.get(names.PREFLIGHT_PRIVATE_NETWORK) == b"true":
        found.append((b"Access-Control-Allow-Private-Network", b"true"))
    found.append((b"Access-Control-Max-Age", b"%d" % PREFLIGHT_AGE_S))
    return found


def _may_share(origin: bytes, host: bytes, rules: AccessRules, proxied: bool) -> bool:
    if rules.allows_origin(origin, host):
        return True
    return rules.mode == "keys" and proxied and re.fullmatch(rb"[!-~]{1,512}", origin) is not None


def identify(
    credentials: Credentials,
    info: KeyInfo | None,
    rules: AccessRules,
    *,
    store_broken: bool = False,
    to_built_in: bool = True,
    host_region: str = "",
    unread_region: str = "",
    lends: bool = False,
) -> Identity:
    """On whose account the request runs. `info` is what the key ring says of its key's hash.

    `to_built_in` is true when the target is a built-in provider at its own address, and not one
    that the client named. `unread_region`: of a broken store that may hold the key. `lends`: the
    caller looks up proxy keys next, which are nobody's until then. Raises Refusal 401 or 503.
    """
    if credentials.stand_in and not lends:
        raise Refusal(401, "stand_in_unknown", STAND_IN, headers=AUTHENTICATE)
    shape = credentials.shape
    limited = shape is not None and shape.limited
    if info is not None:
        return Identity(
            info.org, info.key_id, info.permission, info.region, info.stream_usage, limited=limited
        )
    if store_broken and (credentials.key or rules.mode == "keys"):
        # Open where nothing of ours is lent: the client pays with its own credential. Closed
        # where a stored key, an account or an address chosen by the client would be involved.
        if credentials.own and to_built_in:
            region = _region_of_nobody(credentials, host_region, unread_region)
            return Identity(b"", region=region, failed_open=True, limited=limited)
        raise Refusal(503, "key_store_broken", STORE_BROKEN, headers={"Retry-After": "30"})
    if credentials.stand_in:
        stand_in = parse_key(credentials.stand_in)
        region = stand_in.region if stand_in is not None else REGION_DEFAULT
        return Identity(b"", region=region, limited=limited)
    if rules.mode == "keys":
        code, text = (
            ("key_unknown", KEY_UNKNOWN) if credentials.key else ("key_missing", KEY_MISSING)
        )
        raise Refusal(401, code, text, headers=AUTHENTICATE)
    in_eu = host_region == REGION_EU or (shape is not None and shape.region == REGION_EU)
    identity = EU_IDENTITY if in_eu else DEFAULT_IDENTITY
    return replace(identity, limited=True) if limited else identity


def _region_of_nobody(credentials: Credentials, host_region: str, unread_region: str) -> str:
    """Where a call of nobody's account is recorded. What may be the EU's goes there: with an EU
    key, to an EU host, or while the EU's own keys cannot be read."""
    shape = credentials.shape
    named = host_region, unread_region, shape.region if shape is not None else ""
    return REGION_EU if REGION_EU in named else REGION_DEFAULT


def check_region(credentials: Credentials, info: KeyInfo | None, regions: Container[str]) -> None:
    """Refuse a key of a region that is not kept here, and so cannot be on file either; and an EU
    key that another region has on file: nothing of it may be written there."""
    shape = credentials.shape
    if shape is None:
        return
    if info is None:
        if shape.region not in regions:
            raise region_closed(shape.region)
    elif shape.region == REGION_EU and info.region != REGION_EU:
        raise Refusal(401, "key_region", KEY_ELSEWHERE, headers=AUTHENTICATE)


def region_closed(region: str) -> Refusal:
    """The answer to whoever belongs to a region that is not kept here."""
    return Refusal(
        503, "region_closed",
        f"This server keeps no data of the region {region}: set {region}_data_dir.",
    )  # fmt: skip


def require_read(identity: Identity) -> None:
    """For the read API: a `pk-` key may write only (proxy.md 1.7)."""
    if not identity.may_read:
        raise Refusal(403, "key_write_only", "This key may only write: use an sk-helicone key.")


def require_write(identity: Identity) -> None:
    """For what adds to records: a key made for reading adds nothing (`backend.md 1.1`)."""
    if not identity.may_write:
        if identity.role:
            raise _role_too_low("A viewer adds nothing", "member")
        raise Refusal(403, "key_read_only", "This key may only read: use one that may write.")


def require_manage(identity: Identity) -> None:
    """For changes to an organisation: a key that only reads, or only writes, makes none."""
    if not identity.may_manage:
        if identity.role:
            raise _role_too_low("A viewer changes nothing", "member")
        raise Refusal(
            403, "key_not_manager",
            "This changes what the organisation keeps: use a key that may read and write.",
        )  # fmt: skip


def require_configure(identity: Identity) -> None:
    """For settings, keys and deletion: not for a member or a viewer."""
    if not identity.may_configure:
        if identity.role:
            raise _role_too_low("This changes settings or keys, or deletes", "admin")
        require_manage(identity)


def require_govern(identity: Identity) -> None:
    """For saying who belongs here: a person who is signed in, as a key has no name to answer
    with."""
    if not identity.may_govern:
        if identity.role:
            raise _role_too_low("This says who belongs to the organisation", "admin")
        raise Refusal(
            403, "sign_in_needed",
            "Only an owner or admin who is signed in may do this; on the machine itself use "
            "helicone-appliance users.",
        )  # fmt: skip


def _role_too_low(what: str, role: str) -> Refusal:
    return Refusal(403, "role_too_low", f"{what}: it takes the role {role}, or more.")


def key_hash(credentials: Credentials) -> str:
    """What to ask the key ring for, or "" when there is no key."""
    return hash_key(credentials.key) if credentials.key else ""
