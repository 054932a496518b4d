"""The AI gateway: one request, a list of models, and the calls that may answer it (proxy.md 6).

Which calls those are is decided in `core/attempts.py`, what each is sent in
`providers/dialects/mapping.py`; here an exchange is turned to one after the other. What the client
sent stays on record, whatever a provider is sent in its place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

from appliance import fence
from appliance.bodies import BODY_BYTES_MAX, of_bytes, of_document
from appliance.core.attempt_errors import (
    AttemptError,
    aggregate,
    ends_loop,
    of_failure,
    of_no_candidates,
    of_refusal,
    of_reply,
)
from appliance.core.attempts import (
    Candidate,
    Endpoint,
    StoredKey,
    candidates_of,
    chat_for,
    providers_wanted,
    with_usage,
)
from appliance.core.credential_header import REPLACED
from appliance.core.credentials import forward_headers
from appliance.core.credit_body import check_body
from appliance.core.gateway_body import (
    FILES,
    FILES_METHODS,
    Asked,
    is_for_responses,
    read_document,
    read_form,
    refuse_prompt,
    without_provider,
)
from appliance.core.model_grammar import ModelPlan, parse_models, requested_model
from appliance.core.multipart import boundary_of, with_value
from appliance.core.provider_credentials import Found, Secret
from appliance.core.retry import retry_after_s
from appliance.core.urls import join_base, parse_target
from appliance.errors import Refusal, UpstreamFailed
from appliance.exchange import Body, Exchange, Headers
from appliance.providers.dialects.common import Json, encode
from appliance.providers.dialects.mapping import (
    Address,
    Inbound,
    ReplyMap,
    address_of,
    body_of,
    chat_of,
    error_for,
    extra_headers,
    is_same,
    own_body,
    plain_address,
    wire_of,
)
from appliance.providers.google_token import read_account
from appliance.providers.registry import ModelRegistry
from appliance.providers.table import SERVICE_ACCOUNTS, Provider
from appliance.upstream.http1 import UpstreamReply

ERROR_BYTES_MAX = 256 * 1024
NO_MAPPING = "NO_MAPPING"
OVERRIDE = "model-override;reason=credits"
# What is passed to the provider that the model names, as it came but for the model.
PLAIN_PATHS = (
    "/embeddings", "/completions", "/moderations", "/images/generations", "/images/edits",
    "/images/variations", "/audio/speech", "/audio/transcriptions", "/audio/translations",
)  # fmt: skip
# Of the client's header lines these would speak of another body than the one that is sent.
OF_THE_BODY = frozenset({
    b"content-type", b"content-encoding", b"accept", b"accept-encoding", b"anthropic-version",
    b"anthropic-beta", b"cookie", b"origin", b"referer",
})  # fmt: skip
OF_A_FORM = frozenset({b"content-type", b"content-encoding", b"accept"})
OF_ANTHROPIC = frozenset({b"anthropic-version", b"anthropic-beta"})

RouteTo = Callable[[Provider, bytes], Any]


class Ring(Protocol):
    """What is asked of a region's provider keys."""

    async def plan_keys(self, org: bytes) -> Mapping[str, Sequence[StoredKey]]:
        """The keys of an organisation, by provider. Raises Refusal 503."""


class Environment(Protocol):
    """What is asked of them for one call."""

    @property
    def environment(self) -> Mapping[str, Secret]:
        """The keys that the process was started with, by provider."""


class Prompts(Protocol):
    """What is asked of a region's stored prompts."""

    async def expand(self, x: Exchange, document: Json) -> Json:
        """The body with its stored prompt in it; what was used is noted on the exchange. Raises
        Refusal 400, 503."""


