"""Whose credential goes to the provider: the client's own, a stored key, the environment's, none.

Closed: where a key of ours is needed and none may go, the request is refused and nothing is sent.
What is decided lies in `core/provider_credentials.py`; here it is found, and written into requests.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Protocol

import trio

from appliance.core import headers as names
from appliance.core.attempts import StoredKey
from appliance.core.credential_header import with_bearer, with_secret
from appliance.core.credentials import find_credentials, forward_headers
from appliance.core.keys import KeyInfo
from appliance.core.provider_credentials import (
    AuthType,
    Found,
    Secret,
    brings_own,
    credential_for,
    wants_ours,
)
from appliance.core.provider_key_input import ONE_LINE
from appliance.core.proxy_keys import StandIn, check_stand_in
from appliance.core.urls import parse_target
from appliance.errors import Refusal
from appliance.exchange import CLIENTS_OWN, Body, Exchange, Headers, Lent, Watch
from appliance.providers.sigv4 import AwsKey, signed

SIGNED_STYLE = "aws-sigv4"
# Of which a signature needs the digest; the providers that want one take less.
SIGNED_BYTES_MAX = 32 * 1024 * 1024
NOTHING: tuple[None, AuthType] = (None, "key")


class Tokens(Protocol):
    """Where tokens for service accounts come from."""

    async def token(self, secret: Secret, watch: Watch) -> str:
        """One that is good for a call now. Raises Refusal 401, 502, 503, 504; Woken."""

    def forget(self, secret: Secret) -> None:
        """A provider did not take what was bought with this: if anything was."""


class Ring(Protocol):
    """What is asked of a region's provider keys."""

    @property
    def tokens(self) -> Tokens:
        """What service accounts buy."""

    @property
    def environment(self) -> Mapping[str, Secret]:
        """The keys that the process was started with, by provider."""

    def find(self, org: bytes, provider_id: str, key_id: str = "") -> Found | None:
        """A key that is in memory."""

    async def load(self, org: bytes, provider_id: str, key_id: str = "") -> Found | None:
        """The key from another tier. Raises Refusal 503."""

    async def stand_in(self, text: str) -> StandIn | None:
        """The proxy key with this text. Raises Refusal 503."""

    async def plan_keys(self, org: bytes) -> Mapping[str, Sequence[StoredKey]]:
        """What a gateway's plan must know of an organisation's keys. Raises Refusal 503."""


Rings = Mapping[str, Ring]


async def stand_for(x: Exchange, rings: Rings) -> None:
    """Admission of a proxy key (proxy.md 1.7): the request is its organisation's, in its limits.

    Closed: raises Refusal 401 for one that is not on file, 503 when that cannot be said.
    """
    text = x.facts.credentials.stand_in
    if not text:
        return
    provider = x.route.provider
    info: KeyInfo | None = x.facts.key_info
    found = await rings[x.region].stand_in(text)
    x.stand_in = check_stand_in(found, provider.id if provider is not None else "", info)
    x.org = x.stand_in.org
    x.identity = replace(x.identity, org=x.org, failed_open=False)


def keeps_own(x: Exchange) -> bool:
    """Whether the request to its one target goes as the client sent it: with a credential of its
    own, or nowhere at all. Nothing has to be looked up then."""
    facts = x.facts
    if facts.brings_own is None:
        facts.brings_own = brings_own(facts.credentials, x.head.first, x.route.path)
    if facts.brings_own and x.route.provider.auth != SIGNED_STYLE:
        return True
    return x.asks.mock_response is not None


def lent_before(x: Exchange, rings: Rings) -> Lent | None:
    """What a request with the same head was lent, while the key that it holds is the one in memory.
    None: `lend` has to be asked, which may wait."""
    lent: Lent | None = x.facts.lent
    if lent is None or x.facts.brings_own or x.stand_in is not None:
        return None
    if x.found_key != lent.found_key:
        return None
    found = rings[x.region].find(x.org, x.route.provider.id)
    return lent if found is not None and found.secret is lent.secret else None


async def lend(x: Exchange, rings: Rings) -> Lent:
    """The credential for the one target of a request that does not keep its own, worked out once
    for all requests with the same head that are lent the same key. Raises Refusal 401, 503; 413
    where it has to be signed."""
    facts = x.facts
    provider = x.route.provider
    secret, auth_type = await _secret_of(
        x, x.route, x.head.first, rings[x.region], own=bool(facts.brings_own), lent=facts.lent
    )
    if secret is None:
        return CLIENTS_OWN
    lent: Lent | None = facts.lent
    if lent is None or secret is not lent.secret or x.found_key != lent.found_key:
        fields = forward_headers(x.head.headers, x.found_key)
        lent = await _written(x, x.route, fields, secret, auth_type, rings[x.region])
        # What is signed or bought is good for this request.
        facts.lent = None if _is_signed(provider, secret) or secret.is_document else lent
    return lent


