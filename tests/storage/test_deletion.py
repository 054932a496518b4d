"""Deleted exchanges leave no byte behind, wherever the deletion was cut short."""

import itertools
import os
from pathlib import Path

import msgspec
import pytest

from storage import deletion
from storage.blobs import Blobs
from storage.deletion import Selector
from storage.frames import (
    FLAG_REWRITTEN,
    KIND_COST,
    KIND_DELETION,
    KIND_ERASED,
    KIND_EXCHANGE,
    KIND_SCORE,
    Position,
)
from storage.lake import Lake, intent
from storage.roll import DeletionPending, deletion_hashes, roll
from storage.segment import segment_path
from storage.vault import SegmentKeys
from tests.storage.lake_kit import (
    DELETION_KEY,
    KEYS,
    ORG,
    OTHER_ORG,
    START_US,
    Derive,
    all_bytes,
    exchange,
    exchange_id,
    journal,
    lake_rows,
    make_blob,
    open_lake,
    write_segment,
)

PLANTED = "zanzibar-4711"
COLD, HOT = exchange_id(1, START_US), exchange_id(11, START_US)
KEPT = "a text that stays"


class Died(Exception):  # noqa: N818
    """Stands for the process ending at that step."""


def _secret(number: int) -> bytes:
    texts = {"request": f"{PLANTED} asks", "response": f"{PLANTED} answers"}
    return exchange(number, START_US, user_id=PLANTED, **texts)


def _comment(of: bytes, kind: int = KIND_SCORE) -> tuple[int, int, bytes]:
    edit = {"exchange_id": of, "request_id": None, "name": PLANTED, "value": 1.0}
    return kind, 0, msgspec.msgpack.encode({**edit, "edited_at_us": START_US})


def _intents(*exchange_ids: bytes) -> list[tuple[int, int, bytes]]:
    return [(KIND_DELETION, 0, intent(DELETION_KEY, i, START_US)) for i in exchange_ids]


def planted_root(root: Path, keys: SegmentKeys | None) -> Lake:
    """The text lies in the lake, in the journal, in blobs, edits, quarantine and a leftover."""
    planted, stays = make_blob(root, f"{PLANTED} blob", keys), make_blob(root, KEPT, keys)
    (root / "quarantine").mkdir()
    (root / "quarantine" / "00000000-77.torn").write_text(PLANTED)
    cold = [_secret(1), *(exchange(n) for n in range(2, 6)), _comment(COLD)]
    write_segment(root, cold, keys=keys)
    lake = open_lake(root, keys)
    roll(lake, Derive(root, keys), upto=1)
    lake.tidy(lake.manifest.generation)
    texts = {"request": f"{PLANTED} hot", "response": f"{PLANTED} blob"}
    hot = [
        exchange(11, START_US, user_id=PLANTED, blob=planted, **texts),
        exchange(12, START_US, response=KEPT, blob=stays),
        _comment(HOT),
    ]  # fmt: skip
    write_segment(root, hot, keys=keys)
    (root / "tmp" / "lake-bodies-0.parquet").write_text(PLANTED)
    return lake


@pytest.mark.parametrize("keys", [None, KEYS], ids=["plain", "encrypted"])
def test_no_file_holds_the_text_afterwards(tmp_path: Path, keys: SegmentKeys | None):
    lake = planted_root(tmp_path, keys)
    found = deletion.find(lake, Selector(user_id=PLANTED))
    assert found == {COLD: ORG, HOT: ORG}
    write_segment(tmp_path, _intents(*found), keys=keys)

    deleted = deletion.apply(lake)
    lake.tidy(lake.manifest.generation)

    assert deleted.exchange_ids == {COLD, HOT}
    assert (deleted.frames, deleted.blobs, deleted.rows, deleted.files) == (2, 1, 3, 3)
    rest = all_bytes(tmp_path)
    for word in (PLANTED.encode(), COLD, HOT):
        assert word not in rest
    assert [row[0].bytes for row in lake_rows(lake, "requests", "exchange_id")] == [
        exchange_id(n, START_US + n * 1_000_000) for n in range(2, 6)
    ]
    assert lake_rows(lake, "edits", "name") == []
    (stays,) = Blobs(tmp_path).names()
    assert Blobs(tmp_path, keys).read(stays) == KEPT.encode()
    assert deletion.pending(lake)[0] == set()
    assert not deletion.apply(lake).exchange_ids
    if keys is not None:
        _assert_decrypted_lake_is_clean(lake)


