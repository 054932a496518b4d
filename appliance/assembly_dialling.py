"""How others are dialled under this configuration: address policies, TLS settings, proxies."""

from __future__ import annotations

import os
from dataclasses import replace
from ssl import SSLContext

from appliance.config import Config
from appliance.core.urls import parse_target
from appliance.providers.table import Provider, ProviderTable
from appliance.upstream.address import AddressPolicy, Origin
from appliance.upstream.dial import DialSettings, dial
from appliance.upstream.pool import PoolKey
from appliance.upstream.tls import TlsSettings, read_context, replace_contexts
from appliance.upstream.tunnel import ProxySettings, proxies_from
from appliance.wire import Wire


class Dialling:
    """How each provider is dialled: its address policy, TLS settings and the outbound proxies."""

    def __init__(
        self, config: Config, own_ports: frozenset[tuple[str, int]], table: ProviderTable
    ) -> None:
        """Raises ValueError for targets, proxies or certificates that cannot be."""
        self._policy = AddressPolicy(
            allow_private=config.access == "open",
            allow=config.allow_targets,
            deny_own=own_ports,
        )
        self._proxies: ProxySettings = proxies_from(os.environ)
        self._known: dict[str, DialSettings] = {}
        self._hooks_allow = config.webhook_allow
        # Calls of providers are answered from cassettes, by whom the pool dials.
        self.nobody = config.replay is not None
        self._token_ca = table.rows["vertex"].ca_file or None
        with_files = [row for row in table.rows.values() if row.ca_file or row.client_cert]
        self._contexts = dict(map(self._read, with_files))

    def __call__(self, provider: Provider) -> DialSettings:
        """The settings, part of the pool's key."""
        settings = self._known.get(provider.id)
        if settings is None:
            settings = self._known[provider.id] = DialSettings(
                self._policy_of(provider),
                TlsSettings(provider.ca_file or None, provider.client_cert or None),
                self._proxies,
                self.nobody,
            )
        return settings

    def for_tokens(self, token_url: str) -> DialSettings:
        """For Google's token endpoint, or the operator's own, which may be private."""
        policy = self._policy
        if token_url:
            policy = replace(policy, allow=(*policy.allow, parse_target(token_url).netloc))
        return DialSettings(policy, TlsSettings(self._token_ca), self._proxies, self.nobody)

    def for_hooks(self) -> DialSettings:
        """For webhooks and notices: public addresses and the operator's list, also in open access,
        since whoever enters a destination need not be who runs this."""
        own = self._policy.deny_own
        policy = AddressPolicy(allow=self._hooks_allow, deny_own=own, option="webhook_allow")
        return DialSettings(policy, proxies=self._proxies, nobody=self.nobody)

    def for_clients(self) -> DialSettings:
        """For an address that a client names beside its target."""
        return DialSettings(self._policy, TlsSettings(), self._proxies, self.nobody)

    def for_operator(self, url: str) -> DialSettings:
        """For an address that the configuration names: the operator's own word, so it may be
        private. Raises ValueError for what is no URL."""
        policy = replace(self._policy, allow=(*self._policy.allow, parse_target(url).netloc))
        return DialSettings(policy, TlsSettings(), self._proxies, self.nobody)

    def use_files(self) -> None:
        """Every `ca_file` and `client_cert` as it was read for this, for connections made from now
        on."""
        replace_contexts(self._contexts)

    def _read(self, provider: Provider) -> tuple[TlsSettings, SSLContext]:
        """Raises ValueError with one line."""
        settings = self(provider).tls
        try:
            return settings, read_context(settings)
        except ValueError as error:
            raise ValueError(f"providers.{provider.id}.{error}") from None

    def _policy_of(self, provider: Provider) -> AddressPolicy:
        """A base URL in the configuration file is the operator's own word: it may be private."""
        if not provider.configured or not provider.origin:
            return self._policy
        host = provider.origin.partition("://")[2]
        return replace(self._policy, allow=(*self._policy.allow, host))


async def dial_wire(key: PoolKey) -> Wire:
    """The pool's way to a new connection."""
    return (await dial(Origin(key.scheme, key.host, key.port), key.settings)).wire  # type: ignore[arg-type]
