"""Ingest: every journaled exchange becomes one row, whatever fails on the way."""

import threading
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from appliance.actors.frame_rows import FrameDeriver
from appliance.actors.ingest_parts import IngestOptions
from appliance.core.derive import derive as core_derive
from appliance.core.usage_types import Priced, Usage
from storage.analytics import Analytics, AnalyticsFailed
from storage.batch import Batch
from storage.frames import (
    FLAG_REWRITTEN,
    FLAG_SUPERSEDES,
    KIND_DELETION,
    KIND_ERASED,
    KIND_EXCHANGE,
    KIND_FEEDBACK,
    KIND_PROPERTY,
    KIND_SCORE,
    BodyPacker,
    Position,
    encode_exchange,
)
from tests.actors.ingest_kit import (
    append,
    derive,
    deriver,
    edit,
    read_parts,
    running,
)
from tests.storage.analytics_rows import ORG, T0_US, exchange_id, opened
from tests.storage.journal_kit import Clock
from tests.storage.test_journal_slow import SlowDisk


async def test_frames_become_rows_with_their_bodies(tmp_path: Path) -> None:
    async with running(tmp_path) as house:
        append(house.journal, *range(300), response=b"said")
        assert await house.ask() == [(300, 300)]
        sql = "SELECT request, response FROM bodies ORDER BY exchange_id LIMIT 2"
        assert await house.ask(sql) == [("q0", "said"), ("q1", "said")]
        assert house.ingest.position == house.journal.synced
        lag = house.ingest.lag_s, house.ingest.lag_frames
        assert (lag, house.ingest.stats.failures) == ((0.0, 0), 0)


async def test_a_reader_does_not_wait_for_the_batch_to_fill(tmp_path: Path) -> None:
    async with running(tmp_path, options=IngestOptions(gather_s=60)) as house:
        await house.settled()
        append(house.journal, 1)
        await house.journal.wait_synced_past(Position(0, 0))
        assert await house.ask() == [(1, 1)]
        append(house.journal, 2)
        assert await house.ask() == [(2, 2)]


async def test_frames_gather_until_a_batch_is_full(tmp_path: Path) -> None:
    """What goes in as less than a batch is written twice: also under load a batch waits."""
    async with running(tmp_path, options=IngestOptions(gather_s=60, rows_max=10)) as house:
        await house.settled()
        for numbers, batches in (range(9), 0), (range(9, 15), 1), (range(15, 19), 1):
            append(house.journal, *numbers)
            with trio.fail_after(10):
                while house.ingest.stats.batches < batches:
                    await house.ingest._progress.wait()
            await house.journal.wait_synced_past(house.ingest.position)
            await trio.testing.wait_all_tasks_blocked()
            assert house.ingest.stats.batches == batches
        assert await house.ask() == [(19, 19)]


async def test_every_kind_of_frame(tmp_path: Path) -> None:
    async with running(tmp_path) as house:
        append(house.journal, 1, 2, 3)
        for kind, number, name, value in (
            (KIND_SCORE, 1, "int", 3),
            (KIND_SCORE, 1, "flag", True),
            (KIND_FEEDBACK, 2, "feedback", False),
            (KIND_PROPERTY, 2, "N", "two"),
            (KIND_PROPERTY, 3, "N", None),
            (KIND_PROPERTY, 3, "Environment", 5),
        ):
            house.journal.append(kind, ORG, edit(number, name, value))
        house.journal.append(KIND_SCORE, ORG, b"\xc1 not MessagePack")
        house.journal.append(KIND_SCORE, ORG, edit(1, "word", "not a number"))
        house.journal.append(KIND_DELETION, ORG, b"\x80")
        assert await house.ask(
            "SELECT scores, feedback, properties FROM requests ORDER BY exchange_id"
        ) == [
            ({"flag": 1.0, "int": 3.0}, None, {"Environment": "prod", "N": "1"}),
            ({}, False, {"Environment": "prod", "N": "two"}),
            ({}, None, {"Environment": "5"}),
        ]
        assert house.ingest._deriver.counts.unreadable == 3


async def test_doubles_and_replacements(tmp_path: Path) -> None:
    async with running(tmp_path) as house:
        append(house.journal, 1, 2, model="first")
        await house.settled()
        append(house.journal, 1, 3, flags=FLAG_REWRITTEN, model="again")
        append(house.journal, 2, flags=FLAG_SUPERSEDES, model="newer")
        assert await house.ask("SELECT model FROM requests ORDER BY exchange_id") == [
            ("first",), ("newer",), ("again",)
        ]  # fmt: skip


