"""Builds the routers of the configuration: who is behind each target, and the way there.

Part of `assembly.py`; what cannot be stops the start with one line that names the option.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType

from appliance.actors.metrics import Metrics
from appliance.actors.router import Router
from appliance.config import Config, ConfigError, RouterOptions
from appliance.core.router_health import HealthRules
from appliance.core.router_plan import RouterPlan, RouterTarget, parse_targets
from appliance.core.urls import Target, join_base, parse_target
from appliance.door.destinations import to_provider
from appliance.door.route_types import Kind, Route, Routing
from appliance.features.route_by import RoutedBy, Way
from appliance.providers.table import Provider, complete

RULE = 7
NOT_IN_IDS = re.compile(r"[^a-z0-9._-]")
# In these a request names its model in the path.
MODEL_IN_PATH = frozenset({"gemini", "vertex", "bedrock"})


@dataclass(frozen=True, slots=True)
class RouterParts:
    """A router of the configuration, without what is learned while it runs."""

    plan: RouterPlan
    ways: Sequence[Way]
    providers: Sequence[str]
    forward_key: bool


def router_parts(config: Config, routing: Routing) -> dict[str, RouterParts]:
    """All routers. Raises ConfigError."""
    return {name: _parts(name, options, routing) for name, options in config.routers.items()}


def routers_of(
    parts: Mapping[str, RouterParts],
    metrics: Metrics,
    before: Mapping[str, RoutedBy] = MappingProxyType({}),
) -> dict[str, RoutedBy]:
    """Routers that run, and are seen in the metrics. One whose plan is as `before` goes on with
    what it has learned of its targets."""
    found = {}
    for name, part in parts.items():
        known = before.get(name)
        if known is None or known.plan != part.plan or known.providers != part.providers:
            router = Router(part.plan, metrics.count)
            found[name] = RoutedBy(router, part.ways, part.providers, part.forward_key)
        else:
            found[name] = replace(known, ways=part.ways, forward_key=part.forward_key)
    for gone in before.values():
        metrics.gauges.remove(gone.router.gauges)
    metrics.gauges += [by.router.gauges for by in found.values()]
    return found


def plan_of(name: str, options: RouterOptions) -> RouterPlan:
    """What the options of one router say."""
    return RouterPlan(
        name,
        parse_targets(options.targets, f"routers.{name}.targets"),
        strategy=options.strategy,  # type: ignore[arg-type]
        rules=HealthRules(
            errors_percent_max=options.errors_percent_max,
            window_s=options.window_s,
            requests_min=options.requests_min,
            failures_max=options.failures_max,
            open_s=options.open_s,
        ),
        limited_s=options.limited_s,
        hedge_after_s=options.hedge_after_s,
        forward_key=options.forward_key,
    )


def _parts(name: str, options: RouterOptions, routing: Routing) -> RouterParts:
    plan = plan_of(name, options)
    where = f"routers.{name}.targets"
    rows = [
        _provider(target, f"{where}[{number}]", routing)
        for number, target in enumerate(plan.targets, 1)
    ]
    for number, (target, row) in enumerate(zip(plan.targets, rows, strict=True), 1):
        if row.dialect != rows[0].dialect:
            raise ConfigError(
                f"{where}[{number}] speaks {row.dialect}, {where}[1] {rows[0].dialect}: the targets"
                " of a router speak one dialect; the gateway (/v1, /ai/v1) translates"
            )
        if (target.model or target.models) and row.dialect in MODEL_IN_PATH:
            raise ConfigError(
                f"{where}[{number}]: model and models cannot be applied, as requests in the dialect"
                f" {row.dialect} name their model in the path: leave them out"
            )
    one = len({row.id for row in rows}) == 1
    forward_key = one if plan.forward_key is None else plan.forward_key
    ways = [
        partial(_way, row, parse_target(target.base_url) if target.base_url else None, routing)
        for target, row in zip(plan.targets, rows, strict=True)
    ]
    return RouterParts(plan, ways, [row.id for row in rows], forward_key)


def _provider(target: RouterTarget, where: str, routing: Routing) -> Provider:
    """The row of a target: the table's, or one for a base URL whose host nobody knows."""
    table = routing.providers
    if target.base_url:
        base = parse_target(target.base_url)
        known = table.by_host(base.host, base.port)
        row_id = "at-" + NOT_IN_IDS.sub("-", base.netloc.lower())
        # A URL in the configuration file is the operator's own word: it may be private.
        return known or complete(
            Provider(
                row_id[:64], target.base_url, doc="[routers]", auth="none",
                record_name=base.origin, configured=True,
            )
        )  # fmt: skip
    row = table.by_id(target.provider)
    if row is None:
        raise ConfigError(
            f'{where}.provider = "{target.provider}": is no provider\'s id; `helicone-appliance '
            "providers` lists them, [providers.<id>] adds one, base_url does without"
        )
    if not row.base_url:
        raise ConfigError(
            f"{where}.provider = {row.id!r}: where it is reached is not known: set base_url in "
            f"[providers.{row.id}]"
        )
    return row


def _way(row: Provider, base: Target | None, routing: Routing, path: bytes) -> Route:
    """The way to a target, for a request target with its query. Raises Refusal."""
    if base is None:
        return to_provider(RULE, row, path, b"", routing)
    sent = join_base(base.path.encode("ascii"), path)
    return Route(Kind.PROXY, RULE, "fast", row, base.base_url, sent)
