"""What a strict fake answers, whatever format it speaks: worked out once from what it understood.

A format's own module reads requests to `Asked` and writes `Answer` in its words. So a test sees by
the answer alone that text, tools, images and thoughts have reached the provider as they were meant.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

TEXT = "Bonjour from the fake: naïve café ☕ 你好."
THOUGHT = "First I look, then I say it."
# What the provider signed its thought with: it knows no other.
SIGNATURE = "c2lnbmVkLWJ5LXRoZS1mYWtl"
ARGUMENTS = {"city": "Paris", "days": 2}
PIECES = 5


class Refused(Exception):  # noqa: N818 - an answer
    """The provider answers so instead; `kind` is its word for the error."""

    def __init__(self, status: int, message: str, kind: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.kind = kind


@dataclass
class Asked:
    """What was understood. `choice` is auto, none, required or the name of a tool; `results` are
    what tools said last, by name; `media` are the kinds of what was shown."""

    system: str = ""
    text: str = ""
    media: list[str] = field(default_factory=list)
    tools: list[str] = field(default_factory=list)
    choice: str = "auto"
    results: list[str] = field(default_factory=list)
    thinks: bool = False
    remembers: bool = False  # a signed thought came back


@dataclass
class Answer:
    """Thought, text and calls (name and arguments), in this order."""

    thought: str = ""
    text: str = ""
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)


def answer(asked: Asked) -> Answer:
    """The answer of a model that does as it is told."""
    thought = THOUGHT if asked.thinks else ""
    if asked.results:
        recalled = " I remember why." if asked.remembers else ""
        return Answer(thought, f"The tools said {', '.join(asked.results)}.{recalled}")
    if asked.tools and asked.choice != "none":
        named = [asked.choice] if asked.choice in asked.tools else asked.tools
        called = named if "both" in asked.text else named[:1]
        return Answer(thought, "", [(name, dict(ARGUMENTS)) for name in called])
    seen = f" I see {', '.join(asked.media)}." if asked.media else ""
    told = f" You are {asked.system}." if asked.system else ""
    return Answer(thought, TEXT + seen + told)


def pieces(text: str) -> Iterator[str]:
    """The text in pieces, as a stream brings it."""
    size = max(1, -(-len(text) // PIECES))
    for at in range(0, len(text), size):
        yield text[at : at + size]


def call_id(number: int) -> str:
    return f"call_fake_{number}"
