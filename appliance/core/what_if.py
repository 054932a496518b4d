"""What recorded calls would have cost under other prices, or met under another rate limit.

Pure: rows in, sums out. Limits are run over the recorded moments by the bucket that the limiter
itself uses (`bucket.py`), so that what is told is what would have happened.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import Any, Final, NamedTuple

from appliance.core import metric_definitions as metric
from appliance.core.bucket import Bucket, charge, full_bucket, has_any, take
from appliance.core.derive import PriceOf
from appliance.core.money import usd_text
from appliance.core.rate_choice import policy_of, ranked
from appliance.core.rate_policy import Policy
from appliance.core.rate_segment import bucket_text, segment_value
from appliance.core.repriced import (
    Line,
    Recorded,
    has_price,
    ordered,
    pico,
    priced_again,
    usage_of,
)

USD: Final = "DECIMAL(38,12)"
NOBODY: Final = "(none)"
TOTAL: Final = "(total)"
PRICE_COLUMNS: Final = [
    ("name", "VARCHAR"), ("calls", "BIGINT"), ("changed", "BIGINT"), ("unknown_price", "BIGINT"),
    ("old_usd", USD), ("new_usd", USD), ("difference_usd", USD),
]  # fmt: skip
LIMIT_COLUMNS: Final = [
    ("policy", "VARCHAR"), ("name", "VARCHAR"), ("calls", "BIGINT"), ("refused", "BIGINT"),
    ("first_refused", "VARCHAR"), ("last_refused", "VARCHAR"), ("worst_hour", "VARCHAR"),
    ("worst_hour_refused", "BIGINT"), ("refused_usd", USD),
]  # fmt: skip
# What a limit asks of a call. Answers of the cache take no token (proxy.md 5.4).
ASKED: Final = (
    "r.organization_id::VARCHAR, epoch_us(r.request_created_at),"
    " epoch_us(coalesce(r.response_created_at, r.request_created_at)), r.outcome,"
    " coalesce(r.user_id, ''), r.properties, r.cost_usd"
)
TAKES_TOKEN: Final = f"NOT {metric.IS_CACHED} AND r.request_created_at IS NOT NULL"
IN_ORDER: Final = "ORDER BY r.request_created_at, r.exchange_id"


@dataclass(frozen=True, slots=True)
class Swap:
    """Another model's price for the calls of `old`, which may have `*` in it."""

    old: str
    model: str
    provider: str | None = None

    def takes(self, call: Recorded) -> bool:
        return fnmatchcase((call.model or "").lower(), self.old.lower())


@dataclass(slots=True)
class Prices:
    """Costs by name; the name is the call's model or user."""

    price: PriceOf
    swaps: Sequence[Swap]
    by_user: bool = False
    lines: dict[str, Line] = field(default_factory=dict)

    def look(self, call: Recorded) -> None:
        """The first swap that takes the call counts; all others are priced by the list."""
        name = (call.user_id if self.by_user else call.model) or NOBODY
        swap = next((one for one in self.swaps if one.takes(call)), None)
        asked = has_price(call)
        if swap is None:
            found = priced_again(call, self.price) if asked else None
        else:  # also where the provider told the cost: the other one would have told another
            asked = asked or (call.price_source == "provider" and usage_of(call) is not None)
            found = priced_again(call, self.price, swap.model, swap.provider) if asked else None
        self.lines.setdefault(name, Line()).take(call, found, asked=asked)

    def rows(self) -> list[list[Any]]:
        """What changes most first; the sum of all last."""
        lines, whole = ordered(self.lines)
        return [_price_row(name, line) for name, line in (*lines, (TOTAL, whole))]


def _price_row(name: str, line: Line) -> list[Any]:
    told = line.row({})
    return [name, *(told[column] for column, _ in PRICE_COLUMNS[1:])]


class Asked(NamedTuple):
    """A row of `ASKED`."""

    organization_id: str
    at_us: int
    ended_us: int
    outcome: str | None
    user_id: str
    properties: Mapping[str, str]
    cost: Decimal | None


