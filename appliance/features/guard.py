"""The checks of a prompt before a provider is called: prompt security, then moderation (proxy.md
7.1, 7.2). After the limiter, before anything is paid; security once for an exchange, moderation at
the first target that has one.

Fails open: a check that cannot be made is told in a header, on the record and in the metrics, and
the request goes on. With `guard_fail = "closed"` it is refused instead. An explicit no is a 400.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol
from urllib.parse import urlsplit

import trio

from appliance import fence
from appliance.bodies import BODY_BYTES_MAX, of_document, whole
from appliance.core import headers as names
from appliance.core.decoding import decode_body
from appliance.core.guard import Guard, blocks
from appliance.core.guard_reply import (
    MODEL_CHARACTERS_MAX,
    flagged_refusal,
    is_flagged,
    is_unsafe,
    model_body,
    moderation_body,
    threat_refusal,
)
from appliance.core.guard_text import (
    Prompt,
    has_prompt,
    moderation_input,
    prompt_of,
    with_inputs,
)
from appliance.core.json_reader import read_json
from appliance.errors import Refusal, UpstreamFailed
from appliance.exchange import Aim, Body, Exchange
from appliance.wire import Woken

REPLY_BYTES_MAX = 256 * 1024
MODERATION_S = 10.0
# All checks of a request together; the model that judges has a deadline of its own inside.
GUARD_S = 45.0
GUARD = "guard"
MODERATED_PROVIDER = "openai"
NO_INPUTS: Mapping[str, object] = {}

SECURITY, ADVANCED, MODERATION = (
    "llm-security-enabled", "llm-security-advanced", "moderations-enabled",
)  # fmt: skip
# How the calls are named on the record (`core/facts.py` knows them as no answers).
WHY_MODEL, WHY_MODERATION = "guard_model", "moderation"
# Of the client's header lines those that say who asks; the others speak of another body.
CREDENTIAL_LINES = frozenset(
    {b"host", names.AUTHORIZATION, b"openai-organization", b"openai-project"}
)
VERSION_PATH = re.compile(rb"[^?]*?/v1(?=/)")

# What `guard_fail = "closed"` makes of each reason. Others pass either way: there is no prompt, or
# no such check at that provider.
CLOSED = {
    "body-not-read": (400, "The body could not be read as JSON. Send JSON without Content-Encoding"
                      " or in gzip, deflate, br or zstd."),
    "body-too-large": (413, "Bodies are checked up to 32 MiB. Send a smaller one."),
    "text-too-long": (413, "Only part of the prompt could be checked. Send a shorter one."),
    "no-user-message": (400, "No text of a user was found in the body. Send it in messages, input, "
                        "contents or prompt."),
    "websocket": (403, "What is said over a WebSocket is not checked. Use calls over HTTP."),
    "no-model": (503, "This server has no model that judges prompts: [guard_model] names one."),
    "failed": (503, "The check broke. Try again."),
    "call-failed": (503, "Whoever was asked to judge the prompt did not. Try again."),
}  # fmt: skip


class Reply(Protocol):
    """A provider's reply, as far as it is read here."""

    status: int
    done: bool

    async def piece(self) -> bytes:
        """The next bytes. Raises UpstreamFailed, Woken."""


MakeCall = Callable[[Exchange, Aim, Body], AbstractAsyncContextManager[Reply]]


@dataclass(frozen=True, slots=True)
class GuardModel:
    """The stronger tier: a model that judges prompts. `aim` gives the way to it for a region."""

    name: str
    deadline_s: float
    aim: Callable[[str], Aim]


@dataclass(slots=True)
class Guards:
    """What the pipeline asks. `failed` counts the checks that broke, by feature."""

    closed: bool
    model: GuardModel | None
    call: MakeCall
    failed: Callable[[str], None]


@dataclass(slots=True)
class Checks:
    """What is known of one exchange's prompt. `why_not`: the reason why there is none to check."""

    prompt: Prompt
    why_not: str = ""
    moderation: bytes = b""
    moderated: bool = False


def wants_guard(x: Exchange) -> bool:
    """Whether a check is asked for."""
    asks = x.asks
    return asks.security_enabled or asks.moderations_enabled or asks.security_advanced


