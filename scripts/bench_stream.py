"""Streams: CPU and delay of each relayed chunk at a provider's pace, and how many chunks go through
without one. Direct, through nginx and through the appliance, interleaved.
"""

from __future__ import annotations

import re
import select
import socket
import statistics
import subprocess
import sys
import time
from argparse import Namespace
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bench_report import Report, median
from bench_requests import DIRECT, EVERYTHING, OURS
from bench_rig import (
    CHAT_REQUEST,
    Running,
    cpu_us,
    free_port,
    nginx_worker,
    quiet,
    run_wrk,
    start_appliance,
    start_nginx,
    wait_port,
)

STREAMS = 16
PACED_CHUNKS, PACE_MS = 50, 2.0
UNPACED_CHUNKS = 500
SENT = re.compile(rb'" at-(\d+)"')
OWN_KEY = {"Authorization": "Bearer sk-provider-0123456789abcdef"}
LAST = b"\r\n0\r\n\r\n"


@dataclass(frozen=True)
class Round:
    chunks: int
    seconds: float
    cpu_us: float  # per chunk
    transit_ms: tuple[float, ...] = ()

    @property
    def per_s(self) -> float:
        return self.chunks / self.seconds

    @property
    def median_ms(self) -> float:
        return statistics.median(self.transit_ms)

    @property
    def p99_ms(self) -> float:
        return statistics.quantiles(self.transit_ms, n=100)[98]


def start_upstream(chunks: int, pace_ms: float) -> Running:
    port = free_port()
    program = Path(__file__).with_name("bench_sse.py")
    process = subprocess.Popen([sys.executable, str(program), str(port), str(chunks), str(pace_ms)])
    wait_port(port)
    return Running(process, f"http://127.0.0.1:{port}")


class Contenders:
    """Upstream, floor and appliance: where to ask, and whose CPU counts."""

    def __init__(self, folder: Path, args: Namespace, chunks: int, pace_ms: float) -> None:
        self.upstream = start_upstream(chunks, pace_ms)
        self.floor = start_nginx(folder / "floor", proxy_to=self.upstream.url)
        self.ours = start_appliance(
            folder / "ours", self.upstream.url, *args.option, plain=args.plain
        )
        self.all = [
            ("upstream alone", self.upstream.url + DIRECT, self.upstream.pid),
            ("nginx proxy_pass", self.floor.url + DIRECT, nginx_worker(self.floor.pid)),
            ("appliance", self.ours.url + OURS, self.ours.pid),
        ]

    def stop(self) -> None:
        for server in (self.ours, self.floor, self.upstream):
            server.stop()


def paced(folder: Path, args: Namespace, report: Report) -> None:
    report.heading(f"{STREAMS} streams of {PACED_CHUNKS} chunks, {PACE_MS:g} ms apart")
    rounds = run_rounds(folder, args, PACED_CHUNKS, PACE_MS)
    report.note(f"{'median of the rounds':20s} chunks/s  transit ms  p99 ms  CPU us/chunk")
    for name, found in rounds.items():
        report.note(
            f"{name:20s} {median(found, lambda r: r.per_s):8,.0f}"
            f" {median(found, lambda r: r.median_ms):11.3f}"
            f" {median(found, lambda r: r.p99_ms):7.3f}"
            f" {median(found, lambda r: r.cpu_us):13.1f}"
        )
    ours = rounds["appliance"]
    report.figure(
        "paced stream: CPU per chunk, helpers too", median(ours, lambda r: r.cpu_us), "us",
        at_most=60,
    )  # fmt: skip
    report.figure(
        "paced stream: median transit", median(ours, lambda r: r.median_ms), "ms", at_most=0.3
    )
    direct = median(rounds["upstream alone"], lambda r: r.median_ms)
    report.figure("paced stream: median transit without a proxy", direct, "ms")


def unpaced(folder: Path, args: Namespace, report: Report) -> None:
    report.heading(f"{STREAMS} streams of {UNPACED_CHUNKS} chunks, as fast as they go")
    rounds = run_rounds(folder, args, UNPACED_CHUNKS, 0)
    report.note(f"{'median of the rounds':20s} chunks/s  CPU us/chunk")
    for name, found in rounds.items():
        report.note(
            f"{name:20s} {median(found, lambda r: r.per_s):8,.0f}"
            f" {median(found, lambda r: r.cpu_us):13.1f}"
        )
    pairs = list(zip(rounds["appliance"], rounds["nginx proxy_pass"], strict=True))
    report.figure(
        "unpaced stream: chunks/s of nginx's proxy_pass",
        median(pairs, lambda pair: pair[0].per_s / pair[1].per_s), "x", at_least=0.5,
    )  # fmt: skip
    report.figure("unpaced stream: chunks/s", median(rounds["appliance"], lambda r: r.per_s), "/s")


def run_rounds(
    folder: Path, args: Namespace, chunks: int, pace_ms: float
) -> dict[str, list[Round]]:
    """One more before them, which does not count."""
    contenders = Contenders(folder, args, chunks, pace_ms)
    rounds: dict[str, list[Round]] = {name: [] for name, *_ in contenders.all}
    try:
        for number in range(args.rounds + 1):
            for name, url, pid in contenders.all:
                before = cpu_us(pid)
                if pace_ms:
                    transit, took_s = read_paced(url, args.seconds)
                    count = len(transit)
                else:
                    load = run_wrk(
                        folder, url, connections=STREAMS, seconds=args.seconds, headers=EVERYTHING
                    )
                    transit, count = (), load.requests * chunks
                    took_s = load.requests / load.per_s
                quiet(pid)
                if number:
                    used_us = cpu_us(pid) - before
                    rounds[name].append(Round(count, took_s, used_us / max(1, count), transit))
    finally:
        contenders.stop()
    return rounds


def read_paced(
    url: str, seconds: float, headers: Mapping[str, str] = EVERYTHING
) -> tuple[tuple[float, ...], float]:
    """How long each chunk was under way, in milliseconds, over sixteen connections; and how long
    all took. A stream that is begun is read to its end."""
    host, _, path = url.removeprefix("http://").partition("/")
    request = request_bytes(host, "/" + path, headers)
    streams = {connected(host): b"" for _ in range(STREAMS)}
    for sock in streams:
        sock.sendall(request)
    transit: list[float] = []
    began_s = time.monotonic()
    reading = set(streams)
    while reading:
        for sock in select.select(list(reading), [], [], 10)[0]:
            data = sock.recv(65536)
            now_ns = time.monotonic_ns()
            if not data:
                raise SystemExit(f"{host} closed a stream")
            transit += [(now_ns - int(sent)) / 1e6 for sent in SENT.findall(data)]
            streams[sock] = tail = (streams[sock] + data)[-16:]
            if tail.endswith(LAST):
                streams[sock] = b""
                if time.monotonic() < began_s + seconds:
                    sock.sendall(request)
                else:
                    reading.discard(sock)
    took_s = time.monotonic() - began_s
    for sock in streams:
        sock.close()
    return tuple(transit), took_s


def request_bytes(host: str, path: str, headers: Mapping[str, str]) -> bytes:
    body = CHAT_REQUEST.replace('"temperature"', '"stream": true, "temperature"').encode()
    lines = [
        f"POST {path} HTTP/1.1", f"Host: {host}", "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        *(f"{name}: {value}" for name, value in {**OWN_KEY, **headers}.items()),
    ]  # fmt: skip
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def connected(host: str) -> socket.socket:
    name, _, port = host.partition(":")
    sock = socket.create_connection((name, int(port)))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock
