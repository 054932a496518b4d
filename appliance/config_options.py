# ruff: noqa: RUF009 - opt() and its kin return dataclass fields
"""The option tables: every name that may be configured, with its kind, unit, limit, default and
one line of documentation. The single place for all of them; `config.py` reads them from here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Literal, TypeVar, cast

from appliance.config_kinds import (
    NAME,
    Kind,
    boolean,
    choice,
    duration,
    free_table,
    listing,
    mapping,
    path,
    secret,
    text,
    url,
    whole,
)

T = TypeVar("T")
# Rows as `core/price_rows.py` reads them, or `core/router_plan.py`.
PriceTables = tuple[Mapping[str, object], ...]
KIB, MIB, GIB, TIB = 1 << 10, 1 << 20, 1 << 30, 1 << 40
HOST_NAME = r"[A-Za-z0-9.:_*-]{1,255}"
WORKER_TYPES = (
    "OPENAI_PROXY", "ANTHROPIC_PROXY", "GATEWAY_API", "AI_GATEWAY_API", "HELICONE_API",
)  # fmt: skip

# one value, a table, tables by name, a list of tables, a table of which any part may be given
Shape = Literal["value", "table", "named", "rows", "partial"]


class ConfigError(Exception):
    """The configuration cannot be used; the text is one line for a person."""


@dataclass(frozen=True, slots=True)
class Option:
    """One name that may be configured. `doc_default` says in words what the default follows."""

    name: str
    kind: Kind[object]
    doc: str
    shape: Shape = "value"
    table: type | None = None
    doc_default: str = ""
    secret: bool = False
    required: bool = False
    in_file: bool = True


def options_of(table: type) -> dict[str, tuple[str, Option]]:
    """By option name: the attribute that holds it, and the option."""
    found = {}
    for item in fields(table):
        option: Option | None = item.metadata.get("option")
        if option is not None:
            name = option.name or item.name
            found[name] = (item.name, option)
    return found


def opt(
    kind: Kind[T],
    default: T,
    doc: str,
    *,
    name: str = "",
    doc_default: str = "",
    secret: bool = False,
    required: bool = False,
    in_file: bool = True,
) -> T:
    option = Option(name, kind, doc, "value", None, doc_default, secret, required, in_file)
    return field(default=default, repr=not secret, metadata={"option": option})


def table(kind: type[T], default: T, doc: str) -> T:
    return field(default=default, metadata=_of(kind, "table", doc))


def table_or_none(kind: type[T], doc: str) -> T | None:
    return cast(T | None, field(default=None, metadata=_of(kind, "table", doc)))


def tables_by_name(kind: type[T], doc: str) -> Mapping[str, T]:
    return cast(Mapping[str, T], field(default_factory=dict, metadata=_of(kind, "named", doc)))


def tables_in_order(doc: str) -> PriceTables:
    return cast(PriceTables, field(default=(), metadata=_of(None, "rows", doc)))


def partial_table(kind: type, doc: str) -> Mapping[str, float]:
    metadata = _of(kind, "partial", doc)
    return cast(Mapping[str, float], field(default_factory=dict, metadata=metadata))


def _of(kind: type | None, shape: Shape, doc: str) -> dict[str, Option]:
    return {"option": Option("", free_table(), doc, shape, kind)}


@dataclass(frozen=True, slots=True)
class Deadlines:
    """[deadlines]: how long each phase of an exchange may take."""

    connect_s: float = opt(
        duration(0.05, 600), 10.0, "to reach the provider: name, TCP and TLS", name="connect"
    )
    first_byte_s: float = opt(
        duration(0.05, 86400), 900.0, "until the reply begins", name="first_byte"
    )
    gap_s: float = opt(duration(0.05, 86400), 300.0, "between two pieces of a reply", name="gap")
    total_s: float = opt(duration(0.05, 604800), 3600.0, "for one exchange in all", name="total")
    client_write_s: float = opt(
        duration(0.05, 3600), 60.0, "for a client to take what was sent", name="client_write"
    )
    client_head_s: float = opt(
        duration(0.05, 600), 20.0, "for a client to send its request head", name="client_head"
    )
    client_body_s: float = opt(
        duration(0.05, 3600), 60.0, "between two pieces of a request body", name="client_body"
    )
    client_idle_s: float = opt(
        duration(0.05, 86400), 75.0, "of rest on a kept connection", name="client_idle"
    )


@dataclass(frozen=True, slots=True)
class ProviderOptions:
    """[providers.<id>]: overrides a built-in provider or adds one."""

    base_url: str | None = opt(url("http", "https"), None, "where requests go; its path is kept")
    auth: str | None = opt(text("a word", r"[a-z0-9:_-]{1,64}"), None, "how a key is sent")
    api_key_env: str | None = opt(
        text("a variable's name", r"[A-Za-z_][A-Za-z0-9_]{0,127}"), None, "environment of its key"
    )
    dialect: str | None = opt(text("a word", r"[a-z0-9_-]{1,64}"), None, "wire format it speaks")
    name: str | None = opt(text("a word", r"[A-Za-z0-9_.-]{1,64}"), None, "name on the record")
    hosts: tuple[str, ...] | None = opt(
        listing(text("a host", HOST_NAME)), None, "hosts known as this one"
    )
    prices: PriceTables = tables_in_order("its prices, as [[prices]]")
    ca_file: Path | None = opt(path(), None, "PEM of roots trusted beside the system's")
    client_cert: Path | None = opt(path(), None, "PEM of our certificate and key")
    token_url: str | None = opt(
        url("http", "https"), None, "where service accounts buy tokens, in Google's place"
    )
    deadlines: Mapping[str, float] = partial_table(Deadlines, "its deadlines, as [deadlines]")

    def given(self) -> dict[str, object]:
        """What was given, by option name, as the provider table reads it."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        return {
            name: str(value) if isinstance(value, Path) else value
            for name, value in values.items()
            if value not in (None, (), {})
        }


