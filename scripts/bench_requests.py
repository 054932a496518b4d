"""Whole replies: nginx alone, nginx proxy_pass, and the appliance with everything on, in turns."""

from __future__ import annotations

from argparse import Namespace
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bench_report import Report, median
from bench_rig import (
    CHAT_REQUEST,
    Load,
    Running,
    certificate,
    cpu_us,
    nginx_worker,
    own_us,
    quiet,
    run_wrk,
    start_appliance,
    start_nginx,
)

DIRECT, OURS = "/v1/chat/completions", "/v1/gateway/oai/v1/chat/completions"
EVERYTHING = {
    "Helicone-User-Id": "user-17",
    "Helicone-Property-Tenant": "acme",
    "Helicone-Property-Feature": "search",
}


@dataclass(frozen=True)
class Contender:
    """Who answers, and the process whose CPU counts."""

    name: str
    server: Running
    path: str
    pid: int
    headers: dict[str, str]


@dataclass(frozen=True)
class Round:
    load: Load
    cpu_us: float  # per request
    own_us: float  # of it, what helper processes have no part in


def line_up(folder: Path, args: Namespace, *, tls: bool = False) -> list[Contender]:
    """Upstream, floor and appliance, started."""
    pair, provider = None, ""
    if tls:
        pair, authority = certificate(folder)
        provider = f'ca_file = "{authority}"\n'
    with ExitStack() as stack:  # what was started ends when the next does not start
        upstream = start_nginx(folder / "up", tls=pair)
        stack.callback(upstream.stop)
        floor = start_nginx(folder / "floor", proxy_to=upstream.url)
        stack.callback(floor.stop)
        ours = start_appliance(
            folder / "ours", upstream.url, *args.option, plain=args.plain, provider=provider
        )
        stack.pop_all()
    return [
        Contender("upstream alone", upstream, DIRECT, nginx_worker(upstream.pid), {}),
        Contender("nginx proxy_pass", floor, DIRECT, nginx_worker(floor.pid), {}),
        Contender("appliance", ours, OURS, ours.pid, EVERYTHING),
    ]


def one_round(
    folder: Path,
    who: Contender,
    args: Namespace,
    connections: int,
    *,
    differing: bool,
    body: str = CHAT_REQUEST,
) -> Round:
    before, own_before = cpu_us(who.pid), own_us(who.pid)
    load = run_wrk(
        folder,
        who.server.url + who.path,
        connections=connections,
        seconds=args.seconds,
        headers=who.headers,
        differing=differing,
        body=body,
    )
    quiet(who.pid)
    requests = max(1, load.requests)
    return Round(
        load, (cpu_us(who.pid) - before) / requests, (own_us(who.pid) - own_before) / requests
    )


def measured(
    folder: Path,
    args: Namespace,
    connections: int,
    *,
    tls: bool = False,
    differing: bool = False,
) -> dict[str, list[Round]]:
    """The rounds of each contender. One more before them, which does not count: warm caches."""
    contenders = line_up(folder, args, tls=tls)
    rounds: dict[str, list[Round]] = {who.name: [] for who in contenders}
    try:
        for number in range(args.rounds + 1):
            for who in contenders:
                found = one_round(folder, who, args, connections, differing=differing)
                if number:
                    rounds[who.name].append(found)
    finally:
        for who in contenders:
            who.server.stop()
    return rounds


def tell(report: Report, rounds: dict[str, list[Round]]) -> None:
    report.note(f"{'median of the rounds':20s}    req/s   p50 ms   p99 ms  CPU us/req  errors")
    for name, found in rounds.items():
        report.note(
            f"{name:20s} {median(found, lambda r: r.load.per_s):8,.0f}"
            f" {median(found, lambda r: r.load.p50_ms):8.3f}"
            f" {median(found, lambda r: r.load.p99_ms):8.3f}"
            f" {median(found, lambda r: r.cpu_us):11.1f}"
            f" {sum(r.load.errors for r in found):7d}"
        )


def ratio(rounds: dict[str, list[Round]]) -> float:
    """Of requests per second, round by round: noise that lasts hits both."""
    pairs = list(zip(rounds["appliance"], rounds["nginx proxy_pass"], strict=True))
    return median(pairs, lambda pair: pair[0].load.per_s / pair[1].load.per_s)


def crowd(folder: Path, args: Namespace, report: Report, title: str, **how: bool) -> None:
    report.heading(f"{title}: 16 connections")
    rounds = measured(folder, args, 16, **how)
    tell(report, rounds)
    ours = rounds["appliance"]
    report.figure(f"{title}: requests/s", median(ours, lambda r: r.load.per_s), "/s")
    goals = {} if how.get("tls") else {"at_least": 0.20}
    report.figure(f"{title}: of nginx's proxy_pass", ratio(rounds), "x", **goals)
    goals = {} if how.get("tls") else {"at_most": 150.0}
    report.figure(
        f"{title}: CPU per request, helpers too", median(ours, lambda r: r.cpu_us), "us", **goals
    )
    report.figure(f"{title}: median", median(ours, lambda r: r.load.p50_ms), "ms")
    report.figure(f"{title}: 99th percentile", median(ours, lambda r: r.load.p99_ms), "ms")
    report.figure(
        f"{title}: errors", sum(r.load.errors for r in ours), "", at_most=0
    )  # a server that refuses is quick


def main_line(folder: Path, args: Namespace, report: Report) -> None:
    crowd(folder, args, report, "same heads")


def heads(folder: Path, args: Namespace, report: Report) -> None:
    crowd(folder, args, report, "differing heads", differing=True)


def tls(folder: Path, args: Namespace, report: Report) -> None:
    crowd(folder, args, report, "TLS upstream", tls=True)


def single(folder: Path, args: Namespace, report: Report) -> None:
    report.heading("one connection")
    rounds = measured(folder, args, 1)
    tell(report, rounds)
    ours, direct = rounds["appliance"], rounds["upstream alone"]
    added = median(
        list(zip(ours, direct, strict=True)),
        lambda pair: pair[0].load.p50_ms - pair[1].load.p50_ms,
    )
    report.figure("one connection: median added to direct", added, "ms", at_most=0.3)
    report.figure(
        "one connection: 99th percentile", median(ours, lambda r: r.load.p99_ms), "ms", at_most=5
    )