async def checked(x: Exchange, guards: Guards) -> None:
    """Make the checks, bounded in time. One that breaks lets the request pass, or with `guard_fail`
    closed refuses it. Raises Refusal, Woken."""
    try:
        if wants_guard(x):
            with trio.fail_after(GUARD_S):
                await guard(x, guards)
    except fence.PROMISED:
        raise
    except Exception as error:
        if guards.closed:
            raise fence.closed(x, GUARD, error) from error
        fence.broke(x, GUARD, error)


async def guard(x: Exchange, guards: Guards) -> None:
    """Make the checks that are asked for and not made yet; moderation waits for an aim.

    Called before each target. Raises Refusal: 400 for an explicit no, others where `guard_fail` is
    closed; Woken.
    """
    checks: Checks | None = x.checks
    if checks is None:
        checks = x.checks = await _read(x)
        if x.asks.security_enabled:
            await _broken_or(_secure, x, guards, checks, SECURITY)
        elif x.asks.security_advanced:
            _miss(x, guards, ADVANCED, "llm-security-not-enabled")
    if x.asks.moderations_enabled and not checks.moderated and x.aim is not None:
        await _broken_or(_moderate, x, guards, checks, MODERATION)


async def _broken_or(check: Any, x: Exchange, guards: Guards, checks: Checks, feature: str) -> None:  # noqa: ANN401
    try:
        if checks.why_not:
            if checks.why_not == "failed":
                guards.failed(feature)
            _miss(x, guards, feature, checks.why_not)
        else:
            await check(x, guards, checks)
    except (Refusal, Woken):
        raise
    except Exception:  # open, or closed if that is configured: a fault of ours
        guards.failed(feature)
        _miss(x, guards, feature, "failed")


async def _read(x: Exchange) -> Checks:
    """Find the prompt, whatever the body is."""
    body = x.body
    why_not = ""
    if x.route.switches:
        why_not = "websocket"
    elif x.head.method != b"POST" or not body.length or not has_prompt(_path(x)):
        why_not = "no-prompt"
    elif body.length > BODY_BYTES_MAX:
        why_not = "body-too-large"
    if why_not:
        return Checks(Prompt("", whole=True), why_not)
    coding = x.head.first.get(b"content-encoding", b"").decode("latin-1")
    find = partial(_checks, moderates=x.asks.moderations_enabled)
    try:
        if x.expanded is not None:  # what a model is asked, and not the name of a stored prompt
            document, inputs = x.expanded
            return find(document, "", inputs)
        if not coding:
            return await of_document(body, find)
        return await trio.to_thread.run_sync(lambda: find(*_decoded(whole(body), coding)))
    except Exception:  # open: told by whoever asked
        return Checks(Prompt("", whole=True), "failed")


def _decoded(data: bytes, coding: str) -> tuple[Any, str]:
    """What a body says that comes with a coding; and why it says nothing."""
    decoded = decode_body(data, coding)
    return (None, decoded.problem) if decoded.problem else read_json(decoded.data)


def _checks(
    document: object, fault: str, inputs: Mapping[str, object] = NO_INPUTS, *, moderates: bool
) -> Checks:
    """The prompt in a body, and what is asked of the moderation endpoint."""
    if fault or not isinstance(document, dict):
        return Checks(Prompt("", whole=True), "body-not-read")
    prompt = with_inputs(prompt_of(document), inputs)
    if not prompt.text:
        return Checks(prompt, "no-user-message")
    asked = moderation_body(moderation_input(document, prompt)) if moderates else b""
    return Checks(prompt, "", asked)


def _path(x: Exchange) -> str:
    """What the client calls; a gateway's route has no provider's path yet."""
    path: bytes = x.route.path or x.head.target
    return path.decode("latin-1")


async def _secure(x: Exchange, guards: Guards, checks: Checks) -> None:
    """The built-in guard, then the model if that is asked for."""
    prompt = checks.prompt
    judge = Guard()
    for block in blocks(prompt.text):
        judge.read(block)
        if judge.is_threat:
            _refuse_threat(x)
        await trio.lowlevel.checkpoint()
    if prompt.whole:
        x.threat = False
    else:
        _miss(x, guards, SECURITY, "text-too-long")
    if x.asks.security_advanced:
        await _ask_model(x, guards, prompt.text)


