"""Between a client's format and a provider's: requests on the way out, replies on the way back.

OpenAI's chat format lies in the middle. Where both sides speak the same nothing is translated, and
the bytes of a reply pass as they are (proxy.md 6.10).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple, Protocol
from urllib.parse import urlsplit

from appliance.core.attempts import Endpoint
from appliance.core.json_reader import read_json
from appliance.core.reply import is_error_document
from appliance.errors import Refusal
from appliance.providers.dialects import (
    anthropic,
    azure,
    bedrock,
    bedrock_claude,
    gemini,
    perplexity,
    responses,
    vertex,
    vertex_claude,
)
from appliance.providers.dialects.chat import plain_chat
from appliance.providers.dialects.common import Json, encode
from appliance.providers.dialects.common_errors import chat_error, error_in_200, error_parts

# `native`: the body is in the provider's own format, and so is its reply (NO_MAPPING).
Inbound = Literal["chat", "messages", "responses", "plain", "native"]

CHAT_PATH: Final = "/v1/chat/completions"
MESSAGES_PATH: Final = "/v1/messages"
RESPONSES_PATH: Final = "/v1/responses"
# Who takes OpenAI's Responses as they are.
RESPONSES_PROVIDERS: Final = frozenset({"openai"})


class Translator(Protocol):
    """One stream on its way: bytes in any split go in, whole events come out. `is_done`: the last
    word was said."""

    @property
    def is_done(self) -> bool: ...
    def feed(self, data: bytes) -> bytes: ...
    def finish(self) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Wire:
    """How a provider's endpoint is spoken to. `reply` and `stream` None: it answers in chat.
    `dialect` is the record's word for what it answers in."""

    dialect: str
    request: Callable[..., Json]
    reply: Callable[..., Json] | None
    stream: Callable[..., Translator] | None
    error: Callable[[int, bytes], tuple[int, Json]]


def _chat_request(chat: Json, *, model: Endpoint, stream: bool) -> Json:
    return chat


def _chat_error(status: int, body: bytes) -> tuple[int, Json]:
    return status, chat_error(status, error_parts(body))


OPENAI: Final = Wire("openai", _chat_request, None, None, _chat_error)
AZURE: Final = Wire("openai", azure.request_from_chat, None, None, azure.error_to_chat)
CLAUDE: Final = Wire(
    "anthropic", anthropic.request_from_chat, anthropic.reply_to_chat, anthropic.StreamToChat,
    anthropic.error_to_chat,
)  # fmt: skip
CLAUDE_ON_VERTEX: Final = Wire(
    "anthropic", vertex_claude.request_from_chat, vertex_claude.reply_to_chat,
    vertex_claude.StreamToChat, vertex_claude.error_to_chat,
)  # fmt: skip
CLAUDE_ON_BEDROCK: Final = Wire(
    "bedrock", bedrock_claude.request_from_chat, bedrock_claude.reply_to_chat,
    bedrock_claude.StreamToChat, bedrock_claude.error_to_chat,
)  # fmt: skip
GEMINI: Final = Wire(
    "gemini", gemini.request_from_chat, gemini.reply_to_chat, gemini.StreamToChat,
    gemini.error_to_chat,
)  # fmt: skip
GEMINI_ON_VERTEX: Final = Wire(
    "vertex", vertex.request_from_chat, vertex.reply_to_chat, vertex.StreamToChat,
    vertex.error_to_chat,
)  # fmt: skip
CONVERSE: Final = Wire(
    "bedrock", bedrock.request_from_chat, bedrock.reply_to_chat, bedrock.StreamToChat,
    bedrock.error_to_chat,
)  # fmt: skip
AGENT: Final = Wire(
    "openai", perplexity.request_from_chat, perplexity.reply_to_chat, perplexity.StreamToChat,
    perplexity.error_to_chat,
)  # fmt: skip
# By wire format and provider; a format alone stands for all others.
WIRES: Final[Mapping[tuple[str, str], Wire]] = {
    ("openai", ""): OPENAI, ("openai", "azure"): AZURE, ("anthropic", ""): CLAUDE,
    ("anthropic", "vertex"): CLAUDE_ON_VERTEX, ("anthropic", "bedrock"): CLAUDE_ON_BEDROCK,
    ("google", ""): GEMINI, ("google", "vertex"): GEMINI_ON_VERTEX, ("bedrock", ""): CONVERSE,
    ("responses", "perplexity"): AGENT,
}  # fmt: skip


