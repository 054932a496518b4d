"""What an exchange means: stream or not, model, usage, the outcome once the body has been read.

Frames hold what was seen; this reads it, again and again if need be (ARCHITECTURE 5). It never
raises for what strangers sent.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from appliance.core import model_name
from appliance.core.decoding import Decoded, decode_body
from appliance.core.estimate import estimate
from appliance.core.json_reader import read_json, salvage_string
from appliance.core.realtime import DIALECT as REALTIME
from appliance.core.realtime import documents_of, messages_of
from appliance.core.reply import Reply, is_error_reply, read_reply
from appliance.core.terminal import TerminalScanner
from appliance.core.usage import Reading, read_usage, usage_from_map, usage_to_map
from appliance.core.usage_types import Usage

Meta = Mapping[str, Any]

STATUS_CLIENT_GONE = -3
STATUS_TIMEOUT = -2
STATUS_THREAT = -4
STATUS_BROKEN = -100
STATUS_ERROR_IN_200 = 500
THREAT_ERRORS = frozenset({"threat", "prompt_threat_detected", "PROMPT_THREAT_DETECTED"})
# proxy.md 8.4; a client that stopped reading has left as far as the reply is concerned.
STATUS_OF_OUTCOME = {
    "client_gone": STATUS_CLIENT_GONE,
    "client_stalled": STATUS_CLIENT_GONE,
    "timeout_total": STATUS_TIMEOUT,
    "cut": STATUS_BROKEN,
    "malformed": STATUS_BROKEN,
    "stalled": STATUS_BROKEN,
    "error_in_200": STATUS_ERROR_IN_200,
}
# The reply broke off after a good head: the status that the client saw would hide it.
BROKEN_OUTCOMES = frozenset({"timeout_gap", "timeout_first_byte", "connect_failed"})
# No provider was asked, or none answered: nothing was used.
UNUSED_OUTCOMES = frozenset(
    {"cache_hit", "mock", "refused", "connect_failed", "timeout_connect"}
)  # fmt: skip
# What is told, as `why_next`, of calls that checked the prompt and did not answer it.
CHECKING_CALLS = frozenset(
    {"moderation", "moderation_failed", "guard_model", "guard_model_failed"}
)  # fmt: skip
STREAM_PATHS = ("alt=sse", "streamGenerateContent", "streamRawPredict", "-stream")
OPAQUE_TYPES = ("audio/", "image/", "video/", "application/octet-stream", "multipart/")


class Facts(NamedTuple):
    request: Decoded
    response: Decoded
    request_model: str | None
    response_model: str | None
    model: str | None
    usage: Usage | None
    usage_source: str  # provider | estimated | none
    outcome: str
    status: int | None
    is_stream: bool
    notes: tuple[str, ...]
    step: str | None = None


def read_facts(meta: Meta, request: bytes, response: bytes) -> Facts:
    get = meta.get
    outcome = get("outcome") or ""
    path = get("path") or ""
    if get("dialect") == REALTIME:
        return _session_facts(meta, request, response)
    decoded_request = decode_body(request, get("request_coding"))
    decoded_response = decode_body(response, get("response_coding"))
    asked = _request_document(decoded_request.data, get("request_type") or "")
    whole = outcome == "complete" and not get("response_truncated")
    response_type = get("response_type") or ""
    reply = _reply(decoded_response, response, response_type, whole=whole)
    step: str | None = None
    if get("source"):
        reply = _logged(reply)
        step = get("step") or model_name.step_name(asked)
    if outcome == "client_gone" and get("response_coding") and reply.is_events:
        # SDKs hang up at the terminal event: the relay cannot see it pass in a coded stream.
        if TerminalScanner(get("dialect") or "").feed(decoded_response.data):
            outcome = "complete"
    else:
        outcome = _refined(outcome, get("http_status"), reply, decoded_response)
    # The gateway's model string may name several, with providers: which one it was is told.
    request_model = model_name.clean_name(get("gateway_model")) or model_name.request_name(
        asked, decoded_request.data, get("request_type")
    )
    if request_model is None and asked is None and decoded_request.data[:1] == b"{":
        found = salvage_string(decoded_request.data, b"model")
        request_model = model_name.clean_name(found)
    response_model = None if step else model_name.reply_name(reply.documents)
    if get("model") and not request_model and not response_model:
        request_model = model_name.clean_name(get("model"))
    override = model_name.clean_name(get("model_override"))
    usage, source = _kept_usage(meta)
    if usage is None and step is None:
        usage, source = _usage(meta, asked, decoded_request, reply, outcome)
    return Facts(
        decoded_request,
        decoded_response,
        request_model,
        response_model,
        model_name.resolve(
            override, response_model or _sent_model(get("attempts")), request_model, path,
            get("method") or "POST",
        ),
        usage,
        source,
        outcome,
        status_of(outcome, get("http_status"), get("error")),
        _is_stream(meta, asked, reply, path),
        _notes(decoded_request, decoded_response),
        step,
    )  # fmt: skip


def _logged(reply: Reply) -> Reply:
    """The reply of a call that was told of: text is as good as JSON, and a stream's events may lie
    beside what was made of them (proxy.md 9.4)."""
    documents = reply.documents
    first = documents[0] if len(documents) == 1 else None
    chunks = first.get("streamed_data") if type(first) is dict else None
    if type(chunks) is list and chunks:
        return Reply([*chunks, first], True)
    return reply._replace(malformed=False)


def _sent_model(attempts: object) -> str | None:
    """What the last attempt asked for, where that was ours to say: the client may have named
    several, and not every provider repeats the name (Converse)."""
    last = attempts[-1] if type(attempts) is list and attempts else None
    return model_name.clean_name(last.get("model")) if type(last) is dict else None


def _session_facts(meta: Meta, request: bytes, response: bytes) -> Facts:
    """A WebSocket session: each side is lines of messages (`core/realtime.py`). Its status is 200
    however it ended (proxy.md 1.6); how that was is its outcome."""
    get = meta.get
    path = get("path") or ""
    documents = documents_of(response)
    named = [event["session"] for event in documents if type(event.get("session")) is dict]
    asked = model_name.path_name(path)
    override = model_name.clean_name(get("model_override"))
    answered = model_name.reply_name(named) or model_name.clean_name(get("model"))
    usage, source = _kept_usage(meta)
    if usage is None:
        reading = read_usage("", REALTIME, documents)
        usage, source = (reading.usage, "provider") if reading is not None else (None, "none")
    return Facts(
        Decoded(messages_of(request), ""),
        Decoded(messages_of(response), ""),
        asked,
        answered,
        override or answered or asked,
        usage,
        source,
        get("outcome") or "",
        200,
        True,
        (),
    )


def summarise(meta: Meta, request: bytes, response: bytes) -> dict[str, Any]:
    """What must be read at once because a body will not be kept: to be put into the metadata."""
    facts = read_facts(meta, request, response)
    summary: dict[str, Any] = {"outcome": facts.outcome, "stream_asked": facts.is_stream}
    model = facts.response_model or facts.request_model
    if model:
        summary["model"] = model
    if facts.step:
        summary["step"] = facts.step
    if facts.usage is not None:
        summary["usage"] = {**usage_to_map(facts.usage), "source": facts.usage_source}
    return summary


def status_of(outcome: str, http_status: int | None, error: str | None) -> int | None:
    """The `status` column (`proxy.md 8.4`)."""
    if outcome == "complete":
        return http_status
    status = STATUS_OF_OUTCOME.get(outcome)
    if status is not None:
        return status
    if outcome == "refused" and error in THREAT_ERRORS:
        return STATUS_THREAT
    if outcome in BROKEN_OUTCOMES and (http_status is None or http_status < 400):
        return STATUS_BROKEN
    return http_status


def _request_document(data: bytes, content_type: str) -> object:
    """The request's JSON, whatever its label: curl sends JSON as a form."""
    if not data or content_type.startswith(OPAQUE_TYPES):
        return None
    return read_json(data)[0]


