"""A real server under a mixed load while, by a seed, everything goes wrong: kill -9, SIGTERM, a
full disk, a disk that fails, leaps of the clock, a bad provider, rolls that are cut off. Then the
books are checked: `verify`; every call that a client saw finished is on record once, with its
bodies; edits are there and what was deleted is not; what was paid in is what is left and spent.

Exit code 1 with the seed and each line that does not hold. Small disks need root, failing ones
strace; without them these faults are left out, and it says so.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, nullcontext
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from chaos_books import Books, merged, still_readable, verified, wait_deleted, wallet
from chaos_faults import Chaos, wait_well
from chaos_load import Weather, Worker

from tests.e2e.shop_kit import Shop
from tests.e2e.storage_kit import small_disk
from tests.fakes.provider import Provider

WORKERS = 8
TOP_UP = "1000"
DISK_MIB = 512
DISK_MIB_PER_MINUTE = 128
IDLE_WAIT_S = 60.0
PROGRAM = "tests.fakes.leaping_program"
FAULTS_PER_CHECK = 8


def main() -> int:
    """Parse, run, tell. 0 when all holds."""
    parser = argparse.ArgumentParser(
        prog="scripts/chaos", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    add = parser.add_argument
    add("--seed", type=int, help="of the faults and of the calls (default: a new one)")
    add("--minutes", type=float, default=5.0, help="how long (default 5)")
    args = parser.parse_args()
    seed = args.seed if args.seed is not None else int.from_bytes(os.urandom(4), "big")
    print(f"seed {seed}", flush=True)
    directory = Path(tempfile.mkdtemp(prefix="chaos-"))
    lines = run(directory, seed, args.minutes)
    for line in lines:
        print(f"seed {seed}: {line}")
    if lines:
        print(f"the server's log: {directory}/log.txt, its directory: {directory}/kept")
        return 1
    shutil.rmtree(directory)
    print(f"seed {seed}: all books hold")
    return 0


def run(directory: Path, seed: int, minutes: float) -> list[str]:
    """A whole run; the lines that do not hold."""
    choose = random.Random(seed)
    sealed = choose.random() < 0.5
    environ = {"HELICONE_APPLIANCE_MASTER_KEY": f"a passphrase of run {seed}"} if sealed else {}
    data = directory / "data"
    size = DISK_MIB + int(DISK_MIB_PER_MINUTE * minutes)
    with ExitStack() as stack:
        provider = stack.enter_context(Provider())
        stack.enter_context(small_disk(data, size) if os.geteuid() == 0 else nullcontext())
        shop = Shop(directory, provider, program=PROGRAM, environ=environ)
        print(f"{'sealed' if sealed else 'plain'} directory of {size} MiB", flush=True)
        lines = ["it did not come to the end"]
        try:
            lines = Run(shop, choose, minutes).lines()
        finally:
            if shop.appliance.running:
                shop.appliance.kill()
            if lines:  # the disk goes with this run
                shutil.copytree(data, directory / "kept", ignore=shutil.ignore_patterns("*.sock"))
        return lines


class Run:
    """Load and faults until the time is over, with looks at the books on the way."""

    def __init__(self, shop: Shop, choose: random.Random, minutes: float) -> None:
        self.shop = shop
        self.weather = Weather()
        self.chaos = Chaos(shop, self.weather, choose.getrandbits(32))
        self.workers = [Worker(shop, self.weather, choose.getrandbits(32)) for _ in range(WORKERS)]
        self.ends_s = time.monotonic() + minutes * 60

    def lines(self) -> list[str]:
        """Ends with the first look at the books that finds something."""
        shop = self.shop
        for times in range(2):
            told = shop.top_up(TOP_UP, "paid once")
            assert told["counted"] is (times == 0), told
        for worker in self.workers:
            worker.start()
        try:
            found: list[str] = []
            while time.monotonic() < self.ends_s and not found:
                found = self._some()
        except AssertionError as error:
            found = [f"{error or 'an assertion'}: {shop.appliance.log[-2000:]}"]
        finally:
            self.weather.ended = True
            self.weather.go.set()
        return found or self._at_the_end()

    def _some(self) -> list[str]:
        """A few faults, then a look."""
        self.weather.go.set()
        names = []
        while time.monotonic() < self.ends_s and len(names) < FAULTS_PER_CHECK:
            names.append(self.chaos.next())
        self.weather.go.clear()
        self._wait_idle()
        wait_well(self.shop)
        self.shop.provider.clear()
        seen = merged(worker.seen for worker in self.workers)
        print(f"{len(seen.calls):6d} calls  {', '.join(names)}", flush=True)
        return [
            *Books(self.shop, seen, self.weather).differences(deleted=False),
            *wallet(self.shop, seen, self.weather),
        ]

    def _wait_idle(self) -> None:
        until_s = time.monotonic() + IDLE_WAIT_S
        while not all(worker.idle for worker in self.workers):
            assert time.monotonic() < until_s, "a call does not end"
            time.sleep(0.01)

    def _at_the_end(self) -> list[str]:
        """Stopped, verified, and once more from a server that has read it all anew."""
        seen = merged(worker.seen for worker in self.workers)
        self.shop.appliance.restart()  # a deletion that waits is tried at once by a new server
        print("at the end", flush=True)
        return [*wait_deleted(self.shop), *self._stopped(), *verified(self.shop), *self._again(),
                *self._log(), *still_readable(self.shop, seen)]  # fmt: skip

    def _stopped(self) -> Iterator[str]:
        code = self.shop.appliance.stop()
        if code != 0:
            yield f"ended with {code} after SIGTERM"

    def _again(self) -> Iterator[str]:
        seen = merged(worker.seen for worker in self.workers)
        self.shop.appliance.start()
        yield from Books(self.shop, seen, self.weather).differences()
        yield from wallet(self.shop, seen, self.weather)
        yield from self._stopped()

    def _log(self) -> Iterator[str]:
        if "Traceback" in self.shop.appliance.log:
            _, _, rest = self.shop.appliance.log.partition("Traceback")
            yield f"a Traceback in the log: {rest[:2000]}"


if __name__ == "__main__":
    sys.exit(main())
