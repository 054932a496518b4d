"""Slopes of `scripts/soak`: what grows is told from what only sways."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

from soak_slope import Slope, slope_of, tenths


def samples(per_hour: float, noise: float, *, count: int = 120) -> Slope:
    choose = random.Random(7)
    found = slope_of(
        [(n / count, 100 + per_hour * n / count + choose.gauss(0, noise)) for n in range(count)]
    )
    assert found is not None
    return found


@pytest.mark.parametrize("noise", [0.0, 1.0, 5.0])
@pytest.mark.parametrize("per_hour", [-30.0, 0.0, 30.0])
def test_the_interval_holds_the_slope(per_hour: float, noise: float) -> None:
    found = samples(per_hour, noise)
    assert found.low - 1e-6 <= per_hour <= found.high + 1e-6
    assert found.high - found.low <= 1.6 * noise + 1e-6


def test_what_wanders_is_less_sure_than_what_is_thrown() -> None:
    """Memory that is there stays there: samples that hang together are fewer than they are many."""
    choose = random.Random(7)
    at = 0.0
    wandering = []
    for n in range(120):
        at = 0.9 * at + choose.gauss(0, 1.0)
        wandering.append((n / 120, at))
    sorted_out = sorted((y for _, y in wandering), key=lambda _: choose.random())
    thrown = [(n / 120, y) for n, y in enumerate(sorted_out)]
    one, other = slope_of(wandering), slope_of(thrown)
    assert one is not None
    assert other is not None
    assert one.high - one.low > 2 * (other.high - other.low)
    assert one.low <= 0 <= one.high


def test_too_little_says_nothing() -> None:
    assert slope_of([(0.0, 1.0), (1.0, 2.0)]) is None
    assert slope_of([(1.0, float(n)) for n in range(20)]) is None


def test_tenths_hold_all_values_once() -> None:
    assert tenths([]) == []
    assert tenths([3.0, 5.0]) == [3.0, 5.0]
    assert tenths([float(n) for n in range(100)]) == [4.5 + 10 * n for n in range(10)]
    assert len(tenths([1.0] * 17)) == 10
