"""Providers as data: what one is, and how one is found by id, by host and by a known host's label.

Rows are in `rows*.py`; `[providers.<id>]` of the configuration overrides or adds. No requests here.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from appliance.core.urls import Target, is_private, parse_target

AUTH_STYLES: Final = frozenset({"bearer", "x-api-key", "api-key", "query:key", "aws-sigv4", "none"})
DIALECTS: Final = frozenset({"openai", "anthropic", "gemini", "vertex", "bedrock"})
USER_KEYS: Final = frozenset({
    "base_url", "auth", "api_key_env", "dialect", "name", "hosts", "prices", "ca_file",
    "client_cert", "deadlines", "token_url",
})  # fmt: skip
ID: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
SERVICE_ACCOUNTS: Final = "vertex"  # whose tokens `token_url` is for
HOSTS_REMEMBERED_MAX: Final = 4096
OWN: Final = "[providers]"  # the page of a row that the user wrote

# First path segments that mean something else: no provider may be called so.
RESERVED_SEGMENTS: Final = frozenset({
    "healthcheck", "readycheck", "metrics", "docs", "download", "ui", "assets", "static", "sign-in",
    "favicon.ico", "robots.txt", "index.html", "openapi.json", "v1", "v1beta", "v2", "router", "ai",
    "gateway", "custom", "googleapis", "chat", "responses", "messages", "embeddings", "models",
    "completions", "helicone-sql", "api", "wallet", "admin", "stripe",
})  # fmt: skip

# The first label of a known host and the provider it means, in the order they are tried; `=` asks
# for the whole label, else it need only be contained (proxy.md 1.2).
LABELS: Final = (
    ("vercel", "vercel"), ("together", "together"), ("=google", "google-ai-studio"),
    ("=llama", "llama"), ("=nvidia", "nvidia"), ("openrouter", "openrouter"),
    ("deepinfra", "deepinfra"), ("groq", "groq"), ("=perplexity", "perplexity"),
    ("hyperbolic", "hyperbolic"), ("cerebras", "cerebras"), ("mistral", "mistral"),
    ("bedrock", "bedrock"), ("fireworks", "fireworks"), ("predibase", "predibase"),
    ("qstash", "qstash"), ("=x", "xai"), ("deepseek", "deepseek"), ("=nebius", "nebius"),
    ("=novita", "novita"), ("firecrawl", "firecrawl"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Provider:
    """One provider. `base_url` may hold `{region}`; it is empty where only the user knows it.

    `hosts` are patterns anchored at both ends: a `*.` in front stands for one or more labels,
    another `*` for a part of one; a port counts where it is written. `doc` is the page where the
    facts of a row are to be checked, `taken` the day (ISO) on which they were: a row without is
    `generic`, what most services that speak like OpenAI have in common. A row without address and
    host is a name for the configuration to give an address to.
    """

    id: str
    base_url: str
    doc: str = ""
    auth: str = "bearer"
    dialect: str = "openai"
    record_name: str = ""
    hosts: tuple[str, ...] = ()
    key_env: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    region: str = ""
    configured: bool = False
    prices: tuple[Any, ...] = ()
    ca_file: str = ""
    client_cert: str = ""
    token_url: str = ""
    deadlines: Mapping[str, float] = field(default_factory=dict)
    taken: str = ""
    # Derived by `complete`.
    origin: str = ""
    base_path: bytes = b""
    private: bool = False

    @property
    def standing(self) -> str:
        """How far its facts can be trusted: `documented`, `generic`, or `own` for a row that only
        the configuration knows."""
        if self.doc == OWN:
            return "own"
        return "documented" if self.taken else "generic"

    def in_region(self, region: str) -> str:
        """The base URL for a region, or for the row's own where none is given."""
        return self.base_url.replace("{region}", region or self.region)


