"""Exchanges without a row: the newest of each id is found until its row is there."""

from appliance.actors.recent import Recent
from storage.frames import Position

ORG, OTHER = bytes(16), b"\1" * 16
START = Position(0, 0)


def noted(*places: tuple[str, Position], entries_max: int = 100) -> Recent:
    recent = Recent(entries_max)
    for request_id, position in places:
        recent.note(ORG, request_id, position, START)
    return recent


def test_found_by_organisation_and_id() -> None:
    recent = noted(("a", Position(1, 64)), ("b", Position(7, 2**35)))
    assert recent.find(ORG, "a") == Position(1, 64)
    assert recent.find(ORG, "b") == Position(7, 2**35)
    assert recent.find(OTHER, "a") is None
    assert recent.find(ORG, "c") is None


def test_the_newest_of_an_id() -> None:
    recent = noted(("a", Position(1, 64)), ("b", Position(1, 100)), ("a", Position(1, 200)))
    assert recent.find(ORG, "a") == Position(1, 200)
    recent.forget(Position(1, 150))
    assert recent.find(ORG, "a") == Position(1, 200)
    assert recent.find(ORG, "b") is None
    recent.forget(Position(1, 201))
    assert recent.find(ORG, "a") is None
    assert len(recent) == 0


def test_forgotten_when_their_rows_are_there() -> None:
    recent = noted(("a", Position(1, 64)), ("b", Position(1, 100)), ("c", Position(2, 64)))
    recent.note(ORG, "d", Position(2, 100), Position(1, 100))
    assert [recent.find(ORG, name) is not None for name in "abcd"] == [False, True, True, True]
    recent.forget(Position(2, 65))
    assert [recent.find(ORG, name) is not None for name in "abcd"] == [False, False, False, True]


def test_bounded() -> None:
    places = [(f"id-{number}", Position(1, 64 + number)) for number in range(10)]
    recent = noted(*places, entries_max=4)
    assert [name for name, _ in places if recent.find(ORG, name)] == [
        "id-6", "id-7", "id-8", "id-9",
    ]  # fmt: skip


def test_one_id_over_and_over_is_bounded_too() -> None:
    recent = noted(*[("same", Position(1, 64 + number)) for number in range(10)], entries_max=4)
    recent.note(ORG, "other", Position(1, 500), START)
    assert recent.find(ORG, "other") == Position(1, 500)
    assert recent.find(ORG, "same") == Position(1, 73)


def test_any_id_that_a_client_may_send() -> None:
    name = "\udcff\x00ü" * 10
    assert noted((name, Position(1, 64))).find(ORG, name) == Position(1, 64)