class Address(NamedTuple):
    """Base URL and request target; without `is_whole` the target goes behind the base URL's path,
    or behind the one of the provider's row where there is no base URL."""

    base_url: str
    path: str
    is_whole: bool


def wire_of(endpoint: Endpoint) -> Wire:
    """How this endpoint is spoken to."""
    special = WIRES.get((endpoint.wire_format, endpoint.provider))
    return special or WIRES[endpoint.wire_format, ""]


def chat_of(inbound: Inbound, document: Json) -> Json:
    """A client's body as chat. Raises Refusal 400 that names what chat cannot say."""
    if inbound == "messages":
        return anthropic.request_to_chat(document)
    if inbound == "responses":
        return responses.request_to_chat(document)
    return document


def is_same(inbound: Inbound, endpoint: Endpoint) -> bool:
    """Whether the endpoint takes and gives what the client speaks: nothing is translated."""
    if inbound in ("native", "plain"):
        return True
    if inbound == "messages":
        return wire_of(endpoint) in (CLAUDE, CLAUDE_ON_VERTEX)
    if inbound == "responses":
        return endpoint.provider in RESPONSES_PROVIDERS
    return endpoint.wire_format == "openai"


def own_body(inbound: Inbound, document: Json, endpoint: Endpoint) -> Json:
    """The client's own body for an endpoint that speaks its format, under the name that the model
    has there."""
    if inbound == "messages" and wire_of(endpoint) is CLAUDE_ON_VERTEX:
        return vertex_claude.body_from_messages(document)
    return {**document, "model": endpoint.provider_model_id}


def body_of(inbound: Inbound, chat: Json, endpoint: Endpoint, *, stream: bool) -> Json:
    """A chat body, made ready for this endpoint, in the endpoint's format. Raises Refusal 400."""
    if inbound != "chat" and endpoint.wire_format == "openai":
        chat = plain_chat(chat)
    return wire_of(endpoint).request(chat, model=endpoint, stream=stream)


def extra_headers(endpoint: Endpoint, body: Json) -> dict[str, str]:
    """What a body needs beside the key."""
    wire = wire_of(endpoint)
    if wire is CLAUDE:
        return anthropic.headers_for(body)
    return vertex_claude.headers_for(body) if wire is CLAUDE_ON_VERTEX else {}


def address_of(
    inbound: Inbound,
    endpoint: Endpoint,
    *,
    stream: bool,
    settings: Mapping[str, str],
    base_url: str,
    configured_url: str = "",
    project: str = "",
) -> Address:
    """Where an endpoint is called, from its key's settings; `base_url` is the key's, "" for the
    provider's own, `configured_url` what the configuration has in that one's place. Raises Refusal
    400 for settings that do not say it."""
    model = endpoint.provider_model_id
    wire = wire_of(endpoint)
    whole_url = base_url or configured_url
    if wire is AZURE:
        url = azure.url_of(model, settings=settings, base_url=whole_url)
    elif wire is GEMINI:
        url = gemini.url_of(model, stream=stream, base_url="http://x")
        return Address(base_url, _path(url), is_whole=False)
    elif wire in (GEMINI_ON_VERTEX, CLAUDE_ON_VERTEX):
        module = vertex if wire is GEMINI_ON_VERTEX else vertex_claude
        url = module.url_of(
            model, settings=settings, stream=stream, project=project, base_url=whole_url
        )
    elif wire in (CONVERSE, CLAUDE_ON_BEDROCK):
        speaks = bedrock if wire is CONVERSE else bedrock_claude
        url = speaks.url_of(model, settings=settings, stream=stream, base_url=whole_url)
    elif wire is AGENT:
        return Address(base_url, perplexity.PATH, is_whole=False)
    elif inbound == "responses" and is_same(inbound, endpoint):
        return Address(base_url, RESPONSES_PATH, is_whole=False)
    else:
        path = MESSAGES_PATH if wire is CLAUDE else CHAT_PATH
        return Address(base_url, path, is_whole=False)
    parts = urlsplit(url)
    return Address(f"{parts.scheme}://{parts.netloc}", _path(url), is_whole=True)


