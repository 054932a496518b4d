"""What user SQL costs the proxy: its p99 alone, and while two queries run all the time.

`python scripts/bench_hql.py [--exchanges N] [--rounds N] [--plain]`. Rounds with and without load
take turns; the medians and their quotient are told at the end, and also how long a few usual
queries take.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from statistics import median

from bench_rig import Load, quiet, run_wrk, start_appliance, start_nginx
from compiled import ROOT

ROUND_S = 5.0
CONNECTIONS = 4
QUOTIENT_MAX = 2.0
# What loads a core for as long as it may, memory too, and what reads all that was recorded.
HEAVY = (
    "SELECT count(*) FROM range(1000000) AS a(x), range(1000000) AS b(y) WHERE hash(x + y) = 7",
    "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SELECT count(*) FROM t",
    "SELECT user_id, model, sum(cost), quantile(0.95)(latency) FROM request_response_rmt"
    " GROUP BY 1, 2 ORDER BY 3 DESC LIMIT 100",
    "SELECT count() FROM request_response_rmt WHERE response_body LIKE '%benchmark%'",
    "SELECT repeat('x', 1500000000)",
)
USUAL = {
    "count": "SELECT count() FROM request_response_rmt",
    "cost by model": "SELECT model, sum(cost) FROM request_response_rmt GROUP BY model",
    "cost by day": "SELECT toStartOfDay(request_created_at) AS day, sum(cost)"
    " FROM request_response_rmt GROUP BY day ORDER BY day",
    "one property": "SELECT count() FROM request_response_rmt WHERE properties['env'] = 'x'",
    "newest, with bodies": "SELECT * FROM request_response_rmt"
    " ORDER BY request_created_at DESC LIMIT 20",
    "text of bodies": "SELECT count() FROM request_response_rmt WHERE response_body LIKE '%zzz%'",
}


def ask(url: str, sql: str) -> int:
    """The status."""
    request = urllib.request.Request(
        url + "/v1/helicone-sql/execute", json.dumps({"sql": sql}).encode(),
        {"Content-Type": "application/json"},
    )  # fmt: skip
    try:
        with urllib.request.urlopen(request, timeout=60) as reply:
            reply.read()
            return int(reply.status)
    except urllib.error.HTTPError as error:
        error.read()
        return error.code


class Queries:
    """Two callers, each with one heavy query after another, paced below what a minute allows."""

    def __init__(self, url: str) -> None:
        self.statuses: list[int] = []
        self._url = url
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(n,)) for n in range(2)]

    def __enter__(self) -> Queries:
        for thread in self._threads:
            thread.start()
        time.sleep(2)
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _run(self, number: int) -> None:
        while not self._ended.is_set():
            began_s = time.monotonic()
            self.statuses.append(ask(self._url, HEAVY[number % len(HEAVY)]))
            number += 1
            self._ended.wait(max(0.0, 1.4 - (time.monotonic() - began_s)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--exchanges", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--plain", action="store_true", help="the sources, not compiled")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fill = [str(ROOT / "scripts" / "fill"), str(args.exchanges), str(folder / "data")]
        with open(os.devnull, "wb") as nothing:
            subprocess.run(fill, check=True, stderr=nothing)
        upstream = start_nginx(folder / "up")
        server = start_appliance(folder, upstream.url, plain=args.plain)
        try:
            quiet(server.pid, limit_s=600)
            tell_usual(server.url)
            measure(folder, server.url, args.rounds)
        finally:
            server.stop()
            upstream.stop()


def tell_usual(url: str) -> None:
    for name, sql in USUAL.items():
        times = []
        for _ in range(3):
            began_s = time.monotonic()
            status = ask(url, sql)
            times.append(time.monotonic() - began_s)
        print(f"{name:>20}: {min(times) * 1000:7.0f} ms at best, {max(times) * 1000:.0f} at worst"
              f", status {status}", flush=True)  # fmt: skip


def measure(folder: Path, url: str, rounds: int) -> None:
    alone: list[Load] = []
    beside: list[Load] = []
    for _ in range(rounds):
        alone.append(one_round(folder, url))
        with Queries(url) as queries:
            beside.append(one_round(folder, url))
        print(f"alone p99 {alone[-1].p99_ms:.2f} ms, {alone[-1].per_s:.0f} req/s; with queries"
              f" {beside[-1].p99_ms:.2f} ms, {beside[-1].per_s:.0f} req/s"
              f" ({queries.statuses})", flush=True)  # fmt: skip
    before, after = (median(load.p99_ms for load in loads) for loads in (alone, beside))
    held = "held" if after <= before * QUOTIENT_MAX else "MISSED"
    print(f"p99 {before:.2f} ms alone, {after:.2f} ms with queries: {after / before:.2f} x,"
          f" goal {QUOTIENT_MAX:g} x: {held}")  # fmt: skip
    assert not sum(load.errors for load in (*alone, *beside)), "calls failed"


def one_round(folder: Path, url: str) -> Load:
    return run_wrk(
        folder, url + "/v1/chat/completions", connections=CONNECTIONS, seconds=ROUND_S, headers={}
    )


if __name__ == "__main__":
    main()
