"""A limit, a cache lookup that misses and a stored provider key: what they cost together, beside
calls of the same server without them. And the limiter's check alone.

`python scripts/bench_limits.py` measures the latter in a process of its own, on what PYTHONPATH
names, and prints microseconds.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from argparse import Namespace
from pathlib import Path

from bench_cache import in_turns
from bench_report import Report, median
from bench_requests import EVERYTHING, OURS, Contender, tell
from bench_rig import Running, program, start_appliance, start_nginx

ON = {
    **EVERYTHING,
    "Authorization": "Bearer sk-helicone-aaaaaaa-bbbbbbb-ccccccc-ddddddd",
    "Helicone-RateLimit-Policy": "1000000000;w=3600;s=user",
    "Helicone-Cache-Read": "true",
}
CHECKS = 200_000
USERS = 500


def limits(folder: Path, args: Namespace, report: Report) -> None:
    report.heading("limit, cache miss and stored key: 16 connections")
    upstream = start_nginx(folder / "up")
    try:
        ours = start_appliance(folder / "ours", upstream.url, *args.option, plain=args.plain)
        try:
            store_key(folder / "ours", ours, args)
            rounds = in_turns(
                folder, args,
                Contender("without", ours, OURS, ours.pid, EVERYTHING),
                Contender("with all three", ours, OURS, ours.pid, ON),
            )  # fmt: skip
        finally:
            ours.stop()
    finally:
        upstream.stop()
    tell(report, rounds)
    pairs = list(zip(rounds["with all three"], rounds["without"], strict=True))
    # Rows are the same with and without; what helpers do for them falls into either's rounds.
    report.figure(
        "limit, cache miss, stored key: CPU more per request, helpers apart",
        median(pairs, lambda pair: pair[0].own_us - pair[1].own_us), "us", at_most=50,
    )  # fmt: skip
    errors = sum(r.load.errors for found in rounds.values() for r in found)
    report.figure("limit, cache miss, stored key: errors", errors, "", at_most=0)
    _, environ = program(plain=args.plain)
    told = subprocess.run(
        [sys.executable, __file__], env=environ, capture_output=True, text=True, check=True
    ).stdout
    report.figure("limiter: one check", float(told), "us", at_most=5)


def store_key(folder: Path, ours: Running, args: Namespace) -> None:
    """A provider's key for the default organisation, through the running server."""
    command, environ = program(plain=args.plain)
    assert ours.process.poll() is None
    subprocess.run(
        [
            *command, "provider-keys", "add", "openai", "--data-dir", str(folder / "data"),
            "--config", str(folder / "bench.toml"),
        ],
        input="sk-stored-0123456789abcdef\n", text=True, env=environ, cwd=folder, check=True,
        stdout=subprocess.DEVNULL,
    )  # fmt: skip


def check_us() -> float:
    """Key and check of one request, as the pipeline asks for them, over many users; the least of
    five rounds, as others use the machine."""
    from appliance.actors.rate_limiter import RateLimiter
    from appliance.core.rate_policy import parse_policy

    org, nothing = b"o" * 16, dict[str, str]()
    policy = parse_policy("1000000000;w=3600;s=user")
    users = [f"user-{number}" for number in range(USERS)]
    with tempfile.TemporaryDirectory() as folder:
        limiter = RateLimiter(Path(folder), b"s" * 32)
        best_s = float("inf")
        for _ in range(5):
            began_s = time.process_time()
            for number in range(CHECKS):
                key = limiter.key(org, policy, users[number % USERS], nothing)
                assert key is not None
                limiter.check(key, policy, time.time_ns() // 1000)
            best_s = min(best_s, time.process_time() - began_s)
    return best_s / CHECKS * 1e6


if __name__ == "__main__":
    print(check_us())
