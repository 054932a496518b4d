"""Whom a rate limit counts: organisation, user or property, and the bucket's key (proxy.md 5.2).

Pure. Values of clients are cleaned here; what leaves is a digest, so that no bucket, in memory or
on disk, has the name of a user. The last few thousand names stay beside their digests in memory.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from hashlib import blake2b
from typing import Final

import msgspec

from appliance.core.rate_policy import GLOBAL, USER, Policy

BucketKey = bytes

KEY_BYTES: Final = 16
VALUE_CHARACTERS_MAX: Final = 256
NAME_CHARACTERS_MAX: Final = 128
KEYS_CACHED_MAX: Final = 8192
CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")

_decode_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_text = msgspec.json.Decoder(str).decode


def segment_value(policy: Policy, user_id: str, properties: Mapping[str, str]) -> str | None:
    """The cleaned value that the policy's segment has in this request: "" where the segment is the
    whole organisation, None when the request names none (the check fails open)."""
    segment = policy.segment
    if segment == GLOBAL:
        return ""
    found = user_id if segment == USER else _property(segment, properties)
    return cleaned(found) or None


def bucket_text(org: bytes, policy: Policy, value: str) -> str:
    """The identity of a bucket: organisation, segment and unit. Quota and window are no part of
    it: two policies of the same segment and unit share one bucket."""
    segment, unit = policy.segment, policy.unit
    if segment == GLOBAL:
        return f"tb:{org.hex()}:global::{unit}"
    if segment == USER:
        return f"tb:{org.hex()}:user:{value}:{unit}"
    return f"tb:{org.hex()}:prop:{segment[:NAME_CHARACTERS_MAX]}:{value}:{unit}"


@lru_cache(maxsize=KEYS_CACHED_MAX)
def bucket_key(text: str, secret: bytes) -> BucketKey:
    """The key of a bucket: a digest that tells nothing without the region's secret (≤ 64 bytes)."""
    data = text.encode("utf-8", "surrogatepass")
    return blake2b(data, digest_size=KEY_BYTES, key=secret).digest()


def cleaned(value: str) -> str:
    """`:` as `_`, without control characters, trimmed, at most 256 characters."""
    if ":" in value or not value.isprintable():
        value = CONTROL.sub("", value.replace(":", "_"))
    return value.strip()[:VALUE_CHARACTERS_MAX]


def user_of_body(body: bytes) -> str:
    """The `user` of a JSON body, for requests without a Helicone-User-Id; "" when it has none."""
    try:
        field = _decode_fields(body).get("user")
        return _decode_text(field) if field is not None else ""
    except (msgspec.MsgspecError, RecursionError, ValueError):
        return ""


def _property(segment: str, properties: Mapping[str, str]) -> str:
    """Clients' properties are in lower case already; those that Helicone adds are not."""
    value = properties.get(segment)
    if value is not None:
        return value
    return next((value for name, value in properties.items() if name.lower() == segment), "")
