"""What `dev` knows of the calls that it has seen: the last ones, sums, and sessions as trees.

Pure. Everything in it is bounded, and every text is one that a terminal may be given.
"""

from collections import OrderedDict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from http import HTTPStatus
from typing import Any, Final, NamedTuple

from appliance.column_types import visible

CALLS_MAX: Final = 200
ERRORS_MAX: Final = 20
SESSIONS_MAX: Final = 20  # the one that was quiet for longest goes first
STEPS_MAX: Final = 100  # of one session; further paths count for the session alone
TEXT_CHARACTERS_MAX: Final = 120


class Call(NamedTuple):
    """One call that has ended, as it is shown. `cost_usd` None: it has no price."""

    at: str
    model: str
    status: str
    outcome: str
    tokens_in: str
    tokens_out: str
    cost_usd: Decimal | None
    latency_ms: float
    failed: bool
    why: str


@dataclass(slots=True)
class Step:
    """Calls of one path in a session."""

    calls: int = 0
    with_price: int = 0
    cost_usd: Decimal = Decimal(0)
    latency_ms: float = 0.0

    def add(self, call: Call) -> None:
        """One more."""
        self.calls += 1
        self.with_price += call.cost_usd is not None
        self.cost_usd += call.cost_usd or 0
        self.latency_ms += call.latency_ms


@dataclass(slots=True)
class Session:
    """A session and the paths in it, in the order in which they came."""

    name: str
    total: Step = field(default_factory=Step)
    steps: OrderedDict[str, Step] = field(default_factory=OrderedDict)


class Board:
    """`add` each row of `tail`; the rest is to be read."""

    def __init__(self) -> None:
        self.calls: deque[Call] = deque(maxlen=CALLS_MAX)
        self.errors: deque[Call] = deque(maxlen=ERRORS_MAX)
        self.sessions: OrderedDict[str, Session] = OrderedDict()
        self.total = Step()
        self.failed = 0
        self.without_price = 0
        self.tokens_in = 0
        self.tokens_out = 0

    def add(self, row: Mapping[str, Any]) -> None:
        """A call that has ended, by the names of columns."""
        call = _call(row)
        self.calls.append(call)
        self.total.add(call)
        self.tokens_in += int(row.get("prompt_tokens") or 0)
        self.tokens_out += int(row.get("completion_tokens") or 0)
        if call.failed:
            self.failed += 1
            self.errors.append(call)
        elif call.cost_usd is None:
            self.without_price += 1
        if row.get("session_id"):
            self._add_to_session(row, call)

    def _add_to_session(self, row: Mapping[str, Any], call: Call) -> None:
        known = shown(row["session_id"])
        session = self.sessions.pop(known, None) or Session(shown(row.get("session_name")) or known)
        self.sessions[known] = session
        while len(self.sessions) > SESSIONS_MAX:
            self.sessions.popitem(last=False)
        session.total.add(call)
        path = shown(row.get("session_path")) or "/"
        if path in session.steps or len(session.steps) < STEPS_MAX:
            session.steps.setdefault(path, Step()).add(call)


def shown(value: object) -> str:
    """Text that came from outside, as a terminal may have it; None is nothing."""
    if value is None:
        return ""
    text = str(value)
    cut = text[:TEXT_CHARACTERS_MAX]
    return visible(cut) + ("…" if len(text) > len(cut) else "")


def _call(row: Mapping[str, Any]) -> Call:
    status = row.get("http_status") or row.get("status")
    outcome = shown(row.get("outcome"))
    failed = outcome != "complete" or not 200 <= int(status or 0) <= 399
    cost = row.get("cost_usd")
    about = "~" if row.get("usage_source") == "estimated" else ""
    return Call(
        str(row.get("request_created_at") or "")[11:19],
        shown(row.get("model")) or "-",
        str(status or "-"),
        outcome,
        about + shown(row.get("prompt_tokens") or "?"),
        about + shown(row.get("completion_tokens") or "?"),
        None if cost is None else Decimal(str(cost)),
        float(row.get("latency_ms") or 0),
        failed,
        shown(row.get("error")) or _in_words(outcome, int(status or 0)),
    )


def _in_words(outcome: str, status: int) -> str:
    """A reply that came whole failed by its status alone."""
    if outcome != "complete":
        return outcome
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return f"{status} has no name" if status else "no status"
