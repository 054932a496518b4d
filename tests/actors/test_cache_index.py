"""The map of what lies on disk: newest place, age, and files of which nothing is left."""

import pytest

from appliance.actors.cache_index import CacheIndex
from storage.cache_segment import place_of
from tests.actors.cache_kit import SECOND_US

A, B, C = b"a" * 16, b"b" * 16, b"c" * 17


def index() -> CacheIndex:
    made = CacheIndex()
    made.put(A, place_of(1, 32, 100))
    made.put(B, place_of(1, 900, 200))
    made.put(C, place_of(2, 32, 300))
    return made


@pytest.mark.parametrize(("now_s", "found"), [(99.9, True), (100.0, False)])
def test_what_is_over_is_not_there(now_s: float, found: bool) -> None:
    assert (index().get(A, int(now_s * SECOND_US)) is not None) is found


def test_the_newest_place_counts() -> None:
    made = index()
    old, new = place_of(1, 32, 100), place_of(2, 500, 400)
    made.put(A, new)
    assert made.get(A, 0) == new
    assert made.holds(A, new)
    assert not made.holds(A, old)
    assert not made.remove(A, old)
    made.drop_file(1)
    assert made.get(A, 0) == new
    assert made.get(B, 0) is None
    assert len(made) == 2
    assert made.remove(A, new)
    assert not made.remove(A, new)


def test_a_file_goes_with_all_that_lies_in_it() -> None:
    made = index()
    made.drop_file(1)
    made.drop_file(1)
    assert [made.get(slot, 0) is not None for slot in (A, B, C)] == [False, False, True]
    assert made.oldest_file() == 2


def test_idle_files() -> None:
    made = index()
    assert made.idle_files(199) == []
    assert made.idle_files(200) == [1]
    assert made.idle_files(300) == [1, 2]
    made.put(A, place_of(2, 500, 400))
    made.put(B, place_of(2, 600, 400))
    assert made.idle_files(0) == [1]  # written again elsewhere
    made.add_file(3)
    assert made.idle_files(0) == [1, 3]
    made.add_file(2)  # it has something already
    assert made.idle_files(0) == [1, 3]
    made.clear()
    assert (len(made), made.idle_files(9999)) == (0, [])
