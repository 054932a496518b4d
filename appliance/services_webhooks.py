"""Webhooks as the REST API sees them: each region's sender, and the seals of its vault."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

import trio

from appliance.actors.webhooks import Send, attempt
from appliance.api.services_webhooks import Tried
from appliance.core.outbound import check_destination
from appliance.core.urls import HostList
from appliance.errors import Refusal
from storage.frames import Position
from storage.vault import Vault, VaultError
from storage.webhook_tables import WebhookRow

if TYPE_CHECKING:
    from appliance.actors.region import Region
    from appliance.actors.webhooks import Webhooks

TEST_S: Final = 10.0
PURPOSE: Final = b"webhook key "


def sealed(vault: Vault, webhook_id: str, key: str) -> bytes:
    """For this webhook alone."""
    return vault.seal(key.encode(), PURPOSE + webhook_id.encode())


def unsealed(vault: Vault, webhook_id: str, seal: bytes) -> str:
    """Raises VaultError."""
    return vault.open_sealed(seal, PURPOSE + webhook_id.encode()).decode()


class WebhooksOf:
    """Wired to what runs."""

    def __init__(
        self,
        regions: Mapping[str, Region],
        actors: Mapping[str, Webhooks],
        send: Send,
        allow: Callable[[], tuple[str, ...]],
    ) -> None:
        self._regions = regions
        self._actors = actors
        self._send = send
        self._allow = allow

    def check_destination(self, url: object, field: str) -> str:
        """The URL, which may be sent to by its name."""
        return check_destination(url, HostList(self._allow()), field)

    def seal(self, region: str, webhook_id: str, key: str) -> bytes:
        """An HMAC key as it is stored."""
        return sealed(self._regions[region].vault, webhook_id, key)

    def recorded(self, region: str) -> Position:
        """Where the next record will lie."""
        return self._regions[region].journal.written

    def changed(self, region: str) -> None:
        """The sender reads the tables anew."""
        self._actors[region].changed()

    async def test(self, region: str, row: WebhookRow) -> Tried:
        """Send a sample now."""
        from appliance.core import js_json, webhooks  # who never tests one needs neither

        try:
            key = unsealed(self._regions[region].vault, row.id, row.sealed)
        except VaultError as error:
            raise Refusal(503, "vault", f"The key of this webhook does not open: {error}") from None
        webhook = webhooks.Webhook(
            row.id, row.org, row.destination, include_data=row.include_data, key=key
        )
        body = js_json.stringify(webhooks.sample_payload(webhook)).encode()
        headers = webhooks.headers_of(webhook, f"test-{row.id}", body, time.time())
        began_s = trio.current_time()
        status, problem = await attempt(self._send, row.destination, headers, body, TEST_S)
        return Tried(status, problem, round((trio.current_time() - began_s) * 1000, 1))
