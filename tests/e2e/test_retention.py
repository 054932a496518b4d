"""What is too old, or too much, goes: from queries and from the disk."""

from __future__ import annotations

import base64
import random
import time
import uuid
from collections.abc import Iterable
from pathlib import Path

import trio

from storage.directory import Root
from storage.frames import KIND_EXCHANGE, BodyPacker, encode_exchange
from storage.journal import Journal
from tests.e2e.storage_kit import MIB, Traffic, control, files_with, offline
from tests.fakes.appliance import Appliance
from tests.fakes.provider import Provider

DAY_US = 86_400_000_000
ORG = uuid.UUID("00000000-0000-4000-8000-000000000001").bytes


def write_old(data: Path, ages_us: Iterable[int], text_bytes: int) -> None:
    """Exchanges that were recorded so long ago, in the journal of a server that was killed."""
    texts = random.Random(7)
    packer = BodyPacker()
    now_us = time.time_ns() // 1000

    async def write() -> None:
        journal = Journal.open(data, region="us")
        for number, age_us in enumerate(ages_us):
            at_us = now_us - age_us
            exchange_id = (at_us // 1000).to_bytes(6, "big") + b"\x70\0\x80" + number.to_bytes(7)
            meta = {
                "exchange_id": exchange_id,
                "request_id": str(uuid.UUID(int=number)),
                "created_at_us": at_us,
                "recorded_at_us": at_us,
                "provider": "OPENAI",
                "gateway_provider": "openai",
                "http_status": 200,
                "outcome": "complete",
            }
            said = f"old-text-{number} ".encode() + base64.b64encode(texts.randbytes(text_bytes))
            payload = encode_exchange(meta, packer.pack(said), packer.pack(said[:20]))
            journal.append(KIND_EXCHANGE, ORG, payload)
        await journal.close()

    with Root.open(data):
        trio.run(write)


def test_days(tmp_path: Path, provider: Provider) -> None:
    appliance = Appliance(tmp_path, provider, config="retention_days = 30\n")
    ages_us = [45 * DAY_US - n * DAY_US // 2 for n in range(80)]  # 45 days to 5.5
    write_old(appliance.data, ages_us, 100)
    kept = sum(age_us < 30 * DAY_US for age_us in ages_us)
    with appliance:
        traffic = Traffic(appliance)
        traffic.send(3)
        assert appliance.query("SELECT count(*) AS n FROM requests") == [{"n": 83}]
        done = control(appliance, "roll")
        assert done == {"ok": True, "segments": 2, "dropped": 80 - kept}
        assert appliance.query("SELECT count(*) AS n FROM requests") == [{"n": kept + 3}]
        [row] = appliance.query("SELECT min(recorded_at)::VARCHAR AS at FROM requests")
        assert row["at"] > time.strftime("%F", time.gmtime(time.time() - 31 * 86_400))
        traffic.check()
        assert control(appliance, "verify")["ok"]
        control(appliance, "rebuild")
        assert appliance.query("SELECT count(*) AS n FROM bodies") == [{"n": kept + 3}]
    assert offline(appliance, "verify")["ok"]
    appliance.query("SELECT 1 AS x")
    assert files_with(appliance.data, b"old-text-0 ") == []


def test_bytes(tmp_path: Path, provider: Provider) -> None:
    appliance = Appliance(tmp_path, provider, config='retention_bytes = "64MiB"\n')
    count = 400
    write_old(appliance.data, [(count - n) * 60_000_000 for n in range(count)], 160 * 1024)
    with appliance:
        traffic = Traffic(appliance)
        traffic.send(3)
        done = control(appliance, "roll")
        assert 0 < done["dropped"] < count
        rows = appliance.query("SELECT request_id AS i FROM requests ORDER BY recorded_at")
        newest = [str(uuid.UUID(int=n)) for n in range(done["dropped"], count)]
        assert [row["i"] for row in rows] == [*newest, *traffic.texts]
        traffic.check()
    used = sum(path.stat().st_size for path in appliance.data.rglob("*") if path.is_file())
    assert used <= 64 * MIB
