"""Webhooks: which exchanges one wants, what is sent of them, how it is signed, and when it is sent
again (`backend.md 7.1`, `proxy.md 7.8`).

Pure. It knows nothing of queues and connections.
"""

import hashlib
import hmac
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

VERSION: Final = "2024-10-22"
SIGNATURE_HEADER: Final = "Helicone-Signature"
TIMESTAMP_HEADER: Final = "Helicone-Timestamp"
WEBHOOK_HEADER: Final = "Helicone-Webhook-Id"
DELIVERY_HEADER: Final = "Helicone-Delivery-Id"

# Text beyond this is replaced by a notice, as Helicone does; JSON has room for a long chat.
TEXT_BYTES_MAX: Final = 10 * 1024
JSON_BYTES_MAX: Final = 256 * 1024

ATTEMPTS_MAX: Final = 10
FIRST_WAIT_S: Final = 10.0
LONGEST_WAIT_S: Final = 6 * 3600.0
GROWTH: Final = 3.0
JITTER: Final = 0.25


@dataclass(frozen=True, slots=True)
class Webhook:
    """One receiver of an organisation. All `filters` have to match; `sample_percent` of what does
    is sent. `key` is the text of its HMAC key."""

    id: str
    org: bytes
    destination: str
    sample_percent: float = 100.0
    filters: tuple[tuple[str, str], ...] = ()
    include_data: bool = True
    key: str = field(default="", repr=False)

    def wants(self, exchange_id: bytes, properties: Mapping[str, str]) -> bool:
        """The same answer whenever it is asked: an exchange that is looked at again is not drawn
        again."""
        if any(properties.get(name) != value for name, value in self.filters):
            return False
        if self.sample_percent >= 100:
            return True
        drawn = hashlib.sha256(self.id.encode() + exchange_id).digest()
        return int.from_bytes(drawn[:7], "big") / 2**56 * 100 < self.sample_percent

    def delivery_id(self, exchange_id: bytes) -> str:
        """By which a receiver knows what it has had already."""
        return str(uuid.uuid5(uuid.UUID(self.id), exchange_id.hex()))


def read_filters(text: str) -> tuple[tuple[str, str], ...]:
    """As they are stored: a JSON list of name and value."""
    return tuple((name, value) for name, value in json.loads(text))


def signature(key: str, body: bytes) -> str:
    """Hex HMAC-SHA256 of the body, byte for byte."""
    return hmac.new(key.encode(), body, hashlib.sha256).hexdigest()


def headers_of(webhook: Webhook, delivery_id: str, body: bytes, now_s: float) -> dict[str, str]:
    """Beside those of any POST. Only the first is Helicone's; the others are additions."""
    return {
        SIGNATURE_HEADER: signature(webhook.key, body),
        TIMESTAMP_HEADER: str(int(now_s)),
        WEBHOOK_HEADER: webhook.id,
        DELIVERY_HEADER: delivery_id,
    }


def payload(
    webhook: Webhook, row: Mapping[str, Any], bodies: tuple[Any, Any], url: str | None
) -> dict[str, Any]:
    """What is sent, before it is written as JSON. `row` has the columns of the view `requests`."""
    found: dict[str, Any] = {
        "request_id": str(row["request_id"]),
        "request_body": bodies[0],
        "response_body": bodies[1],
    }
    if row["user_id"]:
        found["user_id"] = row["user_id"]
    if not webhook.include_data:
        return found
    if url is not None:
        found["request_response_url"] = url
    for name in ("model", "provider"):
        if row[name]:
            found[name] = row[name]
    found["metadata"] = _metadata(row)
    return found


def _metadata(row: Mapping[str, Any]) -> dict[str, Any]:
    """What is not known is left out, as in JavaScript what is undefined."""
    latency_ms = row["latency_ms"]
    known = {
        "cost": row["cost_usd"],
        "promptTokens": row["prompt_tokens"],
        "completionTokens": row["completion_tokens"],
        "totalTokens": _total(row),
        "latencyMs": None if latency_ms is None else round(latency_ms),
    }
    return {name: value for name, value in known.items() if value is not None}


def _total(row: Mapping[str, Any]) -> int | None:
    names = ("prompt_tokens", "completion_tokens", "reasoning_tokens")
    known = [row[name] for name in names if row[name] is not None]
    return sum(known) if known else None


def sample_payload(webhook: Webhook) -> dict[str, Any]:
    """What a test sends: bodies are text there, so that a receiver sees both shapes."""
    row = {
        "request_id": uuid.uuid5(uuid.UUID(webhook.id), "test"), "user_id": "test-user",
        "model": "gpt-4o-mini", "provider": "OPENAI", "cost_usd": Decimal("0.000021"),
        "prompt_tokens": 12, "completion_tokens": 8, "reasoning_tokens": None, "latency_ms": 412.0,
    }  # fmt: skip
    request = '{"model":"gpt-4o-mini","messages":[{"role":"user","content":"A test of a webhook"}]}'
    response = '{"choices":[{"message":{"role":"assistant","content":"It works."}}]}'
    return payload(webhook, row, (request, response), None)


def notice(size_bytes: int, bytes_max: int, url: str | None) -> str:
    """In the place of a body that is too large."""
    where = "request_response_url has it" if url else "GET /v1/request/{id}?includeBody=true has it"
    return f"[{size_bytes} bytes, more than the {bytes_max} of a webhook: {where}]"


def wait_s(attempts: int, draw: float) -> float | None:
    """How long to wait after so many attempts; None: it was the last one. In all about 15 hours.
    `draw` is from 0 to 1: receivers that come back are not met by all at once."""
    if attempts >= ATTEMPTS_MAX:
        return None
    usual_s = min(FIRST_WAIT_S * GROWTH ** (attempts - 1), LONGEST_WAIT_S)
    return usual_s * (1 - JITTER + 2 * JITTER * draw)
