"""A large backlog and large records become rows in a process of their own: the same rows, and the
loop goes on."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
import trio.testing

from appliance import batching
from appliance.actors.batch_helper import BatchHelper, BatchHelperEnded, helper_command
from appliance.actors.batch_wire import ARGUMENT, Ask, Gathered
from appliance.actors.frame_rows import Exchange, FrameDeriver, weight_of
from appliance.core.derive import derive
from appliance.providers.price_data import open_book
from storage.analytics import Analytics, AnalyticsFailed
from storage.batch import Batch, FrameRows
from storage.frames import (
    FLAG_SUPERSEDES,
    KIND_EXCHANGE,
    KIND_SCORE,
    PART_INLINE,
    BodyPacker,
    Frame,
    Position,
    encode_exchange,
)
from storage.packed import joined, restore
from tests.actors.ingest_kit import QUICK, House, append, deriver, edit, read_parts, running
from tests.storage.analytics_rows import ORG, exchange_id, opened

PROJECT = Path(__file__).parents[2]
META: dict[str, Any] = {
    "request_id": "a", "created_at_us": 1_700_000_000_000_000,
    "recorded_at_us": 1_700_000_000_000_000, "duration_us": 5, "http_status": 200,
    "outcome": "complete", "provider": "OPENAI", "gateway_provider": "openai",
    "dialect": "openai", "method": "POST", "path": "/v1/chat/completions",
    "request_type": "application/json", "response_type": "application/json",
    "properties": {"名": "值"}, "request_bytes": 10, "response_bytes": 10,
    "attempts": [{"target": "http://a", "provider": "OPENAI", "status": 200, "latency_us": 5}],
}  # fmt: skip
ANSWER = (
    b'{"model":"gpt-4o","choices":[{"message":{"content":"ok"}}],'
    b'"usage":{"prompt_tokens":7,"completion_tokens":2,"total_tokens":9}}'
)
AFAR = replace(QUICK, helper_bytes=0)  # everything is the helper's
packer = BodyPacker()


def chat(text: str, count: int = 1) -> bytes:
    messages = [{"role": "user", "content": text}] * count
    body = {"model": "gpt-4o", "messages": messages}
    return json.dumps(body, ensure_ascii=False).encode()


KINDS: dict[str, tuple[dict[str, Any], bytes, bytes]] = {
    "text": ({}, chat("hello"), ANSWER),
    "no bodies": ({}, b"", b""),
    "not UTF-8": ({"response_type": "audio/mpeg"}, chat("hello"), b"\xff\xfe" * 100),
    "lone surrogate": ({}, b'{"model":"a\\ud800b","messages":[]}', ANSWER),
    "larger than a pipe": ({}, chat("長い文" * 1000, 500), ANSWER),
    "estimated": ({}, chat("hello " * 50_000), ANSWER.partition(b',"usage"')[0] + b"}"),
    "no JSON": ({}, b"{" * 100_000, b"[" * 100_000),
    "omitted": ({"omit_request": True, "omit_response": True}, chat("hello"), ANSWER),
    "a fault of its own": ({"created_at_us": "yesterday"}, chat("hello"), ANSWER),
}


def put(house: House, number: int, meta: dict[str, Any], request: bytes, response: bytes) -> None:
    meta = {"exchange_id": exchange_id(number), **META, **meta}
    payload = encode_exchange(meta, packer.pack(request), packer.pack(response))
    house.journal.append(KIND_EXCHANGE, ORG, payload)


def real_deriver() -> FrameDeriver:
    return FrameDeriver(partial(derive, price=open_book(()).price), read_parts)


class Inline:
    """The helper's work done here, by the same functions, with the tests' own deriver."""

    def __init__(self, root: Path, own: FrameDeriver | None = None) -> None:
        self.root = root
        self.own = own or deriver()
        self.asked: list[Ask] = []

    def gather(self, ask: Ask) -> tuple[Gathered, Batch]:
        self.asked.append(ask)
        buffers: list[memoryview] = []
        gathered = batching.gather(self.root, None, self.own, ask, buffers)
        return gathered, restore(gathered.description, bytearray(b"".join(joined(buffers))))

    def is_ahead(self, start: Position) -> bool:
        return False

    def forget(self) -> None:
        """Nothing was read ahead."""

    def rest(self) -> None:
        """Nothing is kept."""

    def close(self) -> None:
        """Nothing to end."""


@asynccontextmanager
async def helped(
    root: Path, command: Sequence[str] | None = None, **more: Any
) -> AsyncIterator[tuple[House, BatchHelper]]:
    answer_s = more.pop("answer_s", 60.0)
    helper = BatchHelper(root, {"prices": []}, None, command=command, answer_s=answer_s)
    more = {"options": AFAR, "deriver": real_deriver(), **more}
    async with running(root, helper=helper, **more) as house:
        yield house, helper
    assert helper.pid is None


async def all_rows(house: House) -> list[Any]:
    found = []
    for table in ("requests", "bodies"):
        found.append(await house.ask(f"SELECT * FROM hot_{table} ORDER BY frame_offset"))
    return found


async def test_the_rows_are_those_of_the_loop(tmp_path: Path) -> None:
    found = []
    for place in ("here", "there"):
        root = tmp_path / place
        root.mkdir()
        async with helped(root, options=QUICK if place == "here" else AFAR) as (house, helper):
            for number, kind in enumerate(KINDS.values()):
                put(house, number, *kind)
            house.journal.append(KIND_SCORE, ORG, edit(1, "good", 3))
            house.journal.append(KIND_SCORE, ORG, b"\xc1 not MessagePack")
            found.append(await all_rows(house))
            counts = house.ingest._deriver.counts
            assert (counts.frames, counts.derive_errors, counts.unreadable) == (
                len(KINDS) + 2,
                1,
                1,
            )
            assert (house.ingest.lag_frames, house.ingest.lag_s) == (0, 0.0)
            if place == "there":
                assert helper.started == 1
    assert found[0] == found[1]
    assert len(found[0][0]) == len(KINDS)


async def test_doubles_and_replacements(tmp_path: Path) -> None:
    helper = Inline(tmp_path)
    async with running(tmp_path, options=AFAR, helper=helper) as house:
        append(house.journal, 1, 2, model="first")
        await house.settled()
        append(house.journal, 2, 3, flags=FLAG_SUPERSEDES, model="newer")
        assert await house.ask("SELECT model FROM requests ORDER BY exchange_id") == [
            ("first",), ("newer",), ("newer",)
        ]  # fmt: skip
        assert helper.asked


def command(code: str) -> list[str]:
    begin = f"import os, sys; sys.path.insert(0, {str(PROJECT)!r});"
    return [sys.executable, "-c", begin + code]


async def test_one_that_had_rested_is_replaced(tmp_path: Path) -> None:
    async with helped(tmp_path) as (house, helper):
        for number in (1, 2):
            put(house, number, *KINDS["text"])
            assert await house.ask() == [(number, number)]
            assert helper.started == number
            assert helper.pid is not None
            os.kill(helper.pid, 9)
        assert house.ingest.stats.failures == 0


# Ten bytes of journal to a batch; `counted` is the number of the ask.
COUNTING = """
import msgspec
from appliance.actors.batch_wire import Ask, Gathered
from appliance.batching import _say
from storage.batch import Batch
from storage.packed import describe
asks, answers = os.fdopen(0, "rb", buffering=0), os.fdopen(1, "wb", buffering=0)
asks.readline()
number = 0
while line := asks.readline():
    ask, number, batch = msgspec.json.decode(line, type=Ask), number + 1, Batch()
    end = (1, min(ask.start[1] + 10, ask.goal[1]))
    _say(answers, Gathered(end=end, counted=number, description=describe(batch, [])), [])
