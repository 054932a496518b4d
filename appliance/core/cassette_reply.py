"""A reply as a cassette keeps it: status, headers, and its body in the pieces in which a program
will get it again. Pure; reads what came over a connection, and gives what is to go over one.
"""

import base64
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from appliance.core.cassette_scrub import Scrubber, written
from appliance.core.chunked import ChunkedDecoder, encode_chunk
from appliance.core.decoding import decode_body
from appliance.core.framing import NO_BODY, Framing, FramingError, response_framing

COMPLETE: Final = "complete"
CUT: Final = "cut"  # by the provider
LEFT: Final = "left"  # by the program, before the end
ENDS: Final = (COMPLETE, CUT, LEFT)
# Of a connection, of the moment, of who asked; or written anew for the replay.
DROPPED: Final = frozenset({
    "connection", "keep-alive", "transfer-encoding", "content-length", "content-encoding", "date",
    "set-cookie", "set-cookie2", "alt-svc", "cf-ray", "cf-cache-status", "nel", "report-to",
    "server-timing", "via", "age", "trailer", "www-authenticate", "proxy-authenticate",
    "strict-transport-security", "x-envoy-upstream-service-time", "openai-organization",
    "openai-project", "anthropic-organization-id", "openai-processing-ms",
})  # fmt: skip
# Another value in each recording, which says nothing of the call.
DROPPED_PREFIXES: Final = ("x-ratelimit-", "anthropic-ratelimit-", "cf-")
# How providers write JSON. A body that is none of these is kept as text, byte for byte.
STYLES: Final[dict[str, dict[str, Any]]] = {
    "compact": {"separators": (",", ":"), "ensure_ascii": False},
    "spaced": {"ensure_ascii": False},
    "indented": {"indent": 2, "ensure_ascii": False},
    "compact-ascii": {"separators": (",", ":")},
    "spaced-ascii": {},
}
EVENT_END: Final = re.compile(rb"\r\n\r\n|\n\n|\r\r")