def complete(row: Provider) -> Provider:
    """Fill in what follows from the rest. Raises ValueError for what cannot be."""
    if not ID.fullmatch(row.id):
        raise ValueError(f"providers.{row.id}: an id is lower-case letters, digits, . _ and -")
    if row.auth not in AUTH_STYLES:
        raise ValueError(f"providers.{row.id}.auth: one of {', '.join(sorted(AUTH_STYLES))}")
    if row.dialect not in DIALECTS:
        raise ValueError(f"providers.{row.id}.dialect: one of {', '.join(sorted(DIALECTS))}")
    target: Target | None = None
    if row.base_url:
        try:
            target = parse_target(row.in_region(""))
        except ValueError as error:
            raise ValueError(f"providers.{row.id}.base_url {error}") from None
    if row.token_url:
        _check_token_url(row)
    hosts = row.hosts
    if target is not None and not hosts:
        hosts = (target.netloc if row.configured or is_private(target.host) else target.host,)
    return replace(
        row,
        record_name=row.record_name or row.id.upper(),
        hosts=tuple(host.lower() for host in hosts),
        origin=target.origin if target is not None else "",
        base_path=target.path.encode("ascii") if target is not None else b"",
        private=target is not None and is_private(target.host),
    )


def _check_token_url(row: Provider) -> None:
    if row.id != SERVICE_ACCOUNTS:
        raise ValueError(f"providers.{row.id}.token_url: {SERVICE_ACCOUNTS} alone buys tokens")
    try:
        parse_target(row.token_url)
    except ValueError as error:
        raise ValueError(f"providers.{row.id}.token_url {error}") from None


class ProviderTable:
    """All providers, found by id or alias, by host, and by a known host's first label."""

    def __init__(self, rows: Iterable[Provider]) -> None:
        self.rows: dict[str, Provider] = {}
        self._names: dict[str, Provider] = {}
        self._exact: dict[str, Provider] = {}
        self._patterns: list[tuple[re.Pattern[str], Provider]] = []
        self._hosts: dict[tuple[str, int], Provider | None] = {}
        complete_rows = [complete(row) for row in rows]
        for row in complete_rows:
            self._add_names(row)
        # What the user configured is asked first, then rows in order (proxy.md 10.1).
        for row in sorted(complete_rows, key=lambda row: not row.configured):
            for host in row.hosts:
                if "*" in host:
                    self._patterns.append((host_pattern(host), row))
                else:
                    self._exact.setdefault(host, row)
        self.segments: dict[bytes, Provider] = {
            name.encode("ascii"): row for name, row in self._names.items()
        }

    @classmethod
    def built_in(cls) -> "ProviderTable":
        """The table without any configuration."""
        return cls.from_config({})

    @classmethod
    def from_config(cls, user_rows: Mapping[str, Mapping[str, Any]]) -> "ProviderTable":
        """The built-in rows with `[providers.<id>]` merged in. Raises ValueError with one line."""
        # Here and not above: the rows are made of Provider, which this module defines.
        from appliance.providers.rows import ROWS
        from appliance.providers.rows_hosted import HOSTED_ROWS
        from appliance.providers.rows_local import LOCAL_ROWS
        from appliance.providers.rows_more import MORE_ROWS

        rows = {row.id: row for row in (*ROWS, *HOSTED_ROWS, *MORE_ROWS, *LOCAL_ROWS)}
        names = {name: row.id for row in rows.values() for name in (row.id, *row.aliases)}
        touched: dict[str, str] = {}
        for name, given in user_rows.items():
            row_id = names.get(name, name)
            if row_id in touched:
                raise ValueError(f"providers.{name} and providers.{touched[row_id]} are the same")
            touched[row_id] = name
            rows[row_id] = merged(rows.get(row_id), row_id, given)
        return cls(rows.values())

    def _add_names(self, row: Provider) -> None:
        self.rows[row.id] = row
        for name in (row.id, *row.aliases):
            if name in RESERVED_SEGMENTS:
                raise ValueError(f"providers.{name}: /{name} is a path of its own, take another id")
            if name in self._names:
                raise ValueError(f"providers.{name}: also a name of {self._names[name].id}")
            self._names[name] = row

    def by_id(self, name: str) -> Provider | None:
        """By id or alias, in any case."""
        return self._names.get(name) or self._names.get(name.lower())

    def by_host(self, host: str, port: int = 0) -> Provider | None:
        """By the host of a target URL, lower case; a pattern with a port wins over one without."""
        try:
            return self._hosts[host, port]
        except KeyError:
            pass
        found = self._find_host(host, port)
        if len(self._hosts) >= HOSTS_REMEMBERED_MAX:
            self._hosts.clear()
        self._hosts[host, port] = found
        return found

    def _find_host(self, host: str, port: int) -> Provider | None:
        shown = f"[{host}]" if ":" in host else host
        for text in (f"{shown}:{port}", host):
            if text in self._exact:
                return self._exact[text]
            for pattern, row in self._patterns:
                if pattern.fullmatch(text):
                    return row
        return None

    def by_label(self, label: str) -> Provider | None:
        """By the first label of one of Helicone's hosts (proxy.md 1.2)."""
        for word, row_id in LABELS:
            if label == word[1:] if word[0] == "=" else word in label:
                return self.rows[row_id]
        return None

    def configured_targets(self) -> tuple[str, ...]:
        """`host:port` of every base URL that the user wrote: these may be dialled."""
        found = []
        for row in self.rows.values():
            if row.configured and row.base_url:
                target = parse_target(row.in_region(""))
                host = f"[{target.host}]" if ":" in target.host else target.host
                found.append(f"{host}:{target.port}")
        return tuple(found)