async def lend_along(
    x: Exchange,
    route: Any,  # noqa: ANN401 - the door's Route, which lies above
    fields: Headers,
    rings: Rings,
    key_id: str = "",
    lender: bytes = b"",
    body: Body | None = None,
) -> Lent:
    """The same for one target of several, to which these header lines go; with `key_id` it is that
    stored key which is lent, with `lender` that of another organisation. `body` is what it is
    sent, where that is another than the exchange's."""
    first = {name.lower(): value for name, value in reversed(fields)}
    own = brings_own(find_credentials(first), first, route.path)
    secret, auth_type = NOTHING
    if not own or route.provider.auth == SIGNED_STYLE:
        ring = rings[x.region]
        secret, auth_type = await _secret_of(
            x, route, first, ring, own=own, lent=None, key_id=key_id, lender=lender
        )
    if secret is None:
        return Lent(None, fields, route.path)
    return await _written(x, route, fields, secret, auth_type, rings[x.region], body)


async def _secret_of(
    x: Exchange,
    route: Any,  # noqa: ANN401 - the door's Route, which lies above
    first: Mapping[bytes, bytes],
    ring: Ring,
    *,
    own: bool,
    lent: Lent | None,
    key_id: str = "",
    lender: bytes = b"",
) -> tuple[Secret | None, AuthType]:
    """The secret that is written into the request, and what it is to its provider; None where the
    request goes as the client sent it."""
    provider = route.provider
    if own:
        return _aws_of(first), "key"
    if not wants_ours(provider, own=own):
        return NOTHING
    stand_in: StandIn | None = x.stand_in
    key_id = stand_in.key_id if stand_in is not None else key_id
    lender = lender or x.org
    found = await stored_key(lender, provider.id, key_id, ring)
    secret, auth_type = (found.secret, found.auth_type) if found is not None else NOTHING
    if secret is not None and lent is not None and secret is lent.secret:
        return secret, auth_type
    if found is None and stand_in is not None:
        check_stand_in(None, provider.id, None)  # the key that it stood for is gone: refused
    credential = credential_for(
        provider, route.base_url, route.path,
        own=own, org=lender, stored=found, environment=ring.environment,
    )  # fmt: skip
    return credential.secret, auth_type


async def stored_key(org: bytes, provider_id: str, key_id: str, ring: Ring) -> Found | None:
    """The organisation's key for a provider, from the first tier that has it. Raises Refusal."""
    found = ring.find(org, provider_id, key_id)
    return found if found is not None else await ring.load(org, provider_id, key_id)


def _aws_of(first: Mapping[bytes, bytes]) -> Secret | None:
    """The pair of keys that a client hands over so that we sign (proxy.md 1.5). Raises Refusal 400
    for what could not be one."""
    access, second = first.get(names.AWS_ACCESS_KEY), first.get(names.AWS_SECRET_KEY)
    if not access or not second:
        return None
    session = first.get(names.AWS_SESSION_TOKEN, b"")
    parts = [part.decode("latin-1").strip() for part in (access, second, session)]
    if any(part and ONE_LINE.fullmatch(part) is None for part in parts):
        raise Refusal(
            400, "aws_key_invalid",
            "aws-access-key, aws-secret-key, aws-session-token: one word of ASCII is expected in "
            "each, as AWS gave it.",
        )  # fmt: skip
    return Secret(*parts)


def _is_signed(provider: Any, secret: Secret) -> bool:  # noqa: ANN401 - a Provider
    return provider.auth == SIGNED_STYLE and secret.is_pair


async def _written(
    x: Exchange,
    route: Any,  # noqa: ANN401 - the door's Route, which lies above
    fields: Headers,
    secret: Secret,
    auth_type: AuthType,
    ring: Ring,
    body: Body | None = None,
) -> Lent:
    written = with_secret(fields, route.path, route.provider.auth, secret, auth_type)
    if written.scheme == "sign":
        key = AwsKey(*secret.parts())
        target = parse_target(route.base_url)
        sent = x.body if x.sent is None else x.sent
        lines = signed(
            written.fields, method=x.head.method, host=target.netloc.encode("ascii"),
            path=written.path, body_sha256=await _digest(sent if body is None else body), key=key,
            region=_aws_region(target.host), now_s=time.time(),
        )  # fmt: skip
        return Lent(secret, lines, written.path, x.found_key)
    if written.scheme == "mint":
        token = await ring.tokens.token(secret, x.reply.watch)
        fields, denied = with_bearer(written.fields, token), partial(ring.tokens.forget, secret)
        return Lent(secret, fields, written.path, x.found_key, denied)
    return Lent(secret, written.fields, written.path, x.found_key)


async def _digest(body: Body) -> str:
    if body.spill is None:
        return hashlib.sha256(body.data).hexdigest()
    if body.length > SIGNED_BYTES_MAX:
        raise Refusal(
            413, "body_too_large",
            "A request that is signed (AWS) has at most 32 MiB. Send a smaller body.",
        )  # fmt: skip
    spill = body.spill
    data = await trio.to_thread.run_sync(spill.begin, body.length)
    return hashlib.sha256(data).hexdigest()


def _aws_region(host: str) -> str:
    """bedrock-runtime.eu-west-1.amazonaws.com"""
    labels = host.split(".")
    return labels[1] if len(labels) > 3 and labels[-2:] == ["amazonaws", "com"] else "us-east-1"
