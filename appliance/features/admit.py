"""Admission: may this caller call at all, on whose account, and under which id.

Fails closed: whose request it is decides where its record goes and which keys are lent to it. The
one way open is written in `core/access.identify`: a broken key store, the client's own credential,
a built-in provider.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from appliance import fence
from appliance.core import headers as names
from appliance.core.access import (
    AccessRules,
    Identity,
    check_caller,
    check_region,
    cors_headers,
    identify,
    key_hash,
    region_closed,
)
from appliance.core.asks import parse_asks
from appliance.core.credentials import NOTHING, find_credentials
from appliance.core.ids import ExchangeIds, uuid_text
from appliance.core.keys import KeyInfo
from appliance.exchange import Exchange, Facts

NOBODY = bytes(16)
SUCCESS = (b"Helicone-Status", b"success")


class KeyRing(Protocol):
    """What admission asks the key ring."""

    @property
    def broken(self) -> str:
        """Why keys on file may be unknown, or "" when all is well."""

    @property
    def unread_region(self) -> str:
        """The region whose keys are not known, the EU first, or ""."""

    def lookup(self, hashed: str) -> KeyInfo | None:
        """The key on file with this hash."""


class DegradedParts(Protocol):
    """What admission asks the stores."""

    def degraded(self, region: str) -> str | None:
        """The part of a region's store that is degraded, if any."""


@dataclass(slots=True)
class Gate:
    """What admission works with. `regions` are those whose data directory is open."""

    rules: AccessRules
    key_ring: KeyRing
    stores: DegradedParts
    regions: frozenset[str]
    ask_usage: bool


def admit(x: Exchange, gate: Gate, ids: ExchangeIds) -> None:
    """Decide from the head alone, before the body is read. Raises Refusal 400, 401, 403, 503."""
    facts = x.facts
    x.exchange_id = ids.new()
    x.request_id = uuid_text(x.exchange_id)
    x.reply_headers = [(names.REPLY_ID, x.request_id.encode()), SUCCESS]
    if facts.credentials is None:
        _read_head(x, gate)
    if facts.asks is None:
        tags = x.route.tags
        facts.asks = parse_asks(x.head.first if tags is None else {**tags, **x.head.first})
    if facts.cors:
        x.reply_headers += facts.cors
    if is_preflight(x):
        return  # browsers send no credentials with it; the headers above are the whole answer
    if x.route.refusal is not None:
        # Raised anew each time the head comes: its traceback would grow by each.
        raise x.route.refusal.with_traceback(None)
    # Asked each time: a key revoked between two requests of one connection opens nothing.
    info = gate.key_ring.lookup(facts.key_hash) if facts.key_hash else None
    broken = bool(gate.key_ring.broken)
    identity = facts.identity
    if identity is None or info is not facts.key_info or broken is not facts.store_broken:
        identity = _identify(x, gate, info, store_broken=broken)
        facts.identity, facts.key_info, facts.store_broken = identity, info, broken
    x.identity = identity
    x.org = identity.org or NOBODY
    x.region = identity.region
    if info is not None:
        x.found_key = facts.credentials.key
    _ask(x, gate)


def admitted_before(identity: Identity, gate: Gate) -> Facts:
    """Of a call that this process makes for somebody whom another door has let in: it comes without
    a credential, and `admit` takes this identity for it. To be used at once: what is said here of
    the key store is what `admit` finds, or it would look for a credential after all."""
    facts = Facts()
    facts.credentials = NOTHING
    facts.identity = identity
    facts.store_broken = bool(gate.key_ring.broken)
    return facts


def _identify(x: Exchange, gate: Gate, info: KeyInfo | None, *, store_broken: bool) -> Identity:
    credentials = x.facts.credentials
    check_region(credentials, info, gate.regions)
    identity = identify(
        credentials,
        info,
        gate.rules,
        store_broken=store_broken,
        to_built_in=x.route.built_in,
        host_region=x.route.region,
        unread_region=gate.key_ring.unread_region if store_broken else "",
        lends=True,
    )
    if identity.region not in gate.regions:
        raise region_closed(identity.region)
    return identity


def is_preflight(x: Exchange) -> bool:
    """Whether a browser asks what it may send."""
    return x.head.method == b"OPTIONS" and names.PREFLIGHT_METHOD in x.head.first


def _read_head(x: Exchange, gate: Gate) -> None:
    """What follows from the head alone, kept for the next request that sends the same."""
    first = x.head.first
    host = first.get(b"host", b"")
    proxied = x.route.proxied
    check_caller(first, host, gate.rules, proxied=proxied)
    facts = x.facts
    if names.ORIGIN in first:
        facts.cors = cors_headers(first, host, gate.rules, proxied=proxied)
    facts.credentials = find_credentials(first, x.route.helicone_key_in_path)
    facts.key_hash = key_hash(facts.credentials)


def _ask(x: Exchange, gate: Gate) -> None:
    asks = x.facts.asks
    assert asks is not None, "read before"
    x.asks = asks
    if asks.request_id:
        x.request_id = asks.request_id
        x.reply_headers[0] = (names.REPLY_ID, asks.request_id.encode())
    x.asks_usage = asks.stream_usage or gate.ask_usage or x.identity.stream_usage == "ask"
    for missed in asks.not_applied:
        fence.note(x, missed)
    if x.route.provider is not None:
        x.dialect = x.route.provider.dialect
    part = gate.stores.degraded(x.region)
    if part is not None:
        x.degraded = part
        x.reply_headers.append((names.REPLY_DEGRADED, part.encode()))
