"""What paying for a call asks of the parts that it is given."""

from __future__ import annotations

from typing import Any, Protocol


class Expected(Protocol):
    """How long answers are (`core/expected_output.py`)."""

    def note(self, model: str, user: str, tokens: int) -> None:
        """An answer was this long."""

    def tokens(self, model: str, user: str = "") -> int | None:
        """What an answer is expected to take."""


class Limits(Protocol):
    """What the registry knows of a model at a provider (`core.attempts.Endpoint`)."""

    @property
    def context_tokens(self) -> int:
        """What it reads; 0: not known."""

    @property
    def max_output_tokens(self) -> int:
        """What it writes; 0: not known."""


class Registry(Protocol):
    """What is asked of the model registry."""

    def endpoint(self, name: str, provider: str) -> Limits | None:
        """A model at one provider."""


class Captured(Protocol):
    """The reply's body as it was kept. `dropped`: why it was not."""

    dropped: str
    seen_bytes: int

    @property
    def in_blob(self) -> bool:
        """Whether it is not all in memory."""

    def joined(self) -> bytes:
        """What is in memory."""

    async def whole(self) -> bytes:
        """All of it."""


class Record(Protocol):
    """The record in the making."""

    @property
    def capture(self) -> Captured: ...

    def facts(self) -> dict[str, Any]:
        """Its metadata."""
