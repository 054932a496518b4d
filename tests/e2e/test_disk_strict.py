"""`durability = "strict"`: a reply ends after its record is synced, whatever its size or shape.
And in both kinds a request can be read the moment its reply has ended."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.storage_kit import (
    MIB,
    Traffic,
    injected,
    metric,
    needs_root,
    needs_strace,
    segment_files,
    wait_healthy,
)
from tests.fakes.appliance import CHAT, Appliance
from tests.fakes.provider import Provider
from tests.fakes.provider_scripts import big_body

SHAPES = [("", {}), ("", {"stream": True}), ("fake-big-3072", {}), ("", {"user": "u" * 2 * MIB})]


@pytest.fixture(params=["normal", "strict"])
def served(
    request: pytest.FixtureRequest, tmp_path: Path, provider: Provider
) -> Iterator[Appliance]:
    config = f'durability = "{request.param}"\n'
    with Appliance(tmp_path, provider, config=config) as appliance:
        yield appliance


@pytest.mark.parametrize(("script", "fields"), SHAPES, ids=["plain", "stream", "reply", "request"])
def test_read_at_once(served: Appliance, script: str, fields: dict[str, object]) -> None:
    traffic = Traffic(served)
    with served.client() as reader:
        for _ in range(10):
            reply = traffic.send(script=script, **fields)
            path = f"/v1/request/{reply.id}?includeBody=true"
            found = reader.call(path, method="GET")
            assert found.status == 200, found.body
            data = found.json["data"]
            assert data["request_id"] == reply.id
            assert traffic.texts[reply.id] in json.dumps(data["request_body"])
            if script:
                assert data["response_body"] == json.loads(big_body(3072))
    traffic.check()


def test_strict_calls(tmp_path: Path, provider: Provider) -> None:
    with Appliance(tmp_path, provider, config='durability = "strict"\n') as appliance:
        traffic = Traffic(appliance)
        for script, fields in SHAPES:
            traffic.send(5, script=script, **fields)
            assert metric(appliance, "journal_unsynced_bytes") == 0
        assert metric(appliance, "journal_late_records_total") == 0
        assert traffic.degraded == set()
        appliance.restart()
        traffic.check()


@needs_root
@needs_strace
def test_strict_calls_wait_for_a_slow_fsync(tmp_path: Path, provider: Provider) -> None:
    """But not for one that fails: then the record waits in memory, and the reply says so."""
    with Appliance(tmp_path, provider, config='durability = "strict"\n') as appliance:
        traffic = Traffic(appliance)
        traffic.send()
        files = segment_files(appliance)
        with injected(appliance.pid, "fsync,fdatasync:delay_enter=400000", *files):
            with appliance.client() as client:
                client.request(CHAT, {"model": "gpt-4o", "messages": []})
                client.sock.settimeout(0.3)
                with pytest.raises(TimeoutError):
                    client.sock.recv(1)
                client.sock.settimeout(10)
                assert client.reply().status == 200
            assert metric(appliance, "journal_late_records_total") == 0
        with injected(appliance.pid, "fsync,fdatasync:error=EIO", *files):
            reply = traffic.send()
            assert reply.first("helicone-degraded") == b"journal;reason=io_error"
            assert metric(appliance, "journal_late_records_total") == 1
        wait_healthy(appliance)
        assert traffic.send().first("helicone-degraded") is None
        traffic.check()
