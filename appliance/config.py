# ruff: noqa: RUF009 - opt() and its kin return dataclass fields
"""The configuration: file, environment and flags in, one frozen Config out, checked before anything
starts. Options and their limits are tables (`config_options.py`); here is what follows from them.
"""

import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from appliance.config_checks import check_prices, check_router
from appliance.config_kinds import (
    boolean,
    choice,
    duration,
    host_pattern,
    listing,
    master_key,
    network,
    origin,
    path,
    secret,
    show_size,
    size,
    text,
    url,
    whole,
)
from appliance.config_limits import cgroup_memory_limit, file_limit, raise_file_limit
from appliance.config_options import (
    GIB,
    KIB,
    MIB,
    TIB,
    WORKER_TYPES,
    ConfigError,
    Deadlines,
    GuardModelOptions,
    Otlp,
    PriceTables,
    ProviderOptions,
    RouterOptions,
    Smtp,
    opt,
    table,
    table_or_none,
    tables_by_name,
    tables_in_order,
)
from appliance.config_read import build_values, read_sources

__all__ = [
    "Config", "ConfigError", "Deadlines", "MemoryTable", "Otlp", "ProviderOptions",
    "RouterOptions", "Smtp", "load_config", "raise_file_limit",
]  # fmt: skip

ADDRESS = r"[A-Za-z0-9.:_-]{1,255}"
HEADER_NAME = r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}"
HEADER_VALUE = r"[\t\x20-\x7e]{0,8192}"
UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
# Options whose features come later: names are reserved, so that files need not change then.
NOT_BUILT = re.compile(r"providers\.[^.]+\.deadlines\.client_[a-z]+")
FILES_RESERVED = 256  # journal, stores, helper, log: what is no connection
CONNECTIONS_DEFAULT_MAX = 16_384
CONNECTION_BYTES = 40 * KIB  # parser, buffers and task of one connection at rest
PROCESS_BYTES = 96 * MIB  # interpreter, libraries, provider and price tables
MEMORY_BYTES_MIN = 256 * MIB
CAPTURE_BYTES_MAX = 64 * MIB
RATE_LIMITS_BYTES_MAX = 384 * MIB  # a million buckets


@dataclass(frozen=True, slots=True)
class MemoryTable:
    """Who may hold how much memory. The shares sum to `total` at most; nobody else sets a limit."""

    total: int
    process: int
    capture: int
    backlog: int
    response_cache: int
    rate_limits: int
    duckdb: int
    children: int
    connections: int

    @property
    def no_bodies_from(self) -> int:
        """From here on new exchanges record no bodies (90 %)."""
        return self.total * 9 // 10


