"""What a recorded call costs by a price book, worked out of its row alone.

Pure: rows of `SELECTED` in, pico-USD out. It is `derive.py`'s way backwards: the columns of tokens
become the usage that they were made of, and the same book is asked the same question, so that the
book which priced a call gives the cost that it has.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple, TypeVar
from uuid import UUID

import msgspec

from appliance.core import metric_definitions as metric
from appliance.core.derive import BIGINT_MAX, PriceOf
from appliance.core.money import usd_text
from appliance.core.price_place import priced_as
from appliance.core.usage import usage_from_map
from appliance.core.usage_types import Priced, Usage

MODELS_MAX: Final = 10_000  # names come from clients; the rest is counted as one
OTHERS: Final = "(others)"
Name = TypeVar("Name", str, tuple[str, str])


class Recorded(NamedTuple):
    """A row of `SELECTED`, in its order. Times are microseconds, costs USD as Decimal."""

    exchange_id: UUID
    request_id: UUID | None
    organization_id: UUID
    created_at_us: int | None
    provider: str
    target_url: str
    model: str | None
    request_model: str | None
    model_override: str | None
    input: int | None
    output: int | None
    cached_input: int | None
    cache_write: int | None
    write_1h: int | None
    thinking: int | None
    usage_detail: str | None
    price_source: str | None
    price_version: str | None
    recorded_cost: Decimal | None
    cost: Decimal | None
    attempts: list[Decimal | None] | None
    repriced_at_us: int | None
    user_id: str | None

    @property
    def name(self) -> tuple[str, str]:
        """Provider and model, as reports name them."""
        return self.provider, self.model or ""


SELECTED: Final = (
    "r.exchange_id, r.request_id, r.organization_id, epoch_us(r.request_created_at),"
    " coalesce(nullif(r.gateway_provider, ''), lower(r.provider), ''), coalesce(r.target_url, ''),"
    " r.model, r.request_model, r.model_override, r.prompt_tokens, r.completion_tokens,"
    " r.prompt_cache_read_tokens, r.prompt_cache_write_tokens, r.prompt_cache_write_1h_tokens,"
    " r.reasoning_tokens, r.usage_detail, r.price_source, r.price_version, r.recorded_cost_usd,"
    " r.cost_usd, list_transform(r.attempts, lambda a: a.cost_usd), epoch_us(r.repriced_at),"
    " r.user_id"
)


def within(since: datetime | None, until: datetime | None) -> str:
    """The calls of a span of time, as FROM and WHERE over `requests`; steps are no calls."""
    where = [metric.IS_CALL]
    for sign, moment in ((">=", since), ("<", until)):
        if moment is not None:
            text = f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}"
            where.append(f"r.request_created_at {sign} TIMESTAMP '{text}'")
    return f"FROM requests AS r WHERE {' AND '.join(where)}"


def as_recorded(values: Sequence[Any]) -> Recorded:
    """Of a row as it travels: ids and exact numbers are texts there."""
    call = Recorded(*values)
    return call._replace(
        recorded_cost=_exact(call.recorded_cost),
        cost=_exact(call.cost),
        attempts=[_exact(cost) for cost in call.attempts or ()],
    )


def _exact(value: Any) -> Decimal | None:  # noqa: ANN401 - text, or what JSON made of it
    return None if value is None else Decimal(str(value))


def pico(usd: Decimal | None) -> int | None:
    """The integer that a cost is kept as; the view shows it in USD, exactly."""
    return None if usd is None else int(usd.scaleb(12))


def has_price(call: Recorded) -> bool:
    """Whether a price list had a say in its cost. Not where a provider or whoever logged the call
    told the cost, and not where nothing was used or nothing is known of the usage."""
    return bool(call.price_version) and call.price_source != "provider"


def usage_of(call: Recorded) -> Usage | None:
    """What it used. None where that is not known."""
    if call.usage_detail:
        try:
            return usage_from_map(msgspec.json.decode(call.usage_detail, type=dict[str, Any]))
        except msgspec.MsgspecError:
            return None
    if call.input is None:
        return None
    write, write_1h = call.cache_write or 0, call.write_1h or 0
    return Usage(
        input=call.input,
        output=call.output or 0,
        cached_input=call.cached_input or 0,
        write_5m=write - write_1h,
        write_1h=write_1h,
        thinking=call.thinking or 0,
    )


def priced_again(
    call: Recorded, price: PriceOf, model: str | None = None, provider: str | None = None
) -> Priced | None:
    """The whole call by this book; None where the book knows no price for it. `model` and
    `provider`: as if these had answered with the same tokens.

    Earlier attempts keep what they cost: rows do not tell what they used."""
    usage = usage_of(call)
    asked = model or call.model
    if usage is None or asked is None:
        return None
    provider = provider or priced_as(call.provider, call.target_url)
    at_us = call.created_at_us or 0
    found = price(provider, asked, usage, at_us)
    other = None if model or call.model_override else call.request_model
    if found.cost_pico is None and other and other != asked:
        # As in derive.py: replies name snapshots that price lists may not know.
        found = price(provider, other, usage, at_us)
    if found.cost_pico is None:
        return None
    total = found.cost_pico + _of_earlier_attempts(call)
    return None if total > BIGINT_MAX else Priced(total, found.source, found.version)


def _of_earlier_attempts(call: Recorded) -> int:
    """The recorded cost without the part that the price list made: derive.py adds that part to the
    attempts that name a cost of their own, and shows it as the last attempt's where that has none.
    """
    total = pico(call.recorded_cost) or 0
    costs = [pico(cost) or 0 for cost in call.attempts or ()]
    if not costs:
        return 0
    rest = total - sum(costs)
    return total - (rest if rest else costs[-1])


@dataclass(slots=True)
class Line:
    """The calls of one model. Costs in pico-USD; a call without a price adds nothing."""

    calls: int = 0
    changed: int = 0
    unknown: int = 0
    old_pico: int = 0
    new_pico: int = 0

    def take(self, call: Recorded, found: Priced | None, *, asked: bool) -> bool:
        """One more call, which costs what was `found` where a book was `asked` and knew it, else
        what it did. Whether that is something else."""
        old = pico(call.cost)
        new = old if found is None else found.cost_pico
        self.calls += 1
        self.changed += new != old
        self.unknown += found is None and (asked or old is None)
        self.old_pico += old or 0
        self.new_pico += new or 0
        return new != old

    def add(self, other: "Line") -> None:
        """The sum of both."""
        self.calls += other.calls
        self.changed += other.changed
        self.unknown += other.unknown
        self.old_pico += other.old_pico
        self.new_pico += other.new_pico

    def row(self, name: Mapping[str, str]) -> dict[str, Any]:
        """As it is told: USD as text."""
        return {
            **name,
            "calls": self.calls,
            "changed": self.changed,
            "unknown_price": self.unknown,
            "old_usd": usd_text(self.old_pico),
            "new_usd": usd_text(self.new_pico),
            "difference_usd": usd_text(self.new_pico - self.old_pico),
        }


def ordered(lines: Mapping[Name, Line]) -> tuple[list[tuple[Name, Line]], Line]:
    """What changed most first, and the sum of all."""
    whole = Line()
    for line in lines.values():
        whole.add(line)
    return sorted(
        lines.items(), key=lambda item: (-abs(item[1].new_pico - item[1].old_pico), item[0])
    ), whole


@dataclass(slots=True)
class Repricing:
    """One run over calls: looks at each, keeps the sums."""

    price: PriceOf
    now_us: int
    seen: int = 0
    lines: dict[tuple[str, str], Line] = field(default_factory=dict)

    def look(self, call: Recorded) -> dict[str, Any] | None:
        """The correction that the call needs, as its frame has it; None where its cost stays."""
        self.seen += 1
        asked = has_price(call)
        found = priced_again(call, self.price) if asked else None
        changes = self._line(call.name).take(call, found, asked=asked)
        if found is None or not changes:
            return None
        return {
            "exchange_id": call.exchange_id.bytes,
            "request_id": call.request_id.bytes if call.request_id else None,
            "name": "",
            "value": f"{found.cost_pico} {found.source} {found.version}",
            # The newest counts, also where the clock has stepped back since the last one.
            "edited_at_us": max(self.now_us, (call.repriced_at_us or 0) + 1),
        }

    def _line(self, name: tuple[str, str]) -> Line:
        if name not in self.lines and len(self.lines) >= MODELS_MAX:
            name = OTHERS, OTHERS
        return self.lines.setdefault(name, Line())

    def told(self) -> dict[str, Any]:
        """By model, what changed most first, and all together."""
        lines, whole = ordered(self.lines)
        models = [line.row({"provider": name[0], "model": name[1]}) for name, line in lines]
        return {**whole.row({}), "models": models}
