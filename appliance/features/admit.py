"""Admission: may this caller call at all, on whose account, and under which id.

Fails closed: whose request it is decides where its record goes and which keys are lent to it. The
one way open is written in `core/access.identify`: a broken key store, the client's own credential,
a built-in provider.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from appliance.core import headers as names
from appliance.core.access import AccessRules, check_caller, cors_headers, identify, key_hash
from appliance.core.asks import parse_asks
from appliance.core.credentials import find_credentials
from appliance.core.ids import ExchangeIds, uuid_text
from appliance.core.keys import KeyInfo
from appliance.errors import Refusal
from appliance.exchange import Exchange

NOBODY = bytes(16)
SUCCESS = (b"Helicone-Status", b"success")


class KeyRing(Protocol):
    """What admission asks the key ring."""

    broken: bool

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
    first = x.head.first
    host = first.get(b"host", b"")
    x.exchange_id = ids.new()
    x.request_id = uuid_text(x.exchange_id)
    x.reply_headers = [(names.REPLY_ID, x.request_id.encode()), SUCCESS]
    proxied = x.route.proxied
    check_caller(first, host, gate.rules, proxied=proxied)
    if names.ORIGIN in first:
        x.reply_headers += cors_headers(first, host, gate.rules, proxied=proxied)
    if x.route.refusal is not None:
        raise x.route.refusal
    credentials = find_credentials(first, x.route.helicone_key_in_path)
    hashed = key_hash(credentials)
    info = gate.key_ring.lookup(hashed) if hashed else None
    identity = identify(
        credentials,
        info,
        gate.rules,
        store_broken=gate.key_ring.broken,
        to_built_in=x.route.built_in,
        host_region=x.route.region,
    )
    if identity.region not in gate.regions:
        raise Refusal(
            503,
            "region_closed",
            f"This server keeps no data of the region {identity.region}: set eu_data_dir.",
        )
    x.identity = identity
    x.org = identity.org or NOBODY
    x.region = identity.region
    x.found_key = credentials.key if info is not None else ""
    x.dialect = x.route.provider.dialect
    _ask(x, gate)


def _ask(x: Exchange, gate: Gate) -> None:
    x.asks = asks = parse_asks(x.head.first)
    if asks.request_id:
        x.request_id = asks.request_id
        x.reply_headers[0] = (names.REPLY_ID, asks.request_id.encode())
    x.asks_usage = asks.stream_usage or gate.ask_usage or x.identity.stream_usage == "ask"
    x.not_applied = list(asks.not_applied)
    for missed in x.not_applied:
        x.reply_headers.append((names.REPLY_NOT_APPLIED, missed.encode()))
    part = gate.stores.degraded(x.region)
    if part is not None:
        x.degraded = part
        x.reply_headers.append((names.REPLY_DEGRADED, part.encode()))
