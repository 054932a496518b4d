"""Which session a span belongs to and where in it, from the spans that came with it.

A span whose parent came in another request (exporters without batches send each at its end, the
parent last) is placed by what Traceloop says of its way, else directly below the root; the ids stay
on record, so the true tree can be drawn from those.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from appliance.core.otlp_wire import Span

DEPTH_MAX: Final = 64
NAME_CHARACTERS_MAX: Final = 128


class Place(NamedTuple):
    """Of one span. `session_id` is "" for a call that stands alone."""

    session_id: str
    path: str
    name: str


def places(spans: Sequence[Span], steps: Sequence[str | None]) -> list[Place]:
    """`steps` as `step_of` has them. A trace is a session of its own where nothing else is said,
    unless it is one single model's call."""
    by_id = {(span.trace_id, span.span_id): span for span in spans if span.span_id}
    parents = {(span.trace_id, span.parent_id) for span in spans if span.parent_id}
    found = []
    for span, step in zip(spans, steps, strict=True):
        alone = not (span.parent_id or step is not None)
        alone = alone and (span.trace_id, span.span_id) not in parents
        way = _way(span, by_id)
        name = _text(span.attributes, "traceloop.workflow.name") or _text(
            span.resource, "service.name"
        )
        session_id = "" if alone else span.trace_id
        found.append(Place(session_id, "/" + "/".join(way), name or way[0]))
    return found


def _way(span: Span, by_id: Mapping[tuple[str, str], Span]) -> list[str]:
    """Names from the root down to this span."""
    names = [_segment(span)]
    at: Span | None = span
    seen = {span.span_id}
    while at is not None and at.parent_id and len(names) < DEPTH_MAX:
        if at.parent_id in seen:
            break
        seen.add(at.parent_id)
        above = by_id.get((at.trace_id, at.parent_id))
        if above is None:
            names += reversed(_told_way(at))
            break
        names.append(_segment(above))
        at = above
    return names[::-1]


def _told_way(span: Span) -> list[str]:
    """`traceloop.workflow.name` and `traceloop.entity.path` name what is above."""
    workflow = _text(span.attributes, "traceloop.workflow.name")
    path = _text(span.attributes, "traceloop.entity.path")
    above = [workflow, *path.split(".")] if workflow or path else []
    return [name.replace("/", "_") for name in above if name][:DEPTH_MAX]


def _segment(span: Span) -> str:
    return span.name[:NAME_CHARACTERS_MAX].replace("/", "_") or "span"


def _text(attributes: Mapping[str, Any], name: str) -> str:
    value = attributes.get(name)
    return value[:NAME_CHARACTERS_MAX] if isinstance(value, str) else ""
