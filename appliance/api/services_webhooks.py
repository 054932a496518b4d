"""What the REST API asks of the process where webhooks are kept and tried."""

from typing import NamedTuple, Protocol

from storage.frames import Position
from storage.webhook_tables import WebhookRow


class Tried(NamedTuple):
    """One attempt, made at once. `problem` is "" where it was delivered."""

    status: int | None
    problem: str
    duration_ms: float


class Webhooks(Protocol):
    """The senders of all regions."""

    def check_destination(self, url: object, field: str) -> str:
        """The URL, which may be sent to by its name. Raises Refusal 422."""

    def seal(self, region: str, webhook_id: str, key: str) -> bytes:
        """An HMAC key as it is stored."""

    def recorded(self, region: str) -> Position:
        """Everything before it was recorded before this call."""

    def changed(self, region: str) -> None:
        """Webhooks or deliveries were changed in the tables."""

    async def test(self, region: str, row: WebhookRow) -> Tried:
        """Send a sample now, in 10 s at most."""