def _reply(decoded: Decoded, raw: bytes, content_type: str, *, whole: bool) -> Reply:
    if content_type.startswith(OPAQUE_TYPES):
        return Reply([])
    if decoded.problem == "wrong" and not decoded.data:
        # A coding that was named and not applied: the bytes may still be what they should be.
        return read_reply(raw, content_type, whole=whole)
    return read_reply(decoded.data, content_type, whole=whole and not decoded.problem)


def _refined(outcome: str, http_status: int | None, reply: Reply, decoded: Decoded) -> str:
    """A reply that came to its end is still none if it holds an error or cannot be read."""
    if outcome != "complete" or http_status is None or not 200 <= http_status < 300:
        return outcome
    if is_error_reply(reply, decoded.data):
        return "error_in_200"
    return "malformed" if reply.malformed or decoded.problem == "cut" else outcome


def _is_stream(meta: Meta, asked: object, reply: Reply, path: str) -> bool:
    if meta.get("stream_asked") or (type(asked) is dict and asked.get("stream") is True):
        return True
    if any(mark in path for mark in STREAM_PATHS):
        return True
    return reply.is_events and "event" in (meta.get("response_type") or "")


def _usage(
    meta: Meta, asked: object, request: Decoded, reply: Reply, outcome: str
) -> tuple[Usage | None, str]:
    if outcome in UNUSED_OUTCOMES:
        return None, "none"
    provider = meta.get("gateway_provider") or (meta.get("provider") or "").lower()
    dialect = meta.get("dialect") or ""
    reading = read_usage(provider, dialect, reply.documents) if reply.names_usage else None
    if reading is not None and reading.complete:
        return reading.usage, "provider"
    http_status = meta.get("http_status")
    if http_status is not None and not 200 <= http_status < 300:
        return None, "none"
    if http_status is None and not _went_out(meta):
        return None, "none"
    return _estimated(meta, asked, request, reply, reading, outcome)


