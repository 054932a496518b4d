"""SIGHUP: the configuration and the files that it names are read again while we serve.

All of it or nothing: everything is built beside what holds, and takes its place between two calls.
Calls under way keep the house that they began in.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import trio

from appliance import assembly
from appliance.assembly import Parts
from appliance.config import ConfigError
from appliance.config_reload import Reread, reread
from appliance.core.provider_credentials import Secret
from appliance.listening import own_address

if TYPE_CHECKING:
    from appliance.process import Server


@dataclass(frozen=True, slots=True)
class _Fresh:
    read: Reread
    parts: Parts
    environment: Mapping[str, Secret]


async def reload(server: Server) -> None:
    """One line of the log says what became of it."""
    try:
        fresh = await trio.to_thread.run_sync(_built, server)
    except ConfigError as error:
        server.log.error("reload", reason=f"nothing has changed: {error}")
        return
    _take(server, fresh)
    for region in server.regions.values():
        await trio.to_thread.run_sync(region.keep_prices)
    changed, later = ", ".join(fresh.read.changed), ", ".join(fresh.read.later)
    if later:
        waits = f"{later}: takes effect at the next start"
        server.log.warning("reload", changed=changed or None, reason=waits)
    else:
        server.log.info("reload", changed=changed or None)


def _built(server: Server) -> _Fresh:
    """Reads files; changes nothing. Raises ConfigError with one line."""
    read = reread(server.config, server.read_config())
    own = [own_address(listener) for listener in server.listeners]
    parts = assembly.parts_of(read.config, own, server.rings)
    keys = assembly.environment_keys(parts.table, server.log, replays=parts.dialling.nobody)
    return _Fresh(read, parts, keys)


def _take(server: Server, fresh: _Fresh) -> None:
    """Nothing waits in here, so that no call sees one half of it."""
    config, since_us = fresh.read.config, time.time_ns() // 1000
    server.house = assembly.house_after(
        server.house, config, server.regions, fresh.parts, fresh.environment
    )
    server.config = config
    server.parts.take(fresh.parts)
    server.routing = fresh.parts.routing
    server.use_house()
    for keys in server.keys.values():
        keys.lend_from(fresh.environment)
    prices = assembly.price_rows(config)
    for region in server.regions.values():
        region.price_by(prices, fresh.parts.book.price, since_us)
