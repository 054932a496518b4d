"""The figures of a benchmark: printed as they come, and once more as a table with their goals."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Figure:
    """`goal` None: told for comparison. Otherwise the value must not be above it, or below it."""

    name: str
    value: float
    unit: str
    goal: float | None
    at_least: bool

    @property
    def is_met(self) -> bool:
        if self.goal is None:
            return True
        return self.value >= self.goal if self.at_least else self.value <= self.goal

    def __str__(self) -> str:
        sign = ">=" if self.at_least else "<="
        wanted = "" if self.goal is None else f"{sign} {shown(self.goal)}"
        verdict = "" if self.goal is None else "met" if self.is_met else "MISSED"
        return f"{self.name:58s} {shown(self.value):>9s} {self.unit:9s} {wanted:>10s}  {verdict}"


@dataclass
class Report:
    """What the parts found."""

    figures: list[Figure] = field(default_factory=list)

    def heading(self, text: str) -> None:
        print(f"\n== {text}", flush=True)

    def note(self, text: str) -> None:
        print(f"   {text}", flush=True)

    def figure(
        self,
        name: str,
        value: float,
        unit: str,
        *,
        at_most: float | None = None,
        at_least: float | None = None,
    ) -> None:
        goal = at_most if at_least is None else at_least
        found = Figure(name, value, unit, goal, at_least is not None)
        self.figures.append(found)
        print(f"   {found}", flush=True)

    def table(self) -> int:
        """All of them; how many missed their goal."""
        print("\n== all figures")
        for figure in self.figures:
            print(f"   {figure}")
        missed = sum(not figure.is_met for figure in self.figures)
        print(f"   {missed} of {sum(f.goal is not None for f in self.figures)} goals missed")
        return missed


def shown(value: float) -> str:
    """Three digits that matter, and no more."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.3f}"


def median(items: Sequence[T], of: Callable[[T], float]) -> float:
    return statistics.median(of(item) for item in items)