async def test_a_frame_that_fails_to_derive_becomes_a_row_that_says_so(tmp_path: Path) -> None:
    lost_blob = [[1, "gone", 0, 5, 5, ""]]
    meta = {"exchange_id": exchange_id(4), "number": 4, "model": "kept"}
    async with running(tmp_path) as house:
        append(house.journal, 1)
        append(house.journal, 2, response=b"poison")
        append(house.journal, 3, poisoned=True, provider="OPENAI")
        house.journal.append(KIND_EXCHANGE, ORG, encode_exchange(meta, lost_blob, []))
        house.journal.append(KIND_EXCHANGE, ORG, b"\xc1 not MessagePack")
        append(house.journal, 6)
        sql = "SELECT provider, derive_error FROM hot_requests ORDER BY frame_offset"
        rows = await house.ask(sql)
        assert [(provider, error and error.split(":")[0]) for provider, error in rows] == [
            ("OPENAI", None),
            ("OPENAI", "ValueError"),
            ("OPENAI", "KeyError"),
            ("OPENAI", "FileNotFoundError"),
            (None, "DecodeError"),
            ("OPENAI", None),
        ]
        sql = "SELECT derive_error FROM requests WHERE model = 'kept'"
        assert await house.ask(sql) == [("FileNotFoundError: gone",)]
        assert house.ingest._deriver.counts.derive_errors == 4


async def test_frames_without_rows_are_passed_over(tmp_path: Path) -> None:
    async with running(tmp_path) as house:
        append(house.journal, 1)
        house.journal.append(KIND_ERASED, ORG, b"gone")
        assert await house.ask() == [(1, 1)]
        assert house.ingest.analytics is not None
        assert house.ingest.analytics.position == house.journal.synced


async def test_a_restart_goes_on_where_it_stopped(tmp_path: Path) -> None:
    seen: list[int] = []

    def noting(meta: dict[str, Any], *bodies: bytes, **place: Any) -> Any:
        seen.append(meta["number"])
        return derive(meta, *bodies, **place)

    for numbers in (range(5), range(5, 9), range(9, 9)):
        async with running(tmp_path, deriver=deriver(noting)) as house:
            append(house.journal, *numbers)
            await house.settled()
    assert seen == list(range(9))


async def test_closing_takes_in_what_is_fsynced(tmp_path: Path) -> None:
    async with running(tmp_path, options=IngestOptions(gather_s=60)) as house:
        append(house.journal, *range(7))
    analytics = opened(tmp_path / "analytics.duckdb")
    with analytics.query("SELECT count(*) FROM requests") as query:
        assert query.fetch() == [(7,)]
    analytics.close()


class Failing:
    """Analytics whose first calls fail."""

    def __init__(self, path: Path, *errors: Exception) -> None:
        self.path = path
        self.errors = list(errors)

    def __call__(self) -> Analytics:
        analytics = opened(self.path)
        really = analytics.ingest

        def ingest(batch: Batch, upto: Position) -> None:
            if self.errors:
                raise self.errors.pop()
            really(batch, upto)

        analytics.ingest = ingest  # type: ignore[method-assign]
        return analytics


@pytest.mark.parametrize(
    ("errors", "rebuilt"),
    [
        ([AnalyticsFailed("No space left on device", damaged=False)] * 3, 0),
        ([OSError("disk")], 0),
        ([AnalyticsFailed("INTERNAL Error", damaged=True)], 0),
        ([AnalyticsFailed("INTERNAL Error", damaged=True)] * 2, 1),
        # a new file that fails too is not set aside again
        ([AnalyticsFailed("INTERNAL Error", damaged=True)] * 9, 1),
    ],
)
async def test_a_failing_database_is_opened_again_and_nothing_is_lost(
    tmp_path: Path, errors: list[Exception], rebuilt: int
) -> None:
    failing = Failing(tmp_path / "analytics.duckdb", *errors)
    async with running(tmp_path, open_analytics=failing) as house:
        append(house.journal, *range(20))
        assert await house.ask() == [(20, 20)]
        stats = house.ingest.stats
        assert (stats.failures, stats.reopened, stats.rebuilt) == (
            len(errors), len(errors), rebuilt
        )  # fmt: skip
        assert stats.error is None
    assert len(list((tmp_path / "quarantine").glob("analytics.duckdb.*"))) >= rebuilt


async def test_a_corrupt_file_is_set_aside_and_rebuilt_from_the_journal(tmp_path: Path) -> None:
    async with running(tmp_path) as house:
        append(house.journal, *range(12))
        await house.settled()
    (tmp_path / "analytics.duckdb").write_bytes(b"overwritten " * 100_000)
    async with running(tmp_path) as house:
        append(house.journal, 12)
        assert await house.ask() == [(13, 13)]
        assert house.ingest.stats.rebuilt == 1
    assert (tmp_path / "quarantine" / "analytics.duckdb.0").exists()