"""


def test_the_next_batch_is_asked_for_ahead(tmp_path: Path) -> None:
    def gathered(start: int, goal: int, segment: int = 1) -> tuple[int, tuple[int, int]]:
        there = (segment, goal)
        found, _ = helper.gather(msgspec.structs.replace(ask, start=(1, start), goal=there))
        return found.counted, found.end

    ask = Ask((1, 0), (1, 0), 10, 10, 10, False, 1, 10)
    helper = BatchHelper(tmp_path, {}, None, command=command(COUNTING))
    try:
        assert not helper.is_ahead(Position(1, 10))
        assert gathered(0, 30) == (1, (1, 10))
        assert helper.is_ahead(Position(1, 10))
        # The journal has grown: what was asked ahead ends where it ended then.
        assert gathered(10, 45) == (2, (1, 20))
        # The database was opened anew, what was deleted meanwhile is gone from the journal.
        helper.forget()
        assert gathered(20, 45) == (4, (1, 30))
        # Elsewhere than thought, for whatever reason.
        assert gathered(35, 45) == (6, (1, 45))
        assert not helper.is_ahead(Position(1, 45))
        assert gathered(45, 50) == (7, (1, 50))
        # Less than such a batch is left: by the time it is asked for it may be more.
        assert gathered(50, 69) == (8, (1, 60))
        assert not helper.is_ahead(Position(1, 60))
        assert gathered(60, 80) == (9, (1, 70))
        assert helper.is_ahead(Position(1, 70))
        assert gathered(70, 80) == (10, (1, 80))
        assert gathered(80, 99, segment=2) == (11, (1, 90))
        assert helper.is_ahead(Position(1, 90))  # how much a segment holds is not asked
    finally:
        helper.close()


@pytest.mark.parametrize("code", ["os.read(0, 9); os._exit(3)", "import time; time.sleep(60)"])
async def test_one_that_cannot_costs_large_records_their_bodies(tmp_path: Path, code: str) -> None:
    """What ends a process of its own twice would end the server."""
    options = replace(AFAR, large_bytes=10_000)
    async with helped(tmp_path, command(code), answer_s=0.3, options=options) as (house, _):
        put(house, 1, *KINDS["text"])
        put(house, 2, *KINDS["no JSON"])
        put(house, 3, *KINDS["text"])
        assert await house.ask() == [(3, 3)]
        sql = "SELECT frame_offset, derive_error FROM hot_requests ORDER BY 1"
        errors = [error for _, error in await house.ask(sql)]
        assert [error and error.split(":")[0] for error in errors] == [
            None, "BatchHelperEnded", None
        ]  # fmt: skip


async def test_without_a_process_it_is_done_here(tmp_path: Path) -> None:
    options = replace(AFAR, large_bytes=10_000)
    async with helped(tmp_path, ["/nowhere/at/all"], options=options) as (house, _):
        for number, kind in enumerate(KINDS.values()):
            put(house, number, *kind)
        assert await house.ask() == [(len(KINDS), len(KINDS))]
        assert house.ingest._deriver.counts.derive_errors == 1


async def test_the_loop_goes_on_meanwhile(tmp_path: Path) -> None:
    """Here it would stand still for the whole of the derivation."""
    request = b'{"model":"gpt-4o","messages":[%b]}' % b",".join(
        b'{"role":"user","content":[{"type":"text","text":"hi %d"}]}' % number
        for number in range(120_000)
    )
    async with helped(tmp_path) as (house, _):
        put(house, 1, *KINDS["text"])
        await house.settled()
        put(house, 2, {}, request, ANSWER)
        began_s = time.thread_time()
        await house.settled()
        spent_s = time.thread_time() - began_s
    began_s = time.thread_time()
    at = Position(1, 64)
    frame = Frame(at, at, KIND_EXCHANGE, 0, 0, ORG, b"")
    meta = {"exchange_id": exchange_id(2), **META}
    real_deriver().derived(Exchange(frame, meta, [], []), request, ANSWER)
    assert spent_s < (time.thread_time() - began_s) / 3


async def test_what_is_asked_of_it(tmp_path: Path) -> None:
    """Small backlogs stay on the loop, a large record is the helper's, and comes alone when it is
    larger than a batch."""
    helper = Inline(tmp_path)
    options = replace(QUICK, text_bytes_max=500_000)
    async with running(tmp_path, options=options, helper=helper) as house:
        append(house.journal, 1, 2, 3)
        assert await house.ask() == [(3, 3)]
        assert helper.asked == []
        for number, size in ((4, 9), (5, 300_000), (6, 600_000), (7, 9)):
            append(house.journal, number, response=b"x" * size)
        assert await house.ask() == [(7, 7)]
        assert len(helper.asked) >= 2
        assert all(ask.hurry for ask in helper.asked)  # there is a reader
        assert house.ingest._deriver.counts.frames == 7


@pytest.mark.parametrize("behind_s", [0.0, 6.0])
async def test_it_takes_its_time_until_much_has_gathered(tmp_path: Path, behind_s: float) -> None:
    """With nobody waiting it works on processors that nobody else wants; ever further behind on a
    busy machine it does not."""
    helper, now_s = Inline(tmp_path), [2_000_000_000.0]
    options = replace(AFAR, gather_s=60, rows_max=2)
    async with running(tmp_path, options=options, helper=helper, clock=lambda: now_s[0]) as house:
        append(house.journal, 1)
        assert await house.ask() == [(1, 1)]
        helper.asked.clear()
        append(house.journal, 2)
        await house.journal.wait_synced_past(house.ingest.position)
        await trio.testing.wait_all_tasks_blocked()
        assert helper.asked == []  # it gathers
        now_s[0] += behind_s
        append(house.journal, 3)
        with trio.fail_after(20):
            while house.ingest.lag_frames:
                await house.ingest._progress.wait()
        assert [ask.hurry for ask in helper.asked] == [behind_s > 5]


async def test_a_record_too_large_for_the_database_goes_in_without_its_bodies(
    tmp_path: Path,
) -> None:
    """It stood in the way of every record after it, for good."""

    def open_cramped() -> Analytics:
        analytics = opened(tmp_path / "analytics.duckdb")
        whole = analytics.ingest

        def ingest(batch: Batch, upto: Position) -> None:
            if batch.text_bytes > 500_000:
                raise AnalyticsFailed("Out of Memory Error: no block", damaged=False)
            whole(batch, upto)

        analytics.ingest = ingest  # type: ignore[method-assign]
        return analytics

    async with running(
        tmp_path, options=QUICK, helper=Inline(tmp_path), open_analytics=open_cramped
    ) as house:
        for number in range(1, 8):
            append(house.journal, number, response=b"x" * {3: 600_000, 5: 400_000}.get(number, 9))
        assert await house.ask() == [(7, 7)]
        found = await house.ask(
            "SELECT request_id, derive_error, strlen(response) FROM requests "
            "JOIN bodies USING (request_id) ORDER BY strlen(response)"
        )
        assert [(bool(error), size) for _, error, size in found] == [
            (True, 0), *[(False, 9)] * 5, (False, 400_000),
        ]  # fmt: skip
        assert QUICK.bare_after <= house.ingest.stats.failures < 10


def test_an_end_that_cannot_read_says_why(tmp_path: Path) -> None:
    code = "from appliance import batching; batching.gather = None; sys.exit(batching.main())"
    helper = BatchHelper(tmp_path, {"prices": []}, None, command=command(code))
    ask = Ask((0, 0), (1, 0), 1, 1, 1, bare=False, first_segment=1, row_bytes_max=1)
    with pytest.raises(BatchHelperEnded, match="TypeError"):
        helper.gather(ask)
    helper.close()


def test_a_resting_process_ends() -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb", buffering=0) as asks, os.fdopen(writing, "wb") as others:
        others.write(b'{"root": "/"}\n')
        others.flush()
        make: Any = lambda job, keys: deriver()  # noqa: E731
        assert batching.serve(asks, io.BytesIO(), make, idle_s=0) == 0


@pytest.mark.parametrize("told", [b"", b'{"ro', b'{"root": "/x"}\n', b'{"root": "/x"}\n{"sta'])
def test_one_whose_server_was_killed_says_nothing(told: bytes) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "appliance.batching"], input=told, capture_output=True, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_coded_bodies_weigh_more() -> None:
    at = Position(1, 64)
    part = [PART_INLINE, 1000, b"", 1000]
    plain = Exchange(Frame(at, at, KIND_EXCHANGE, 0, 0, ORG, b""), {}, [part], [])
    coded = plain._replace(meta={"request_coding": "gzip"})
    assert weight_of(coded) > 10 * weight_of(plain) > 0
    assert weight_of(FrameRows()) == 0


def test_the_command_of_a_frozen_executable(monkeypatch: pytest.MonkeyPatch) -> None:
    assert helper_command()[-2:] == ["-m", "appliance.batching"]
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    assert helper_command() == [sys.executable, ARGUMENT]


async def test_closing_does_not_wait_for_one_that_hangs(tmp_path: Path) -> None:
    with trio.fail_after(20):
        async with helped(tmp_path, command("import time; time.sleep(60)"), answer_s=0.2) as (
            house, _,
        ):  # fmt: skip
            put(house, 1, *KINDS["text"])
