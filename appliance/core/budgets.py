"""Budgets: what a key, a user or a property value may spend in a day, a week or a month (UTC).

Each counts on an account of its own per period. By default the last call let through may pass the
limit, and only that one; strict budgets hold the worst case and are never passed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal, NamedTuple, cast

from appliance.core.base_urls import RUN_PROPERTY
from appliance.core.ledger import (
    AMOUNT_PICO_MAX,
    NAME_CHARACTERS_MAX,
    Account,
    Ledger,
    Leg,
    storable,
)
from appliance.core.money import usd_text
from appliance.core.worst_case import HoldSize
from appliance.errors import Refusal

Scope = Literal["key", "user", "property"]
Period = Literal["day", "week", "month"]
SCOPES: Final = ("key", "user", "property")
PERIODS: Final = ("day", "week", "month")
OF_A_RUN: Final = f"property {RUN_PROPERTY} "  # its budget is there as long as it runs
EACH: Final = "*"  # every value of the scope has the limit for itself
BUDGETS_MAX: Final = 1000  # of one organisation
# Values come from clients. Where more are seen in a period, further ones are not counted (and
# `uncounted` says so); strict budgets refuse them.
BUDGET_ACCOUNTS_MAX: Final = 500_000
SWEEP_EVERY_US: Final = 60_000_000
DAY_US: Final = 86_400_000_000
EPOCH_WEEKDAY: Final = 3  # the epoch was a Thursday, weeks begin on Monday


class BudgetsFull(Exception):  # noqa: N818 - a condition that callers handle
    """More values would have to be counted than there is room for, and they must be."""


@dataclass(frozen=True, slots=True)
class Budget:
    """A limit. `name` is that of the property; `value` a key's id, a user, a value, or `*`."""

    id: str
    org: bytes
    scope: Scope
    name: str
    value: str
    period: Period
    limit_pico: int

    @property
    def label(self) -> str:
        """What people call it."""
        named = f"property {self.name}" if self.scope == "property" else self.scope
        return f"{named} {self.value}, per {self.period}"


@dataclass(frozen=True, slots=True)
class Spender:
    """Whose call it is. Names of properties are in lower case."""

    key_id: str = ""
    user: str = ""
    properties: Mapping[str, str] | None = None


NOBODY: Final = Spender()


class Spent(NamedTuple):
    """What counts on a budget for one value, in pico-USD."""

    value: str
    posted: int
    held: int


class _Rule:
    """A budget in force, with the accounts of the period that runs."""

    __slots__ = ("accounts", "budget", "counter", "end_us", "start_us")

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.start_us = self.end_us = 0
        self.accounts: dict[str, Account] = {}
        self.counter: Account | None = None


