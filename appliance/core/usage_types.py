"""Tokens by kind, the common shape that every dialect's usage is brought to (`backend.md 5.2`)."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Modality:
    """Tokens of one non-text modality."""

    input: int = 0
    cached_input: int = 0
    output: int = 0


@dataclass(frozen=True, slots=True)
class Usage:
    """Counts are net of each other: `input` is text that was neither cached nor written to a cache,
    `output` is text without reasoning. `cost_pico` is what the provider declared, in pico-USD."""

    input: int = 0
    output: int = 0
    cached_input: int = 0
    write_5m: int = 0
    write_1h: int = 0
    thinking: int = 0
    audio: Modality | None = None
    image: Modality | None = None
    video: Modality | None = None
    file: Modality | None = None
    web_search: int = 0
    requests: int = 1
    cost_pico: int | None = None


@dataclass(frozen=True, slots=True)
class Priced:
    """A price applied: integer pico-USD, or None when no price is known (never 0 for unknown)."""

    cost_pico: int | None
    source: str
    version: str
