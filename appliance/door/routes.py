"""The one routing table: path, host and credentials → lane, provider and what is sent to it.

Ten rules, first match wins (M1, Doors). Pure: the decision is made on the very path that is
forwarded, and a request that may not go on carries its Refusal in the Route.
"""

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import unquote_to_bytes

from appliance.core import headers as names
from appliance.core.access import split_host
from appliance.core.credentials import find_credentials
from appliance.core.keys import REGION_EU
from appliance.core.path_tags import take_tags
from appliance.core.urls import split_target
from appliance.door.destinations import (
    named_target,
    read_target,
    to_named_or,
    to_provider,
    to_target,
)
from appliance.door.route_types import SEVERAL, HostFacts, Kind, RequestHead, Route, Routing
from appliance.door.upgrades import asks_for_socket, open_socket
from appliance.errors import Refusal
from appliance.providers.table import Provider

__all__ = ["Kind", "RequestHead", "Route", "Routing", "route"]

HOSTS_REMEMBERED_MAX: Final = 4096

# Rule 1.
OWN_PATHS: Final[dict[bytes, str]] = {
    b"/healthcheck": "health", b"/readycheck": "health", b"/metrics": "metrics", b"/docs": "docs",
    b"/sign-in": "rest",
    b"/v1/feedback": "rest", b"/api/llm-costs": "rest",
}  # fmt: skip
# A key of the administration must reach no provider, whatever else a path below these is.
OWN_PREFIXES: Final = (
    (b"/docs/", "docs"), (b"/download/", "docs"), (b"/ui/", "ui"),
    (b"/v2/prompt-2025/", "rest"),
    (b"/wallet/", "rest"), (b"/admin/wallet/", "rest"), (b"/stripe/", "rest"),
)  # fmt: skip
# What the gateway answers itself, as it sees the path (proxy.md 6.3).
MODEL_LISTS: Final = frozenset({
    b"/v1/models", b"/models", b"/v1/models/multimodal", b"/models/multimodal",
})  # fmt: skip
# Rule 3: what each path takes in, and whose calls they are where the body does not say
# (backend.md 3.1, 3.2; the last three of /v1/trace/custom are Jawn's own, which says OpenAI).
INTAKE_PATHS: Final[dict[bytes, str]] = {
    **{
        prefix + b"/" + kind.encode() + b"/v1/log": kind
        for prefix in (b"", b"/v1/trace", b"/v1/gateway")
        for kind in ("custom", "oai", "anthropic", "googleapis")
    },
    b"/v1/trace/custom/log": "jawn",
    b"/v1/trace/custom/v1/log": "jawn",
    b"/v1/trace/custom/log/typed": "typed",
    b"/v1/log/request": "message",
    b"/v1/trace/log": "spans",
    b"/v1/trace/log-python": "spans-python",
    b"/v1/traces": "traces",
}
# HTTP/2 leaves the method's form to us: a space in it would be a second request line upstream.
METHOD: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}")
WHOLE_KEY: Final = re.compile(rb"[sp]k-helicone-[a-z0-9-]{31}")
# Rule 9: what SDKs append to a base URL without /v1.
BARE_PATHS: Final = re.compile(
    rb"/(?:chat/completions|responses|messages|embeddings|models)(?=/|$)"
)

DOORS: Final = (
    "There is nothing at this path. Doors: /v1/gateway/{provider}/… for any provider by its id "
    "(oai, anthropic, groq, …); any path with Helicone-Target-URL; /v1/… with a provider's key; "
    "/{provider}/…; /healthcheck, /metrics, /docs and the REST API under /v1."
)
TRACE_PATHS: Final = (
    "There is nothing at this path. Logs: /custom/v1/log, /oai/v1/log, /anthropic/v1/log, "
    "/googleapis/v1/log and /v1/trace/custom/log; OpenTelemetry: /v1/traces, /v1/trace/log (JSON) "
    "and /v1/trace/log-python (protobuf)."
)
NOT_BUILT: Final = {
    "generate": "Generate by prompt id is not part of this version.",
}