async def _ask_model(x: Exchange, guards: Guards, text: str) -> None:
    model = guards.model
    if model is None:
        _miss(x, guards, ADVANCED, "no-model")
        return
    if len(text) > MODEL_CHARACTERS_MAX:
        _miss(x, guards, ADVANCED, "text-too-long")
    body = model_body(model.name, text)
    said = await _asked(x, guards, model.aim(x.region), body, model.deadline_s, WHY_MODEL)
    unsafe = is_unsafe(said) if said is not None else None
    if unsafe is None:
        guards.failed(ADVANCED)
        _miss(x, guards, ADVANCED, "call-failed")
    elif unsafe:
        _refuse_threat(x)


def _refuse_threat(x: Exchange) -> None:
    x.threat = True
    failed = (names.REPLY_STATUS, b"failed")
    x.reply_headers = [
        failed if field[0] == names.REPLY_STATUS else field for field in x.reply_headers
    ]
    raise threat_refusal(x.request_id)


async def _moderate(x: Exchange, guards: Guards, checks: Checks) -> None:
    """Ask the provider's own moderation, with the credential that the call itself has."""
    assert x.aim is not None, "aimed before"
    if x.aim.provider.id != MODERATED_PROVIDER:
        _miss(x, guards, MODERATION, "provider")
        return
    checks.moderated = True
    if not checks.prompt.whole:
        _miss(x, guards, MODERATION, "text-too-long")
    aim = moderation_aim(x.aim, x.route.path)
    said = await _asked(x, guards, aim, checks.moderation, MODERATION_S, WHY_MODERATION)
    checks.moderation = b""
    flagged = is_flagged(said) if said is not None else None
    if flagged is None:
        guards.failed(MODERATION)
        _miss(x, guards, MODERATION, "call-failed")
    elif flagged:
        raise flagged_refusal(x.request_id)


def moderation_aim(aim: Aim, path: bytes) -> Aim:
    """From a call's Aim the one of its moderation: same host, same credential."""
    version = VERSION_PATH.match(path)
    sent = (version[0] if version is not None else b"/v1") + b"/moderations"
    fields = [
        line
        for line in aim.lines.split(b"\r\n")[1:]
        if line.partition(b":")[0].lower() in CREDENTIAL_LINES
    ]
    lines = [
        b"POST %b HTTP/1.1" % sent,
        *fields,
        b"content-type: application/json",
        b"accept: application/json",
        b"accept-encoding: identity",
        b"",
    ]
    where = urlsplit(aim.record_url)
    shown = f"{where.scheme}://{where.netloc}{sent.decode('latin-1')}"
    return Aim(
        aim.provider, aim.key, b"\r\n".join(lines), True, aim.deadlines, aim.record_path, shown
    )


async def _asked(
    x: Exchange, guards: Guards, aim: Aim, body: bytes, deadline_s: float, why: str
) -> bytes | None:
    """One call beside the one that the client asked for: the body of a good reply, else None. It
    stands among the record's attempts. Raises Woken when the client has left, or has no time."""
    watch = x.reply.watch
    said: bytes | None = None
    before = len(x.attempts)
    try:
        with trio.move_on_after(deadline_s):
            async with guards.call(x, aim, Body(body, None, len(body))) as reply:
                data = await _whole(reply)
                said = data if reply.status == 200 else None
    except (UpstreamFailed, Refusal):  # a Refusal: of an address that may not be dialled
        pass
    except Woken:
        if watch.gone or watch.expired not in ("connect", "first_byte"):
            raise
        watch.expired = ""
    finally:
        for attempt in x.attempts[before:]:
            attempt.why_next = why if said is not None else f"{why}_failed"
    watch.rest()
    return said


async def _whole(reply: Reply) -> bytes | None:
    data = bytearray()
    while not reply.done:
        data += await reply.piece()
        if len(data) > REPLY_BYTES_MAX:
            return None
    return bytes(data)


def _miss(x: Exchange, guards: Guards, feature: str, reason: str) -> None:
    """A check is not made, or not in full. Raises Refusal where that is not let pass."""
    fence.note(x, f"{feature};reason={reason}")
    if guards.closed and reason in CLOSED:
        status, message = CLOSED[reason]
        raise Refusal(
            status, "guard_failed",
            f"{message} The check {feature} was asked for, and this server lets nothing pass "
            f'unchecked (guard_fail = "closed"; reason: {reason}).',
        )  # fmt: skip