def plain_address(endpoint: Endpoint, address: Address, path: str) -> Address:
    """Where a request that is not translated goes: `path` as the client called it, at a provider
    that speaks OpenAI's. Raises Refusal 400 for one that does not."""
    if endpoint.wire_format != "openai":
        name = path.partition("?")[0]
        raise Refusal(
            400, "endpoint_unsupported",
            f"{endpoint.provider} has no {name} as OpenAI has it. Call its own, at "
            f"/v1/gateway/{endpoint.provider}/…",
        )  # fmt: skip
    if wire_of(endpoint) is AZURE:
        operation, _, query = path.removeprefix("/v1/").partition("?")
        path = address.path.replace(azure.CHAT, operation, 1) + (f"&{query}" if query else "")
    return address._replace(path=path)


def _path(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}" if parts.query else parts.path


class ReplyMap:
    """One reply on its way back: the whole of it, or a stream piece by piece."""

    __slots__ = ("_chain", "_inbound", "_named", "_request", "_wire", "is_same")

    def __init__(
        self,
        inbound: Inbound,
        endpoint: Endpoint,
        *,
        created: int,
        id: str,
        request: Json | None = None,
    ) -> None:
        """`id` and `created` are for replies that bring none; `request` is the client's body."""
        self.is_same = is_same(inbound, endpoint)
        self._inbound: Inbound = inbound
        self._wire = wire_of(endpoint)
        self._named: dict[str, Any] = {
            "model": endpoint.provider_model_id, "created": created, "id": id,
        }  # fmt: skip
        self._request = request
        self._chain: list[Translator] | None = None

    def whole(self, body: bytes) -> bytes:
        """A whole reply in the client's format. Raises UpstreamFailed for an error inside a 200,
        and ValueError for what is no JSON object."""
        if self.is_same:
            if b'"error"' in body:  # as what is translated: another candidate may do better
                document, _ = read_json(body)
                if isinstance(document, dict) and is_error_document(document):
                    raise error_in_200(document)
            return body
        document, fault = read_json(body)
        if fault or not isinstance(document, dict):
            raise ValueError(fault or "no object")
        reply = self._wire.reply
        chat = reply(document, **self._named) if reply is not None else document
        if self._inbound == "messages":
            return encode(anthropic.reply_from_chat(chat))
        if self._inbound == "responses":
            return encode(responses.reply_from_chat(chat, request=self._request))
        return encode(chat)

    def feed(self, data: bytes) -> bytes:
        """A piece of a stream: what of it can be said by now, in whole events."""
        for one in self._translators():
            data = one.feed(data)
        return data

    def finish(self) -> bytes:
        """What is left to say at the stream's end."""
        data = b""
        for one in self._translators():
            data = (one.feed(data) if data else b"") + one.finish()
        return data

    @property
    def is_done(self) -> bool:
        """Whether a stream that is translated has come to the provider's last word."""
        return self._chain is not None and any(one.is_done for one in self._chain[:1])

    def error(self, status: int, body: bytes) -> tuple[int, bytes]:
        """A provider's error in the client's format."""
        status, chat = self._wire.error(status, body)
        return error_for(self._inbound, status, chat)

    def _translators(self) -> list[Translator]:
        if self._chain is None:
            self._chain = self._made()
        return self._chain

    def _made(self) -> list[Translator]:
        if self.is_same:
            return []
        chain: list[Translator] = []
        if self._wire.stream is not None:
            chain.append(self._wire.stream(**self._named))
        if self._inbound == "messages":
            chain.append(anthropic.StreamFromChat())
        elif self._inbound == "responses":
            chain.append(responses.StreamFromChat(request=self._request))
        return chain


def error_for(inbound: Inbound, status: int, chat: Json) -> tuple[int, bytes]:
    """An error in chat's form as a client of this format reads it."""
    if inbound == "messages":
        status, chat = anthropic.error_from_chat(status, chat)
    elif inbound == "responses":
        status, chat = responses.error_from_chat(status, chat)
    return status, encode(chat)