def route(head: RequestHead, routing: Routing) -> Route:
    """The first of the ten rules that fits. Never raises: see `Route.refusal`."""
    try:
        return _route(head, routing)
    except Refusal as refusal:
        return Route(Kind.REFUSED, 0, record_path=head.target, refusal=refusal)


def _route(head: RequestHead, routing: Routing) -> Route:
    method, target, host, headers = head
    if METHOD.fullmatch(method) is None:
        raise Refusal(400, "method_invalid", "The method of this request is no token.")
    path, query = split_target(target, host)
    preflight = method == b"OPTIONS" and names.PREFLIGHT_METHOD in headers
    if preflight:
        method = headers[names.PREFLIGHT_METHOD]
    key, tags = "", None
    found = _own(path, routing)
    if found is None:
        if b"k-helicone" in path:  # rule 2
            path, key = _take_key(path)
        if path.startswith(b"/helicone-"):
            path, tags = take_tags(path)
        _refuse_stray_key(path, query)
        found = _match(method, path, query, key, host, headers, routing)
    if found.proxied and not preflight and asks_for_socket(headers):
        found = open_socket(found, method, query, headers, routing)
    found.record_path = path + query
    found.helicone_key_in_path = key
    found.tags = tags
    if preflight:
        found.own = "" if found.proxied else found.own or "none"
        found.kind, found.lane, found.refusal = Kind.OPTIONS, "fast", None
    return found


def _own(path: bytes, routing: Routing) -> Route | None:
    """Rule 1."""
    own = OWN_PATHS.get(path)
    if own is None:
        for prefix, name in OWN_PREFIXES:
            if path.startswith(prefix):
                own = name
                break
        else:
            return None
    return Route(Kind.OWN, 1, "full", own=own)


def _take_key(path: bytes) -> tuple[bytes, str]:
    """Rule 2: the first segment that begins like a Helicone key; all such leave the path."""
    segments = path.split(b"/")
    keys = [part for part in segments if part.startswith((b"sk-helicone", b"pk-helicone"))]
    if not keys:
        return path, ""
    rest = b"/".join(part for part in segments if part not in keys)
    return rest or b"/", keys[0].decode("ascii", "replace")


def _refuse_stray_key(path: bytes, query: bytes) -> None:
    """A Helicone key elsewhere in the target would go to the provider as it stands."""
    rest = path + query
    if b"%" in rest:
        rest = unquote_to_bytes(rest)
    if b"k-helicone-" in rest and WHOLE_KEY.search(rest):
        raise Refusal(
            400, "key_misplaced",
            "A Helicone key belongs into Helicone-Auth, or unescaped into a segment of the path.",
        )  # fmt: skip


def _match(
    method: bytes,
    path: bytes,
    query: bytes,
    key: str,
    host: bytes,
    headers: Mapping[bytes, bytes],
    routing: Routing,
) -> Route:
    """Rules 3 to 10."""
    if path in INTAKE_PATHS or path.startswith(b"/v1/trace/"):
        return _to_intake(method, path)
    facts = routing.hosts.get(host)
    if facts is None:
        facts = _remember_host(host, routing)
    found: Route | None = None
    if facts.worker_type:
        found = _by_worker(facts, method, path, query, headers, routing)
    if found is None and (path.startswith(b"/v1/gateway/") or path == b"/v1/gateway"):
        found = _by_gateway_path(path, query, headers, routing)
    if found is None and (
        names.TARGET_URL in headers
        or names.OPENAI_API_BASE in headers
        or names.FALLBACKS in headers
    ):
        if path.startswith(b"/gateway/"):
            path = path[8:]
        found = _by_target(6, path, query, headers, routing)
    if found is None:
        found = _by_segment(method, path, query, routing)
    if found is None:
        found = _by_credential(method, path, query, key, headers, routing)
    found.region = facts.region
    return found


def _to_intake(method: bytes, path: bytes) -> Route:
    """Rule 3."""
    found = Route(Kind.INTAKE, 3, intake=INTAKE_PATHS.get(path, ""))
    if not found.intake:
        found.refusal = Refusal(404, "not_found", TRACE_PATHS)
    elif method != b"POST":
        found.refusal = Refusal(
            405, "method_not_allowed", "Logs and traces are sent with POST.",
            headers={"Allow": "POST"},
        )  # fmt: skip
    return found


