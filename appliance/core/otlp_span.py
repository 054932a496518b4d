"""A span becomes a record: a model's call, or a step beside such calls (backend.md 3.5).

Pure. What has no place of its own is kept under `otel` in the request's body, so that nothing is
lost.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from appliance.core.derive import TIME_US_MAX
from appliance.core.json_reader import write_json
from appliance.core.log_record import Maker
from appliance.core.logged import DURATION_US_MAX, SOURCE_OTLP, Logged, meta_headers, plain_text
from appliance.core.otlp_messages import (
    NUMBERED_PREFIXES,
    Message,
    Numbered,
    conversation,
    document,
)
from appliance.core.otlp_names import (
    ALIASES,
    ASSOCIATION,
    COUNTS,
    FIRST_TOKEN_EVENT,
    MODEL_OPERATIONS,
    MODELS,
    SETTING_NAMES,
    SLOTS,
    STEP_OF_KIND,
    STEP_OF_OPERATION,
    VECTOR_STORES,
)
from appliance.core.otlp_wire import STATUS_ERROR, Span
from appliance.core.usage.counts import cost_pico, count

# Where properties stand: behind the prefix is the name.
PROPERTY_PREFIXES: Final = (ASSOCIATION, "ai.telemetry.metadata.", "langfuse.trace.metadata.")
PROPERTY_BYTES_MAX: Final = 8 * 1024
PROPERTIES_MAX: Final = 128
HEADER_CHARACTERS_MAX: Final = 512  # of a user or session; all of them together fit a head
NAME_CHARACTERS_MAX: Final = 256

FindMaker = Callable[[str], Maker | None]


def logged_span(span: Span, find_maker: FindMaker) -> Logged:
    """The record of one span but for its session, which the other spans tell (`otlp_tree.py`)."""
    read = Read(span)
    found = read.found
    name = found.get("provider")
    maker = maker_of(name if isinstance(name, str) else "", find_maker)
    step = step_of(span)
    status = _status(span)
    facts: dict[str, Any] = {
        "source": SOURCE_OTLP,
        "method": "POST",
        "path": span.name[:NAME_CHARACTERS_MAX],
        "target_url": _text(found.get("address")),
        "provider": maker.name,
        "request_type": "application/json",
        "response_type": "application/json",
        "outcome": "complete",
        "http_status": status,
        "trace_id": span.trace_id or None,
        "span_id": span.span_id or None,
        "parent_span_id": span.parent_id or None,
        "properties": read.properties,
    }
    _add_times(facts, span, found)
    if maker.provider_id:
        facts["gateway_provider"] = maker.provider_id
    if span.dropped:
        facts["not_applied"] = [f"attributes;reason=over-{span.dropped}"]
    if step is not None:
        facts["step"] = step
        request, response = _step(span, found, step, status)
    else:
        facts["dialect"] = "openai"  # what the bodies are written in
        if usage := _usage(found):
            facts["usage"] = usage
        request, response = _model_call(span, read, status)
    cost = cost_pico(found.get("cost"))
    if cost is not None:
        facts["declared_cost_pico"] = cost
    for header, slot in (("helicone-user-id", "user"), ("helicone-session-id", "session")):
        if (value := found.get(slot)) not in (None, ""):
            read.headers.setdefault(header, plain_text(value)[:HEADER_CHARACTERS_MAX])
    if (service := span.resource.get("service.name")) and isinstance(service, str):
        read.properties.setdefault("service.name", service[:PROPERTY_BYTES_MAX])
    request["otel"] = _kept(span, read.left)
    return Logged(facts, write_json(request), write_json(response), meta_headers(read.headers))


class Read:
    """A span's attributes, each looked at once. `found` by the word of `SLOTS`; `left` are those
    that nobody has asked for."""

    __slots__ = ("found", "headers", "left", "numbered", "properties")

    def __init__(self, span: Span) -> None:
        self.found: dict[str, Any] = {}
        self.headers: dict[str, Any] = {}
        self.properties: dict[str, str] = {}
        self.numbered = Numbered()
        self.left: dict[str, Any] = {}
        ranks: dict[str, int] = {}
        for key, value in span.attributes.items():
            slot = SLOTS.get(key)
            if slot is not None:
                word, rank = slot
                if value is not None and rank <= ranks.get(word, rank):
                    self.found[word] = value
                    ranks[word] = rank
            elif key.startswith(NUMBERED_PREFIXES) and self.numbered.take(key, value):
                continue
            elif not (key.startswith(PROPERTY_PREFIXES) and self._takes_property(key, value)):
                self.left[key] = value

    def _takes_property(self, key: str, value: object) -> bool:
        """Association properties: Helicone's headers are headers, `Helicone-Property-X` is X, any
        other is a property of that name, its case kept (backend.md 3.4, 3.5)."""
        if value is None or len(self.properties) >= PROPERTIES_MAX:
            return False
        prefix = next(filter(key.startswith, PROPERTY_PREFIXES))
        name = key[len(prefix) :]
        lowered = name.lower()
        if lowered.startswith("helicone-property-") and len(name) > 18:
            name = name[18:]
        elif lowered.startswith("helicone-") or lowered == "x-stripe-customer-id":
            self.headers[lowered] = plain_text(value)[:HEADER_CHARACTERS_MAX]
            return True
        self.properties[name[:NAME_CHARACTERS_MAX]] = plain_text(value)[:PROPERTY_BYTES_MAX]
        return True


def step_of(span: Span) -> str | None:
    """None for a model's call; else `tool`, `vector_db` or `data`, which is everything else."""
    get = span.attributes.get
    operation = get("gen_ai.operation.name")
    if operation in MODEL_OPERATIONS:
        return None
    if isinstance(operation, str) and operation:
        return STEP_OF_OPERATION.get(operation, "data")
    kind = get("openinference.span.kind") or get("traceloop.span.kind")
    if isinstance(kind, str) and kind:
        kind = kind.lower()
        return None if kind in ("llm", "embedding") else STEP_OF_KIND.get(kind, "data")
    sdk = get("ai.operationId")
    if isinstance(sdk, str):
        if sdk == "ai.toolCall":
            return "tool"
        # The outer span sums up the inner ones, which are the calls: `….doGenerate`, `….doEmbed`.
        return None if ".do" in sdk else "data"
    if get("llm.request.type") or any(get(name) for name in MODELS):
        return None
    if get("gen_ai.tool.name") or get("tool.name"):
        return "tool"
    store = get("db.system.name") or get("db.system")
    if isinstance(store, str) and (
        store.lower() in VECTOR_STORES
        or any(key.startswith("db.vector.") for key in span.attributes)
    ):
        return "vector_db"
    if any(name in span.attributes for name in COUNTS):
        return None
    return "data"


