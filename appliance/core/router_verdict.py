"""What a reply says of the target that gave it, and whether the next one is asked. Pure.

As internals.md 8.3: errors of the server count against a target, a 429 sets it aside, a client's
mistakes say nothing. A target that refuses its key is of no use to this caller either.
"""

from typing import Final, Literal

Verdict = Literal["good", "bad", "limited", "unknown"]

TOO_MANY_REQUESTS: Final = 429
# The key or the account at this target, and a server that waited for us too long.
REFUSES_CALLER: Final = frozenset({401, 402, 403, 408})
NOT_FOUND: Final = 404


def verdict_of(status: int | None) -> Verdict:
    """None: there was no reply."""
    if status == TOO_MANY_REQUESTS:
        return "limited"
    if status is None or status >= 500 or status in REFUSES_CALLER:
        return "bad"
    return "unknown" if status == NOT_FOUND else "good"


def goes_on(status: int) -> bool:
    """Whether another target could do better: not after a client's own mistake (400, 413, 422)."""
    return verdict_of(status) != "good"
