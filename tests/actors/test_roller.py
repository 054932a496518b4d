"""The roller with a real helper process: what is due, in which order, and after failures."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import trio

from appliance.actors import lake_helper
from appliance.actors.lake_helper import Helper, HelperFailed
from appliance.actors.lake_jobs import rollable, within
from appliance.actors.roller import DeletionRefused
from appliance.rolling import ARGUMENT
from storage import deletion
from storage.analytics import AnalyticsFailed
from storage.blobs import Blobs
from storage.frames import KIND_DELETION, Position
from storage.lake import intent
from storage.segment import SegmentInfo, segment_numbers, segments
from storage.vault import SegmentKeys
from tests.actors.roll_helper_kit import command
from tests.actors.roller_kit import NOW_S, QUICK, House
from tests.storage.lake_kit import (
    DELETION_KEY,
    KEYS,
    ORG,
    Derive,
    all_bytes,
    exchange,
    exchange_id,
    lake_rows,
    make_blob,
    open_lake,
    write_segment,
)


@pytest.mark.parametrize("keys", [None, KEYS], ids=["plain", "encrypted"])
async def test_what_is_due_is_rolled_shown_and_removed(tmp_path: Path, keys: SegmentKeys | None):
    write_segment(tmp_path, [exchange(n) for n in range(1, 6)], keys=keys)
    write_segment(tmp_path, [exchange(6)], keys=keys, closed=False)
    house = House(tmp_path, keys=keys)
    before = house.ids()
    assert len(before) == 6
    async with trio.open_nursery() as nursery:
        await house.until(nursery, lambda: segment_numbers(tmp_path) == [2])
    assert house.ids() == house.ids("bodies") == before
    assert house.lake.manifest.upto_segment == 1
    stats = house.roller.stats
    assert (stats.rolls, stats.rolled_frames, stats.failures) == (1, 5, 0)
    assert stats.rolled_at_s == NOW_S


@pytest.mark.parametrize("mode", ["dies", "fails", "hangs"])
async def test_after_a_failure_it_is_tried_again(tmp_path: Path, mode: str):
    write_segment(tmp_path, [exchange(1), exchange(2)])
    write_segment(tmp_path, [exchange(3)])
    house = House(tmp_path, mode, stall_s=2.0 if mode == "hangs" else 30.0)
    async with trio.open_nursery() as nursery:
        await house.until(nursery, lambda: segment_numbers(tmp_path) == [])
    assert house.roller.stats.failures >= 1
    assert len(house.ids()) == 3
    assert list((tmp_path / "tmp").iterdir()) == []


async def test_a_failed_roll_gives_its_room_back_at_once(tmp_path: Path):
    write_segment(tmp_path, [exchange(1)])
    write_segment(tmp_path, [exchange(2)])
    house = House(tmp_path, "is full", options=replace(QUICK, retry_first_s=60, retry_max_s=60))

    def room_is_back() -> bool:
        return house.roller.stats.failures == 1 and not list((tmp_path / "tmp").iterdir())

    async with trio.open_nursery() as nursery:
        await house.until(nursery, room_is_back)
    assert "no space" in str(house.roller.stats.error)


async def test_cancelling_ends_the_helper_and_harms_nothing(tmp_path: Path):
    write_segment(tmp_path, [exchange(1)])
    write_segment(tmp_path, [exchange(2)])
    house = House(tmp_path, "hangs")
    async with trio.open_nursery() as nursery:
        await nursery.start(house.roller.run)
        with trio.fail_after(20):
            while not (tmp_path / "died").exists():  # noqa: ASYNC110 - another process makes it
                await trio.sleep(0.005)
        nursery.cancel_scope.cancel()
    assert segment_numbers(tmp_path) == [1, 2]
    assert len(house.ids()) == 2


async def test_without_a_database_nothing_is_rolled(tmp_path: Path):
    write_segment(tmp_path, [exchange(1)])
    house = House(tmp_path)
    house.analytics = None
    assert await house.roller.roll_now() == 0
    assert house.helper.started == 0


async def test_replaced_files_wait_for_a_database_to_show_the_new_ones(tmp_path: Path):
    write_segment(tmp_path, [exchange(1)])
    house = House(tmp_path)
    analytics, house.analytics = house.analytics, None
    from storage.roll import roll

    roll(open_lake(tmp_path), Derive(tmp_path), upto=1)
    house.lake.reload()
    await house.roller._tidy()
    assert segment_numbers(tmp_path) == [1]
    house.analytics = analytics
    await house.roller._tidy()
    assert segment_numbers(tmp_path) == []
    assert len(house.ids()) == 1


async def test_forgetting_leaves_nothing_behind(tmp_path: Path):
    planted = "zanzibar-4711"
    write_segment(tmp_path, [exchange(1, user_id=planted, request=planted), exchange(2)])
    house = House(tmp_path)
    assert await house.roller.roll_now() == 1
    write_segment(tmp_path, [exchange(3, user_id=planted, response=planted), exchange(4)])
    house.ingest()

    assert await house.roller.forget({"user_id": planted, "organization": ORG}) == 2
    assert len(house.ids()) == 2
    assert planted.encode() not in all_bytes(tmp_path)
    assert house.rebuilt == 1
    assert await house.roller.forget({"exchange_ids": [bytes(16)]}) == 0


async def test_a_deletion_that_cannot_be_promised_is_refused(tmp_path: Path):
    write_segment(tmp_path, [exchange(1)])
    house = House(tmp_path)
    house.degraded = "journal;reason=full"
    with pytest.raises(DeletionRefused):
        await house.roller.forget({"user_id": "user 1"})
    assert len(house.ids()) == 1
    assert segment_numbers(tmp_path) == [1]


async def test_a_deletion_cut_short_is_finished_at_start(tmp_path: Path):
    write_segment(tmp_path, [exchange(1, request="zanzibar"), exchange(2)])
    gone = exchange_id(1, 1_772_323_201_000_000)
    assert gone in all_bytes(tmp_path)
    write_segment(tmp_path, [(KIND_DELETION, 0, intent(DELETION_KEY, gone, 1))])
    house = House(tmp_path, options=replace(QUICK, roll_bytes=2**30, roll_age_s=1e12))
    async with trio.open_nursery() as nursery:
        await house.until(nursery, lambda: house.rebuilt)
    assert b"zanzibar" not in all_bytes(tmp_path)
    assert gone not in house.ids()


async def test_a_crash_before_the_database_is_made_anew_is_made_good(tmp_path: Path):
    """Everything is rewritten and says so; only DuckDB's file still has the old bytes."""
    write_segment(tmp_path, [exchange(1), exchange(2)])
    gone = exchange_id(1, 1_772_323_201_000_000)
    write_segment(tmp_path, [(KIND_DELETION, 0, intent(DELETION_KEY, gone, 1))])
    deletion.apply(open_lake(tmp_path))
    assert deletion.pending(open_lake(tmp_path))[0] == set()
    house = House(tmp_path, options=replace(QUICK, roll_bytes=2**30, roll_age_s=1e12))
    async with trio.open_nursery() as nursery:
        await house.until(nursery, lambda: not house.lake.deletion_is_unfinished)
    assert house.rebuilt == 1


