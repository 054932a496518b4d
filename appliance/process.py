"""Starts and stops it all: opens the stores, starts actors, listens, drains, closes.

The nursery tree (STYLE 2.1): actors outlive the doors; signals make shutdown an ordinary return.
"""

from __future__ import annotations

import gc
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from functools import partial

import trio

from appliance import assembly, maintenance, repricing, resident
from appliance.actors.eraser import Eraser
from appliance.actors.key_ring import KeyRingTask
from appliance.actors.provider_keys import ProviderKeys
from appliance.actors.region import Region
from appliance.actors.sandbox import Sandbox
from appliance.actors.spill import RequestSink
from appliance.actors.supervisor import Supervisor
from appliance.actors.wallet_recovery import settle_left
from appliance.api.on_demand import AppOnDemand
from appliance.assembly import Parts
from appliance.assembly_export import exports_of
from appliance.assembly_hooks import hooks_of, sender
from appliance.assembly_playing import told_whose
from appliance.banner import banner, local_url, server_url
from appliance.commands_users import first_link
from appliance.config import Config, raise_file_limit
from appliance.control_commands import Commands
from appliance.dataset_pages import dataset_work
from appliance.door.asgi import FullLane
from appliance.door.control import serve_control
from appliance.door.listener import Door
from appliance.door.route_types import RequestHead, Route
from appliance.door.routes import route
from appliance.erasing import StoresOf
from appliance.errors import Refusal
from appliance.exchange import Head
from appliance.house import House
from appliance.listening import forget_ready, listen, own_address, write_ready
from appliance.log import LibraryHandler, Log
from appliance.manager import NOBODY, Manager
from appliance.pipeline import handle
from appliance.reloading import reload
from appliance.run_lease import until_unused
from appliance.services import Gauges, RecordsOf, services_of
from appliance.services_links import LinksOf
from appliance.status import live_status
from storage.state import refuse_newer

POOL_SWEEP_S = 15.0
REST_S = 15.0
ReadConfig = Callable[[], Config]


def run(config: Config, manager: Manager, read_config: ReadConfig) -> int:
    """Serve until told to stop. The exit code: 0, or 1 with one line on stderr. `read_config` gives
    the configuration as it is now: asked when it is to be read again."""
    hold_standard_descriptors()
    raise_file_limit()
    resident.tame_heap()
    log = Log(config.log_level, config.log_format)
    logging.basicConfig(handlers=[LibraryHandler(log)], level=logging.WARNING, force=True)
    try:
        return trio.run(partial(serve, config, log, manager, read_config))
    finally:
        log.close()
        gc.unfreeze()  # or what DuckDB's binding holds would be reported as leaked


async def serve(
    config: Config, log: Log, manager: Manager = NOBODY, read_config: ReadConfig | None = None
) -> int:
    """Open, serve, drain, close. Raises what opening raises; the command prints it as one line."""
    began_s = time.monotonic()
    if config.ready_file is not None:
        forget_ready(config.ready_file)
    handed = manager.listener
    listeners = [handed] if handed is not None else listen(config)
    regions: dict[str, Region] = {}
    try:
        parts = assembly.parts_of(config, [own_address(listener) for listener in listeners])
        parts.dialling.use_files()
        for name in parts.rings.by_region:
            regions[name] = await open_region(config, name, parts)
        await parts.rings.load()
        keys = assembly.provider_keys_of(regions, parts, log)
        house = assembly.house_of(config, regions, keys, parts, log)
        server = Server(config, log, house, regions, keys, parts, listeners)
        server.manager = manager
        server.read_config = read_config or server.read_config
        await server.run(began_s)
    finally:
        for region in regions.values():
            region.unlock()
        for listener in listeners:
            listener.close()
    return 0


async def open_region(config: Config, name: str, parts: Parts) -> Region:
    """Raises OSError that names the directory, and what Region raises."""
    options = assembly.region_options(config, name)
    # Keys and money of a newer version are not to be guessed at: without them it would serve on.
    await trio.to_thread.run_sync(refuse_newer, options.directory / "state.sqlite")
    try:
        return await trio.to_thread.run_sync(Region, options, parts.book.price)
    except OSError as error:
        place = f"the data directory {options.directory}"
        raise OSError(f"{place} cannot be used: {error.strerror or error}") from None