@dataclass(frozen=True, slots=True)
class Gateway:
    """What the gateway works with. `keyless`: providers of the configuration that ask for none."""

    registry: ModelRegistry
    providers: Mapping[str, Provider]
    route_to: RouteTo
    keyless: Mapping[str, Sequence[StoredKey]]

    async def call(
        self,
        x: Exchange,
        ring: Ring,
        platform: Mapping[str, Sequence[StoredKey]],
        prompts: Prompts | None = None,
    ) -> GatewayCall:
        """Read what is asked, and list the calls that may answer it; `platform`: the keys that
        serve those who pay with credits, `prompts`: those of the region. Raises Refusal 400, 405,
        413, 415, 503."""
        inbound = inbound_of(x)
        if FILES.fullmatch(x.route.path) and x.head.method in FILES_METHODS:
            path, provider = without_provider(x.route.path)
            x.route = replace(x.route, path=path)
            inbound, asked = "plain", Asked({"model": f"files/{provider}"}, is_file=True)
        elif x.head.method != b"POST":
            raise Refusal(
                405, "method_not_allowed",
                "The gateway is called with POST; GET /v1/models lists its models.",
                headers={"Allow": "POST, GET"},
            )  # fmt: skip
        else:
            asked = await _asked(x, inbound)
            if inbound == "chat" and "prompt_id" in asked.document and prompts is not None:
                asked = Asked(await prompts.expand(x, asked.document))
            elif inbound not in ("native", "plain"):
                refuse_prompt(asked.document)
            if inbound == "chat" and is_for_responses(asked.document, x.asks.body_mapping):
                inbound = "responses"
        plan = parse_models(requested_model(asked.document), self.registry)
        own = {**self.keyless, **await ring.plan_keys(x.org)}
        candidates = candidates_of(plan, self.registry.offers, own_keys=own, platform_keys=platform)
        return GatewayCall(x, self, inbound, asked, plan, candidates)