@pytest.mark.parametrize("before", [b"overwritten " * 100_000, None])
async def test_a_database_that_was_begun_on_a_full_disk_is_begun_again(
    tmp_path: Path, before: bytes | None
) -> None:
    """DuckDB leaves an empty file where it could not write the first byte, and does not open it."""
    path, full = tmp_path / "analytics.duckdb", [True] * 7
    if before is not None:
        path.write_bytes(before)

    def open_analytics() -> Analytics:
        if full and not path.exists():
            full.pop()
            path.touch()
            raise AnalyticsFailed("Could not write file: No space left on device", damaged=False)
        return opened(path)

    async with running(tmp_path, open_analytics=open_analytics) as house:
        append(house.journal, *range(12))
        assert await house.ask() == [(12, 12)]
        assert not full
        assert house.ingest.stats.rebuilt == 1
    kept = [file.read_bytes() for file in (tmp_path / "quarantine").iterdir()]
    assert kept == [before or b""]


async def test_readers_are_told_how_stale_an_answer_is(tmp_path: Path) -> None:
    now_s = [2_000_000_000.0]
    failing = Failing(tmp_path / "a.duckdb", *[OSError("disk")] * 1_000_000)
    async with running(tmp_path, open_analytics=failing, clock=lambda: now_s[0]) as house:
        assert await house.ingest.caught_up(15) is None
        append(house.journal, 1)
        assert await house.ingest.caught_up(0.05) == 1.0
        now_s[0] -= 3600
        assert await house.ingest.caught_up(0.001) == 1.0
        now_s[0] += 3600
        with trio.fail_after(20):
            while house.ingest.stats.error is None:  # tried at least once
                await trio.lowlevel.checkpoint()
        now_s[0] += 2
        assert await house.ingest.caught_up(0.001) == 2000.0
        assert (house.ingest.lag_s, house.ingest.lag_frames) == (2.0, 1)
        assert house.ingest.stats.error == "OSError: disk"
        failing.errors.clear()
        assert await house.ask() == [(1, 1)]


async def test_a_database_that_lacks_what_it_had_says_so(tmp_path: Path) -> None:
    """After a start, and while it is made anew: not while it lacks only what is new."""
    async with running(tmp_path) as house:
        append(house.journal, *range(9))
        await house.settled()
    failing = Failing(tmp_path / "analytics.duckdb")
    async with running(tmp_path, open_analytics=failing) as house:
        assert house.ingest.restoring  # nothing is open yet
        assert await house.ingest.caught_up(15) is None
        assert not house.ingest.restoring
        failing.errors = [OSError("disk")] * 1_000_000
        async with trio.open_nursery() as nursery:
            nursery.start_soon(house.ingest.renew)
            with trio.fail_after(20):
                while house.ingest.stats.error is None:
                    await trio.lowlevel.checkpoint()
            assert house.ingest.restoring
            failing.errors.clear()
        assert not house.ingest.restoring
        append(house.journal, 9)
        assert not house.ingest.restoring


@pytest.mark.parametrize("when", ["before", "meanwhile"])
async def test_an_end_that_leaves_the_old_database_is_no_renewal(tmp_path: Path, when: str) -> None:
    """Whoever waits for it would take what was deleted for gone."""
    async with running(tmp_path) as house:
        append(house.journal, 1)
        await house.settled()
        if when == "before":
            house.ingest.close()
        async with trio.open_nursery() as nursery:

            async def cut_short() -> None:
                with pytest.raises(AnalyticsFailed, match="the server ends before"):
                    await house.ingest.renew()

            nursery.start_soon(cut_short)
            if when == "meanwhile":
                while house.ingest._renewal is None:
                    await trio.lowlevel.checkpoint()
                house.ingest.close()
        assert (tmp_path / "analytics.duckdb").exists()


async def test_a_database_that_a_reader_found_invalid_is_opened_again(tmp_path: Path) -> None:
    async with running(tmp_path) as house:
        append(house.journal, 1)
        await house.settled()
        first = house.ingest.analytics
        assert first is not None
        first.broken = True
        assert await house.ask() == [(1, 1)]
        assert house.ingest.analytics is not first


