"""The disk tier of the response cache: what comes back, what is torn, what goes first, what is
forgotten, with and without encryption."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.cache_segment import (
    HEADER_BYTES,
    RECORD_BYTES,
    CacheUnreadable,
    Header,
    encode_header,
    number_of,
    offset_of,
)
from storage.cache_store import SEGMENTS_MAX, CacheStore, Record
from storage.vault import SegmentKeys
from tests.storage.journal_kit import BROKEN, KEYS, NO_SPACE, ORG, FaultyDisk

both = pytest.mark.parametrize("keys", [None, KEYS], ids=["plain", "sealed"])
OTHER_ORG = b"p" * 16
MIB = 1024 * 1024


def opened(path: Path, keys: SegmentKeys | None = None, **other: Any) -> CacheStore:
    given: dict[str, Any] = {"bytes_max": 64 * MIB, "free_bytes_min": 0} | other
    store = CacheStore(path / "cache", given.pop("bytes_max"), keys, **given)
    store.open()
    return store


def record(name: str, data: bytes = b"planted text " * 20, *, org: bytes = ORG) -> Record:
    return Record(
        name.encode().ljust(16, b"."), org, b"exchange" + name.encode().ljust(8), 1000, data
    )


def places_of(store: CacheStore) -> dict[bytes, int]:
    """As a start learns them."""
    return dict(found for number in store.open() for found in store.scan(number))


def files(path: Path) -> list[Path]:
    return sorted((path / "cache").iterdir())


def noise(size: int) -> bytes:
    return os.urandom(size)


@both
@pytest.mark.parametrize("size", [1, 1000, 16 * 1024, 300_000])
def test_a_reply_comes_back_also_after_a_restart(
    tmp_path: Path, keys: SegmentKeys | None, size: int
) -> None:
    store = opened(tmp_path, keys)
    records = [record(f"{at}", noise(size)) for at in range(3)]
    places = store.write(records)
    for one, place in zip(records, places, strict=True):
        assert place is not None
        assert store.read(one.slot, place) == one.data
    store.close()
    again = opened(tmp_path, keys)
    assert places_of(again) == {r.slot: p for r, p in zip(records, places, strict=True)}
    assert [again.read(r.slot, p) for r, p in zip(records, places, strict=True)] == [  # type: ignore[arg-type]
        r.data for r in records
    ]
    assert again.held_bytes == sum(path.stat().st_size for path in files(tmp_path))


def test_a_bucket_is_part_of_the_slot(tmp_path: Path) -> None:
    store = opened(tmp_path)
    slots = [b"s" * 16, b"s" * 16 + b"\x01", b"s" * 16 + b"\x13"]
    places = store.write([record("x", bytes([at]))._replace(slot=s) for at, s in enumerate(slots)])
    assert places_of(opened(tmp_path)) == dict(zip(slots, places, strict=True))
    assert store.read(slots[1], places[1]) == b"\x01"  # type: ignore[arg-type]
    with pytest.raises(CacheUnreadable):
        store.read(slots[0], places[1])  # type: ignore[arg-type]


@both
def test_text_is_compressed_and_sealed(tmp_path: Path, keys: SegmentKeys | None) -> None:
    store = opened(tmp_path, keys)
    store.write([record("a", noise(40) + b"planted text" * 10_000)])
    data = files(tmp_path)[0].read_bytes()
    assert len(data) < 1000
    assert (b"planted" in data) is (keys is None)
    assert files(tmp_path)[0].stat().st_mode & 0o777 == 0o600


def test_the_same_twice_differs_on_disk(tmp_path: Path) -> None:
    store = opened(tmp_path, KEYS)
    first, second = store.write([record("a"), record("a")])
    assert first is not None
    assert second is not None
    data = files(tmp_path)[0].read_bytes()
    size = offset_of(second) - offset_of(first) - RECORD_BYTES
    stored = [data[offset_of(p) + RECORD_BYTES :][:size] for p in (first, second)]
    assert stored[0] != stored[1]


@both
def test_torn_at_every_byte(tmp_path: Path, keys: SegmentKeys | None) -> None:
    store = opened(tmp_path, keys)
    records = [record(f"{at}", b"x" * 30) for at in range(2)]
    places = store.write(records)
    store.close()
    path = files(tmp_path)[0]
    whole = path.read_bytes()
    second = offset_of(places[1])  # type: ignore[arg-type]
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        again = opened(tmp_path, keys)
        found = places_of(again)
        assert len(found) == (0 if size < second else 1)
        for slot, place in found.items():
            assert again.read(slot, place) == b"x" * 30
        # What nobody can read is not kept either.
        assert not path.exists() or path.stat().st_size in (HEADER_BYTES, second)


@both
def test_a_changed_byte_is_a_miss_or_cuts_the_rest(
    tmp_path: Path, keys: SegmentKeys | None
) -> None:
    store = opened(tmp_path, keys)
    records = [record(f"{at}", noise(20)) for at in range(3)]
    places = store.write(records)
    store.close()
    path = files(tmp_path)[0]
    whole = path.read_bytes()
    begin, end = (offset_of(p) for p in places[1:])  # type: ignore[arg-type]
    for at in range(begin, end):
        changed = bytearray(whole)
        changed[at] ^= 0x10
        path.write_bytes(changed)
        again = opened(tmp_path, keys)
        found = places_of(again)
        assert records[0].slot in found
        for one in records:
            if (place := found.get(one.slot)) is not None:
                try:
                    assert again.read(one.slot, place) == one.data
                except CacheUnreadable:
                    assert one is records[1]


def test_a_page_of_zeros_is_no_record(tmp_path: Path) -> None:
    store = opened(tmp_path)
    place = store.write([record("a")])[0]
    store.close()
    path = files(tmp_path)[0]
    path.write_bytes(path.read_bytes() + bytes(4096))
    assert places_of(opened(tmp_path)) == {record("a").slot: place}
    path.write_bytes(bytes(4096))
    assert places_of(opened(tmp_path)) == {}
    assert files(tmp_path) == []


def test_a_file_is_only_appended_to_by_who_made_it(tmp_path: Path) -> None:
    for at in range(3):
        opened(tmp_path, KEYS).write([record(f"{at}")])
    assert len(files(tmp_path)) == 3
    assert len(places_of(opened(tmp_path, KEYS))) == 3


@pytest.mark.parametrize(
    ("before", "after"),
    [(None, KEYS), (KEYS, None), (KEYS, SegmentKeys(3, {3: b"3" * 32}))],
    ids=["encryption was turned on", "or off", "the key is gone"],
)
def test_files_of_other_keys_are_removed(
    tmp_path: Path, before: SegmentKeys | None, after: SegmentKeys | None
) -> None:
    opened(tmp_path, before).write([record("a")])
    store = opened(tmp_path, after)
    assert places_of(store) == {}
    assert files(tmp_path) == []
    place = store.write([record("b")])[0]
    assert store.read(record("b").slot, place) == record("b").data  # type: ignore[arg-type]


@pytest.mark.parametrize("what", ["format", "name", "header"])
def test_files_that_are_not_as_they_should_be(tmp_path: Path, what: str) -> None:
    opened(tmp_path).write([record("a")])
    path = files(tmp_path)[0]
    data = bytearray(path.read_bytes())
    data[8 if what == "format" else 30] ^= 0x40
    stranger = tmp_path / "cache" / "notes.txt"
    stranger.write_text("mine")
    if what == "name":
        path.rename(path.with_name("0000000009.seg"))
    else:
        path.write_bytes(data)
    opened(tmp_path)
    assert files(tmp_path) == [stranger]


def test_a_new_epoch_begins_a_new_file(tmp_path: Path) -> None:
    keys = SegmentKeys(1, dict(KEYS.epochs))
    store = opened(tmp_path, keys)
    first = store.write([record("a")])[0]
    keys.current = 2
    second = store.write([record("b")])[0]
    assert first is not None
    assert second is not None
    assert number_of(first) != number_of(second)
    assert store.read(record("a").slot, first) == record("a").data
    assert len(places_of(opened(tmp_path, SegmentKeys(2, {2: KEYS.epochs[2]})))) == 1


@both
def test_the_oldest_goes_first(tmp_path: Path, keys: SegmentKeys | None) -> None:
    store = opened(tmp_path, keys, bytes_max=100_000, segment_bytes_max=20_000)
    records = [record(f"{at}", noise(3000)) for at in range(60)]
    places = [place for one in records for place in store.write([one])]
    assert 60_000 < store.held_bytes <= 100_000
    assert sum(path.stat().st_size for path in files(tmp_path)) == store.held_bytes
    dropped = set(store.take_dropped())
    assert store.take_dropped() == []
    left = [p for p in places if p is not None and number_of(p) not in dropped]
    assert left == places[-len(left) :]
    assert len(left) >= 20
    assert store.read(records[-1].slot, places[-1]) == records[-1].data  # type: ignore[arg-type]
    with pytest.raises(CacheUnreadable):
        store.read(records[0].slot, places[0])  # type: ignore[arg-type]


def test_a_smaller_bound_holds_from_the_start(tmp_path: Path) -> None:
    store = opened(tmp_path, segment_bytes_max=20_000)
    store.write([record(f"{at}", noise(3000)) for at in range(60)])
    store.close()
    store = opened(tmp_path, bytes_max=50_000)
    assert 0 < store.held_bytes <= 50_000


def test_files_fill_up_before_the_next_begins(tmp_path: Path) -> None:
    store = opened(tmp_path, segment_bytes_max=20_000)
    store.write([record(f"{at}", noise(3000)) for at in range(12)])
    sizes = [path.stat().st_size for path in files(tmp_path)]
    assert len(sizes) == 2
    assert all(size <= 20_000 for size in sizes)


def test_what_is_too_large_is_not_taken(tmp_path: Path) -> None:
    store = opened(tmp_path, bytes_max=100_000)
    places = store.write([record("a", noise(24_000)), record("b", noise(26_000)), record("c")])
    assert [place is None for place in places] == [False, True, False]


def test_many_short_lives_leave_a_bounded_number_of_files(tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    for number in range(1, SEGMENTS_MAX + 5):
        header = encode_header(Header(number, 0, bytes(16)))
        (tmp_path / "cache" / f"{number:010}.seg").write_bytes(header)
    store = opened(tmp_path)
    assert len(files(tmp_path)) == SEGMENTS_MAX
    store.write([record("b")])
    assert len(files(tmp_path)) == SEGMENTS_MAX
    assert record("b").slot in places_of(store)


@both
def test_forgetting_leaves_no_trace(tmp_path: Path, keys: SegmentKeys | None) -> None:
    store = opened(tmp_path, keys, segment_bytes_max=2000)
    secrets = [noise(300) for _ in range(6)]
    records = [record(f"{at}", secret) for at, secret in enumerate(secrets)]
    records[1] = records[1]._replace(org=OTHER_ORG)
    places = store.write(records)
    old = store.write([records[2]])  # the first writing of it is not to be read any more
    everything = b"".join(path.read_bytes() for path in files(tmp_path))
    assert (secrets[2] in everything) is (keys is None)

    wanted = {records[2].exchange_id, records[4].exchange_id, records[1].exchange_id}
    found = store.find(ORG, wanted)
    assert {place for _, place in found} == {places[2], places[4], old[0]}
    store.erase([place for _, place in found])
    store.erase([place for _, place in found])  # again, as after a crash

    everything = b"".join(path.read_bytes() for path in files(tmp_path))
    for at in (2, 4):
        assert secrets[at] not in everything
        assert records[at].slot not in everything
        assert records[at].exchange_id not in everything
    assert records[1].exchange_id in everything
    left = places_of(opened(tmp_path, keys))
    assert left.keys() == {records[at].slot for at in (0, 1, 3, 5)}
    assert all(store.read(slot, place) for slot, place in left.items())
    for at in (2, 4):
        with pytest.raises(CacheUnreadable):
            store.read(records[at].slot, places[at])  # type: ignore[arg-type]
    assert store.find(ORG, wanted) == []
    assert len(store.find(ORG, None)) == 3
    assert len(store.find(OTHER_ORG, None)) == 1


def test_a_deletion_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    disk = FaultyDisk()
    store = opened(tmp_path, disk=disk)
    place = store.write([record("a")])[0]
    disk.fail_fsync = lambda name: BROKEN
    with pytest.raises(OSError, match="broken"):
        store.erase([place])  # type: ignore[list-item]


@both
@pytest.mark.parametrize("failure", [NO_SPACE, BROKEN, 40], ids=["full", "broken", "short"])
def test_a_failed_write_leaves_what_was_before(
    tmp_path: Path, keys: SegmentKeys | None, failure: OSError | int
) -> None:
    disk = FaultyDisk()
    store = opened(tmp_path, keys, disk=disk)
    first = store.write([record("a")])[0]
    disk.fail_write = lambda name: failure
    with pytest.raises(OSError):
        store.write([record("b")])
    disk.fail_write = lambda name: None
    assert store.held_bytes == sum(path.stat().st_size for path in files(tmp_path))
    assert store.read(record("a").slot, first) == record("a").data  # type: ignore[arg-type]
    third = store.write([record("c")])[0]
    assert number_of(third) != number_of(first)  # type: ignore[arg-type]
    assert places_of(store) == {record("a").slot: first, record("c").slot: third}
    assert store.held_bytes == sum(path.stat().st_size for path in files(tmp_path))


def test_a_file_that_could_not_even_begin_is_gone(tmp_path: Path) -> None:
    disk = FaultyDisk()
    store = opened(tmp_path, disk=disk)
    disk.fail_write = lambda name: 3
    with pytest.raises(OSError):
        store.write([record("a")])
    assert files(tmp_path) == []
    assert store.held_bytes == 0


def test_the_cache_is_the_first_to_do_without(tmp_path: Path) -> None:
    disk = FaultyDisk()
    store = opened(tmp_path, disk=disk, segment_bytes_max=1000, free_bytes_min=MIB)
    places = store.write([record(f"{at}", noise(800)) for at in range(5)])
    store.close()
    disk.free = MIB - 1
    with pytest.raises(OSError) as raised:
        store.write([record("x")])
    assert raised.value.errno == errno.ENOSPC
    store.shrink()
    assert store.take_dropped() == [number_of(p) for p in places[:3] if p is not None]
    assert len(files(tmp_path)) == 2
    for _ in range(3):
        store.shrink()
    assert files(tmp_path) == []
    assert store.held_bytes == 0
    disk.free = MIB
    assert store.write([record("x")]) != [None]


def test_a_dropped_file_is_not_read(tmp_path: Path) -> None:
    store = opened(tmp_path)
    place = store.write([record("a")])[0]
    assert place is not None
    store.drop(number_of(place))
    store.drop(number_of(place))
    with pytest.raises(CacheUnreadable):
        store.read(record("a").slot, place)
    assert store.find(ORG, None) == []
    store.erase([place])


operations = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.lists(st.integers(0, 9), max_size=3)),
        st.tuples(st.just("erase"), st.integers(0, 9)),
        st.tuples(st.just("restart"), st.integers(0, 400)),
    ),
    max_size=12,
)


@given(operations, st.booleans())
@settings(max_examples=40, deadline=None)
def test_it_gives_what_was_last_written_or_nothing(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, Any]], sealed: bool
) -> None:
    path, keys = tmp_path_factory.mktemp("model"), KEYS if sealed else None
    store = opened(path, keys, segment_bytes_max=600)
    known: dict[bytes, int] = {}
    last: dict[bytes, bytes] = {}
    for count, (what, value) in enumerate(steps):
        if what == "write":
            records = [record(str(name), b"%d %d" % (count, name) * 9) for name in value]
            for one, place in zip(records, store.write(records), strict=True):
                assert place is not None
                known[one.slot], last[one.slot] = place, one.data
        elif what == "erase":
            slot = record(str(value)).slot
            found = store.find(ORG, {record(str(value)).exchange_id})
            store.erase([place for _, place in found])
            known.pop(slot, None)
            last.pop(slot, None)
        else:
            store.close()
            for file in files(path)[-1:]:  # the newest is torn
                os.truncate(file, max(0, file.stat().st_size - value))
            store = opened(path, keys, segment_bytes_max=600)
            known = dict(found for number in store.open() for found in store.scan(number))
        for slot, place in known.items():
            if what == "restart":
                last[slot] = store.read(slot, place)
            assert store.read(slot, place) == last[slot]
    store.close()
