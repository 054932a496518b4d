"""Replies on their way into the cache: bounded each, and all together."""

import pytest

from appliance.actors import cache_collect as module
from appliance.actors.cache_collect import CollectBudget, Collecting
from appliance.core.cache_entry import OBJECT_BYTES


def test_pieces_are_kept_as_they_came() -> None:
    budget = CollectBudget(10_000)
    collecting = Collecting(budget)
    for piece in (b"a", b"bc", b"d" * 100):
        collecting.add(piece)
    assert collecting.pieces == [b"a", b"bc", b"d" * 100]
    assert budget.held_bytes == 103 + 3 * OBJECT_BYTES
    collecting.release()
    collecting.release()
    assert (budget.held_bytes, collecting.pieces, collecting.why_not) == (0, [], "")


@pytest.mark.parametrize(
    ("entry_max", "all_max", "why"), [(900, 5000, "too-large"), (5000, 900, "memory")]
)
def test_too_much_is_let_go_at_once(
    monkeypatch: pytest.MonkeyPatch, entry_max: int, all_max: int, why: str
) -> None:
    monkeypatch.setattr(module, "ENTRY_BYTES_MAX", entry_max)
    budget = CollectBudget(all_max)
    collecting = Collecting(budget)
    collecting.add(b"x" * 500)
    collecting.add(b"x" * 500)
    assert (collecting.why_not, collecting.pieces, budget.held_bytes) == (why, [], 0)
    collecting.add(b"x")
    assert (collecting.pieces, budget.refused) == ([], 1)


def test_one_does_not_take_all_from_the_next() -> None:
    budget = CollectBudget(1000)
    first, second = Collecting(budget), Collecting(budget)
    first.add(b"x" * 600)
    second.add(b"x" * 600)
    assert (first.why_not, second.why_not) == ("", "memory")
    first.release()
    third = Collecting(budget)
    third.add(b"x" * 600)
    assert third.pieces


def test_many_small_pieces_count_for_what_they_take() -> None:
    budget = CollectBudget(10_000)
    collecting = Collecting(budget)
    for _ in range(1000):
        collecting.add(b"x")
    assert collecting.why_not == "memory"