class Server:
    """The running process: doors over the house, and how they end."""

    def __init__(
        self,
        config: Config,
        log: Log,
        house: House,
        regions: dict[str, Region],
        keys: Mapping[str, ProviderKeys],
        parts: Parts,
        listeners: list[socket.socket],
    ) -> None:
        self.config = config
        self.log = log
        self.house = house
        self.regions = regions
        self.rings = parts.rings
        self.keys = keys
        self.records = RecordsOf(regions, log)
        self.links = LinksOf(regions, house.proxies, config.public_url)
        send = sender(parts, house.pool)
        self.hooks = hooks_of(config, regions, self.records, self.links, send, log)
        self.actors = Supervisor(log)
        self.erasers: dict[str, Eraser] = {}
        for name, region in regions.items():
            tail = "" if name == "us" else f"-{name}"
            self.actors.add(f"keys{tail}", KeyRingTask(self.rings.by_region[name]))
            self.actors.add(f"limits{tail}", region.limiter)
            self.actors.add(f"cache{tail}", region.cache)
            self.actors.add(f"provider-keys{tail}", keys[name])
            self.actors.add(f"wallet{tail}", region.wallet)
            for actor_name, actor in self.hooks.actors(name):
                self.actors.add(f"{actor_name}{tail}", actor)
            stores = StoresOf(region, self.rings.by_region[name], keys[name])
            self.erasers[name] = Eraser(stores)
            self.actors.add(f"deletions{tail}", self.erasers[name])
        self.sandbox = Sandbox()
        self.actors.add("sandbox", self.sandbox)
        self._add_exports(parts)
        self.listeners = listeners
        self.manager = NOBODY
        self.read_config: ReadConfig = lambda: config
        self.began_s = time.monotonic()
        self.ready = False
        self.accepting = trio.CancelScope()
        self.deaf = trio.Event()
        self.ending = trio.Event()  # for those whose replies have no end of their own
        self.parts = parts
        self.routing = parts.routing
        self.handle = told_whose(config, partial(handle, house=house))  # for both lanes
        services = services_of(self)
        self.operations = services.operations
        self.full = FullLane(
            AppOnDemand(services),
            handle=self.handle,
            route=self.route,
            write_s=config.deadlines.client_write_s,
            idle_s=config.deadlines.client_idle_s,
            body_sink=self.body_sink,
            body_bytes_max=config.body_bytes_max,
        )
        self.door = Door(
            handle=self.handle,
            route=self.route,
            full=self.full,
            body_sink=self.body_sink,
            deadlines=config.deadlines,
            body_bytes_max=config.body_bytes_max,
            connections_max=config.connections_max,
            log=log,
        )
        house.metrics.gauges.append(Gauges(self))

    def route(self, head: Head) -> Route:
        """The routing table, for both lanes."""
        first = head.first
        return route(
            RequestHead(head.method, head.target, first.get(b"host", b""), first), self.routing
        )

    def use_house(self) -> None:
        """Calls that come from now on are handled by the house as it is now."""
        self.handle = told_whose(self.config, partial(handle, house=self.house))
        self.door.handle = self.full.handle = self.handle

    def body_sink(self, region: str) -> RequestSink:
        """Where a request body that is read slowly goes."""
        return self.regions[region].request_sink()

    def _add_exports(self, parts: Parts) -> None:
        """Where finished calls are told of."""
        house = self.house
        for name, export in exports_of(self.config, self.regions, parts).items():
            self.actors.add("otlp" if name == "us" else f"otlp-{name}", export)
            house.metrics.gauges.append(partial(export.gauges, name))
        self.actors.add("posthog", house.posthog)
        house.metrics.gauges += [house.posthog.gauges, self.hooks.gauges]

    async def run(self, began_s: float) -> None:
        """Actors, then doors, then the signal; back in the opposite order."""
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
            async with trio.open_nursery() as actors:
                for region in self.regions.values():
                    await region.start(actors)
                await actors.start(self.actors.run)
                for region in self.regions.values():
                    actors.start_soon(settle_left, region, self.log)
                actors.start_soon(self._sweep_pool)
                actors.start_soon(self._rest)
                actors.start_soon(resident.keep_small)
                async with trio.open_nursery() as doors:
                    await self._open_doors(doors)
                    self._settle_down()
                    self._announce(began_s, await self._first_link())
                    self.manager.ready(self.url())
                    async with trio.open_nursery() as unused:
                        unused.start_soon(self._end_unused, unused.cancel_scope)
                        await self._until_told(signals)
                        unused.cancel_scope.cancel("told to end")
                    self.manager.stopping()
                    actors.start_soon(self._second_signal, signals)
                    await self.drain()
                    doors.cancel_scope.cancel()
                self.ready = False
                self.house.pool.close()
                await self.actors.close()
                for region in self.regions.values():
                    await region.close()
                await self.rings.close()
                actors.cancel_scope.cancel()

    async def _open_doors(self, doors: trio.Nursery) -> None:
        await doors.start(self.door.sweeper.run)
        commands = Commands(
            self.regions,
            self.rings,
            self.keys,
            maintenance.COMMANDS,
            partial(live_status, self),
            self.url,
            self.erase_soon,
            {**repricing.work(lambda: self.house.price), **dataset_work(self.rings)},
        ).table()
        for region in self.regions.values():
            path = region.directory / "control.sock"
            await doors.start(partial(serve_control, path, commands, on_bug=self.log.bug))
        doors.start_soon(self._accept, doors)
        self.ready = True

    async def _accept(self, doors: trio.Nursery) -> None:
        with self.accepting:
            async with trio.open_nursery() as nursery:
                for listener in self.listeners:
                    nursery.start_soon(self.door.serve_listener, listener, self.parts.tls, doors)
        self.deaf.set()

    def _settle_down(self) -> None:
        """What was made at the start stays: the collector need not look at it again, and looks
        seldom, since a full look stops the loop for tens of milliseconds. Not even once here: it
        would find a megabyte at most, while the first calls wait."""
        gc.freeze()
        gc.set_threshold(50_000, 20, 100)

    def erase_soon(self, region: str) -> None:
        """A deletion was asked for."""
        self.erasers[region].wake()

    def url(self) -> str:
        """Where clients reach it."""
        return server_url(self.config, self.listeners[0].getsockname()[1])

    async def _first_link(self) -> str:
        """Of the default region, while nobody has an account there; "" also where the key store
        cannot say so."""
        ring = self.rings.by_region[min(self.rings.by_region, key="us".__ne__)]
        try:
            return await ring.ask(first_link)
        except (Refusal, ValueError) as why:
            self.log.warning("first_link", reason=str(why))
            return ""

    def _announce(self, began_s: float, sign_in: str) -> None:
        port, url = self.listeners[0].getsockname()[1], self.url()
        if self.config.ready_file is not None:
            write_ready(self.config.ready_file, local_url(self.config, port))
        say(banner(self.config, url, sign_in))
        self.log.debug("ready", url=url, seconds=round(time.monotonic() - began_s, 3))

    async def _until_told(self, signals: AsyncIterator[int]) -> None:
        """SIGHUP reads configuration and files again. The first of the others is the end."""
        async for number in signals:
            if number != signal.SIGHUP:
                return
            self.manager.reloading()
            await reload(self)
            self.manager.ready(self.url())

    async def _end_unused(self, serving: trio.CancelScope) -> None:
        """A server of `run`s ends with the last of them, however that one ended."""
        if self.manager.lease is not None:
            await until_unused(self.manager.lease)
            serving.cancel("nobody uses it any more")

    async def _second_signal(self, signals: AsyncIterator[int]) -> None:
        """A second one exits at once, also while stores are flushed to a disk that hangs."""
        async for number in signals:
            if number != signal.SIGHUP:
                os._exit(1)

    async def drain(self) -> None:
        """Stop accepting; open replies get `grace_s`; then what is left is cut, and recorded."""
        self.ready = False
        self.accepting.cancel()
        await self.deaf.wait()  # told right after the start, it may not even have begun
        for listener in self.listeners:
            listener.close()
        self.ending.set()
        self.door.drain()
        await self.full.drain()
        with trio.move_on_after(self.config.grace_s):
            await self.door.emptied()

    async def _sweep_pool(self) -> None:
        while True:
            await trio.sleep(POOL_SWEEP_S)
            self.house.pool.sweep()

    async def _rest(self) -> None:
        """What readers left in the databases' memory goes, also while nothing comes in."""
        while True:
            await trio.sleep(REST_S)
            for region in self.regions.values():
                if (analytics := region.ingest.analytics) is not None:
                    await trio.to_thread.run_sync(analytics.rest)


def say(text: str) -> None:
    """To stdout, whose reader may have gone: that ends no server."""
    if sys.stdout is not None:
        with suppress(OSError):
            os.write(sys.stdout.fileno(), text.encode("utf-8", "backslashreplace"))


def hold_standard_descriptors() -> None:
    """Started without stdin, stdout or stderr, their numbers must not become those of our files:
    what is printed would land in the journal."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
