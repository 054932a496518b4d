"""The REST API over a million exchanges, hot and cold: lists by each filter, text in bodies,
figures of 30 days, sessions; and the same while the proxy serves at half its top speed.
"""

from __future__ import annotations

import http.client
import json
import shutil
import threading
import time
from argparse import Namespace
from pathlib import Path
from statistics import mean, median
from typing import Any

from bench_memory import started
from bench_million import CATCH_UP_S, RESTED_S, control, fill, ingest_offline
from bench_report import Report
from bench_requests import OURS
from bench_rig import Running, quiet, run_wrk, start_nginx

Question = tuple[str, dict[str, Any]]

TRIES = 5
CONNECTIONS = 16
# At half the speed each caller thinks between two calls: with so many, the speed is what is asked
# for, and not what a round trip leaves of it.
THINKING = 128
LIST = "/v1/request/query-clickhouse"
SPAN = {"start": "2026-09-01T00:00:00Z", "end": "2026-10-01T00:00:00Z"}
DAYS = {"filter": "all", "timeFilter": SPAN, "dbIncrement": "day"}
FILTERS: dict[str, dict[str, Any]] = {
    "model": {"equals": "gpt-4o"},
    "user_id": {"equals": "user-17"},
    "status": {"gte": 500},
    "latency": {"gt": 5000},
    "cost": {"gt": 0.05},
    "total_tokens": {"gt": 3000},
    "request_created_at": {"gte": "2026-09-29T00:00:00Z"},
    "target_url": {"contains": "anthropic"},
    "properties": {"feature": {"equals": "chat"}},
    "cached": {"equals": True},
}
FIGURES = (
    "summary", "requestOverTime", "costOverTime", "tokensOverTime", "latencyOverTime",
    "usersOverTime", "errorOverTime", "requestStatusOverTime", "quantiles", "models",
)  # fmt: skip


def rest(folder: Path, args: Namespace, report: Report) -> None:
    report.heading(f"REST over {args.exchanges:,} exchanges")
    data = folder / "data"
    folder.mkdir(parents=True)
    made = args.filled or data
    if not made.exists():
        fill(made, args.exchanges, report)
        ingest_offline(made, args, report)
    if made != data:
        shutil.copytree(made, data, ignore=shutil.ignore_patterns("*.sock"))
    upstream = start_nginx(folder / "up")
    try:
        server, _ = started(folder / "ours", upstream.url, args, data)
        try:
            tell(server, report, "hot")
            quiet(server.pid, for_s=RESTED_S, limit_s=CATCH_UP_S, busy_us=40_000)
            control(data, "roll", region="us")
            tell(server, report, "cold")
            under_load(folder, server, args, report)
        finally:
            server.kill()
    finally:
        upstream.stop()


def ask(server: Running, path: str, body: dict[str, Any]) -> float:
    """Seconds for one answer, which must be a good one."""
    host = server.url.removeprefix("http://")
    connection = http.client.HTTPConnection(host, timeout=60)
    began_s = time.monotonic()
    connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
    reply = connection.getresponse()
    text = reply.read()
    took_s = time.monotonic() - began_s
    connection.close()
    if reply.status != 200:
        raise SystemExit(f"{path} answered {reply.status}: {text[:300]!r}")
    return took_s


def medians_ms(server: Running, asked: dict[str, Question]) -> dict[str, float]:
    """The median of some tries of each, in milliseconds."""
    found = {}
    for name, (path, body) in asked.items():
        times = sorted(ask(server, path, body) for _ in range(TRIES))
        found[name] = times[TRIES // 2] * 1000
    return found


def questions() -> dict[str, dict[str, Question]]:
    """By goal."""
    lists = {
        name: (LIST, {"filter": {"request_response_rmt": {name: leaf}}, "limit": 25})
        for name, leaf in FILTERS.items()
    }
    body = {"filter": {"request_response_rmt": {"response_body": {"contains": "zebra"}}}}
    return {
        "first page": {"all": (LIST, {"filter": "all", "limit": 25}), **lists},
        "text in bodies": {"contains": (LIST, {**body, "limit": 25})},
        "figures of 30 days": {name: (f"/v1/metrics/{name}", DAYS) for name in FIGURES},
        "session list": {
            "query": ("/v1/session/query", {"search": "", "filter": "all", "limit": 50}),
            "search": ("/v1/session/query", {"search": "plan", "filter": "all", "limit": 50}),
        },
    }


GOALS_MS = {
    "first page": 150.0, "text in bodies": 2000.0, "figures of 30 days": 500.0,
    "session list": 500.0,
}  # fmt: skip


def tell(server: Running, report: Report, which: str) -> None:
    for name, asked in questions().items():
        found = medians_ms(server, asked)
        report.note(", ".join(f"{one} {took:.0f}" for one, took in found.items()) + " ms")
        worst = max(found.values())
        report.figure(f"{name}, the slowest, {which}", worst, "ms", at_most=GOALS_MS[name])


def under_load(folder: Path, server: Running, args: Namespace, report: Report) -> None:
    """Half of the proxy's top speed, alone and beside somebody who asks all the time."""
    url = server.url + OURS

    def load(pause_ms: float) -> float:
        return run_wrk(
            folder, url, connections=THINKING if pause_ms else CONNECTIONS, seconds=args.seconds,
            headers={}, pause_ms=pause_ms,
        ).per_s  # fmt: skip

    top = load(0)
    pause_ms = THINKING / (top / 2) * 1000
    alone = load(pause_ms)
    took: dict[tuple[str, str], list[float]] = {}

    def ask_on() -> None:
        for _ in range(TRIES):
            for name, asked in questions().items():
                for one, (path, body) in asked.items():
                    took.setdefault((name, one), []).append(ask(server, path, body) * 1000)

    # As long as it takes to ask everything as often as where nobody else calls.
    asking = threading.Thread(target=ask_on)
    asking.start()
    rounds = []
    while asking.is_alive():
        rounds.append(load(pause_ms))
    beside = mean(rounds)
    report.note(
        f"top {top:,.0f}/s; half of it alone {alone:,.0f}/s, beside queries {beside:,.0f}/s"
    )
    report.figure("of the proxy's half speed kept beside queries", beside / alone, "", at_least=0.9)
    for name, goal in GOALS_MS.items():
        tries = [times for (of, _), times in took.items() if of == name]
        slowest = max(median(times) for times in tries)
        report.note(f"{name}: the slowest by the median of its tries {slowest:,.0f} ms")
        worst = max(max(times) for times in tries)
        report.figure(f"{name}, the slowest, beside the proxy", worst, "ms", at_most=goal)