def _assert_decrypted_lake_is_clean(lake: Lake) -> None:
    for table, column in (("requests", "user_id"), ("bodies", "request"), ("bodies", "response")):
        assert all(PLANTED not in str(row) for row in lake_rows(lake, table, column))


@pytest.mark.parametrize("keys", [None, KEYS], ids=["plain", "encrypted"])
def test_cut_short_at_any_step_it_resumes(tmp_path: Path, keys: SegmentKeys | None):
    for number in itertools.count():
        root = tmp_path / str(number)
        lake = planted_root(root, keys)
        write_segment(root, _intents(COLD, HOT), keys=keys)
        count = itertools.count()

        def step(name: str, count: itertools.count = count, number: int = number) -> None:
            if next(count) == number:
                raise Died(name)

        try:
            deletion.apply(lake, step)
            finished = True
        except Died:
            finished = False
        lake = open_lake(root, keys)
        lake.sweep_orphans()
        assert bool(deletion.pending(lake)[0]) == (lake.manifest.generation == 1)
        deletion.apply(lake)
        lake.tidy(lake.manifest.generation)
        rest = all_bytes(root)
        assert PLANTED.encode() not in rest
        assert COLD not in rest
        assert lake_rows(lake, "requests", "count(*)") == [(4,)]
        if finished:
            break
    assert number > 10


def test_a_correction_of_a_cost_goes_with_its_call(tmp_path: Path):
    write_segment(tmp_path, [_secret(1), _comment(COLD, KIND_COST), *_intents(COLD)])
    write_segment(tmp_path, [exchange(2)])
    deletion.apply(open_lake(tmp_path))
    assert PLANTED.encode() not in all_bytes(tmp_path)
    kinds = [frame.kind for frame in journal(tmp_path)]
    assert kinds == [KIND_ERASED, KIND_ERASED, KIND_DELETION, KIND_EXCHANGE]


def test_a_piece_of_a_frame_goes_too(tmp_path: Path):
    """A write was cut short; the frame was written again, and lies in the next segment whole."""
    write_segment(tmp_path, [exchange(2), _secret(1)], closed=False)
    path = segment_path(tmp_path, 1)
    os.truncate(path, path.stat().st_size - 3)
    write_segment(tmp_path, [(KIND_EXCHANGE, FLAG_REWRITTEN, _secret(1)), *_intents(COLD)])
    lake = open_lake(tmp_path)
    assert PLANTED.encode() in path.read_bytes()
    deletion.apply(lake)
    rest = all_bytes(tmp_path)
    assert PLANTED.encode() not in rest
    assert COLD not in rest
    kinds = [frame.kind for frame in journal(tmp_path)]
    assert kinds == [KIND_EXCHANGE, KIND_ERASED, KIND_DELETION]


SELECTORS = [
    (Selector(), set()),
    (Selector(exchange_ids=frozenset([exchange_id(2, START_US)])), {2}),
    (Selector(user_id="user 1"), {1, 4, 7, 10}),
    (Selector(session_id="session 1"), {1, 6}),
    (Selector(user_id="user 1", session_id="session 1"), {1}),
    (Selector(organization=OTHER_ORG), {8, 9, 10}),
    (Selector(organization=OTHER_ORG, user_id="user 1"), {10}),
    (Selector(organization=OTHER_ORG, exchange_ids=frozenset([exchange_id(2, START_US)])), set()),
]


@pytest.mark.parametrize(("selector", "wanted"), SELECTORS)
def test_what_is_meant_is_found_in_journal_and_lake(
    tmp_path: Path, selector: Selector, wanted: set[int]
):
    write_segment(tmp_path, [exchange(n, START_US) for n in (1, 2, 3)])
    write_segment(tmp_path, [exchange(8, START_US)], org=OTHER_ORG)
    lake = open_lake(tmp_path)
    roll(lake, Derive(tmp_path), upto=2)
    lake.tidy(1)
    write_segment(tmp_path, [exchange(n, START_US) for n in (4, 5, 6, 7)])
    write_segment(tmp_path, [exchange(n, START_US) for n in (9, 10)], org=OTHER_ORG, closed=False)
    found = deletion.find(lake, selector)
    assert set(found) == {exchange_id(n, START_US) for n in wanted}
    assert all(
        org == (OTHER_ORG if i in {exchange_id(n, START_US) for n in (8, 9, 10)} else ORG)
        for i, org in found.items()
    )


