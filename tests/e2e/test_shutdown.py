"""SIGTERM: open replies get `grace_s`, what is left is cut and recorded, and the exit code is 0."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.appliance import CHAT, Appliance
from tests.fakes.provider import Provider
from tests.fakes.raw_client import RawClient

ASK: dict[str, Any] = {"stream": True, "messages": [{"role": "user", "content": "Hi"}]}


def begin(client: RawClient, headers: dict[str, str], model: str = "gpt-4o") -> str:
    client.request(CHAT, {**ASK, "model": model}, headers)
    reply = client.head()
    client.frame(reply)
    return reply.id


def test_streams_are_finished_or_cut_and_recorded(tmp_path: Path, provider: Provider) -> None:
    gate = f"stop-{time.monotonic_ns()}"
    appliance = Appliance(tmp_path, provider, config='grace_s = "1s"\n')
    with appliance, appliance.client() as short, appliance.client() as long:
        with appliance.client() as idle, appliance.client() as full, appliance.client() as read:
            assert idle.call(CHAT, {**ASK, "model": "gpt-4o"}).end == "clean"
            assert full.call("/healthcheck", method="GET").status == 200
            assert read.call("/v1/api-keys", method="GET").status == 200
            ids = [
                begin(short, {"x-fake": "fake-held", "x-fake-gate": gate}),
                begin(long, {"x-fake": "fake-stall-after-2"}),
            ]
            began_s = time.monotonic()
            appliance.terminate()
            assert idle.ended() == "cut"
            assert full.ended() == "cut"
            assert read.ended() == "cut"
        with pytest.raises(OSError), RawClient(appliance.url) as late:
            assert late.call("/healthcheck", method="GET").status  # accepted by nobody
        provider.open_gate(gate)
        finished = b""
        while b"[DONE]" not in finished:
            finished += short.read_until(b"\n\n")
        short.read_until(b"0\r\n\r\n")
        assert long.ended() == "cut"
        assert appliance.wait() == 0
    assert 0.9 < time.monotonic() - began_s < 15
    rows = {row["request_id"]: row for row in map(as_text, appliance.query_offline(SQL))}
    assert rows[ids[0]]["outcome"] == "complete"
    assert rows[ids[1]]["outcome"] == "cut"
    assert len(rows) == 3


SQL = "SELECT request_id, outcome FROM requests"


def as_text(row: dict[str, Any]) -> dict[str, Any]:
    return {name: str(value) for name, value in row.items()}


def test_nothing_open_stops_at_once(tmp_path: Path, provider: Provider) -> None:
    with Appliance(tmp_path, provider) as appliance:
        reply = appliance.call(CHAT, {**ASK, "model": "gpt-4o"})
        began_s = time.monotonic()
        assert appliance.stop() == 0
        assert time.monotonic() - began_s < 15  # of 30 s of grace
        assert [row["outcome"] for row in appliance.query_offline(SQL)] == ["complete"]
        assert reply.end == "clean"
        assert "ERROR" not in appliance.log