def split_memory(total: int, backlog: int) -> MemoryTable:
    """DuckDB needs 256 MiB for an exact quantile over a million rows; it and the children share
    what is left once the fixed parts are taken."""
    rest = total - PROCESS_BYTES - backlog
    capture = min(CAPTURE_BYTES_MAX, rest // 8)
    duckdb = rest * 35 // 100
    children = rest * 25 // 100
    response_cache = rest // 10
    rate_limits = min(RATE_LIMITS_BYTES_MAX, rest // 16)
    connections = rest - capture - duckdb - children - response_cache - rate_limits
    return MemoryTable(
        total, PROCESS_BYTES, capture, backlog, response_cache, rate_limits, duckdb, children,
        connections,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Config:
    """Everything that was decided before the start. Options left open ("" or 0) are filled in."""

    host: str = opt(text("a host name or address", ADDRESS), "127.0.0.1", "address to listen on")
    port: int = opt(whole(0, 65535), 8585, "port to listen on; 0 picks a free one")
    data_dir: Path = opt(
        path(), Path(), "where everything is kept", doc_default="the user data directory"
    )
    eu_data_dir: Path = opt(
        path(), Path(), "where the EU region is kept", doc_default="data_dir/eu"
    )
    config: Path | None = opt(path(), None, "TOML file with options", in_file=False)
    ready_file: Path | None = opt(path(), None, "written with url and pid once it serves")

    access: str = opt(
        choice("open", "keys"), "", "who may call", doc_default="open on loopback, else keys"
    )
    bootstrap_key: str | None = opt(
        text("a Helicone key (sk-helicone-…)", r"[sp]k-[a-z0-9-]{16,128}", "SECRET"),
        None, "key of the default organisation", secret=True,
    )  # fmt: skip
    admin_key: str | None = opt(secret(16), None, "key for administration", secret=True)
    stripe_webhook_secret: str | None = opt(
        secret(16), None, "signing secret of the webhook that tells of payments", secret=True
    )
    stripe_product_id: str | None = opt(
        text("a word of up to 256 characters", r"[!-~]{1,256}"), None,
        "payments with another metadata.productId are not credits",
    )  # fmt: skip
    platform_org: str | None = opt(
        text("a UUID", UUID), None, "its provider keys serve those who pay with credits"
    )
    allow_targets: tuple[str, ...] = opt(listing(host_pattern()), (), "further hosts to call")
    webhook_allow: tuple[str, ...] = opt(
        listing(host_pattern()), (), "private hosts that webhooks may be sent to, also over http"
    )
    allow_hosts: tuple[str, ...] = opt(
        listing(host_pattern()), (), "names this server answers to in open access"
    )
    allow_origins: tuple[str, ...] = opt(listing(origin()), (), "web origins that may call")
    trusted_proxies: tuple[str, ...] = opt(
        listing(network()), (), "proxies whose Forwarded and X-Forwarded-* headers count"
    )
    metrics_allow: tuple[str, ...] = opt(
        listing(network()), (), "who reads /metrics without a key, beside loopback"
    )
    time_zone: str = opt(
        text("a zone such as Europe/Berlin", r"[A-Za-z0-9_+/-]{1,64}"),
        "UTC",
        "in which reports are due: Mondays at 10:00",
    )
    public_url: str | None = opt(url("http", "https"), None, "URL under which clients reach it")
    tls_cert: Path | None = opt(path(), None, "PEM of the certificate chain")
    tls_key: Path | None = opt(path(), None, "PEM of its key")
    http2: bool = opt(boolean(), False, "offer HTTP/2 over TLS")
    worker_type: str | None = opt(
        choice(*WORKER_TYPES), None, "serve one kind of Helicone host on every name"
    )

    memory_bytes_max: int = opt(
        size(MEMORY_BYTES_MIN, TIB), 0, "memory of the process and its children",
        doc_default="the smaller of 1 GiB and half of the control group's limit",
    )  # fmt: skip
    connections_max: int = opt(
        whole(16, 1_000_000), 0, "clients connected at once",
        doc_default="half of the open-files limit, at most 16384",
    )  # fmt: skip
    backlog_bytes_max: int = opt(
        size(MIB, 64 * GIB), 0, "records held in memory while the disk fails",
        doc_default="the smaller of 64 MiB and an eighth of memory_bytes_max",
    )  # fmt: skip
    body_bytes_max: int = opt(size(KIB, 4 * GIB), 512 * MIB, "largest request body (else 413)")
    intake_bytes_max: int = opt(
        size(64 * KIB, 64 * MIB), 10 * MIB, "largest log or trace that is sent here (else 413)"
    )
    message_bytes_max: int = opt(
        size(KIB, GIB), 16 * MIB, "largest WebSocket message, either way (else close code 1009)"
    )
    record_bytes_max: int = opt(
        size(KIB, GIB), 32 * MIB, "largest body kept whole, a side; else its head and tail"
    )
    cache_disk_bytes_max: int = opt(
        size(16 * MIB, TIB), GIB, "disk for cached replies, in each region"
    )
    cache_coalesce: bool = opt(
        boolean(),
        False,
        "identical calls that miss the cache at once wait for the first one's reply",
    )
    durability: str = opt(
        choice("normal", "strict"), "normal", "strict: a reply ends after its record is synced"
    )
    retention_days: int | None = opt(
        whole(1, 36_500), None, "records older than this are dropped", doc_default="keep"
    )
    retention_bytes: int | None = opt(
        size(64 * MIB, 1024 * TIB), None, "oldest records are dropped above this",
        doc_default="keep",
    )  # fmt: skip
    retention_datasets: bool = opt(
        boolean(), True, "retention_days reaches rows of datasets too, but for those edited by hand"
    )
    master_key: str | None = opt(
        master_key(),
        None,
        "encrypts the data directory",
        secret=True,
        doc_default="not encrypted",
    )
    guard_fail: str = opt(
        choice("open", "closed"), "open", "what a broken security check does with a request"
    )
    budget_mode: str = opt(
        choice("normal", "strict"), "normal", "strict: budgets hold what a call costs at worst"
    )
    record: Path | None = opt(
        path(), None, "write calls and replies to cassettes in this directory", in_file=False
    )
    replay: Path | None = opt(
        path(), None, "answer from the cassettes in this directory, calling nobody", in_file=False
    )
    replay_timing: bool = opt(
        boolean(), False, "replay as slowly as it was recorded", in_file=False
    )
    cassette_scrub: tuple[str, ...] = opt(
        listing(text("a name", HEADER_NAME)), (),
        "further headers, parameters and JSON fields that are hidden in cassettes",
    )  # fmt: skip
    faults: bool = opt(
        boolean(), False, "make the faults that Helicone-Fault asks for", in_file=False
    )
    stream_usage: str = opt(
        choice("off", "ask"), "off", "ask: request token counts for every stream"
    )
    drain_s: float = opt(
        duration(0, 3600), 0.0, "how long to read a reply on when its client is gone"
    )
    grace_s: float = opt(duration(0, 86_400), 30.0, "how long open replies may take at the end")
    log_level: str = opt(
        choice("debug", "info", "warning", "error"), "info", "least level of the own log"
    )
    log_format: str = opt(choice("text", "json"), "text", "form of the own log")
    access_log: bool = opt(boolean(), False, "one log line for every good call too")

    deadlines: Deadlines = table(Deadlines, Deadlines(), "how long each phase may take")
    providers: Mapping[str, ProviderOptions] = tables_by_name(ProviderOptions, "providers")
    prices: PriceTables = tables_in_order("own prices, before all others")
    routers: Mapping[str, RouterOptions] = tables_by_name(RouterOptions, "routers by name")
    guard_model: GuardModelOptions | None = table_or_none(
        GuardModelOptions, "a model that judges prompts (Helicone-LLM-Security-Advanced)"
    )
    smtp: Smtp | None = table_or_none(Smtp, "mail server for alerts")
    otlp: Otlp | None = table_or_none(Otlp, "where traces are exported to")

    memory: MemoryTable = field(init=False)
    sources: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)

    def __post_init__(self) -> None:
        """Fill in what was left open, then refuse what does not fit together."""
        data_dir = self.data_dir if self.data_dir != Path() else default_data_dir()
        total = self.memory_bytes_max or default_memory()
        backlog = self.backlog_bytes_max or min(64 * MIB, total // 8)
        derived = {
            "data_dir": data_dir,
            "eu_data_dir": self.eu_data_dir if self.eu_data_dir != Path() else data_dir / "eu",
            "access": self.access or ("open" if is_loopback(self.host) else "keys"),
            "memory_bytes_max": total,
            "backlog_bytes_max": backlog,
            "connections_max": self.connections_max or default_connections(),
            "memory": split_memory(total, min(backlog, total // 4)),
        }
        for name, value in derived.items():
            object.__setattr__(self, name, value)
        check_together(self)

    def deadlines_of(self, provider_id: str) -> Deadlines:
        """The deadlines of one provider: its own where given, else the general ones."""
        options = self.providers.get(provider_id)
        return replace(self.deadlines, **options.deadlines) if options else self.deadlines

    def root(self, region: str) -> Path:
        """The data directory of a region."""
        return self.eu_data_dir if region == "eu" else self.data_dir

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is allowed, but should be known; printed at the start."""
        found = []
        if self.access == "open" and not is_loopback(self.host):
            found.append(f"access is open on {self.host}: anyone who reaches this port may use it")
        if self.record is not None:
            found.append(f"calls and replies are recorded in {self.record}")
        if self.replay is not None:
            found.append(
                f"replies are replayed from {self.replay}: nobody is called, no provider and none "
                "for webhooks, alerts, mails, traces or captures"
            )
        if self.faults:
            found.append("Helicone-Fault makes faults: for programs that are being written")
        if idle := without_effect(self):
            found.append(f"no effect in this version: {', '.join(idle)}")
        return tuple(found)


def without_effect(config: Config) -> list[str]:
    """What was given and does nothing yet: no option is passed over in silence."""
    found = dict.fromkeys(
        name if name.startswith("providers.") else name.partition(".")[0]
        for name in config.sources
        if NOT_BUILT.fullmatch(name)
    )
    return [*found, *(["http2 (without tls_cert)"] if config.http2 and not config.tls_cert else [])]


def check_together(config: Config) -> None:
    """Rules over more than one option."""
    if (config.tls_cert is None) != (config.tls_key is None):
        given, missing = ("tls_cert", "tls_key")[:: 1 if config.tls_cert else -1]
        raise ConfigError(f"{given} is given without {missing}: TLS needs both")
    if config.eu_data_dir == config.data_dir:
        raise ConfigError(f"eu_data_dir and data_dir are both {config.data_dir}: give each its own")
    if config.backlog_bytes_max > config.memory_bytes_max // 4:
        raise ConfigError(
            f"backlog_bytes_max = {show_size(config.backlog_bytes_max)}: allowed is at most a "
            f"quarter of memory_bytes_max ({show_size(config.memory_bytes_max // 4)})"
        )
    if config.record_bytes_max > config.body_bytes_max:
        raise ConfigError(
            f"record_bytes_max = {show_size(config.record_bytes_max)}: allowed is at most "
            f"body_bytes_max ({show_size(config.body_bytes_max)})"
        )
    if config.otlp is not None:
        for name, value in (config.otlp.headers or {}).items():
            if not re.fullmatch(HEADER_NAME, name) or not re.fullmatch(HEADER_VALUE, value):
                raise ConfigError(f"otlp.headers: {name!r} is no header of HTTP, or its value none")
    check_playing(config)
    check_prices(config.prices, "prices")
    for name, provider in config.providers.items():
        check_prices(provider.prices, f"providers.{name}.prices")
    for name, router in config.routers.items():
        check_router(name, router)


def check_playing(config: Config) -> None:
    """Only for whoever works on this machine: replies are made up, or written down."""
    given = {"record": config.record, "replay": config.replay, "faults": config.faults}
    named = [name for name, value in given.items() if value]
    if len(named) > 1:
        raise ConfigError(f"{named[0]} and {named[1]} are both set: give one of them")
    if named and (config.access != "open" or not is_loopback(config.host)):
        raise ConfigError(f"{named[0]} is for open access on loopback: leave out host and access")
    if config.replay_timing and not config.replay:
        raise ConfigError("replay_timing is about replay: give its directory")


def load_config(
    flags: Mapping[str, str] | None = None, environ: Mapping[str, str] = os.environ
) -> Config:
    """Read all sources. `flags` maps option paths (`port`, `deadlines.connect`) to their text."""
    given = read_sources(Config, flags or {}, environ)
    values = build_values(Config, given)
    sources = {".".join(path): item.source for path, item in given.items()}
    return Config(**values, sources=sources)  # type: ignore[arg-type]


def is_loopback(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def default_data_dir() -> Path:
    # Imported here: it is needed only where no directory was given.
    import platformdirs

    return Path(platformdirs.user_data_dir("helicone-appliance", appauthor=False))


def default_memory() -> int:
    limit = cgroup_memory_limit()
    return GIB if limit is None else max(MEMORY_BYTES_MIN, min(GIB, limit // 2))


def default_connections() -> int:
    """Half of the files: each client may need a connection to its provider too."""
    return max(16, min(CONNECTIONS_DEFAULT_MAX, (file_limit() - FILES_RESERVED) // 2))