def maker_of(name: str, find_maker: FindMaker) -> Maker:
    """The provider by one of its many names; an unknown one in capitals (backend.md 3.5)."""
    lowered = name.strip().lower()[:64]
    if not lowered:
        return Maker("CUSTOM")
    known = ALIASES.get(lowered, lowered)
    for spelling in (known, known.replace("_", "-"), known.partition(".")[0]):
        found = find_maker(spelling)
        if found is not None:
            return found
    return Maker(lowered.upper())


def _add_times(facts: dict[str, Any], span: Span, found: Mapping[str, Any]) -> None:
    start_us, end_us = span.start_ns // 1000, span.end_ns // 1000
    if 0 < start_us <= TIME_US_MAX:
        facts["created_at_us"] = start_us
        if 0 <= end_us - start_us <= DURATION_US_MAX:
            facts["duration_us"] = end_us - start_us
    seconds, milliseconds = found.get("first_s"), found.get("first_ms")
    ttfb_us = 0
    if isinstance(seconds, int | float):
        ttfb_us = _micro(seconds, 10**6)
    elif isinstance(milliseconds, int | float):
        ttfb_us = _micro(milliseconds, 1000)
    else:
        for event in span.events:
            if event.at_ns > span.start_ns and FIRST_TOKEN_EVENT.search(event.name):
                ttfb_us = _micro((event.at_ns - span.start_ns) / 1000, 1)
                break
    if ttfb_us:
        facts["ttfb_us"] = ttfb_us


def _micro(value: float, unit: int) -> int:
    return int(value * unit) if 0 < value * unit <= DURATION_US_MAX else 0


