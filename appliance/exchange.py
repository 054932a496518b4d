"""One client request with its reply, and the facts gathered on the way: typed, no dict of extras.

An Exchange is made by a door, filled by `pipeline.handle()` and kept by the tap. It knows no lane,
no socket library and no store.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from appliance.core.ask_types import Asks

Headers = list[tuple[bytes, bytes]]

monotonic = time.monotonic
NEVER_S = float("inf")
# More than any wait that is not on a wire may take.
UNHEARD_S = 60.0


class Wakeable(Protocol):
    """Whatever a task may be waiting on."""

    def wake(self) -> None:
        """End the wait."""


class Watch:
    """The deadline of one connection, moved by each phase and kept by one sweeper (no cancel scope,
    no timer of its own: ARCHITECTURE 3). When it passes, `expired` names the phase and the waits of
    both sides are woken; `gone` says that the client has hung up.
    """

    __slots__ = (
        "client",
        "cut_off",
        "deadline_s",
        "drain_s",
        "expired",
        "expired_at_s",
        "gone",
        "in_flight",
        "phase",
        "sending",
        "total_s",
        "unheard",
        "upstream",
    )  # fmt: skip

    def __init__(self, client: Wakeable | None) -> None:
        self.client = client
        self.cut_off: Callable[[], object] | None = None  # ends the task that does not hear
        self.expired_at_s = 0.0
        self.unheard = False
        self.upstream: Wakeable | None = None
        self.deadline_s = NEVER_S
        self.total_s = NEVER_S
        self.drain_s = 0.0
        self.phase = ""
        self.expired = ""
        self.gone = False
        self.in_flight = False
        self.sending = False

    def enter(self, phase: str, limit_s: float) -> None:
        """A phase begins: it may take `limit_s` seconds, and never longer than the total."""
        self.phase = phase
        until_s = monotonic() + limit_s
        self.deadline_s = until_s if until_s < self.total_s else self.total_s

    def rest(self) -> None:
        """Nothing is timed."""
        self.phase = ""
        self.deadline_s = NEVER_S

    def expire(self) -> None:
        """The sweeper's call: the deadline has passed. Whoever does not wait on a wire cannot hear
        it; after a while the task is ended, wherever it is."""
        now_s = monotonic()
        if not self.expired:
            self.expired_at_s = now_s
        total = self.deadline_s >= self.total_s
        self.expired = "total" if total else self.phase
        self.wake()
        if self.in_flight and self.cut_off is not None and now_s - self.expired_at_s > UNHEARD_S:
            self.unheard = True
            self.cut_off()

    def hang_up(self) -> None:
        """The sweeper's call: the client is gone."""
        if not self.gone:
            self.gone = True
            if self.drain_s:
                # As the total, or the next phase would move it.
                self.total_s = min(self.total_s, monotonic() + self.drain_s)
                self.enter("drain", self.drain_s)
                return
        if not self.drain_s:
            self.wake()

    def wake(self) -> None:
        """Wake whatever waits on either side; repeated by the sweeper until it has been heard."""
        if self.client is not None:
            self.client.wake()
        if self.upstream is not None:
            self.upstream.wake()


@dataclass(slots=True)
class Body:
    """A request body, read whole: in memory, or in a spill file when it was large.

    `read` is what it says as JSON, where somebody has asked (`bodies.py`). Not to be changed.
    """

    data: bytes = b""
    spill: Any = None
    length: int = 0
    trailers: Headers = field(default_factory=list)
    read: tuple[Any, str] | None = None


@dataclass(slots=True)
class Head:
    """A request head as received: header names and values untouched, in order, doubles kept.

    `first` maps lower-case names to the first value of that name.
    """

    method: bytes
    target: bytes
    version: str
    headers: Headers
    first: dict[bytes, bytes]
    scheme: bytes = b"http"
    client_address: str = ""


