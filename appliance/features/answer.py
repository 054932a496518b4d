"""Replies of our own: refusals, failures of the provider, mocked replies. Each is on record first.

Bodies are JSON in a shape that both SDKs show to their users: `error` with message, type and code,
beside the keys of the original (`proxy.md 3.2`, `3.3`).
"""

from __future__ import annotations

import msgspec

from appliance.errors import Refusal, UpstreamFailed
from appliance.exchange import Exchange, Headers

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
    x.outcome = x.outcome or refusal.outcome
    x.error = refusal.code
    if x.started:
        x.reply.abandon()
        return
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