def _status(span: Span) -> int:
    """The span's own word is ok or error; an HTTP status says more, where there is one."""
    attributes = span.attributes
    told = attributes.get("http.response.status_code", attributes.get("http.status_code"))
    if told is None and str(attributes.get("error.type", "")).isdecimal():
        told = int(attributes["error.type"][:4])
    if (
        isinstance(told, int)
        and 100 <= told <= 999
        and (told >= 400 or span.status != STATUS_ERROR)
    ):
        return told
    return 500 if span.status == STATUS_ERROR else 200


def _usage(found: Mapping[str, Any]) -> dict[str, Any] | None:
    """Counts of a span include their parts: what was cached, written to a cache, thought."""
    told_in, told_out, total = found.get("input"), found.get("output"), found.get("total")
    if told_in is None and told_out is None and total is None:
        return None
    read, written = count(found.get("cached")), count(found.get("written"))
    thought = count(found.get("thought"))
    prompt, completion = count(told_in), count(told_out)
    if not prompt and not completion:
        prompt = count(total)
    if read + written <= prompt:
        prompt -= read + written
    if thought <= completion:
        completion -= thought
    return {
        "input": prompt, "output": completion, "cached_input": read, "write_5m": written,
        "thinking": thought, "source": "provider",
    }  # fmt: skip


Bodies = tuple[dict[str, Any], dict[str, Any]]


def _model_call(span: Span, read: Read, status: int) -> Bodies:
    found = read.found
    asked, said = conversation(span, read.numbered, read.left)
    request: dict[str, Any] = {}
    asked_model, model = found.get("request_model"), found.get("response_model")
    if asked_model or model:
        request["model"] = asked_model or model
    request["messages"] = asked
    for wanted in SETTING_NAMES:
        if wanted in found:
            request[wanted] = found[wanted]
    if tools := document(found.get("tools")):
        request["tools"] = tools
    if status >= 400 and not said:
        return request, {"error": _error(span)}
    response: dict[str, Any] = {
        "object": "chat.completion",
        "choices": _choices(said, found.get("reasons")),
    }
    if identity := found.get("response_id"):
        response["id"] = identity
    if model:
        response["model"] = model
    return request, response


def _choices(said: list[Message], reasons: Any) -> list[dict[str, Any]]:  # noqa: ANN401
    if isinstance(reasons, str):
        reasons = document(reasons)
    if not isinstance(reasons, list):
        reasons = [reasons] if reasons else []
    choices = []
    for index, message in enumerate(said):
        reason = message.pop("finish_reason", None)
        message["role"] = message.get("role") or "assistant"
        if reason is None and index < len(reasons):
            reason = reasons[index]
        choices.append({"index": index, "message": message, "finish_reason": reason})
    return choices


def _step(span: Span, found: Mapping[str, Any], step: str, status: int) -> Bodies:
    """As Helicone's loggers write their steps (backend.md 3.1)."""
    request: dict[str, Any] = {"_type": step}
    response: dict[str, Any] = {"_type": step}
    if step == "tool":
        name = found.get("tool_name") or found.get("entity_name") or span.name
        request["toolName"] = response["toolName"] = str(name)
    else:
        request["name"] = response["name"] = span.name
    if step == "vector_db":
        request["operation"] = str(found.get("db_operation") or span.name)
    asked, said = found.get("asked"), found.get("said")
    if asked is not None:
        request["input"] = document(asked)
    if said is not None:
        response["output"] = document(said)
    response["status"] = "error" if status >= 400 else "success"
    if status >= 400:
        response["error"] = _error(span)
    return request, response


def _error(span: Span) -> dict[str, Any]:
    """The exception that was recorded, or what the status says."""
    for event in reversed(span.events):
        if event.name == "exception":
            get = event.attributes.get
            return {
                "message": get("exception.message") or span.message,
                "type": get("exception.type"),
            }
    return {"message": span.message, "type": span.attributes.get("error.type")}


def _kept(span: Span, attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Where the span comes from, and what has found no other place."""
    kept: dict[str, Any] = {"name": span.name, "kind": span.kind, "scope": span.scope}
    if attributes:
        kept["attributes"] = dict(attributes)
    if span.events:
        kept["events"] = [
            {"name": event.name, "time_ns": event.at_ns, "attributes": event.attributes}
            for event in span.events
        ]
    return kept


def _text(value: object) -> str:
    return value[:NAME_CHARACTERS_MAX] if isinstance(value, str) else ""
