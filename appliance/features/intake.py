"""Takes in what is told of calls that were made elsewhere: a frame each, as a proxied call has one.

Nothing is priced or parsed further than it must be: ingest derives the rows, as of any exchange.
Loaded when the first log comes. Closed: what cannot be read is refused, and named.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

import msgspec
import trio

from appliance.actors.recorder import Recorder
from appliance.bodies import whole
from appliance.core import headers as names
from appliance.core.ask_types import Asks
from appliance.core.decoding import decode_body
from appliance.core.derive import summarise
from appliance.core.ids import ExchangeIds, uuid_text
from appliance.core.log_message import read_message
from appliance.core.log_record import Maker, MakerOf, read_log, typed_problems
from appliance.core.logged import Logged, asks_of
from appliance.core.otlp_json import json_spans
from appliance.core.otlp_reply import accepted, is_json, is_protobuf
from appliance.core.otlp_span import logged_span, step_of
from appliance.core.otlp_tree import Place, places
from appliance.core.otlp_wire import OtlpError, Span, TooManySpansError, protobuf_spans
from appliance.errors import Refusal
from appliance.exchange import Exchange, monotonic
from storage.frames import Part
from storage.journal import Ticket

TEXT = "text/plain;charset=UTF-8"
JSON = "application/json"
# Longer ones are read in a thread beside the loop, as is whatever lies in a file.
READ_HERE_BYTES_MAX = 128 * 1024
READ_TIMES_MAX = 4
SLICE_S = 0.0008
SPAN_KINDS = frozenset({"spans", "spans-python", "traces"})

CUSTOM = Maker("CUSTOM")
OPENAI = Maker("OPENAI", "openai", "openai")
MAKERS = {
    "oai": OPENAI,
    "anthropic": Maker("ANTHROPIC", "anthropic", "anthropic"),
    "googleapis": Maker("GOOGLE", "google-ai-studio", "gemini"),
}


# Region, exchange, and what was asked for: key and host.
Capture = Callable[[str, str, str, str], None]


class Provider(Protocol):
    """A row of the provider table."""

    @property
    def id(self) -> str: ...
    @property
    def record_name(self) -> str: ...
    @property
    def dialect(self) -> str: ...


class Answer:
    """What is sent back once all is on record."""

    __slots__ = ("body", "kind", "status")

    def __init__(self, status: int, body: bytes, kind: str = TEXT) -> None:
        self.status = status
        self.body = body
        self.kind = kind


OK = Answer(200, b"ok")


class Turn:
    """Work on the loop in slices, so that calls which are proxied meanwhile do not wait."""

    __slots__ = ("_until_s",)

    def __init__(self) -> None:
        self._until_s = monotonic() + SLICE_S

    @property
    def is_over(self) -> bool:
        """Whether others are to have theirs."""
        return monotonic() >= self._until_s

    async def next(self) -> None:
        """Let them, then begin another."""
        await trio.lowlevel.checkpoint()
        self._until_s = monotonic() + SLICE_S


class Intake:
    """Everything that is taken in."""

    def __init__(
        self,
        recorder: Recorder,
        ids: ExchangeIds,
        find_provider: Callable[[str], Provider | None],
        bytes_max: int,
        capture: Capture,
    ) -> None:
        """`find_provider`: by its id or an alias, in any case. `capture`: a call of which PostHog
        is to be told."""
        self._capture = capture
        self._recorder = recorder
        self._ids = ids
        self._bytes_max = bytes_max

        def known(name: str) -> Maker | None:
            row = find_provider(name)
            return None if row is None else Maker(row.record_name, row.id, row.dialect)

        def named(name: str) -> Maker:
            return known(name) or Maker(name.upper()[:64])

        usual = {
            **{kind: MakerOf(maker) for kind, maker in MAKERS.items()},
            "custom": MakerOf(CUSTOM, named),
            "jawn": MakerOf(OPENAI, named),
            "typed": MakerOf(OPENAI, named),
            "message": MakerOf(CUSTOM, named),
        }
        self._makers = usual
        self._find_maker = known

    async def take(self, x: Exchange) -> Answer:
        """Read, check, record. Raises Refusal 400, 413, 415, 503; Woken and OSError of the
        client's side."""
        data = await self._body(x)
        kind = x.route.intake
        held, budget = 2 * len(data), self._recorder.budget
        budget.held_bytes += held
        try:
            if kind in SPAN_KINDS:
                return await self._take_spans(x, data)
            if kind == "typed" and (problems := await _aside(data, typed_problems)):
                return not_valid(problems)
            maker_of = self._makers[kind]
            read = read_message if kind == "message" else read_log
            told = await _aside(data, lambda data: read(data, maker_of))
            await self._record(x, told)
        finally:
            budget.held_bytes -= held
        return OK

    async def _body(self, x: Exchange) -> bytes:
        """All of it, decoded."""
        most = self._bytes_max
        length = x.head.first.get(b"content-length", b"")
        # One that is a little too large is read all the same: most clients look for a reply only
        # when all is sent, and would see a broken connection in place of the reason.
        if length.isdigit() and int(length) > READ_TIMES_MAX * most:
            raise _too_large(most)
        await x.reply.read_body(x)
        body = x.body
        if body.length > most:
            raise _too_large(most)
        coding = x.head.first.get(b"content-encoding", b"").decode("latin-1")
        if not coding and body.spill is None:
            return body.data

        def read() -> bytes:
            decoded = decode_body(whole(body), coding, bytes_max=most)
            if decoded.problem == "bomb":
                raise _too_large(most)
            if decoded.problem:
                raise Refusal(
                    415, "coding_invalid", "body: its Content-Encoding cannot be taken off"
                )
            return decoded.data

        if body.spill is None and body.length <= READ_HERE_BYTES_MAX // 8:
            return read()
        return await trio.to_thread.run_sync(read)

    async def _take_spans(self, x: Exchange, data: bytes) -> Answer:
        """All spans are read before the first is recorded: a request is taken whole or refused."""
        content_type = x.head.first.get(b"content-type", b"")
        turn = Turn()
        spans: list[Span] = []
        steps: list[str | None] = []
        try:
            for span in span_reader(x.route.intake, content_type)(data):
                spans.append(span)
                steps.append(step_of(span))
                if turn.is_over:
                    await turn.next()
        except TooManySpansError as error:
            raise Refusal(413, "spans_too_many", str(error)) from None
        except OtlpError as error:
            raise Refusal(400, "spans_invalid", str(error)) from None
        headers = {name: value for name, value in x.head.first.items() if name != names.REQUEST_ID}
        last: Ticket | None = None
        for span, place in zip(spans, places(spans, steps), strict=True):
            told = logged_span(span, self._find_maker)
            asks = asks_of(placed(told.meta, place), headers, x.asks)
            exchange_id = self._ids.new()
            request_id = asks.request_id or uuid_text(exchange_id)
            last = await self.record(x, told, asks, exchange_id, request_id) or last
            if turn.is_over:
                await turn.next()
        await self._settle(x, last)
        body, kind = accepted(content_type)
        return Answer(200, body, kind)

    async def _record(self, x: Exchange, told: Logged) -> None:
        """On record, as safely as `durability` asks, before this returns."""
        asks = asks_of(told.meta, x.head.first, x.asks)
        if asks.request_id:
            x.request_id = asks.request_id
        await self._settle(x, await self.record(x, told, asks, x.exchange_id, x.request_id))

    async def _settle(self, x: Exchange, ticket: Ticket | None) -> None:
        """The reply says so when the disk failed since it was admitted."""
        if ticket is not None:
            await self._recorder.settle(x.region, ticket)
        part = self._recorder.degraded(x.region)
        if part and not x.degraded:
            x.reply_headers.append((names.REPLY_DEGRADED, part.encode()))

    async def record(
        self, x: Exchange, told: Logged, asks: Asks, exchange_id: bytes, request_id: str
    ) -> Ticket | None:
        """One frame. A ticket: it is to be settled before the reply."""
        recorder = self._recorder
        facts = facts_of(x, told, asks, exchange_id, request_id)
        if asks.omit_request or asks.omit_response:
            seen = await _aside(
                told.request + told.response,
                lambda _: summarise(facts, told.request, told.response),
            )
            facts.update(seen)
        sides: list[list[Part]] = []
        for data, omitted in (
            (told.request, asks.omit_request),
            (told.response, asks.omit_response),
        ):
            sides.append([] if omitted else await recorder.parts_of(x.region, data, facts))
        ticket = recorder.append(x.region, x.org, facts, sides[0], sides[1])
        if asks.posthog_key:
            self._capture(x.region, uuid_text(exchange_id), asks.posthog_key, asks.posthog_host)
        return ticket