class GatewayCall:
    """One exchange on its way through the gateway: its candidates, and how each one ended."""

    def __init__(
        self,
        x: Exchange,
        gateway: Gateway,
        inbound: Inbound,
        asked: Asked,
        plan: ModelPlan,
        candidates: Sequence[Candidate],
    ) -> None:
        self.errors: list[AttemptError] = []
        self.outcome = "refused"  # of the last call that was made
        self.reply_map: ReplyMap | None = None
        self.sent_model = ""  # as the provider names it
        self._x = x
        self._over = False
        self.planned = candidates  # may be put into another order
        self._gateway = gateway
        self._route = x.route
        self._asks = x.asks
        self._inbound: Inbound = inbound
        self._asked = asked
        self._document = asked.document
        self._chat: Json | None = None
        self._candidate: Candidate | None = None
        if not candidates:
            wanted = providers_wanted(plan, gateway.registry.offers)
            self.errors = of_no_candidates(plan, wanted)

    def is_passed_on(self, reply: UpstreamReply) -> bool:
        """Whether nothing of this reply is mapped: it is passed on as it comes. Events are kept
        whole all the same."""
        kind = reply.first.get(b"content-type", b"")
        return self._inbound == "plain" and not kind.startswith(b"text/event-stream")

    @property
    def is_plain(self) -> bool:
        """Whether a kept reply is what the client is sent."""
        return self._inbound == "plain"

    def candidates(self) -> Iterator[Candidate]:
        """The calls that may answer, as long as another one is of use."""
        for candidate in self.planned:
            if self._over:
                return
            yield candidate

    def variant(self) -> bytes:
        """What decides about the answer of the candidate that was entered, beside its URL and the
        client's body: as what that body is read, and the model that is called."""
        assert self._candidate is not None, "entered"
        prompt = self._x.prompt or {}
        model = self._candidate.endpoint.provider_model_id
        return f"{self._inbound} {model} {prompt.get('prompt_version', '')}".rstrip().encode()

    def enter(self, candidate: Candidate, found: Found | None, ring: Environment) -> Headers:
        """Turn the exchange to this candidate: route, dialect, and what is sent. `found` is the
        stored key, None where the environment's is used, or none is asked for. Gives the header
        lines to send, without a credential. Raises Refusal for what this one cannot be asked."""
        x, endpoint = self._x, candidate.endpoint
        self._candidate = candidate
        x.gateway_model = "" if self._asked.is_file else candidate.item.name
        x.asks = self._asks
        if candidate.kind == "ptb":
            self._enter_credits(endpoint)
        provider = self._gateway.providers[endpoint.provider]
        secret = found.secret if found is not None else ring.environment.get(endpoint.provider)
        settings = found.config if found is not None else {}
        streams = self._document.get("stream") is True
        address = address_of(
            self._inbound, endpoint, stream=streams,
            settings=settings, base_url=found.base_url if found is not None else "",
            configured_url=_configured_url(provider, settings),
            project=_project_of(secret, endpoint),
        )  # fmt: skip
        if self._inbound == "plain":
            address = plain_address(endpoint, address, self._route.path.decode("latin-1"))
        sent, fields = self._sent(candidate, streams=streams)
        base_url, path = self._way(provider, address)
        x.route = replace(self._route, provider=provider, base_url=base_url, path=path)
        x.dialect = wire_of(endpoint).dialect
        self.sent_model = endpoint.provider_model_id
        x.sent = sent
        self.reply_map = ReplyMap(
            self._inbound, endpoint,
            created=x.created_at_us // 1_000_000, id=f"chatcmpl-{x.request_id}",
            request=self._document,
        )  # fmt: skip
        return fields

    def _enter_credits(self, endpoint: Endpoint) -> None:
        """What is paid from credits is charged exactly, by the model that is called. Raises Refusal
        400 for what cannot be (proxy.md 6.9)."""
        check_body(self._inbound, endpoint.wire_format, self._document)
        if self._asks.model_override:
            self._x.asks = self._asks.without_override()
            fence.note(self._x, OVERRIDE)

    def _sent(self, candidate: Candidate, *, streams: bool) -> tuple[Body | None, Headers]:
        """What is sent, None for the client's own body, and the header lines that belong to it."""
        asked = self._asked
        if asked.is_file:
            return None, self._fields(candidate, None)
        if asked.model is not None:
            form = with_value(asked.form, asked.model, candidate.endpoint.provider_model_id)
            return Body(form, None, len(form)), self._fields(candidate, None)
        body = self._body(candidate, streams=streams)
        data = encode(body)
        return Body(data, None, len(data)), self._fields(candidate, body)

    def _way(self, provider: Provider, address: Address) -> tuple[str, bytes]:
        path = address.path.encode("ascii")
        if address.is_whole:
            return address.base_url, path
        if address.base_url:
            base = parse_target(address.base_url)
            return address.base_url, join_base(base.path.encode("ascii"), path)
        way = self._gateway.route_to(provider, path)
        return way.base_url, way.path

    def _body(self, candidate: Candidate, *, streams: bool) -> Json:
        endpoint, inbound = candidate.endpoint, self._inbound
        if is_same(inbound, endpoint) and inbound != "chat":
            own = own_body(inbound, self._document, endpoint)
            return with_usage(own) if self._must_count(candidate) else own
        if self._chat is None:
            self._chat = chat_of(inbound, self._document)
        chat, dropped = chat_for(candidate, self._chat, requested_model(self._document))
        for name in dropped:
            fence.note(self._x, f"{name};reason=not-supported-by-model")
        return body_of(inbound, chat, endpoint, stream=streams)

    def _must_count(self, candidate: Candidate) -> bool:
        """Whether this is a stream that tells what it used only where that is asked for, and that
        has to tell it: it is paid from credits."""
        if candidate.kind != "ptb" or candidate.endpoint.wire_format != "openai":
            return False
        is_text = self._route.path.partition(b"?")[0].endswith(b"/completions")
        return self._inbound == "native" or (self._inbound == "plain" and is_text)

    def _fields(self, candidate: Candidate, body: Json | None) -> Headers:
        """The client's header lines but for its credential and what spoke of its own body, which
        is sent itself where `body` is None."""
        x = self._x
        left = REPLACED | OF_THE_BODY
        if body is None:
            left -= OF_A_FORM
        if self._inbound in ("native", "messages") and is_same(self._inbound, candidate.endpoint):
            left -= OF_ANTHROPIC
        fields = [
            field
            for field in forward_headers(x.head.headers, x.found_key)
            if field[0].lower() not in left
        ]
        if body is None:
            return fields
        present = {field[0].lower() for field in fields}
        fields.append((b"Content-Type", b"application/json"))
        for name, value in extra_headers(candidate.endpoint, body).items():
            if name.encode() not in present:
                fields.append((name.encode(), value.encode()))
        return fields

    # -- how the candidate that was entered ended

    async def refused_by(self, reply: UpstreamReply) -> None:
        """The provider said no: its words are kept for the reply to all. Raises like `piece`."""
        assert self._candidate is not None, "entered"
        self.outcome = "complete"
        data = b""
        while not reply.done and len(data) < ERROR_BYTES_MAX:
            data += await reply.piece()
        told = reply.first.get(b"retry-after", b"")
        wait_s = retry_after_s(told, self._x.created_at_us) if told else None
        self.errors.append(of_reply(self._candidate, reply.status, data, wait_s))

    def failed(self, failure: UpstreamFailed, status: int) -> None:
        """The provider did not answer; `status` as a client would see it."""
        assert self._candidate is not None, "entered"
        self.outcome = failure.name
        self.errors.append(of_failure(self._candidate, failure, status))

    def forbidden(self, candidate: Candidate, refusal: Refusal) -> None:
        """A rule of ours kept the call from being made; the others may be of no use then."""
        error = of_refusal(candidate, refusal)
        self.errors.append(error)
        self._over = ends_loop(error)

    def last_word(self) -> tuple[int, bytes, Headers]:
        """Status, body and header lines of the reply when no candidate has answered."""
        found = aggregate(self.errors)
        status, body = found.status, found.body()
        if self._inbound == "messages":
            error = {"error": {"message": found.message, "type": found.code}}
            status, body = error_for(self._inbound, status, error)
        headers: Headers = [(b"content-type", b"application/json")]
        if found.retry_after_s is not None:
            headers.append((b"retry-after", b"%d" % found.retry_after_s))
        return status, body, headers


