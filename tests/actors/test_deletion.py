"""Deletion in a region as it is served: no byte of it is left in any file, DuckDB's included."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio

from appliance.actors.region import DELETION_PURPOSE, Region, RegionOptions
from appliance.actors.roller_options import RollerOptions
from appliance.core.cache_entry import make_entry
from appliance.core.usage_types import Priced
from storage import deletion
from storage.directory import Root
from storage.frames import KIND_DELETION, KIND_EXCHANGE, KIND_SCORE, BodyPacker, encode_exchange
from storage.journal import Journal, JournalOptions
from storage.lake import Lake, intent
from storage.vault import Vault
from tests.storage.lake_kit import ORG, START_US, all_bytes, exchange_id

WORD = "zanzibar-4711"
ROLLER = RollerOptions(first_look_s=0.0, look_s=0.01, roll_bytes=2**40, roll_age_s=1e12)


NOW_US = time.time_ns() // 1000


def free(*_: Any) -> Priced:
    return Priced(None, "none", "")


def options(root: Path) -> RegionOptions:
    return RegionOptions(
        name="us",
        directory=root,
        journal=JournalOptions(reserve_bytes=0),
        master_key=None,
        duckdb_bytes_max=64 * 2**20,
        record_bytes_max=2**20,
        roller=ROLLER,
    )


@asynccontextmanager
async def served(root: Path) -> AsyncIterator[Region]:
    region = await trio.to_thread.run_sync(Region, options(root), free)
    try:
        async with trio.open_nursery() as nursery:
            await region.start(nursery)
            await nursery.start(region.cache.run)
            yield region
            region.cache.close()
            await region.close()
            nursery.cancel_scope.cancel()
    finally:
        region.unlock()


async def record(region: Region, number: int, text: str) -> bytes:
    """An exchange whose user, request, reply (in a blob), score and cached answer hold the text."""
    sink = region.blob_sink()
    await sink.write(f"{text} answered".encode() * 20)
    meta = {
        "exchange_id": exchange_id(number),
        "request_id": f"00000000-0000-4000-8000-{number:012d}",
        "created_at_us": START_US,
        "recorded_at_us": START_US,
        "user_id": text,
        "outcome": "complete",
        "http_status": 200,
    }
    packed = BodyPacker().pack(f"{text} asked".encode())
    region.append(KIND_EXCHANGE, ORG, encode_exchange(meta, packed, sink.parts()))
    edit = {"exchange_id": meta["exchange_id"], "request_id": None, "name": text, "value": 1}
    region.append(KIND_SCORE, ORG, msgspec.msgpack.encode({**edit, "edited_at_us": START_US}))
    entry = make_entry(
        org=ORG, exchange_id=exchange_id(number), request_id=str(number),
        created_at_us=NOW_US, age_s=86_400, latency_ms=1, headers=(), has_length=True,
        chunks=[f"{text} cached".encode()],
    )  # fmt: skip
    assert region.cache.save(cache_key(number), entry, 1, NOW_US)
    assert await region.cache.flush()
    return exchange_id(number)


def cache_key(number: int) -> bytes:
    return b"%016d" % number


async def users(region: Region) -> list[str]:
    await region.ingest.caught_up(10)
    analytics = region.ingest.analytics
    assert analytics is not None
    with analytics.query("SELECT user_id FROM requests JOIN bodies USING (exchange_id)") as query:
        return sorted(row[0] for row in query.fetch())


async def test_hot_and_cold_rows_are_gone_for_good(tmp_path: Path) -> None:
    async with served(tmp_path) as region:
        await record(region, 1, WORD)
        await record(region, 2, "stays")
        await region.ingest.caught_up(10)
        await region.journal.rotate()
        assert await region.roller.roll_now() == 1
        await record(region, 3, WORD)
        await record(region, 4, "stays too")
        assert await users(region) == ["stays", "stays too", WORD, WORD]
        assert WORD.encode() in all_bytes(tmp_path)

        assert await region.roller.forget({"user_id": WORD}) == 2
        assert await users(region) == ["stays", "stays too"]
        held = [region.cache.lookup(cache_key(number), 1, NOW_US) for number in range(1, 5)]
        assert [found is not None for found in held] == [False, True, False, True]
        rest = all_bytes(tmp_path)
    for left in (rest, all_bytes(tmp_path)):
        assert WORD.encode() not in left
        assert exchange_id(1) not in left
        assert exchange_id(3) not in left
    async with served(tmp_path) as region:
        assert await users(region) == ["stays", "stays too"]


@pytest.mark.parametrize("upto", ["announced", "carried out"])
async def test_it_is_finished_by_the_next_start(tmp_path: Path, upto: str) -> None:
    """The process ended right after its intent was on disk, or with all but DuckDB's file done."""
    async with served(tmp_path) as region:
        gone = await record(region, 1, WORD)
        await record(region, 2, "stays")
        assert await users(region) == ["stays", WORD]
    with Root.open(tmp_path):
        key = Vault.open(tmp_path).stable_key(DELETION_PURPOSE)
        journal = Journal.open(tmp_path, region="us", options=JournalOptions(reserve_bytes=0))
        journal.append(KIND_DELETION, ORG, intent(key, gone, START_US))
        await journal.close()
        if upto == "carried out":
            deletion.apply(Lake.open(tmp_path, deletion_key=key))
    assert WORD.encode() in (tmp_path / "analytics.duckdb").read_bytes()
    async with served(tmp_path) as region:
        with trio.fail_after(30):
            while not region.roller.deletions_are_finished:  # noqa: ASYNC110 - a helper works
                await trio.sleep(0.01)
        assert await users(region) == ["stays"]
        rest = all_bytes(tmp_path)
    assert WORD.encode() not in rest
    assert gone not in rest
