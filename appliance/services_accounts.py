"""Keys, passwords and attempts for the endpoints about people.

Argon2 takes a twentieth of a second and 19 MiB: it runs in a thread (it releases the GIL), one at a
time, and only so many may wait.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, TypeVar

import trio

from appliance.core.attempts_gate import AttemptsGate
from appliance.core.keys import KEY_CHARACTERS_MAX, KeyInfo, hash_key
from appliance.core.passwords import hash_password, is_password
from appliance.errors import Refusal

T = TypeVar("T")

WAITING_MAX: Final = 16
COOKIE_PURPOSE: Final = b"session cookies"


class AccountsOf:
    """`secrets` make the key of each region under which its cookies are signed; `lookup`: what the
    key rings say of a hash."""

    def __init__(
        self,
        secrets: Mapping[str, Callable[[], bytes]],
        lookup: Callable[[str], KeyInfo | None],
    ) -> None:
        self._make = secrets
        self._secrets: dict[str, bytes] = {}
        self._lookup = lookup
        self._gate = AttemptsGate()
        self._limiter = trio.CapacityLimiter(1)
        self._nobodys = ""

    def regions(self) -> tuple[str, ...]:
        """Those that are kept here."""
        return tuple(self._make)

    def secret(self, region: str) -> bytes:
        """Made when first asked for."""
        if region not in self._secrets:
            self._secrets[region] = self._make[region]()
        return self._secrets[region]

    def key(self, text: str) -> tuple[str, KeyInfo] | None:
        """The hash of a key on file, and whose it is."""
        text = text.strip().removeprefix("Bearer ").strip()
        if len(text) > KEY_CHARACTERS_MAX:
            return None
        hashed = hash_key(text)
        info = self._lookup(hashed)
        return None if info is None else (hashed, info)

    def key_of_hash(self, key_hash: str) -> KeyInfo | None:
        """Whose key has this hash."""
        return self._lookup(key_hash)

    def check_attempt(self, address: str, account: str) -> None:
        """Counted at once: attempts that are under way together do not all pass."""
        now_s = trio.current_time()
        self._gate.check(address, account, now_s)
        self._gate.wrong(address, account, now_s)

    def attempt_succeeded(self, address: str, account: str) -> None:
        """Not counted after all."""
        self._gate.right(address, account)

    async def hash_password(self, password: str) -> str:
        """In a thread."""
        return await self._slowly(lambda: hash_password(password))

    async def is_password(self, password: str, stored: str) -> bool:
        """In a thread. Where nobody has a password the time must not tell so."""
        if stored:
            return await self._slowly(lambda: is_password(password, stored))
        if not self._nobodys:
            self._nobodys = await self.hash_password("nobody has this password")
        nobodys = self._nobodys
        await self._slowly(lambda: is_password(password, nobodys))
        return False

    async def _slowly(self, work: Callable[[], T]) -> T:
        if self._limiter.statistics().tasks_waiting >= WAITING_MAX:
            raise Refusal(
                503, "sign_in_busy", "Too many sign in at this moment: try again in a few seconds.",
                headers={"Retry-After": "3"},
            )  # fmt: skip
        return await trio.to_thread.run_sync(work, limiter=self._limiter)
