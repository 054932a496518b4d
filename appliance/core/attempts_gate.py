"""How often somebody may try to sign in: counted by address and by account, in fixed windows.

Plain state, time passed in. Only failures count, so whoever knows the password is held up by his
own slips alone; an account that somebody else is guessing at opens again with the window, and a
one-time link (`users reset`) opens it at once.
"""

from dataclasses import dataclass
from typing import Final

from appliance.core.forwarded import counted_as
from appliance.errors import Refusal

WINDOW_S: Final = 300.0
WRONG_PER_ADDRESS: Final = 30
WRONG_PER_ACCOUNT: Final = 10
TALLIES_MAX: Final = 8192


@dataclass(slots=True)
class _Tally:
    since_s: float
    wrong: int = 0


class AttemptsGate:
    """One per process."""

    def __init__(self) -> None:
        self._tallies: dict[tuple[str, str], _Tally] = {}

    def check(self, address: str, account: str, now_s: float) -> None:
        """Before a password is looked at. `now_s` is monotonic. Raises Refusal 429."""
        for key, most in self._keys(address, account):
            tally = self._tallies.get(key)
            if tally is None or now_s - tally.since_s >= WINDOW_S or tally.wrong < most:
                continue
            left_s = max(1, round(tally.since_s + WINDOW_S - now_s))
            raise Refusal(
                429, "sign_in_limited",
                f"Too many failed attempts to sign in. Try again in {left_s} seconds.",
                headers={"Retry-After": str(left_s)},
            )  # fmt: skip

    def wrong(self, address: str, account: str, now_s: float) -> None:
        """It failed; counted before the answer is known, and given back by `right`."""
        for key, _ in self._keys(address, account):
            tally = self._tallies.get(key)
            if tally is None or now_s - tally.since_s >= WINDOW_S:
                self._tallies.pop(key, None)
                if len(self._tallies) >= TALLIES_MAX:
                    del self._tallies[next(iter(self._tallies))]
                tally = self._tallies[key] = _Tally(now_s)
            tally.wrong += 1

    def right(self, address: str, account: str) -> None:
        """It did not fail after all: the account is free again, the address has one slip less."""
        for key, _ in self._keys(address, account):
            tally = self._tallies.get(key)
            if tally is None:
                continue
            tally.wrong = max(0, tally.wrong - 1)
            if key[0] == "account":
                del self._tallies[key]

    @staticmethod
    def _keys(address: str, account: str) -> list[tuple[tuple[str, str], int]]:
        found = [(("address", counted_as(address)), WRONG_PER_ADDRESS)]
        if account:
            found.append((("account", account), WRONG_PER_ACCOUNT))
        return found
