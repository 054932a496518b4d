"""The manual's page of a comparison, and its table."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

PAGE = """<!-- Made by scripts/compare. Change scripts/compare_page.py. -->

# Benchmarks

What a call costs here, and with others that stand in the same place, all measured in one run by `scripts/compare`.

Measured: {machine}.

{table}

## What is on and off

{on}

They do not do the same. nginx is the floor: whatever moves bytes and looks at none is near it. This program had on
what a call can have (keys, a limit, both bodies in a log that outlives a `kill -9`, rows with tokens and cost); the
others were started as their guides have it, without a database, and so do less than they could. Where LiteLLM stands a
second time it has a worker for each core, as its guide to production advises; this program serves calls on one core
and leaves others to its helpers.

## Method

- One machine, everything on loopback. The provider is nginx with a fixed reply of 1 KB; requests have 1 KB too.
  `wrk` sends, with one thread. Rounds that count: {rounds}, of {seconds:g} s each, in turns, after one that does not;
  medians are told.
- Before it is measured each must answer 200 with the provider's words.
- *Requests/s* and *CPU a request*: 16 connections, as fast as they go. CPU is that of the process and its helpers,
  work that is done after the reply included.
- *Added latency*: one connection, less the provider's own in the same round.
- *A chunk later*, *CPU a chunk*: {streams} streams, {chunks} events each, {pace:g} ms apart; how much later an event
  comes than without a proxy (median). A dash: it did not relay these streams.
- *Memory*: resident, of the process and its helpers, after the load. What processes share is counted in each.

Loopback and a provider that answers at once make the proxy all there is. A model takes seconds: of most calls nobody
would notice any of these. What matters then is how many streams at once, what a machine costs, and that nothing is
lost: `scripts/chaos` looks at the latter.

## Do it again

```sh
scripts/compare --install --write     # nginx, wrk and node are Debian's; the others come from PyPI and npm
```
"""
HEAD = (
    "| | version | requests/s | added p50 ms | added p99 ms | CPU a request µs | a chunk later ms "
    "| CPU a chunk µs | memory MB |"
)


@dataclass(frozen=True)
class Row:
    """Medians of one contender; `on` says what of it was on."""

    name: str
    version: str
    on: str
    per_s: float
    added_p50_ms: float
    added_p99_ms: float
    cpu_us: float
    chunk_ms: float
    chunk_cpu_us: float
    resident_mb: float
    errors: int


def table(rows: list[Row]) -> list[str]:
    """Markdown."""
    lines = [HEAD, "|---|---|--:|--:|--:|--:|--:|--:|--:|"]
    for row in rows:
        # No CPU was used where no chunk was counted: it did not relay these streams.
        streams = f"{row.chunk_ms:.2f} | {row.chunk_cpu_us:,.0f}" if row.chunk_cpu_us else "– | –"
        wrong = f" ({row.errors} errors)" if row.errors else ""
        lines.append(
            f"| {row.name} | {row.version} | {row.per_s:,.0f}{wrong} | {row.added_p50_ms:.2f} | "
            f"{row.added_p99_ms:.2f} | {row.cpu_us:,.0f} | {streams} | {row.resident_mb:,.0f} |"
        )
    return lines


def write(path: Path, rows: list[Row], machine: str, rounds: int, seconds: float) -> None:
    """The whole page."""
    from bench_stream import PACE_MS, PACED_CHUNKS, STREAMS

    text = PAGE.format(
        machine=machine, table="\n".join(table(rows)), rounds=rounds, seconds=seconds,
        on="\n".join(f"- {row.name} {row.version}: {row.on}." for row in rows), streams=STREAMS,
        chunks=PACED_CHUNKS, pace=PACE_MS,
    )  # fmt: skip
    path.write_text(text, encoding="utf-8")