def _remember_host(host: bytes, routing: Routing) -> HostFacts:
    facts = host_facts(host, routing)
    if len(routing.hosts) >= HOSTS_REMEMBERED_MAX:
        routing.hosts.clear()
    routing.hosts[host] = facts
    return facts


def host_facts(host: bytes, routing: Routing) -> HostFacts:
    """What is known by the Host header: `worker_type`, else the labels of Helicone's own hosts and
    of `*.localhost` (proxy.md 1.1, 1.2). Other hosts may be called as they like."""
    if not host:
        return HostFacts(routing.worker_type)
    name, _ = split_host(host)
    labels = name.split(".")
    zone = labels[1:]
    ours = {"helicone", "hconeai", "localhost"}.intersection(zone)
    region = REGION_EU if ours and "eu" in labels else ""
    if routing.worker_type:
        return HostFacts(routing.worker_type, None, region)
    if not ours:
        return HostFacts()
    label = labels[0]
    for word, worker in (
        ("ai-gateway", "AI_GATEWAY_API"), ("gateway", "GATEWAY_API"), ("generate", "GENERATE_API"),
        ("oai", "OPENAI_PROXY"), ("anthropic", "ANTHROPIC_PROXY"),
    ):  # fmt: skip
        if word in label:
            return HostFacts(worker, None, region)  # type: ignore[arg-type]
    if "api" in label:
        return HostFacts("HELICONE_API" if "worker" in zone else "", None, region)
    provider = routing.providers.by_label(label)
    return HostFacts("GATEWAY_API" if provider else "", provider, region)


def _by_worker(
    facts: HostFacts,
    method: bytes,
    path: bytes,
    query: bytes,
    headers: Mapping[bytes, bytes],
    routing: Routing,
) -> Route | None:
    """Rule 4. HELICONE_API adds nothing: its endpoints are rules 3 and 8."""
    worker = facts.worker_type
    if worker == "HELICONE_API":
        return None
    if worker == "AI_GATEWAY_API":
        return _to_gateway(4, method, path, query)
    if worker == "GENERATE_API":
        return Route(Kind.GATEWAY, 4, refusal=_not_built("generate"))
    if worker == "GATEWAY_API":
        if facts.provider is None:
            return _by_target(4, path, query, headers, routing)
        return _by_label(facts.provider, path, query, headers, routing)
    provider = routing.providers.rows["openai" if worker == "OPENAI_PROXY" else "anthropic"]
    return to_named_or(4, provider, path, query, headers, routing, refused_status=500)


def _by_label(
    provider: Provider, path: bytes, query: bytes, headers: Mapping[bytes, bytes], routing: Routing
) -> Route:
    """A provider's own host: clients of it write the provider's whole path (proxy.md 1.2)."""
    if provider.id == "qstash":
        if not path.startswith(b"/llm"):
            raise Refusal(400, "path_invalid", "Paths of this host begin with /llm.")
        callback = headers.get(names.UPSTASH_CALLBACK, b"")
        if callback.startswith((b"https://", b"http://")):
            target = read_target(callback, names.UPSTASH_CALLBACK)
            return to_target(4, target, path, query, routing, whole=False)
    if provider.configured or provider.region:
        return to_provider(4, provider, path, query, routing)
    return Route(Kind.PROXY, 4, "fast", provider, provider.origin, path + query)


def _by_gateway_path(
    path: bytes, query: bytes, headers: Mapping[bytes, bytes], routing: Routing
) -> Route | None:
    """Rule 5: /v1/gateway/{provider}/…"""
    end = path.find(b"/", 12)
    segment = path[12:end] if end >= 0 else path[12:]
    provider = routing.providers.segments.get(segment)
    if provider is not None:
        rest = path[end:] if end >= 0 else b"/"
        return to_named_or(5, provider, rest, query, headers, routing, refused_status=403)
    if names.TARGET_URL in headers or names.OPENAI_API_BASE in headers:
        return None
    raise Refusal(
        400, "provider_unknown",
        f"{segment.decode('ascii', 'replace')[:64]!r} is no provider's id. `helicone-appliance "
        "providers` lists them; [providers.<id>] in the configuration adds one.",
    )  # fmt: skip


