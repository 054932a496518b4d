"""The disk answers with errors, or is suddenly read-only: calls go on, nothing promised is lost."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.storage_kit import (
    MIB,
    Traffic,
    file_system,
    injected,
    killed_at_the_end,
    metric,
    mount,
    needs_root,
    needs_strace,
    reasons,
    segment_files,
    wait_healthy,
    wait_until,
)
from tests.e2e.test_intake import log
from tests.fakes.appliance import CHAT, Appliance
from tests.fakes.otlp_spans import as_json, span
from tests.fakes.provider import Provider
from tests.fakes.raw_client import RawClient

pytestmark = [needs_root, needs_strace]
WRITES = "write,pwrite64,pwritev"
SYNCS = "fsync,fdatasync"
MORE_THAN_SOCKETS_HOLD = "fake-big-32768"


@pytest.fixture
def served(tmp_path: Path, provider: Provider) -> Iterator[Appliance]:
    """A server with its own directory."""
    with Appliance(tmp_path, provider) as appliance:
        yield appliance


@pytest.mark.parametrize("calls", [SYNCS, WRITES])
def test_errors(served: Appliance, calls: str) -> None:
    traffic = Traffic(served)
    traffic.send(3)
    with injected(served.pid, f"{calls}:error=EIO", *segment_files(served)):
        traffic.until_degraded()
        assert reasons(served)["journal"] == "journal;reason=io_error"
        traffic.send(10)
        traffic.send(2, stream=True)
        assert len(traffic.degraded) == 13
        assert metric(served, "journal_failures_total") > 0
        assert (
            metric(served, "journal_backlog_bytes") + metric(served, "journal_unsynced_bytes") > 0
        )
    wait_healthy(served)
    assert traffic.send().first("helicone-degraded") is None
    traffic.check()
    served.restart()
    traffic.check()


def test_the_reply_whose_record_failed_says_so(served: Appliance) -> None:
    traffic = Traffic(served)
    traffic.send(3)
    with injected(served.pid, f"{WRITES}:error=EIO", *segment_files(served)):
        reply = traffic.send()
    assert reply.first("helicone-degraded") == b"journal;reason=io_error"


@pytest.mark.parametrize(
    ("to", "body"),
    [("/custom/v1/log", log()), ("/v1/traces", json.loads(as_json([span("s")])))],
)
def test_so_does_the_answer_to_a_log_whose_record_failed(
    served: Appliance, to: str, body: dict[str, Any]
) -> None:
    traffic = Traffic(served)
    traffic.send(3)
    with injected(served.pid, f"{WRITES}:error=EIO", *segment_files(served)):
        reply = served.call(to, body)
        assert (reply.status, reply.first("helicone-degraded")) == (
            200, b"journal;reason=io_error",
        )  # fmt: skip
    wait_healthy(served)
    assert len(served.query("SELECT 1 FROM requests")) == 4


def test_a_large_reply_whose_head_had_left_is_finished_all_the_same(served: Appliance) -> None:
    """Its head cannot say any more what became of the disk: the record waits in memory for it."""
    traffic = Traffic(served)
    traffic.send(3)
    with RawClient(served.url, receive_buffer=4096) as client:
        client.request(CHAT, {"model": "gpt-4o"}, {"x-fake": MORE_THAN_SOCKETS_HOLD})
        reply = client.head()
        with injected(served.pid, f"{WRITES}:error=EIO", *segment_files(served)):
            client.rest(reply)
            wait_until(lambda: "journal" in reasons(served))
    assert (reply.end, reply.first("helicone-degraded")) == ("clean", None)
    wait_healthy(served)
    name = reply.first("helicone-id")
    assert name is not None
    assert served.row(name.decode())["outcome"] == "complete"
    traffic.check()


@pytest.mark.parametrize("calls", [SYNCS, WRITES])
def test_killed_while_failing(served: Appliance, calls: str) -> None:
    traffic = Traffic(served)
    traffic.send(20)
    with injected(served.pid, f"{calls}:error=EIO", *segment_files(served)):
        traffic.until_degraded()
        traffic.send(5)
        served.kill()
    served.start()
    assert len(traffic.safe) >= 20
    traffic.check(traffic.safe)


def test_everything_fails(served: Appliance) -> None:
    """Also DuckDB's writes and the blobs': only what is written to pipes and the log would pass."""
    traffic = Traffic(served)
    traffic.send(3)
    with injected(served.pid, f"{SYNCS},{WRITES}:error=EIO"):
        traffic.until_degraded()
        traffic.send(5)
        traffic.send(script="fake-big-1024")
        traffic.send(user="y" * 2 * MIB)
    wait_healthy(served)
    large = list(traffic.texts)[-2:]
    traffic.send(2)
    traffic.check([i for i in traffic.texts if i not in large])
    assert [served.row(i)["not_applied"] for i in large] == [["bodies;reason=disk"]] * 2


def test_read_only_for_a_while(served: Appliance) -> None:
    traffic = Traffic(served)
    traffic.send(3)
    with injected(served.pid, f"{SYNCS},{WRITES},rename:error=EROFS", *segment_files(served)):
        traffic.until_degraded()
        assert reasons(served)["journal"] == "journal;reason=read_only"
        traffic.send(5)
    wait_healthy(served)
    traffic.check()


def test_read_only_for_good(tmp_path: Path, provider: Provider) -> None:
    """As a kernel does it that has met an error: files that are open stop taking anything."""
    appliance = Appliance(tmp_path, provider)
    traffic = Traffic(appliance)
    with file_system(tmp_path / "image", appliance.data), killed_at_the_end(appliance):
        traffic.send(10)
        wait_until(lambda: metric(appliance, "journal_unsynced_bytes") == 0)
        mount("-o", "remount,abort", str(appliance.data))
        traffic.until_degraded()
        traffic.send(5)
        traffic.send(2, script="fake-big-1024")
        traffic.send(user="y" * 2 * MIB)
        assert traffic.send().first("helicone-degraded") == b"journal;reason=read_only"
        assert reasons(appliance)["journal"] == "journal;reason=read_only"
    with file_system(tmp_path / "image", appliance.data):
        assert len(traffic.safe) >= 10
        traffic.check(traffic.safe)
        with appliance:
            traffic.check(traffic.safe)
