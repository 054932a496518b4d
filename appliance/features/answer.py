"""Replies of our own: refusals, failures of the provider, mocked replies. Each is on record first.

Bodies are JSON in a shape that both SDKs show to their users: `error` with message, type and code,
beside the keys of the original (`proxy.md 3.2`, `3.3`).
"""

from __future__ import annotations

from collections.abc import Awaitable

import msgspec
import trio

from appliance.core.forwarded import TrustedProxies
from appliance.core.keys import REGION_DEFAULT
from appliance.errors import Refusal, UpstreamFailed
from appliance.exchange import NEVER_S, Exchange, Headers, monotonic
from appliance.fence import broke
from appliance.log import Log
from appliance.wire import Woken

JSON_TYPE = (b"content-type", b"application/json;charset=UTF-8")
SUPPORT = "The record of this request, by its Helicone-Id, has the details."
# Which option moves which deadline (the 504 says so).
OPTIONS = {
    "connect": ("timeout_connect", "connect"),
    "first_byte": ("timeout_first_byte", "first_byte"),
    "gap": ("timeout_gap", "gap"),
    "total": ("timeout_total", "total"),
}
# The provider cannot be reached, or broke off before its reply began: 502. It took too long: 504.
GATEWAY_STATUS = dict.fromkeys(
    ("timeout_connect", "timeout_first_byte", "timeout_gap", "timeout_total"), 504
)


async def refuse(x: Exchange, refusal: Refusal) -> None:
    """Answer an expected no. After the reply has begun it can only be cut."""
    x.error = refusal.code
    if x.started:
        x.outcome = x.outcome or "cut"
        x.reply.abandon()
        return
    x.outcome = refusal.outcome
    body = refusal.body
    if body is None:
        error = {
            "message": refusal.message,
            "type": "helicone_refused",
            "code": refusal.code,
            "param": None,
        }
        body = msgspec.json.encode({"error": error, "message": refusal.message})
    headers = [JSON_TYPE]
    headers += [(name.encode(), value.encode()) for name, value in refusal.headers.items()]
    await own_reply(x, refusal.status, headers, body, refusal.recorded)


async def fail(x: Exchange, failure: UpstreamFailed) -> None:
    """Answer for a provider that failed, or cut the reply that had begun (never a clean end)."""
    x.outcome = x.outcome or ("client_gone" if x.reply.watch.gone else failure.name)
    x.error = x.error or failure.name
    if x.started:
        x.reply.abandon()
        return
    body = {
        "error": {
            "message": failure.message,
            "type": "helicone_upstream_failed",
            "code": failure.name,
            "param": None,
        },
        "message": failure.message,
        "helicone-message": "The provider did not answer; the request was passed to it unchanged.",
        "support": SUPPORT,
    }
    await own_reply(x, status_of(failure), [JSON_TYPE], msgspec.json.encode(body))


def status_of(failure: UpstreamFailed) -> int:
    """The status that a client is given for a failure."""
    return GATEWAY_STATUS.get(failure.name, 502)


def timeout_failure(phase: str, deadlines: object) -> UpstreamFailed:
    """The failure that a passed deadline is, naming the option that moves it."""
    name, option = OPTIONS.get(phase, OPTIONS["total"])
    limit_s = getattr(deadlines, f"{option}_s", 0)
    return UpstreamFailed(
        name, f"No answer within {limit_s:g} s. Raise [deadlines] {option} if that is too short."
    )


async def own_reply(
    x: Exchange, status: int, headers: Headers, body: bytes, recorded: bytes | None = None
) -> None:
    """Send a whole reply of ours; the record, if one is open, is written first, with `recorded` in
    the reply's place if that is given."""
    x.http_status = status
    x.response_type = "application/json"
    x.response_coding = ""
    if x.tap is not None:
        x.tap.add(body if recorded is None else recorded)
        await x.tap.seal(x.outcome)
    x.started = True
    headers = [*headers, (b"content-length", b"%d" % len(body)), *x.reply_headers]
    await x.reply.start(status, b"", headers, len(body), body, last=True)


async def preflight(x: Exchange) -> None:
    """A browser asks what it may send: the CORS headers are the whole answer."""
    await x.reply.start(204, b"", x.reply_headers, 0, b"", last=True)


async def attempt_reply(x: Exchange, reply: Awaitable[None]) -> None:
    """Send a reply of ours to a client who may have gone meanwhile. Where not even that can be made
    the client is told by the status alone."""
    try:
        await reply
    except (Woken, OSError) as error:
        client_gone(x, error)
    except Exception as error:
        broke(x, "answer", error)
        if x.started:
            x.reply.abandon()
            return
        x.outcome, x.error, x.http_status = "refused", "answer_failed", 500
        x.started = True
        try:
            await x.reply.start(500, b"", [(b"content-length", b"0")], 0, b"", last=True)
        except (Woken, OSError) as gone:
            client_gone(x, gone)


async def last_words(x: Exchange, refusal: Refusal) -> None:
    """To a client whose exchange was cancelled because it hung."""
    watch = x.reply.watch
    watch.expired, watch.total_s = "", NEVER_S
    watch.rest()
    await attempt_reply(x, refuse(x, refusal))
    await trio.lowlevel.checkpoint()  # a reply's last bytes leave at the end of the loop's turn


async def woken(x: Exchange, deadlines: object, log: Log) -> None:
    """A wait was ended from outside: a deadline passed, or the client is gone."""
    watch = x.reply.watch
    phase, watch.expired = watch.expired, ""
    if watch.gone or phase in ("", "drain"):
        client_gone(x, None)
    elif phase == "client_write":
        x.outcome = x.outcome or "client_stalled"
        x.reply.abandon()
    else:
        watch.total_s = NEVER_S
        watch.rest()
        failure = timeout_failure(phase, deadlines)
        if x.started and failure.name == "timeout_gap" and "event-stream" in x.response_type:
            failure.name = "stalled"
        await attempt_reply(x, fail(x, failure))
        log.warning("failed", outcome=failure.name, reason=failure.message, id=x.request_id)


def too_late(x: Exchange) -> bool:
    """Whether a target was too slow to connect or to begin its reply, with time left for another.
    The wait is over then, and the next target has deadlines of its own."""
    watch = x.reply.watch
    phase = watch.expired
    if watch.gone or phase not in ("connect", "first_byte"):
        return False
    watch.expired = ""
    watch.rest()
    x.attempts[-1].why_next = f"timeout_{phase}"
    return True


def client_gone(x: Exchange, error: BaseException | None) -> None:
    """The client hung up: what was streamed is on record, and the connection ends here."""
    x.outcome = x.outcome or "client_gone"
    if error is not None:
        x.error = x.error or type(error).__name__
    x.reply.watch.gone = True
    x.reply.abandon()


def log_call(x: Exchange, proxies: TrustedProxies, log: Log) -> None:
    """One line for a call that ended well (`access_log`). The log is no region's: a path, in which
    clients write what they like, and who called is told of the default region's calls alone."""
    log.info(
        "call",
        method=x.head.method.decode("latin-1"),
        **(_told_here(x, proxies) if x.region == REGION_DEFAULT else {"region": x.region}),
        provider=x.aim.provider.id if x.aim is not None else "",
        status=x.http_status,
        outcome=x.outcome,
        ms=round((monotonic() - x.started_s) * 1000, 1),
        id=x.request_id,
    )


def _told_here(x: Exchange, proxies: TrustedProxies) -> dict[str, str]:
    path = x.aim.record_path if x.aim is not None else ""
    caller = proxies.caller(x.head.client_address, "", "", x.head.headers)
    return {"path": path, "client": caller.address}
