"""The benchmark, side by side with nginx: figures that the program has to show, and others.

Needs nginx and wrk. Everything runs on loopback; what is compared is interleaved in one run. CPU of
the appliance counts its helper processes. On a busy machine trust that figure and the ratios.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import bench_cache
import bench_gateway
import bench_limits
import bench_memory
import bench_million
import bench_requests
import bench_rest
import bench_stream
import bench_wallet
from bench_report import Report

Part = Callable[[Path, argparse.Namespace, Report], None]
PARTS: dict[str, tuple[Part, str]] = {
    "requests": (bench_requests.main_line, "16 connections, all heads the same"),
    "heads": (bench_requests.heads, "16 connections, each head another"),
    "single": (bench_requests.single, "1 connection: latency added to direct"),
    "tls": (bench_requests.tls, "16 connections, the upstream speaks TLS"),
    "gateway": (bench_gateway.gateway, "16 connections, chat translated to Anthropic"),
    "paced": (bench_stream.paced, "16 streams of 50 chunks, 2 ms apart"),
    "unpaced": (bench_stream.unpaced, "16 streams, chunks as fast as they go"),
    "cache": (bench_cache.cache, "hits of the response cache beside misses"),
    "limits": (bench_limits.limits, "limit, cache miss and stored key, on and off"),
    "wallet": (bench_wallet.wallet, "holds and settles, 200 at once, on a real file"),
    "memory": (bench_memory.fresh, "start, memory over --requests, idle connections"),
    "million": (bench_million.million, "the same on 1,000,000 exchanges after a kill; group-by"),
    "rest": (bench_rest.rest, "the REST API over as many, alone and beside the proxy"),
}


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="parts:\n" + "\n".join(f"  {name:10s}{words}" for name, (_, words) in PARTS.items()),
    )
    add = parser.add_argument
    add("parts", nargs="*", metavar="part", help="which parts, in their order; all without any")
    add("--rounds", type=int, default=5, help="rounds whose median counts (default 5)")
    add("--seconds", type=float, default=4, help="length of a round (default 4)")
    add("--plain", action="store_true", help="the sources as they are, not compiled")
    add("--requests", type=int, default=200_000, help="between two looks at memory, three times")
    add("--exchanges", type=int, default=1_000_000, help="of the part `million`")
    add("--filled", type=Path, help="directory that `million` makes, or finds there and copies")
    add("--option", action="append", default=[], help="passed on to serve, as --option=--x=y")
    args = parser.parse_args()
    if unknown := set(args.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    report = Report()
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        for name, (part, _) in PARTS.items():
            if name in args.parts or not args.parts:
                part(folder / name, args, report)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 1 if report.table() else 0


if __name__ == "__main__":
    sys.exit(main())