def host_pattern(text: str) -> re.Pattern[str]:
    """A pattern with `*` as an expression for the whole host."""
    front = ""
    if text.startswith("*."):
        front, text = r"(?:[a-z0-9_-]+\.)+", text[2:]
    return re.compile(front + r"[a-z0-9_-]+".join(re.escape(part) for part in text.split("*")))


def merged(row: Provider | None, row_id: str, given: Mapping[str, Any]) -> Provider:
    """A row with the user's values over it, or a new one."""
    unknown = sorted(set(given) - USER_KEYS)
    if unknown:
        raise ValueError(
            f"providers.{row_id}.{unknown[0]} is unknown; there are {', '.join(sorted(USER_KEYS))}"
        )
    values = {name: value for name, value in given.items() if value not in (None, "", (), [], {})}
    if row is None:
        if "base_url" not in values:
            raise ValueError(f"providers.{row_id}.base_url is missing: {row_id} is not built in")
        row = Provider(id=row_id, base_url="", doc=OWN, auth=_auth_of_new(values))
    changes: dict[str, Any] = {}
    if "base_url" in values:
        # Hosts stay the row's, so that a provider is known by its usual hosts as well.
        changes = {"base_url": str(values["base_url"]), "region": "", "configured": True}
        changes["hosts"] = (*row.hosts, *_netloc(row_id, changes["base_url"]))
        if row.base_url and not row.hosts:
            changes["hosts"] += (parse_target(row.in_region("")).host,)
    if "hosts" in values:
        changes["hosts"] = tuple(str(host) for host in values["hosts"])
    for key in ("auth", "dialect"):
        if key in values:
            changes[key] = str(values[key])
    if "name" in values:
        changes["record_name"] = str(values["name"])
    if "api_key_env" in values:
        changes["key_env"] = (str(values["api_key_env"]),)
    for key in ("ca_file", "client_cert", "token_url"):
        if key in values:
            changes[key] = str(values[key])
    if "prices" in values:
        changes["prices"] = tuple(values["prices"])
    if "deadlines" in values:
        changes["deadlines"] = dict(values["deadlines"])
    return replace(row, **changes)


def _auth_of_new(values: Mapping[str, Any]) -> str:
    """Of a provider that only the configuration knows. What runs on one's own machine or network
    (Ollama, vLLM) asks for no key, unless a key is named."""
    try:
        private = is_private(parse_target(str(values["base_url"])).host)
    except ValueError:
        return "bearer"  # refused in a moment
    return "none" if private and "api_key_env" not in values else "bearer"


def _netloc(row_id: str, base_url: str) -> tuple[str, ...]:
    try:
        return (parse_target(base_url).netloc,)
    except ValueError as error:
        raise ValueError(f"providers.{row_id}.base_url {error}") from None
