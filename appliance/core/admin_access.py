"""The administration's key: compared in constant time, and only so often from one address.

Plain state, time passed in. What is counted are all calls and, more narrowly, wrong keys: guessing
is refused before it is compared.
"""

import hashlib
import hmac
from dataclasses import dataclass
from typing import Final

from appliance.core.credentials import without_bearer
from appliance.core.forwarded import counted_as
from appliance.errors import Refusal

CALLS_PER_MINUTE: Final = 120
WRONG_PER_MINUTE: Final = 10
ADDRESSES_MAX: Final = 4096
MINUTE_S: Final = 60.0
AUTHENTICATE: Final = {"WWW-Authenticate": 'Bearer realm="administration"'}


@dataclass(slots=True)
class _Tally:
    since_s: float
    calls: int = 0
    wrong: int = 0


class AdminGate:
    """One per process. Without a key in the configuration nobody is let in."""

    def __init__(self, admin_key: str | None) -> None:
        self._digest = _digest(admin_key) if admin_key else b""
        self._tallies: dict[str, _Tally] = {}

    def check(self, authorization: bytes | None, address: str, now_s: float) -> None:
        """Closed: raises Refusal 401, 429 or 500. `address` is the caller's, not that of a proxy
        in between; an IPv6 network of one's own counts as one. `now_s` is monotonic."""
        tally = self._tally(counted_as(address), now_s)
        tally.calls += 1
        if tally.calls > CALLS_PER_MINUTE or tally.wrong >= WRONG_PER_MINUTE:
            left_s = max(1, round(tally.since_s + MINUTE_S - now_s))
            raise Refusal(
                429, "admin_rate_limited",
                f"Administration: too many calls, or wrong keys. Try again in {left_s} seconds.",
                headers={"Retry-After": str(left_s)},
            )  # fmt: skip
        if not self._digest:
            raise Refusal(  # 500 as Helicone's (`internals.md 2.8`)
                500, "admin_closed",
                "Administration over HTTP is closed: set admin_key in the configuration, or use "
                "the helicone-appliance command on the machine itself.",
            )  # fmt: skip
        given = without_bearer(authorization) if authorization else ""
        # Digests, so that the time tells nothing of a length either.
        if not hmac.compare_digest(_digest(given), self._digest):
            tally.wrong += 1
            raise Refusal(
                401, "admin_key_wrong",
                "Administration asks for admin_key, as `Authorization: Bearer …`.",
                headers=AUTHENTICATE,
            )  # fmt: skip

    def _tally(self, address: str, now_s: float) -> _Tally:
        found = self._tallies.get(address)
        if found is None or now_s - found.since_s >= MINUTE_S:
            self._tallies.pop(address, None)
            if len(self._tallies) >= ADDRESSES_MAX:
                del self._tallies[next(iter(self._tallies))]
            found = self._tallies[address] = _Tally(now_s)
        return found


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()
