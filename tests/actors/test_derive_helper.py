"""Large records are derived in a process of their own: the same rows, and the loop goes on."""

from __future__ import annotations

import io
import json
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio

from appliance import deriving
from appliance.actors.derive_helper import DeriveHelper, helper_command, weight_of
from appliance.actors.derive_wire import ARGUMENT
from appliance.actors.frame_rows import Exchange, FrameDeriver
from appliance.actors.lake_helper import HelperFailed
from appliance.core.derive import derive
from appliance.providers.price_data import open_book
from storage.analytics import Analytics, AnalyticsFailed
from storage.batch import Batch, FrameRows
from storage.frames import KIND_EXCHANGE, PART_INLINE, Frame, Position
from tests.actors.ingest_kit import QUICK, append, running
from tests.storage.analytics_rows import ORG, exchange_id, opened

PROJECT = Path(__file__).parents[2]
META: dict[str, Any] = {
    "exchange_id": exchange_id(1), "request_id": "a", "created_at_us": 1_700_000_000_000_000,
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


def exchange(**meta: Any) -> Exchange:
    at = Position(1, 64)
    return Exchange(Frame(at, at, KIND_EXCHANGE, 0, 0, ORG, b""), {**META, **meta}, [], [])


def here() -> FrameDeriver:
    return FrameDeriver(partial(derive, price=open_book(()).price), lambda parts: b"")


def chat(text: str, count: int = 1) -> bytes:
    messages = [{"role": "user", "content": text}] * count
    body = {"model": "gpt-4o", "messages": messages}
    return json.dumps(body, ensure_ascii=False).encode()


@asynccontextmanager
async def helping(**options: Any) -> AsyncIterator[tuple[DeriveHelper, FrameDeriver]]:
    deriver = here()
    helper = DeriveHelper(deriver, {"prices": []}, **options)
    try:
        yield helper, deriver
    finally:
        await helper.close()


def as_bytes(row: tuple[Any, ...]) -> list[Any]:
    return [value.encode("utf-8", "replace") if isinstance(value, str) else value for value in row]


BODIES: dict[str, tuple[dict[str, Any], bytes, bytes]] = {
    "text": ({}, chat("hello"), ANSWER),
    "no bodies": ({}, b"", b""),
    "not UTF-8": ({"response_type": "audio/mpeg"}, chat("hello"), b"\xff\xfe" * 100),
    "lone surrogate": ({}, b'{"model":"a\\ud800b","messages":[]}', ANSWER),
    "larger than a pipe": ({}, chat("長い文" * 1000, 500), ANSWER),
    "estimated": ({}, chat("hello " * 50_000), ANSWER.partition(b',"usage"')[0] + b"}"),
    "no JSON": ({}, b"{" * 100_000, b"[" * 100_000),
    "omitted": ({"omit_request": True, "omit_response": True}, chat("hello"), ANSWER),
}


async def test_the_rows_are_those_of_a_derivation_here() -> None:
    async with helping() as (helper, deriver):
        for name, (meta, request, response) in BODIES.items():
            wanted = here().derived(exchange(**meta), request, response)
            rows = await helper(exchange(**meta), request, response)
            assert rows.request == wanted.request, name
            assert rows.body is not None
            assert wanted.body is not None
            assert as_bytes(rows.body) == as_bytes(wanted.body), name
            batch = Batch()
            batch.add(rows, 0)
            assert len(list(batch.pack())) > 0
        assert helper.started == 1
        assert deriver.counts.derive_errors == 0


async def test_a_fault_of_a_record_is_its_own() -> None:
    async with helping() as (helper, deriver):
        rows = await helper(exchange(created_at_us="yesterday"), chat("hello"), ANSWER)
        assert rows.request is not None
        assert any("TypeError" in str(value) for value in rows.request)
        assert deriver.counts.derive_errors == 1
        assert (await helper(exchange(), chat("hello"), ANSWER)).request is not None
        assert helper.started == 1


def command(code: str) -> list[str]:
    begin = f"import os, sys; sys.path.insert(0, {str(PROJECT)!r});"
    return [sys.executable, "-c", begin + code]


async def test_a_process_that_had_rested_is_replaced() -> None:
    async with helping() as (helper, _):
        for number in (1, 2):
            rows = await helper(exchange(), chat("hello"), ANSWER)
            assert rows.request is not None
            assert helper.started == number
            assert helper._process is not None
            helper._process.kill()
            await helper._process.wait()


@pytest.mark.parametrize(
    ("code", "words", "starts"),
    [
        ("os.read(0, 9); os._exit(3)", "ended", 2),
        ("import time; time.sleep(60)", "not derived within", 1),
    ],
)
async def test_a_process_that_cannot(code: str, words: str, starts: int) -> None:
    async with helping(command=command(code), answer_s=1.0) as (helper, _):
        with pytest.raises(HelperFailed, match=words):
            await helper(exchange(), chat("hello"), ANSWER)
        assert helper.started == starts
        assert helper._process is None


async def test_without_a_process_it_is_derived_here() -> None:
    async with helping(command=["/nowhere/at/all"]) as (helper, _):
        rows = await helper(exchange(), chat("hello"), ANSWER)
    assert rows == here().derived(exchange(), chat("hello"), ANSWER)


async def test_a_cancelled_question_leaves_no_process() -> None:
    async with helping(command=command("import time; time.sleep(60)")) as (helper, _):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(helper, exchange(), chat("hello" * 1000, 1000), ANSWER)
            while helper._process is None:
                await trio.lowlevel.checkpoint()
            process = helper._process
            nursery.cancel_scope.cancel()
        assert process.returncode is not None
        assert helper._process is None


async def test_the_loop_goes_on_meanwhile() -> None:
    """Here it would stand still for the whole of the derivation."""
    request = b'{"model":"gpt-4o","messages":[%b]}' % b",".join(
        b'{"role":"user","content":[{"type":"text","text":"hi %d"}]}' % number
        for number in range(120_000)
    )
    async with helping() as (helper, _):
        await helper(exchange(), chat("hello"), ANSWER)  # started, prices read
        began_s = time.thread_time()
        await helper(exchange(), request, ANSWER)
        spent_s = time.thread_time() - began_s
    began_s = time.thread_time()
    here().derived(exchange(), request, ANSWER)
    assert spent_s < (time.thread_time() - began_s) / 3


def test_a_resting_process_ends() -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb", buffering=0) as records, os.fdopen(writing, "wb") as others:
        others.write(b"{}\n")
        others.flush()
        answers = io.BytesIO()
        assert deriving.serve(records, answers, lambda job: partial(derive), idle_s=0) == 0


def test_coded_bodies_weigh_more() -> None:
    part = [PART_INLINE, 1000, b"", 1000]
    plain = exchange()._replace(request=[part])
    coded = exchange(request_coding="gzip")._replace(request=[part])
    assert weight_of(coded) > 10 * weight_of(plain) > 0
    assert weight_of(FrameRows()) == 0


def test_the_command_of_a_frozen_executable(monkeypatch: pytest.MonkeyPatch) -> None:
    assert helper_command() == [sys.executable, "-m", "appliance.deriving"]
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    assert helper_command() == [sys.executable, ARGUMENT]


def test_what_columns_cannot_take() -> None:
    found = deriving._plain(["a\ud800", 2**70, {"k": (1, 1.5, None, b"x", True)}, {1}])
    assert found == ["a?", None, {"k": [1, 1.5, None, b"x", True]}, "{1}"]
    msgspec.msgpack.encode(found)


@pytest.mark.parametrize(("text_bytes_max", "batches_min"), [(200_000, 4), (4 * 2**20, 1)])
async def test_ingest_gives_a_large_record_a_batch_of_its_own(
    tmp_path: Path, text_bytes_max: int, batches_min: int
) -> None:
    asked: list[int] = []

    async def derive_large(record: Exchange, request: bytes, response: bytes) -> Any:
        asked.append(record.meta["number"])
        return house.ingest._deriver.derived(record, request, response)

    options = replace(QUICK, text_bytes_max=text_bytes_max)
    async with running(tmp_path, options=options, derive_large=derive_large) as house:
        for number in range(1, 8):
            append(house.journal, number, response=b"x" * (300_000 if number in (3, 4) else 10))
        assert await house.ask() == [(7, 7)]
        assert asked == [3, 4]
        assert house.ingest.stats.batches >= batches_min
        assert house.ingest._deriver.counts.frames == 7


async def test_a_record_too_large_for_the_database_goes_in_without_its_bodies(
    tmp_path: Path,
) -> None:
    """It stood in the way of every record after it, for good."""

    async def derive_large(record: Exchange, request: bytes, response: bytes) -> Any:
        return house.ingest._deriver.derived(record, request, response)

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
        tmp_path, options=QUICK, derive_large=derive_large, open_analytics=open_cramped
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
