"""Puts together what tells others of records: webhooks, alerts and reports of each region."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from appliance.actors.webhooks import Query, Send, Ways, Webhooks
from appliance.core.signed_url import DAY_S
from appliance.services_webhooks import unsealed
from appliance.upstream.post import notify

if TYPE_CHECKING:
    from appliance.actors.region import Region
    from appliance.assembly import Dialling
    from appliance.config import Config
    from appliance.services import RecordsOf
    from appliance.services_links import LinksOf
    from appliance.upstream.pool import Pool


@dataclass(frozen=True, slots=True)
class Hooks:
    """All regions' actors, and how they send."""

    send: Send
    webhooks: Mapping[str, Webhooks]


def sender(config: Config, dialling: Dialling, pool: Pool) -> Send:
    """POSTs JSON to where the configuration lets it go."""
    settings = dialling.for_hooks(config.webhook_allow)

    async def send(url: str, headers: Mapping[str, str], body: bytes) -> int:
        return await notify(url, settings, pool, headers=headers, body=body)

    return send


def hooks_of(
    regions: Mapping[str, Region], records: RecordsOf, links: LinksOf, send: Send
) -> Hooks:
    """Made before anything is served; nothing of it is on the way of a call."""
    return Hooks(
        send,
        {
            name: Webhooks(
                region.tables,
                region.ingest,
                Ways(
                    query_of(records, name),
                    send,
                    partial(body_url, links, name),
                    partial(unsealed, region.vault),
                ),
            )
            for name, region in regions.items()
        },
    )


def query_of(records: RecordsOf, region: str) -> Query:
    """The rows of a statement over this region's records."""

    async def query(sql: str, parameters: Sequence[Any]) -> Sequence[tuple[Any, ...]]:
        return (await records.query(region, sql, parameters)).rows

    return query


def body_url(links: LinksOf, region: str, exchange_id: str) -> str | None:
    """The signed link to both bodies of an exchange; None without public_url, since a guess would
    send people to a wrong place."""
    base = links.base()
    if base is None:
        return None
    path = f"/v1/signed/{region}/bodies/{exchange_id}"
    return f"{base}{links.signed(region, path, (), DAY_S)}"