@dataclass(slots=True)
class _Met:
    """What one whom a policy counts has met. Times are microseconds, hours since the epoch."""

    calls: int = 0
    refused: int = 0
    first_us: int = 0
    last_us: int = 0
    refused_pico: int = 0
    hours: Counter[int] = field(default_factory=Counter)

    def refuse(self, at_us: int, cost_pico: int) -> None:
        self.first_us = self.first_us if self.refused else at_us
        self.last_us = at_us
        self.refused += 1
        self.refused_pico += cost_pico
        self.hours[at_us // HOUR_US] += 1

    def row(self, policy: str, name: str) -> list[Any]:
        worst = min(self.hours.items(), key=lambda item: (-item[1], item[0]), default=None)
        return [
            policy, name, self.calls, self.refused, _time(self.first_us), _time(self.last_us),
            _time(worst[0] * HOUR_US if worst else 0), worst[1] if worst else 0,
            usd_text(self.refused_pico),
        ]  # fmt: skip


HOUR_US: Final = 3_600_000_000


class Limits:
    """Policies over calls in the order of their moments. As with stored policies one counts for
    each call: that of a property before that of the user before that of all."""

    def __init__(self, policies: Sequence[Policy]) -> None:
        self.calls = 0
        self.unlimited = 0  # no policy has a segment with a value in them
        self._policies = ranked(policies)
        self._buckets: dict[str, Bucket] = {}
        self._met: dict[tuple[str, str, str], _Met] = {}
        # Charges come when a reply is complete: due time, a number that keeps order, what for.
        self._due: list[tuple[int, int, str, Policy, int]] = []

    def look(self, call: Asked) -> None:
        """Calls must come in the order of their begin."""
        self.calls += 1
        policy = policy_of(
            "", self._policies, key_is_limited=True,
            user_id=call.user_id, properties=call.properties,
        )  # fmt: skip
        value = None if policy is None else segment_value(policy, call.user_id, call.properties)
        if policy is None or value is None:
            self.unlimited += 1
            return
        text = bucket_text(call.organization_id.encode(), policy, value)
        self._charge_until(call.at_us)
        bucket = self._buckets.get(text)
        if bucket is None:
            bucket = self._buckets[text] = full_bucket(policy, call.at_us)
        cost = pico(call.cost) or 0
        met = self._met.setdefault((call.organization_id, policy.text.decode(), value), _Met())
        met.calls += 1
        if policy.unit == "cents":
            allowed = has_any(bucket, policy, call.at_us)
            if allowed and cost and call.outcome == "complete":
                ended_us = max(call.ended_us, call.at_us)
                heapq.heappush(self._due, (ended_us, self.calls, text, policy, cost))
        else:
            allowed = take(bucket, policy, policy.one, call.at_us)
        if not allowed:
            met.refuse(call.at_us, cost)

    def _charge_until(self, now_us: int) -> None:
        while self._due and self._due[0][0] <= now_us:
            ended_us, _, text, policy, cost = heapq.heappop(self._due)
            charge(self._buckets[text], policy, cost, ended_us)

    def rows(self) -> list[list[Any]]:
        """Whoever would have been refused most first, then those never refused; the sum last. Of
        several organisations the name has whose it is."""
        several = len({org for org, _, _ in self._met}) > 1
        whole = _Met()
        found = []
        ordered = sorted(self._met.items(), key=lambda item: (-item[1].refused, item[0]))
        for (org, policy, value), met in ordered:
            name = value or "(all)"
            found.append(met.row(policy, f"{org} {name}" if several else name))
            whole.calls += met.calls
            whole.refused += met.refused
            whole.refused_pico += met.refused_pico
            whole.hours.update(met.hours)
            if met.refused:
                whole.first_us = min(whole.first_us or met.first_us, met.first_us)
                whole.last_us = max(whole.last_us, met.last_us)
        return [*found, whole.row("", TOTAL)]


def _time(us: int) -> str | None:
    """In UTC to the second; None for never."""
    return f"{datetime.fromtimestamp(us // 1_000_000, UTC):%Y-%m-%dT%H:%M:%SZ}" if us else None


def as_asked(values: Sequence[Any]) -> Asked:
    """Of a row as it travels."""
    call = Asked(*values)
    cost = None if call.cost is None else Decimal(str(call.cost))
    return call._replace(
        at_us=int(call.at_us), ended_us=int(call.ended_us), cost=cost,
        properties={name.lower(): text for name, text in dict(call.properties or {}).items()},
    )  # fmt: skip
