"""A journal, an ingest actor and frames for them."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import trio

from appliance.actors.frame_rows import FrameDeriver
from appliance.actors.ingest import Ingest
from appliance.actors.ingest_parts import IngestOptions
from storage.analytics import Analytics, set_aside
from storage.analytics_failure import remove
from storage.frames import KIND_EXCHANGE, BodyPacker, Part, encode_exchange, unpack
from storage.journal import Journal, JournalOptions
from tests.storage.analytics_rows import ORG, T0_US, body_row, exchange_id, opened, request_row

QUICK = IngestOptions(gather_s=0.001, retry_first_s=0.001, retry_max_s=0.002)
COUNTS = "SELECT (SELECT count(*) FROM requests), (SELECT count(*) FROM bodies)"


def derive(
    meta: dict[str, Any], request: bytes, response: bytes, *, org: bytes, position: tuple[int, int]
) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    if b"poison" in response:
        raise ValueError("cannot be derived")
    if meta.get("poisoned"):
        raise KeyError("meta")
    number = meta["number"]
    segment, offset = position
    row = request_row(
        number, segment=segment, frame_offset=offset, organization_id=org, model=meta.get("model")
    )
    texts = {"request": request.decode(), "response": response.decode()}
    return row, body_row(number, segment=segment, frame_offset=offset, **texts)


def no_blobs(name: str, offset: int, length: int) -> bytes:
    raise FileNotFoundError(name)


def read_parts(parts: list[Part]) -> bytes:
    return unpack(parts, no_blobs)


def deriver(derive: Callable[..., Any] = derive) -> FrameDeriver:
    return FrameDeriver(derive, read_parts)


_packer = BodyPacker()


def payload(number: int, response: bytes = b"answer", **meta: Any) -> bytes:
    meta = {
        "exchange_id": exchange_id(number),
        "number": number,
        "recorded_at_us": T0_US + number,
        **meta,
    }
    return encode_exchange(meta, _packer.pack(f"q{number}".encode()), _packer.pack(response))


def edit(number: int, name: str, value: Any) -> bytes:
    fields = {"request_id": None, "name": name, "value": value, "edited_at_us": T0_US}
    return msgspec.msgpack.encode({"exchange_id": exchange_id(number), **fields})


def open_journal(root: Path, **parts: Any) -> Journal:
    (root / "journal").mkdir(exist_ok=True)
    options = JournalOptions(sync_interval_s=0.002, reserve_bytes=0)
    return Journal.open(root, region="us", options=options, keyring=None, **parts)


def append(journal: Journal, *numbers: int, flags: int = 0, **meta: Any) -> None:
    for number in numbers:
        journal.append(KIND_EXCHANGE, ORG, payload(number, **meta), flags)


@dataclass
class House:
    root: Path
    journal: Journal
    ingest: Ingest

    async def settled(self) -> None:
        with trio.fail_after(20):
            assert await self.ingest.caught_up(15) is None

    async def ask(self, sql: str = COUNTS) -> list[tuple[Any, ...]]:
        await self.settled()
        assert self.ingest.analytics is not None
        with self.ingest.analytics.query(sql) as query:
            return query.fetch()


@asynccontextmanager
async def running(
    root: Path,
    *,
    options: IngestOptions = QUICK,
    open_analytics: Callable[[], Analytics] | None = None,
    **arguments: Any,
) -> AsyncIterator[House]:
    """Everything closed in order at the end: the journal, then ingest."""
    path, quarantine = root / "analytics.duckdb", root / "quarantine"
    quarantine.mkdir(exist_ok=True)
    journal = open_journal(root, **arguments.pop("journal", {}))
    ingest = Ingest(
        journal,
        root,
        arguments.pop("deriver", deriver()),
        open_analytics=open_analytics or (lambda: opened(path)),
        rebuild=lambda: set_aside(path, quarantine),
        options=options,
        **{"remove": partial(remove, path), **arguments},
    )
    async with trio.open_nursery() as nursery:
        await nursery.start(journal.run)
        nursery.start_soon(ingest.run)
        yield House(root, journal, ingest)
        await journal.close()
        ingest.close()