def facts_of(
    x: Exchange, told: Logged, asks: Asks, exchange_id: bytes, request_id: str
) -> dict[str, Any]:
    """The frame's metadata: what the server knows, and what was told."""
    now_us = time.time_ns() // 1000
    facts: dict[str, Any] = {
        "created_at_us": x.created_at_us,
        "request_bytes": len(told.request),
        "response_bytes": len(told.response),
        **told.facts,
        **asks.facts,
        "properties": {**told.facts.get("properties", {}), **asks.properties},
        "exchange_id": exchange_id,
        "request_id": request_id,
        "recorded_at_us": now_us,
    }
    if x.identity.key_id:
        facts["key_id"] = x.identity.key_id
    if x.degraded:
        facts["degraded"] = x.degraded
    return facts


async def _aside(data: bytes, work: Callable[[bytes], Any]) -> Any:  # noqa: ANN401 - as `work`
    """At once where that takes no time, else in a thread."""
    if len(data) <= READ_HERE_BYTES_MAX:
        return work(data)
    return await trio.to_thread.run_sync(work, data)


def span_reader(kind: str, content_type: bytes) -> Callable[[bytes], Iterator[Span]]:
    """By the path, where that says it (backend.md 3.5), else by the type. Raises Refusal 415."""
    if is_protobuf(content_type) or kind == "spans-python":
        return protobuf_spans
    if is_json(content_type) or kind == "spans":
        return json_spans
    raise Refusal(
        415, "type_unknown",
        "content-type: expected application/x-protobuf or application/json",
    )  # fmt: skip


def placed(meta: Mapping[bytes, bytes], place: Place) -> Mapping[bytes, bytes]:
    """What was said of the session, else the trace's own."""
    session_id = place.session_id.encode()
    if names.SESSION_ID not in meta and not session_id:
        return meta
    return {
        names.SESSION_ID: session_id,
        names.SESSION_PATH: place.path.encode("utf-8", "replace"),
        names.SESSION_NAME: place.name.encode("utf-8", "replace"),
        **meta,
    }


def _too_large(most: int) -> Refusal:
    return Refusal(
        413, "log_too_large",
        f"body: larger than intake_bytes_max ({most} bytes). Send less at once, or raise it.",
    )  # fmt: skip


def not_valid(problems: list[tuple[str, str]]) -> Answer:
    """The typed endpoint names all fields at once."""
    errors = [{"field": field, "message": why} for field, why in problems]
    return Answer(400, msgspec.json.encode({"isValid": False, "errors": errors}), JSON)
