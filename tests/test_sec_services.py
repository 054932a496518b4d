"""What the REST API hears of a store that cannot answer: that it is so, and none of its words."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any, cast

import pytest

from appliance.core.access import AccessRules
from appliance.errors import Refusal
from appliance.log import Log
from appliance.services import AccessOf, RecordsOf
from tests.storage.analytics_rows import opened


@pytest.mark.parametrize(
    "sql", ["SELECT CAST('a prompt of another' AS INTEGER)", "SELECT * FROM '/data/x.parquet'"]
)
async def test_the_words_of_the_store_go_to_the_log_alone(sql: str) -> None:
    reading, writing = os.pipe()
    log = Log(descriptor=writing)
    region = SimpleNamespace(ingest=SimpleNamespace(analytics=opened(None)))
    records = RecordsOf(cast(Any, {"us": region}), log)
    with pytest.raises(Refusal) as refusal:
        await records.query("us", sql, ())
    assert (refusal.value.status, refusal.value.code) == (503, "query_failed")
    for word in ("prompt", "parquet", "/data"):
        assert word not in refusal.value.message
    log.close()
    os.close(writing)
    said = os.read(reading, 65536).decode()
    os.close(reading)
    assert "query_failed" in said
    assert "Error: " in said
    assert "prompt" not in said
    assert "/data" not in said
    region.ingest.analytics.close()


async def test_an_answer_is_an_answer() -> None:
    region = SimpleNamespace(ingest=SimpleNamespace(analytics=opened(None)))
    found = await RecordsOf(cast(Any, {"us": region}), Log()).query("us", "SELECT $1", ["x"])
    assert found.rows == [("x",)]
    region.ingest.analytics.close()


@pytest.mark.parametrize(
    ("client", "host", "near"),
    [
        ("127.0.0.1", b"127.0.0.1:8585", True),
        ("::1", b"localhost", True),
        ("127.0.0.1", b"llm.example.com:8585", False),  # a page's own name, bound to loopback
        ("10.2.3.4", b"llm.example.com:8585", True),
        ("10.9.3.4", b"127.0.0.1:8585", False),
        ("no address", b"127.0.0.1:8585", False),
    ],
)
def test_who_needs_no_key_for_the_metrics(client: str, host: bytes, near: bool) -> None:
    house = SimpleNamespace(gate=SimpleNamespace(rules=AccessRules("keys")))
    config = SimpleNamespace(metrics_allow=("10.2.0.0/16",))
    server = SimpleNamespace(config=config, house=house)
    assert AccessOf(cast(Any, server)).is_near(client, host) is near
