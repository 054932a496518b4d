"""The memory tier: bytes, entries, age, and who goes first."""

import pytest

from appliance.actors.cache_memory import ENTRY_SHARE, MemoryTier
from tests.actors.cache_kit import NOW_US, ORG, OTHER_ORG, SECOND_US, entry, key_of


def test_the_least_used_goes_first() -> None:
    tier = MemoryTier(bytes_max=100_000, entries_max=3)
    for name in "abc":
        tier.put(key_of(name), entry())
    assert tier.get(key_of("a"), NOW_US) is not None
    tier.put(key_of("d"), entry())
    assert [slot[-1:] for slot in tier.slots()] == [b"c", b"a", b"d"]
    assert tier.evicted == 1


def test_bytes_are_bounded_and_counted() -> None:
    tier = MemoryTier(bytes_max=50_000)
    for at in range(200):
        assert tier.put(key_of(at), entry(b"x" * (at * 7)))
        kept = [tier.get(slot, NOW_US) for slot in tier.slots()]
        assert tier.held_bytes == sum(one.held_bytes for one in kept if one) <= 50_000
    assert 10 < len(tier) < 200
    for slot in tier.slots():
        assert tier.drop(slot)
        assert not tier.drop(slot)
    assert (len(tier), tier.held_bytes) == (0, 0)


def test_a_second_answer_takes_the_place_of_the_first() -> None:
    tier = MemoryTier(bytes_max=50_000)
    tier.put(key_of("a"), entry(b"x" * 1000))
    second = entry(b"y")
    tier.put(key_of("a"), second)
    assert tier.get(key_of("a"), NOW_US) is second
    assert tier.held_bytes == second.held_bytes


def test_what_would_take_too_large_a_part_is_not_kept() -> None:
    tier = MemoryTier(bytes_max=80_000)
    tier.put(key_of("a"), entry())
    large = entry(b"x" * (80_000 // ENTRY_SHARE))
    assert not tier.put(key_of("b"), large)
    assert not tier.put(key_of("a"), large)
    assert len(tier) == 1


@pytest.mark.parametrize(("later_us", "found"), [(59_999_999, True), (60_000_000, False)])
def test_it_is_over_to_the_microsecond(later_us: int, found: bool) -> None:
    tier = MemoryTier(bytes_max=50_000)
    tier.put(key_of("a"), entry(age_s=60))
    assert (tier.get(key_of("a"), NOW_US + later_us) is not None) is found
    assert len(tier) == found


def test_a_clock_that_goes_back_ends_nothing() -> None:
    tier = MemoryTier(bytes_max=50_000)
    tier.put(key_of("a"), entry())
    assert tier.get(key_of("a"), NOW_US - 10 * SECOND_US) is not None


@pytest.mark.parametrize(
    ("org", "ids", "gone"),
    [
        (ORG, None, "ab"), (ORG, {b"1" * 16}, "a"), (ORG, {b"3" * 16}, ""),
        (OTHER_ORG, None, "c"), (b"q" * 16, None, ""), (OTHER_ORG, {b"1" * 16}, "c"),
        (None, {b"1" * 16}, "ac"),
    ],
)  # fmt: skip
def test_forgetting(org: bytes, ids: set[bytes] | None, gone: str) -> None:
    tier = MemoryTier(bytes_max=50_000)
    tier.put(key_of("a"), entry(exchange_id=b"1" * 16))
    tier.put(key_of("b"), entry(exchange_id=b"2" * 16))
    tier.put(key_of("c"), entry(exchange_id=b"1" * 16, org=OTHER_ORG))
    dropped = [slot for slot in tier.slots() if tier.drop_if(slot, org, ids)]
    assert dropped == [key_of(name) for name in gone]
    assert not tier.drop_if(key_of("z"), org, ids)