class Budgets:
    """The budgets of all organisations, on one ledger."""

    def __init__(self, ledger: Ledger, *, strict: bool = False) -> None:
        self._ledger = ledger
        self._strict = strict
        self._by_org: dict[bytes, dict[tuple[str, str], dict[str, list[_Rule]]]] = {}
        self._by_id: dict[str, _Rule] = {}
        self._now_us = 0
        self._sweep_at_us = 0
        self.accounts_max = BUDGET_ACCOUNTS_MAX
        self.uncounted = 0

    def __bool__(self) -> bool:
        return bool(self._by_id)

    def concern(self, org: bytes) -> bool:
        """Whether the organisation has budgets: what every call asks first."""
        return org in self._by_org

    def put(self, budget: Budget) -> None:
        """Add, or replace the one of this id; what was spent stays counted."""
        old = self._by_id.get(budget.id)
        if old is not None:
            self.drop(budget.id)
        rule = _Rule(budget)
        self._by_id[budget.id] = rule
        places = self._by_org.setdefault(budget.org, {})
        values = places.setdefault((budget.scope, budget.name), {})
        values.setdefault(budget.value, []).append(rule)

    def drop(self, budget_id: str) -> bool:
        """Forget a budget. False when there is none of this id."""
        rule = self._by_id.pop(budget_id, None)
        if rule is None:
            return False
        budget = rule.budget
        places = self._by_org[budget.org]
        values = places[budget.scope, budget.name]
        values[budget.value].remove(rule)
        if not values[budget.value]:
            del values[budget.value]
        if not values:
            del places[budget.scope, budget.name]
        if not places:
            del self._by_org[budget.org]
        for account in rule.accounts.values():
            account.limit_pico = None
        return True

    def all(self, org: bytes | None = None) -> list[Budget]:
        """Budgets, of one organisation or of all."""
        budgets = (rule.budget for rule in self._by_id.values())
        return [budget for budget in budgets if org is None or budget.org == org]

    def legs(self, org: bytes, spender: Spender, size: HoldSize, now_us: int) -> list[Leg]:
        """One leg for each budget that the call counts on. Raises BudgetsFull when strict."""
        # Time that went backwards does not bring back a period whose accounts are gone.
        now_us = self._now_us = max(now_us, self._now_us)
        amount = size.worst_pico if self._strict else size.expected_pico
        found: list[Leg] = []
        for rule, value in self._matching(org, spender):
            accounts = self._accounts(rule, value, now_us)
            if accounts is None:
                self.uncounted += 1
                continue
            debit, credit = accounts
            found.append(Leg(debit, credit, amount, size.worst_pico))
        return found

    def admit(self, legs: list[Leg], now_us: int) -> Account | None:
        """None: they may be held now. An account: near its limit calls go one at a time, and one is
        under way. Raises Refusal 429 when a budget is used up."""
        busy = None
        for account, _, amount, worst in legs:
            limit = account.limit_pico
            if limit is None or not worst:
                continue
            posted = account.debits_posted
            fits = posted + account.debits_pending + amount <= limit
            if self._strict:
                if not fits:
                    raise _refusal(account, limit, worst, now_us)
            elif posted >= limit:
                raise _refusal(account, limit, 0, now_us)
            elif account.worst_pending and not (fits and posted + account.worst_pending < limit):
                # All in flight must fit at their worst: then the next one alone can pass the limit.
                busy = account
        return busy

    def bind(self) -> None:
        """Accounts that were restored learn the limits they are kept for, so that calls held
        before are told when they pass one."""
        for account in self._ledger.accounts.values():
            if account.id.startswith("budget/"):
                _, budget_id, _, value = account.id.split("/", 3)
                rule = self._by_id.get(budget_id)
                if rule is not None:
                    _name(account, rule.budget, value)

    def spent(self, org: bytes, now_us: int) -> list[tuple[Budget, list[Spent]]]:
        """The budgets of an organisation, each with what counts in the period that runs."""
        now_us = max(now_us, self._now_us)
        found: dict[tuple[str, str], list[Spent]] = {}
        budgets = self.all(org)
        for budget in budgets:
            found[budget.id, str(period_of(budget.period, now_us)[0])] = []
        for account in self._ledger.accounts.values():
            if account.id.startswith("budget/"):
                _, budget_id, start_us, value = account.id.split("/", 3)
                if (rows := found.get((budget_id, start_us))) is not None:
                    rows.append(Spent(value, account.debits_posted, account.debits_pending))
        by_id = {budget_id: sorted(rows) for (budget_id, _), rows in found.items()}
        return [(budget, by_id[budget.id]) for budget in budgets]

    def _matching(self, org: bytes, spender: Spender) -> list[tuple[_Rule, str]]:
        places = self._by_org.get(org)
        if places is None:
            return []
        found: list[tuple[_Rule, str]] = []
        for (scope, name), values in places.items():
            if scope == "key":
                value = spender.key_id
            elif scope == "user":
                value = spender.user
            else:
                value = spender.properties.get(name, "") if spender.properties else ""
            if value:
                value = storable(value)
                for rule in values.get(value, ()):
                    found.append((rule, value))
                for rule in values.get(EACH, ()):
                    found.append((rule, value))
        return found

    def _accounts(self, rule: _Rule, value: str, now_us: int) -> tuple[Account, Account] | None:
        self._roll(rule, now_us)
        budget = rule.budget
        account = rule.accounts.get(value)
        if account is None:
            account_id = _prefix(budget, rule.start_us) + value
            if not self._has_room(account_id):
                return None
            account = self._ledger.account(account_id, rule.end_us)
            _name(account, budget, value)
            rule.accounts[value] = account
        counter = rule.counter
        if counter is None:
            counter_id = f"counted/{budget.id}/{rule.start_us}"
            counter = rule.counter = self._ledger.account(counter_id, rule.end_us)
        return account, counter

    def _has_room(self, account_id: str) -> bool:
        accounts = self._ledger.accounts
        if len(accounts) < self.accounts_max or account_id in accounts:
            return True
        if self._now_us >= self._sweep_at_us:
            self._sweep_at_us = self._now_us + SWEEP_EVERY_US
            self._ledger.sweep(self._now_us)
        if len(accounts) < self.accounts_max:
            return True
        if self._strict:
            raise BudgetsFull(f"budgets count for at most {self.accounts_max} values")
        return False

    def _roll(self, rule: _Rule, now_us: int) -> None:
        if not rule.start_us <= now_us < rule.end_us:
            rule.start_us, rule.end_us = period_of(rule.budget.period, now_us)
            rule.accounts = {}
            rule.counter = None