async def test_large_bodies_are_read_aside(tmp_path: Path) -> None:
    options = IngestOptions(gather_s=0, aside_bytes=1_000)
    on_loop: list[bool] = []

    def noting(parts: Any) -> bytes:
        on_loop.append(threading.current_thread() is threading.main_thread())
        return read_parts(parts)

    async with running(tmp_path, options=options, deriver=FrameDeriver(derive, noting)) as house:
        for number, size in ((1, 10), (2, 5_000)):
            append(house.journal, number, response=b"x" * size)
        sql = "SELECT length(response) FROM bodies ORDER BY exchange_id"
        assert await house.ask(sql) == [(10,), (5_000,)]
    assert on_loop == [True] * 2 + [False] * 2


async def test_batches_are_bounded_by_rows_and_by_text(tmp_path: Path) -> None:
    lengths: list[int] = []

    def watched() -> Analytics:
        analytics = opened(tmp_path / "analytics.duckdb")
        really = analytics.ingest

        def ingest(batch: Batch, upto: Position) -> None:
            lengths.append(len(batch))
            really(batch, upto)

        analytics.ingest = ingest  # type: ignore[method-assign]
        return analytics

    options = IngestOptions(gather_s=0, rows_max=10, text_bytes_max=50_000)
    async with running(tmp_path) as house:
        await house.settled()
        house.ingest.close()
        append(house.journal, *range(25))
        append(house.journal, *range(30, 34), response=b"x" * 30_000)
    lengths.clear()
    (tmp_path / "analytics.duckdb").unlink()
    async with running(tmp_path, options=options, open_analytics=watched) as house:
        assert await house.ask() == [(29, 29)]
    assert lengths == [10, 10, 7, 2]


async def test_cancelling_closes_the_database(tmp_path: Path) -> None:
    async with trio.open_nursery() as nursery, running(tmp_path) as house:
        append(house.journal, 1)
        await house.settled()
        nursery.cancel_scope.cancel("as Ctrl-C does")
    again = opened(tmp_path / "analytics.duckdb")
    assert again.position > Position(0, 0)
    again.close()


async def test_real_exchanges_are_derived_and_shown(tmp_path: Path) -> None:
    reply = b'{"model": "gpt-4o-mini", "usage": {"prompt_tokens": 7, "completion_tokens": 3}}'
    meta = {
        "exchange_id": exchange_id(1),
        "request_id": "6f1f6f3c-5d0f-4b8a-8a11-000000000001",
        "recorded_at_us": T0_US,
        "created_at_us": T0_US,
        "duration_us": 2_500,
        "provider": "OPENAI",
        "gateway_provider": "openai",
        "dialect": "openai",
        "path": "/v1/chat/completions",
        "http_status": 200,
        "outcome": "complete",
        "response_type": "application/json",
        "properties": {"team": "blue"},
        "attempts": [{"target": "openai", "provider": "openai", "status": 200}],
    }

    def price(provider: str, model: str, usage: Usage, at_us: int) -> Priced:
        return Priced(12_345_678, "test", "1")

    real = FrameDeriver(partial(core_derive, price=price), read_parts)
    async with running(tmp_path, deriver=real) as house:
        sent = BodyPacker().pack(b'{"model": "gpt-4o-mini", "messages": []}')
        frame = encode_exchange(meta, sent, BodyPacker().pack(reply))
        house.journal.append(KIND_EXCHANGE, ORG, frame)
        sql = (
            "SELECT request_id::VARCHAR, model, total_tokens, cost_usd, properties, latency_ms,"
            " attempts[1].target, derive_error FROM requests"
        )
        assert await house.ask(sql) == [(
            meta["request_id"], "gpt-4o-mini", 10, Decimal("0.000012345678"), {"team": "blue"},
            2.5, "openai", None,
        )]  # fmt: skip
        assert await house.ask("SELECT response FROM bodies") == [(reply.decode(),)]


async def test_a_reader_waits_for_records_that_a_slow_disk_holds_back(tmp_path: Path) -> None:
    """Their replies have left: an answer without them says that it lacks something."""
    clock = Clock()
    disk = SlowDisk(clock)
    parts = {"disk": disk, "clock": clock}
    async with running(tmp_path, journal=parts) as house, trio.open_nursery() as nursery:
        disk.seconds = 1.0
        append(house.journal, 1)
        disk.hold_write.clear()
        append(house.journal, 2)
        assert house.journal.holds_back
        stale_ms = await house.ingest.caught_up(0.05)
        assert stale_ms is not None
        assert stale_ms >= 50.0
        asked: list[float | None] = []

        async def ask() -> None:
            asked.append(await house.ingest.caught_up(15))

        nursery.start_soon(ask)
        disk.hold_write.set()
        with trio.fail_after(20):
            while not asked:
                await trio.lowlevel.checkpoint()
        assert asked == [None]
        assert await house.ask() == [(2, 2)]