@dataclass(frozen=True, slots=True)
class Told:
    """`pieces` joined are the body; `timing_ms` when each came, since the request had gone out."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    pieces: Sequence[bytes] = ()
    timing_ms: Sequence[int] = ()
    end: str = COMPLETE

    @property
    def streams(self) -> bool:
        """Whether it came as events, or in several pieces without a length."""
        return self.headers.get("content-type", "").startswith("text/event-stream")

    def as_map(self) -> dict[str, Any]:
        """As the file has it: readable where it can be."""
        found: dict[str, Any] = {"status": self.status}
        if self.headers:
            found["headers"] = dict(sorted(self.headers.items()))
        found |= self._body()
        if any(self.timing_ms):
            found["timing_ms"] = " ".join(map(str, self.timing_ms))
        if self.end != COMPLETE:
            found["end"] = self.end
        return found

    def _body(self) -> dict[str, Any]:
        body = b"".join(self.pieces)
        if not body:
            return {}
        try:
            if self.streams:
                return {"events": [piece.decode("utf-8") for piece in self.pieces]}
            text = body.decode("utf-8")
        except UnicodeDecodeError:
            return {"base64": [base64.b64encode(piece).decode() for piece in self.pieces]}
        try:
            value = json.loads(text)
            for name, style in STYLES.items():
                if json.dumps(value, **style) == text:
                    return {"json": value, "style": name}
        except (ValueError, RecursionError):
            pass
        return {"text": text}

    @classmethod
    def from_map(cls, found: Mapping[str, Any]) -> "Told":
        """Raises ValueError, KeyError or TypeError for what the file may not have."""
        if "events" in found:
            pieces = [str(event).encode() for event in found["events"]]
        elif "base64" in found:
            pieces = [base64.b64decode(piece, validate=True) for piece in found["base64"]]
        elif "json" in found:
            style = STYLES[found.get("style", "compact")]
            pieces = [json.dumps(found["json"], **style).encode()]
        else:
            pieces = [str(found["text"]).encode()] if found.get("text") else []
        headers = {str(name): str(value) for name, value in found.get("headers", {}).items()}
        timing = [int(part) for part in str(found.get("timing_ms", "")).split()]
        end = found.get("end", COMPLETE)
        status = found["status"]
        if end not in ENDS or type(status) is not int or not 200 <= status <= 999:
            raise ValueError(f"a reply has a status, and an end of {', '.join(ENDS)}")
        return cls(status, headers, pieces, timing, end)


class ReplyReader:
    """Reads one reply from the bytes of a connection: `feed` until `done`, or `lost`."""

    def __init__(self, method: bytes) -> None:
        self._method = method
        self._held = b""
        self._framing: Framing | None = None
        self._decoder: ChunkedDecoder | None = None
        self._left = 0
        self.status = 0
        self.headers: dict[str, str] = {}
        self.pieces: list[bytes] = []
        self.times_ms: list[int] = []
        self.done = False

    def feed(self, data: bytes, at_ms: int) -> None:
        """Bytes as they came. What cannot be read ends it: `status` stays 0 then."""
        self._held += data
        framing = self._framing
        while framing is None:
            head, end, rest = self._held.partition(b"\r\n\r\n")
            if not end:
                return
            self._held = rest
            framing = self._framing = self._read_head(head)
        data, self._held = self._held, b""
        self._add(framing, data, at_ms)

    def closed(self) -> None:
        """The provider has closed: an end where a body of no length is read."""
        if self._framing is not None and self._framing.kind == "until_close":
            self.done = True

    def _read_head(self, head: bytes) -> Framing | None:
        """None: another one comes."""
        first, *lines = head.split(b"\r\n")
        words = first.split(b" ", 2)
        code = words[1] if len(words) > 1 else b""
        status = int(code) if code.isdigit() and len(code) == 3 else 0
        fields = [(name, value.strip()) for name, _, value in (x.partition(b":") for x in lines)]
        if 100 <= status < 200:
            return None
        try:
            framing = response_framing("1.1", self._method, status, fields)
        except FramingError:
            return NO_BODY
        self.status = status
        for name, value in fields:
            text, lowered = value.decode("latin-1"), name.decode("latin-1").lower()
            known = self.headers.get(lowered)
            self.headers[lowered] = text if known is None else f"{known}, {text}"
        self._decoder = ChunkedDecoder() if framing.kind == "chunked" else None
        self._left = framing.length
        return framing

    def _add(self, framing: Framing, data: bytes, at_ms: int) -> None:
        if self._decoder is not None:
            data = self._decoder.feed(data)
            self.done = self._decoder.done
        elif framing.kind == "length":
            data = data[: self._left]
            self._left -= len(data)
            self.done = not self._left
        elif framing.kind == "none":
            data, self.done = b"", True
        if data:
            self.pieces.append(data)
            self.times_ms.append(at_ms)


def told_of(reader: ReplyReader, end: str, scrubber: Scrubber, secrets: Sequence[str]) -> Told:
    """What of a reply is kept. Coded bodies are kept decoded; events one by one."""
    pieces, times = list(reader.pieces), list(reader.times_ms)
    coding = reader.headers.get("content-encoding", "")
    if coding and pieces:
        pieces, times = [decode_body(b"".join(pieces), coding).data], times[-1:]
    headers = {
        name: scrubber.header(name, value, secrets)
        for name, value in reader.headers.items()
        if name not in DROPPED and not name.startswith(DROPPED_PREFIXES)
    }
    told = Told(reader.status, headers, pieces, times, end)
    if told.streams:
        pieces, times = _events(pieces, times)
    try:
        texts = [piece.decode("utf-8") for piece in pieces]
    except UnicodeDecodeError:
        return Told(reader.status, headers, scrubber.data(pieces, secrets), times, end)
    if told.streams:
        texts = [scrubber.event(text, secrets) for text in scrubber.texts(texts, secrets)]
    else:
        texts = [_hidden("".join(texts), scrubber, secrets)] if texts else []
        times = times[-1:]
    return Told(reader.status, headers, [text.encode() for text in texts], times, end)


def _hidden(text: str, scrubber: Scrubber, secrets: Sequence[str]) -> str:
    text = scrubber.text(text, secrets)
    if not scrubber.may_hide(text):
        return text
    try:
        value = json.loads(text)
        hidden = scrubber.value(value, secrets)
    except (ValueError, RecursionError):
        return text
    return text if hidden == value else written(hidden)


def _events(pieces: Sequence[bytes], times: Sequence[int]) -> tuple[list[bytes], list[int]]:
    """One piece for each event, however the network cut them, so that two recordings of the same
    stream are the same; each with the time at which its last byte came."""
    whole = b"".join(pieces)
    cuts = [match.end() for match in EVENT_END.finditer(whole)]
    if not cuts or cuts[-1] < len(whole):
        cuts.append(len(whole))
    made: list[bytes] = []
    moments: list[int] = []
    at, begin, passed = 0, 0, 0
    for end in cuts:
        while at < len(pieces) - 1 and passed + len(pieces[at]) < end:
            passed += len(pieces[at])
            at += 1
        made.append(whole[begin:end])
        moments.append(times[at] if times else 0)
        begin = end
    return [piece for piece in made if piece], moments


def wire_pieces(told: Told, method: bytes, *, timed: bool) -> list[tuple[float, bytes]]:
    """What goes over a connection to play it: bytes, each with the seconds to wait before."""
    headers = "".join(f"{name}: {value}\r\n" for name, value in told.headers.items())
    bare = method == b"HEAD" or told.status in (204, 304)
    chunked = told.streams or len(told.pieces) > 1 or told.end != COMPLETE
    framing = ""
    if not bare:
        length = sum(map(len, told.pieces))
        framing = "transfer-encoding: chunked" if chunked else f"content-length: {length}"
        framing += "\r\n"
    head = f"HTTP/1.1 {told.status} Replayed\r\n{headers}{framing}\r\n".encode("latin-1", "replace")
    pieces = [] if bare else [encode_chunk(x) if chunked else x for x in told.pieces]
    made = [(0.0, head)]
    before_ms = 0
    for at, piece in enumerate(pieces):
        at_ms = told.timing_ms[at] if at < len(told.timing_ms) else before_ms
        wait_s = max(0, at_ms - before_ms) / 1000 if timed else 0.0
        before_ms = max(before_ms, at_ms)
        made.append((wait_s, piece))
    if timed and len(made) > 1:  # the head came with the first piece
        made[0], made[1] = (made[1][0], head), (0.0, made[1][1])
    if chunked and not bare and told.end == COMPLETE:
        made.append((0.0, b"0\r\n\r\n"))
    return made
