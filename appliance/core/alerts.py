"""Alerts (`backend.md 7.2`): what is asked of the records, when one is triggered and when it ends.

Pure: time is passed in, in microseconds since the epoch, and SQL is made but not run.
"""
# ruff: noqa: S608 - text is put together from constants of ours; what was sent is a parameter

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final, Literal

from appliance.core.filters import Parameters, Tables, compile_filter

COOLDOWN_MS: Final = 5 * 60 * 1000  # of who says nothing of it
GROUPS_MAX: Final = 20  # told of, the worst first
GROUP_CHARACTERS_MAX: Final = 200

# Of each metric: what is added up, averaged, …, and its unit. None: it has a sum of its own.
_TOTAL: Final = " + ".join(
    f"coalesce(r.{name}, 0)"
    for name in (
        "prompt_tokens", "completion_tokens", "prompt_cache_read_tokens",
        "prompt_cache_write_tokens",
    )
)  # fmt: skip
METRICS: Final[Mapping[str, tuple[str | None, str]]] = {
    "response.status": (None, "%"),
    "cost": ("r.cost_usd", " USD"),
    "latency": ("r.latency_ms", " ms"),
    "total_tokens": (_TOTAL, " tokens"),
    "prompt_tokens": ("r.prompt_tokens", " tokens"),
    "completion_tokens": ("r.completion_tokens", " tokens"),
    "prompt_cache_read_tokens": ("r.prompt_cache_read_tokens", " tokens"),
    "prompt_cache_write_tokens": ("r.prompt_cache_write_tokens", " tokens"),
    "count": (None, " requests"),
}
_OWN_SUMS: Final = {
    "response.status": "100.0 * count(*) FILTER (r.status BETWEEN 400 AND 599) / count(*)",
    "count": "count(*)",
}
AGGREGATIONS: Final = ("sum", "avg", "min", "max", "percentile")
GROUPINGS: Final = {"user": "r.user_id", "model": "r.model", "provider": "r.provider"}


@dataclass(frozen=True, slots=True)
class Alert:
    """What is watched. `grouping` is a key of GROUPINGS, or the name of a property; `cooldown_ms`
    is how long it is below its threshold before it is over."""

    org: bytes
    metric: str
    threshold: Decimal
    window_ms: int
    aggregation: str | None = None
    percentile: Decimal | None = None
    grouping: str | None = None
    grouping_is_property: bool = False
    requests_min: int = 0
    filter: Any = "all"
    cooldown_ms: int = COOLDOWN_MS


def statement(alert: Alert, tables: Tables, now_us: int) -> tuple[str, list[Any]]:
    """The groups that reach the threshold, the worst first: group, value, count. Without a grouping
    there is one at most, whose name is NULL. Raises Refusal 422 for a filter that cannot be."""
    parameters = Parameters()
    now = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=now_us)
    begin = now - timedelta(milliseconds=alert.window_ms)
    where = [
        f"r.organization_id = CAST({parameters.add(alert.org.hex())} AS UUID)",
        f"r.request_created_at >= {parameters.add(begin.replace(tzinfo=None))}",
        f"r.request_created_at <= {parameters.add(now.replace(tzinfo=None))}",
        "r.step IS NULL",  # calls of models alone, not the tools and databases of a trace
        compile_filter(alert.filter, tables, parameters),
    ]
    group = "NULL::VARCHAR"
    if alert.grouping is not None:
        group = GROUPINGS.get(alert.grouping, "")
        if alert.grouping_is_property or not group:
            group = f"map_extract_value(r.properties, {parameters.add(alert.grouping)})"
        where.append(f"coalesce({group}, '') <> ''")
    threshold = f"CAST({parameters.add(str(alert.threshold))} AS DECIMAL(38,12))"
    value = _value(alert)
    return (
        f"SELECT {group} AS grouped, {value} AS value, count(*) AS requests FROM requests AS r "
        f"WHERE {' AND '.join(where)} GROUP BY grouped HAVING value >= {threshold} "
        f"AND requests >= {parameters.add(max(1, alert.requests_min))} "
        f"ORDER BY value DESC LIMIT {GROUPS_MAX:d}",
        parameters.values,
    )


def _value(alert: Alert) -> str:
    """Money stays exact where it is added up."""
    of, _ = METRICS[alert.metric]
    if of is None:
        return _OWN_SUMS[alert.metric]
    if alert.aggregation == "percentile":
        assert alert.percentile is not None
        return f"quantile_cont(CAST({of} AS DOUBLE), {float(alert.percentile) / 100:.6f})"
    return f"{alert.aggregation or 'sum'}({of})"


@dataclass(frozen=True, slots=True)
class Standing:
    """How an alert stands. `below_since_us`: since when it has been continuously below its
    threshold while it is still triggered."""

    status: Literal["resolved", "triggered"]
    below_since_us: int | None = None


def step(before: Standing, reached: bool, now_us: int, cooldown_ms: int = COOLDOWN_MS) -> Standing:
    """What an evaluation makes of it: triggered at once, resolved when it was below for
    `cooldown_ms` without a break. Whoever reaches the threshold again begins them anew."""
    if reached:
        return Standing("triggered")
    if before.status == "resolved":
        return before
    since_us = before.below_since_us
    if since_us is None or since_us > now_us:  # a clock that went back
        since_us = now_us
    if now_us - since_us >= cooldown_ms * 1000:
        return Standing("resolved")
    return Standing("triggered", since_us)


@dataclass(frozen=True, slots=True)
class Reached:
    """A group that reaches the threshold."""

    group: str | None
    value: Decimal
    requests: int


def triggered_value(found: list[Reached]) -> str:
    """Two decimals as the original shows it; nothing for alerts with groups."""
    if not found or found[0].group is not None:
        return ""
    return f"{found[0].value:.2f}"


def words(name: str, alert: Alert, found: list[Reached], link: str | None) -> str:
    """What a person is told when it begins."""
    unit = METRICS[alert.metric][1]
    how = f" ({alert.aggregation})" if alert.aggregation else ""
    lines = [
        f"{name}: {alert.metric}{how} has reached {alert.threshold}{unit} "
        f"within {span(alert.window_ms)}.",
        "",
    ]
    for one in found:
        who = f"{alert.grouping} {one.group[:GROUP_CHARACTERS_MAX]}: " if one.group else ""
        lines.append(f"{who}{one.value:.2f}{unit} over {one.requests} requests")
    if link is not None:
        lines += ["", link]
    return "\n".join(lines)


def words_at_the_end(name: str, alert: Alert) -> str:
    """What a person is told when it is over."""
    long = f" for {span(alert.cooldown_ms)}" if alert.cooldown_ms else " again"
    return f"{name}: {alert.metric} has been below {alert.threshold}{long}."


def span(window_ms: int) -> str:
    """A length of time in the largest unit that fits."""
    for unit, size_ms in (("days", 86_400_000), ("hours", 3_600_000), ("minutes", 60_000)):
        if window_ms >= size_ms and window_ms % size_ms == 0:
            return f"{window_ms // size_ms} {unit}"
    return f"{window_ms / 1000:g} seconds"
