"""How the fake provider behaves: well, by path, or badly, by the name that was asked for.

A name may carry numbers: `fake-cut-after-3`, `fake-error-429`.
"""

from __future__ import annotations

import gzip
import re
from typing import TYPE_CHECKING, Any

import msgspec
import trio

from tests.fakes import provider_anthropic as anthropic
from tests.fakes import provider_openai as openai
from tests.fakes.provider import Gone, Script, Talk
from tests.fakes.provider_realtime import is_opening, realtime

if TYPE_CHECKING:
    from tests.fakes.provider_formats import Called

JSON = b"application/json"
SSE = b"text/event-stream; charset=utf-8"
OWN = b"x-request-id: req_fake\r\nopenai-processing-ms: 12\r\n"
# Where strict fakes speak other formats; they cost imports that most tests can do without.
STRICT = re.compile(rb"/(?:strict|v1beta1?|model|openai/deployments|v1/projects)/")
TOKENS = b"/google/token"
# Moderation is asked with few headers and no model: what it is to do wrong stands in the prompt.
FAULT_IN_TEXT = re.compile(rb"fake-(?!flagged)[a-z0-9-]+")
NUMBERED = re.compile(r"(fake-[a-z0-9-]*?)-(\d+)")


def head(status: bytes, kind: bytes, framing: bytes, more: bytes = OWN) -> bytes:
    return b"HTTP/1.1 %b\r\ncontent-type: %b\r\n%b%b\r\n\r\n" % (status, kind, more, framing)


def whole(body: bytes, status: bytes = b"200 OK", kind: bytes = JSON, more: bytes = OWN) -> bytes:
    return head(status, kind, b"content-length: %d" % len(body), more) + body


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


STREAM_HEAD = head(b"200 OK", SSE, b"transfer-encoding: chunked")
END = b"0\r\n\r\n"


async def choose(talk: Talk) -> Script:
    """By header, else by model (which takes reading the body), else by path."""
    name = (talk.request.first(b"x-fake") or b"").decode()
    if not name and is_opening(talk):
        return realtime
    if not name:
        await read(talk)
        one = strict(talk)
        model = one.model if one is not None else str(asked_of(talk).get("model") or "")
        # By its name a model is known as Claude, where several are served.
        name = model.removesuffix("-claude") if model.startswith("fake-") else ""
    if not name and is_moderation(talk):
        found = FAULT_IN_TEXT.search(talk.request.body)
        name = found[0].decode() if found else ""
    if not name:
        return normal
    if name in talk.provider.scripts:
        return talk.provider.scripts[name]
    return SCRIPTS.get(name) or numbered(name)


def strict(talk: Talk) -> Called | None:
    """The strict fake that this request is for."""
    if STRICT.match(talk.request.target) is None:
        return None
    from tests.fakes.provider_formats import called

    return called(talk.request)


def stream_head(talk: Talk) -> bytes:
    one = strict(talk)
    kind = SSE if one is None else one.format.kind
    return head(b"200 OK", kind, b"transfer-encoding: chunked")


def numbered(name: str) -> Script:
    found = NUMBERED.fullmatch(name)
    assert found is not None, f"no such script: {name}"
    script, number = NUMBERED_SCRIPTS[found[1]], int(found[2])

    async def run(talk: Talk) -> None:
        await script(talk, number)

    return run


async def read(talk: Talk) -> None:
    if not talk.request.raw_body:
        await talk.read_body()


