"""The response cache: hits beside misses of the same server, in turns. A miss is looked up like a
hit and then asked for, and never kept.
"""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from bench_report import Report, median
from bench_requests import EVERYTHING, OURS, Contender, Round, one_round, tell
from bench_rig import start_appliance, start_nginx

CONNECTIONS = 16
HIT = {**EVERYTHING, "Helicone-Cache-Enabled": "true"}
MISS = {**EVERYTHING, "Helicone-Cache-Read": "true", "Helicone-Cache-Seed": "never kept"}


def in_turns(folder: Path, args: Namespace, *contenders: Contender) -> dict[str, list[Round]]:
    """The rounds of each. One more before them, which does not count: warm caches."""
    rounds: dict[str, list[Round]] = {who.name: [] for who in contenders}
    for number in range(args.rounds + 1):
        for who in contenders:
            found = one_round(folder, who, args, CONNECTIONS, differing=False)
            if number:
                rounds[who.name].append(found)
    return rounds


def cache(folder: Path, args: Namespace, report: Report) -> None:
    report.heading(f"cache: hits and misses, {CONNECTIONS} connections")
    upstream = start_nginx(folder / "up")
    try:
        ours = start_appliance(folder / "ours", upstream.url, *args.option, plain=args.plain)
        try:
            rounds = in_turns(
                folder, args,
                Contender("hit", ours, OURS, ours.pid, HIT),
                Contender("miss", ours, OURS, ours.pid, MISS),
            )  # fmt: skip
        finally:
            ours.stop()
    finally:
        upstream.stop()
    tell(report, rounds)
    pairs = list(zip(rounds["hit"], rounds["miss"], strict=True))
    report.figure(
        "cache: requests/s of hits, of misses'",
        median(pairs, lambda pair: pair[0].load.per_s / pair[1].load.per_s), "x", at_least=1.5,
    )  # fmt: skip
    report.figure("cache: CPU of a hit", median(rounds["hit"], lambda r: r.cpu_us), "us")
    report.figure("cache: CPU of a miss", median(rounds["miss"], lambda r: r.cpu_us), "us")
    errors = sum(r.load.errors for found in rounds.values() for r in found)
    report.figure("cache: errors", errors, "", at_most=0)
