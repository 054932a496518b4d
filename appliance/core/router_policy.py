"""Which of several targets is asked: by weight, by latency or by price (internals.md 8.3).

Pure: what is known of the targets is passed in, and so is chance.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

Strategy = Literal["weighted", "latency", "cost"]
Dice = Callable[[], float]


@dataclass(frozen=True, slots=True)
class View:
    """A target as the policies see it. `load_s`: the expected wait times the calls under way;
    `price`: of one and the same request at each target, None where it is not known."""

    index: int
    weight: int = 1
    load_s: float = 0.0
    price: int | None = None


def choose(strategy: Strategy, views: Sequence[View], dice: Dice) -> View:
    """One of them, at least one. `dice` gives numbers in [0, 1)."""
    if strategy == "latency":
        return lighter_of_two(views, dice)
    if strategy == "cost":
        return cheapest(views)
    return by_weight(views, dice)


def by_weight(views: Sequence[View], dice: Dice) -> View:
    """As often as its weight says. One without weight is taken only where there is no other."""
    total = sum(view.weight for view in views)
    left = dice() * total
    for view in views:
        left -= view.weight
        if left < 0:
            return view
    return views[0] if total == 0 else [view for view in views if view.weight][-1]


def lighter_of_two(views: Sequence[View], dice: Dice) -> View:
    """Of two taken at random the one with less to do: the quick are preferred, and no crowd runs
    to the one that was quickest a moment ago."""
    count = len(views)
    if count == 1:
        return views[0]
    first = int(dice() * count)
    second = int(dice() * (count - 1))
    second += second >= first
    return min(views[first], views[second], key=lambda view: view.load_s)


def cheapest(views: Sequence[View]) -> View:
    """The lowest price, among equals the one with less to do. An unknown price comes last."""
    return min(
        views, key=lambda view: (view.price is None, view.price or 0, view.load_s, view.index)
    )


def order_by_load(views: Sequence[View], dice: Dice) -> list[View]:
    """All of them, to be tried one after the other."""
    left = list(views)
    found = []
    while left:
        found.append(lighter_of_two(left, dice))
        left.remove(found[-1])
    return found
