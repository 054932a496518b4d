"""What keeps a feature that breaks from breaking the request (ARCHITECTURE 3, Fail open).

A feature breaks when it raises what it does not promise, takes longer than it may, or gives back
what it must not. Open: the request goes on without it. Closed: it is refused. Either way the record
and the reply name it, with `failed` or `timeout`, and `feature_failures_total` counts it.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import TypeVar

import trio

from appliance.core.headers import REPLY_ERROR, REPLY_NOT_APPLIED
from appliance.errors import Refusal, UpstreamFailed
from appliance.exchange import Exchange, monotonic
from appliance.wire import Woken

T = TypeVar("T")

log = logging.getLogger(__name__)

# How long a request waits for what it can do without, and for what it cannot (a tier of keys, the
# gateway's tables on their first use). A payment may wait its turn near the limit of a budget
# (30 s) and for a commit (5 s).
OPEN_S = 5.0
SETTLE_S = 45.0  # beyond what the journal itself waits for a disk (`durability`)
CLOSED_S = 15.0
PAY_S = 45.0
# A feature that breaks for every request is told with its trace so often.
TOLD_EVERY_S = 10.0

# Not faults of a feature: its own no, the provider's failure, a deadline or a client who has left.
PROMISED = (Refusal, UpstreamFailed, Woken)

_told_s: dict[str, float] = {}


class Rubbish(Exception):  # noqa: N818 - a feature gave back what it must not
    """Of the type only: values may be secrets."""


def note(x: Exchange, missed: str) -> None:
    """Say once, in the reply and on the record, what was not applied: `<feature>;reason=<word>`."""
    if missed not in x.not_applied:
        x.not_applied.append(missed)
        x.reply_headers.append((REPLY_NOT_APPLIED, missed.encode()))


def broke(x: Exchange, feature: str, error: BaseException) -> str:
    """A feature broke in this way: noted, and told in the log. Gives the reason."""
    reason = "timeout" if isinstance(error, trio.TooSlowError) else "failed"
    note(x, f"{feature};reason={reason}")
    tell(feature, error)
    return reason


def tell(feature: str, error: BaseException) -> None:
    """In the log, with the trace, now and then: as many features, as many entries are kept."""
    now_s = monotonic()
    if now_s - _told_s.get(feature, -TOLD_EVERY_S) >= TOLD_EVERY_S:
        _told_s[feature] = now_s
        log.error("feature broke: %s", feature, exc_info=error)


def open_now(
    x: Exchange,
    feature: str,
    otherwise: T,
    kind: type[object] | tuple[type[object], ...],
    work: Callable[..., T],
    *arguments: object,
) -> T:
    """What `work` gives, which has to be of this `kind`; `otherwise` where it breaks. It never
    waits. Raises only what is promised (Refusal, UpstreamFailed, Woken)."""
    try:
        found = work(*arguments)
        if isinstance(found, kind):
            return found
        raise Rubbish(type(found).__name__)
    except PROMISED:
        raise
    except Exception as error:
        broke(x, feature, error)
    return otherwise


class Within:
    """`with Within(limit_s):` raises trio.TooSlowError after so long, as `trio.fail_after` does for
    three times the price: the gateway's path has several."""

    __slots__ = ("_scope",)

    def __init__(self, limit_s: float) -> None:
        self._scope = trio.CancelScope(deadline=trio.current_time() + limit_s)

    def __enter__(self) -> None:
        self._scope.__enter__()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._scope.__exit__(kind, error, trace)
        if self._scope.cancelled_caught:
            raise trio.TooSlowError


async def open_within(
    x: Exchange,
    feature: str,
    limit_s: float,
    otherwise: T,
    kind: type[object] | tuple[type[object], ...],
    work: Awaitable[T],
) -> T:
    """The same for what waits, for so long."""
    try:
        with Within(limit_s):
            found = await work
        if isinstance(found, kind):
            return found
        raise Rubbish(type(found).__name__)
    except PROMISED:
        raise
    except Exception as error:
        broke(x, feature, error)
    return otherwise


def closed(x: Exchange, feature: str, error: Exception) -> Refusal:
    """The refusal for a line without which the call must not be made: its own no, or, where it
    broke, one that names it. What it has found out by then is not told to anybody."""
    if isinstance(error, Refusal):
        return error
    if broke(x, feature, error) == "timeout":
        return Refusal(
            503, f"{feature}_timeout",
            f"This server did not get through with a part of its own in time ({feature}), so the "
            "call was not made. Try again; /healthcheck says what is broken.",
            headers={"Retry-After": "5"},
        )  # fmt: skip
    return Refusal(
        500, f"{feature}_failed",
        f"A part of this server failed ({feature}), so the call was not made. Its log has the "
        "details; the request was not at fault.",
        headers={REPLY_ERROR.decode(): "true"},  # proxy.md 3.3
    )  # fmt: skip
