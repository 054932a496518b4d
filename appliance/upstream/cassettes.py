"""Who dials in the pool's place where a server records, replays, or makes faults: for one that does
not, none of this is there.

Each call dials anew; whose it is says `EXCHANGE`, which `playing` sets around the pipeline.
"""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable, Collection, Iterator
from contextlib import suppress
from contextvars import ContextVar
from itertools import islice
from pathlib import Path
from typing import Final

from appliance.core import headers as names
from appliance.core.asks import parse_asks
from appliance.core.cassette import SUFFIX, Player, Take, read_cassette, take_text, write_cassette
from appliance.core.cassette_asked import Asked, asked_of
from appliance.core.cassette_reply import COMPLETE, CUT, LEFT, ReplyReader, told_of, wire_pieces
from appliance.core.cassette_scrub import Scrubber
from appliance.core.chunked import ChunkedDecoder
from appliance.core.faults import Fault, cut_pieces, fault_reply, parse_fault
from appliance.core.terminal import TerminalScanner
from appliance.errors import Refusal, UpstreamFailed
from appliance.exchange import Exchange
from appliance.upstream.cassette_wires import HeardWire, Pieces, PlayedWire
from appliance.upstream.pool import PoolKey
from appliance.wire import Wire

USUAL: Final = "calls"
NAME: Final = re.compile(r"[A-Za-z0-9_\[(][A-Za-z0-9_.,=+@ \[\]()-]{0,199}")
PARTS_MAX: Final = 16
CASSETTES_MAX: Final = 1_000  # open at once: the one that was asked for least recently goes
FAULTS_COUNTED_MAX: Final = 10_000
SESSION_BYTES_MAX: Final = 200
REPLY_BYTES_MAX: Final = 32 * 1024 * 1024  # as much as of a request
ACCEPT: Final = re.compile(rb"\r\naccept-encoding:[^\r\n]*", re.IGNORECASE)

EXCHANGE: ContextVar[Exchange | None] = ContextVar("exchange", default=None)
Handle = Callable[[Exchange], Awaitable[None]]
DialWire = Callable[[PoolKey], Awaitable[Wire]]


def playing(handle: Handle, applied: Collection[bytes]) -> Handle:
    """The pipeline, with what it is at said to whoever dials for it. `applied`: headers that are
    heard here, and so not named as not applied."""

    async def handle_told(x: Exchange) -> None:
        token = EXCHANGE.set(x)
        if x.facts.asks is None:
            fields = {**(x.route.tags or {}), **x.head.first}
            with suppress(Refusal):  # admission refuses it in a moment
                heard = {name: fields[name] for name in fields if name not in applied}
                x.facts.asks = parse_asks(heard)
        try:
            await handle(x)
        finally:
            EXCHANGE.reset(token)

    return handle_told


def said(name: bytes) -> bytes:
    """What the call that dials says in a header, or in its path."""
    x = EXCHANGE.get()
    if x is None:
        return b""
    value: bytes | None = x.head.first.get(name)
    return (x.route.tags or {}).get(name, b"") if value is None else value


def cassette_name() -> tuple[str, str]:
    """The cassette of the call that dials, and which take of it. Raises Refusal 400."""
    name = said(names.CASSETTE).decode("utf-8", "replace") or USUAL
    parts = name.split("/")
    if len(parts) > PARTS_MAX or not all(NAME.fullmatch(part) for part in parts):
        raise Refusal(
            400, "cassette_name_invalid",
            "Helicone-Cassette is a path below the directory: words of letters, digits and "
            "_.,=+@()[]- with / between them.",
        )  # fmt: skip
    return name, said(names.CASSETTE_TAKE).decode("latin-1")


def session_name() -> tuple[str, str]:
    """The session of the call that dials: `run` makes one for each program."""
    return said(names.SESSION_ID)[:SESSION_BYTES_MAX].decode("latin-1"), ""


class Faults:
    """The fault that a call asks for, as long as it is due. `whose` names among which calls its
    `times` are counted."""

    def __init__(self, whose: Callable[[], tuple[str, str]]) -> None:
        self._whose = whose
        self._made: dict[tuple[str, str, str], int] = {}

    def due(self) -> Fault | None:
        """Raises Refusal 400."""
        value = said(names.FAULT)
        if not value:
            return None
        fault = parse_fault(value)
        if fault.times:
            counted = (*self._whose(), fault.text)
            made = self._made.get(counted, 0)
            if made >= fault.times:
                return None
            if len(self._made) >= FAULTS_COUNTED_MAX:
                self._made.clear()
            self._made[counted] = made + 1
        return fault