def asked_of(talk: Talk) -> dict[str, Any]:
    try:
        document = msgspec.json.decode(talk.request.body)
    except (msgspec.DecodeError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def is_anthropic(talk: Talk) -> bool:
    return b"/messages" in talk.request.target


def is_moderation(talk: Talk) -> bool:
    return talk.request.target.endswith(b"/moderations")


def events_of(talk: Talk) -> list[bytes]:
    asked = asked_of(talk)
    one = strict(talk)
    if one is not None:
        return one.events(asked)
    if is_anthropic(talk):
        return anthropic.message_events(asked)
    if b"/responses" in talk.request.target:
        return openai.response_events(asked)
    return openai.chat_events(asked)


def body_of(talk: Talk) -> bytes:
    asked = asked_of(talk)
    target = talk.request.target
    one = strict(talk)
    if one is not None:
        return one.reply(asked)
    if is_anthropic(talk):
        return anthropic.message(asked)
    if b"/responses" in target:
        return openai.pretty(openai.response(asked))
    if b"/embeddings" in target:
        return openai.embeddings(asked)
    if is_moderation(talk):
        return openai.moderation(talk.request.body)
    if b"/models" in target:
        return openai.models()
    return openai.chat(asked)


async def normal(talk: Talk) -> None:
    """As the services answer: a stream when it was asked for, else a whole body."""
    await read(talk)
    one = strict(talk)
    if talk.request.target == TOKENS:
        await token(talk)
    elif one is not None and await refused(talk, one):
        return
    elif asked_of(talk).get("stream") is True if one is None else one.streams:
        await stream(talk)
    else:
        await talk.send(whole(body_of(talk)))


async def refused(talk: Talk, one: Called) -> bool:
    """Whether a strict fake takes no such request, which it has said then."""
    from tests.fakes.provider_formats import refusal_of

    refusal = refusal_of(talk, one)
    if refusal is None:
        return False
    body = one.format.error(refusal.status, refusal.message)
    more = OWN + one.format.error_headers(refusal.status)
    await talk.send(whole(body, b"%d Fake" % refusal.status, JSON, more))
    return True


async def token(talk: Talk) -> None:
    """Google's token endpoint."""
    from tests.fakes.provider_google_token import desk_of

    desk = desk_of(talk.provider)
    if desk.gate:
        await talk.gate(desk.gate)
    status, body = desk.answer(talk.request.body)
    await talk.send(whole(body, b"%d Fake" % status))


async def stream(talk: Talk, pause_s: float = 0.0) -> None:
    await talk.send(stream_head(talk))
    for event in events_of(talk):
        await talk.send(chunk(event))
        if pause_s:
            await trio.sleep(pause_s)
    await talk.send(END)


async def paced(talk: Talk, pause_ms: int) -> None:
    """`fake-paced-20`: an event each 20 ms."""
    await read(talk)
    await stream(talk, pause_ms / 1000)


async def error(talk: Talk, status: int) -> None:
    """`fake-error-429`, with the service's own words."""
    await read(talk)
    one = strict(talk)
    more = OWN + (b"retry-after: 7\r\n" if status == 429 else b"")
    if one is not None:
        body = one.format.error(status, "")
        more += one.format.error_headers(status)
    else:
        body = (anthropic if is_anthropic(talk) else openai).error(status)
    await talk.send(whole(body, b"%d Fake" % status, JSON, more))


async def cut_after(talk: Talk, count: int) -> None:
    """`fake-cut-after-3`: three events, then the connection ends without a clean end."""
    await read(talk)
    await talk.send(stream_head(talk) + b"".join(chunk(event) for event in events_of(talk)[:count]))
    talk.close()


async def reset_after(talk: Talk, count: int) -> None:
    """The same with a reset, once the test has seen the events (gate)."""
    await read(talk)
    await talk.send(stream_head(talk) + b"".join(chunk(event) for event in events_of(talk)[:count]))
    await talk.gate()
    talk.reset()


async def stall_after(talk: Talk, count: int) -> None:
    """Some events, then silence until the other side gives up."""
    await read(talk)
    await talk.send(stream_head(talk) + b"".join(chunk(event) for event in events_of(talk)[:count]))
    await talk.wait_closed()


async def silent(talk: Talk) -> None:
    """`fake-stall`: reads the request and never answers."""
    await read(talk)
    await talk.wait_closed()


async def reset_before_headers(talk: Talk) -> None:
    await read(talk)
    talk.reset()


async def close_before_headers(talk: Talk) -> None:
    await read(talk)
    talk.close()


async def no_done(talk: Talk) -> None:
    """A stream that ends cleanly without its terminal event."""
    await read(talk)
    events = events_of(talk)[:-1]
    await talk.send(stream_head(talk) + b"".join(chunk(event) for event in events) + END)


async def short(talk: Talk, count: int) -> None:
    """`fake-short-2`: a clean end, but the last two events are not there."""
    await read(talk)
    events = events_of(talk)[:-count]
    await talk.send(stream_head(talk) + b"".join(map(chunk, events)) + END)


async def slow_first_token(talk: Talk) -> None:
    """The head at once, the first event when the gate opens."""
    await read(talk)
    await talk.send(stream_head(talk))
    await talk.gate()
    for event in events_of(talk):
        await talk.send(chunk(event))
    await talk.send(END)


async def held(talk: Talk) -> None:
    """Two events, the rest when the gate opens."""
    await read(talk)
    first, rest = events_of(talk)[:2], events_of(talk)[2:]
    await talk.send(stream_head(talk) + b"".join(map(chunk, first)))
    await talk.gate()
    await talk.send(b"".join(map(chunk, rest)) + END)


async def held_tail(talk: Talk) -> None:
    """All events at once, the chunked end when the gate opens: SDKs are gone by then."""
    await read(talk)
    await talk.send(stream_head(talk) + b"".join(map(chunk, events_of(talk))))
    await talk.gate()
    await talk.send(END)


async def gzipped(talk: Talk) -> None:
    await read(talk)
    asked = asked_of(talk)
    more = OWN + b"content-encoding: gzip\r\nvary: accept-encoding\r\n"
    if asked.get("stream"):
        data = gzip.compress(b"".join(events_of(talk)), mtime=0)
        await talk.send(head(b"200 OK", SSE, b"transfer-encoding: chunked", more))
        for at in range(0, len(data), 100):
            await talk.send(chunk(data[at : at + 100]))
        await talk.send(END)
    else:
        await talk.send(whole(gzip.compress(body_of(talk), mtime=0), more=more))


async def informational(talk: Talk) -> None:
    """`fake-1xx`: 102 and 103 before the reply."""
    await read(talk)
    early = b"HTTP/1.1 103 Early Hints\r\nlink: </style.css>; rel=preload\r\n\r\n"
    await talk.send(b"HTTP/1.1 102 Processing\r\n\r\n" + early + whole(body_of(talk)))


async def hint_then_stall(talk: Talk) -> None:
    await read(talk)
    await talk.send(b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n")
    await talk.wait_closed()


async def trailers(talk: Talk) -> None:
    await read(talk)
    framing = b"trailer: x-checksum\r\ntransfer-encoding: chunked"
    body = body_of(talk)
    tail = b"0\r\nx-checksum: abc\r\nX-Second: two words\r\n\r\n"
    await talk.send(head(b"200 OK", JSON, framing) + chunk(body[:10]) + chunk(body[10:]) + tail)


async def until_close(talk: Talk) -> None:
    """No length, no chunks: the end of the connection is the end of the body."""
    await read(talk)
    await talk.send(head(b"200 OK", JSON, b"connection: close") + body_of(talk))
    talk.close()


async def old_version(talk: Talk) -> None:
    """HTTP/1.0."""
    await read(talk)
    body = body_of(talk)
    await talk.send(b"HTTP/1.0 200 OK\r\ncontent-type: application/json\r\n\r\n" + body)
    talk.close()


async def early_413(talk: Talk) -> None:
    """Answers as soon as it has seen the head and some of the body, and closes."""
    await talk.read_exactly(1000)
    body = b'{"error":{"message":"too large","type":"invalid_request_error","code":null}}'
    await talk.send(whole(body, b"413 Payload Too Large", JSON, OWN + b"connection: close\r\n"))
    await talk.stream.send_eof()
    await talk.wait_closed()


async def malformed_chunk(talk: Talk) -> None:
    await read(talk)
    events = events_of(talk)
    await talk.send(stream_head(talk) + b"".join(map(chunk, events[:3])) + b"zz\r\nnot a chunk\r\n")
    await talk.wait_closed()


async def malformed_head(talk: Talk) -> None:
    await read(talk)
    await talk.send(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nabcde")
    await talk.wait_closed()


async def short_body(talk: Talk) -> None:
    """Says more than it sends."""
    await read(talk)
    body = body_of(talk)
    await talk.send(head(b"200 OK", JSON, b"content-length: %d" % (len(body) + 100)) + body)
    talk.close()


async def error_in_200(talk: Talk) -> None:
    """A stream that carries an error and ends."""
    await read(talk)
    events = events_of(talk)[:3]
    one = strict(talk)
    if one is not None:
        events.append(one.format.error_event())
    elif is_anthropic(talk):
        events.append(b"event: error\ndata: " + anthropic.error(529) + b"\n\n")
    else:
        document = {"error": {"message": "overloaded", "type": "server_error", "code": None}}
        events.append(b"data: " + openai.compact(document) + b"\n\n")
    await talk.send(stream_head(talk) + b"".join(map(chunk, events)) + END)


async def duplicate_headers(talk: Talk) -> None:
    await read(talk)
    more = (
        b"Set-Cookie: a=1; Path=/\r\nset-cookie: b=2\r\nX-Odd:   spaced \t\r\n"
        b"X-Empty:\r\nx-latin: caf\xe9\r\nX-RateLimit-Remaining: 5\r\nx-ratelimit-remaining: 6\r\n"
    )
    await talk.send(whole(body_of(talk), more=more))


async def no_content(talk: Talk) -> None:
    await read(talk)
    await talk.send(b"HTTP/1.1 204 No Content\r\nx-request-id: req_fake\r\n\r\n")


async def not_modified(talk: Talk) -> None:
    await read(talk)
    await talk.send(b'HTTP/1.1 304 Not Modified\r\netag: "abc"\r\ncontent-length: 1234\r\n\r\n')


async def head_only(talk: Talk) -> None:
    """For HEAD: the length of what a GET would give."""
    await read(talk)
    await talk.send(head(b"200 OK", JSON, b"content-length: 4321"))


async def big(talk: Talk, kilobytes: int) -> None:
    """`fake-big-3072`: 3 MiB of text in a JSON body of known length."""
    await read(talk)
    await talk.send(whole(big_body(kilobytes)))


def big_body(kilobytes: int) -> bytes:
    line = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ+-"
    return b'{"model":"gpt-4o","text":"' + line * (16 * kilobytes) + b'"}'


async def flood(talk: Talk, megabytes: int) -> None:
    """A stream of so many megabytes, as fast as it is taken."""
    await read(talk)
    await talk.send(stream_head(talk))
    event = chunk(b"data: " + b"x" * 65520 + b"\n\n")
    for _ in range(megabytes * 16):
        await talk.send(event)
    await talk.send(chunk(b"data: [DONE]\n\n") + END)


async def stale(talk: Talk) -> None:
    """Answers, keeps the connection, and closes it at the second request, unread."""
    if talk.request.number > 1:
        raise Gone
    await read(talk)
    await talk.send(whole(body_of(talk)))


async def redirect(talk: Talk) -> None:
    await read(talk)
    more = b"location: http://169.254.169.254/latest\r\n"
    await talk.send(whole(b"moved", b"302 Found", b"text/plain", more))


async def echo(talk: Talk) -> None:
    """The request as it came, head and body, as the reply's body."""
    await read(talk)
    request = talk.request
    await talk.send(whole(request.head + request.raw_body, kind=b"application/octet-stream"))


SCRIPTS: dict[str, Script] = {
    "fake-normal": normal,
    "fake-stall": silent,
    "fake-reset-before-headers": reset_before_headers,
    "fake-close-before-headers": close_before_headers,
    "fake-no-done": no_done,
    "fake-slow-first-token": slow_first_token,
    "fake-held": held,
    "fake-held-tail": held_tail,
    "fake-gzip": gzipped,
    "fake-1xx": informational,
    "fake-hint-then-stall": hint_then_stall,
    "fake-trailers": trailers,
    "fake-until-close": until_close,
    "fake-http10": old_version,
    "fake-early-413": early_413,
    "fake-malformed-chunk": malformed_chunk,
    "fake-malformed-head": malformed_head,
    "fake-short-body": short_body,
    "fake-error-in-200": error_in_200,
    "fake-duplicate-headers": duplicate_headers,
    "fake-204": no_content,
    "fake-304": not_modified,
    "fake-head": head_only,
    "fake-stale": stale,
    "fake-redirect": redirect,
    "fake-echo": echo,
}
NUMBERED_SCRIPTS: dict[str, Any] = {
    "fake-cut-after": cut_after,
    "fake-reset-after": reset_after,
    "fake-short": short,
    "fake-stall-after": stall_after,
    "fake-error": error,
    "fake-paced": paced,
    "fake-big": big,
    "fake-flood": flood,
}
