"""What is said of attempts that failed: each one's error, and the one reply for all (proxy.md 6.6).

Differs from the original where the issue says so: an error that is none of ours keeps its own
status, because SDKs would retry a 500, and an early 429 does not end the loop while a later attempt
can still succeed.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from appliance.core.attempts import Candidate
from appliance.core.json_reader import read_json
from appliance.core.model_grammar import ModelItem, ModelPlan
from appliance.core.urls import KEY_LIKE
from appliance.errors import Refusal, UpstreamFailed

INVALID_FORMAT: Final = "invalid_format"
MISSING_KEY: Final = "missing_provider_key"
REQUEST_FAILED: Final = "request_failed"
RATE_LIMITED: Final = "rate_limited"
INVALID_PROMPT: Final = "invalid_prompt"
NOT_SUPPORTED: Final = "model_not_supported"
INSUFFICIENT_CREDIT: Final = "insufficient_credit_limit"
DISALLOWED: Final = "disallowed"
ALL_FAILED: Final = "all_attempts_failed"
TYPES: Final = frozenset({
    INVALID_FORMAT, MISSING_KEY, REQUEST_FAILED, RATE_LIMITED, INVALID_PROMPT, NOT_SUPPORTED,
    INSUFFICIENT_CREDIT, DISALLOWED,
})  # fmt: skip

MESSAGE_CHARACTERS_MAX: Final = 2000
MESSAGE_BYTES_LOOKED_AT: Final = 256 * 1024
BAD_GATEWAY: Final = 502


@dataclass(frozen=True, slots=True)
class AttemptError:
    """How one attempt ended. `status` is the provider's, or the one that we would have sent."""

    type: str
    message: str
    status: int
    source: str = ""
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class AggregateError:
    """The reply when no attempt succeeded."""

    status: int
    code: str
    message: str
    details: tuple[AttemptError, ...]
    retry_after_s: int | None = None

    def body(self) -> bytes:
        """JSON, in the original's shape."""
        error = {
            "code": self.code,
            "message": self.message,
            "details": [_detail(error) for error in self.details],
            "param": None,
        }
        return msgspec.json.encode({"success": False, "error": error})


def is_success(status: int) -> bool:
    return 200 <= status <= 299


def ends_loop(error: AttemptError) -> bool:
    """Whether later attempts could only fail alike. One token is taken per client request, so a
    client over its limit is over it everywhere; missing credits say nothing of an own key."""
    return error.type == RATE_LIMITED


def of_reply(
    candidate: Candidate, status: int, body: bytes, retry_after_s: float | None = None
) -> AttemptError:
    """The error that a provider's reply is."""
    message = provider_message(body) or f"The provider answered with status {status}."
    return AttemptError(REQUEST_FAILED, message, status, candidate.source, retry_after_s)


def of_failure(candidate: Candidate, failure: UpstreamFailed, status: int) -> AttemptError:
    """The error of a provider that did not answer; `status` as a client would see it."""
    return AttemptError(REQUEST_FAILED, failure.message, status, candidate.source)


def of_refusal(candidate: Candidate, refusal: Refusal) -> AttemptError:
    """The error of an attempt that a rule of ours forbade: the limiter, the wallet, a translation.
    The refusal's code is the type where it is one."""
    kind = refusal.code if refusal.code in TYPES else REQUEST_FAILED
    return AttemptError(kind, refusal.message, refusal.status, candidate.source)


def of_no_candidates(plan: ModelPlan, wanted: Sequence[str]) -> list[AttemptError]:
    """Why nothing could be tried: each item, and the providers for which a key would help."""
    errors = []
    for item in plan.items:
        providers = [item.provider] if item.provider else wanted
        providers = [provider for provider in providers if provider not in plan.excluded]
        errors.append(_no_candidate(item, providers))
    return errors


def _no_candidate(item: ModelItem, providers: Sequence[str]) -> AttemptError:
    if not providers:
        message = f"No provider is left for {item.shown}: all that have it are excluded."
        return AttemptError(NOT_SUPPORTED, message, 400, item.shown)
    key = f"key {item.key_id}" if item.key_id else "key"
    message = (
        f"No provider available for {item.shown}: there is no {key} for {', '.join(providers)}."
        " Add one with `provider-keys add`."
    )
    return AttemptError(MISSING_KEY, message, 400, item.shown)