class FaultyDial:
    """Real connections, and faults on request: `serve --faults`."""

    def __init__(self, dial: DialWire) -> None:
        self._dial = dial
        self._faults = Faults(session_name)

    async def __call__(self, key: PoolKey) -> Wire:
        fault = self._faults.due()
        if fault is not None and fault.status:
            return PlayedWire(lambda _: [(fault.delay_s, fault_reply(fault))])
        wire = await self._dial(key)
        if fault is None:
            # Listened to all the same: an idle connection would serve a call that asks for a fault.
            return HeardWire(wire, _unchanged, _unchanged, _nothing)
        cut = _Cut(fault.cut_bytes)
        cut.wire = HeardWire(wire, _unchanged, cut.heard, _nothing, delay_s=fault.delay_s)
        return cut.wire


class _Cut:
    """Counts the bytes behind the reply's head, and ends them."""

    wire: HeardWire

    def __init__(self, left: int | None) -> None:
        self._left = left
        self._head: bytes | None = b""

    def heard(self, data: bytes) -> bytes:
        """What of these bytes is passed on."""
        if self._left is None:
            return data
        begin = 0
        if self._head is not None:
            known, self._head = len(self._head), self._head + data
            end = self._head.find(b"\r\n\r\n")
            if end < 0:
                return data
            begin, self._head = end + 4 - known, None
        kept = data[begin : begin + self._left]
        self._left -= len(kept)
        self.wire.is_cut = not self._left
        return data[:begin] + kept


