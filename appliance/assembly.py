"""Builds the house from the configuration: providers, prices, routing, access, pool, pipeline.

Everything here happens before the first connection; what cannot be built stops the start with one
line (ValueError, ConfigError).
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from appliance.actors.gateway_load import GatewayLoad
from appliance.actors.google_tokens import REPLY_BYTES_MAX, GoogleTokens
from appliance.actors.key_ring import KeyRing
from appliance.actors.key_rings import KeyRings
from appliance.actors.metrics import Metrics
from appliance.actors.posthog import PostHog
from appliance.actors.provider_keys import ProviderKeys
from appliance.actors.rate_limiter import BUCKET_BYTES, BUCKETS_MAX
from appliance.actors.recorder import Recorder
from appliance.actors.region import Region, RegionOptions
from appliance.actors.roller_options import RollerOptions
from appliance.api.paths import rest_paths
from appliance.assembly_dialling import Dialling, dial_wire
from appliance.assembly_export import posthog_of
from appliance.assembly_guard import guard_route, guards_of
from appliance.assembly_playing import dialled
from appliance.assembly_routers import RouterParts, router_parts, routers_of
from appliance.config import Config, ConfigError
from appliance.core.access import AccessRules
from appliance.core.attempts import StoredKey
from appliance.core.forwarded import TrustedProxies
from appliance.core.ids import ExchangeIds
from appliance.core.prices import PriceBook
from appliance.core.provider_credentials import ANY_PROVIDER, REPLAYED, Secret
from appliance.core.provider_key_input import environment_secrets
from appliance.core.urls import HostList, Target, TargetPolicy
from appliance.door.destinations import to_provider, to_target
from appliance.door.route_types import Route, Routing
from appliance.door.tls import ServerTls
from appliance.features.admit import Gate
from appliance.features.cache import Caches
from appliance.features.deadlines import Deadlines
from appliance.features.limit import Limits
from appliance.features.pay import Wallets
from appliance.house import House
from appliance.loading import OnDemand
from appliance.log import Log
from appliance.providers.google_token import TokenRequest
from appliance.providers.price_data import load_lists, open_book
from appliance.providers.table import Provider, ProviderTable
from appliance.upstream.pool import Pool
from appliance.upstream.post import post
from storage.journal import JournalOptions
from storage.state import State

if TYPE_CHECKING:
    from appliance.features.gateway import Gateway
    from appliance.features.intake import Intake
    from appliance.providers.registry import ModelRegistry

REPLAYED_TOKEN: Final = b'{"access_token": "replayed", "token_type": "Bearer", "expires_in": 3600}'


def price_tables(config: Config) -> list[Mapping[str, Any]]:
    """`[[prices]]`, then those of `[providers.<id>]`, as rows of their provider."""
    tables: list[Mapping[str, Any]] = [*config.prices]
    for name, row in config.providers.items():
        tables += [{**price, "provider": name} for price in getattr(row, "prices", None) or ()]
    return tables


def book_of(config: Config) -> PriceBook:
    """The price book of this configuration. Raises ValueError for a price row that cannot be."""
    return open_book(price_tables(config))


def price_rows(config: Config) -> list[dict[str, Any]]:
    """The same as helper processes get them, and `prices.json` keeps them: numbers and dates as
    text."""
    tables = [dict(row) for row in price_tables(config)]
    plain: list[dict[str, Any]] = json.loads(json.dumps(tables, default=str))
    return plain


def region_options(config: Config, name: str) -> RegionOptions:
    """How a region's data directory is opened."""
    return RegionOptions(
        name,
        config.root(name),
        JournalOptions(
            durability=config.durability,  # type: ignore[arg-type]
            backlog_bytes_max=config.backlog_bytes_max,
        ),
        config.master_key,
        config.memory.duckdb,
        config.record_bytes_max,
        RollerOptions(
            retention_days=config.retention_days,
            retention_bytes=config.retention_bytes,
            retention_datasets=config.retention_datasets,
        ),
        price_rows(config),
        config.memory.response_cache // len(regions_of(config)),
        config.budget_mode == "strict",
        buckets_max(config),
        load_lists,
        cache_disk_bytes_max=config.cache_disk_bytes_max,
        cache_coalesce=config.cache_coalesce,
    )


