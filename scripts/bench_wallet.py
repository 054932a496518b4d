"""Holds and settles as the pipeline makes them, on a real file: the wallet's CPU and its waits.

Needs neither nginx nor wrk: `python scripts/bench_wallet.py [--plain]` measures this alone. CPU is
that of the loop's thread; SQLite works in another one, so the commit is not in it.
"""

from __future__ import annotations

import gc
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

from bench_report import Report
from bench_rig import program

if TYPE_CHECKING:
    from appliance.actors.wallet import Wallet
    from appliance.core.ledger import Hold
    from appliance.core.ledger_book import Wanted

CALLS = 200  # at once
ROUNDS_BURST = 100
PROVIDER_S = 0.05
TURNS = 100  # of each call, one after the other without a pause
WORST_PICO = 50_000_000
COST_PICO = 40_000_000


def wallet(folder: Path, args: Namespace, report: Report) -> None:
    report.heading(f"wallet: {CALLS} holds at once on a real file")
    folder.mkdir(parents=True, exist_ok=True)
    _, environ = program(plain=args.plain)
    rounds = []
    for number in range(args.rounds):
        child = [sys.executable, __file__, "--measure", str(folder / str(number))]
        done = subprocess.run(child, env=environ, capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(done.stderr)
        rounds.append(json.loads(done.stdout))
        report.note(
            f"round {number + 1}: " + "  ".join(f"{k} {v:.4g}" for k, v in rounds[-1].items())
        )
    found = {name: statistics.median(one[name] for one in rounds) for name in rounds[0]}
    report.figure("hold + settle, CPU", found["cpu_us"], "us", at_most=20)
    report.figure(
        f"hold with its commit, {CALLS} held at a time, median", found["held_ms"], "ms", at_most=2
    )
    report.figure("the same, of a hundred the slowest", found["held_p99_ms"], "ms")
    report.figure(
        f"hold with its commit, {CALLS} in the same turn of the loop, median",
        found["median_ms"],
        "ms",
    )
    report.figure("the same, of a hundred the slowest", found["p99_ms"], "ms")
    report.figure("a hold by itself, median", found["alone_ms"], "ms")
    report.figure("fsync of as many bytes on this disk, median", found["fsync_ms"], "ms")
    report.figure(f"holds a second, {CALLS} calls without a pause", found["per_s"], "1/s")


# -- the process that measures


class Callers:
    """Two hundred callers of one wallet, and how long each waited for its hold."""

    def __init__(self, one: Wallet, wanted: Wanted) -> None:
        self._one = one
        self._wanted = wanted
        self.waits: list[float] = []
        self.held: list[Hold] = []

    async def _hold(self) -> Hold:
        began_s = time.perf_counter()
        hold = await self._one.hold(self._wanted)
        self.waits.append(time.perf_counter() - began_s)
        assert hold is not None
        return hold

    async def call(self, turns: int, *, settles: bool) -> None:
        for _ in range(turns):
            hold = await self._hold()
            if settles:
                self._one.settle(hold, COST_PICO)
            else:
                self.held.append(hold)

    async def provided(self, number: int) -> None:
        """A caller whose provider takes its time: the money is held meanwhile."""
        import trio

        chance = random.Random(number)
        await trio.sleep(chance.random() * PROVIDER_S)  # they did not all begin at once
        for _ in range(TURNS):
            hold = await self._hold()
            await trio.sleep(chance.uniform(0.5, 1.5) * PROVIDER_S)
            self._one.settle(hold, COST_PICO)

    async def together(self, work: Callable[[int], Awaitable[None]]) -> list[float]:
        """All at once; what they waited, in milliseconds."""
        import trio

        self.waits.clear()
        async with trio.open_nursery() as nursery:
            for number in range(CALLS):
                nursery.start_soon(work, number)
        return [wait_s * 1e3 for wait_s in self.waits]

    async def bursts(self) -> list[float]:
        """Holds in one turn of the loop, again and again."""
        waited = []
        for _ in range(ROUNDS_BURST):
            waited += await self.together(lambda _: self.call(1, settles=False))
            while self.held:
                self._one.settle(self.held.pop(), COST_PICO)
            await self._one.stored()
        return waited


async def measure(folder: Path) -> dict[str, float]:
    import trio

    from appliance.actors.wallet import Wallet
    from appliance.actors.wallet_desk import WalletDesk
    from appliance.core.budgets import Spender
    from appliance.core.ledger_book import Wanted
    from appliance.core.worst_case import HoldSize
    from storage.ledger import LedgerStore

    org = b"\x01" * 16
    size = HoldSize(WORST_PICO, WORST_PICO, COST_PICO // 4)
    one = Wallet(lambda: LedgerStore.open(folder / "state.sqlite"))
    callers = Callers(one, Wanted(org, size, True, Spender("key"), "openai", "gpt-4o"))
    async with trio.open_nursery() as nursery:
        await nursery.start(one.run)
        await WalletDesk(one).top_up(org, 10**18, "all of it")
        await callers.together(lambda _: callers.call(5, settles=True))  # warm
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 100)  # as a server does (process.py)
        found = await _measured(callers)
        one.close()
    assert one.failures == 0
    assert not one.book.ledger.holds
    found["fsync_ms"] = fsync_ms(folder / "bytes")
    return found


async def _measured(callers: Callers) -> dict[str, float]:
    callers.waits.clear()
    await callers.call(CALLS, settles=True)
    found = {"alone_ms": statistics.median(callers.waits) * 1e3}
    for name, waited in (
        ("", await callers.bursts()),
        ("held_", await callers.together(callers.provided)),
    ):
        found[f"{name or 'median_'}ms"] = statistics.median(waited)
        found[f"{name}p99_ms"] = statistics.quantiles(waited, n=100)[98]
    began_s, cpu_s = time.perf_counter(), time.thread_time()
    await callers.together(lambda _: callers.call(TURNS, settles=True))
    done = CALLS * TURNS
    found["cpu_us"] = (time.thread_time() - cpu_s) / done * 1e6
    found["per_s"] = done / (time.perf_counter() - began_s)
    return found


def fsync_ms(path: Path) -> float:
    """What the disk itself takes, written over as the journal of SQLite is."""
    data, times = b"x" * 40_000, []
    with path.open("wb", buffering=0) as file:
        file.write(data * ROUNDS_BURST)
        os.fsync(file.fileno())
        for number in range(ROUNDS_BURST):
            file.seek(number * len(data))
            file.write(data)
            began_s = time.perf_counter()
            os.fdatasync(file.fileno())
            times.append(time.perf_counter() - began_s)
    return statistics.median(times) * 1e3


def main() -> int:
    parser = ArgumentParser(prog="scripts/bench_wallet.py", description=__doc__)
    parser.add_argument("--measure", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--plain", action="store_true")
    args = parser.parse_args()
    if args.measure is not None:
        import trio

        args.measure.mkdir(parents=True)
        print(json.dumps(trio.run(measure, args.measure)))
        return 0
    report = Report()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        wallet(Path(folder), args, report)
    return 1 if report.table() else 0


if __name__ == "__main__":
    sys.exit(main())