@pytest.mark.parametrize("keys", [None, KEYS], ids=["plain", "encrypted"])
@pytest.mark.parametrize(
    ("since", "until", "wanted"),
    [(2, 5, {2, 3, 4}), (None, 3, {1, 2}), (5, None, {5, 6}), (7, 9, set()), (3, 4, {3})],
)
def test_a_span_has_its_begin_and_not_its_end(
    tmp_path: Path, keys: SegmentKeys | None, since: int | None, until: int | None, wanted: set[int]
):
    write_segment(tmp_path, [exchange(n) for n in (1, 2, 3)], keys=keys)
    lake = open_lake(tmp_path, keys)
    roll(lake, Derive(tmp_path, keys), upto=1)
    lake.tidy(1)
    timeless = exchange(9, START_US, created_at_us=None)
    write_segment(tmp_path, [*(exchange(n) for n in (4, 5, 6)), timeless], keys=keys)
    write_segment(tmp_path, [exchange(3)], org=OTHER_ORG, closed=False, keys=keys)
    bounds = (None if n is None else START_US + n * 1_000_000 for n in (since, until))
    found = deletion.find(lake, Selector(None, ORG, None, None, *bounds))
    assert set(found) == {exchange_id(n, START_US + n * 1_000_000) for n in wanted}


def test_a_roll_waits_for_the_deletion_in_its_segments(tmp_path: Path):
    write_segment(tmp_path, [_secret(1), exchange(2)])
    write_segment(tmp_path, _intents(COLD))
    lake = open_lake(tmp_path)
    with pytest.raises(DeletionPending):
        roll(lake, Derive(tmp_path), upto=2)
    deletion.apply(lake)
    assert next(frame.kind for frame in journal(tmp_path)) == KIND_ERASED
    result = roll(lake, Derive(tmp_path), upto=2)
    assert result is not None
    assert result.rows == {"requests": 1, "bodies": 1, "edits": 0, "deletions": 1}
    assert len(deletion_hashes(lake)) == 1


def test_a_frame_that_comes_back_later_stays_deleted(tmp_path: Path):
    write_segment(tmp_path, [_secret(1)])
    write_segment(tmp_path, _intents(COLD))
    lake = open_lake(tmp_path)
    deletion.apply(lake)
    roll(lake, Derive(tmp_path), upto=2)
    write_segment(tmp_path, [_secret(1), exchange(2), _comment(COLD)])
    result = roll(lake, Derive(tmp_path), upto=3)
    assert result is not None
    assert result.forgotten == 2
    assert lake_rows(lake, "requests", "count(*)") == [(1,)]


def test_deletions_are_applied_again_to_a_restored_directory(tmp_path: Path):
    old, restored = tmp_path / "old", tmp_path / "restored"
    for root in (old, restored):
        write_segment(root, [_secret(1), exchange(2)])
        roll(open_lake(root), Derive(root), upto=1)
    write_segment(old, _intents(COLD))
    hashes, _ = deletion.pending(open_lake(old))

    lake = open_lake(restored)
    lake.tidy(1)
    assert deletion.reapply(lake, hashes).exchange_ids == {COLD}
    lake.tidy(lake.manifest.generation)
    assert PLANTED.encode() not in all_bytes(restored)
    assert lake_rows(lake, "requests", "count(*)") == [(1,)]


def test_pending_ends_after_the_last_deletion(tmp_path: Path):
    write_segment(tmp_path, [exchange(1), *_intents(COLD), exchange(2)])
    lake = open_lake(tmp_path)
    _, end = deletion.pending(lake)
    assert end == list(journal(tmp_path))[1].end
    assert isinstance(list(journal(tmp_path))[1].end, Position)
