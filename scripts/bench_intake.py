"""How much is taken in from outside a second: logs of 2 KB, each acknowledged once it is in the
journal (`normal`), and once it is on disk (`strict`); spans by OTLP, both encodings.

`python scripts/bench_intake.py [--plain] [--seconds N] [logs | spans] …`. CPU is the server's own.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
import tempfile
import threading
import time
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

from bench_rig import ROOT, Running, cpu_us, quiet, run_wrk, start_appliance

sys.path.insert(0, str(ROOT))

GOAL_LOGS, GOAL_SPANS = 3_000, 10_000
CONNECTIONS = 16
SPANS_A_CALL = 100
SENDERS = 2


def log_body() -> str:
    """2 KB, as helicone-helpers sends it."""
    words = "Explain, please, how a benchmark is done. "
    return json.dumps(
        {
            "providerRequest": {
                "url": "custom-model-nopath",
                "json": {"model": "gpt-4o", "messages": [{"role": "user", "content": words * 18}]},
                "meta": {"Helicone-User-Id": "user-17", "Helicone-Property-Tenant": "acme"},
            },
            "providerResponse": {
                "status": 200,
                "headers": {},
                "json": {
                    "model": "gpt-4o",
                    "choices": [{"message": {"role": "assistant", "content": words * 18}}],
                    "usage": {"prompt_tokens": 180, "completion_tokens": 170},
                },
                "textBody": None,
            },
            "timing": {
                "startTime": {"seconds": 1788000000, "milliseconds": 120},
                "endTime": {"seconds": 1788000001, "milliseconds": 20},
                "timeToFirstToken": None,
            },
        }
    )


def bench_logs(folder: Path, seconds: float, *, plain: bool) -> bool:
    """Prints a line for each durability. Whether the goal is met."""
    good = True
    body = log_body()
    print(f"a log has {len(body)} bytes")
    for durability in ("normal", "strict"):
        place = folder / durability
        config = f'durability = "{durability}"\n'
        server = start_appliance(place, "http://127.0.0.1:9", plain=plain, provider="", top=config)
        try:
            for path in ("/oai/v1/log", "/custom/v1/log"):
                run_wrk(place, server.url + path, connections=CONNECTIONS, seconds=1, headers={},
                        body=body)  # fmt: skip
                quiet(server.pid)
                before = cpu_us(server.pid)
                load = run_wrk(place, server.url + path, connections=CONNECTIONS, seconds=seconds,
                               headers={}, body=body)  # fmt: skip
                loop_us = (cpu_us(server.pid) - before) / load.requests
                quiet(server.pid)
                all_us = (cpu_us(server.pid) - before) / load.requests
                met = load.per_s >= GOAL_LOGS and not load.errors
                good = good and met
                print(
                    f"{durability:7} {path:16} {load.per_s:8.0f} logs/s  p50 {load.p50_ms:.2f} ms"
                    f"  p99 {load.p99_ms:.2f} ms  CPU {loop_us:.0f} us while it lasts,"
                    f" {all_us:.0f} us with its row in  errors {load.errors}"
                    f"  (goal {GOAL_LOGS}: {'met' if met else 'MISSED'})"
                )
        finally:
            server.stop()
    return good


def sent_spans(server: Running, path: str, kind: str, body: bytes, seconds: float) -> float:
    """Spans a second, by senders that each wait for the reply."""
    parts = urlsplit(server.url)
    headers = {"Content-Type": kind}
    if body[:2] == b"\x1f\x8b":
        headers["Content-Encoding"] = "gzip"
    counts = [0] * SENDERS
    until_s = time.monotonic() + seconds

    def send(number: int) -> None:
        connection = HTTPConnection(parts.hostname or "", parts.port, timeout=60)
        while time.monotonic() < until_s:
            connection.request("POST", path, body, headers)
            reply = connection.getresponse()
            reply.read()
            if reply.status != 200:
                raise SystemExit(f"{path}: {reply.status}")
            counts[number] += SPANS_A_CALL

    threads = [threading.Thread(target=send, args=(number,)) for number in range(SENDERS)]
    began_s = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / (time.monotonic() - began_s)


def bench_spans(folder: Path, seconds: float, *, plain: bool) -> bool:
    """Prints a line for each encoding. Whether the goal is met."""
    from tests.fakes.otlp_spans import as_json, as_protobuf, chat_span

    spans = [chat_span(number) for number in range(SPANS_A_CALL)]
    good = True
    server = start_appliance(folder / "spans", "http://127.0.0.1:9", plain=plain)
    try:
        for name, kind, body in (
            ("protobuf", "application/x-protobuf", as_protobuf(spans)),
            ("protobuf, gzip", "application/x-protobuf", gzip.compress(as_protobuf(spans))),
            ("JSON", "application/json", as_json(spans)),
        ):
            sent_spans(server, "/v1/traces", kind, body, 1)
            quiet(server.pid)
            before = cpu_us(server.pid)
            rate = sent_spans(server, "/v1/traces", kind, body, seconds)
            cpu = (cpu_us(server.pid) - before) / (rate * seconds)
            quiet(server.pid)
            met = rate >= GOAL_SPANS
            good = good and met
            print(
                f"{name:15} {rate:8.0f} spans/s  {len(body) / SPANS_A_CALL:.0f} bytes a span"
                f"  CPU {cpu:.0f} us while it lasts  (goal {GOAL_SPANS}:"
                f" {'met' if met else 'MISSED'})"
            )
    finally:
        server.stop()
    return good


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", default=["logs", "spans"])
    parser.add_argument("--plain", action="store_true", help="the sources, not compiled")
    parser.add_argument("--seconds", type=float, default=8.0)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-intake-") as place:
        results = []
        if "logs" in args.parts:
            results.append(bench_logs(Path(place), args.seconds, plain=args.plain))
        if "spans" in args.parts:
            results.append(bench_spans(Path(place), args.seconds, plain=args.plain))
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
