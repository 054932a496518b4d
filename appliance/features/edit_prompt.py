"""What a client has asked to be done to its prompt before it is sent: legacy prompt tags taken out
(proxy.md 7.5), and a prompt that is too long for its model made to fit (7.4).

The edited body is what the provider, the cache and everything behind this line see; the record too,
but for bodies over 1 MiB, which it keeps as they came. What cannot be edited is sent as it came,
and that is said in the reply and on the record.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from appliance import fence
from appliance.actors.spill import Replaced
from appliance.bodies import BODY_BYTES_MAX, READ_HERE_BYTES_MAX, of_document
from appliance.core.ask_types import Asks
from appliance.core.json_reader import write_json
from appliance.core.prompt_tags import unwrapped
from appliance.core.token_limit import fitted
from appliance.exchange import Body, Exchange

# Of a template, which is kept beside the body.
TEMPLATE_BYTES_MAX = 256 * 1024
TAGS = "prompt-tags"
TOKEN_LIMIT = "token-limit"  # noqa: S105 - a feature's name
# Bodies that say they are no JSON.
FOREIGN = (b"multipart/", b"audio/", b"image/", b"video/", b"application/octet-stream")


class Registry(Protocol):
    """What is known of models."""

    def context_of(self, name: str) -> int:
        """How many tokens a model takes in and gives, 0 where that is not known."""


class Knowing(Protocol):
    """What knows models."""

    @property
    def registry(self) -> Registry: ...


@dataclass(slots=True)
class Edited:
    """What a body says after its edits, its bytes where those have changed, its template as JSON,
    and what could not be done."""

    document: object
    data: bytes | None = None
    template: bytes = b""
    missed: list[str] = field(default_factory=list)


def wants_edit(x: Exchange) -> bool:
    """Whether something is asked for, and there is a prompt."""
    asks = x.asks
    wanted = bool(asks.token_limit_handler) or has_tags(asks)
    return wanted and not x.route.switches and x.body.length > 0


async def edit_prompt(x: Exchange, load: Callable[[], Awaitable[Knowing]]) -> None:
    """Take out tags, then make the rest fit. `load` gives what is known of models. Raises Refusal
    400 for a prompt id with a body that is no JSON object, 503 where a large body has no room."""
    asks = x.asks
    handler, untags = asks.token_limit_handler, has_tags(asks)
    if not wants_edit(x):
        return
    if is_foreign(x) or x.body.length > BODY_BYTES_MAX:
        told = [TAGS] * untags + [TOKEN_LIMIT] * bool(handler)
        for feature in told:
            fence.note(x, f"{feature};reason=body")
        return
    context_of = (await load()).registry.context_of if handler else None
    body, spill, keep = x.body, x.body.spill, x.route.is_gateway
    edit = partial(edited, asks=asks, context_of=context_of)
    done = await of_document(body, edit, keep=keep)
    for missed in done.missed:
        fence.note(x, missed)
    x.template = done.template
    data = done.data
    if data is None:
        return
    # What follows need not read what was just written.
    read = (done.document, "") if keep or body.length <= READ_HERE_BYTES_MAX else None
    if spill is None:
        x.body = Body(data, None, len(data), body.trailers, read)
    else:
        x.body = Body(b"", Replaced(spill, data), len(data), body.trailers, read)


def has_tags(asks: Asks) -> bool:
    """Whether the prompt is one whose tags are to be taken out."""
    return bool(asks.prompt_id) and asks.prompt_mode != "deactivated"


def is_foreign(x: Exchange) -> bool:
    """Whether the body is coded, or says itself that it is no JSON."""
    first = x.head.first
    return b"content-encoding" in first or (
        first.get(b"content-type", b"").lower().startswith(FOREIGN)
    )


def edited(
    document: object, _fault: str, *, asks: Asks, context_of: Callable[[str], int] | None
) -> Edited:
    """What a body says (`read_json`) with all that was asked for done to it. `context_of` None: its
    length is not looked at. Raises Refusal 400."""
    done = Edited(document)
    if has_tags(asks):
        done.document, template = unwrapped(document)
        done.template = write_json(template.as_logged())
        if len(done.template) > TEMPLATE_BYTES_MAX:
            done.template = b""
            done.missed.append("prompt-template;reason=too-large")
    if context_of is not None:
        _fit(done, asks, context_of)
    if done.document is not document:
        done.data = write_json(done.document)
    return done


def _fit(done: Edited, asks: Asks, context_of: Callable[[str], int]) -> None:
    document = done.document
    if not isinstance(document, dict):
        done.missed.append(f"{TOKEN_LIMIT};reason=body")
        return
    unknown: list[str] = []

    def known(name: str) -> int:
        tokens = context_of(name)
        if not tokens:
            unknown.append(name)
        return tokens

    made = fitted(
        asks.token_limit_handler, document, override=asks.model_override, context_of=known
    )
    done.document = made.document
    if made.too_long:
        done.missed.append(f"{TOKEN_LIMIT};reason=too-long")
    elif made.document is document and unknown:
        done.missed.append(f"{TOKEN_LIMIT};reason=model-unknown")
