"""What the endpoints about people ask of the process, beside the small tables themselves."""

from typing import Protocol

from appliance.core.keys import KeyInfo


class Accounts(Protocol):
    """Keys, passwords, attempts. None of these blocks the loop."""

    def regions(self) -> tuple[str, ...]:
        """Those that are kept here."""

    def secret(self, region: str) -> bytes:
        """Under which cookies of this region are signed."""

    def key(self, text: str) -> tuple[str, KeyInfo] | None:
        """The hash of a key on file, and whose it is."""

    def key_of_hash(self, key_hash: str) -> KeyInfo | None:
        """The same, of a session that was opened with a key."""

    def check_attempt(self, address: str, account: str) -> None:
        """Counts an attempt to sign in as one that failed. Raises Refusal 429."""

    def attempt_succeeded(self, address: str, account: str) -> None:
        """It did not fail."""

    async def hash_password(self, password: str) -> str:
        """How it is kept. Raises Refusal 503 when too many wait."""

    async def is_password(self, password: str, stored: str) -> bool:
        """Whether it is the one; takes as long where none is stored. Raises Refusal 503."""