def _configured_url(provider: Provider, settings: Mapping[str, str]) -> str:
    """What the configuration file has in the place of a provider's own address."""
    if not provider.configured:
        return ""
    return provider.in_region(settings.get("region") or settings.get("location") or "")


def _project_of(secret: Secret | None, endpoint: Endpoint) -> str:
    """The project that a service account belongs to. Raises Refusal 401 for what is none."""
    if secret is None or endpoint.provider != SERVICE_ACCOUNTS or not secret.is_document:
        return ""
    return read_account(secret.parts()[0]).project


def inbound_of(x: Exchange) -> Inbound:
    """What a client speaks, by the path it calls (proxy.md 6.3)."""
    path = x.route.path.decode("latin-1").partition("?")[0].lower().rstrip("/")
    if x.asks.body_mapping == NO_MAPPING:
        return "native"
    if x.asks.body_mapping == "RESPONSES" or "/responses" in path:
        return "responses"
    if path.endswith("/messages"):
        return "messages"
    if path.endswith(PLAIN_PATHS) and not path.endswith("/chat/completions"):
        return "plain"
    return "chat"


async def _asked(x: Exchange, inbound: Inbound) -> Asked:
    """The body, read. Raises Refusal 400, 413, 415."""
    body = x.body
    if body.length > BODY_BYTES_MAX:
        raise Refusal(413, "body_too_large", "The gateway reads bodies up to 32 MiB.")
    if b"content-encoding" in x.head.first:
        raise Refusal(415, "body_coded", "The gateway reads bodies without Content-Encoding.")
    boundary = boundary_of(x.head.first.get(b"content-type", b"").decode("latin-1"))
    if boundary and inbound == "plain":
        return await of_bytes(body, partial(read_form, boundary))
    return await of_document(body, read_document, keep=True)
