"""Which target is asked, with chance handed in."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.core.router_policy import (
    View,
    by_weight,
    cheapest,
    choose,
    lighter_of_two,
    order_by_load,
)

VIEWS = st.lists(
    st.builds(
        View,
        index=st.integers(0, 99),
        weight=st.integers(0, 5),
        load_s=st.floats(0, 100),
        price=st.none() | st.integers(0, 9),
    ),
    min_size=1,
    max_size=16,
)
DICE = st.floats(0, 1, exclude_max=True)


@pytest.mark.parametrize(
    ("dice", "index"), [(0.0, 0), (0.49, 0), (0.5, 1), (0.74, 1), (0.75, 3), (0.999999, 3)]
)
def test_by_weight(dice: float, index: int) -> None:
    views = [View(0, 2), View(1, 1), View(2, 0), View(3, 1)]
    assert by_weight(views, lambda: dice).index == index


def test_without_weight_only_where_there_is_no_other() -> None:
    assert by_weight([View(4, 0), View(5, 0)], lambda: 0.9).index == 4
    assert by_weight([View(4, 0), View(5, 1)], lambda: 0.0).index == 5


def test_the_share_of_each_is_its_weight() -> None:
    dice = random.Random(7).random
    views = [View(0, 70), View(1, 20), View(2, 10)]
    counts = Counter(by_weight(views, dice).index for _ in range(10_000))
    for index, share in enumerate((0.7, 0.2, 0.1)):
        assert counts[index] / 10_000 == pytest.approx(share, abs=0.02)


def test_of_two_the_one_with_less_to_do() -> None:
    dice = random.Random(7).random
    views = [View(0, load_s=0.1), View(1, load_s=0.2), View(2, load_s=9.0)]
    counts = Counter(lighter_of_two(views, dice).index for _ in range(9_000))
    assert counts[0] / 9_000 == pytest.approx(2 / 3, abs=0.02)
    assert counts[1] / 9_000 == pytest.approx(1 / 3, abs=0.02)
    assert counts[2] == 0  # the slowest loses against anyone


def test_equals_share() -> None:
    dice = random.Random(7).random
    counts = Counter(lighter_of_two([View(0), View(1)], dice).index for _ in range(1_000))
    assert abs(counts[0] - counts[1]) < 100


@pytest.mark.parametrize(
    ("views", "index"),
    [
        ([View(0, price=5), View(1, price=3)], 1),
        ([View(0, price=None), View(1, price=3)], 1),
        ([View(0, price=None), View(1, price=0)], 1),
        ([View(0, load_s=2.0, price=3), View(1, load_s=1.0, price=3)], 1),
        ([View(0, load_s=2.0), View(1, load_s=1.0)], 1),
        ([View(0), View(1)], 0),
    ],
)
def test_the_cheapest(views: list[View], index: int) -> None:
    assert cheapest(views).index == index


@given(VIEWS, st.sampled_from(["weighted", "latency", "cost"]), st.lists(DICE, min_size=2))
def test_one_of_them_whatever_the_dice_say(views: list[View], strategy: str, dice: list[float]):
    rolls = iter(dice * 2)
    found = choose(strategy, views, lambda: next(rolls))  # type: ignore[arg-type]
    assert found in views
    if strategy == "weighted" and any(view.weight for view in views):
        assert found.weight
    if strategy == "cost" and any(view.price is not None for view in views):
        assert found.price == min(view.price for view in views if view.price is not None)


@given(VIEWS, st.integers(0, 1000))
def test_an_order_has_each_once(views: list[View], seed: int) -> None:
    dice = random.Random(seed).random
    found = order_by_load(views, dice)
    assert sorted(found, key=repr) == sorted(views, key=repr)
    if len(views) > 1:  # the one with most to do meets another in the first draw
        most = max(view.load_s for view in views)
        if sum(view.load_s == most for view in views) == 1:
            assert found[0].load_s != most