def _by_target(
    rule: int, path: bytes, query: bytes, headers: Mapping[bytes, bytes], routing: Routing
) -> Route:
    """Rule 6, and the gateway host of rule 4: the client names the target, or several."""
    if names.FALLBACKS in headers:
        return Route(
            Kind.PROXY, rule, "fast", SEVERAL, path=path + query, target_from_client=True,
            falls_back=True,
        )  # fmt: skip
    if names.TARGET_URL not in headers and names.OPENAI_API_BASE not in headers:
        raise Refusal(400, "target_missing", "Name the provider's URL in Helicone-Target-URL.")
    return to_target(rule, named_target(headers), path, query, routing)


def _by_segment(method: bytes, path: bytes, query: bytes, routing: Routing) -> Route | None:
    """Rule 7: /router/{name}/…, /ai/…, /{provider}/…"""
    end = path.find(b"/", 1)
    segment = path[1:end] if end >= 0 else path[1:]
    if segment == b"router" and end >= 0:
        return _to_router(path[end + 1 :], query, routing)
    if segment == b"ai":
        return _to_gateway(7, method, path[3:] or b"/", query)
    provider = routing.providers.segments.get(segment)
    if provider is None:
        return None
    return to_provider(7, provider, path[end:] if end >= 0 else b"/", query, routing)


def _to_router(rest: bytes, query: bytes, routing: Routing) -> Route:
    """/router/{name}/…, with or without /v1 before what SDKs append."""
    segment, slash, below = rest.partition(b"/")
    name, path = segment.decode("ascii", "replace"), slash + below or b"/"
    found = Route(Kind.GATEWAY, 7, "fast", router_name=name)
    found.path = (b"/v1" + path if BARE_PATHS.match(path) else path) + query
    if name not in routing.routers:
        found.refusal = Refusal(
            404, "router_unknown",
            f"There is no router {name[:64]!r}. [routers.<name>] in the configuration adds one.",
        )  # fmt: skip
    return found


def _by_credential(
    method: bytes,
    path: bytes,
    query: bytes,
    key: str,
    headers: Mapping[bytes, bytes],
    routing: Routing,
) -> Route:
    """Rules 8 to 10: the same path is REST, gateway or a provider's by the credential sent."""
    bare = BARE_PATHS.match(path)
    if bare or path.startswith(b"/v1/"):
        credentials = find_credentials(headers, key)
        own = credentials.own or bool(credentials.stand_in)
        if not own and routing.is_rest(method, path):
            return Route(Kind.OWN, 8, "full", own="rest")
        path = b"/v1" + path if bare else path
        if not own:
            return _to_gateway(9, method, path, query)
        anthropic = (
            names.ANTHROPIC_VERSION in headers
            or path == b"/v1/complete"
            or path.startswith(b"/v1/messages")
        )
        provider = routing.providers.rows["anthropic" if anthropic else "openai"]
        return to_provider(9, provider, path, query, routing)
    if method in (b"GET", b"HEAD") and b"text/html" in headers.get(names.ACCEPT, b"").lower():
        return Route(Kind.OWN, 10, "full", own="ui")
    return Route(Kind.NOT_FOUND, 10, refusal=Refusal(404, "not_found", DOORS))


def _to_gateway(rule: int, method: bytes, path: bytes, query: bytes) -> Route:
    """With or without /v1, as the gateway's own host is called (proxy.md 6.3)."""
    if method == b"GET" and path in MODEL_LISTS:
        return Route(Kind.OWN, rule, "full", own="rest")
    return Route(Kind.GATEWAY, rule, "fast", path=path + query)


def _not_built(what: str) -> Refusal:
    return Refusal(501, f"{what}_not_built", NOT_BUILT[what])
