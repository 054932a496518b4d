"""Which format a fake speaks, by the path that is called; strict ones check all that they are sent.

`/strict/…` leads to OpenAI's and Anthropic's own, which are lenient elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, unquote

import msgspec

from tests.fakes import provider_bedrock as bedrock
from tests.fakes import provider_chat as chat
from tests.fakes import provider_claude as claude
from tests.fakes import provider_gemini as gemini
from tests.fakes.provider import Received, Talk
from tests.fakes.provider_google_token import PROJECT, desk_of
from tests.fakes.provider_mind import Refused

GEMINI_KEY = "AIza-fake-gemini"
AZURE_KEY = "fake-azure-key"
AZURE_VERSIONS = ("2024-10-21", "2025-01-01-preview")
EVENTS = b"text/event-stream"


@dataclass(frozen=True)
class Format:
    """`reply` and `events` may raise Refused. `check` looks at key and envelope."""

    name: str
    pattern: re.Pattern[str]
    reply: Callable[[dict[str, Any], str], bytes]
    events: Callable[[dict[str, Any], str], list[bytes]]
    error: Callable[[int, str], bytes]
    error_event: Callable[[], bytes]
    check: Callable[[Talk], None]
    kind: bytes = EVENTS
    error_headers: Callable[[int], bytes] = lambda status: b""


@dataclass(frozen=True)
class Called:
    """A request to a strict fake: its format, and what its path says."""

    format: Format
    model: str
    streams: bool

    def events(self, body: dict[str, Any]) -> list[bytes]:
        return self.format.events(body, self.model)

    def reply(self, body: dict[str, Any]) -> bytes:
        return self.format.reply(body, self.model)


def called(request: Received) -> Called | None:
    """None for what no strict fake serves."""
    target = request.target.decode()
    for one in FORMATS:
        found = one.pattern.match(target)
        if found is not None:
            parts = found.groupdict()
            body = _body(request)
            method = parts.get("method")
            streams = body.get("stream") is True if method is None else "stream" in method.lower()
            model = parts.get("model") or str(body.get("model") or "")
            return Called(one, unquote(model), streams)
    return None


def _body(request: Received) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(request.body or b"{}")
    except msgspec.DecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def refusal_of(talk: Talk, one: Called) -> Refused | None:
    """Why a request is refused before a model looks at it."""
    try:
        one.format.check(talk)
        one.reply(_body(talk.request))
    except Refused as refused:
        return refused
    return None


def _check_gemini(talk: Talk) -> None:
    request = talk.request
    keys = parse_qs(request.target.decode().partition("?")[2]).get("key", [])
    if request.first(b"authorization") or request.first(b"x-goog-api-key"):
        raise Refused(401, "Multiple authentication credentials received.")
    if keys != [GEMINI_KEY]:
        raise Refused(400, "API key not valid. Please pass a valid API key.")


def _check_vertex(talk: Talk) -> None:
    request = talk.request
    token = (request.first(b"authorization") or b"").decode().removeprefix("Bearer ")
    if token not in desk_of(talk.provider).issued or b"key=" in request.target:
        raise Refused(401, "Request had invalid authentication credentials.")
    if f"/projects/{PROJECT}/".encode() not in request.target:
        raise Refused(403, "Permission denied on resource project.")


def _check_vertex_claude(talk: Talk) -> None:
    _check_vertex(talk)
    request = talk.request
    claude.in_envelope(_body(request), "vertex")
    if request.first(b"x-api-key"):
        raise Refused(401, "x-api-key is no credential here.")
    if (b":streamRawPredict" in request.target) != (_body(request).get("stream") is True):
        raise Refused(400, "stream does not fit the method.")


def _check_azure(talk: Talk) -> None:
    request = talk.request
    if request.first(b"api-key") != AZURE_KEY.encode() or request.first(b"authorization"):
        raise Refused(401, "Access denied due to invalid subscription key.")
    versions = parse_qs(request.target.decode().partition("?")[2]).get("api-version", [])
    if len(versions) != 1 or versions[0] not in AZURE_VERSIONS:
        raise Refused(404, "Resource not found")


def _check_aws(talk: Talk) -> None:
    bedrock.check_signature(talk.request)


def _check_openai(talk: Talk) -> None:
    if not (talk.request.first(b"authorization") or b"").startswith(b"Bearer sk-env"):
        raise Refused(401, "Incorrect API key provided.")


def _check_anthropic(talk: Talk) -> None:
    request = talk.request
    if not (request.first(b"x-api-key") or b"").startswith(b"sk-env"):
        raise Refused(401, "invalid x-api-key")
    if not request.first(b"anthropic-version") or request.first(b"authorization"):
        raise Refused(400, "anthropic-version: header is required")


def _vertex_claude_reply(body: dict[str, Any], model: str) -> bytes:
    return claude.reply(claude.in_envelope(body, "vertex"), model)


def _vertex_claude_events(body: dict[str, Any], model: str) -> list[bytes]:
    return claude.events(claude.in_envelope(body, "vertex"), model)


def _path(text: str) -> re.Pattern[str]:
    return re.compile(text.replace("{model}", r"(?P<model>[^/?:]+)"))


VERTEX = r"/projects/[^/]+/locations/[a-z0-9-]+/publishers/"
FORMATS = (
    Format(
        "gemini", _path(r"/v1beta/models/{model}:(?P<method>(stream)?[gG]enerateContent)"),
        gemini.reply, gemini.events, gemini.error, gemini.error_event, _check_gemini,
    ),
    Format(
        "vertex-gemini",
        _path(f"/v1beta1{VERTEX}google/models/{{model}}:(?P<method>(stream)?[gG]enerateContent)"),
        gemini.reply, gemini.events, gemini.error, gemini.error_event, _check_vertex,
    ),
    Format(
        "vertex-claude",
        _path(f"/v1{VERTEX}anthropic/models/{{model}}:(?P<method>rawPredict|streamRawPredict)"),
        _vertex_claude_reply, _vertex_claude_events, claude.error, claude.error_event,
        _check_vertex_claude,
    ),
    Format(
        "converse", _path(r"/model/{model}/(?P<method>converse(-stream)?)$"),
        bedrock.reply, bedrock.events, bedrock.error, bedrock.error_event, _check_aws,
        bedrock.FRAMES, bedrock.error_headers,
    ),
    Format(
        "bedrock-claude",
        _path(r"/model/{model}/(?P<method>invoke(-with-response-stream)?)$"),
        bedrock.claude_reply, bedrock.claude_events, bedrock.error, bedrock.error_event,
        _check_aws, bedrock.FRAMES, bedrock.error_headers,
    ),
    Format(
        "azure", _path(r"/openai/deployments/{model}/chat/completions\?"),
        chat.reply, chat.events, chat.error, chat.error_event, _check_azure,
    ),
    Format(
        "openai", _path(r"/strict/v1/chat/completions$"),
        chat.reply, chat.events, chat.error, chat.error_event, _check_openai,
    ),
    Format(
        "anthropic", _path(r"/strict/v1/messages$"),
        claude.reply, claude.events, claude.error, claude.error_event, _check_anthropic,
    ),
)  # fmt: skip
