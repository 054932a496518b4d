"""The wallet as those who pay and those who administer meet it (internals.md 2.3, 2.4, 2.6, 7).

A scenario is a list of steps over the ledger's book, told without sockets. Where the original
contradicts the issue, the issue is followed, and the row says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple


class Step(NamedTuple):
    """`does` is a word of `test_wallet.py`; amounts are cents; `status` is what a caller is told
    (200: done), `says` part of it. `changed` False: it was told before, or nothing was there."""

    does: str
    name: str = ""
    cents: float = 0
    status: int = 200
    says: str = ""
    changed: bool = True
    model: str = "m"


@dataclass(frozen=True)
class Scenario:
    """`ends` is the wallet in cents when all is done: balance, held, debits, credits."""

    name: str
    steps: tuple[Step, ...]
    ends: tuple[float, float, float, float]


def top_up(cents: float, event: str = "evt_1", **more: Any) -> Step:
    return Step("top_up", event, cents, **more)


def hold(name: str, cents: float, **more: Any) -> Step:
    return Step("hold", name, cents, **more)


def settle(name: str, cents: float, **more: Any) -> Step:
    return Step("settle", name, cents, **more)


SCENARIOS = [
    # --- 2.3 reserveCostInEscrow
    Scenario(
        "an empty wallet: 429 that names what there is and what is needed (bail-429)",
        (hold("a", 1, status=429, says="Insufficient credits: $0 available, $0.02 needed"),),
        (0, 0, 0, 0),
    ),
    Scenario(
        "a cent stays in the wallet",
        (top_up(100), hold("a", 99), hold("b", 0.5, status=429, says="Insufficient")),
        (100, 99, 0, 100),
    ),
    Scenario(
        "all but less than a cent does not fit",
        (top_up(100), hold("a", 99.5, status=429, says="$1 available, $1.005 needed")),
        (100, 0, 0, 100),
    ),
    Scenario(
        "what others hold counts as spent",
        (top_up(100), hold("a", 60), hold("b", 60, status=429, says="$0.4 available")),
        (100, 60, 0, 100),
    ),
    Scenario(
        "a credit line may be used up, to a cent",
        (Step("line", cents=50), hold("a", 49), hold("b", 1, status=429, says="Insufficient")),
        (0, 49, 0, 0),
    ),
    Scenario(
        "a line that is taken away holds at once",
        (Step("line", cents=50), Step("line", cents=0), hold("a", 1, status=429, says="$0 ")),
        (0, 0, 0, 0),
    ),
    # --- 2.3 finalizeEscrow, cancelEscrow: each hold resolves once (the original debits twice)
    Scenario(
        "the rest of a hold comes back",
        (top_up(100), hold("a", 60), settle("a", 12.3456789)),
        (87.6543211, 0, 12.3456789, 100),
    ),
    Scenario(
        "settling twice debits once (the issue)",
        (top_up(100), hold("a", 60), settle("a", 10), settle("a", 10, changed=False)),
        (90, 0, 10, 100),
    ),
    Scenario(
        "settling what was given back debits nothing (the issue)",
        (top_up(100), hold("a", 60), Step("release", "a"), settle("a", 10, changed=False)),
        (100, 0, 0, 100),
    ),
    Scenario(
        "giving back what was settled changes nothing",
        (top_up(100), hold("a", 60), settle("a", 10), Step("release", "a", changed=False)),
        (90, 0, 10, 100),
    ),
    Scenario(
        "settling an unknown hold debits nothing (the issue)",
        (top_up(100), settle("nobody", 10, changed=False)),
        (100, 0, 0, 100),
    ),
    Scenario(
        "giving back an unknown hold is silent",
        (top_up(100), Step("release", "nobody", changed=False)),
        (100, 0, 0, 100),
    ),
    Scenario(
        "a negative cost is an error, and the hold stays",
        (top_up(100), hold("a", 60), settle("a", -1, status=500, says="no cost")),
        (100, 60, 0, 100),
    ),
    Scenario(
        "a cost of nothing is settled",
        (top_up(100), hold("a", 60), settle("a", 0)),
        (100, 0, 0, 100),
    ),
    Scenario(
        "a cost beyond the hold is charged in full, as an overage of its own",
        (top_up(100), hold("a", 60), settle("a", 130)),
        (-30, 0, 130, 100),
    ),
    Scenario(
        "a cost that cannot be told: the input part, a fourth here (the original charges nothing)",
        (top_up(100), hold("a", 60), Step("settle_unknown", "a")),
        (85, 0, 15, 100),
    ),
    # --- 2.3 addCredits, deductCredits
    Scenario(
        "a repeated event id counts once",
        (top_up(100), top_up(100, changed=False), top_up(50, "evt_2")),
        (150, 0, 0, 150),
    ),
    Scenario(
        "an event id is one for all kinds",
        (top_up(100), Step("debit", "evt_1", 50, changed=False)),
        (100, 0, 0, 100),
    ),
    Scenario(
        "a debit takes all that is free",
        (top_up(100), hold("a", 60), Step("debit", "evt_2", 40)),
        (60, 60, 0, 60),
    ),
    Scenario(
        "more than is free is a 400, and is not remembered as done",
        (
            top_up(100),
            hold("a", 60),
            Step("debit", "evt_2", 41, status=400, says="$0.41 is more than the $0.4"),
            Step("release", "a"),
            Step("debit", "evt_2", 41),
        ),
        (59, 0, 0, 59),
    ),
    Scenario(
        "the credit line is no money to be paid out",
        (Step("line", cents=50), Step("debit", "evt_2", 1, status=400, says="more than the $0 ")),
        (0, 0, 0, 0),
    ),
    # --- 2.4 disallow list
    Scenario(
        "a model whose cost could not be told is refused, others are not",
        (
            top_up(100),
            Step("disallow", "m"),
            hold("a", 1, status=400, says="could not be told"),
            hold("b", 1, model="other"),
        ),
        (100, 1, 0, 100),
    ),
    Scenario(
        "`*` stands for every model of a provider",
        (top_up(100), Step("disallow", "*"), hold("a", 1, status=400, says="could not be told")),
        (100, 0, 0, 100),
    ),
    Scenario(
        "put there twice is there once (the original fails)",
        (
            top_up(100),
            Step("disallow", "m"),
            Step("disallow", "m", changed=False),
            Step("allow", "m"),
            hold("a", 1),
            Step("allow", "m", changed=False),
        ),
        (100, 1, 0, 100),
    ),
    # --- 7 dispute-handling
    *[
        Scenario(
            f"a dispute that is {status} suspends the wallet",
            (top_up(100), Step("dispute", status), hold("a", 1, status=403, says="disputed")),
            (100, 0, 0, 100),
        )
        for status in (
            "needs_response", "under_review", "warning_needs_response", "warning_under_review",
        )
    ],
    *[
        Scenario(
            f"one that is {status} does not, nor does it debit anything here",
            (
                top_up(100),
                Step("dispute", "needs_response"),
                Step("dispute", status),
                hold("a", 1),
            ),
            (100, 1, 0, 100),
        )
        for status in ("won", "warning_closed")
    ],
    Scenario(
        "a call under way is settled while the wallet is suspended",
        (top_up(100), hold("a", 60), Step("dispute", "needs_response"), settle("a", 10)),
        (90, 0, 10, 100),
    ),
    Scenario(
        "suspension is told before emptiness",
        (Step("dispute", "under_review"), hold("a", 1, status=403, says="disputed")),
        (0, 0, 0, 0),
    ),
    # --- 2.4 a model without a price
    Scenario(
        "a model without a price is a 400 that names the line to add",
        (top_up(100), Step("hold_unpriced", "a", status=400, says="[[prices]]")),
        (100, 0, 0, 100),
    ),
]  # fmt: skip
