"""Whether providers can be reached, dialled as the server dials them: through outbound proxies,
with the roots and certificates of the configuration, under its address policy. Blocking; sends no
key.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from email.utils import parsedate_to_datetime
from typing import Final, NamedTuple

import trio

from appliance.assembly_dialling import Dialling
from appliance.config import Config
from appliance.core.urls import parse_target
from appliance.errors import Refusal, UpstreamFailed
from appliance.providers.table import ProviderTable
from appliance.upstream.address import Origin
from appliance.upstream.dial import DialSettings, dial

REACH_S: Final = 5.0
AT_ONCE_MAX: Final = 16
USUAL_PROVIDERS: Final = ("openai", "anthropic")


class Reached(NamedTuple):
    """A provider's answer: its clock in seconds since the epoch, None where it told none; or why
    there was none, in `failed`."""

    url: str
    took_ms: float = 0.0
    at_s: float | None = None
    failed: str = ""


def reach_all(config: Config) -> Mapping[str, Reached]:
    """The usual providers and those of the configuration, all at once, by id. Raises ValueError for
    a proxy or a certificate that cannot be used."""
    given = {name: options.given() for name, options in config.providers.items()}
    table = ProviderTable.from_config(given)
    dialling = Dialling(config, frozenset(), table)
    wanted = dict.fromkeys((*USUAL_PROVIDERS, *config.providers))
    rows = [table.rows[name] for name in wanted if name in table.rows]
    asked = {row.id: (row.in_region(""), dialling(row)) for row in rows if row.base_url}
    found = dict.fromkeys(asked, Reached(""))  # in this order, whoever answers first
    trio.run(_ask_all, asked, found)
    return found


async def _ask_all(
    asked: Mapping[str, tuple[str, DialSettings]], found: dict[str, Reached]
) -> None:
    room = trio.CapacityLimiter(AT_ONCE_MAX)

    async def ask(name: str, url: str, settings: DialSettings) -> None:
        async with room:
            try:
                found[name] = await _reach(url, settings)
            except (UpstreamFailed, Refusal) as error:
                found[name] = Reached(url, failed=error.message)
            except (OSError, trio.BrokenResourceError, trio.TooSlowError) as error:
                words = getattr(error, "strerror", None) or str(error) or "it does not answer"
                found[name] = Reached(url, failed=words)

    async with trio.open_nursery() as nursery:
        for name, (url, settings) in asked.items():
            nursery.start_soon(ask, name, url, settings)


async def _reach(url: str, settings: DialSettings) -> Reached:
    """Connect, TLS as the certificate demands, and one HEAD."""
    target = parse_target(url)
    began_s = trio.current_time()
    with trio.fail_after(REACH_S):
        dialed = await dial(Origin(target.scheme, target.host, target.port), settings)
        try:
            await dialed.wire.send_all(
                f"HEAD / HTTP/1.1\r\nHost: {target.netloc}\r\nConnection: close\r\n"
                "User-Agent: helicone-appliance\r\n\r\n".encode("ascii", "replace")
            )
            head = (await dialed.wire.recv()).decode("latin-1")
        finally:
            dialed.wire.close()
    took_ms = (trio.current_time() - began_s) * 1000
    if not head.startswith("HTTP/"):
        raise OSError("what answers does not speak HTTP")
    return Reached(url, took_ms, _date_in(head))


def _date_in(head: str) -> float | None:
    for line in head.split("\r\n")[1:]:
        name, _, value = line.partition(":")
        if name.lower() == "date":
            with suppress(ValueError):
                return parsedate_to_datetime(value.strip()).timestamp()
    return None
