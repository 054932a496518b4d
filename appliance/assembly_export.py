"""Exchanges on their way to an OpenTelemetry collector: built where `[otlp]` names one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from appliance.actors.frame_rows import FrameDeriver
from appliance.actors.posthog import PostHog
from appliance.control_commands import run_query
from appliance.core.urls import parse_target
from appliance.upstream.post import post

if TYPE_CHECKING:
    from appliance.actors.otlp_export import OtlpExport
    from appliance.actors.region import Region
    from appliance.assembly import Parts
    from appliance.config import Config, Otlp

REPLY_BYTES_MAX = 64 * 1024
FRESH_WAIT_S = 10.0
ROWS_BY_ID = "SELECT * FROM requests WHERE exchange_id IN (SELECT unnest($1::UUID[]))"
TRACES_PATH = "/v1/traces"


def exports_of(
    config: Config, regions: Mapping[str, Region], parts: Parts
) -> dict[str, OtlpExport]:
    """By region. The EU's exchanges leave it only where the configuration says so; what is replayed
    is told to nobody."""
    otlp = config.otlp
    if otlp is None or config.replay is not None:
        return {}
    # Imported here: most servers export nothing.
    from appliance.actors.otlp_export import OtlpExport

    send = partial(send_traces, traces_url(otlp.endpoint), otlp, parts)
    return {
        name: OtlpExport(
            region.directory,
            region.journal,
            region.tables,
            FrameDeriver(region.deriver.derive, region.read_parts),
            send,
            keys=region.keys,
            bodies=otlp.bodies,
        )
        for name, region in regions.items()
        if name != "eu" or otlp.eu
    }


def posthog_of(regions: Mapping[str, Region], parts: Parts) -> PostHog:
    """Captures. The host is a client's word: it is dialled under the rules of clients' targets."""

    async def read_rows(name: str, ids: Sequence[str]) -> list[dict[str, Any]]:
        region = regions[name]
        await region.ingest.caught_up(FRESH_WAIT_S)
        found: list[dict[str, Any]] = []

        async def take(columns: list[tuple[str, str]], page: list[tuple[Any, ...]]) -> None:
            names = [column for column, _ in columns]
            found.extend(dict(zip(names, row, strict=True)) for row in page)

        await run_query(region, ROWS_BY_ID, (list(ids),), take, whole=True)
        return found

    async def send(url: str, body: bytes) -> int:
        status, _ = await post(
            url, parts.dialling.for_clients(), content_type="application/json", body=body,
            reply_bytes_max=REPLY_BYTES_MAX,
        )  # fmt: skip
        return status

    return PostHog(read_rows, send, silent=parts.dialling.nobody)


def traces_url(endpoint: str) -> str:
    """An address without a path is a collector's base (OTLP/HTTP): /v1/traces is its path."""
    return (
        endpoint.rstrip("/") + TRACES_PATH if parse_target(endpoint).path in ("", "/") else endpoint
    )


async def send_traces(url: str, otlp: Otlp, parts: Parts, body: bytes) -> int:
    """The status of one POST. The operator's own word: the address may be private."""
    status, _ = await post(
        url, parts.dialling.for_operator(url), content_type="application/x-protobuf", body=body,
        reply_bytes_max=REPLY_BYTES_MAX, headers=otlp.headers or {},
    )  # fmt: skip
    return status