class Facts:
    """What features have worked out from a request head and the configuration alone. Shared by all
    requests that send the same head over one connection: written once, then only read.

    `identity` and `aim` hold for as long as the key on file is the one they were made with.
    """

    __slots__ = (
        "aim", "aimed", "asks", "brings_own", "cache_head", "cached_aim", "cached_org", "cors",
        "credentials", "found_key", "identity", "key_hash", "key_info", "lent", "record",
        "store_broken",
    )  # fmt: skip

    def __init__(self) -> None:
        self.asks: Asks | None = None
        self.credentials: Any = None
        self.key_hash = ""
        self.cors: Headers = []
        self.identity: Any = None
        self.key_info: Any = None
        self.store_broken = False
        self.aim: Aim | None = None
        self.found_key = ""
        self.brings_own: bool | None = None  # a credential of the provider's
        self.lent: Any = None  # what is sent in place of one
        self.aimed: Any = None  # of such, the one that `aim` was made with
        self.record: dict[str, Any] | None = None
        self.cache_head: Any = None  # the head's part of a cached reply's key, and of which call
        self.cached_aim: Aim | None = None
        self.cached_org = b""

    def copy(self) -> Facts:
        """The same, to be written to without changing these."""
        other = Facts()
        other.asks = self.asks
        other.credentials = self.credentials
        other.key_hash = self.key_hash
        other.cors = self.cors
        other.identity = self.identity
        other.key_info = self.key_info
        other.store_broken = self.store_broken
        other.aim = self.aim
        other.found_key = self.found_key
        other.brings_own = self.brings_own
        other.lent = self.lent
        other.aimed = self.aimed
        other.record = self.record
        other.cache_head = self.cache_head
        other.cached_aim = self.cached_aim
        other.cached_org = self.cached_org
        return other


@dataclass(slots=True)
class Attempt:
    """One call of a provider. `retry_after` is what a 429 or 503 said, for whoever chooses the
    next target; it is not recorded. `usage` and `cost_pico` are of a reply that is not the record's
    (features/cut_off.py)."""

    target: str
    provider: str
    model: str = ""
    status: int | None = None
    started_at_us: int = 0
    latency_us: int = 0
    why_next: str = ""
    retry_after: bytes = b""
    usage: dict[str, object] | None = None
    cost_pico: int | None = None


class ReplySide(Protocol):
    """The client's side of an exchange, given by its lane."""

    watch: Watch

    async def read_body(self, x: Exchange) -> None:
        """Read the request body into `x.body`, under cap and deadline. Raises Refusal."""

    async def informational(self, status: int, reason: bytes, headers: Headers) -> None:
        """Pass on a 1xx reply, where the lane can."""

    async def start(
        self,
        status: int,
        reason: bytes,
        headers: Headers,
        length: int | None,
        piece: bytes,
        *,
        last: bool = False,
        trailers: Headers | None = None,
    ) -> None:
        """Send the head and the first piece. `length` None: the end is told by the framing.
        With `last` the piece is all there is, and the end goes out in the same write."""

    async def write(self, piece: bytes) -> None:
        """Send a piece of the body, with back-pressure."""

    async def finish(self, piece: bytes, trailers: Headers) -> None:
        """Send the last piece and a clean end."""

    def abandon(self) -> None:
        """End without a clean end: the reply was cut and the client must be able to tell."""


class TapLike(Protocol):
    """The record in the making, as the relay sees it."""

    @property
    def heavy(self) -> bool:
        """Whether `unload` is due."""

    def add(self, piece: bytes) -> None:
        """A piece of the reply's body was seen."""

    async def unload(self) -> None:
        """Move what has gathered out of memory (when `heavy`)."""

    async def seal(self, outcome: str) -> None:
        """Write the record: what is sent next is the last byte."""


@dataclass(frozen=True, slots=True)
class Lent:
    """What goes out in place of the client's header lines and path; `fields` None: its own do.
    `secret` is the one they were written with, `found_key` the Helicone key taken out of them.
    `denied` is told when the provider does not take the credential (401)."""

    secret: Any = None
    fields: Headers | None = None
    path: bytes = b""
    found_key: str = ""
    denied: Callable[[], None] | None = None


CLIENTS_OWN = Lent()


