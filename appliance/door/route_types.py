"""What routing works with and what it gives: RequestHead in, Route out, and the data between."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, Literal, NamedTuple

from appliance.core.urls import HostList, TargetPolicy
from appliance.errors import Refusal
from appliance.providers.table import Provider, ProviderTable

WorkerType = Literal[
    "", "OPENAI_PROXY", "ANTHROPIC_PROXY", "GATEWAY_API", "AI_GATEWAY_API", "HELICONE_API",
    "GENERATE_API",
]  # fmt: skip
WORKER_TYPES: Final = (
    "OPENAI_PROXY", "ANTHROPIC_PROXY", "GATEWAY_API", "AI_GATEWAY_API", "HELICONE_API",
)  # fmt: skip

# Rule 8: what REST answers, by method and path; `{}` stands for one segment.
REST_PATHS: Final = (("POST", "/v1/request/query-clickhouse"), ("GET", "/v1/request/{}"))


class Kind(Enum):
    """What becomes of a request."""

    OWN = "own"
    INTAKE = "intake"
    PROXY = "proxy"
    GATEWAY = "gateway"
    REALTIME = "realtime"
    OPTIONS = "options"
    REFUSED = "refused"
    NOT_FOUND = "not_found"


# Stands for the provider until one of `Helicone-Fallbacks` is tried.
SEVERAL: Final = Provider("fallbacks", "", record_name="FALLBACKS")
PROXIED: Final = frozenset({Kind.PROXY, Kind.GATEWAY, Kind.INTAKE, Kind.REALTIME})


class RequestHead(NamedTuple):
    """What routing looks at. `headers`: lower-case name → first value."""

    method: bytes
    target: bytes
    host: bytes
    headers: Mapping[bytes, bytes]


@dataclass(slots=True)
class Route:
    """Where a request goes.

    `path` is the whole request target for the provider: base path joined, door's prefix and
    Helicone key taken out, query kept; without the base path where it `falls_back`: each target
    that the request names has its own. `record_path` is what the client sent, without the key.
    `tags` are headers that stood in the path (`core/path_tags.py`): those that were sent beat them.
    `refusal` is set where the answer is known already (400, 403, 404, 501).
    """

    kind: Kind
    rule: int
    lane: Literal["fast", "full"] = "fast"
    provider: Provider | None = None
    base_url: str = ""
    path: bytes = b""
    record_path: bytes = b""
    helicone_key_in_path: str = ""
    tags: Mapping[bytes, bytes] | None = None
    router_name: str = ""
    own: str = ""
    region: str = ""
    target_from_client: bool = False
    falls_back: bool = False
    intake: str = ""  # what is told of here, in place of being called
    refusal: Refusal | None = None

    @property
    def proxied(self) -> bool:
        """Whether CORS and access treat it as a proxy's door, and not as one of our own."""
        return self.kind in PROXIED or (self.kind is Kind.OPTIONS and not self.own)

    @property
    def is_gateway(self) -> bool:
        """Whether the body's model says where it goes, or a router does (`router_name`)."""
        return self.kind is Kind.GATEWAY

    @property
    def takes_in(self) -> bool:
        """Whether it tells of calls, and is none itself."""
        return self.kind is Kind.INTAKE

    @property
    def switches(self) -> bool:
        """Whether it opens a WebSocket."""
        return self.kind is Kind.REALTIME

    @property
    def built_in(self) -> bool:
        """Whether it goes to a built-in provider at its own address."""
        provider = self.provider
        return provider is not None and not self.target_from_client and not provider.configured


class HostFacts(NamedTuple):
    """What a Host header says: worker type, provider and region of a known host."""

    worker_type: WorkerType = ""
    provider: Provider | None = None
    region: str = ""


@dataclass(slots=True)
class Routing:
    """The table's data, compiled once at start."""

    providers: ProviderTable
    worker_type: WorkerType = ""
    policy: TargetPolicy = field(default_factory=lambda: TargetPolicy(HostList()))
    rest: Iterable[tuple[str, str]] = REST_PATHS
    routers: frozenset[str] = frozenset()
    hosts: dict[bytes, HostFacts] = field(default_factory=dict)
    rest_exact: frozenset[tuple[bytes, bytes]] = frozenset()
    rest_patterns: tuple[tuple[bytes, re.Pattern[bytes]], ...] = ()

    def __post_init__(self) -> None:
        if self.worker_type and self.worker_type not in WORKER_TYPES:
            raise ValueError(f"worker_type: one of {', '.join(WORKER_TYPES)}")
        rows = [(method.encode("ascii"), path.encode("ascii")) for method, path in self.rest]
        self.rest_exact = frozenset(row for row in rows if b"{}" not in row[1])
        self.rest_patterns = tuple(
            (method, re.compile(rb"[^/]+".join(re.escape(part) for part in path.split(b"{}"))))
            for method, path in rows
            if b"{}" in path
        )

    def is_rest(self, method: bytes, path: bytes) -> bool:
        """Whether REST answers this."""
        if (method, path) in self.rest_exact:
            return True
        return any(verb == method and p.fullmatch(path) for verb, p in self.rest_patterns)