@pytest.mark.parametrize("again", ["forget", "finish"])
async def test_what_failed_half_way_is_finished_before_the_next_says_done(
    tmp_path: Path, again: str
):
    """The second attempt finds nothing: the frames are erased, and their rows gone."""
    write_segment(tmp_path, [exchange(1), exchange(2)])
    gone = exchange_id(1, 1_772_323_201_000_000)
    house = House(tmp_path)
    selector = {"exchange_ids": [gone]}

    async def fails() -> None:
        raise OSError("disk full")

    with pytest.MonkeyPatch.context() as weather:
        weather.setattr(house.roller, "_rebuild_hot", fails)
        with pytest.raises(OSError, match="disk full"):
            await house.roller.forget(selector)
        with pytest.raises(OSError, match="disk full"):
            await (house.roller.forget(selector) if again == "forget"
                   else house.roller.finish_deletions())  # fmt: skip
    assert (gone in house.ids(), house.rebuilt) == (False, 0)
    if again == "forget":
        assert await house.roller.forget(selector) == 0
    else:
        await house.roller.finish_deletions()
    assert (house.rebuilt, house.lake.deletion_is_unfinished) == (1, False)
    await house.roller.finish_deletions()
    assert house.rebuilt == 1


async def test_what_is_set_aside_during_the_second_attempt_goes_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The first one's rows are gone by then: nothing is found that was to be deleted."""
    write_segment(tmp_path, [exchange(1), exchange(2)])
    house = House(tmp_path)
    aside = tmp_path / "quarantine" / "analytics.duckdb.0"
    aside.parent.mkdir(exist_ok=True)

    async def fails() -> None:
        raise AnalyticsFailed("INTERNAL Error: corrupt", damaged=True)

    async def sets_aside() -> None:
        aside.write_bytes(b"all that it held")

    monkeypatch.setattr(house.roller, "_rebuild_hot", fails)
    with pytest.raises(AnalyticsFailed):
        await house.roller.forget({"exchange_ids": [exchange_id(1, 1_772_323_201_000_000)]})
    monkeypatch.setattr(house.roller, "_rebuild_hot", sets_aside)
    await house.roller.finish_deletions()
    assert not house.lake.deletion_is_unfinished
    assert not aside.exists()