def period_of(period: Period, now_us: int) -> tuple[int, int]:
    """Begin and end of the period that runs, UTC; weeks begin on Monday."""
    day = now_us // DAY_US
    if period == "day":
        return day * DAY_US, (day + 1) * DAY_US
    if period == "week":
        monday = day - (day + EPOCH_WEEKDAY) % 7
        return monday * DAY_US, (monday + 7) * DAY_US
    now = datetime.fromtimestamp(day * 86_400, UTC)
    first = datetime(now.year, now.month, 1, tzinfo=UTC)
    following = datetime(now.year + now.month // 12, now.month % 12 + 1, 1, tzinfo=UTC)
    return int(first.timestamp()) * 1_000_000, int(following.timestamp()) * 1_000_000


def checked_budget(
    budget_id: str,
    org: bytes,
    *,
    scope: str,
    period: str,
    limit_pico: int,
    name: str = "",
    value: str = EACH,
) -> Budget:
    """A budget from what somebody wrote. Raises ValueError that names the field."""
    if scope not in SCOPES:
        raise ValueError(f"scope: {scope!r} is none of {', '.join(SCOPES)}")
    if period not in PERIODS:
        raise ValueError(f"period: {period!r} is none of {', '.join(PERIODS)}")
    if (scope == "property") != bool(name):
        raise ValueError("name: the property's, and only for the scope property")
    for field, text in (("name", name), ("value", value)):
        if len(text) > NAME_CHARACTERS_MAX:
            raise ValueError(f"{field}: at most {NAME_CHARACTERS_MAX} characters")
        if storable(text) != text:
            raise ValueError(f"{field}: characters that are none")
    if not value:
        raise ValueError("value: a key's id, a user, a property's value, or * for each")
    if not 0 <= limit_pico <= AMOUNT_PICO_MAX:
        raise ValueError("limit: 0 or more USD, at most nine million")
    return Budget(
        budget_id, org, cast(Scope, scope), name.lower(), value, cast(Period, period), limit_pico
    )


def _name(account: Account, budget: Budget, value: str) -> None:
    account.label = f"{budget.label} ({value})" if budget.value == EACH else budget.label
    account.limit_pico = budget.limit_pico


def _prefix(budget: Budget, start_us: int) -> str:
    return f"budget/{budget.id}/{start_us}/"


def _refusal(account: Account, limit_pico: int, needed_pico: int, now_us: int) -> Refusal:
    """What is used up, how far, and when it begins anew."""
    until_us = account.until_us or now_us
    again = datetime.fromtimestamp(until_us / 1_000_000, UTC).strftime("%Y-%m-%d %H:%M UTC")
    needed = f" This call may cost ${usd_text(needed_pico)}." if needed_pico else ""
    way = "`run --budget`" if account.label.startswith(OF_A_RUN) else "`budgets set`"
    return Refusal(
        429,
        "budget_exceeded",
        f"The budget of {account.label} is used up: ${usd_text(account.debits_posted)} spent and "
        f"${usd_text(account.debits_pending)} held of ${usd_text(limit_pico)}.{needed} It begins "
        f"anew at {again}; raise it with {way}.",
        headers={"Retry-After": str(max(1, -(-(until_us - now_us) // 1_000_000)))},
    )