@dataclass(frozen=True, slots=True)
class RouterOptions:
    """[routers.<name>]: several targets behind /router/<name>/…"""

    strategy: str = opt(choice("weighted", "latency", "cost"), "weighted", "how a target is chosen")
    targets: PriceTables = tables_in_order("its targets: provider or base_url, model, weight")
    forward_key: bool | None = opt(
        boolean(), None, "send a client's own key to the targets",
        doc_default="if all targets are one provider",
    )  # fmt: skip
    hedge_after_s: float | None = opt(
        duration(0.01, 600), None, "ask a second target when the first has not answered by then",
        name="hedge_after", doc_default="never",
    )  # fmt: skip
    errors_percent_max: int = opt(
        whole(1, 100), 10, "share of errors above which a target is left out"
    )
    window_s: float = opt(duration(1, 3600), 60.0, "time over which it counts", name="window")
    requests_min: int = opt(whole(1, 1_000_000), 20, "requests in that time before it counts")
    failures_max: int = opt(whole(1, 1000), 5, "failures in a row that open a target's breaker")
    open_s: float = opt(
        duration(0.05, 3600),
        30.0,
        "for which a breaker stays open, then one probe goes",
        name="open",
    )
    limited_s: float = opt(
        duration(0.05, 3600), 30.0, "rest of a target after a 429 without Retry-After",
        name="limited",
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class GuardModelOptions:
    """[guard_model]: a model that answers `safe` or `unsafe`, as Llama Guard does."""

    provider: str = opt(text("a word", r"[a-z0-9_.-]{1,64}"), "", "who serves it", required=True)
    model: str = opt(text("a name", r"[!-~]{1,256}"), "", "its name there", required=True)
    deadline_s: float = opt(
        duration(0.05, 600), 5.0, "how long its judgement may take", name="deadline"
    )


@dataclass(frozen=True, slots=True)
class Smtp:
    """[smtp]: the mail server for alerts."""

    host: str = opt(text("a host name", HOST_NAME), "", "mail server", required=True)
    port: int = opt(whole(1, 65535), 587, "its port")
    security: str = opt(choice("starttls", "tls", "none"), "starttls", "how it is encrypted")
    username: str | None = opt(text(), None, "account")
    password: str | None = opt(secret(1), None, "its password", secret=True)
    sender: str | None = opt(text("an address", r"[^@\s]+@[^@\s]+"), None, "address mails are from")


@dataclass(frozen=True, slots=True)
class Otlp:
    """[otlp]: where traces are exported to."""

    endpoint: str = opt(url("http", "https"), "", "OTLP over HTTP", required=True)
    headers: Mapping[str, str] | None = opt(mapping(), None, "sent along", secret=True)
    bodies: bool = opt(boolean(), False, "send requests and replies too, 64 KiB a side")
    eu: bool = opt(boolean(), False, "export the EU region's calls as well")


def is_name(word: str) -> bool:
    """Whether a table may be called this."""
    return bool(NAME.fullmatch(word))