@dataclass(slots=True)
class Aim:
    """Where one attempt goes: the provider's row, the pool's key, and the request head to send but
    for the lines that frame its body. `tells_length`: also of a body of nothing.

    `record_path` and `record_url` are what may be kept: secrets in them are taken out.
    """

    provider: Any
    key: Any
    lines: bytes
    tells_length: bool
    deadlines: Any
    record_path: str
    record_url: str
    switches: bool = False  # to a WebSocket
    denied: Callable[[], None] | None = None

    def head(self, body: Body) -> bytes:
        """The request head, for this body."""
        if body.trailers:
            return self.lines + b"transfer-encoding: chunked\r\n\r\n"
        if body.length or self.tells_length:
            return b"%bcontent-length: %d\r\n\r\n" % (self.lines, body.length)
        return self.lines + b"\r\n"

    def with_field(self, name: bytes, old: bytes, value: bytes) -> Aim:
        """The same with another value in one header line, if that line is sent at all."""
        lines = self.lines.replace(
            b"\r\n%b: %b\r\n" % (name, old), b"\r\n%b: %b\r\n" % (name, value), 1
        )
        return Aim(
            self.provider, self.key, lines, self.tells_length, self.deadlines, self.record_path,
            self.record_url, self.switches, self.denied,
        )  # fmt: skip


class Exchange:
    """One request on its way. Fields are grouped by who sets them."""

    __slots__ = (
        "aim", "asks", "asks_usage", "attempts", "body", "checks", "counted", "created_at_us",
        "cut_off", "degraded", "dialect", "error", "exchange_id", "expanded", "facts",
        "first_byte_s", "found_key", "gateway_model", "head", "hedge", "hit", "http_status",
        "identity", "marks", "not_applied", "org", "outcome", "payment", "prompt", "region",
        "reply", "reply_headers", "request_id", "response_coding", "response_type", "route",
        "sent", "session", "stand_in", "started", "started_s", "taken", "tap", "template", "threat",
    )  # fmt: skip

    def __init__(
        self,
        head: Head,
        reply: ReplySide,
        route: Any,  # noqa: ANN401 - the door's Route, which lies above
        facts: Facts | None = None,
    ) -> None:
        # by the door
        self.head = head
        self.reply = reply
        self.route = route
        self.facts = facts or Facts()
        self.started_s = monotonic()
        self.created_at_us = time.time_ns() // 1000
        self.body = Body()
        # by the pipeline, in its order
        self.asks: Asks = None  # type: ignore[assignment]
        self.asks_usage = False
        self.identity: Any = None
        self.found_key = ""
        self.stand_in: Any = None  # the proxy key that came where the provider's belongs
        self.org = b""
        self.region = "us"
        self.exchange_id = b""
        self.request_id = ""
        self.dialect = ""
        self.aim: Aim | None = None
        self.tap: TapLike | None = None
        self.sent: Body | None = None  # what a provider is sent, where that is not what came
        self.gateway_model = ""  # the one of its model string that is asked
        self.template = b""  # of its prompt, as JSON (proxy.md 7.5)
        self.attempts: list[Attempt] = []
        self.hedge: Any = None  # makes what stands in a call's place, where a second may be made
        self.not_applied: list[str] = []
        self.hit: dict[str, Any] | None = None  # what the record of a cached answer says of it
        self.session: dict[str, Any] | None = None  # what the record says of a WebSocket's session
        self.prompt: dict[str, Any] | None = None  # what the record says of a stored one
        self.expanded: Any = None  # the body with that one in it, and the inputs that were put in
        self.checks: Any = None  # what features/guard.py knows of the prompt
        self.threat: bool | None = None  # what the guard said; None where it was not asked
        self.counted = False
        self.taken: list[Any] = []  # the buckets of the rate limits
        self.marks: dict[str, str] | None = None  # properties of the record that are ours
        self.payment: Any = None  # what is held for it (features/pay.py)
        # Status and body of a good reply that ended before anything of it was passed on.
        self.cut_off: tuple[int, bytes] | None = None
        self.reply_headers: Headers = []
        self.degraded = ""
        # by the relay
        self.started = False
        self.http_status: int | None = None
        self.outcome = ""
        self.error = ""
        self.first_byte_s = 0.0
        self.response_type = ""
        self.response_coding = ""


def hung_up(x: Exchange) -> None:
    """Called for an OSError of the client's side: raises it again unless the reply is to be read
    on without a client."""
    watch = x.reply.watch
    watch.hang_up()
    if not watch.drain_s:
        raise