async def test_a_deletion_that_a_roll_meets_is_finished_too(tmp_path: Path):
    write_segment(tmp_path, [exchange(1), exchange(2)])
    gone = exchange_id(1, 1_772_323_201_000_000)
    write_segment(tmp_path, [(KIND_DELETION, 0, intent(DELETION_KEY, gone, 1))])
    house = House(tmp_path)
    house.roller._forget_cached = house.forget_cached
    (tmp_path / "quarantine").mkdir(exist_ok=True)
    (tmp_path / "quarantine" / "analytics.duckdb.0").write_bytes(b"set aside meanwhile")
    assert await house.roller.roll_now() == 2
    assert (house.rebuilt, house.forgotten) == (1, [None])
    assert list((tmp_path / "quarantine").iterdir()) == []
    assert not house.lake.deletion_is_unfinished
    assert gone not in all_bytes(tmp_path)


async def test_blobs_without_a_record_are_swept_at_the_start(tmp_path: Path):
    orphan, named = make_blob(tmp_path, "never recorded"), make_blob(tmp_path, "a reply")
    write_segment(tmp_path, [exchange(1, response="a reply", blob=named)], closed=False)
    house = House(tmp_path, options=replace(QUICK, roll_bytes=2**30, roll_age_s=1e12))
    async with trio.open_nursery() as nursery:
        await nursery.start(house.roller.run)
        ours = make_blob(tmp_path, "its record is not written yet")
        with trio.fail_after(20):
            while Blobs(tmp_path).path(orphan).exists():  # noqa: ASYNC110 - the helper removes it
                await trio.sleep(0.005)
        house.roller.close()
    assert set(Blobs(tmp_path).names()) == {named, ours}


async def test_what_a_failed_roll_left_goes_with_the_deletion(tmp_path: Path):
    write_segment(tmp_path, [exchange(1, request="zanzibar"), exchange(2)])
    house = House(tmp_path)
    leftover = tmp_path / "lake" / "bodies" / "00000001-00000001-00000001.parquet"
    leftover.write_text("zanzibar")
    gone = exchange_id(1, 1_772_323_201_000_000)
    assert await house.roller.forget({"exchange_ids": [gone]}) == 1
    assert b"zanzibar" not in all_bytes(tmp_path)


@pytest.mark.parametrize("harm", ["missing", "damaged"])
async def test_a_manifest_that_is_lost_while_serving_is_written_again(tmp_path: Path, harm: str):
    write_segment(tmp_path, [exchange(1)])
    house = House(tmp_path)
    assert await house.roller.roll_now() == 1
    before = house.ids()
    write_segment(tmp_path, [exchange(2)])
    house.ingest()
    path = tmp_path / "lake" / "manifest.json"
    path.unlink() if harm == "missing" else path.write_bytes(b"?")
    async with trio.open_nursery() as nursery:
        await house.until(nursery, lambda: house.lake.manifest.upto_segment == 2)
    assert house.roller.stats.failures == 1
    assert house.ids() == [*before, exchange_id(2, 1_772_323_202_000_000)]
    assert open_lake(tmp_path).manifest == house.lake.manifest


async def test_a_quiet_segment_is_closed_after_an_hour(tmp_path: Path):
    write_segment(tmp_path, [exchange(1)], closed=False)
    house = House(tmp_path, options=replace(QUICK, roll_age_s=-1e9))
    async with trio.open_nursery() as nursery:
        await house.until(nursery, lambda: house.rotated)
    assert house.rotated


