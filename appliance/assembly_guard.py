"""Builds what checks prompts: the model of `[guard_model]`, the way to it and its credential.

Part of `assembly.py`; what cannot be stops the start with one line that names the option.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from functools import partial

from appliance.actors.metrics import Metrics
from appliance.config import Config, ConfigError
from appliance.core.credential_header import scheme_of, with_secret
from appliance.core.provider_credentials import Secret
from appliance.core.urls import parse_target
from appliance.door.destinations import to_provider
from appliance.door.route_types import Route, Routing
from appliance.errors import Refusal
from appliance.exchange import Aim, Body, Exchange, Headers
from appliance.features.aim import head_lines
from appliance.features.call import Call
from appliance.features.guard import ADVANCED, MODERATION, SECURITY, GuardModel, Guards
from appliance.log import Log
from appliance.providers.table import Provider
from appliance.upstream.pool import Pool, PoolKey

RULE = 9
PATH = b"/v1/chat/completions"
FIELDS: Headers = [
    (b"content-type", b"application/json"),
    (b"accept", b"application/json"),
    (b"accept-encoding", b"identity"),
]
# What a key can be written as without the request's body, or a token that has to be bought.
SENT = frozenset({"bearer", "x-api-key", "api-key", "query", "none"})


def guard_route(config: Config, routing: Routing) -> Route | None:
    """The way to the model that judges prompts. Raises ConfigError."""
    options = config.guard_model
    if options is None:
        return None
    where = f'guard_model.provider = "{options.provider}"'
    provider = routing.providers.by_id(options.provider)
    if provider is None:
        raise ConfigError(
            f"{where}: is no provider's id; `helicone-appliance providers` lists them, "
            "[providers.<id>] adds one"
        )
    plain = scheme_of(provider.auth, PATH, Secret("x")) in SENT
    if provider.dialect != "openai" or not plain:
        raise ConfigError(f"{where}: a model that judges prompts speaks like OpenAI's chats")
    try:
        return to_provider(RULE, provider, PATH, b"", routing)
    except Refusal as refusal:
        raise ConfigError(f"{where}: {refusal.message}") from None


def guards_of(
    config: Config,
    route: Route | None,
    dialling: Callable[[Provider], Hashable],
    environment: Mapping[str, Secret],
    pool: Pool,
    metrics: Metrics,
    log: Log,
) -> Guards:
    """Everything the checks work with."""
    for feature in (SECURITY, ADVANCED, MODERATION):
        metrics.count("failed_open_total", 0, feature=feature)

    def call(x: Exchange, aim: Aim, body: Body) -> Call:
        return Call(x, aim, pool, body, aside=True)

    def failed(feature: str) -> None:
        metrics.count("failed_open_total", feature=feature)

    model = None
    options = config.guard_model
    if options is not None and route is not None:
        assert route.provider is not None, "found before"
        secret = environment.get(route.provider.id)
        if secret is None and route.provider.auth != "none":
            log.warning("guard_model", reason=f"the environment has no key of {options.provider}")
        deadlines = config.deadlines_of(route.provider.id)
        aim = partial(_aim, route, dialling(route.provider), secret, deadlines)
        model = GuardModel(options.model, options.deadline_s, aim)
    return Guards(config.guard_fail == "closed", model, call, failed)


def _aim(
    route: Route, settings: Hashable, secret: Secret | None, deadlines: object, region: str
) -> Aim:
    """One call of the model, for a prompt of this region."""
    provider = route.provider
    assert provider is not None, "found before"
    fields, path = FIELDS, route.path
    if secret is not None:
        written = with_secret(fields, path, provider.auth, secret)
        fields, path = written.fields, written.path
    base = parse_target(route.base_url)
    key = PoolKey(base.scheme, base.host, base.port, settings, region)
    lines = head_lines(b"POST", path, base.netloc.encode("ascii"), fields)
    shown = route.path.decode("latin-1")
    return Aim(provider, key, lines, True, deadlines, shown, base.origin + shown)
