"""Counters and gauges of the running process, rendered for Prometheus.

Labels are of bounded kinds only (provider, outcome, status class, region, actor, feature, lane,
phase): nothing a client sends becomes a label by itself.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from appliance.exchange import Exchange

PREFIX = "helicone_appliance_"
LATENCY_S = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900,
)  # fmt: skip
HISTOGRAM_PART = re.compile(r"_(?:bucket|sum|count)$")
STATUS_CLASSES = ("none", *(f"{number}xx" for number in range(1, 10)))
# Providers of the configuration are few; a run-away of labels would still be stopped here.
SERIES_MAX = 5000
# Reasons that `fence.py` gives.
BROKE = ("failed", "timeout")

# Compiled, a whole number becomes an inexact one where the type says `float` alone.
Sample = tuple[str, dict[str, str], int | float]
Gauges = Callable[[], Iterable[Sample]]


class Histogram:
    """Counts by upper bound, with sum."""

    __slots__ = ("buckets", "count", "total")

    def __init__(self) -> None:
        self.buckets = [0] * (len(LATENCY_S) + 1)
        self.count = 0
        self.total = 0.0

    def add(self, value: float) -> None:
        """One observation, in seconds."""
        self.buckets[bisect_left(LATENCY_S, value)] += 1
        self.count += 1
        self.total += value


class Metrics:
    """Plain object with plain methods. `gauges` are asked when somebody reads."""

    def __init__(self) -> None:
        self._exchanges: dict[tuple[str, str, str, str], int] = {}
        # By provider: until the end, and until the first byte.
        self._seconds: dict[str, tuple[Histogram, Histogram]] = {}
        self._counters: dict[tuple[str, tuple[tuple[str, str], ...]], int] = {}
        self.count("failed_open_total", 0, feature="keys")  # there before it happens, for alerts
        self.gauges: list[Gauges] = []

    def exchange(self, x: Exchange, duration_s: float) -> None:
        """One exchange has ended."""
        provider = x.route.provider.id if x.route.provider is not None else "gateway"
        key = (provider, x.outcome, STATUS_CLASSES[(x.http_status or 0) // 100], x.region)
        exchanges = self._exchanges
        exchanges[key] = exchanges.get(key, 0) + 1
        histograms = self._seconds.get(provider)
        if histograms is None:
            histograms = self._seconds[provider] = (Histogram(), Histogram())
        histograms[0].add(duration_s)
        if x.first_byte_s:
            histograms[1].add(x.first_byte_s - x.started_s)
        if x.not_applied:
            self.missed(x)
        if x.identity.failed_open:
            self.count("failed_open_total", feature="keys")

    def missed(self, x: Exchange) -> None:
        """What was not applied, and which of it because a feature of ours broke."""
        for missed in x.not_applied:
            feature, _, reason = missed.partition(";reason=")
            self.count("not_applied_total", feature=feature)
            if reason in BROKE:
                self.count("feature_failures_total", feature=feature)

    def count(self, name: str, by: int = 1, **labels: str) -> None:
        """Add to a counter."""
        key = (name, tuple(sorted(labels.items())))
        if key in self._counters or len(self._counters) < SERIES_MAX:
            self._counters[key] = self._counters.get(key, 0) + by

    def render(self) -> str:
        """The text format, version 0.0.4: the samples of one name stand together."""
        families: dict[str, list[Sample]] = {}
        for sample in self._samples():
            families.setdefault(HISTOGRAM_PART.sub("", sample[0]), []).append(sample)
        lines: list[str] = []
        for family, samples in families.items():
            lines.append(f"# TYPE {PREFIX}{family} {kind_of(family, samples)}")
            lines += [line(*sample) for sample in samples]
        return "\n".join(lines) + "\n"

    def _samples(self) -> Iterator[Sample]:
        for (provider, outcome, status, region), number in sorted(self._exchanges.items()):
            labels = {"provider": provider, "outcome": outcome, "status": status, "region": region}
            yield "requests_total", labels, number
        for which, name in enumerate(("request_seconds", "first_byte_seconds")):
            for provider, histograms in sorted(self._seconds.items()):
                yield from histogram_samples(name, {"provider": provider}, histograms[which])
        for (name, pairs), number in sorted(self._counters.items()):
            yield name, dict(pairs), number
        for gauges in self.gauges:
            yield from gauges()


def line(name: str, labels: dict[str, str], value: int | float) -> str:
    """One sample."""
    inner = ",".join(f'{key}="{escape(text)}"' for key, text in labels.items())
    shown = str(value) if isinstance(value, int) else f"{value:.9g}"
    return f"{PREFIX}{name}{{{inner}}} {shown}" if inner else f"{PREFIX}{name} {shown}"


def escape(text: str) -> str:
    """A label value as the format wants it."""
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def histogram_samples(name: str, labels: dict[str, str], histogram: Histogram) -> Iterator[Sample]:
    """All samples of one histogram."""
    running = 0
    for bound, number in zip((*LATENCY_S, float("inf")), histogram.buckets, strict=True):
        running += number
        text = "+Inf" if bound == float("inf") else f"{bound:g}"
        yield f"{name}_bucket", {**labels, "le": text}, running
    yield f"{name}_sum", labels, histogram.total
    yield f"{name}_count", labels, histogram.count


def kind_of(family: str, samples: Sequence[Sample]) -> str:
    """By the names, which follow the rules of Prometheus."""
    if samples[0][0] != family:
        return "histogram"
    return "counter" if family.endswith("_total") else "gauge"