async def test_retention_runs_and_says_what_it_cannot_free(tmp_path: Path):
    write_segment(tmp_path, [exchange(1)])
    write_segment(tmp_path, [exchange(2)])
    (tmp_path / "large").write_bytes(bytes(1000))
    options = replace(QUICK, retention_days=1.0, retention_bytes=10)
    house = House(tmp_path, options=options)
    async with trio.open_nursery() as nursery:
        await house.until(nursery, lambda: house.roller.stats.short_bytes)
    assert house.lake.manifest.files == ()


def _segment(number: int, *, closed: bool = True, size: int = 1000) -> SegmentInfo:
    return SegmentInfo(number, Path(), size, closed, 0, 0)


ROLLABLE = [
    ([1, 2, 3], 0, Position(4, 0), [1, 2, 3]),
    ([1, 2, 3], 1, Position(4, 0), [2, 3]),
    ([1, 2, 3], 0, Position(2, 500), [1]),
    ([1, 2, 3], 0, Position(2, 932), [1, 2]),
    ([1, 2, -3], 0, Position(9, 0), [1, 2]),
    ([], 0, Position(9, 0), []),
]


@pytest.mark.parametrize(("numbers", "upto", "ingested", "wanted"), ROLLABLE)
def test_which_segments_may_be_rolled(numbers, upto, ingested, wanted):
    found = [_segment(abs(n), closed=n > 0) for n in numbers]
    assert [segment.number for segment in rollable(found, upto, ingested)] == wanted


@pytest.mark.parametrize(
    ("bytes_max", "count"), [(0, 1), (1000, 1), (1999, 1), (2000, 2), (9e9, 3)]
)
def test_a_roll_takes_a_bounded_amount(bytes_max: int, count: int):
    assert len(within([_segment(n) for n in (1, 2, 3)], bytes_max)) == count


def test_due_by_bytes_or_by_age(tmp_path: Path):
    write_segment(tmp_path, [exchange(1)])
    write_segment(tmp_path, [exchange(2)])
    for age_s, size, due in ((1e12, 2**30, False), (1.0, 2**30, True), (1e12, 1, True)):
        options = replace(QUICK, roll_bytes=size, roll_age_s=age_s)
        house = House(tmp_path, options=options)
        assert house.roller._is_due(segments(tmp_path)) is due


async def test_a_job_that_nobody_knows_fails(tmp_path: Path):
    async with Helper(command()).process() as process:
        with pytest.raises(HelperFailed, match="KeyError"):
            await process.run({"command": "dance", "root": str(tmp_path)}, lambda message: None)
        assert (await process.run({"command": "pending", "root": str(tmp_path)}, print))[
            "count"
        ] == 0


async def test_the_real_helper_derives_and_prices(tmp_path: Path):
    reply = (
        b'{"model": "gpt-4o-mini", "choices": [],'
        b' "usage": {"prompt_tokens": 1000, "completion_tokens": 0}}'
    )
    facts = {
        "dialect": "openai", "provider": "OPENAI", "gateway_provider": "openai",
        "path": "/v1/chat/completions", "method": "POST", "http_status": 200,
        "outcome": "complete", "attempts": [], "response": reply.decode(),
    }  # fmt: skip
    write_segment(tmp_path, [exchange(1, request='{"model": "gpt-4o-mini"}', **facts)])
    price = {"provider": "openai", "model": "gpt-4o-mini", "input": "2", "output": "2"}
    async with Helper().process() as process:
        job = {"command": "roll", "root": str(tmp_path), "upto": 1, "prices": [price]}
        result = await process.run(job, lambda message: None)
    assert result["rows"] == {"requests": 1, "bodies": 1, "edits": 0, "deletions": 0}
    lake = open_lake(tmp_path)
    columns = "model, prompt_tokens, cost_pico, derive_error"
    assert lake_rows(lake, "requests", columns) == [("gpt-4o-mini", 1000, 2_000_000_000, None)]


def test_a_frozen_executable_is_started_with_an_argument(monkeypatch: pytest.MonkeyPatch):
    assert lake_helper.helper_command()[-2:] == ["-m", "appliance.rolling"]
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    assert lake_helper.helper_command() == [sys.executable, ARGUMENT]
    assert lake_helper.ARGUMENT == ARGUMENT


def test_the_server_side_imports_no_pyarrow():
    import subprocess

    code = "import sys, appliance.actors.roller as r; sys.exit('pyarrow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
