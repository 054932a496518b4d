"""A straight line through samples, how sure its slope is, and what it does not show."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

SAMPLES_MIN = 8
# Student's t for 95 % on both sides, by degrees of freedom.
STUDENT = (
    (3, 3.182), (4, 2.776), (6, 2.447), (8, 2.306), (10, 2.228), (15, 2.131), (20, 2.086),
    (30, 2.042), (60, 2.000), (100, 1.984),
)  # fmt: skip
FREEDOM_MIN = 3.0
COMMON_MAX = 0.95


@dataclass(frozen=True)
class Slope:
    """Of y over x, and the interval in which it lies with 95 %."""

    per_hour: float
    low: float
    high: float


def slope_of(pairs: Sequence[tuple[float, float]]) -> Slope | None:
    """Least squares. None: fewer than SAMPLES_MIN samples.

    What is sampled hangs together from one look to the next (memory that is there stays there), so
    that there are fewer free samples than looks: the deviation is widened by what the residuals
    have in common with their neighbours (an AR(1) process).
    """
    count = len(pairs)
    if count < SAMPLES_MIN:
        return None
    mean_x = sum(x for x, _ in pairs) / count
    mean_y = sum(y for _, y in pairs) / count
    spread = sum((x - mean_x) ** 2 for x, _ in pairs)
    if spread == 0:
        return None
    slope = sum((x - mean_x) * (y - mean_y) for x, y in pairs) / spread
    rest = [y - mean_y - slope * (x - mean_x) for x, y in pairs]
    squares = sum(one * one for one in rest)
    if squares == 0:
        return Slope(slope, slope, slope)
    common = sum(a * b for a, b in pairwise(rest)) / squares
    common = min(max(common, 0.0), COMMON_MAX)
    wider = (1 + common) / (1 - common)
    error = math.sqrt(squares / (count - 2) / spread * wider)
    reach = student(max(count / wider - 2, FREEDOM_MIN)) * error
    return Slope(slope, slope - reach, slope + reach)


def student(freedom: float) -> float:
    """The next smaller entry of the table: wide rather than narrow."""
    return [t for at, t in STUDENT if at <= freedom][-1]


def tenths(values: Sequence[float]) -> list[float]:
    """Means of ten parts of equal length, or of as many as there are values: what fills and then
    stays, or is freed from time to time, no straight line shows."""
    count = min(10, len(values))
    ends = [len(values) * part // count for part in range(count + 1)] if count else [0]
    return [sum(values[start:end]) / (end - start) for start, end in pairwise(ends)]