class ReplayDial:
    """Answers from the cassettes in a directory, and from nowhere else: `serve --replay DIR`."""

    def __init__(self, directory: Path, scrubber: Scrubber, *, timed: bool) -> None:
        self._directory = directory
        self._scrubber = scrubber
        self._timed = timed
        self._players: dict[tuple[str, str], Player] = {}
        self._faults = Faults(cassette_name)

    async def __call__(self, key: PoolKey) -> Wire:
        if EXCHANGE.get() is None:  # a webhook, which nobody recorded
            raise UpstreamFailed(
                "connect_failed", f"{key.host}: a server that replays calls nobody"
            )
        player = self._player(*cassette_name())
        fault = self._faults.due()

        def play(request: bytes) -> Pieces:
            if fault is not None and fault.status:
                return [(fault.delay_s, fault_reply(fault))]
            asked = read_request(key, request, self._scrubber)[0]
            told = player.play(asked)
            if told is None:
                raise Refusal(404, "cassette_miss", player.why_not(asked))
            method = asked.method.encode("latin-1")
            return cut_pieces(wire_pieces(told, method, timed=self._timed), fault)

        return PlayedWire(play)

    def _player(self, name: str, take: str) -> Player:
        player = self._players.pop((name, take), None)
        if player is None:
            player = Player(f"{name}{SUFFIX}", self._read(name))
            while len(self._players) >= CASSETTES_MAX:
                del self._players[next(iter(self._players))]
        self._players[name, take] = player
        return player

    def _read(self, name: str) -> list[Take]:
        path = self._directory / f"{name}{SUFFIX}"
        try:
            return read_cassette(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise Refusal(
                404, "cassette_missing", f"There is no cassette {path}: record it first."
            ) from None
        except (OSError, ValueError) as error:
            raise Refusal(500, "cassette_broken", f"{path} cannot be read: {error}") from None


class RecordDial:
    """Real connections whose calls are written down: `serve --record DIR`. `failed` is told of a
    cassette that could not be written: the call itself goes on."""

    def __init__(
        self,
        dial: DialWire,
        directory: Path,
        scrubber: Scrubber,
        failed: Callable[[str], None],
    ) -> None:
        self._dial = dial
        self._failed = failed
        self._directory = directory
        self._scrubber = scrubber
        self._takes: dict[tuple[str, str], list[Take]] = {}
        self._unwritten: dict[Path, str] = {}  # until they are
        self._missed = ""

    async def __call__(self, key: PoolKey) -> Wire:
        x = EXCHANGE.get()
        if x is None:  # a webhook: nobody's call
            return await self._dial(key)
        cassette = cassette_name()
        if said(names.FAULT):
            raise Refusal(
                400, "fault_not_here",
                "A server that records makes no faults: they would be on the cassette.",
            )  # fmt: skip
        recording = _Recording(self, cassette, key, x.dialect)
        wire = HeardWire(await self._dial(key), recording.begins, recording.heard, recording.closed)
        recording.wire = wire
        return wire

    def keep(self, cassette: tuple[str, str], take: Take) -> None:
        """Write the cassette anew, with this call. Not synced: a recording can be made again."""
        takes = self._takes.pop(cassette, [])
        while len(self._takes) >= CASSETTES_MAX:
            del self._takes[next(iter(self._takes))]
        self._takes[cassette] = takes
        takes.append(take)
        path = self._directory / f"{cassette[0]}{SUFFIX}"
        temporary = path.with_name(f".{path.name}.tmp")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_text(write_cassette(takes), encoding="utf-8")
            temporary.replace(path)
        except OSError as error:
            with suppress(OSError):
                temporary.unlink()
            if len(self._unwritten) < CASSETTES_MAX:
                self._unwritten[path] = f"{path} cannot be written: {error.strerror or error}"
            self._failed(self._unwritten.get(path, "cassettes cannot be written"))
        else:
            self._unwritten.pop(path, None)

    def missed(self, why: str) -> None:
        """A call will be on no cassette: that is told as long as this server runs."""
        self._missed = self._missed or why
        self._failed(why)

    def troubles(self) -> Iterator[tuple[str, str]]:
        """For `status`: a recording with holes in it is not found out only when it is played."""
        told = [*islice(self._unwritten.values(), 1), *([self._missed] if self._missed else [])]
        if told:
            yield "cassettes", "; ".join(told)

    def taken(self, key: PoolKey, request: bytes, heard: _Recording) -> None:
        """A call has ended: what of it is kept."""
        asked, secrets = read_request(key, request, self._scrubber)
        told = told_of(heard.reader, heard.end, self._scrubber, secrets)
        name = f"{heard.cassette[0]}{SUFFIX}"
        try:
            text = take_text(asked, told)
        except RecursionError:
            self.missed(f"{name}: a call that is nested too deeply was left out")
            return
        self.keep(heard.cassette, Take(asked, told, heard.began_s, time.monotonic(), text))


class _Recording:
    """One call that is listened to."""

    wire: HeardWire

    def __init__(
        self, dial: RecordDial, cassette: tuple[str, str], key: PoolKey, dialect: str
    ) -> None:
        self.cassette = cassette
        self.began_s = time.monotonic()
        self.end = ""
        self.reader = ReplyReader(b"")
        self._dial = dial
        self._key = key
        self._dialect = dialect
        self._bytes = 0

    def begins(self, data: bytes) -> bytes:
        """The request's head: what is answered is to be readable."""
        self.reader = ReplyReader(data.partition(b" ")[0])
        head, end, body = data.partition(b"\r\n\r\n")
        if b"\r\nupgrade:" in head.lower():
            raise Refusal(
                501, "cassette_websocket", "WebSockets are neither recorded nor replayed."
            )
        self.began_s = time.monotonic()
        return ACCEPT.sub(b"", head) + b"\r\naccept-encoding: identity" + end + body

    def heard(self, data: bytes) -> bytes:
        self._bytes += len(data)
        if not self.end and self._bytes > REPLY_BYTES_MAX:
            self.end, self.reader = LEFT, ReplyReader(b"")
            name = f"{self.cassette[0]}{SUFFIX}"
            self._dial.missed(f"{name}: a reply of more than 32 MiB was left out")
        elif not self.end:
            if data:
                self.reader.feed(data, int((time.monotonic() - self.began_s) * 1000))
            else:
                self.reader.closed()
            if self.reader.done:
                self._ends(COMPLETE)
            elif not data:
                self._ends(CUT)
        return data

    def closed(self) -> None:
        """By us. SDKs hang up at a stream's last event: that is its end."""
        if not self.end:
            scanner = TerminalScanner(self._dialect)
            said_all = any(scanner.feed(piece) for piece in self.reader.pieces)
            self._ends(COMPLETE if said_all else LEFT)

    def _ends(self, end: str) -> None:
        self.end = end
        if self.reader.status:
            self._dial.taken(self._key, bytes(self.wire.request), self)


def read_request(key: PoolKey, request: bytes, scrubber: Scrubber) -> tuple[Asked, tuple[str, ...]]:
    """The request as it is kept, and the credentials it came with. Raises Refusal 501."""
    head, _, body = request.partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    method, target, _ = first.split(b" ", 2)
    fields = (line.partition(b":") for line in lines)
    headers = {name.lower(): value.strip() for name, _, value in fields}
    if b"upgrade" in headers:
        raise Refusal(501, "cassette_websocket", "WebSockets are neither recorded nor replayed.")
    if headers.get(b"transfer-encoding", b"").lower() == b"chunked":
        body = ChunkedDecoder().feed(body)
    usual = {"http": 80, "https": 443}.get(key.scheme)
    host = f"[{key.host}]" if ":" in key.host else key.host
    port = "" if key.port == usual else f":{key.port}"
    url = f"{key.scheme}://{host}{port}{target.decode('latin-1')}"
    asked = asked_of(method.decode("latin-1"), url, headers, body, scrubber)
    return asked, scrubber.credentials(headers)


def _unchanged(data: bytes) -> bytes:
    return data


def _nothing() -> None:
    pass
