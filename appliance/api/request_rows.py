"""Rows of ours become Helicone's `HeliconeRequest` (`backend.md 1.6`).

Pure. A row comes from the views or, before it is in the database, from the deriver: the second
lacks what the views work out. Bodies that are JSON are passed through as they are, checked and not
parsed.
"""

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import msgspec

from appliance.api.filter_fields import NOT_CACHED_ID
from storage.rows import BODY_COLUMNS, REQUEST_COLUMNS

COLUMNS: Final = (
    "exchange_id", "request_id", "request_created_at", "response_created_at", "recorded_at",
    "provider", "model", "request_model", "response_model", "model_override", "status", "outcome",
    "latency_ms", "time_to_first_token_ms", "prompt_tokens", "completion_tokens",
    "prompt_cache_read_tokens", "prompt_cache_write_tokens", "prompt_audio_tokens",
    "completion_audio_tokens", "reasoning_tokens", "usage_source", "cost_usd", "user_id",
    "properties", "scores", "feedback", "prompt_id", "prompt_version", "request_path", "target_url",
    "request_referrer", "country_code", "request_bytes", "response_bytes", "cache_enabled",
    "cache_reference_id", "feedback_at", "boolean_scores",
)  # fmt: skip
PICO: Final = Decimal("0.000000000001")
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
NOT_ASKED: Final = {"helicone_message": "Bodies come with includeBody=true."}
TOO_LARGE: Final = {
    "helicone_message": "The bodies of this page are too large for one answer. "
    "GET /v1/request/{id}?includeBody=true has this one."
}
BASE64: Final = ";base64"
# How Helicone marks a score that was given as true or false (`backend.md 4.2`).
BOOLEAN_SUFFIX: Final = "-hcone-bool"
FEEDBACK_SCORE: Final = "helicone-score-feedback"

NO_ASSETS: Final[Mapping[str, str]] = {}

Row = Mapping[str, Any]
Bodies = tuple[Any, Any]


def view_row(values: Sequence[Any]) -> dict[str, Any]:
    """What a statement over `COLUMNS` gave."""
    return dict(zip(COLUMNS, values, strict=True))


def derived_row(values: Sequence[Any]) -> dict[str, Any]:
    """A row of `requests` as it is stored, with what the view adds to it. Nobody can have edited
    it yet: edits are for exchanges that are in the database."""
    row = {name: value for (name, _), value in zip(REQUEST_COLUMNS, values, strict=True)}
    cost_pico = row["cost_pico"]
    row["cost_usd"] = None if cost_pico is None else cost_pico * PICO
    return row | {"scores": {}, "feedback": None, "feedback_at": None, "boolean_scores": None}


def derived_bodies(values: Sequence[Any]) -> Bodies:
    """Request and response of a row of `bodies` as it is stored."""
    row = {name: value for (name, _), value in zip(BODY_COLUMNS, values, strict=True)}
    return bodies_of(row["request"], row["response"], row["request_type"], row["response_type"])


def bodies_of(
    request: str | None, response: str | None, request_type: str | None, response_type: str | None
) -> Bodies:
    """Each as JSON where it is JSON, else as text."""
    return _body(request, request_type), _body(response, response_type)


def helicone_request(
    row: Row,
    bodies: Bodies,
    *,
    signed_body_url: str | None = None,
    assets: Mapping[str, str] = NO_ASSETS,
) -> dict[str, Any]:
    """Every field of the contract; what is not known here is null or empty, as its type says."""
    get = row.get
    cost = _cost(get("cost_usd"))
    properties = get("properties") or {}
    return {
        "request_id": id_text(row["request_id"]),
        "request_created_at": time_text(get("request_created_at")),
        "request_body": bodies[0],
        "request_path": get("request_path"),
        "request_user_id": get("user_id"),
        "request_properties": properties,
        "request_model": get("request_model"),
        "model_override": get("model_override"),
        "model": get("model") or "unknown",
        "helicone_user": None,
        "response_id": None,
        "response_created_at": time_text(get("response_created_at")),
        "response_body": bodies[1],
        "response_status": get("status"),
        "response_model": get("response_model"),
        "provider": get("provider"),
        "delay_ms": _whole(get("latency_ms")),
        "time_to_first_token": _whole(get("time_to_first_token_ms")),
        **_tokens(row),
        "usage_source": get("usage_source"),
        "cost": cost,
        "costUSD": cost,
        "prompt_id": get("prompt_id"),
        "prompt_version": get("prompt_version"),
        "feedback_created_at": time_text(get("feedback_at")),
        "feedback_id": None,
        "feedback_rating": get("feedback"),
        "signed_body_url": signed_body_url,
        "llmSchema": None,
        "country_code": get("country_code"),
        "asset_ids": list(assets),
        "asset_urls": assets,
        "assets": list(assets),
        "scores": shown_scores(row),
        "properties": properties,
        "target_url": get("target_url"),
        # all zeros is the contract's word for a miss
        "cache_reference_id": id_text(get("cache_reference_id") or NOT_CACHED_ID),
        "cache_enabled": bool(get("cache_enabled")),
        "updated_at": time_text(get("recorded_at")),
        "request_referrer": get("request_referrer"),
        "ai_gateway_body_mapping": "",
        "storage_location": None,
        "size_bytes": (get("request_bytes") or 0) + (get("response_bytes") or 0),
        "outcome": get("outcome"),
    }


def shown_scores(row: Row) -> dict[str, float]:
    """With Helicone's names for what was given as true or false, feedback among it."""
    boolean = frozenset(row.get("boolean_scores") or ())
    scores = {
        name + BOOLEAN_SUFFIX if name in boolean else name: value
        for name, value in (row.get("scores") or {}).items()
    }
    feedback = row.get("feedback")
    if feedback is not None:
        scores[FEEDBACK_SCORE] = int(feedback)
    return scores


def id_text(value: UUID | bytes | str) -> str:
    """A UUID in its usual form, from what the database or the deriver gives."""
    return str(UUID(bytes=value) if isinstance(value, bytes) else value)


def _tokens(row: Row) -> dict[str, int | None]:
    """The total is without cached tokens; unknown when none of its parts is known."""
    get = row.get
    parts = (get("prompt_tokens"), get("completion_tokens"), get("reasoning_tokens"))
    known = [part for part in parts if part is not None]
    return {
        "total_tokens": sum(known) if known else None,
        "prompt_tokens": parts[0],
        "completion_tokens": parts[1],
        "reasoning_tokens": parts[2],
        "prompt_cache_write_tokens": get("prompt_cache_write_tokens"),
        "prompt_cache_read_tokens": get("prompt_cache_read_tokens"),
        "prompt_audio_tokens": get("prompt_audio_tokens"),
        "completion_audio_tokens": get("completion_audio_tokens"),
    }


def _body(text: str | None, content_type: str | None) -> msgspec.Raw | str | None:
    if text is None or (content_type or "").endswith(BASE64):
        return text
    data = text.encode("utf-8", "replace")
    try:
        return msgspec.json.decode(data, type=msgspec.Raw)
    except (msgspec.MsgspecError, RecursionError):
        return text


def time_text(value: datetime | int | None) -> str | None:
    """ISO 8601 in UTC, to the microsecond, so that a filter can name exactly this moment."""
    if value is None:
        return None
    moment = EPOCH + timedelta(microseconds=value) if isinstance(value, int) else value
    return moment.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def _whole(value: float | None) -> int | None:
    # halves go up, as the database rounds them: what is shown is what a filter finds
    return None if value is None else math.floor(value + 0.5)


def _cost(value: Decimal | None) -> Decimal | None:
    return None if value is None else value.normalize()