def buckets_max(config: Config) -> int:
    """How many buckets of rate limits a region may hold: its part of their share of the memory."""
    return min(BUCKETS_MAX, config.memory.rate_limits // len(regions_of(config)) // BUCKET_BYTES)


def provider_table(config: Config) -> ProviderTable:
    """Built-in rows with `[providers.<id>]` over them."""
    return ProviderTable.from_config(
        {name: options.given() for name, options in config.providers.items()}
    )


def deadlines_of(config: Config, table: ProviderTable) -> Deadlines:
    """The usual deadlines, and those that a provider's row changes."""
    changed = {name: config.deadlines_of(name) for name in config.providers}
    by_provider = {
        row.id: changed[name]
        for name, row in ((name, table.by_id(name)) for name in changed)
        if row is not None
    }
    return Deadlines(config.deadlines, by_provider)


def routing_of(config: Config, table: ProviderTable) -> Routing:
    """The routing table's data."""
    policy = TargetPolicy(HostList(config.allow_targets), private=config.access == "open")
    return Routing(
        table,
        config.worker_type or "",  # type: ignore[arg-type]
        policy,
        rest=rest_paths(),
        routers=frozenset(config.routers),
    )


def access_rules(config: Config) -> AccessRules:
    """The access part of the configuration."""
    return AccessRules.from_config(
        config.access,
        allow_hosts=config.allow_hosts,
        allow_origins=config.allow_origins,
        public_url=config.public_url,
    )


class Stores:
    """What features ask about the regions' stores."""

    def __init__(self, regions: Mapping[str, Region]) -> None:
        self._journals = {name: region.journal for name, region in regions.items()}

    def degraded(self, region: str) -> str | None:
        """The part of a region's store that is degraded, if any."""
        return self._journals[region].degraded


def regions_of(config: Config) -> tuple[str, ...]:
    """The regions kept here. EU: its directory was named, or is there already."""
    eu = "eu_data_dir" in config.sources or (config.eu_data_dir / "FORMAT").exists()
    return ("us", "eu") if eu else ("us",)


def key_rings_of(config: Config) -> KeyRings:
    """A key ring over the state store of each region's root. Raises ValueError for a bootstrap key
    that cannot be."""
    rings = KeyRings({
        name: KeyRing(
            partial(State.open, config.root(name) / "state.sqlite", region=name), name
        )
        for name in regions_of(config)
    })  # fmt: skip
    if config.bootstrap_key:
        rings.declare(config.bootstrap_key)
    return rings


def environment_keys(table: ProviderTable, log: Log, *, replays: bool) -> dict[str, Secret]:
    """The providers' keys that the environment has under the names that SDKs use, or under
    `api_key_env`. What cannot be used is told in the log. A replay needs none (cassettes.md)."""
    found, wrong = environment_secrets(
        table.rows.values(), os.environ, lambda name: Path(name).read_text()
    )
    for line in wrong:
        log.warning("environment", reason=line)
    if replays and REPLAYED.secret is not None:
        found[ANY_PROVIDER] = REPLAYED.secret
    return found


def provider_keys_of(
    regions: Mapping[str, Region], parts: Parts, log: Log
) -> dict[str, ProviderKeys]:
    """The ring of provider keys of each region; its state store is there already."""
    environment = environment_keys(parts.table, log, replays=parts.dialling.nobody)
    buy = partial(buy_token, parts)
    return {
        name: ProviderKeys(
            region.directory,
            region.vault,
            parts.provider,
            environment=environment,
            region=name,
            tokens=GoogleTokens(buy),
        )
        for name, region in regions.items()
    }


async def buy_token(parts: Parts, request: TokenRequest) -> tuple[int, bytes]:
    """Ask Google's token endpoint, or the one that the configuration names in its place. A server
    that replays asks nobody: no cassette depends on the token, which is not written down."""
    if parts.dialling.nobody:
        return 200, REPLAYED_TOKEN
    token_url = parts.table.rows["vertex"].token_url
    return await post(
        token_url or request.url, parts.dialling.for_tokens(token_url),
        content_type=request.content_type, body=request.body, reply_bytes_max=REPLY_BYTES_MAX,
    )  # fmt: skip


@dataclass(slots=True)
class Parts:
    """What follows from the configuration alone, and can be wrong in it. Whatever outlives a call
    holds the parts, not what is in them: another configuration may take its place."""

    book: PriceBook
    rings: KeyRings
    table: ProviderTable
    dialling: Dialling
    routing: Routing
    routers: Mapping[str, RouterParts]
    guard_route: Route | None
    tls: ServerTls | None

    def provider(self, provider_id: str) -> Provider | None:
        """The row of a provider, by its id or an alias."""
        return self.table.by_id(provider_id)

    def take(self, other: Parts) -> None:
        """From now on it is the other configuration's, but for who may call: keys are no part of
        it."""
        for name in ("book", "table", "dialling", "routing", "routers", "guard_route"):
            setattr(self, name, getattr(other, name))
        if self.tls is not None and other.tls is not None:
            self.tls.context = other.tls.context
        self.dialling.use_files()


def parts_of(
    config: Config, own: Sequence[tuple[str, int]], rings: KeyRings | None = None
) -> Parts:
    """Built before any store is opened. `own` is where we listen, `rings` those that there are
    already. Reads files; what it reads is used by whoever is made of it. Raises ConfigError."""
    try:
        table = provider_table(config)
        book = book_of(config)
        routing = routing_of(config, table)
        return Parts(
            book,
            rings or key_rings_of(config),
            table,
            Dialling(config, frozenset(own), table),
            routing,
            router_parts(config, routing),
            guard_route(config, routing),
            server_tls(config),
        )
    except ValueError as error:
        raise ConfigError(str(error)) from None


def server_tls(config: Config) -> ServerTls | None:
    """Our certificate, where there is one."""
    if config.tls_cert is None:
        return None
    return ServerTls(config.tls_cert, config.tls_key, http2=config.http2)


def route_to(routing: Routing, target: Target, path: bytes) -> Route:
    """The way to a target that a request names in its list (proxy.md 6.2). Raises Refusal 403."""
    return to_target(6, target, path, b"", routing)


def gateway_of(table: ProviderTable, routing: Routing) -> Gateway:
    """The gateway over the registry and these providers. Loaded when first asked for: models and
    dialects are 5 MB and a tenth of a second, which most servers never use."""
    from appliance.features.gateway import Gateway
    from appliance.providers.registry import ModelRegistry

    keyless = {
        row.id: (StoredKey(row.id),)
        for row in table.rows.values()
        if row.configured and row.auth == "none"
    }
    return Gateway(
        ModelRegistry(table), table.rows,
        lambda provider, path: to_provider(9, provider, path, b"", routing), keyless,
    )  # fmt: skip


def intake_of(
    config: Config, recorder: Recorder, ids: ExchangeIds, parts: Parts, posthog: PostHog
) -> Intake:
    """Log intake. Loaded when the first log comes."""
    from appliance.features.intake import Intake

    return Intake(recorder, ids, parts.provider, config.intake_bytes_max, posthog.note)


async def registry_of(gateway: OnDemand[Gateway]) -> ModelRegistry:
    """What is known of models; loads the gateway."""
    return (await gateway()).registry


def gate_of(config: Config, regions: Mapping[str, Region], parts: Parts) -> Gate:
    """What admission works with."""
    ask_usage = config.stream_usage == "ask"
    return Gate(access_rules(config), parts.rings, Stores(regions), frozenset(regions), ask_usage)


def house_after(
    house: House,
    config: Config,
    regions: Mapping[str, Region],
    parts: Parts,
    environment: Mapping[str, Secret],
) -> House:
    """The house under another configuration: what it says is new, what is known while we run stays.
    `house` itself is left as it is, for the calls under way."""
    gateway = OnDemand(partial(gateway_of, parts.table, parts.routing))
    return replace(
        house,
        config=config,
        gate=gate_of(config, regions, parts),
        deadlines=deadlines_of(config, parts.table),
        dialling=parts.dialling,
        route_to=partial(route_to, parts.routing),
        gateway=gateway,
        guards=guards_of(
            config, parts.guard_route, parts.dialling, environment, house.pool, house.metrics,
            house.log,
        ),
        wallets=Wallets(
            house.wallets.by_region, partial(registry_of, gateway), parts.book.card,
            parts.book.price, house.wallets.failed,
        ),
        price=parts.book.price,
        routers=routers_of(parts.routers, house.metrics, house.routers),
        proxies=TrustedProxies(config.trusted_proxies),
    )  # fmt: skip


def house_of(
    config: Config,
    regions: Mapping[str, Region],
    keys: Mapping[str, ProviderKeys],
    parts: Parts,
    log: Log,
) -> House:
    """Everything the pipeline works with."""
    recorder = Recorder(config.memory.capture, config.record_bytes_max)
    recorder.stores.update(regions)
    metrics = Metrics()
    for feature in ("limits", "cache", "budgets"):
        metrics.count("failed_open_total", 0, feature=feature)
    load = GatewayLoad(metrics.count)
    metrics.gauges.append(load.gauges)
    limiters = {name: region.limiter for name, region in regions.items()}
    pool = Pool(dialled(config, dial_wire, log))
    gateway = OnDemand(partial(gateway_of, parts.table, parts.routing))
    ids = ExchangeIds()
    posthog = posthog_of(regions, parts)
    intake = OnDemand(partial(intake_of, config, recorder, ids, parts, posthog))
    gate = gate_of(config, regions, parts)
    environment = keys[min(keys)].environment
    guards = guards_of(config, parts.guard_route, parts.dialling, environment, pool, metrics, log)
    return House(
        config,
        gate,
        pool,
        recorder,
        deadlines_of(config, parts.table),
        ids,
        parts.dialling,
        partial(route_to, parts.routing),
        keys,
        {name: region.prompts for name, region in regions.items()},
        uuid.UUID(config.platform_org).bytes if config.platform_org else b"",
        gateway,
        intake,
        posthog,
        Limits(
            limiters, parts.rings, partial(metrics.count, "failed_open_total", feature="limits")
        ),
        guards,
        Wallets(
            {name: region.wallet for name, region in regions.items()},
            partial(registry_of, gateway),
            parts.book.card,
            parts.book.price,
            partial(metrics.count, "failed_open_total", feature="budgets"),
        ),
        Caches(
            {name: region.cache for name, region in regions.items()},
            {name: region.cache_secret for name, region in regions.items()},
            partial(metrics.count, "failed_open_total", feature="cache"),
        ),
        parts.book.price,
        routers_of(parts.routers, metrics),
        load,
        TrustedProxies(config.trusted_proxies),
        log,
        metrics,
    )
