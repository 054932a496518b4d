"""What the pipeline works with: the parts of the house, put together in `assembly.py`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from appliance.actors.gateway_load import GatewayLoad
from appliance.actors.metrics import Metrics
from appliance.actors.posthog import PostHog
from appliance.actors.recorder import Recorder
from appliance.config import Config
from appliance.core.derive import PriceOf
from appliance.core.forwarded import TrustedProxies
from appliance.core.ids import ExchangeIds
from appliance.features.admit import Gate
from appliance.features.cache import Caches
from appliance.features.deadlines import Deadlines
from appliance.features.fallback import RouteTo
from appliance.features.guard import Guards
from appliance.features.lend import Rings
from appliance.features.limit import Limits
from appliance.features.pay import Wallets
from appliance.features.route_by import RoutedBy
from appliance.log import Log
from appliance.providers.table import Provider
from appliance.upstream.pool import Pool

if TYPE_CHECKING:
    from appliance.features.gateway import Gateway, Prompts
    from appliance.features.intake import Intake


@dataclass(slots=True)
class House:
    """What the pipeline works with."""

    config: Config
    gate: Gate
    pool: Pool
    recorder: Recorder
    deadlines: Deadlines
    ids: ExchangeIds
    dialling: Callable[[Provider], Hashable]
    route_to: RouteTo
    keys: Rings
    prompts: Mapping[str, Prompts]
    platform: bytes  # the organisation whose keys serve those who pay with credits, or b""
    gateway: Callable[[], Awaitable[Gateway]]
    intake: Callable[[], Awaitable[Intake]]
    posthog: PostHog
    limits: Limits
    guards: Guards
    wallets: Wallets
    caches: Caches
    price: PriceOf
    routers: Mapping[str, RoutedBy]
    load: GatewayLoad
    proxies: TrustedProxies
    log: Log
    metrics: Metrics
