"""The tap: exactly one record per exchange, whatever happens, written before the last byte leaves.

A bracket around everything else. It gathers what was seen; what it means is derived later
(ARCHITECTURE 5: frames hold what was seen). Fails open: whatever breaks in here, the reply goes on,
and as much is on record as can be.
"""

from __future__ import annotations

import time
from types import NoneType, TracebackType
from typing import Any

import trio

from appliance import fence
from appliance.actors.recorder import Capture, Recorder, no_capture
from appliance.core.headers import REPLY_DEGRADED
from appliance.exchange import Attempt, Exchange, monotonic
from storage.journal import Ticket

RECORD = "record"
BUDGETS = "budgets"
FLAG_SUPERSEDES = 1
STILL_OPEN = "session_open"


class Tap:
    """The record of one exchange in the making. `with Tap(x, recorder):` seals on every way out.

    Opens when the exchange is admitted. `seal` writes the frame; bytes that pass after it (a
    stream's tail behind its terminal event) make the frame be written once more, in its place.
    """

    __slots__ = ("_late", "_noted", "_recorder", "_written", "capture", "sealed", "x")

    def __init__(self, x: Exchange, recorder: Recorder) -> None:
        self.x = x
        self._recorder = recorder
        try:
            self.capture: Capture = recorder.capture(x.region, keep=not x.asks.omit_response)
            assert isinstance(self.capture, Capture), "it counts what passes"
        except Exception as error:
            self.capture = no_capture()
            fence.broke(x, RECORD, error)
        self.sealed = False
        self._noted = 0
        self._late = False
        self._written = False

    def __enter__(self) -> Tap:
        self.x.tap = self
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        x = self.x
        if not self.sealed:
            if not x.outcome:
                x.outcome = "client_gone" if x.reply.watch.gone else "cut"
                x.error = x.error or (kind.__name__ if kind is not None else "")
            self._write()
        elif self._late or len(x.not_applied) != self._noted:  # something broke after the reply
            self._write()
        self._settle()
        try:
            self.capture.release()
            if x.body.spill is not None:
                x.body.spill.close()
        except Exception as error_here:
            fence.tell(RECORD, error_here)
        # They hold each other: without this only the collector would free them, bodies and all,
        # thousands at a time (60 ms of standstill every 4,000 requests).
        x.tap = None

    @property
    def heavy(self) -> bool:
        """Whether `unload` is due."""
        return self.capture.heavy

    async def unload(self) -> None:
        """Move what has gathered out of memory."""
        try:
            with trio.fail_after(fence.OPEN_S):
                await self.capture.unload()
        except Exception as error:
            self._lose(error)

    def hold_request(self) -> None:
        """The request body was read, and stays in memory where it was not spilled."""
        try:
            self.capture.hold(len(self.x.body.data))
        except Exception as error:
            self._lose(error)

    def add(self, piece: bytes) -> None:
        """A piece of the reply's body has been seen."""
        try:
            self.capture.add(piece)
        except Exception as error:
            self._lose(error)
        if self.sealed:
            self._late = True

    def _lose(self, error: Exception) -> None:
        """The bodies cannot be kept; what is known besides is."""
        self.capture.dropped = "failed"
        self.capture.heavy = False
        fence.broke(self.x, RECORD, error)

    async def seal(self, outcome: str) -> None:
        """Write the record now: what follows is the last byte. Waits only when the disk is slow
        or `durability` is strict (then until it is synced)."""
        x = self.x
        if self.sealed:
            return
        x.outcome = x.outcome or outcome
        if x.payment is not None:
            look = x.payment.look(x, self)
            await fence.open_within(x, BUDGETS, fence.OPEN_S, None, NoneType, look)
        ticket = self._write()
        if ticket is not None:
            try:
                with trio.fail_after(fence.SETTLE_S):
                    await self._recorder.settle(x.region, ticket)
                part = self._recorder.degraded(x.region)
            except Exception as error:
                fence.broke(x, RECORD, error)
                return
            finally:
                self._settle()
            if part and not x.degraded:  # since this exchange began; seen if no head has left yet
                x.reply_headers.append((REPLY_DEGRADED, part.encode()))

    def interim(self) -> None:
        """Write what was seen so far of an exchange that goes on. The next record replaces it: one
        that stays was cut off by the end of the process."""
        x = self.x
        assert not self.sealed, "it has ended"
        x.outcome, x.error = "cut", STILL_OPEN
        self._write()
        x.outcome = x.error = ""
        self.sealed = False

    def _write(self) -> Ticket | None:
        self.sealed = True
        x = self.x
        ticket = None
        try:
            ticket = self._record_whole_or_bare()
        except Exception as error:
            fence.broke(x, RECORD, error)
        self._noted = len(x.not_applied)
        if ticket is None:
            self._settle()
        return ticket

    def _settle(self) -> None:
        """Behind the frame: after a crash it says what was paid. Where the disk is waited for, not
        before the wait is over: the ledger must not have what the journal lost. May be repeated."""
        x = self.x
        if x.payment is not None:
            fence.open_now(x, BUDGETS, None, NoneType, x.payment.settle, x)

    def _record_whole_or_bare(self) -> Ticket | None:
        try:
            return self._record()
        except Exception as error:  # once more without the bodies, which may be what it is about
            self._lose(error)
        return self._record()

    def _record(self) -> Ticket | None:
        flags = FLAG_SUPERSEDES if self._written else 0
        x = self.x
        facts = self.facts()
        if x.payment is not None:
            facts["holds"] = x.payment.told(facts, x, self.capture)
        ticket = self._recorder.record(
            x.region, x.org, facts, x.body, self.capture, flags,
            omit_request=x.asks.omit_request, omit_response=x.asks.omit_response,
        )  # fmt: skip
        self._written = True
        return ticket

    def facts(self) -> dict[str, Any]:
        """The metadata of the frame; absent means None, False or empty (the agreed keys)."""
        x = self.x
        aimed = x.facts.record
        if aimed is None or x.aim is None or x.aim is not x.facts.aim:
            aimed = head_facts(x)
            # Of one target that follows from the head alone, not of one among several.
            if x.aim is not None and x.aim is x.facts.aim:
                x.facts.record = aimed
        now_us = time.time_ns() // 1000
        asks = x.asks
        facts = {
            **aimed,
            **asks.facts,
            "properties": asks.properties,
            "exchange_id": x.exchange_id,
            "request_id": x.request_id,
            "created_at_us": x.created_at_us,
            "recorded_at_us": now_us,
            "duration_us": int((monotonic() - x.started_s) * 1e6),
            "outcome": x.outcome,
            "request_bytes": x.body.length,
            "response_bytes": self.capture.seen_bytes,
        }
        if x.first_byte_s:
            facts["ttfb_us"] = int((x.first_byte_s - x.started_s) * 1e6)
        if x.http_status is not None:
            facts["http_status"] = x.http_status
        if x.response_type:
            facts["response_type"] = x.response_type
        if x.response_coding:
            facts["response_coding"] = x.response_coding
        if x.error:
            facts["error"] = x.error
        if x.degraded:
            facts["degraded"] = x.degraded
        if x.not_applied:
            facts["not_applied"] = x.not_applied
        if x.template and not asks.omit_request:
            facts["prompt_template"] = x.template.decode()
        if x.prompt is not None:
            facts.update(x.prompt if not asks.omit_request else without_inputs(x.prompt))
        if x.hit is not None:
            facts.update(x.hit)
        if x.session is not None:
            facts.update(x.session)
        if x.gateway_model:
            facts["gateway_model"] = x.gateway_model
        if x.threat is not None:
            facts["threat"] = x.threat
        if x.marks:
            facts["properties"] = {**facts["properties"], **x.marks}
        if x.identity.key_id:
            facts["key_id"] = x.identity.key_id
        if x.attempts:
            facts["attempts"] = [attempt_facts(attempt, now_us) for attempt in x.attempts]
        return facts