def aggregate(errors: Sequence[AttemptError]) -> AggregateError:
    """One reply for all errors: what the client can mend comes before what it can wait for."""
    assert errors, "asked only when something failed"
    details = tuple(errors)
    forbidden = next((error for error in errors if error.status == 403), None)
    if forbidden is not None:
        return AggregateError(403, REQUEST_FAILED, forbidden.message, details)
    denied = next((error for error in errors if error.status == 401), None)
    if denied is not None:
        message = _led("Authentication failed", denied.message)
        return AggregateError(401, REQUEST_FAILED, message, details)
    ours = (INVALID_FORMAT, DISALLOWED)
    failed = next((e for e in errors if e.status != 429 and e.type not in ours), None)
    if failed is not None:
        status = failed.status if 400 <= failed.status <= 599 else BAD_GATEWAY
        return AggregateError(status, REQUEST_FAILED, failed.message, details)
    unfit = next((error for error in errors if error.type == INVALID_FORMAT), None)
    if unfit is not None:
        return AggregateError(400, REQUEST_FAILED, unfit.message, details)
    if all(error.type == DISALLOWED for error in errors):
        message = "Credits cannot pay for any of these models: none of them is allowed."
        return AggregateError(400, REQUEST_FAILED, message, details)
    if all(error.status == 429 for error in errors):
        return _limited(details)
    return AggregateError(500, ALL_FAILED, "All attempts failed.", details)


def _limited(details: tuple[AttemptError, ...]) -> AggregateError:
    poor = next((error for error in details if error.type == INSUFFICIENT_CREDIT), None)
    if poor is not None:
        message = _led("Insufficient credits", poor.message)
        return AggregateError(429, REQUEST_FAILED, message, details)
    waits = [error.retry_after_s for error in details if error.retry_after_s is not None]
    wait_s = math.ceil(min(waits)) if waits else None
    message = _led("Rate limited", details[0].message)
    return AggregateError(429, RATE_LIMITED, message, details, wait_s)


def _led(lead: str, message: str) -> str:
    """The message behind the words that clients look for, unless it begins with them."""
    return message if message.lower().startswith(lead.lower()) else f"{lead}: {message}"


def provider_message(body: bytes) -> str:
    """The words of a provider's error, wherever it keeps them; "" where there are none. Keys that
    it repeats are hidden."""
    document, fault = read_json(body[:MESSAGE_BYTES_LOOKED_AT])
    if fault:
        text = body[: 4 * MESSAGE_CHARACTERS_MAX].decode("utf-8", "replace").strip()
        text = "" if text.startswith(("<", "{", "[")) else text
    else:
        text = _words(document)
    # A key across the cut would be known no more: hide, and cut then.
    text = KEY_LIKE.sub("***", text[: 2 * MESSAGE_CHARACTERS_MAX])
    return text if len(text) <= MESSAGE_CHARACTERS_MAX else text[:MESSAGE_CHARACTERS_MAX] + "…"


def _words(document: Any) -> str:  # noqa: ANN401 - any JSON
    """`error.message` as most have it, or `error`, `error[0]`, `message`, `detail`,
    `detail.message`, `detail[0].msg`, `detail.error` or its message, `errors[0].message`; Vertex
    wraps its error in a list."""
    if isinstance(document, list):
        document = document[0] if document else None
    if isinstance(document, str):
        return document.strip()
    if not isinstance(document, dict):
        return ""
    for name in ("error", "message", "detail", "msg"):
        found = document.get(name)
        if name in ("error", "detail") and isinstance(found, dict | list):
            inner = found[0] if isinstance(found, list) and found else found
            if isinstance(inner, dict):
                found = inner.get("message") or inner.get("msg") or inner.get("error")
                found = found.get("message") if isinstance(found, dict) else found
            else:
                found = inner
        if isinstance(found, str) and found.strip():
            return found.strip()
    return _first_of(document.get("errors"))


def _first_of(errors: Any) -> str:  # noqa: ANN401 - any JSON
    """The first of a list of errors, as Cloudflare, IBM and Writer write it."""
    first = errors[0] if isinstance(errors, list) and errors else None
    if isinstance(first, str):
        return first.strip()
    if isinstance(first, dict):
        for name in ("message", "description", "detail", "title"):
            found = first.get(name)
            if isinstance(found, str) and found.strip():
                return found.strip()
    return ""


def _detail(error: AttemptError) -> dict[str, Any]:
    detail: dict[str, Any] = {
        "type": error.type,
        "message": error.message,
        "statusCode": error.status,
    }
    if error.source:
        detail["source"] = error.source
    return detail
