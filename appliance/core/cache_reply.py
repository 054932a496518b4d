"""What a client is sent from the cache, and what of it goes on record (`proxy.md 3.1`, 4.6)."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple

from appliance.core.cache_entry import Entry, Headers, summary_facts
from appliance.core.decoding import decode_body
from appliance.core.facts import summarise
from appliance.core.headers import REPLY_CACHE

REPLY_BUCKET: Final = b"Helicone-Cache-Bucket-Idx"
REPLY_LATENCY: Final = b"Helicone-Cache-Latency"
MISS: Final = (REPLY_CACHE, b"MISS")
HIT: Final = (REPLY_CACHE, b"HIT")
# Metadata keys of a hit's frame.
REFERENCE_FACT: Final = "cache_reference_id"
EXCHANGE_FACT: Final = "cached_exchange_id"
LATENCY_FACT: Final = "cached_latency_us"
COST_FACT: Final = "saved_cost_pico"
SAVED_FACT: Final = "saved"

ACCEPT_BYTES_MAX: Final = 256  # of Accept-Encoding; what is longer is taken as accepting nothing
# A coding is taken off for a client at the cost of the loop's time.
DECODED_BYTES_MAX: Final = 1024 * 1024


class Replay(NamedTuple):
    """What is sent of an entry: `length` None where it came without one."""

    headers: Headers
    chunks: tuple[bytes, ...]
    length: int | None
    coding: str


def hit_headers(entry: Entry, bucket: int) -> Headers:
    """Ours on a hit, after the stored ones."""
    return [HIT, (REPLY_BUCKET, b"%d" % bucket), (REPLY_LATENCY, b"%d" % entry.latency_ms)]


def hit_facts(entry: Entry) -> dict[str, Any]:
    """For a hit's record: whose answer it is, how long that took, and what it cost; where that was
    not known when it was saved, what it used (`saved`: model and usage, to be priced at ingest)."""
    facts: dict[str, Any] = {
        REFERENCE_FACT: entry.request_id,
        EXCHANGE_FACT: entry.exchange_id,  # request ids need not be unique
        LATENCY_FACT: entry.latency_ms * 1000,
    }
    if entry.cost_pico is not None:
        facts[COST_FACT] = entry.cost_pico
    elif entry.saved:
        facts[SAVED_FACT] = entry.saved
    return facts


def read_saved(entry: Entry, facts: Mapping[str, Any], request: bytes) -> None:
    """Find out once per entry what its answer used. `facts` and `request` are a hit's: they are as
    good as those of the request that was answered first."""
    if entry.saved is None and entry.cost_pico is None:
        found = summarise(summary_facts(entry, facts), request, entry.body)
        entry.saved = {name: found[name] for name in ("model", "usage") if name in found}


def replay_of(entry: Entry, accept_encoding: bytes) -> Replay | None:
    """The entry as this client can read it: as it was received, or with its coding taken off. None
    when it cannot be given to this client.

    The first asker chose the coding; the next may be another program.
    """
    length = sum(map(len, entry.chunks)) if entry.has_length else None
    if not entry.coding or accepts(accept_encoding[: ACCEPT_BYTES_MAX + 1], entry.coding):
        return Replay(list(entry.headers), entry.chunks, length, entry.coding)
    decoded = decode_body(entry.body, entry.coding, bytes_max=DECODED_BYTES_MAX)
    if decoded.problem:
        return None
    headers = []
    for name, value in entry.headers:
        lowered = name.lower()
        if lowered == b"content-length":
            value = b"%d" % len(decoded.data)
        if lowered != b"content-encoding":
            headers.append((name, value))
    length = None if length is None else len(decoded.data)
    return Replay(headers, (decoded.data,), length, "")


@lru_cache(maxsize=1024)
def accepts(accept_encoding: bytes, coding: str) -> bool:
    """Whether a client that says this can take off these codings (RFC 9110 12.5.3). One that says
    nothing cannot."""
    if len(accept_encoding) > ACCEPT_BYTES_MAX:
        return False
    weights: dict[str, bool] = {}
    for item in accept_encoding.decode("latin-1").lower().split(","):
        name, _, weight = item.partition(";")
        weights[name.strip()] = not _is_zero(weight)
    names = [name.strip().lower() for name in coding.split(",")]
    return all(weights.get(name, weights.get("*", name == "identity")) for name in names)


def _is_zero(weight: str) -> bool:
    _, mark, number = weight.partition("=")
    if not mark:
        return False
    try:
        return float(number) <= 0
    except ValueError:
        return True