def _went_out(meta: Meta) -> bool:
    """Whether anybody was called to answer, and what that used is not on record with the call."""
    attempts = meta.get("attempts") or ()
    return any(
        attempt.get("why_next") not in CHECKING_CALLS and attempt.get("cost_pico") is None
        for attempt in attempts
    )


def _kept_usage(meta: Meta) -> tuple[Usage | None, str]:
    """What was read while the bodies, which were not kept, could be seen."""
    kept = meta.get("usage")
    if type(kept) is not dict:
        return None, "none"
    return usage_from_map(kept), str(kept.get("source") or "provider")


def _estimated(
    meta: Meta,
    asked: object,
    request: Decoded,
    reply: Reply,
    reading: Reading | None,
    outcome: str,
) -> tuple[Usage | None, str]:
    raw, scale = "", 1.0
    if asked is None and request.data[:1] == b"{":
        raw = request.data.decode("utf-8", "replace")
        if meta.get("request_truncated") and not meta.get("request_coding"):
            scale = max(1.0, (meta.get("request_bytes") or 0) / len(request.data))
    usage = estimate(
        asked,
        reply.documents,
        dialect=meta.get("dialect") or "",
        path=meta.get("path") or "",
        raw_request=raw,
        ended=outcome == "complete" and not meta.get("response_truncated"),
    )
    if usage is None:
        return (reading.usage, "provider") if reading is not None else (None, "none")
    if reading is not None:
        # The stream said what it read and was cut before it said what it wrote.
        output = max(reading.usage.output, usage.output)
        return replace(reading.usage, output=output), "estimated"
    return replace(usage, input=round(usage.input * scale)), "estimated"


def _notes(request: Decoded, response: Decoded) -> tuple[str, ...]:
    if not (request.problem or response.problem):
        return ()
    return tuple(
        f"decoding-{side};reason={decoded.problem}"
        for side, decoded in (("request", request), ("response", response))
        if decoded.problem
    )
