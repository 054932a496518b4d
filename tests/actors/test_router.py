"""What routers remember of their targets, with a clock and dice of the test's own."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest

from appliance.actors import router as module
from appliance.actors.metrics import Metrics
from appliance.actors.router import Book, Router, Turn
from appliance.core.router_health import HealthRules
from appliance.core.router_plan import RouterPlan, RouterTarget

ORG, OTHER = b"o" * 16, b"p" * 16
ALL = (0, 1, 2)


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def router(clock: Clock, strategy: str = "weighted", **fields: Any) -> Router:
    targets = tuple(RouterTarget(name, name, weight=2 - n) for n, name in enumerate("abc"))
    rules = HealthRules(failures_max=3)
    plan = RouterPlan("r", targets, strategy, rules, **fields)  # type: ignore[arg-type]
    return Router(plan, Metrics().count, clock, random.Random(5).random)


def take(book: Book, *candidates: int, forced: bool = False) -> Turn:
    turn = book.pick(candidates or ALL, {}, forced=forced)
    assert turn is not None
    return turn


def fail(book: Book, index: int, times: int = 3) -> None:
    for _ in range(times):
        turn = take(book, index, forced=True)
        turn.bad(0.1)
        turn.end()


def shares(book: Book, calls: int = 3000) -> Counter[int]:
    counts: Counter[int] = Counter()
    for _ in range(calls):
        turn = take(book)
        counts[turn.index] += 1
        turn.good(0.1)
        turn.end()
    return counts


def test_weights() -> None:
    counts = shares(router(Clock()).book(ORG))
    assert counts[0] / 3000 == pytest.approx(2 / 3, abs=0.03)
    assert counts[2] == 0


def test_a_target_that_fails_gets_nothing_and_returns_by_one_probe() -> None:
    clock = Clock()
    book = router(clock).book(ORG)
    fail(book, 0)
    assert set(shares(book, 100)) == {1}
    clock.now_s += 31
    probe = take(book, 0)
    assert book.pick([0], {}) is None  # one at a time
    probe.good(0.1)
    assert book.pick([0], {}) is not None
    probe.end()


def test_a_probe_of_a_client_who_left_frees_the_next() -> None:
    clock = Clock()
    book = router(clock).book(ORG)
    fail(book, 0)
    clock.now_s += 31
    probe = take(book, 0)
    probe.end()
    probe.end()
    assert book.pick([0], {}) is not None


def test_a_limit_is_waited_for() -> None:
    clock = Clock()
    book = router(clock).book(ORG)
    turn = take(book, 0)
    turn.limited(12)
    turn.end()
    assert book.pick([0], {}) is None
    assert book.why_out(0) == "limited"
    clock.now_s += 12
    assert book.pick([0], {}) is not None


def test_with_all_out_the_one_that_is_back_soonest_is_asked_once() -> None:
    clock = Clock()
    book = router(clock).book(ORG)
    for index, wait_s in enumerate((50, 5, 500)):
        turn = take(book, index)
        turn.limited(wait_s)
        turn.end()
    assert book.pick(ALL, {}) is None
    assert take(book, forced=True).index == 1
    assert book.pick([], {}, forced=True) is None


def test_latency_counts_calls_under_way() -> None:
    clock = Clock()
    book = router(clock, "latency").book(ORG)
    held = [take(book, 0) for _ in range(9)]
    counts: Counter[int] = Counter()
    for _ in range(30):
        turn = take(book)
        counts[turn.index] += 1
        turn.end()
    assert counts[0] == 0  # whoever it meets has less to do
    for turn in held:
        turn.end()
    counts = Counter(shares(book, 300))
    assert counts[0] > 30


def test_a_slow_target_is_asked_less() -> None:
    book = router(Clock(), "latency").book(ORG)
    for index, seconds in enumerate((0.3, 0.5, 9.0)):
        turn = take(book, index)
        turn.good(seconds)
        turn.end()
    picked = Counter(_index(book) for _ in range(300))
    assert picked[0] > picked[1] > 0
    assert picked[2] == 0


@pytest.mark.parametrize("rest_s", [0, 3600])
def test_a_target_that_was_never_called_is_tried_at_once_and_by_one(rest_s: int) -> None:
    clock = Clock()
    book = router(clock, "latency").book(ORG)
    for index in (0, 1):
        turn = take(book, index)
        turn.good(0.005)  # far below what one would guess of a provider
        turn.end()
    clock.now_s += rest_s
    first = take(book, 1, 2)
    assert first.index == 2
    # It has not answered yet, and may hang: nobody else waits for it.
    assert {_index(book) for _ in range(100)} == {0, 1}
    first.end()


def test_a_new_target_that_answers_nothing_is_not_tried_again_and_again() -> None:
    book = router(Clock(), "latency").book(ORG)
    turn = take(book, 0)
    turn.good(0.005)
    turn.end()
    turn = take(book, 1)
    turn.bad(0.0001)  # refused at once: that makes it no quick one
    turn.end()
    take(book, 2).end()  # its client left
    for other in (1, 2):
        turn = take(book, 0, other)
        turn.end()
        assert turn.index == 0


def _index(book: Book) -> int:
    turn = take(book)
    turn.end()
    return turn.index


def test_the_cheapest_that_is_well() -> None:
    book = router(Clock(), "cost").book(ORG)
    prices = {0: 30, 1: 10, 2: None}
    assert book.pick(ALL, prices).index == 1  # type: ignore[union-attr]
    fail(book, 1)
    assert book.pick(ALL, prices).index == 0  # type: ignore[union-attr]
    fail(book, 0)
    assert book.pick(ALL, prices).index == 2  # type: ignore[union-attr]


def test_what_one_sees_says_nothing_to_others() -> None:
    one = router(Clock())
    fail(one.book(ORG), 0)
    assert one.book(ORG).pick([0], {}) is None
    assert one.book(OTHER).pick([0], {}) is not None
    assert one.book(ORG, b"client").pick([0], {}) is not None


def test_books_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BOOKS_MAX", 3)
    one = router(Clock())
    kept = one.book(ORG)
    for number in range(10):
        one.book(OTHER, b"%d" % number)
        assert one.book(ORG) is kept  # in use
    assert len(one._books) == 3


def test_gauges_name_who_is_out() -> None:
    one = router(Clock())
    fail(one.book(ORG), 0)
    turn = take(one.book(OTHER), 1)
    turn.limited(5)
    found = {(labels["target"], labels["why"]): value for _, labels, value in one.gauges()}
    assert {key for key, value in found.items() if value} == {("a", "open"), ("b", "limited")}


@pytest.mark.parametrize("seed", range(20))
def test_whatever_happens_nothing_stays_under_way(seed: int) -> None:
    dice, clock = random.Random(seed), Clock()
    book = router(clock, "latency").book(ORG)
    turns: list[Turn] = []
    for _ in range(300):
        clock.now_s += dice.random() * 5
        turn = book.pick(ALL, {}, forced=True)
        assert turn is not None
        turns.append(turn)
        while turns and dice.random() < 0.6:
            one = turns.pop(dice.randrange(len(turns)))
            verdict = dice.choice([lambda t: t.good(0.1), lambda t: t.bad(1.0), lambda t: None,
                                   lambda t: t.limited(3), lambda t: t.slow(2.0)])  # fmt: skip
            verdict(one)
            one.end()
    for turn in turns:
        turn.end()
    assert [standing.under_way for standing in book._standings] == [0, 0, 0]
    clock.now_s += 200
    for index in ALL:
        turn = take(book, index)
        turn.good(0.1)
        turn.end()
        assert book.why_out(index) == ""