class Untapped(Tap):
    """In a tap's place where none could be had: the reply goes on, and nothing is recorded."""

    __slots__ = ()

    def __init__(self, x: Exchange) -> None:
        self.x = x
        self.capture = no_capture()
        self.sealed = self._late = self._written = False
        self._noted = 0

    def _record(self) -> Ticket | None:
        return None


def without_inputs(prompt: dict[str, Any]) -> dict[str, Any]:
    """What the record says of a stored prompt where it may not say what was asked."""
    return {name: value for name, value in prompt.items() if name != "prompt_template"}


def head_facts(x: Exchange) -> dict[str, Any]:
    """What every exchange with this request head has, as soon as it is known where it goes, beside
    what it asks for."""
    head = x.head
    facts: dict[str, Any] = {
        "method": head.method.decode("latin-1"),
    }
    for key, name in (("request_type", b"content-type"), ("request_coding", b"content-encoding")):
        value = head.first.get(name)
        if value is not None:
            facts[key] = value.decode("latin-1")
    if x.aim is not None:
        provider = x.aim.provider
        facts["path"] = x.aim.record_path
        facts["target_url"] = x.aim.record_url
        facts["provider"] = provider.record_name
        facts["gateway_provider"] = provider.id
        facts["dialect"] = provider.dialect
    return facts


def attempt_facts(attempt: Attempt, now_us: int) -> dict[str, Any]:
    """One attempt as it is kept; the one that still runs lasts until now."""
    facts: dict[str, Any] = {
        "target": attempt.target,
        "provider": attempt.provider,
        "model": attempt.model,
        "status": attempt.status,
        "started_at_us": attempt.started_at_us,
        "latency_us": attempt.latency_us or max(0, now_us - attempt.started_at_us),
        "why_next": attempt.why_next,
    }
    if attempt.usage is not None:
        facts["usage"] = attempt.usage
    if attempt.cost_pico is not None:
        facts["cost_pico"] = attempt.cost_pico
    return facts
