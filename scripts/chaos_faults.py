"""What chaos does to a server: kills, full and failing disks, leaps of the clock, bad providers."""

from __future__ import annotations

import os
import random
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from chaos_load import Weather

from storage.segment import segment_numbers
from tests.e2e.shop_kit import Shop
from tests.e2e.storage_kit import control, fill, injected, reasons
from tests.fakes.leaping_program import VARIABLE

SYNCS = "fsync,fdatasync"
WRITES = "write,pwrite64,pwritev"
NEXT_SEGMENTS = 12  # that are tried while one after the other fails
LEAPS_S = (-86_400, -3_600, -5, 2, 90, 7_200, 86_400)
AHEAD_MAX_S = 3 * 86_400
HEALTHY_WAIT_S = 120.0
DELETIONS = "deletions"
CALM_S = (0.3, 2.0)
STORM_S = (1.0, 4.0)


def wait_well(shop: Shop) -> None:
    """Until nothing is degraded but deletions: one that failed is tried again minutes later, and at
    the end they are waited for. Raises AssertionError after HEALTHY_WAIT_S."""
    until_s = time.monotonic() + HEALTHY_WAIT_S
    while told := {part: why for part, why in reasons(shop.appliance).items() if part != DELETIONS}:
        assert time.monotonic() < until_s, f"still degraded: {told}"
        time.sleep(0.05)


class Chaos:
    """Faults by a seed. Each method is one, and leaves a server that runs and is well again."""

    def __init__(self, shop: Shop, weather: Weather, seed: int) -> None:
        self.shop, self.weather = shop, weather
        self._random = random.Random(seed)
        self._windows = 0
        self._ahead_s = 0
        self.faults: dict[str, tuple[int, Callable[[], None]]] = {
            "kill -9": (5, self.kill),
            "SIGTERM": (2, self.stop),
            "clock": (3, self.leap),
            "provider": (3, self.storm),
            "roll": (1, self.roll),
        }
        if os.geteuid() == 0:
            self.faults["full disk"] = (2, self.full)
            self.faults["full disk, kill -9"] = (1, lambda: self.full(killed=True))
        if shutil.which("strace"):
            self.faults["EIO on fsync"] = (1, lambda: self.failing(SYNCS))
            self.faults["EIO on write"] = (1, lambda: self.failing(WRITES))
            self.faults["EIO, kill -9"] = (1, lambda: self.failing(WRITES, killed=True))
            self.faults["EIO everywhere"] = (1, lambda: self.failing(None))

    def next(self) -> str:
        """Let one happen; its name."""
        names = list(self.faults)
        (name,) = self._random.choices(names, [weight for weight, _ in self.faults.values()])
        self._pause(CALM_S)
        self.faults[name][1]()
        return name

    def kill(self) -> None:
        """Without a word, under load."""
        self.shop.appliance.kill()
        self.shop.appliance.start()

    def stop(self) -> None:
        """As an operator does. Raises AssertionError when it does not end well."""
        code = self.shop.appliance.stop()
        assert code == 0, f"ended with {code} after SIGTERM"
        self.shop.appliance.start()

    def leap(self) -> None:
        """The wall clock is set, back or ahead; once in a while with the process down."""
        wanted = self._ahead_s + self._random.choice(LEAPS_S)
        self._ahead_s = max(-AHEAD_MAX_S, min(AHEAD_MAX_S, wanted))
        self.shop.appliance.environ[VARIABLE] = str(self._ahead_s)
        if self._random.random() < 0.3:
            self.kill()
        else:
            self.shop.appliance.command("clock.set", ahead_s=self._ahead_s)

    def storm(self) -> None:
        """The provider fails in every way, half of the time."""
        self.weather.storm = True
        self._pause(STORM_S)
        self.weather.storm = False

    def roll(self) -> None:
        """All of the journal into the lake, and half of the time a kill in the middle."""
        if self._random.random() < 0.5:
            control(self.shop.appliance, "roll")
            return
        with ThreadPoolExecutor(1) as pool:
            rolling = pool.submit(control, self.shop.appliance, "roll")
            self._pause((0.0, 0.5))
            self.kill()
            rolling.exception()  # it was cut off, or had ended

    def full(self, *, killed: bool = False) -> None:
        """Not a byte is left on the disk for a while, nor in the reserve."""
        self._enter()
        data = self.shop.appliance.data
        filler = fill(data)
        self._pause(CALM_S)
        fill(data)
        self._pause(CALM_S)
        if killed:
            self.weather.lost.add(self.weather.window)
            self.kill()
            self._pause(CALM_S)
        filler.unlink()
        self._leave()

    def failing(self, calls: str | None, *, killed: bool = False) -> None:
        """The disk answers with errors: to the journal's files, or (None) to everything."""
        self._enter()
        named = calls or f"{SYNCS},{WRITES}"
        paths = self._segments() if calls else []
        with injected(self.shop.appliance.pid, f"{named}:error=EIO", *paths):
            self._pause(CALM_S)
            if killed:
                self.weather.lost.add(self.weather.window)
                self.shop.appliance.kill()
        if killed:
            self.shop.appliance.start()
        self._leave()

    def _segments(self) -> list[Path]:
        data = self.shop.appliance.data
        last = max(segment_numbers(data), default=1)
        numbers = range(max(1, last - 1), last + NEXT_SEGMENTS)
        return [data / "journal" / f"{n:08d}.{kind}" for n in numbers for kind in ("seg", "new")]

    def _enter(self) -> None:
        self._windows += 1
        self.weather.window = self._windows

    def _leave(self) -> None:
        wait_well(self.shop)
        self.weather.window = 0

    def _pause(self, between_s: tuple[float, float]) -> None:
        time.sleep(self._random.uniform(*between_s))
